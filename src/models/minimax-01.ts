/**
 * MiniMax-01: lightning attention, a linear attention whose heads decay at fixed rates, and softmax attention in every eighth layer; what flows
 * on is not the residual stream but its norm, scaled (ARCHITECTURES 3.8).
 */
import { sigmoid, silu } from "../kernels/math.ts";
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { type Block, inTurn } from "../nn/block.ts";
import { decoder, headSizes, mixedConfig, recurrentLayers, rotary } from "../nn/decoder.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import { expertHidden, moe } from "../nn/moe.ts";
import { type Norm, rmsNorm } from "../nn/norm.ts";
import { assign, combine, combined, linearStates, ungrouped } from "../nn/recurrent.ts";
import type { Source } from "../nn/source.ts";
import { view } from "../nn/tensor.ts";

interface LightningShape {
  readonly dim: number;
  readonly heads: number;
  readonly headDim: number;
  readonly eps: number;
  /** Heads decay slower in later layers: this multiplies their rates. */
  readonly slower: number;
}

/** Rates of decay, as ALiBi's slopes: 2^(-8 (h + 1) / heads). */
const rates = (heads: number): number[] => Array.from({ length: heads }, (_, h) => 2 ** ((-8 * (h + 1)) / heads));

function lightningAttention(source: Source, at: string, c: LightningShape): Branch {
  const { dim, heads, headDim, eps } = c;
  const width = heads * headDim;
  const qkv = ungrouped(source, `${at}.attn_qkv`, dim, heads, [headDim, headDim, headDim]);
  const gate = linear(source, `${at}.attn_gate`, dim, width);
  const norm = rmsNorm(source, `${at}.attn_norm_2`, width, eps);
  const past = linearStates(source, {
    ...{ heads, keyDim: headDim, valueDim: headDim, keyHeads: heads },
    ...{ shared: "qk", rule: "add", decay: "head", rate: false },
  });
  return endingIn(linear(source, `${at}.attn_output`, width, dim), (step, x) => {
    const all = combined(step, "silu", [qkv(step, x)], v => silu(v));
    const [q, k, v] = [0, 1, 2].map(i => view(all, i * width, width));
    const decay = step.table(rates(heads).map(r => Math.exp(-r * c.slower)));
    const y = norm(step, past(step, { q, k, v, decay })).form("f32");
    return combine(step, "times_sigmoid", [y, gate(step, x)], (value, g) => value.mul(sigmoid(g)));
  });
}

/** x = branch(norm(x)) + scale * norm(x). */
const renewed =
  (norm: Norm, branch: Branch, scale: number): Block =>
  (step, x) => {
    const normed = norm(step, x);
    const y = branch(step, normed);
    assign(step, x, `renew_${scale}`, [y, normed.form("f32")], (a, b) => b.mul(scale).add(a));
  };

export const minimax01 = arch(["minimax-01"], source => {
  const recurrent = recurrentLayers(source, 8);
  const c = mixedConfig(source, "rms", recurrent.indexOf(false));
  const rope = rotary(source, c, { pairs: "halves" });
  const scale = source.positive("residual_scale");
  const slower = (i: number): number => 1 - i / Math.max(1, c.layers - 1) + 1e-5;
  const mixer = (at: string, i: number): Branch =>
    recurrent[i]
      ? lightningAttention(source, at, { ...c, slower: slower(i) })
      : attention(source, at, { ...c, ...headSizes(source, c.dim, i), rope });
  const layer = (at: string, i: number): Block => {
    const [before, between] = ["attn_norm", "ffn_norm"].map(n => rmsNorm(source, `${at}.${n}`, c.dim, c.eps));
    const network = moe(source, at, { dim: c.dim, hidden: expertHidden(source) });
    return inTurn(renewed(before, mixer(at, i), scale), renewed(between, network, scale));
  };
  return decoder(source, c, { layer });
});
