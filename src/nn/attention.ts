/**
 * Attention: projections to queries, keys and values (apart or fused), norms of their heads, rotation, the pages, and the projection back.
 * Every option is one that several families share; what only one family does stands in its own file.
 */
import { LatheError } from "../errors.ts";
import {
  type AttendOptions,
  attend as attendKernel,
  attendScratch,
  type HeadShape,
  headBytes,
  PAGE,
  rope as ropeKernel,
  type Window,
  writeKv,
} from "../kernels/attend.ts";
import type { Arg, Traffic } from "../runtime/launch.ts";
import { type ActivationName, clamp, gatedBy, scaleRows } from "./elementwise.ts";
import { count, once, perKey, type Region } from "./graph.ts";
import { type Branch, endingIn, type Linear, linear } from "./linear.ts";
import { bareHeadNorm, type HeadNormOptions, headNorm, type Norm, type NormKind, wholeNorm } from "./norm.ts";
import { type Rope, splitPairs } from "./rope.ts";
import { type Source, type Vector, vectorRegion } from "./source.ts";
import type { Scalars, Step } from "./step.ts";
import { type Input, input, type Tensor, tensor, view } from "./tensor.ts";

export interface HeadSizes {
  readonly heads: number;
  readonly kvHeads: number;
  /** Values of a query's and key's head. */
  readonly headDim: number;
  /** Values of a value's head; absent: headDim. */
  readonly valueDim?: number;
}

/** What the attention over pages itself needs to know. */
export interface AttentionShape extends HeadSizes {
  /** Byte offset of the layer's keys and values in a page: see `reserveCache`. */
  readonly cache: number;
  /** Absent: positions are not rotated. */
  readonly rope?: Rope;
  /** Scores are multiplied by it. */
  readonly scale: number;
  readonly window?: { readonly kind: Window; readonly size: number };
  /** Scores s become c tanh(s / c). */
  readonly softcap?: number;
  /** A logit for each head that only takes part in the softmax. */
  readonly sinks?: Vector;
  /** Largest slope of a bias that falls with distance. */
  readonly alibi?: number;
  /** A bias by head and distance: a row of `row` bytes a head, of `middle` values for keys before the query, then those from it on. */
  readonly relative?: (step: Step) => { readonly table: Region; readonly row: number; readonly middle: number };
  /** The keys that count. */
  readonly selection?: Selection;
  /** A second set of keys and values, at another byte offset of the pages, and which of them count. */
  readonly entries?: { readonly cache: number; readonly selection: Selection };
  /** Tokens see what comes after them too; a step must then hold whole sequences. */
  readonly bidirectional?: boolean;
}

/** What is added to the scores of a token's keys: rows of `bytes`, `sets` of them a token (kernels/select.ts). */
export interface Selection {
  readonly rows: Region;
  readonly bytes: number;
  readonly sets: number;
}

/** Architectures whose tokens see what comes after them too, where the metadata does not say. */
const encoders = /^(llada|dream|rnd1|gemma-embedding|t5encoder)|bert/;

/** Whether tokens see what comes after them too. */
export const seesAll = (source: Source): boolean => !source.flag("attention.causal", !encoders.test(source.architecture));

/** Room for a layer's keys and values in every page. */
export const reserveCache = (source: Source, a: HeadSizes): number =>
  source.reserve(a.kvHeads * headBytes(a.headDim, a.valueDim ?? a.headDim, source.kept));

/** Refuses head sizes that the kernels do not take. */
export function checkHeads(a: HeadSizes, ropeDim: number): void {
  const { heads, kvHeads, headDim, valueDim = headDim } = a;
  const whole = [headDim / 4, valueDim / 4, ropeDim / 2, heads / kvHeads].every(Number.isInteger);
  if (whole && ropeDim <= headDim) return;
  const message = `Heads of ${headDim} values (${ropeDim} rotated), ${heads} queries to ${kvHeads} keys are not supported; the file may be damaged.`;
  throw new LatheError("model.wrong-shape", message, { heads, kvHeads, headDim, valueDim, ropeDim });
}

/** Query heads that one unit of the attention kernel takes: it is unrolled over them. */
const MOST_TOGETHER = 16;

function together(group: number): number {
  let n = Math.min(group, MOST_TOGETHER);
  while (group % n) n--;
  return n;
}

/** Slopes of ALiBi (Press 2021), one a head: powers of 2^(-alibi / n), for other numbers of heads than powers of two with every second between. */
function slopes(heads: number, alibi: number): number[] {
  const n = 2 ** Math.floor(Math.log2(heads));
  return Array.from({ length: heads }, (_, h) => (h < n ? 2 ** ((-alibi * (h + 1)) / n) : 2 ** ((-alibi * (2 * (h - n) + 1)) / (2 * n))));
}

/** Rotates heads in place. */
export function rotate(step: Step, rope: Rope, x: Tensor, heads: number, headDim: number): void {
  const shape: HeadShape = { headDim, ropeDim: rope.dim };
  const table = step.rotation(rope.rotation(step));
  const kernel = once(step.graph, `rope_d${headDim}_r${rope.dim}`, () => ropeKernel(shape));
  const args: Arg[] = [x.region.address, table.address, count("tokens"), x.stride];
  step.graph.launch(kernel, heads, args, { reads: [table], writes: [x.region] });
}

/** Writes the keys (rotated on the way) and values of the step's tokens into their pages. */
export function writeCache(step: Step, a: AttentionShape, k: Tensor, v: Tensor): void {
  const { headDim, valueDim, rope } = a;
  const shape: HeadShape = { headDim, valueDim, ropeDim: rope?.dim ?? 0, kept: step.kept };
  const { cache, kvHeads } = a;
  step.heads.push({ cache, kvHeads, headDim, valueDim: valueDim ?? headDim, ropeDim: shape.ropeDim, rotation: rope?.rotation(step) });
  const table = rope ? step.rotation(rope.rotation(step)) : step.numbers;
  const kernel = once(step.graph, `write_kv_${JSON.stringify(shape)}`, () => writeKv(shape));
  const inputs = [k.region, v.region, table, step.pageIds, step.places];
  const args: Arg[] = [...inputs.map(r => r.address), step.pages.address, count("tokens"), k.stride, v.stride, step.pageBytes, a.cache];
  const traffic = [{ bytes: count("tokens", cachedBytes(a)) }];
  step.graph.launch(kernel, a.kvHeads, args, { reads: inputs, writes: [step.pages], traffic });
}

/** What pages hold of one token for the layer. */
const cachedBytes = (a: HeadSizes): number => (a.kvHeads * headBytes(a.headDim, a.valueDim)) / PAGE;

/** Keys and values that the step's tokens see: each once, and the same of the second set. */
function seenBytes({ window, entries, ...a }: AttentionShape): readonly Traffic[] {
  const bytes = cachedBytes(a);
  const most = window && count("tokens", bytes, (window.size - 1) * bytes);
  return [{ bytes: perKey(bytes), most }, ...(entries ? [{ bytes: perKey(bytes) }] : [])];
}

/** The kernel's options and the arguments that they ask for. */
function options(step: Step, a: AttentionShape): { kernel: AttendOptions; args: Arg[]; reads: Region[] } {
  const { window, softcap, sinks, alibi, relative, bidirectional, selection, entries } = a;
  const kernel: AttendOptions = {
    bidirectional,
    window: window?.kind,
    softcap: softcap !== undefined,
    sinks: sinks !== undefined,
    alibi: alibi !== undefined,
    relative: relative !== undefined,
    selected: selection?.sets,
    entries: entries !== undefined,
  };
  const reads: Region[] = [];
  const args: Arg[] = [];
  const region = (r: Region): void => {
    reads.push(r);
    args.push(r.address);
  };
  if (bidirectional) region(step.ends);
  if (window?.kind === "chunked") {
    region(step.origins);
    step.tied.add("chunks");
  }
  if (window) args.push(window.size);
  if (softcap !== undefined) args.push(softcap, 1 / softcap);
  if (sinks) region(vectorRegion(sinks));
  if (alibi !== undefined) region(step.table(slopes(a.heads, alibi)));
  if (selection) {
    region(selection.rows);
    args.push(selection.bytes);
  }
  if (entries) {
    region(entries.selection.rows);
    args.push(entries.selection.bytes, entries.cache);
  }
  if (relative) {
    const { table, row, middle } = relative(step);
    region(table);
    args.push(row, middle);
  }
  return { kernel, args, reads };
}

/** softmax(scale q K + what the shape says) V over the pages of the tokens' sequences. q is rotated already. */
export function attendOver(step: Step, a: AttentionShape, q: Tensor): Tensor {
  const { graph } = step;
  const { headDim, valueDim = headDim } = a;
  const size = together(a.heads / a.kvHeads);
  const parts = a.heads / a.kvHeads / size;
  const blocks = a.kvHeads * parts;
  const o = options(step, a);
  const shape: HeadShape = { headDim, valueDim, ropeDim: a.rope?.dim ?? 0, kept: step.kept };
  const key = `attend_${JSON.stringify([shape, size, parts, o.kernel])}`;
  const kernel = once(graph, key, () => attendKernel(shape, size, { ...o.kernel, parts }, step.attendSchedule));
  const out = tensor(graph, "tokens", a.heads * valueDim);
  const scratch = graph.region(attendScratch(size) * blocks * graph.limits.tokens);
  const inputs = [q.region, step.pages, step.pageTable, step.starts, step.positions, step.numbers];
  const sizes: Arg[] = [count("tokens"), q.stride, out.stride, step.pageBytes, a.cache, a.scale];
  const args: Arg[] = [...inputs.map(r => r.address), scratch.address, out.region.address, ...sizes, ...o.args];
  graph.launch(kernel, count("tokens", blocks), args, {
    reads: [...inputs, ...o.reads],
    writes: [scratch, out.region],
    traffic: seenBytes(a),
  });
  return out;
}

/** Rotates, writes the new keys and values into their pages, and attends over everything that the tokens' sequences hold. */
export function attend(step: Step, a: AttentionShape, q: Tensor, k: Tensor, v: Tensor): Tensor {
  if (a.rope) rotate(step, a.rope, q, a.heads, a.headDim);
  writeCache(step, a, k, v);
  return attendOver(step, a, q);
}

export interface AttentionOptions extends HeadSizes, Partial<Omit<AttentionShape, keyof HeadSizes | "cache" | "sinks">> {
  /** Width of the model. */
  readonly dim: number;
  /** Norms of queries and keys (attn_q_norm, attn_k_norm): over each head or over all together. */
  readonly qkNorm?: {
    readonly kind?: NormKind;
    readonly eps: number;
    readonly over?: "head" | "all";
    readonly after?: "rope";
    /** The file may have none. */
    readonly optional?: boolean;
    /** Without weights, whatever the file has. */
    readonly bare?: boolean;
  };
  /** Norms of queries and keys in place, after they are rotated. */
  readonly normsAfterRope?: Readonly<Record<"queries" | "keys", (step: Step, x: Tensor) => void>>;
  /** Queries, keys and values are limited to +- this. */
  readonly clamp?: number;
  /** Queries are multiplied by a number that depends on the position. */
  readonly temperature?: Scalars;
  /** What an output gate (attn_gate) goes through; default sigmoid. */
  readonly gate?: ActivationName;
  /** The projection back is multiplied by it. */
  readonly outputScale?: number;
  /** Binds what chooses the keys that count, in layers that have it. */
  readonly chooser?: (at: string) => ((step: Step, x: Input) => Selection) | undefined;
  /** Applied before the projection back. */
  readonly subNorm?: Norm;
  /** Inputs and name of the projection back, and the names of the others. */
  readonly names?: Partial<Record<"q" | "k" | "v" | "qkv" | "out", string>>;
}

interface Heads {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** The projections to queries, keys and values, apart or fused as the file has them. Rows are brought into the order of split pairs. */
function projections(source: Source, at: string, o: AttentionOptions): (step: Step, x: Input) => Heads {
  const { dim, heads, kvHeads, headDim, valueDim = headDim, names = {} } = o;
  const order = pairOrder(o);
  const [qRows, kRows, vRows] = [heads * headDim, kvHeads * headDim, kvHeads * valueDim];
  const fused = `${at}.${names.qkv ?? "attn_qkv"}`;
  if (!source.has(`${fused}.weight`)) {
    const project = (name: string, rows: number, own?: readonly number[]): Linear =>
      linear(source, `${at}.${name}`, dim, rows, { order: own });
    const q = project(names.q ?? "attn_q", qRows, order);
    const k = project(names.k ?? "attn_k", kRows, order);
    const v = project(names.v ?? "attn_v", vRows);
    return (step, x) => ({ q: q(step, x), k: k(step, x), v: v(step, x) });
  }
  const whole =
    order && Array.from({ length: qRows + kRows + vRows }, (_, i) => (i < qRows + kRows ? i - (i % headDim) + order[i % headDim] : i));
  const qkv = linear(source, fused, dim, qRows + kRows + vRows, { order: whole });
  return (step, x) => {
    const all = qkv(step, x);
    return { q: view(all, 0, qRows), k: view(all, qRows, kRows), v: view(all, qRows + kRows, vRows) };
  };
}

/** The row order of a head whose neighbours turn together. */
const pairOrder = ({ rope, headDim }: AttentionOptions): readonly number[] | undefined =>
  rope?.pairs === "neighbours" ? splitPairs(headDim, rope.dim) : undefined;

/** Norms of queries and keys in place; nothing where the file has none. */
function headNorms(source: Source, at: string, o: AttentionOptions): (step: Step, heads: Heads) => void {
  const { qkNorm } = o;
  if (!qkNorm) return () => {};
  const bind = (name: string, heads: number) => {
    const options: HeadNormOptions = {
      kind: qkNorm.kind ?? "rms",
      eps: qkNorm.eps,
      heads,
      headDim: o.headDim,
      order: pairOrder(o),
      optional: qkNorm.optional,
    };
    if (qkNorm.bare) return bareHeadNorm(options);
    return (qkNorm.over === "all" ? wholeNorm : headNorm)(source, `${at}.${name}`, options);
  };
  const [q, k] = [bind("attn_q_norm", o.heads), bind("attn_k_norm", o.kvHeads)];
  return (step, heads) => {
    q?.(step, heads.q);
    k?.(step, heads.k);
  };
}

/** The gate of what attention gives, for each value or each head, where the file has one. */
export function outputGate(source: Source, at: string, dim: number, heads: number, valueDim: number): Linear | undefined {
  const name = `${at}.attn_gate`;
  if (!source.has(`${name}.weight`)) return undefined;
  return linear(source, name, dim, source.rowsOf(`${name}.weight`) === heads ? heads : heads * valueDim);
}

/** Self-attention from normed activations to the width of the model. Binds what is there of biases, norms, sinks and an output gate. */
export function attention(source: Source, at: string, o: AttentionOptions): Branch {
  const { heads, headDim, valueDim = headDim, scale = headDim ** -0.5, clamp: limit, qkNorm, temperature, subNorm } = o;
  checkHeads(o, o.rope?.dim ?? 0);
  const project = projections(source, at, o);
  const norms = headNorms(source, at, o);
  const { normsAfterRope } = o;
  const choose = o.chooser?.(at);
  const sinks = source.has(`${at}.attn_sinks.weight`) ? source.vector(`${at}.attn_sinks.weight`, heads) : undefined;
  const gate = outputGate(source, at, o.dim, heads, valueDim);
  const out = linear(source, `${at}.${o.names?.out ?? "attn_output"}`, heads * valueDim, o.dim, { scale: o.outputScale });
  const shape: AttentionShape = { ...o, scale, sinks, cache: reserveCache(source, o), bidirectional: o.bidirectional ?? seesAll(source) };
  return endingIn(out, (step, x) => {
    const parts = project(step, x);
    if (limit !== undefined) for (const t of [parts.q, parts.k, parts.v]) clamp(step, t, limit);
    const turnFirst = (qkNorm?.after === "rope" || normsAfterRope) && o.rope;
    if (turnFirst) {
      step.tied.add("norms of rotated keys");
      rotate(step, turnFirst, parts.q, heads, headDim);
      rotate(step, turnFirst, parts.k, o.kvHeads, headDim);
    }
    norms(step, parts);
    normsAfterRope?.queries(step, parts.q);
    normsAfterRope?.keys(step, parts.k);
    if (temperature) scaleRows(step, parts.q, temperature);
    const own = { ...shape, rope: turnFirst ? undefined : shape.rope, selection: choose?.(step, x) };
    const y = attend(step, own, parts.q, parts.k, parts.v);
    if (gate) return gatedBy(step, o.gate ?? "sigmoid", gate(step, x), y, heads);
    return subNorm ? subNorm(step, y) : input(step, y);
  });
}
