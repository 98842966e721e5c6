/**
 * Multi-head latent attention: keys and values of all heads are made from one short latent vector c and one rotated key part that the heads
 * share. With the matrices k_b and v_b apart, queries are brought to the latent's side instead, and pages hold c alone ("absorbed": one key
 * head of rank + rope values); with kv_b together, keys and values are made out and cached. ARCHITECTURES 1.3, 3.5.
 */
import { activationBytes, GROUP } from "../formats/packed.ts";
import { headBeginnings, type Joined, joinHeads } from "../kernels/heads.ts";
import { headMatmul } from "../kernels/matmul.ts";
import { type AttentionShape, attend, type HeadSizes, outputGate, reserveCache, type Selection } from "./attention.ts";
import { gatedBy, scaleRows } from "./elementwise.ts";
import { count, once } from "./graph.ts";
import { type Branch, endingIn, type Linear, linear, scaleArgs } from "./linear.ts";
import { fitting } from "./moe.ts";
import { headNorm, norm } from "./norm.ts";
import { type Rope, splitPairs } from "./rope.ts";
import { blocksPerRow, paddedRows, type Source, vectorRegion, weightRegion } from "./source.ts";
import type { Scalars, Step } from "./step.ts";
import { countOf, type Input, input, type Tensor, tensor, view } from "./tensor.ts";

export interface MlaOptions {
  readonly dim: number;
  readonly heads: number;
  /** Values of a head of q and k: those that are rotated, and all. */
  readonly ropeDim: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Length of c. */
  readonly rank: number;
  /** Length of the latent vector of queries; 0: queries come from x. */
  readonly queryRank: number;
  readonly eps: number;
  readonly scale: number;
  /** Absent: nothing is rotated. */
  readonly rope?: Rope;
  readonly window?: AttentionShape["window"];
  readonly temperature?: Scalars;
  /** Binds what chooses the keys that count, from what is normed: x, and what the queries are made of. */
  readonly chooser?: (at: string) => (step: Step, x: Input, queries: Input) => Selection;
}

/** The sizes that the metadata gives. */
export function mlaSizes(source: Source): Pick<MlaOptions, "ropeDim" | "keyDim" | "valueDim" | "rank" | "queryRank"> {
  const keyDim = source.size("attention.key_length_mla", { max: 4096, or: source.number("attention.key_length") });
  const even = source.size("embedding_length") / source.layerSize("attention.head_count", 0, { max: 4096 });
  const valueDim = source.size("attention.value_length_mla", { max: 4096, or: source.number("attention.value_length", even) });
  return {
    keyDim,
    valueDim,
    ropeDim: source.size("rope.dimension_count", { max: keyDim }),
    rank: source.size("attention.kv_lora_rank", { max: 65536 }),
    queryRank: source.size("attention.q_lora_rank", { or: 0, min: 0, max: 65536 }),
  };
}

/** out[head] = [first | second]. */
function join(step: Step, j: Joined, first: Tensor, second: Tensor): Tensor {
  const out = tensor(step.graph, "tokens", j.heads * (j.first + j.second));
  const kernel = once(step.graph, `join_heads_${JSON.stringify(j)}`, () => joinHeads(j));
  const args = [first.region.address, second.region.address, out.region.address, first.stride, second.stride, out.stride];
  step.graph.launch(kernel, count("tokens"), args, { reads: [first.region, second.region], writes: [out.region] });
  return out;
}

/** y[head] = W[head] x[head], of the tensor `<name>.weight` [inputs, outputs, heads], and of `<name>.scale` where the file has it. */
export function headLinear(
  source: Source,
  name: string,
  inputs: number,
  outputs: number,
  heads: number,
): (step: Step, x: Tensor) => Tensor {
  const pad = outputs % GROUP !== 0;
  const weight = source.matrix(`${name}.weight`, inputs, outputs, { parts: heads, pad });
  const scales = source.scales(name, heads);
  const rows = pad ? paddedRows(outputs) : outputs;
  return (step, x) => {
    const { packed } = weight.format;
    const schedule = fitting(step.schedule(packed), rows);
    const from = input(step, x).form(packed.activation);
    const y = tensor(step.graph, x.rows, heads * rows);
    const key = `head_matmul_${packed.name}_${from.stride}_${JSON.stringify([schedule, scales !== undefined])}`;
    const kernel = once(step.graph, key, () => headMatmul(packed, schedule, from.stride, scales !== undefined));
    const sizes = [blocksPerRow(weight), rows / GROUP, activationBytes(packed.activation, inputs), count(x.rows), y.stride];
    const more = scales ? scaleArgs(scales) : [];
    step.graph.launch(
      kernel,
      (heads * rows) / (GROUP * schedule.groups),
      [weight.address, from.region.address, y.region.address, ...sizes, ...more],
      {
        reads: [weightRegion(weight), from.region, ...(scales ? [vectorRegion(scales)] : [])],
        writes: [y.region],
        bytes: weightRegion(weight).bytes,
        operations: 2 * inputs * outputs * heads,
      },
    );
    return pad ? beginnings(step, y, heads, outputs) : y;
  };
}

/** The first `size` values of every head, close together. */
function beginnings(step: Step, x: Tensor, heads: number, size: number): Tensor {
  const out = tensor(step.graph, x.rows, heads * size);
  const kernel = once(step.graph, `head_beginnings_${heads}_${x.columns}_${size}`, () => headBeginnings(heads, x.columns / heads, size));
  const args = [x.region.address, out.region.address, x.stride, out.stride];
  step.graph.launch(kernel, countOf(x), args, { reads: [x.region], writes: [out.region] });
  return out;
}

/** Queries of all heads: first the rotated parts, then the others. Also gives what the projection multiplies (for an indexer). */
function mlaQueries(source: Source, at: string, o: MlaOptions) {
  const { dim, heads, ropeDim, keyDim, queryRank, rope } = o;
  const plain = keyDim - ropeDim;
  const turn = rope?.pairs === "neighbours" ? splitPairs(ropeDim, ropeDim) : undefined;
  const order = Array.from({ length: heads * keyDim }, (_, i) => {
    const rotated = i < heads * ropeDim;
    const [size, first] = rotated ? [ropeDim, plain] : [plain, 0];
    const own = rotated ? i : i - heads * ropeDim;
    const within = own % size;
    return Math.floor(own / size) * keyDim + first + (rotated && turn ? turn[within] : within);
  });
  const latent = queryRank ? linear(source, `${at}.attn_q_a`, dim, queryRank) : undefined;
  const latentNorm = queryRank ? norm(source, "rms", `${at}.attn_q_a_norm`, queryRank, o.eps) : undefined;
  const q = linear(source, `${at}.attn_q${queryRank ? "_b" : ""}`, queryRank || dim, heads * keyDim, { order });
  return (step: Step, x: Input) => {
    const from = latent && latentNorm ? latentNorm(step, latent(step, x)) : x;
    const all = q(step, from);
    return { from, rotated: view(all, 0, heads * ropeDim), plain: view(all, heads * ropeDim, heads * plain) };
  };
}

/** c, normed, and the key part that all heads share, normed where the file has attn_k_norm. */
function latents(source: Source, at: string, o: MlaOptions): (step: Step, x: Input) => { c: Input; rotated: Tensor } {
  const { dim, rank, ropeDim, rope } = o;
  const turn = rope?.pairs === "neighbours" ? splitPairs(ropeDim, ropeDim) : undefined;
  const order = turn && Array.from({ length: rank + ropeDim }, (_, i) => (i < rank ? i : rank + turn[i - rank]));
  const project = linear(source, `${at}.attn_kv_a_mqa`, dim, rank + ropeDim, { order });
  const normed = norm(source, "rms", `${at}.attn_kv_a_norm`, rank, o.eps);
  const sharedNorm = headNorm(source, `${at}.attn_k_norm`, {
    kind: "rms",
    eps: o.eps,
    heads: 1,
    headDim: ropeDim,
    order: turn,
    optional: true,
  });
  return (step, x) => {
    const all = project(step, x);
    const rotated = view(all, rank, ropeDim);
    sharedNorm?.(step, rotated);
    return { c: normed(step, view(all, 0, rank)), rotated };
  };
}

type Attends = (step: Step, q: { rotated: Tensor; plain: Tensor }, k: { c: Input; rotated: Tensor }, selection?: Selection) => Tensor;

/** The attention over pages; with sinks where the file has them. */
const shapeOf = (source: Source, at: string, { heads, rope, scale, window }: MlaOptions, sizes: HeadSizes): AttentionShape => ({
  ...{ ...sizes, rope, scale, window, cache: reserveCache(source, sizes) },
  sinks: source.has(`${at}.attn_sinks.weight`) ? source.vector(`${at}.attn_sinks.weight`, heads) : undefined,
});

function absorbed(source: Source, at: string, o: MlaOptions): Attends {
  const { heads, ropeDim, keyDim, valueDim, rank, temperature } = o;
  const toLatent = headLinear(source, `${at}.attn_k_b`, keyDim - ropeDim, rank, heads);
  const toValues = headLinear(source, `${at}.attn_v_b`, rank, valueDim, heads);
  const sizes = { heads, kvHeads: 1, headDim: ropeDim + rank, valueDim: rank };
  const shape = shapeOf(source, at, o, sizes);
  return (step, q, k, selection) => {
    const c = k.c.form("f32");
    const queries = join(step, { heads, first: ropeDim, second: rank, shared: false }, q.rotated, toLatent(step, q.plain));
    if (temperature) scaleRows(step, queries, temperature);
    const keys = join(step, { heads: 1, first: ropeDim, second: rank, shared: false }, k.rotated, c);
    return toValues(step, attend(step, { ...shape, selection }, queries, keys, c));
  };
}

function madeOut(source: Source, at: string, o: MlaOptions): Attends {
  const { heads, ropeDim, keyDim, valueDim, rank, temperature } = o;
  const plain = keyDim - ropeDim;
  // Rows of the file: a head's key part, then its value. Here: all key parts, then all values.
  const order = Array.from({ length: heads * (plain + valueDim) }, (_, i) => {
    const key = i < heads * plain;
    const [size, first] = key ? [plain, 0] : [valueDim, plain];
    const own = key ? i : i - heads * plain;
    return Math.floor(own / size) * (plain + valueDim) + first + (own % size);
  });
  const both: Linear = linear(source, `${at}.attn_kv_b`, rank, heads * (plain + valueDim), { order });
  const sizes = { heads, kvHeads: heads, headDim: keyDim, valueDim };
  const shape = shapeOf(source, at, o, sizes);
  return (step, q, k, selection) => {
    const kv = both(step, k.c);
    const queries = join(step, { heads, first: ropeDim, second: plain, shared: false }, q.rotated, q.plain);
    if (temperature) scaleRows(step, queries, temperature);
    const keys = join(step, { heads, first: ropeDim, second: plain, shared: true }, k.rotated, view(kv, 0, heads * plain));
    return attend(step, { ...shape, selection }, queries, keys, view(kv, heads * plain, heads * valueDim));
  };
}

/** Latent attention from normed activations to the width of the model. */
export function mla(source: Source, at: string, o: MlaOptions): Branch {
  const queries = mlaQueries(source, at, o);
  const keys = latents(source, at, o);
  const separate = source.has(`${at}.attn_k_b.weight`);
  if (separate) source.ignore(`${at}.attn_kv_b.`);
  const attends = (separate ? absorbed : madeOut)(source, at, o);
  const choose = o.chooser?.(at);
  const gate = outputGate(source, at, o.dim, o.heads, o.valueDim);
  const out = linear(source, `${at}.attn_output`, o.heads * o.valueDim, o.dim);
  return endingIn(out, (step, x) => {
    const q = queries(step, x);
    const y = attends(step, q, keys(step, x), choose?.(step, x, q.from));
    return gate ? gatedBy(step, "sigmoid", gate(step, x), y, o.heads) : input(step, y);
  });
}
