/**
 * F32, F16 and BF16. Packed: four inputs a block, eight rows of each input side by side. Halves are rebased at packing so that a shift and a
 * mask make an f32 of them: the exponent field counts from 2^-24, which turns subnormal halves into normal numbers (many CPUs are slow on
 * subnormals) and costs nothing, since real weights stay far below 2^7. A tensor that does not is packed as f32.
 */
import { type AnyVal, type Bytes, int, konst, type Val } from "../ir/trace.ts";
import { type Int, type PackBlock, type Packed, type Rows, steps, type WeightFormat } from "./packed.ts";

const INPUTS = 4;
/** Exponent field of an f32 below that of 2^-24; the packed field of 2^-24 is 1. */
const BASE = 127 - 24 - 1;

/** Loads eight rows' values of one input. */
type Weight = (w: Bytes, at: Int) => Rows;

const floats = (name: string, size: number, weight: Weight, scale: number): Packed => ({
  name,
  inputs: INPUTS,
  bytes: INPUTS * 8 * size,
  activation: "f32",
  accumulate: (w, at, tokens, acc) => {
    w.reading(at, INPUTS * 8 * size);
    return steps(tokens, INPUTS, acc, (i, sums) => {
      const v = weight(w, at.add(int(i).mul(8 * size)));
      return tokens.map((t, k) => v.mulAdd(t.value(i), sums[k]));
    });
  },
  finish: sum => (scale === 1 ? sum : sum.mul(scale)),
  decode: (w, at, emit) => {
    for (let i = 0; i < INPUTS; i++) {
      const v = weight(w, at.add(8 * size * i));
      emit(i, scale === 1 ? v : v.mul(scale));
    }
  },
});

/** The sign, copied down by widening, is kept in its own bit only. */
const rebased: Weight = (w, at) =>
  w
    .load("i16", 8, at)
    .to("i32")
    .shl(13)
    .and(0x8fffe000 | 0)
    .as("f32", 8);

const p32 = floats("p32", 4, (w, at) => w.load("f32", 8, at), 1);
const p16half = floats("p16half", 2, rebased, 2 ** BASE);
const p16bfloat = floats("p16bfloat", 2, (w, at) => w.load("u16", 8, at).upper().as("f32", 8), 1);

/** Moves each value of the block through `change`. */
function packEach<T extends "u16" | "i32">(b: PackBlock, type: T, size: number, change: (v: Val<T, 1>) => AnyVal, to: number): void {
  for (let i = 0; i < INPUTS; i++) {
    b.target.store(b.at.add(b.row.mul(to)).add(8 * to * i), change(b.source.load(type, 1, b.from.add(size * i))));
  }
}

export const f32: WeightFormat = {
  name: "F32",
  packed: p32,
  infinite: 0x7f80,
  pack: b =>
    packEach(
      b,
      "i32",
      4,
      v => {
        b.check(v.shr(16).and(0x7fff));
        return v;
      },
      4,
    ),
};

export const bf16: WeightFormat = {
  name: "BF16",
  packed: p16bfloat,
  infinite: 0x7f80,
  pack: b =>
    packEach(
      b,
      "u16",
      2,
      v => {
        b.check(v.to("i32").and(0x7fff));
        return v;
      },
      2,
    ),
};

const f16AsF32: WeightFormat = { name: "F16", packed: p32, infinite: 0x7c00, pack: b => packEach(b, "u16", 2, v => v.fromHalf(), 4) };

/** Sign, five bits of exponent counted from 2^-24, ten of mantissa; zero stays zero. */
function rebase(v: Val<"u16", 1>): Val<"u16", 1> {
  const bits = v.fromHalf().as("i32", 1);
  const code = bits
    .and(0x7fffffff)
    .shr(13)
    .sub(BASE << 10);
  const magnitude = code.lt(1).select(konst("i32", 1, 0), code);
  return magnitude.or(bits.shr(16).and(0x8000)).and(0xffff).saturate("u16");
}

export const f16: WeightFormat = {
  name: "F16",
  packed: p16half,
  infinite: 0x7c00,
  limit: (7 + 15) << 10, // 2^7
  fallback: f16AsF32,
  pack: b =>
    packEach(
      b,
      "u16",
      2,
      v => {
        b.check(v.to("i32").and(0x7fff));
        return rebase(v);
      },
      2,
    ),
};
