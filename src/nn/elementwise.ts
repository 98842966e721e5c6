/** Words that go over activations number by number: activations with and without gate, sums, scales, limits. */
import { convert } from "../kernels/activations.ts";
import {
  type Activation,
  type ActivationName,
  activate as activateKernel,
  activations,
  addGated as addGatedKernel,
  addScaled as addScaledKernel,
  addVector as addVectorKernel,
  clampTo,
  type Gating,
  gated as gatedKernel,
  gatings,
  multiplyBy,
  scaleRows as scaleRowsKernel,
  softcapTo,
} from "../kernels/elementwise.ts";
import { gateHeads } from "../kernels/heads.ts";
import { once, type Region } from "./graph.ts";
import type { Scalars, Step } from "./step.ts";
import { chunks, countOf, forms, type Input, input, type Tensor } from "./tensor.ts";

export { type Activation, type ActivationName, activations, type Gating, gatings } from "../kernels/elementwise.ts";

/** gating(gate, up), such as silu(gate) * up. Both have the same stride. */
export function gated(step: Step, gating: Gating, gate: Tensor, up: Tensor): Input {
  return forms(step.graph, gate, (form, out) => {
    const kernel = once(step.graph, `gated_${gating.name}_${form}`, () => gatedKernel(gating, form));
    const args = [gate.region.address, up.region.address, out.region.address, chunks(gate.columns), gate.stride, up.stride, out.stride];
    step.graph.launch(kernel, countOf(gate, chunks(gate.columns)), args, { reads: [gate.region, up.region], writes: [out.region] });
  });
}

/** x times activation(gate), where `gate` has as many columns as x, or one for each head. */
export function gatedBy(step: Step, activation: ActivationName, gate: Tensor, x: Tensor, heads: number): Input {
  if (gate.columns === x.columns) return gated(step, gatings[activation], gate, x);
  const headDim = x.columns / heads;
  const kernel = once(step.graph, `gate_heads_${activation}_${heads}_${headDim}`, () => gateHeads(activations[activation], heads, headDim));
  const args = [x.region.address, gate.region.address, x.stride, gate.stride];
  step.graph.launch(kernel, countOf(x), args, { reads: [gate.region], writes: [x.region] });
  return input(step, x);
}

/** activation(x). */
export function activate(step: Step, activation: Activation, x: Tensor): Input {
  return forms(step.graph, x, (form, out) => {
    const kernel = once(step.graph, `activate_${activation.name}_${form}`, () => activateKernel(activation, form));
    const args = [x.region.address, out.region.address, chunks(x.columns), x.stride, out.stride];
    step.graph.launch(kernel, countOf(x, chunks(x.columns)), args, { reads: [x.region], writes: [out.region] });
  });
}

/** to += scale * x. */
export function addScaled(step: Step, x: Tensor, to: Tensor, scale = 1): void {
  const kernel = once(step.graph, "add_scaled", addScaledKernel);
  const args = [to.region.address, x.region.address, countOf(x), to.stride, x.stride, scale];
  step.graph.launch(kernel, chunks(x.columns), args, { reads: [x.region], writes: [to.region] });
}

/** to = x. */
export function copyTo(step: Step, x: Tensor, to: Tensor): void {
  const kernel = once(step.graph, "convert_f32", () => convert("f32"));
  const args = [x.region.address, to.region.address, chunks(x.columns), x.stride, to.stride];
  step.graph.launch(kernel, countOf(x, chunks(x.columns)), args, { reads: [x.region], writes: [to.region] });
}

/** to += scale * sigmoid(gate) * x, with one number of `gate` a row. */
export function addGated(step: Step, x: Tensor, gate: Tensor, to: Tensor, scale = 1): void {
  const kernel = once(step.graph, "add_gated", addGatedKernel);
  const args = [to.region.address, x.region.address, gate.region.address, countOf(x), to.stride, x.stride, gate.stride, scale];
  step.graph.launch(kernel, chunks(x.columns), args, { reads: [x.region, gate.region], writes: [to.region] });
}

/** x += v in every row. */
export function addVector(step: Step, v: Region, x: Tensor): void {
  const kernel = once(step.graph, "add_vector", addVectorKernel);
  const args = [x.region.address, v.address, countOf(x), x.stride];
  step.graph.launch(kernel, chunks(x.columns), args, { reads: [v], writes: [x.region] });
}

/** Each row of x is multiplied by its token's number. */
export function scaleRows(step: Step, x: Tensor, scalars: Scalars): void {
  const factors = step.scalars(scalars);
  const kernel = once(step.graph, "scale_rows", scaleRowsKernel);
  const args = [x.region.address, factors.address, countOf(x), x.stride];
  step.graph.launch(kernel, chunks(x.columns), args, { reads: [factors], writes: [x.region] });
}

const inPlace =
  (key: string, make: typeof multiplyBy) =>
  (step: Step, x: Tensor, parameter: number): void => {
    const kernel = once(step.graph, key, make);
    step.graph.launch(kernel, chunks(x.columns), [x.region.address, countOf(x), x.stride, parameter, 1 / parameter], {
      reads: [],
      writes: [x.region],
    });
  };

/** x *= factor. */
export const scaleBy = inPlace("multiply_by", multiplyBy);
/** x = limit * tanh(x / limit). */
export const softcap = inPlace("softcap_to", softcapTo);
/** x = min(max(x, -limit), limit). */
export const clamp = inPlace("clamp_to", clampTo);
