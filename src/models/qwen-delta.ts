/**
 * Qwen3-Next and Qwen3.5 (3.6, 3.8): three gated delta nets to one layer of attention, whose query projection also gives a gate of the output
 * (ARCHITECTURES 3.2). They differ in how projections are stored and in which key head a value head reads.
 */
import { arch } from "../nn/arch.ts";
import { type AttentionShape, attend, reserveCache } from "../nn/attention.ts";
import { type Config, decoder, headSizes, mixedConfig, preNorm, recurrentLayers, rotary } from "../nn/decoder.ts";
import { type DeltaShape, deltaShape, gatedDeltaNet, groupedInputs, separateInputs } from "../nn/delta.ts";
import { gated, gatings } from "../nn/elementwise.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { headNorm } from "../nn/norm.ts";
import { ungrouped } from "../nn/recurrent.ts";
import type { Rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import { view } from "../nn/tensor.ts";

/** Attention with normed heads; attn_q gives a query and a gate for each head. */
function gatedAttention(source: Source, at: string, c: Config, rope: Rope): Branch {
  const { dim, heads, kvHeads, headDim, valueDim, eps } = c;
  const width = heads * headDim;
  const both = ungrouped(source, `${at}.attn_q`, dim, heads, [headDim, headDim]);
  const k = linear(source, `${at}.attn_k`, dim, kvHeads * headDim);
  const v = linear(source, `${at}.attn_v`, dim, kvHeads * valueDim);
  const qNorm = headNorm(source, `${at}.attn_q_norm`, { kind: "rms", eps, heads, headDim });
  const kNorm = headNorm(source, `${at}.attn_k_norm`, { kind: "rms", eps, heads: kvHeads, headDim });
  const shape: AttentionShape = { heads, kvHeads, headDim, valueDim, rope, scale: headDim ** -0.5, cache: reserveCache(source, c) };
  return endingIn(linear(source, `${at}.attn_output`, heads * valueDim, dim), (step, x) => {
    const queries = both(step, x);
    const [q, gate] = [view(queries, 0, width), view(queries, width, width)];
    const keys = k(step, x);
    qNorm?.(step, q);
    kNorm?.(step, keys);
    return gated(step, gatings.sigmoid, gate, attend(step, shape, q, keys, v(step, x)));
  });
}

/** The stack, by how a family stores the inputs of a delta net and how it pairs heads. */
function hybrid(source: Source, delta: (at: string, shape: DeltaShape) => Branch) {
  const recurrent = recurrentLayers(source, 4);
  const c = mixedConfig(source, "rms", recurrent.indexOf(false));
  const shape = deltaShape(source, c.dim);
  const rope = rotary(source, c, { pairs: "halves", sections: "turns" });
  const mixer = (at: string, i: number): Branch =>
    recurrent[i] ? delta(at, shape) : gatedAttention(source, at, { ...c, ...headSizes(source, c.dim, i) }, rope);
  const hidden = expertHidden(source);
  const feedForward = (at: string): Branch => moeOrFfn(source, at, { dim: c.dim, hidden, denseHidden: c.hidden });
  const names = { ffn: "post_attention_norm" };
  return decoder(source, c, {
    layer: (at, i) => preNorm(source, c, at, { attention: mixer(at, i), ffn: feedForward(at) }, { names }),
  });
}

export const qwen3next = arch(["qwen3next"], source =>
  hybrid(source, (at, shape) => gatedDeltaNet(source, at, shape, groupedInputs(source, at, shape), false)),
);

export const qwen35 = arch(["qwen35", "qwen35moe"], source =>
  hybrid(source, (at, shape) => gatedDeltaNet(source, at, shape, separateInputs(source, at, shape), true)),
);
