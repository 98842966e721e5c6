/**
 * RWKV-7 (Goose) and ARWKV, which has its time mixing and Qwen's feed-forward (ARCHITECTURES 4). A head's matrix forgets along one direction and
 * learns along another in every token; values of the first layer flow into all others.
 */
import type { Chunk } from "../kernels/activations.ts";
import { exp, sigmoid, tanh } from "../kernels/math.ts";
import { arch } from "../nn/arch.ts";
import { type Block, inTurn, residual } from "../nn/block.ts";
import { type Config, decoder } from "../nn/decoder.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import { type Branch, branch, linear } from "../nn/linear.ts";
import { layerNorm, type Norm, rmsNorm } from "../nn/norm.ts";
import { assign, combine, combined, groupNormed, linearStates, tokenShift } from "../nn/recurrent.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { type Input, input, type Tensor, tensor } from "../nn/tensor.ts";
import { lerp, normedEmbedding, rwkvConfig } from "./rwkv6.ts";

/** -0.606531 = -e^-0.5 bounds the decay from below. */
const decayOf = (w: Chunk, slowest: Chunk): Chunk => exp(sigmoid(w.add(slowest)).mul(-Math.exp(-0.5)));

interface Shape {
  readonly dim: number;
  readonly headSize: number;
}

/** Values of layer 0, which live as long as the step. */
interface First {
  value?: Tensor;
}

/** `<name>1` and `<name>2` under `at`: through a narrow layer, with a function inside. The rank is what the file has. */
function lowRank(source: Source, at: string, name: string, dim: number, inside?: (x: Chunk) => Chunk): (step: Step, x: Input) => Tensor {
  const rank = source.rows(`${at}.time_mix_${name}1.weight`);
  const [down, up] = [linear(source, `${at}.time_mix_${name}1`, dim, rank), linear(source, `${at}.time_mix_${name}2`, rank, dim)];
  return (step, x) => {
    const narrow = down(step, x);
    return up(step, inside ? combine(step, `inside_${name}`, [narrow], inside) : input(step, narrow));
  };
}

/** The bias of a low-rank blend, and its share: sigmoid(x + bias). */
const share = (x: Chunk, bias: Chunk): Chunk => sigmoid(x.add(bias));

/** Values: those of layer 0 are kept, those of others are blended with them. */
function values(source: Source, at: string, dim: number, layer: number, first: First): (step: Step, x: Input) => Tensor {
  const project = linear(source, `${at}.time_mix_value`, dim, dim);
  if (layer === 0) {
    for (const n of ["v0", "v1", "v2"]) source.ignore(`${at}.time_mix_${n}.weight`);
    return (step, x) => {
      const value = project(step, x);
      assign(step, first.value!, "same", [value], v => v);
      return value;
    };
  }
  const v0 = source.vector(`${at}.time_mix_v0.weight`, dim);
  const amount = lowRank(source, at, "v", dim);
  return (step, x) => {
    const operands = [project(step, x), first.value!, amount(step, x), v0] as const;
    return combined(step, "value_residual", operands, (own, other, s, bias) => other.sub(own).mulAdd(share(s, bias), own));
  };
}

/** Time mixing under `at`. */
function timeMix(source: Source, at: string, { dim, headSize }: Shape, layer: number, first: First): Branch {
  const heads = dim / headSize;
  const gated = source.has(`${at}.time_mix_g1.weight`);
  const names = ["r", "w", "k", "v", "a", ...(gated ? ["g"] : [])];
  const shift = tokenShift(source, dim);
  source.split(
    `${at}.time_mix_lerp_fused.weight`,
    names.map(n => `${at}.time_mix_lerp_${n}`),
  );
  const lerps = names.map(n => source.vector(`${at}.time_mix_lerp_${n}`, dim));
  const vector = (name: string): ReturnType<Source["vector"]> => source.vector(`${at}.time_mix_${name}.weight`, dim);
  const [r, k, out] = ["receptance", "key", "output"].map(n => linear(source, `${at}.time_mix_${n}`, dim, dim));
  const [decay, rate] = [lowRank(source, at, "w", dim, x => tanh(x)), lowRank(source, at, "a", dim)];
  const [w0, a0, kk, ka, rk] = ["w0", "a0", "k_k", "k_a", "r_k"].map(vector);
  const blended = values(source, at, dim, layer, first);
  const gate = gated ? lowRank(source, at, "g", dim, x => sigmoid(x)) : undefined;
  const norm = source.has(`${at}.time_mix_ln.weight`)
    ? ["weight", "bias"].map(n => source.vector(`${at}.time_mix_ln.${n}`, dim))
    : undefined;
  const shape = { heads, keyDim: headSize, valueDim: headSize, keyHeads: heads, shared: "qk", decay: "key", rate: false } as const;
  const past = linearStates(source, { ...shape, rule: "replace" });
  return branch((step, given) => {
    const x = given.form("f32");
    const previous = shift(step, x);
    const [xr, xw, xk, xv, xa, xg] = lerps.map(mu => combine(step, "lerp", [x, previous, mu], lerp));
    const [q, key] = [r(step, xr), k(step, xk)];
    const value = blended(step, xv);
    const a = combined(step, "add_sigmoid", [rate(step, xa), a0], share);
    const direction = groupNormed(
      step,
      combined(step, "times", [key, kk], (t, u) => t.mul(u)),
      { kind: "l2", width: headSize, eps: 1e-12 },
    );
    const slower = combined(step, "rwkv7_key", [key, a, ka], (t, s, u) => t.mulAdd(s.sub(1).mul(u), t));
    const y = past(step, {
      q,
      k: slower,
      v: value,
      decay: combined(step, "rwkv7_decay", [decay(step, xw), w0], decayOf),
      away: combined(step, "negative", [direction], t => t.neg()),
      back: combined(step, "times", [direction, a], (t, u) => t.mul(u)),
    });
    const normed = norm ? groupNormed(step, y, { kind: "layer", width: headSize, eps: 64e-5, weight: norm[0], bias: norm[1] }) : y;
    const products = combined(step, "product3", [slower, q, rk], (t, u, w) => t.mul(u).mul(w));
    const sums = groupNormed(step, products, { kind: "sum", width: headSize, eps: 0 });
    if (!gate)
      return out(
        step,
        combine(step, "add_times", [normed, sums, value], (t, s, u) => s.mulAdd(u, t)),
      );
    return out(
      step,
      combine(step, "add_times_gate", [normed, sums, value, gate(step, xg)], (t, s, u, g) => s.mulAdd(u, t).mul(g)),
    );
  });
}

/** Channel mixing under `at`: value(relu(key)^2) of a blend with the token before. */
function channelMix(source: Source, at: string, dim: number, hidden: number): Branch {
  const shift = tokenShift(source, dim);
  const mu = source.vector(`${at}.channel_mix_lerp_k.weight`, dim);
  const [key, value] = [linear(source, `${at}.channel_mix_key`, dim, hidden), linear(source, `${at}.channel_mix_value`, hidden, dim)];
  return branch((step, given) => {
    const x = given.form("f32");
    const inner = key(step, combine(step, "lerp", [x, shift(step, x), mu], lerp));
    return value(
      step,
      combine(step, "relu_squared", [inner], t => t.max(0).mul(t.max(0))),
    );
  });
}

/** The stack with what both kinds share: the values of the first layer, which every layer sees. */
function stack(
  source: Source,
  c: Config & Shape,
  norm: (name: string) => Norm,
  embed: (step: Step) => Tensor,
  mixChannels: (at: string) => Block,
) {
  const first: First = {};
  return decoder(source, c, {
    embed: step => {
      first.value = tensor(step.graph, "tokens", c.dim);
      return embed(step);
    },
    layer: (at, i) => inTurn(residual(norm(`${at}.attn_norm`), timeMix(source, at, c, i, first)), mixChannels(at)),
  });
}

export const rwkv7 = arch(["rwkv7"], source => {
  const c = rwkvConfig(source, "layer");
  const norm = (name: string): Norm => layerNorm(source, name, c.dim, c.eps);
  const mixChannels = (at: string): Block => residual(norm(`${at}.attn_norm_2`), channelMix(source, at, c.dim, c.hidden));
  return stack(source, c, norm, normedEmbedding(source, c), mixChannels);
});

export const arwkv7 = arch(["arwkv7"], source => {
  const c = rwkvConfig(source, "rms");
  const norm = (name: string): Norm => rmsNorm(source, name, c.dim, c.eps);
  const mixChannels = (at: string): Block => residual(norm(`${at}.ffn_norm`), ffn(source, at, c));
  return stack(source, c, norm, embedding(source, "token_embd", c.dim), mixChannels);
});
