/**
 * PLaMo 2: attention and a Mamba layer that has Mamba-1's projections and Mamba-2's heads, with norms before and after every branch
 * (ARCHITECTURES 3.8).
 */
import { exp, softplus } from "../kernels/math.ts";
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { type Config, decoder, headSizes, mixedConfig, postNorm, recurrentLayers, rotary } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import { checkMambaHeads, gatedOutput, type MambaShape, mambaShape } from "../nn/mamba.ts";
import { combined, convolution, groupNormed, linearStates, spread, ungrouped } from "../nn/recurrent.ts";
import type { Source } from "../nn/source.ts";
import { input, view } from "../nn/tensor.ts";

function mambaOfHeads(source: Source, at: string, c: MambaShape): Branch {
  const { dim, inner, rank: heads, states, eps } = c;
  checkMambaHeads(source, { ...c, groups: 1 });
  const headDim = inner / heads;
  const enter = ungrouped(source, `${at}.ssm_in`, dim, heads, [headDim, headDim]);
  const conv = convolution(source, `${at}.ssm_conv1d`, inner, { kernel: c.kernel, silu: true });
  const stepDim = Math.max(64, Math.floor(dim / 16));
  const project = linear(source, `${at}.ssm_x`, inner, 2 * states + stepDim);
  const [bNorm, cNorm] = ["ssm_b_norm", "ssm_c_norm"].map(n => source.vector(source.either(`${at}.${n}`), states));
  const stepNorm = source.vector(source.either(`${at}.ssm_dt_norm`), stepDim);
  const toHeads = linear(source, `${at}.ssm_dt`, stepDim, heads);
  const a = source.vector(`${at}.ssm_a`, heads);
  const d = source.constant(`${at}.ssm_d`, heads);
  const past = linearStates(source, {
    ...{ heads, keyDim: states, valueDim: headDim, keyHeads: 1 },
    ...{ shared: "qk", rule: "add", decay: "head", rate: true },
  });
  return endingIn(linear(source, `${at}.ssm_out`, inner, dim), (step, entering) => {
    const both = enter(step, entering);
    const [z, x] = [view(both, 0, inner), conv(step, view(both, inner, inner))];
    const projected = project(step, input(step, x));
    const normed = (from: number, width: number, weight: typeof a) =>
      groupNormed(step, view(projected, from, width), { kind: "rms", width, eps, weight });
    const low = normed(2 * states, stepDim, stepNorm);
    const rate = combined(step, "softplus", [toHeads(step, input(step, low))], v => softplus(v));
    const decay = combined(step, "exp_product", [rate, a], (dt, rates) => exp(dt.mul(rates)));
    const y = past(step, { q: normed(states, states, cNorm), k: normed(0, states, bNorm), v: x, decay, rate });
    return gatedOutput(step, y, x, step.table(spread(step.values(d), headDim)), z);
  });
}

export const plamo2 = arch(["plamo2"], source => {
  const recurrent = recurrentLayers(source);
  const c: Config = mixedConfig(source, "rms", recurrent.indexOf(false));
  const shape = mambaShape(source, c.dim);
  const rope = rotary(source, c, { pairs: "halves" });
  const mixer = (at: string, i: number): Branch =>
    recurrent[i]
      ? mambaOfHeads(source, at, shape)
      : attention(source, at, { ...c, ...headSizes(source, c.dim, i), rope, qkNorm: { eps: c.eps } });
  return decoder(source, c, {
    layer: (at, i) => postNorm(source, c, at, { attention: mixer(at, i), ffn: ffn(source, at, c) }, { sandwich: true }),
  });
});
