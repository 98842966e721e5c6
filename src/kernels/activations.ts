/**
 * The forms in which kernels hand activations to matmul: plain f32 rows, or quantised records (formats/packed.ts). Every producer (norm, SwiGLU,
 * plain conversion) writes through a sink, so that quantisation is said once.
 */
import { activationBytes, type Form, record } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { silu } from "./math.ts";

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
  const first = rounded.slice(0, 16).sum();
  const sum = first.add(rounded.slice(16, 16).sum());
  out.store(at.add(record.scale), scale);
  out.store(at.add(record.scaledSum), sum.to("f32").mul(scale));
  out.store(at.add(record.sum), sum);
  out.store(at.add(record.firstSum), first);
}

/** Writes chunk number `chunk` of the row that begins at byte `row`. */
export function sink(form: Form, out: Bytes, row: Int, chunk: Int, x: Chunk): void {
  const at = row.add(chunk.mul(activationBytes(form, record.inputs)));
  if (form === "f32") out.store(at, x);
  else quantise(form, out, at, x);
}

const chunkAt = (x: Bytes, row: Int, chunk: Int): Chunk => x.load("f32", 32, row.add(chunk.mul(128)));

/** Plain conversion. Slots: x, out; tokens, strides in bytes. Grid: chunks of 32 columns. */
export const convert = (form: Form): Kernel =>
  kernel(`convert_${form}`, s => {
    const [x, out, tokens, xStride, outStride] = [s.in("x"), s.out("out"), s.size("tokens"), s.size("xStride"), s.size("outStride")];
    return chunk =>
      each(0, tokens, t => {
        sink(form, out, t.mul(outStride), chunk, chunkAt(x, t.mul(xStride), chunk));
      });
  });

/** silu(gate) * up. Slots: gate, up, out; tokens, strides in bytes. Grid: chunks of 32 columns. */
export const swiglu = (form: Form): Kernel =>
  kernel(`swiglu_${form}`, s => {
    const [gate, up, out] = [s.in("gate"), s.in("up"), s.out("out")];
    const [tokens, inStride, outStride] = [s.size("tokens"), s.size("inStride"), s.size("outStride")];
    return chunk =>
      each(0, tokens, t => {
        const row = t.mul(inStride);
        const value = silu(chunkAt(gate, row, chunk)).mul(chunkAt(up, row, chunk));
        sink(form, out, t.mul(outStride), chunk, value);
      });
  });

/**
 * RMSNorm: x / sqrt(mean(x^2) + eps) * weight. Slots: x, weight, rows (i32 row number of each token), out; chunks of 32 columns (rows are
 * padded with zeros), strides in bytes; 1 / columns, eps. Grid: tokens.
 */
export const rmsNorm = (form: Form): Kernel =>
  kernel(`rms_norm_${form}`, s => {
    const [x, weight, rows, out] = [s.in("x"), s.in("weight"), s.in("rows"), s.out("out")];
    const [chunks, xStride, outStride] = [s.size("chunks", 1 << 20), s.size("xStride"), s.size("outStride")];
    const [perColumn, eps] = [s.scalar("perColumn"), s.scalar("eps")];
    return token => {
      const row = rows.load("i32", 1, token.mul(4)).mul(xStride);
      const [squares] = fold(chunks, [konst("f32", 32, 0)], (c, [sum]) => {
        const v = chunkAt(x, row, c);
        return [v.mulAdd(v, sum)];
      });
      const scale = konst("f32", 1, 1).div(squares.sum().mul(perColumn).add(eps).sqrt()).repeat(32);
      each(0, chunks, c => {
        const value = chunkAt(x, row, c)
          .mul(scale)
          .mul(weight.load("f32", 32, c.mul(128)));
        sink(form, out, token.mul(outStride), c, value);
      });
    };
  });
