/** Norms of rows (before and after branches) and of heads (queries and keys). Each binds what the file has of weight and bias. */
import { headNorm as headNormKernel, norm as normKernel } from "../kernels/norm.ts";
import type { Arg } from "../runtime/launch.ts";
import { count, once, type Region, type Rows } from "./graph.ts";
import { type Source, type Vector, vectorRegion } from "./source.ts";
import type { Step } from "./step.ts";
import { chunks, countOf, forms, type Input, packed, rowsOf, type Tensor } from "./tensor.ts";

/** `rows` chooses which rows of x are normed: all tokens, or the wanted ones. */
export type Norm = (step: Step, x: Tensor, rows?: Rows) => Input;

/** x / sqrt(mean(x^2) + eps) (rms), or the same of x - mean(x) (layer); times `<name>.weight`, plus `<name>.bias`, where there are such. */
export type NormKind = "rms" | "layer";

const bound = (source: Source, name: string, columns: number, order?: readonly number[]): (Vector | undefined)[] =>
  [`${name}.weight`, name, `${name}.bias`].map(t => (source.has(t) ? source.vector(t, columns, order) : undefined));

/** Without a name the norm is weightless; with one its weight must be there, and a bias is bound where the file has it. */
export function norm(source: Source, kind: NormKind, name: string | undefined, columns: number, eps: number): Norm {
  if (name !== undefined && !source.has(name)) source.need(`${name}.weight`);
  const [suffixed, plain, bias] = name === undefined ? [] : bound(source, name, columns);
  const weight = suffixed ?? plain;
  const shape = { center: kind === "layer", weight: weight !== undefined, bias: bias !== undefined };
  const vectors = [weight, bias].filter(v => v !== undefined);
  return (step, given, rows = "tokens") => {
    const x = packed(step, given);
    return forms(step.graph, { rows, columns }, (form, out) => {
      const kernel = once(step.graph, `norm_${JSON.stringify(shape)}_${form}`, () => normKernel(shape, form));
      const which = rows === "tokens" ? step.numbers : step.wanted;
      const args: Arg[] = [x.region.address, ...vectors.map(v => v.address), which.address];
      if (shape.center) args.push(step.numbers.address);
      args.push(out.region.address, chunks(columns));
      if (shape.center) args.push(columns);
      args.push(x.stride, out.stride, 1 / columns, eps);
      step.graph.launch(kernel, count(rows), args, {
        reads: [rowsOf(x, rows), which, ...vectors.map(vectorRegion)],
        writes: [out.region],
      });
    });
  };
}

export const rmsNorm = (source: Source, name: string, columns: number, eps: number): Norm => norm(source, "rms", name, columns, eps);
export const layerNorm = (source: Source, name: string, columns: number, eps: number): Norm => norm(source, "layer", name, columns, eps);

export interface HeadNormOptions {
  readonly kind: NormKind;
  readonly eps: number;
  readonly heads: number;
  readonly headDim: number;
  /** The file may have no such tensor. */
  readonly optional?: boolean;
  /** The row order of the heads' projection, which the weights follow. */
  readonly order?: readonly number[];
}

/**
 * A norm in place of each head, whose weights are one head's [headDim] or all heads' [heads * headDim]; "whole" norms all heads' values
 * together. Undefined where the file has no such tensor and need not.
 */
export function headNorm(source: Source, name: string, o: HeadNormOptions): ((step: Step, x: Tensor) => void) | undefined {
  if (o.optional && !source.has(`${name}.weight`)) return undefined;
  source.need(`${name}.weight`);
  const all = o.heads * o.headDim;
  const perHead = source.elements(`${name}.weight`) === all;
  const [weight, , bias] = bound(source, name, perHead ? all : o.headDim, o.order);
  const shape = { center: o.kind === "layer", weight: true, bias: bias !== undefined, perHead };
  const vectors = [weight, bias].filter(v => v !== undefined);
  return inHeads(shape, () => vectors.map(vectorRegion), o);
}

/** A norm in place of each head, times one number a head: `<name>.weight` [1, heads]. */
export function scaledHeadNorm(source: Source, name: string, o: HeadNormOptions): (step: Step, x: Tensor) => void {
  const scales = source.constant(`${name}.weight`, o.heads);
  const shape = { center: o.kind === "layer", weight: true, bias: false, perHead: true };
  return inHeads(shape, step => [step.table(Array.from(step.values(scales)).flatMap(v => new Array<number>(o.headDim).fill(v)))], o);
}

/** The norm over all heads' values together: one head as long as the row. */
export const wholeNorm = (source: Source, name: string, o: HeadNormOptions): ((step: Step, x: Tensor) => void) | undefined =>
  headNorm(source, name, { ...o, heads: 1, headDim: o.heads * o.headDim });

/** A weightless norm in place of each head. */
export const bareHeadNorm = (o: HeadNormOptions): ((step: Step, x: Tensor) => void) =>
  inHeads({ center: o.kind === "layer", weight: false, bias: false, perHead: false }, () => [], o);

function inHeads(
  shape: Parameters<typeof headNormKernel>[0],
  regions: (step: Step) => readonly Region[],
  { heads, headDim, eps }: HeadNormOptions,
): (step: Step, x: Tensor) => void {
  return (step, x) => {
    const key = `head_norm_${headDim}_${JSON.stringify(shape)}`;
    const kernel = once(step.graph, key, () => headNormKernel(shape, headDim));
    const reads = regions(step);
    const args: Arg[] = [x.region.address, ...reads.map(r => r.address), countOf(x), x.stride, 1 / headDim, eps];
    step.graph.launch(kernel, countOf(x, heads), args, { reads, writes: [x.region] });
  };
}
