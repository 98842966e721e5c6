/**
 * The words that model files are written in: embedding, linear, norms, rope, attention, feed-forward. Each binds its weights when it is
 * declared and records launches when it is applied. Cross-cutting things (activation forms, residual adds, schedules) live here and not in
 * model files.
 */
import { LatheError } from "../errors.ts";
import { activationBytes, type Form, type Packed } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { convert, rmsNorm as rmsNormKernel, swiglu as swigluKernel } from "../kernels/activations.ts";
import { attend as attendKernel, attendScratch, type HeadShape, headBytes, rope as ropeKernel, writeKv } from "../kernels/attend.ts";
import { embed as embedKernel, embedScratch } from "../kernels/embed.ts";
import { type Epilogue, type MatmulSchedule, matmul, rowsPerUnit } from "../kernels/matmul.ts";
import type { Arg } from "../runtime/launch.ts";
import { count, type Graph, once, type Region, type Rows } from "./graph.ts";
import { blocksPerRow, packedBytes, paddedRows, type Source, type Vector, type Weight } from "./source.ts";

/** Rows of f32 activations in memory. */
export interface Tensor {
  readonly rows: Rows;
  readonly columns: number;
  /** Bytes between rows. */
  readonly stride: number;
  readonly region: Region;
}

/** Activations that can be had in the form that a weight multiplies with; made when first asked for. */
export interface Input {
  readonly rows: Rows;
  readonly columns: number;
  readonly form: (form: Form) => Tensor;
}

/** What one step gives to the graph: token rows, where they stand, and their pages. Addresses are filled by the engine before each run. */
export interface Step {
  readonly graph: Graph;
  readonly schedule: Schedule;
  /** i32 a token. */
  readonly ids: Region;
  readonly positions: Region;
  readonly starts: Region;
  readonly pageIds: Region;
  readonly places: Region;
  /** i32: the numbers 0, 1, 2 ... and the rows whose logits are wanted. */
  readonly numbers: Region;
  readonly wanted: Region;
  readonly pageTable: Region;
  readonly pages: Region;
  readonly pageBytes: number;
  /** i32: the step's rows, sequence after sequence; then the segments of their states (kernels/segments.ts). */
  readonly order: Region;
  readonly segments: Region;
  /** Cosines and sines of each token for a rotation; the engine fills them. */
  readonly rotation: (r: Rotation) => Region;
}

/** Angles: position * frequency[i] for pair i; cosines and sines are multiplied by `magnitude`. */
export interface Rotation {
  readonly frequencies: Float64Array;
  readonly magnitude: number;
}

export type Schedule = (packed: Packed) => MatmulSchedule;

const tensor = (graph: Graph, rows: Rows, columns: number): Tensor => {
  const stride = 4 * Math.ceil(columns / 32) * 32;
  return { rows, columns, stride, region: graph.region(stride * graph.limits[rows]) };
};
const quantised = (graph: Graph, rows: Rows, columns: number, form: Form): Tensor => {
  const padded = Math.ceil(columns / 32) * 32;
  const stride = activationBytes(form, padded);
  return { rows, columns, stride, region: graph.region(stride * graph.limits[rows]) };
};
const chunks = (columns: number): number => Math.ceil(columns / 32);
const weightRegion = (w: Weight): Region => ({ address: w.address, bytes: packedBytes(w) });
const vectorRegion = (v: Vector): Region => ({ address: v.address, bytes: 4 * v.length });

/** Makes each form once, with the launch that `make` records. */
function forms(graph: Graph, rows: Rows, columns: number, make: (form: Form, out: Tensor) => void): Input {
  const made = new Map<Form, Tensor>();
  return {
    rows,
    columns,
    form: form => {
      const known = made.get(form);
      if (known) return known;
      const out = quantised(graph, rows, columns, form);
      make(form, out);
      made.set(form, out);
      return out;
    },
  };
}

/** A plain tensor as an input: f32 as it is, quantised forms by conversion. */
export function input(step: Step, x: Tensor): Input {
  const { graph } = step;
  const converted = forms(graph, x.rows, x.columns, (form, out) => {
    const kernel = once(graph, `convert_${form}`, () => convert(form));
    const args = [x.region.address, out.region.address, count(x.rows), x.stride, out.stride];
    graph.launch(kernel, chunks(x.columns), args, { reads: [x.region], writes: [out.region] });
  });
  return { ...converted, form: form => (form === "f32" ? x : converted.form(form)) };
}

export interface Linear {
  (step: Step, x: Input): Tensor;
  /** Adds the result to `to`. */
  addTo: (step: Step, x: Input, to: Tensor) => void;
}

/** y = W x. `order` rearranges output rows at load; `or` names the tensor to use where `name` is absent (tied embeddings). */
export function linear(
  source: Source,
  name: string,
  inputs: number,
  outputs: number,
  options: { or?: string; order?: readonly number[] } = {},
): Linear {
  const weight = source.matrix(`${name}.weight`, inputs, outputs, { ...options, or: options.or && `${options.or}.weight` });
  const record = (step: Step, x: Input, y: Tensor, epilogue: Epilogue): void => {
    const { packed } = weight.format;
    const schedule = step.schedule(packed);
    const from = x.form(packed.activation);
    const key = `matmul_${packed.name}_${epilogue}_${from.stride}_${JSON.stringify(schedule)}`;
    const kernel = once(step.graph, key, () => matmul(packed, schedule, epilogue, from.stride));
    const args: Arg[] = [weight.address, from.region.address, y.region.address, blocksPerRow(weight), count(x.rows), y.stride];
    step.graph.launch(kernel, paddedRows(outputs) / rowsPerUnit(schedule), args, {
      reads: [weightRegion(weight), from.region],
      writes: [y.region],
      bytes: packedBytes(weight),
      operations: 2 * inputs * outputs,
    });
  };
  const apply = (step: Step, x: Input): Tensor => {
    const y = tensor(step.graph, x.rows, outputs);
    record(step, x, y, "set");
    return y;
  };
  return Object.assign(apply, { addTo: (step: Step, x: Input, to: Tensor) => record(step, x, to, "add") });
}

/** Rows of the embedding matrix for the step's tokens. */
export function embedding(source: Source, name: string, columns: number): (step: Step) => Tensor {
  const full = `${name}.weight`;
  const weight = source.matrix(full, columns, source.rows(full));
  return step => {
    const { packed } = weight.format;
    const x = tensor(step.graph, "tokens", columns);
    const scratch = step.graph.region(embedScratch(packed) * step.graph.limits.tokens);
    const kernel = once(step.graph, `embed_${packed.name}`, () => embedKernel(packed));
    const args: Arg[] = [weight.address, step.ids.address, scratch.address, x.region.address, blocksPerRow(weight), x.stride];
    step.graph.launch(kernel, count("tokens"), args, { reads: [weightRegion(weight), step.ids], writes: [scratch, x.region] });
    return x;
  };
}

/** RMSNorm with scale `name`. `rows` chooses which rows of x are normed: all tokens, or the wanted ones. */
export function rmsNorm(source: Source, name: string, columns: number, eps: number): (step: Step, x: Tensor, rows?: Rows) => Input {
  const scale = source.vector(`${name}.weight`, columns);
  return (step, x, rows = "tokens") =>
    forms(step.graph, rows, columns, (form, out) => {
      const kernel = once(step.graph, `rms_norm_${form}`, () => rmsNormKernel(form));
      const which = rows === "tokens" ? step.numbers : step.wanted;
      const args: Arg[] = [
        x.region.address,
        scale.address,
        which.address,
        out.region.address,
        chunks(columns),
        x.stride,
        out.stride,
        1 / columns,
        eps,
      ];
      step.graph.launch(kernel, count(rows), args, { reads: [x.region, vectorRegion(scale), which], writes: [out.region] });
    });
}

/** silu(gate) * up. */
export function swiglu(step: Step, gate: Tensor, up: Tensor): Input {
  return forms(step.graph, gate.rows, gate.columns, (form, out) => {
    const kernel = once(step.graph, `swiglu_${form}`, () => swigluKernel(form));
    const args: Arg[] = [gate.region.address, up.region.address, out.region.address, count(gate.rows), gate.stride, out.stride];
    step.graph.launch(kernel, chunks(gate.columns), args, { reads: [gate.region, up.region], writes: [out.region] });
  });
}

export interface AttentionShape extends HeadShape {
  readonly layer: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly rotation: Rotation;
  readonly scale: number;
}

/** Bytes of a page of one layer. */
export const layerPageBytes = (a: Pick<AttentionShape, "kvHeads" | "headDim">): number => a.kvHeads * headBytes(a.headDim);

/** Query heads to a key head: the attention kernel is unrolled over them. */
const MOST_SHARED = 96;

/** Head sizes that the attention kernels take. */
export function checkHeads(a: { headDim: number; ropeDim: number; heads: number; kvHeads: number }): void {
  const shared = a.heads / a.kvHeads;
  if (a.headDim % 8 === 0 && a.ropeDim % 8 === 0 && a.ropeDim <= a.headDim && Number.isInteger(shared) && shared <= MOST_SHARED) return;
  const message = `Heads of ${a.headDim} values (${a.ropeDim} rotated), ${a.heads} queries to ${a.kvHeads} keys are not supported; the file may be damaged.`;
  throw new LatheError("model.wrong-shape", message, { ...a });
}

/** Rotates, writes the new keys and values into their pages, and attends over everything that the tokens' sequences hold. */
export function attend(step: Step, a: AttentionShape, q: Tensor, k: Tensor, v: Tensor): Tensor {
  const { graph } = step;
  const shape: HeadShape = { headDim: a.headDim, ropeDim: a.ropeDim };
  const key = `d${a.headDim}_r${a.ropeDim}`;
  const cached = (name: string, make: () => Kernel): Kernel => once(graph, `${name}_${key}`, make);
  const table = step.rotation(a.rotation);
  const layerOffset = a.layer * layerPageBytes(a);
  const tokens = count("tokens");
  const turn: Arg[] = [q.region.address, table.address, tokens, q.stride];
  graph.launch(
    cached("rope", () => ropeKernel(shape)),
    a.heads,
    turn,
    { reads: [table], writes: [q.region] },
  );
  const [kAt, vAt, ids, places] = [k, v].map(t => t.region.address).concat(step.pageIds.address, step.places.address);
  const write: Arg[] = [kAt, vAt, table.address, ids, places, step.pages.address, tokens, k.stride, step.pageBytes, layerOffset];
  graph.launch(
    cached("write_kv", () => writeKv(shape)),
    a.kvHeads,
    write,
    {
      reads: [k.region, v.region, table, step.pageIds, step.places],
      writes: [step.pages],
    },
  );
  const out = tensor(graph, "tokens", q.columns);
  const group = a.heads / a.kvHeads;
  const scratch = graph.region(attendScratch(group) * a.kvHeads * graph.limits.tokens);
  const inputs = [q.region, step.pages, step.pageTable, step.starts, step.positions, step.numbers];
  const rest: Arg[] = [scratch.address, out.region.address, tokens, q.stride, step.pageBytes, layerOffset, a.scale];
  const kernel = cached(`attend_x${group}`, () => attendKernel(shape, group));
  graph.launch(kernel, count("tokens", a.kvHeads), [...inputs.map(r => r.address), ...rest], {
    reads: inputs,
    writes: [scratch, out.region],
  });
  return out;
}
