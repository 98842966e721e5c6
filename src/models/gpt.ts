/**
 * Decoders in the tradition of GPT-2: LayerNorm, biases, GELU, fused projections. They differ in how positions enter: learned, rotary or by
 * ALiBi. ARCHITECTURES 2 and 3.8.
 */
import { arch, type Network } from "../nn/arch.ts";
import { type AttentionOptions, attention } from "../nn/attention.ts";
import { parallel } from "../nn/block.ts";
import { bothEmbeddings, type Config, config, type DecoderParts, decoder, normOf, preNorm, rotary } from "../nn/decoder.ts";
import type { ActivationName } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import type { Pairs } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";

function gpt(source: Source, c: Config, own: Partial<AttentionOptions>, activation: ActivationName, parts: Partial<DecoderParts> = {}) {
  return decoder(source, c, {
    layer: at => preNorm(source, c, at, { attention: attention(source, at, { ...c, ...own }), ffn: ffn(source, at, { ...c, activation }) }),
    ...parts,
  });
}

/** Embeddings of positions beside those of tokens, where the file has them. */
function learnedPositions(source: Source, c: Config): Partial<DecoderParts> {
  if (!source.has("position_embd.weight")) return {};
  const tokens = embedding(source, "token_embd", c.dim);
  const positions = embedding(source, "position_embd", c.dim, { by: "positions" });
  return { embed: bothEmbeddings(tokens, positions), longestContext: source.rows("position_embd.weight") };
}

/** GPT-2, StarCoder: learned positions. */
export const gpt2 = arch(["gpt2", "starcoder"], source => {
  const c = config(source, "layer");
  source.need("position_embd.weight");
  return gpt(source, c, {}, "gelu", learnedPositions(source, c));
});

/** CodeShell, StarCoder 2: rotary positions. */
export const starcoder2 = arch(["starcoder2", "codeshell"], source => {
  const c = config(source, "layer");
  const embeddings = source.has("token_embd.weight") ? "token_embd" : "output"; // CodeShell has one matrix under either name
  return gpt(source, c, { rope: rotary(source, c, { pairs: "halves" }) }, "gelu", { embeddings });
});

/** StableLM: SwiGLU; the 12B model runs attention and feed-forward network side by side, and norms queries and keys. */
export const stablelm = arch(["stablelm"], source => {
  const c = config(source, "layer");
  const rope = rotary(source, c, { pairs: "halves" });
  const beside = !source.has("blk.0.ffn_norm.weight");
  return decoder(source, c, {
    layer: at => {
      const own = {
        attention: attention(source, at, { ...c, rope, qkNorm: { kind: "layer", eps: c.eps, optional: true } }),
        ffn: ffn(source, at, c),
      };
      if (!beside) return preNorm(source, c, at, own);
      const norm = normOf(source, c, `${at}.attn_norm`);
      return parallel([
        [norm, own.attention],
        [norm, own.ffn],
      ]);
    },
  });
});

/** MPT: ALiBi or learned positions, or none; queries, keys and values are limited. */
export const mpt = arch(["mpt"], source => {
  const c = config(source, "layer");
  const alibi = source.orNone("attention.max_alibi_bias", 0) || undefined;
  const clamp = source.orNone("attention.clamp_kqv", 0) || undefined;
  const positions = learnedPositions(source, c);
  return gpt(source, c, { alibi, clamp, qkNorm: { kind: "layer", eps: c.eps, over: "all", optional: true } }, "gelu_erf", positions);
});

/** BLOOM: ALiBi, a norm of the embeddings. */
export const bloom = arch(["bloom"], source => {
  const c = config(source, "layer");
  const tokens = embedding(source, "token_embd", c.dim);
  const norm = normOf(source, c, "token_embd_norm");
  return gpt(source, c, { alibi: 8 }, "gelu", { embed: step => norm(step, tokens(step)).form("f32") });
});

/** Jais: ALiBi, SwiGLU, scores over the head's size instead of its root. */
export const jais = arch(["jais"], source => {
  const c = config(source, "layer");
  return gpt(source, c, { alibi: source.orNone("attention.max_alibi_bias", 8), scale: 1 / c.headDim }, "silu");
});

/** GPT-NeoX: attention and feed-forward network side by side, each with its norm, or in turn. */
export const gptneox = arch(["gptneox"], source => {
  const c = config(source, "layer");
  const rope = rotary(source, c, { pairs: "halves" });
  const beside = source.flag("use_parallel_residual", true);
  return decoder(source, c, {
    layer: at => {
      const own = { attention: attention(source, at, { ...c, rope }), ffn: ffn(source, at, { ...c, activation: "gelu_erf" }) };
      if (!beside) return preNorm(source, c, at, own);
      return parallel([
        [normOf(source, c, `${at}.attn_norm`), own.attention],
        [normOf(source, c, `${at}.ffn_norm`), own.ffn],
      ]);
    },
  });
});

/** Falcon: side by side from one norm; the 40B model has a second one for attention. */
export const falcon = arch(["falcon"], source => {
  const c = config(source, "layer");
  const rope = rotary(source, c, { pairs: "halves" });
  return decoder(source, c, {
    layer: at => {
      const norm = normOf(source, c, `${at}.attn_norm`);
      const before = source.has(`${at}.attn_norm_2.weight`) ? normOf(source, c, `${at}.attn_norm_2`) : norm;
      return parallel([
        [before, attention(source, at, { ...c, rope })],
        [norm, ffn(source, at, { ...c, activation: "gelu_erf" })],
      ]);
    },
  });
});

/** Attention and feed-forward side by side, from one norm. */
function fromOneNorm(source: Source, c: Config, { pairs = "halves", ...more }: { activation?: "gelu"; pairs?: Pairs } = {}): Network {
  const rope = rotary(source, c, { pairs });
  return decoder(source, c, {
    layer: at => {
      const norm = normOf(source, c, `${at}.attn_norm`);
      return parallel([
        [norm, attention(source, at, { ...c, rope })],
        [norm, ffn(source, at, { ...c, ...more })],
      ]);
    },
  });
}

/** Phi-1.5 and 2. */
export const phi2 = arch(["phi2"], source => fromOneNorm(source, config(source, "layer"), { activation: "gelu" }));

/** GPT-J: neighbouring values turn together, and only the feed-forward network and the logits have biases. */
export const gptj = arch(["gptj"], source => fromOneNorm(source, config(source, "layer"), { activation: "gelu", pairs: "neighbours" }));

/** PLaMo: RMSNorm and SwiGLU. */
export const plamo = arch(["plamo"], source => fromOneNorm(source, config(source)));
