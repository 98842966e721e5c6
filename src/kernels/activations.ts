/**
 * The forms in which kernels hand activations to matmul: plain f32 rows, or quantised records (formats/packed.ts). Every producer (norms,
 * activations, plain conversion) writes through a sink, so that quantisation is said once.
 */
import { activationBytes, type Form, inBytes, record } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, kernel, konst, type Val } from "../ir/trace.ts";

type Int = Val<"i32", 1>;
/** 32 neighbouring values of a row. */
export type Chunk = Val<"f32", 32>;

/** 2^23 + 2^22: adding it rounds to the nearest integer, which then sits in the low bits. */
const ROUND = 12582912;
/** Keeps divisors from being 0. */
const TINY = 1e-30;

/** What activations are multiplied by before they are rounded, and the scale of what is rounded. */
interface Grid {
  readonly factor: Val<"f32", 1>;
  readonly scale: Val<"f32", 1>;
}

/** Nearest integers, ties to even, as floats with ROUND added. */
const round = (x: Chunk, { factor }: Grid): Chunk => x.mul(factor.repeat(32)).min(127).max(-127).add(ROUND);

/** The greatest becomes 127. */
function widest(x: Chunk): Grid {
  const amax = x.abs().greatest();
  return { factor: konst("f32", 1, 127).div(amax.max(TINY)), scale: amax.mul(1 / 127) };
}

/** The scale of least squares of what another grid rounds to. */
function fitting(x: Chunk, grid: Grid): Grid {
  const nearest = round(x, grid).sub(ROUND);
  const [along, square] = [x.mul(nearest).sum().max(TINY), nearest.mul(nearest).sum().max(TINY)];
  return { factor: square.div(along), scale: along.div(square) };
}

/** Writes one quantised record. */
function quantise(form: Exclude<Form, "f32">, out: Bytes, at: Int, x: Chunk): void {
  const grid = form === "q8fit" ? fitting(x, widest(x)) : widest(x);
  const { scale } = grid;
  const rounded = round(x, grid).as("i32", 32).sub(0x4b400000);
  out.store(at.add(record.values), rounded.saturate(inBytes(form) ? "i8" : "i16"));
  const [first, last] = [rounded.slice(0, 16).sum(), rounded.slice(16, 16).sum()];
  const sum = first.add(last);
  out.store(at.add(record.scale), scale);
  out.store(at.add(record.scaledSum), sum.to("f32").mul(scale));
  out.store(at.add(record.eightfold), sum.shl(3));
  out.store(at.add(record.halfSums), first.and(0xffff).or(last.shl(16)));
}

/** Writes chunk number `chunk` of the row that begins at byte `row`. */
export function sink(form: Form, out: Bytes, row: Int, chunk: Int, x: Chunk): void {
  const at = row.add(chunk.mul(activationBytes(form, record.inputs)));
  if (form === "f32") out.store(at, x);
  else quantise(form, out, at, x);
}

export const chunkAt = (x: Bytes, row: Int, chunk: Int): Chunk => x.load("f32", 32, row.add(chunk.mul(128)));

/** Which token and which chunk of its row a unit is, token after token: neighbours in a row follow each other, as the memory likes it. */
export function placeOf(unit: Int, chunks: Int): { readonly token: Int; readonly chunk: Int } {
  const token = unit.quotient(chunks.max(1));
  return { token, chunk: unit.sub(token.mul(chunks)) };
}

/** Plain conversion. Slots: x, out; chunks of 32 columns in a row, strides in bytes. Grid: tokens x chunks. */
export const convert = (form: Form): Kernel =>
  kernel(`convert_${form}`, s => {
    const [x, out, chunks, xStride, outStride] = [s.in("x"), s.out("out"), s.size("chunks"), s.size("xStride"), s.size("outStride")];
    return unit => {
      const { token, chunk } = placeOf(unit, chunks);
      sink(form, out, token.mul(outStride), chunk, chunkAt(x, token.mul(xStride), chunk));
    };
  });
