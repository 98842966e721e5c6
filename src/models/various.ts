/** Dense decoders with one peculiarity each: OLMo 1, Command R, BitNet, OpenELM, the Nemotron models of DeciLM,
 * Chameleon, Talkie. ARCHITECTURES 3.1, 3.7, 3.8. */
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { type Block, inTurn, parallel, residual } from "../nn/block.ts";
import { config, decoder, headSizes, normOf, postNorm, preNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import { addScaled, copyTo } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import { linear } from "../nn/linear.ts";
import { bareHeadNorm, rmsNorm, scaledHeadNorm } from "../nn/norm.ts";
import { rope as ropeOf } from "../nn/rope.ts";
import type { Step } from "../nn/step.ts";
import { type Tensor, tensor } from "../nn/tensor.ts";

/** OLMo 1: norms without weights; queries, keys and values are limited. */
export const olmo = arch(["olmo"], source => {
  const c = config(source, "layer");
  const rope = rotary(source, c, { pairs: "neighbours" });
  const clamp = source.orNone("attention.clamp_kqv", 0) || undefined;
  const norm = normOf(source, c, undefined);
  return decoder(source, c, {
    norm,
    layer: at => inTurn(residual(norm, attention(source, at, { ...c, rope, clamp })), residual(norm, ffn(source, at, c))),
  });
});

/** Command R and Aya: side by side from one norm without bias; logits scaled. Command A and R7B: windows, and no positions on full layers. */
export const commandR = arch(["command-r", "cohere2"], source => {
  const c = config(source, "layer");
  const rope = rotary(source, c, { pairs: "neighbours" });
  const size = source.architecture === "cohere2" ? source.size("attention.sliding_window", { or: 4096, min: 0 }) : 0;
  const windowed = windowedLayers(source, 4);
  return decoder(source, c, {
    logitScale: source.positive("logit_scale", 1),
    layer: (at, i) => {
      const own = size ? (windowed(i) ? { rope, window: { kind: "sliding", size } as const } : {}) : { rope };
      const norm = normOf(source, c, `${at}.attn_norm`);
      return parallel([
        [norm, attention(source, at, { ...c, ...own, qkNorm: { kind: "layer", eps: c.eps, optional: true } })],
        [norm, ffn(source, at, c)],
      ]);
    },
  });
});

/** BitNet: norms before the projections back and a scale beside each weight. b1.58 gates with max(x, 0)^2. */
export const bitnet = arch(["bitnet", "bitnet-b1.58", "bitnet-25"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  const activation = source.architecture === "bitnet" ? "silu" : "relu2";
  return decoder(source, c, {
    layer: at => {
      const subNorm = rmsNorm(source, `${at}.attn_sub_norm`, c.heads * c.valueDim, c.eps);
      const ffnNorm = rmsNorm(source, `${at}.ffn_sub_norm`, c.hidden, c.eps);
      const parts = {
        attention: attention(source, at, { ...c, rope, subNorm }),
        ffn: ffn(source, at, { ...c, activation, subNorm: ffnNorm }),
      };
      return preNorm(source, c, at, parts);
    },
  });
});

/** OpenELM: heads and widths differ from layer to layer. */
export const openelm = arch(["openelm"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  return decoder(source, c, {
    layer: (at, i) => {
      const hidden = source.layerSize("feed_forward_length", i);
      const own = attention(source, at, { ...c, ...headSizes(source, c.dim, i), rope, qkNorm: { eps: c.eps } });
      return preNorm(source, c, at, { attention: own, ffn: ffn(source, at, { ...c, hidden }) });
    },
  });
});

/** DeciLM (Nemotron 49B, 253B): layers with fewer heads, with one matrix for attention, or with one branch only. */
export const deci = arch(["deci"], source => {
  const dim = source.size("embedding_length");
  const layers = source.size("block_count", { max: 1024 });
  const counts = Array.from({ length: layers }, (_, i) => source.layerSize("attention.head_count", i, { min: 0, max: 4096 }));
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  const headDim = source.size("attention.key_length", { max: 1024, or: dim / most });
  const ropeDim = source.size("rope.dimension_count", { max: headDim, or: headDim });
  const c = {
    ...{ dim, layers, headDim, valueDim: headDim, ropeDim, heads: most, kvHeads: most, norm: "rms" as const },
    hidden: source.layerSize("feed_forward_length", 0, { min: 0 }),
    eps: source.positive("attention.layer_norm_rms_epsilon"),
  };
  const rope = ropeOf(source, { dim: ropeDim, pairs: "neighbours" });
  return decoder(source, c, {
    layer: (at, i) => {
      const blocks: Block[] = [];
      const kvHeads = source.layerSize("attention.head_count_kv", i, { min: 0, max: 4096 });
      const hidden = source.layerSize("feed_forward_length", i, { min: 0 });
      if (counts[i]) {
        const own = kvHeads
          ? attention(source, at, { ...c, heads: counts[i], kvHeads, rope })
          : linear(source, `${at}.attn_output`, dim, dim);
        blocks.push(residual(normOf(source, c, `${at}.attn_norm`), own));
      }
      if (hidden) blocks.push(residual(normOf(source, c, `${at}.ffn_norm`), ffn(source, at, { dim, hidden })));
      return inTurn(...blocks);
    },
  });
});

/** What Chameleon draws with; texts have none of it. */
const IMAGE_TOKENS = { from: 4, to: 8196 };

/** Chameleon: queries and keys have LayerNorm with weights for each head; in the 34B model norms come after the branches. */
export const chameleon = arch(["chameleon"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "neighbours" });
  const after = source.flag("swin_norm", false);
  return decoder(source, c, {
    never: IMAGE_TOKENS,
    layer: at => {
      const attends = attention(source, at, { ...c, rope, qkNorm: { kind: "layer", eps: 1e-5 } });
      const own = { attention: attends, ffn: ffn(source, at, c) };
      return after ? postNorm(source, c, at, own, { names: { attention: "attn_norm", ffn: "ffn_norm" } }) : preNorm(source, c, at, own);
    },
  });
});

/** Talkie: norms without weights; every layer adds the normed embeddings, scaled; queries have one scale a head. */
export const talkie = arch(["talkie"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  const norm = normOf(source, c, undefined);
  const tokens = embedding(source, "token_embd", c.dim);
  let skip: Tensor | undefined;
  const embed = (step: Step): Tensor => {
    skip = norm(step, tokens(step)).form("f32");
    const x = tensor(step.graph, "tokens", c.dim);
    copyTo(step, skip, x);
    return x;
  };
  return decoder(source, c, {
    norm,
    embed,
    logitScale: source.positive("logit_scale", 1),
    layer: at => {
      const scale = source.constant(`${at}.layer_output_scale.weight`, 1);
      const options = { kind: "rms", eps: c.eps, headDim: c.headDim } as const;
      const queries = scaledHeadNorm(source, `${at}.attn_q_norm`, { ...options, heads: c.heads });
      const keys = bareHeadNorm({ ...options, heads: c.kvHeads });
      const attends = attention(source, at, { ...c, rope, normsAfterRope: { queries, keys } });
      const blocks = [residual(norm, attends), residual(norm, ffn(source, at, c))];
      return (step, x) => {
        for (const block of blocks) block(step, x);
        addScaled(step, skip!, x, step.values(scale)[0]);
      };
    },
  });
});
