/** Compressed entries beside a token's own keys: `<name>_kv`, `_gate`, `_ape` and `_norm`. What blocks are made of stays in the pages. ARCHITECTURES 3.5. */
import { LatheError } from "../errors.ts";
import { type Compression, compress, rowBytes, writeRows } from "../kernels/compress.ts";
import { rotate } from "./attention.ts";
import { count, once } from "./graph.ts";
import { linear } from "./linear.ts";
import { headNorm } from "./norm.ts";
import type { Rope } from "./rope.ts";
import { type Source, vectorRegion } from "./source.ts";
import type { Rotation, Step } from "./step.ts";
import { chunks, type Input, type Tensor, tensor } from "./tensor.ts";

export interface CompressorOptions {
  readonly dim: number;
  /** Values of an entry, and the order in which they are kept. */
  readonly size: number;
  readonly order: readonly number[];
  readonly ratio: number;
  readonly eps: number;
  /** Entries stand at the position of their block's first token. */
  readonly rope: Rope;
}

/** A rotation by the position of a block's first token. */
function byBlock(rope: Rope, ratio: number): Rope {
  let made: { readonly from: Rotation; readonly own: Rotation } | undefined;
  const rotation = (step: Step): Rotation => {
    const from = rope.rotation(step);
    if (made?.from !== from) made = { from, own: { ...from, of: p => p - (p % ratio) } };
    return made.own;
  };
  return { ...rope, rotation };
}

/** The entries [tokens, size], normed and rotated, of tokens that end a block; 0 for others. */
export function compressor(source: Source, name: string, o: CompressorOptions): (step: Step, x: Input) => Tensor {
  const { dim, size, ratio } = o;
  const overlap = source.rowsOf(`${name}_kv.weight`) === 2 * size;
  const width = overlap ? 2 * size : size;
  if (width % 32 || size % 8) {
    const message = `Compressed keys of ${size} values are not supported, only multiples of 32; use another model.`;
    throw new LatheError("model.wrong-shape", message, { size });
  }
  const [kv, gate] = ["kv", "gate"].map(part => linear(source, `${name}_${part}`, dim, width, { order: o.order }));
  const offsets = source.vector(`${name}_ape.weight`, width * ratio, o.order);
  const norm = headNorm(source, `${name}_norm`, { kind: "rms", eps: o.eps, heads: 1, headDim: size, order: o.order })!;
  const [values, logits] = [source.reserve(rowBytes(width)), source.reserve(rowBytes(width))];
  const turn = byBlock(o.rope, ratio);
  const shape: Compression = { ratio, size, overlap };
  const keep = (step: Step, x: Tensor, at: number): void => {
    const kernel = once(step.graph, `write_rows_${width}`, () => writeRows(width));
    const reads = [x.region, step.pageIds, step.places];
    const args = [...reads.map(r => r.address), step.pages.address, count("tokens"), x.stride, step.pageBytes, at];
    step.graph.launch(kernel, chunks(width), args, { reads, writes: [step.pages], traffic: [{ bytes: count("tokens", 4 * width) }] });
  };
  return (step, x) => {
    keep(step, kv(step, x), values);
    keep(step, gate(step, x), logits);
    const out = tensor(step.graph, "tokens", size);
    const kernel = once(step.graph, `compress_${JSON.stringify(shape)}`, () => compress(shape));
    const reads = [step.pages, step.pageTable, step.starts, step.positions, vectorRegion(offsets)];
    const args = [...reads.map(r => r.address), out.region.address, count("tokens"), out.stride, step.pageBytes, values, logits];
    // An entry is made of values and logits of as many tokens as it stands for, or of twice as many.
    const traffic = [{ bytes: count("tokens", 8 * width) }];
    step.graph.launch(kernel, count("tokens", size / 8), args, { reads, writes: [out.region], traffic });
    norm(step, out);
    rotate(step, turn, out, 1, size);
    return out;
  };
}
