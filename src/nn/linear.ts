/**
 * y = W x, with the bias and the scale that lie beside W in the file. A `Branch` is anything that ends so: it gives a tensor, or adds its
 * result to one (the residual stream) without a buffer in between.
 */
import { type Epilogue, matmul, rowsPerUnit } from "../kernels/matmul.ts";
import type { Arg } from "../runtime/launch.ts";
import { addScaled } from "./elementwise.ts";
import { once } from "./graph.ts";
import { blocksPerRow, paddedRows, type Source, type Vector, vectorRegion, weightRegion } from "./source.ts";
import type { Step } from "./step.ts";
import { countOf, type Input, type Tensor, tensor } from "./tensor.ts";

export interface Branch {
  (step: Step, x: Input): Tensor;
  /** to += scale * result. */
  readonly addTo: (step: Step, x: Input, to: Tensor, scale?: number) => void;
}
export type Linear = Branch;

export interface LinearOptions {
  /** Output row i is row order[i] of the file, inside each stretch of order.length rows. */
  readonly order?: readonly number[];
  /** The tensor to use where `name` is absent (tied embeddings). */
  readonly or?: string;
  /** The result is multiplied by it. */
  readonly scale?: number;
}

/** What a launch over several matrices gets for their scales: the address and the bytes between them. */
export const scaleArgs = (scales: Vector): Arg[] => [scales.address, scales.length === 1 ? 0 : 4];

/** Binds `<name>.weight` [inputs, outputs] and, where the file has them, `<name>.bias` [outputs] and `<name>.scale` [1]. */
export function linear(source: Source, name: string, inputs: number, outputs: number, options: LinearOptions = {}): Linear {
  const { order, or, scale: factor = 1 } = options;
  const weight = source.matrix(`${name}.weight`, inputs, outputs, { order, or: or && `${or}.weight` });
  const bias = source.has(`${name}.bias`) ? source.vector(`${name}.bias`, outputs, order) : undefined;
  const scaleName = source.scale(or !== undefined && !source.has(`${name}.weight`) ? or : name);
  const record = (step: Step, x: Input, y: Tensor, epilogue: Epilogue, times: number): void => {
    const { packed } = weight.format;
    const schedule = step.schedule(packed);
    const from = x.form(packed.activation);
    const scale = times * (scaleName ? step.values(scaleName)[0] : 1);
    const after = { scale: scale !== 1, bias: bias !== undefined };
    const key = `matmul_${packed.name}_${epilogue}_${from.stride}_${JSON.stringify([schedule, after])}`;
    const kernel = once(step.graph, key, () => matmul(packed, schedule, epilogue, from.stride, after));
    const args: Arg[] = [weight.address, from.region.address, y.region.address, blocksPerRow(weight), countOf(x), y.stride];
    if (after.scale) args.push(scale);
    if (bias) args.push(bias.address);
    step.graph.launch(kernel, paddedRows(outputs) / rowsPerUnit(schedule), args, {
      reads: [weightRegion(weight), from.region, ...(bias ? [vectorRegion(bias)] : [])],
      writes: [y.region],
      bytes: weightRegion(weight).bytes,
      operations: 2 * inputs * outputs,
    });
  };
  const apply = (step: Step, x: Input): Tensor => {
    const y = tensor(step.graph, x.rows, outputs, x.per);
    record(step, x, y, "set", factor);
    return y;
  };
  const addTo = (step: Step, x: Input, to: Tensor, scale = 1): void => {
    if (bias && scale !== 1) addScaled(step, apply(step, x), to, scale);
    else record(step, x, to, "add", factor * scale);
  };
  return Object.assign(apply, { addTo });
}

/** A branch that makes an input and ends in `out`. */
export function endingIn(out: Branch, make: (step: Step, x: Input) => Input): Branch {
  return Object.assign((step: Step, x: Input) => out(step, make(step, x)), {
    addTo: (step: Step, x: Input, to: Tensor, scale?: number) => out.addTo(step, make(step, x), to, scale),
  });
}

/** A branch whose result is made by `make`, and then added. */
export function branch(make: (step: Step, x: Input) => Tensor): Branch {
  return Object.assign(make, {
    addTo: (step: Step, x: Input, to: Tensor, scale = 1) => addScaled(step, make(step, x), to, scale),
  });
}
