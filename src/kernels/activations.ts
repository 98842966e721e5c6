/**
 * The forms in which kernels hand activations to matmul: plain f32 rows, or quantised records (formats/packed.ts). Every producer (norms,
 * activations, plain conversion) writes through a sink, so that quantisation is said once.
 */
import { activationBytes, type Form, record } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, kernel, konst, type Val } from "../ir/trace.ts";

type Int = Val<"i32", 1>;
/** 32 neighbouring values of a row. */
export type Chunk = Val<"f32", 32>;

/** 2^23 + 2^22: adding it rounds to the nearest integer, which then sits in the low bits. */
const ROUND = 12582912;

/** Writes one quantised record; scale = max |x| / 127, values rounded to nearest even. */
function quantise(form: "q8" | "q16", out: Bytes, at: Int, x: Chunk): void {
  const amax = x.abs().greatest();
  const scale = amax.mul(1 / 127);
  const factor = konst("f32", 1, 127).div(amax.max(1e-30));
  const rounded = x.mul(factor.repeat(32)).min(127).max(-127).add(ROUND).as("i32", 32).sub(0x4b400000);
  out.store(at.add(record.values), rounded.saturate(form === "q8" ? "i8" : "i16"));
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
