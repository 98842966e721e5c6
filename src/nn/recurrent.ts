/**
 * The words for layers with a state: convolutions and shifts along the sequence, scans and linear states, and expressions and group norms of
 * rows that such layers need between them. A word that has a state reserves its part of every slot when it is declared.
 */
import { LatheError } from "../errors.ts";
import type { Form } from "../formats/packed.ts";
import type { Chunk } from "../kernels/activations.ts";
import { conv, convState, convUnits, shift } from "../kernels/conv.ts";
import {
  type LinearStateShape,
  linearState,
  linearStateKernel,
  linearStateName,
  linearStateRows,
  linearStateUnits,
} from "../kernels/linear-state.ts";
import { type GroupNorm, groupNorm, mapRows } from "../kernels/rows.ts";
import { type ScanShape, scan, scanState, scanUnits } from "../kernels/scan.ts";
import { lanesOf } from "../kernels/segments.ts";
import type { Arg } from "../runtime/launch.ts";
import { count, once, type Region } from "./graph.ts";
import { type Linear, linear } from "./linear.ts";
import { type Source, type State, type Vector, vectorRegion } from "./source.ts";
import type { Step } from "./step.ts";
import { chunks, countOf, forms, type Input, type Tensor, tensor } from "./tensor.ts";

/** A row for each token, or one row for all. */
export type Operand = Tensor | Vector | Region;

const isTensor = (x: Operand): x is Tensor => "region" in x;
const regionOf = (x: Operand): Region => (isTensor(x) ? x.region : "length" in x ? vectorRegion(x) : x);

type Operands = readonly [Tensor, ...Operand[]];
type Expression = (...x: Chunk[]) => Chunk;

/** Writes f of the operands into `out`, which may be one of them. */
function record(step: Step, name: string, operands: Operands, f: Expression, form: Form, out: Tensor): void {
  const kinds = operands.map(o => (isTensor(o) ? "rows" : "vector"));
  const key = `map_${name}_${kinds.map(k => k[0]).join("")}`;
  const kernel = once(step.graph, `${key}_${form}`, () => mapRows(key, form, kinds, f));
  const regions = operands.map(regionOf);
  const strides = operands.filter(isTensor).map(t => t.stride);
  const args: Arg[] = [...regions.map(r => r.address), out.region.address, countOf(out), ...strides, out.stride];
  step.graph.launch(kernel, chunks(out.columns), args, { reads: regions, writes: [out.region] });
}

/** f of the operands, column by column; as many columns as the first has. `name` says which expression it is: equal names, equal kernels. */
export function combine(step: Step, name: string, operands: Operands, f: Expression): Input {
  return forms(step.graph, operands[0], (form, out) => record(step, name, operands, f, form, out));
}

/** `combine` as a plain tensor. */
export const combined = (step: Step, name: string, operands: Operands, f: Expression): Tensor =>
  combine(step, name, operands, f).form("f32");

/** `combine` into a tensor that is there. */
export const assign = (step: Step, to: Tensor, name: string, operands: Operands, f: Expression): void =>
  record(step, name, operands, f, "f32", to);

/** Norms of stretches of `width` columns, each by itself (kernels/rows.ts); weight and bias have a value a column. */
export function groupNormed(
  step: Step,
  x: Tensor,
  c: { readonly kind: GroupNorm; readonly width: number; readonly eps: number; readonly weight?: Operand; readonly bias?: Operand },
): Tensor {
  const out = tensor(step.graph, x.rows, x.columns);
  const shape = { kind: c.kind, width: c.width, weight: c.weight !== undefined, bias: c.bias !== undefined };
  const kernel = once(step.graph, `group_norm_${JSON.stringify(shape)}`, () => groupNorm(shape));
  const groups = x.columns / c.width;
  const vectors = [c.weight, c.bias].filter(v => v !== undefined).map(regionOf);
  const args: Arg[] = [x.region.address, ...vectors.map(v => v.address), out.region.address, groups, x.stride, out.stride, c.eps];
  step.graph.launch(kernel, count(x.rows, groups), args, { reads: [x.region, ...vectors], writes: [out.region] });
  return out;
}

/** For a tensor of `inner` values for each of `outer`: the order that makes it `outer` values for each of `inner`. */
const transposed = (outer: number, inner: number): readonly number[] =>
  Array.from({ length: outer * inner }, (_, i) => (i % outer) * inner + Math.floor(i / outer));

/** A vector of `inner` values for each of `outer` in the file, bound as `outer` values for each of `inner`. */
export function transposedVector(source: Source, name: string, outer: number, inner: number): Vector {
  const length = outer * inner;
  // The file's tensor bounds what is allocated: a length that it has not is an error before there is an order.
  return source.vector(name, length, source.elements(name) === length ? transposed(outer, inner) : undefined);
}

/** Each value `times` times, one after the other. */
export const spread = (values: ArrayLike<number>, times: number): Float32Array =>
  Float32Array.from({ length: values.length * times }, (_, i) => values[Math.floor(i / times)]);
/** All values, `times` times over. */
export const tiled = (values: ArrayLike<number>, times: number): Float32Array =>
  Float32Array.from({ length: values.length * times }, (_, i) => values[i % values.length]);

/** Kernels go over values in lanes of 4 to 32. Throws "model.wrong-shape". */
export function checkLanes(source: Source, what: string, n: number): void {
  if (lanesOf(n)) return;
  const message = `${what} of ${source.architecture} has ${n} values, which is no multiple of 4; such a model is not supported.`;
  throw new LatheError("model.wrong-shape", message, { architecture: source.architecture, what, values: n });
}

/** The arguments that every kernel with a state takes, and what it touches. */
function stateful(step: Step, state: State): { args: readonly Arg[]; reads: readonly Region[]; region: Region } {
  const region = { address: state.address, bytes: state.bytes * state.slots, taken: count("segments", state.bytes) };
  const args = [step.order.address, step.segments.address, state.address, count("segments"), state.bytes];
  return { args, reads: [step.order, step.segments], region };
}

export interface ConvolutionOptions {
  /** Tokens under the filter. */
  readonly kernel: number;
  readonly silu?: boolean;
}

/** A causal convolution, one filter a channel: `<name>.weight` [kernel, channels], and `<name>.bias` where the file has it. */
export function convolution(source: Source, name: string, channels: number, o: ConvolutionOptions): (step: Step, x: Tensor) => Tensor {
  checkLanes(source, name, channels);
  const weight = transposedVector(source, `${name}.weight`, channels, o.kernel);
  const bias = source.has(`${name}.bias`) ? source.vector(`${name}.bias`, channels) : undefined;
  const shape = { channels, kernel: o.kernel, bias: bias !== undefined, silu: o.silu ?? false };
  const state = source.state(convState(shape));
  return (step, x) => {
    const out = tensor(step.graph, x.rows, channels);
    const kernel = once(step.graph, `conv_${JSON.stringify(shape)}`, () => conv(shape));
    const { args, reads, region } = stateful(step, state);
    const vectors = [weight, ...(bias ? [bias] : [])].map(vectorRegion);
    const all: Arg[] = [x.region.address, ...vectors.map(v => v.address), out.region.address, ...args, x.stride, out.stride];
    step.graph.launch(kernel, convUnits(channels), all, { reads: [x.region, ...vectors, ...reads], writes: [out.region, region] });
    return out;
  };
}

/** Each token's row is the row of the token before it. */
export function tokenShift(source: Source, channels: number): (step: Step, x: Tensor) => Tensor {
  checkLanes(source, "The residual stream", channels);
  const state = source.state(4 * channels);
  return (step, x) => {
    const out = tensor(step.graph, x.rows, channels);
    const kernel = once(step.graph, `shift_${channels}`, () => shift(channels));
    const { args, reads, region } = stateful(step, state);
    const all: Arg[] = [x.region.address, out.region.address, ...args, x.stride, out.stride];
    step.graph.launch(kernel, convUnits(channels), all, { reads: [x.region, ...reads], writes: [out.region, region] });
    return out;
  };
}

/** What a selective scan reads: rows of x and dt (a value a channel), of b and c (a value a state), and a [states][channels]. */
export interface ScanRows {
  readonly x: Tensor;
  readonly dt: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
  readonly a: Vector;
}

/** The selective scan of Mamba-1 (kernels/scan.ts). */
export function selectiveScan(source: Source, shape: ScanShape): (step: Step, rows: ScanRows) => Tensor {
  checkLanes(source, "The scan", shape.channels);
  const state = source.state(scanState(shape));
  return (step, { x, dt, b, c, a }) => {
    const out = tensor(step.graph, x.rows, shape.channels);
    const kernel = once(step.graph, `scan_${JSON.stringify(shape)}`, () => scan(shape));
    const { args, reads, region } = stateful(step, state);
    const rows = [x, dt, b, c];
    const places = [...rows.map(r => r.region), vectorRegion(a)];
    const all: Arg[] = [...places.map(p => p.address), out.region.address, ...args, ...rows.map(r => r.stride), out.stride];
    step.graph.launch(kernel, scanUnits(shape), all, { reads: [...places, ...reads], writes: [out.region, region] });
    return out;
  };
}

/** A matrix a head as the past (kernels/linear-state.ts); operands by the names of linearStateRows. */
export function linearStates(source: Source, shape: LinearStateShape): (step: Step, rows: Readonly<Record<string, Operand>>) => Tensor {
  checkLanes(source, "A value of a head", shape.valueDim);
  const state = source.state(linearState(shape));
  return (step, given) => {
    const rows = linearStateRows(shape).map(name => given[name]);
    const out = tensor(step.graph, "tokens", shape.heads * shape.valueDim);
    const kernel = once(step.graph, linearStateName(shape), () => linearStateKernel(shape));
    const { args, reads, region } = stateful(step, state);
    const places = rows.map(regionOf);
    const strides = rows.map(r => (isTensor(r) ? r.stride : 0));
    const all: Arg[] = [...places.map(p => p.address), out.region.address, ...args, ...strides, out.stride];
    step.graph.launch(kernel, linearStateUnits(shape), all, {
      reads: [...places, ...reads],
      writes: [out.region, region],
      operations: 4 * shape.heads * shape.keyDim * shape.valueDim,
    });
    return out;
  };
}

/** The order that brings each part of all groups into one stretch, where rows lie together by groups, `sizes` rows of each part in a group. */
function ungroup(groups: number, sizes: readonly number[]): readonly number[] {
  const all = sizes.reduce((a, b) => a + b, 0);
  const first = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  return sizes.flatMap((size, part) =>
    Array.from({ length: groups * size }, (_, i) => Math.floor(i / size) * all + first[part] + (i % size)),
  );
}

/** A projection whose outputs lie in the file group by group (see `ungroup`); here each part is one stretch. */
export function ungrouped(source: Source, name: string, inputs: number, groups: number, sizes: readonly number[]): Linear {
  const rows = groups * sizes.reduce((a, b) => a + b, 0);
  const order = source.rowsOf(`${name}.weight`) === rows ? ungroup(groups, sizes) : undefined; // else the shape is refused
  return linear(source, name, inputs, rows, { order });
}
