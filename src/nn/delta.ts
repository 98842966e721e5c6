/**
 * Layers whose past is corrected rather than only added to: the gated delta net of Qwen3-Next and Qwen3.5, and Kimi Delta Attention, which
 * decays every key by itself (ARCHITECTURES 1.6, 3.2, 3.5, 11).
 */
import { LatheError } from "../errors.ts";
import { exp, sigmoid, silu } from "../kernels/math.ts";
import { type Branch, endingIn, type Linear, linear } from "./linear.ts";
import { sigmoidOf, softplusOf } from "./mamba.ts";
import { checkLanes, combine, combined, convolution, groupNormed, linearStates, spread, tiled, ungrouped } from "./recurrent.ts";
import type { Source } from "./source.ts";
import type { Step } from "./step.ts";
import { type Input, input, type Tensor, view } from "./tensor.ts";

export interface DeltaShape {
  /** Width of the residual stream. */
  readonly dim: number;
  readonly keyHeads: number;
  readonly heads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly kernel: number;
  readonly eps: number;
}

/** The shape that the `ssm.*` keys give. */
export function deltaShape(source: Source, dim: number): DeltaShape {
  const [heads, keyHeads] = [source.size("ssm.time_step_rank", { max: 4096 }), source.size("ssm.group_count", { max: 4096 })];
  const keyDim = source.size("ssm.state_size", { max: 4096 });
  const valueDim = source.size("ssm.inner_size") / heads;
  if (!Number.isInteger(valueDim) || heads % keyHeads) {
    const message = `${source.architecture} has ${heads} heads on ${keyHeads} of keys, which do not divide its inner values; the file is damaged.`;
    throw new LatheError("model.wrong-shape", message, { heads, keyHeads });
  }
  checkLanes(source, "A key", keyDim);
  checkLanes(source, "A value", valueDim);
  const kernel = source.size("ssm.conv_kernel", { min: 2, max: 16 });
  return { dim, keyHeads, heads, keyDim, valueDim, kernel, eps: source.positive("attention.layer_norm_rms_epsilon") };
}

/** q, k and v as one tensor, the gate z, and the two rates of each head (b for beta, a for the decay), before their functions. */
export interface DeltaInputs {
  readonly qkv: (step: Step, x: Input) => Tensor;
  readonly z: (step: Step, x: Input) => Tensor;
  readonly b: (step: Step, x: Input) => Tensor;
  readonly a: (step: Step, x: Input) => Tensor;
}

/** The tensors of Qwen3.5: each projection by itself. */
export function separateInputs(source: Source, at: string, c: DeltaShape): DeltaInputs {
  const values = c.heads * c.valueDim;
  return {
    qkv: linear(source, `${at}.attn_qkv`, c.dim, 2 * c.keyHeads * c.keyDim + values),
    z: linear(source, `${at}.attn_gate`, c.dim, values),
    b: linear(source, `${at}.ssm_beta`, c.dim, c.heads),
    a: linear(source, `${at}.ssm_alpha`, c.dim, c.heads),
  };
}

/** The tensors of Qwen3-Next: b and a together for each key head, and in older files q, k, v and z as well. */
export function groupedInputs(source: Source, at: string, c: DeltaShape): DeltaInputs {
  const ratio = c.heads / c.keyHeads;
  const [keys, values] = [c.keyHeads * c.keyDim, c.heads * c.valueDim];
  const ba = ungrouped(source, `${at}.ssm_ba`, c.dim, c.keyHeads, [ratio, ratio]);
  const rates = { b: part(ba, 0, c.heads), a: part(ba, c.heads, c.heads) };
  if (source.has(`${at}.attn_qkv.weight`)) {
    const qkv = linear(source, `${at}.attn_qkv`, c.dim, 2 * keys + values);
    return { qkv, z: linear(source, `${at}.attn_gate`, c.dim, values), ...rates };
  }
  const sizes = [c.keyDim, c.keyDim, ratio * c.valueDim, ratio * c.valueDim];
  const all = ungrouped(source, `${at}.ssm_in`, c.dim, c.keyHeads, sizes);
  return { qkv: part(all, 0, 2 * keys + values), z: part(all, 2 * keys + values, values), ...rates };
}

/** Columns of what a projection gives; the projection is made once for each input. */
function part(from: Linear, first: number, columns: number): (step: Step, x: Input) => Tensor {
  return (step, x) => view(shared(from, step, x), first, columns);
}
const made = new WeakMap<Input, Map<Linear, Tensor>>();
function shared(from: Linear, step: Step, x: Input): Tensor {
  const known = made.get(x) ?? new Map<Linear, Tensor>();
  made.set(x, known);
  const result = known.get(from) ?? from(step, x);
  known.set(from, result);
  return result;
}

/** q and k brought to length 1, q divided by the root of its size as well. */
function unitKeys(step: Step, q: Tensor, k: Tensor, keyDim: number, eps: number): { q: Tensor; k: Tensor } {
  const unit = (x: Tensor): Tensor => groupNormed(step, x, { kind: "l2", width: keyDim, eps });
  return { q: combined(step, `scale_${keyDim}`, [unit(q)], x => x.mul(keyDim ** -0.5)), k: unit(k) };
}

/** The gated delta net under `at`. `cycle`: value head h belongs to key head h mod keyHeads, else to floor(h / (heads / keyHeads)). */
export function gatedDeltaNet(source: Source, at: string, c: DeltaShape, inputs: DeltaInputs, cycle: boolean): Branch {
  const { dim, keyHeads, heads, keyDim, valueDim } = c;
  const [keys, values] = [keyHeads * keyDim, heads * valueDim];
  const conv = convolution(source, `${at}.ssm_conv1d`, 2 * keys + values, { kernel: c.kernel, silu: true });
  const bias = source.vector(`${at}.ssm_dt.bias`, heads);
  const a = source.vector(`${at}.ssm_a`, heads);
  const past = linearStates(source, { heads, keyDim, valueDim, keyHeads, cycle, shared: "qk", rule: "delta", decay: "head", rate: true });
  const weight = source.constant(`${at}.ssm_norm.weight`, valueDim);
  return endingIn(linear(source, `${at}.ssm_out`, values, dim), (step, x) => {
    const qkv = conv(step, inputs.qkv(step, x));
    const { q, k } = unitKeys(step, view(qkv, 0, keys), view(qkv, keys, keys), keyDim, c.eps);
    const rate = combined(step, "sigmoid", [inputs.b(step, x)], sigmoidOf);
    const decay = combined(step, "delta_decay", [inputs.a(step, x), bias, a], (v, dt, factor) => exp(softplusOf(v, dt).mul(factor)));
    const o = past(step, { q, k, v: view(qkv, 2 * keys, values), decay, rate });
    const normed = groupNormed(step, o, {
      kind: "rms",
      width: valueDim,
      eps: c.eps,
      weight: step.table(tiled(step.values(weight), heads)),
    });
    return combine(step, "times_silu", [normed, inputs.z(step, x)], (v, z) => v.mul(silu(z)));
  });
}

export interface KdaShape {
  readonly dim: number;
  readonly heads: number;
  readonly headDim: number;
  readonly kernel: number;
  readonly eps: number;
  /** The decay's exponent is by * sigmoid(sign * a x), or where absent a * softplus(x), of x = projection + bias. */
  readonly bounded?: { readonly by: number; readonly sign: 1 | -1 };
}

/** The shape that the keys give, with a bound of the decay where the file has one; `sign` is how the family stores a. */
export const kdaShape = (source: Source, dim: number, sign: 1 | -1): KdaShape => ({
  dim,
  heads: source.size("attention.head_count", { max: 4096 }),
  headDim: source.size("kda.head_dim", { max: 4096 }),
  kernel: source.size("ssm.conv_kernel", { min: 2, max: 16 }),
  eps: source.positive("attention.layer_norm_rms_epsilon"),
  bounded: source.hasKey("kda.gate_lower_bound") ? { by: source.number("kda.gate_lower_bound"), sign } : undefined,
});

/** One projection, or one of low rank in two steps where the file has `<name>_b` as well. */
function lowRank(source: Source, name: string, c: KdaShape): (step: Step, x: Input) => Tensor {
  const inner = c.heads * c.headDim;
  const suffix = source.has(`${name}.weight`) ? "" : "_a";
  if (!source.has(`${name}_b.weight`)) return linear(source, `${name}${suffix}`, c.dim, inner);
  const first = linear(source, `${name}${suffix}`, c.dim, c.headDim);
  const second = linear(source, `${name}_b`, c.headDim, inner);
  return (step, x) => second(step, input(step, first(step, x)));
}

/** Kimi Delta Attention under `at`. */
export function kimiDeltaAttention(source: Source, at: string, c: KdaShape): Branch {
  const { dim, heads, headDim } = c;
  const inner = heads * headDim;
  const [q, k, v] = ["q", "k", "v"].map(name => {
    const project = linear(source, `${at}.attn_${name}`, dim, inner);
    const conv = convolution(source, `${at}.ssm_conv1d_${name}`, inner, { kernel: c.kernel, silu: true });
    return (step: Step, x: Input): Tensor => conv(step, project(step, x));
  });
  checkLanes(source, "A head", headDim);
  const [forget, gate] = [lowRank(source, `${at}.ssm_f`, c), lowRank(source, `${at}.ssm_g`, c)];
  const beta = linear(source, `${at}.ssm_beta`, dim, heads);
  const a = source.constant(`${at}.ssm_a`, heads);
  const bias = source.vector(`${at}.ssm_dt.bias`, inner);
  const past = linearStates(source, {
    heads,
    keyDim: headDim,
    valueDim: headDim,
    keyHeads: heads,
    shared: "qk",
    rule: "delta",
    decay: "key",
    rate: true,
  });
  const weight = source.constant(`${at}.ssm_norm.weight`, headDim);
  return endingIn(linear(source, `${at}.attn_output`, inner, dim), (step, x) => {
    const keys = unitKeys(step, q(step, x), k(step, x), headDim, c.eps);
    const rate = combined(step, "sigmoid", [beta(step, x)], sigmoidOf);
    const { bounded } = c;
    const factors = step.table(
      spread(
        Float32Array.from(step.values(a), value => value * (bounded?.sign ?? 1)),
        headDim,
      ),
    );
    const operands = [forget(step, x), bias, factors] as const;
    const decay = bounded
      ? combined(step, `bounded_decay_${bounded.by}`, operands, (f, dt, by) => exp(sigmoid(f.add(dt).mul(by)).mul(bounded.by)))
      : combined(step, "delta_decay", operands, (f, dt, by) => exp(softplusOf(f, dt).mul(by)));
    const o = past(step, { ...keys, v: v(step, x), decay, rate });
    const normed = groupNormed(step, o, { kind: "rms", width: headDim, eps: c.eps, weight: step.table(tiled(step.values(weight), heads)) });
    return combine(step, "times_sigmoid", [normed, gate(step, x)], (value, g) => value.mul(sigmoid(g)));
  });
}
