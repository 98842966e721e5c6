/**
 * Rows of activations in memory, views of some of their columns, and inputs: activations that are had in whatever form a weight multiplies
 * with, made when first asked for.
 */
import { activationBytes, type Form } from "../formats/packed.ts";
import { convert } from "../kernels/activations.ts";
import { copyColumns } from "../kernels/elementwise.ts";
import type { Arg } from "../runtime/launch.ts";
import { count, type Graph, once, type Region, type Rows } from "./graph.ts";
import type { Step } from "./step.ts";

/** How many rows of how many numbers. */
export interface Extent {
  readonly rows: Rows;
  /** Rows of each token, one after the other; absent: 1. */
  readonly per?: number;
  readonly columns: number;
}

/** Rows of f32 activations. */
export interface Tensor extends Extent {
  /** Bytes between rows. */
  readonly stride: number;
  readonly region: Region;
  /** What follows the columns in a row belongs to others. */
  readonly partial?: boolean;
}

/** Activations that can be had in the form that a weight multiplies with. */
export interface Input extends Extent {
  readonly form: (form: Form) => Tensor;
}

/** Kernels go over columns in pieces of 32; rows are padded to whole pieces. */
export const chunks = (columns: number): number => Math.ceil(columns / 32);

/** The rows as the argument of a launch. */
export const countOf = (x: Extent, mul = 1): Arg => count(x.rows, mul * (x.per ?? 1));

function made(graph: Graph, { rows, per, columns }: Extent, form: Form): Tensor {
  const stride = activationBytes(form, 32 * chunks(columns));
  const row = stride * (per ?? 1);
  return { rows, per, columns, stride, region: graph.region(row * graph.limits[rows], count(rows, row)) };
}

export const tensor = (graph: Graph, rows: Rows, columns: number, per?: number): Tensor => made(graph, { rows, per, columns }, "f32");

/** A tensor's memory, of which a launch reads one row for each of its own. */
export const rowsOf = ({ region, stride, per }: Tensor, rows: Rows): Region => ({ ...region, taken: count(rows, stride * (per ?? 1)) });

/** Some columns of a tensor, in its own memory. What follows them in a row belongs to others: see `packed`. */
export function view(x: Tensor, from: number, columns: number): Tensor {
  if (from === 0 && columns === x.columns) return x;
  const { address, bytes } = x.region;
  return { ...x, columns, partial: true, region: { address: address + 4 * from, bytes: bytes - 4 * from, taken: countOf(x, 4 * columns) } };
}

/** The tensor, or a copy whose rows are padded with zeros, if it is a view of columns that are no whole pieces of 32. */
export function packed(step: Step, x: Tensor): Tensor {
  if (x.columns % 32 === 0 || !x.partial) return x;
  const out = tensor(step.graph, x.rows, x.columns, x.per);
  const kernel = once(step.graph, `copy_columns_${x.columns}`, () => copyColumns(x.columns));
  step.graph.launch(kernel, countOf(x), [x.region.address, out.region.address, x.stride, out.stride], {
    reads: [x.region],
    writes: [out.region],
  });
  return out;
}

/** Makes each form once, with the launch that `make` records. */
export function forms(graph: Graph, { rows, per, columns }: Extent, make: (form: Form, out: Tensor) => void): Input {
  const had = new Map<Form, Tensor>();
  return {
    rows,
    per,
    columns,
    form: form => {
      const known = had.get(form);
      if (known) return known;
      const out = made(graph, { rows, per, columns }, form);
      make(form, out);
      had.set(form, out);
      return out;
    },
  };
}

/** A plain tensor as an input: f32 as it is, quantised forms by conversion. */
export function input(step: Step, x: Tensor): Input {
  const { graph } = step;
  const converted = forms(graph, x, (form, out) => {
    const kernel = once(graph, `convert_${form}`, () => convert(form));
    const args = [x.region.address, out.region.address, chunks(x.columns), x.stride, out.stride];
    graph.launch(kernel, countOf(x, chunks(x.columns)), args, { reads: [x.region], writes: [out.region] });
  });
  return { ...converted, form: form => (form === "f32" ? x : converted.form(form)) };
}
