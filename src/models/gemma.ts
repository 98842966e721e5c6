/**
 * Gemma 1 to 3: embeddings times the root of the width, GeGLU, and from 2 on norms before and after each branch and windows on most layers.
 * ARCHITECTURES 3.3. (The + 1 of the norms' weights is in the files.)
 */
import { arch } from "../nn/arch.ts";
import { attention, seesAll } from "../nn/attention.ts";
import { config, decoder, postNorm, preNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";
import type { Source } from "../nn/source.ts";

export const gemma = arch(["gemma"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  return decoder(source, c, {
    embeddingScale: Math.sqrt(c.dim),
    layer: at =>
      preNorm(source, c, at, {
        attention: attention(source, at, { ...c, rope }),
        ffn: ffn(source, at, { ...c, activation: "gelu", gated: true }),
      }),
  });
});

/** Queries are scaled by the head's size, in the largest models by the model's width over its heads. */
const scaleOf = (c: { dim: number; heads: number; headDim: number; layers: number }, largest: number): number =>
  (c.layers === largest ? c.dim / c.heads : c.headDim) ** -0.5;

export const gemma2 = arch(["gemma2"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  const windowed = windowedLayers(source, 2);
  const window = { kind: "sliding", size: source.size("attention.sliding_window", { or: 4096 }) } as const;
  const shared = { ...c, rope, scale: scaleOf(c, 46), softcap: source.positive("attn_logit_softcapping", 50) };
  return decoder(source, c, {
    embeddingScale: Math.sqrt(c.dim),
    logitSoftcap: source.orNone("final_logit_softcapping", 30),
    layer: (at, i) => {
      const own = attention(source, at, { ...shared, window: windowed(i) ? window : undefined });
      return postNorm(
        source,
        c,
        at,
        { attention: own, ffn: ffn(source, at, { ...c, activation: "gelu", gated: true }) },
        { sandwich: true },
      );
    },
  });
});

/** Gemma 3: windowed layers have their own base and are not stretched. */
export const gemma3 = arch(["gemma3"], source => gemma3Network(source, false));

function gemma3Network(source: Source, encoder: boolean) {
  const c = config(source);
  const bidirectional = seesAll(source);
  const windowed = windowedLayers(source, 6);
  const window = { kind: bidirectional ? "symmetric" : "sliding", size: source.size("attention.sliding_window", { or: 1024 }) } as const;
  const far = rotary(source, c, { pairs: "halves", base: source.positive("rope.freq_base", 1e6) });
  const near = rotary(source, c, { pairs: "halves", base: source.positive("rope.freq_base_swa", 10000), scaling: { kind: "none" } });
  const shared = { ...c, scale: scaleOf(c, 62), qkNorm: { eps: c.eps } };
  return decoder(source, c, {
    encoder,
    embeddingScale: Math.sqrt(c.dim),
    logitSoftcap: source.orNone("final_logit_softcapping", 0),
    layer: (at, i) => {
      const own = attention(source, at, { ...shared, ...(windowed(i) ? { rope: near, window } : { rope: far }) });
      return postNorm(
        source,
        c,
        at,
        { attention: own, ffn: ffn(source, at, { ...c, activation: "gelu", gated: true }) },
        { sandwich: true },
      );
    },
  });
}

/** EmbeddingGemma: the same without a causal mask. */
export const gemmaEmbedding = arch(["gemma-embedding"], source => gemma3Network(source, true));
