/**
 * Encoders that follow a rule: the scale is a function of the block's extremes, and each code the nearest. They compute in f32 step by step, as
 * ggml's do, so that the bytes agree. (Formats whose scales are searched for have files of their own.)
 *
 * Source: the reference quantisers of ggml (ggml-quants.c), in the description of their rules.
 */
import { fromE4m3, toBfloat, toE4m3, toHalf } from "./floats.ts";

/** Encodes the block of values `x` into the bytes of `out` from `at` on; `weights` say how much the error of each value counts. */
export type EncodeBlock = (x: Float32Array, out: DataView, at: number, weights?: Float32Array) => void;

const f = Math.fround;

const greatest = (x: Float32Array): number => x.reduce((m, v) => Math.max(m, Math.abs(v)), 0);

/** The first of the values of greatest magnitude, with its sign. */
function extreme(x: Float32Array): number {
  let [most, magnitude] = [0, 0];
  for (const v of x) if (Math.abs(v) > magnitude) [most, magnitude] = [v, Math.abs(v)];
  return most;
}

const inverse = (d: number): number => (d ? f(1 / d) : 0);
/** To the nearest integer, halves away from zero. */
const away = (x: number): number => Math.trunc(x + (x < 0 ? -0.5 : 0.5));

/** Stores 32 codes of four or five bits: their fifth bits in a word at `high`, the others as nibbles from `low` on. */
function storeCodes(codes: Uint8Array, out: DataView, low: number, high: number | undefined): void {
  let fifth = 0;
  for (let i = 0; i < 16; i++) {
    out.setUint8(low + i, (codes[i] & 15) | ((codes[i + 16] & 15) << 4));
    fifth |= ((codes[i] >> 4) << i) | ((codes[i + 16] >> 4) << (i + 16));
  }
  if (high !== undefined) out.setUint32(high, fifth >>> 0, true);
}

/** Q4_0, Q5_0: the extreme value becomes the least code. */
const symmetric =
  (bits: 4 | 5): EncodeBlock =>
  (x, out, at) => {
    const half = 2 ** (bits - 1);
    const d = f(extreme(x) / -half);
    const id = inverse(d);
    out.setUint16(at, toHalf(d), true);
    const codes = Uint8Array.from(x, v => Math.min(2 * half - 1, Math.trunc(f(f(v * id) + half + 0.5))));
    storeCodes(codes, out, at + (bits === 5 ? 6 : 2), bits === 5 ? at + 2 : undefined);
  };

/** Q4_1, Q5_1: the least value becomes 0, the greatest the greatest code. */
const spanning =
  (bits: 4 | 5): EncodeBlock =>
  (x, out, at) => {
    const least = x.reduce((m, v) => Math.min(m, v));
    const most = x.reduce((m, v) => Math.max(m, v));
    const d = f(f(most - least) / (2 ** bits - 1));
    const id = inverse(d);
    out.setUint16(at, toHalf(d), true);
    out.setUint16(at + 2, toHalf(least), true);
    const codes = Uint8Array.from(x, v => Math.min(2 ** bits - 1, Math.trunc(f(f(f(v - least) * id) + 0.5))));
    storeCodes(codes, out, at + (bits === 5 ? 8 : 4), bits === 5 ? at + 4 : undefined);
  };

const q8_0: EncodeBlock = (x, out, at) => {
  const d = f(greatest(x) / 127);
  const id = inverse(d);
  out.setUint16(at, toHalf(d), true);
  x.forEach((v, i) => {
    out.setInt8(at + 2 + i, away(f(v * id)));
  });
};

/** -1, 0, 1 as 0, 1, 2. */
function ternary(x: Float32Array): { d: number; codes: Uint8Array } {
  const d = greatest(x);
  const id = inverse(d);
  return { d, codes: Uint8Array.from(x, v => away(f(v * id)) + 1) };
}

const tq2_0: EncodeBlock = (x, out, at) => {
  const { d, codes } = ternary(x);
  for (let i = 0; i < 64; i++) {
    const from = 128 * (i >> 5) + (i & 31);
    out.setUint8(
      at + i,
      [0, 1, 2, 3].reduce((byte, k) => byte | (codes[from + 32 * k] << (2 * k)), 0),
    );
  }
  out.setUint16(at + 64, toHalf(d), true);
};

/** Five digits of base 3 as the fraction of 256 that is not less. */
const fraction = (digits: readonly number[]): number => Math.floor((digits.reduce((v, q) => 3 * v + q, 0) * 256 + 242) / 243);

const tq1_0: EncodeBlock = (x, out, at) => {
  const { d, codes } = ternary(x);
  for (let m = 0; m < 32; m++) out.setUint8(at + m, fraction([0, 1, 2, 3, 4].map(n => codes[32 * n + m])));
  for (let m = 0; m < 16; m++) out.setUint8(at + 32 + m, fraction([0, 1, 2, 3, 4].map(n => codes[160 + 16 * n + m])));
  for (let m = 0; m < 4; m++) out.setUint8(at + 48 + m, fraction([...[0, 1, 2, 3].map(n => codes[240 + 4 * n + m]), 0]));
  out.setUint16(at + 52, toHalf(d), true);
};

const q2_0: EncodeBlock = (x, out, at) => {
  const { d, codes } = ternary(x);
  out.setUint16(at, toHalf(d), true);
  for (let i = 0; i < 16; i++)
    out.setUint8(
      at + 2 + i,
      [0, 1, 2, 3].reduce((byte, k) => byte | (codes[4 * i + k] << (2 * k)), 0),
    );
};

/** The scale is the mean magnitude, summed in order. */
const q1_0: EncodeBlock = (x, out, at) => {
  const sum = x.reduce((s, v) => f(s + Math.abs(v)), 0);
  out.setUint16(at, toHalf(f(sum / 128)), true);
  for (let i = 0; i < 16; i++) {
    let byte = 0;
    for (let k = 0; k < 8; k++) byte |= (x[8 * i + k] >= 0 ? 1 : 0) << k;
    out.setUint8(at + 2 + i, byte);
  }
};

/** Twice the values of E2M1. */
const e2m1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** The first of the nearest values times `d`. */
function nearestE2m1(x: number, d: number): number {
  let [best, error] = [0, Number.POSITIVE_INFINITY];
  e2m1.forEach((value, i) => {
    const e = f(Math.abs(f(f(value * d) - x)));
    if (e < error) [best, error] = [i, e];
  });
  return best;
}

const mxfp4: EncodeBlock = (x, out, at) => {
  const amax = greatest(x);
  const e = amax > 0 ? Math.min(255, Math.max(0, Math.floor(Math.log2(amax)) - 2 + 127)) : 0;
  out.setUint8(at, e);
  storeCodes(
    Uint8Array.from(x, v => nearestE2m1(v, 2 ** (e - 128))),
    out,
    at + 1,
    undefined,
  );
};

const nvfp4: EncodeBlock = (x, out, at) => {
  for (let s = 0; s < 4; s++) {
    const part = x.subarray(16 * s, 16 * s + 16);
    const scale = toE4m3(f(greatest(part) / 6));
    const d = fromE4m3(scale) / 2;
    out.setUint8(at + s, scale);
    for (let j = 0; j < 8; j++) out.setUint8(at + 4 + 8 * s + j, nearestE2m1(part[j], d) | (nearestE2m1(part[j + 8], d) << 4));
  }
};

/** By ggml's type name. */
export const rules: Readonly<Record<string, EncodeBlock>> = {
  F32: (x, out, at) => out.setFloat32(at, x[0], true),
  F16: (x, out, at) => out.setUint16(at, toHalf(x[0]), true),
  BF16: (x, out, at) => out.setUint16(at, toBfloat(x[0]), true),
  Q4_0: symmetric(4),
  Q5_0: symmetric(5),
  Q4_1: spanning(4),
  Q5_1: spanning(5),
  Q8_0: q8_0,
  TQ1_0: tq1_0,
  TQ2_0: tq2_0,
  Q2_0: q2_0,
  Q1_0: q1_0,
  MXFP4: mxfp4,
  NVFP4: nvfp4,
};
