/**
 * What a family of architectures says about its conversion, and the repairs that several families need: values that the GGUF form of a
 * model has in another order or shape than the checkpoint.
 */
import type { Config } from "./config.ts";
import type { Keys } from "./keys.ts";
import { elements, gathered, type LazyTensor, mapped, reshaped, rowOf, sliced, transposed } from "./lazy.ts";
import type { Names } from "./names.ts";

/** Where a repair is at work. */
export interface Site {
  readonly config: Config;
  /** `weight`, `bias` ... */
  readonly end: string;
  readonly block: number | undefined;
}

/** One tensor in another form, or several by their names without block and end. Undefined drops it. */
export type Repair = (tensor: LazyTensor, site: Site) => LazyTensor | Readonly<Record<string, LazyTensor>> | undefined;

export interface Family {
  /** `architectures` of config.json. */
  readonly from: readonly string[];
  /** `general.architecture`, or what decides it. */
  readonly to: string | ((config: Config) => string);
  readonly names: Names;
  /** By GGUF name without block and end; applied once experts are stacked. */
  readonly repairs?: Readonly<Record<string, Repair>>;
  readonly keys: readonly Keys[];
  /** Tensors that are made from the configuration, by GGUF name. */
  readonly made?: (config: Config) => Readonly<Record<string, LazyTensor>>;
  /** Tensors of no use, by their names in the checkpoint. */
  readonly unused?: RegExp;
}

/** Outputs (rows of a matrix, values of a bias) in a new order: output i of the result is output `from(i)`. */
export function reordered(tensor: LazyTensor, outputs: number, from: (i: number) => number): LazyTensor {
  const unit = tensor.shape.length > 1 ? rowOf(tensor) : 1;
  return gathered(tensor, tensor.shape.length > 1 ? [...tensor.shape.slice(0, -2), outputs, unit] : [outputs], unit, from);
}

export const outputsOf = ({ shape }: LazyTensor): number => (shape.length > 1 ? shape[shape.length - 2] : shape[0]);

/** Some outputs from `first` on. */
export const outputs = (tensor: LazyTensor, first: number, count: number): LazyTensor => {
  const unit = tensor.shape.length > 1 ? rowOf(tensor) : 1;
  return sliced(tensor, first * unit, tensor.shape.length > 1 ? [count, unit] : [count]);
};

/** Rotary pairs side by side instead of half a head apart. */
export const turnPairs =
  (heads: (config: Config) => number): Repair =>
  (tensor, { config, end }) => {
    if (end === "scale") return tensor;
    const total = outputsOf(tensor);
    const length = total / heads(config);
    return reordered(tensor, total, i => {
      const within = i % length;
      return i - within + (within % 2) * (length / 2) + Math.floor(within / 2);
    });
  };

/** Norms that the model's code adds 1 to. */
export const plusOne: Repair = (tensor, { end }) => (end === "weight" ? mapped(tensor, x => Math.fround(1 + x)) : tensor);

/** Matrices stored as [inputs, outputs]. */
export const turned: Repair = tensor => (tensor.shape.length > 1 ? transposed(tensor) : tensor);

/** A stack whose matrices hold two kinds of outputs: the first half and the second, or even and odd ones. */
export function splitStack(tensor: LazyTensor, interleaved: boolean): readonly [LazyTensor, LazyTensor] {
  const { shape } = tensor;
  const isMatrix = shape.length > 2;
  const total = isMatrix ? shape[shape.length - 2] : shape[shape.length - 1];
  const half = total / 2;
  const unit = isMatrix ? rowOf(tensor) : 1;
  const part = (which: number): LazyTensor =>
    gathered(tensor, isMatrix ? [shape[0], half, unit] : [shape[0], half], unit, i => {
      const within = i % half;
      return Math.floor(i / half) * total + (interleaved ? 2 * within + which : which * half + within);
    });
  return [part(0), part(1)];
}

/** The first half of the outputs is the gate, the second what it opens: of one matrix, or of a stack of experts. */
export const splitGate =
  (gate: string, up: string): Repair =>
  tensor => {
    const stack = tensor.shape.length === 2 ? reshaped(tensor, [1, ...tensor.shape]) : tensor;
    const [first, second] = splitStack(stack, false);
    const shaped = (t: LazyTensor): LazyTensor => (tensor.shape.length === 2 ? reshaped(t, t.shape.slice(1)) : t);
    return { [gate]: shaped(first), [up]: shaped(second) };
  };

/** Dimensions of length 1 left out. */
export const squeezed: Repair = tensor => {
  const shape = tensor.shape.filter(n => n !== 1);
  return reshaped(tensor, shape.length ? shape : [elements(tensor.shape)]);
};
