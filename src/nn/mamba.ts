/** Mamba layers, of both kinds, as the many families that have them use them (ARCHITECTURES 1.6, 11). */
import { LatheError } from "../errors.ts";
import type { Chunk } from "../kernels/activations.ts";
import { exp, sigmoid, silu, softplus } from "../kernels/math.ts";
import { type Branch, endingIn, linear } from "./linear.ts";
import {
  checkLanes,
  combine,
  combined,
  convolution,
  groupNormed,
  linearStates,
  selectiveScan,
  spread,
  transposedVector,
} from "./recurrent.ts";
import type { Source } from "./source.ts";
import type { Step } from "./step.ts";
import { type Input, input, type Tensor, view } from "./tensor.ts";

export interface MambaShape {
  /** Width of the residual stream. */
  readonly dim: number;
  /** Width inside the layer. */
  readonly inner: number;
  /** Tokens under the convolution. */
  readonly kernel: number;
  /** Numbers of state for each inner value. */
  readonly states: number;
  /** Mamba-1: width of the step's projection. Mamba-2: heads. */
  readonly rank: number;
  /** Mamba-2: groups of heads with B and C of their own. */
  readonly groups: number;
  readonly eps: number;
}

/** The shape that the `ssm.*` keys give. */
export function mambaShape(source: Source, dim: number): MambaShape {
  return {
    dim,
    inner: source.size("ssm.inner_size"),
    kernel: source.size("ssm.conv_kernel", { min: 2, max: 16 }),
    states: source.size("ssm.state_size", { max: 4096 }),
    rank: source.size("ssm.time_step_rank"),
    groups: source.size("ssm.group_count", { min: 0, or: 0 }),
    eps: source.positive("attention.layer_norm_rms_epsilon"),
  };
}

/** softplus(x + bias). */
export const softplusOf = (x: Chunk, bias: Chunk): Chunk => softplus(x.add(bias));
/** sigmoid(x). */
export const sigmoidOf = (x: Chunk): Chunk => sigmoid(x);

/** (y + d x) silu(z). */
export const gatedOutput = (step: Step, y: Tensor, x: Tensor, d: Parameters<typeof combine>[2][1], z: Tensor): Input =>
  combine(step, "add_d_gate", [y, x, d, z], (a, b, c, gate) => b.mulAdd(c, a).mul(silu(gate)));

/** The Mamba-1 layer under `at`. `bareNorms`: dt, B and C are normed without weights; with weights where the file has them. */
export function mamba1(source: Source, at: string, c: MambaShape, bareNorms = false): Branch {
  const { dim, inner, rank, states } = c;
  const enter = linear(source, `${at}.ssm_in`, dim, 2 * inner);
  const conv = convolution(source, `${at}.ssm_conv1d`, inner, { kernel: c.kernel, silu: true });
  const project = linear(source, `${at}.ssm_x`, inner, rank + 2 * states);
  const expand = linear(source, `${at}.ssm_dt`, rank, inner);
  const a = transposedVector(source, `${at}.ssm_a`, inner, states);
  const d = source.vector(`${at}.ssm_d`, inner);
  const scan = selectiveScan(source, { channels: inner, states });
  const normed = (name: string, width: number) => {
    const full = `${at}.${name}.weight`;
    const weight = source.has(full) ? source.vector(full, width) : undefined;
    if (weight || bareNorms) checkLanes(source, full, width);
    return (step: Step, x: Tensor): Tensor => (weight || bareNorms ? groupNormed(step, x, { kind: "rms", width, eps: c.eps, weight }) : x);
  };
  const [dtNorm, bNorm, cNorm] = [normed("ssm_dt_norm", rank), normed("ssm_b_norm", states), normed("ssm_c_norm", states)];
  return endingIn(linear(source, `${at}.ssm_out`, inner, dim), (step, entering) => {
    const both = enter(step, entering);
    const x = conv(step, view(both, 0, inner));
    const z = view(both, inner, inner);
    const projected = project(step, input(step, x));
    const low = dtNorm(step, view(projected, 0, rank));
    const dt = combined(step, "softplus", [expand(step, input(step, low))], v => softplus(v));
    const b = bNorm(step, view(projected, rank, states));
    const cs = cNorm(step, view(projected, rank + states, states));
    return gatedOutput(step, scan(step, { x, dt, b, c: cs, a }), x, d, z);
  });
}

/** The Mamba-2 layer under `at`. */
export function mamba2(source: Source, at: string, c: MambaShape): Branch {
  const { dim, inner, rank: heads, states, groups } = c;
  checkMambaHeads(source, c);
  const headDim = inner / heads;
  const mixed = inner + 2 * groups * states;
  const enter = linear(source, `${at}.ssm_in`, dim, inner + mixed + heads);
  const conv = convolution(source, `${at}.ssm_conv1d`, mixed, { kernel: c.kernel, silu: true });
  const bias = source.vector(`${at}.ssm_dt.bias`, heads);
  const a = source.vector(`${at}.ssm_a`, heads);
  const d = source.constant(`${at}.ssm_d`, heads);
  const past = linearStates(source, {
    heads,
    keyDim: states,
    valueDim: headDim,
    keyHeads: groups,
    shared: "qk",
    rule: "add",
    decay: "head",
    rate: true,
  });
  const norm = source.has(`${at}.ssm_norm.weight`) ? source.vector(`${at}.ssm_norm.weight`, inner) : undefined;
  return endingIn(linear(source, `${at}.ssm_out`, inner, dim), (step, entering) => {
    const all = enter(step, entering);
    const z = view(all, 0, inner);
    const xbc = conv(step, view(all, inner, mixed));
    const [x, k, q] = [view(xbc, 0, inner), view(xbc, inner, groups * states), view(xbc, inner + groups * states, groups * states)];
    const rate = combined(step, "softplus_bias", [view(all, inner + mixed, heads), bias], softplusOf);
    const decay = combined(step, "exp_product", [rate, a], (dt, rates) => exp(dt.mul(rates)));
    const y = past(step, { q, k, v: x, decay, rate });
    const gated = gatedOutput(step, y, x, step.table(spread(step.values(d), headDim)), z);
    if (!norm) return gated;
    return input(step, groupNormed(step, gated.form("f32"), { kind: "rms", width: inner / groups, eps: c.eps, weight: norm }));
  });
}

/** Refuses heads and groups that do not divide the inner values. */
export function checkMambaHeads(source: Source, c: MambaShape): void {
  const whole = (n: number, of: number): boolean => of > 0 && Number.isInteger(n / of);
  if (!whole(c.inner, c.rank) || !whole(c.rank, c.groups) || !whole(c.inner, c.groups)) {
    const message = `${source.architecture} has ${c.inner} inner values in ${c.rank} heads and ${c.groups} groups, which do not divide; the file is damaged.`;
    throw new LatheError("model.wrong-shape", message, { inner: c.inner, heads: c.rank, groups: c.groups });
  }
  checkLanes(source, "A group of the norm", c.inner / c.groups);
}
