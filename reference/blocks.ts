/**
 * The reference for the weight types that reference/llama.ts does not spell out: from the bytes of a block to float64, value by value, in the
 * order of the formulas that describe them. Like the rest of the reference it shares no code with `src/`.
 *
 * Source: the block layouts and scalar decoders of ggml (ggml-common.h, ggml-quants.c).
 */

import { iq1, iq2s, iq2xs, iq2xxs, iq3s, iq3xxs } from "./grids.ts";

/** Writes the values of one block. */
export type Decode = (block: DataView, into: Float64Array) => void;

/** IEEE half precision. */
function half(b: DataView, at: number): number {
  const bits = b.getUint16(at, true);
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const special = fraction ? Number.NaN : Number.POSITIVE_INFINITY;
  const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? special : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

const bit = (b: DataView, at: number, i: number): number => (b.getUint8(at + (i >> 3)) >> (i & 7)) & 1;
/** The lower (0) or upper (1) four bits of a byte. */
const nibble = (b: DataView, at: number, upper: number): number => (b.getUint8(at) >> (4 * upper)) & 15;

/** 32 values: nibble i % 16 of the bytes from `qs`, low for the first sixteen; `value` says what it stands for. */
const thirtyTwo =
  (qs: number, value: (b: DataView, q: number, i: number) => number): Decode =>
  (b, y) => {
    for (let i = 0; i < 32; i++) y[i] = value(b, nibble(b, qs + (i & 15), i >> 4), i);
  };

const q4_1 = thirtyTwo(4, (b, q) => q * half(b, 0) + half(b, 2));
const q5_0 = thirtyTwo(6, (b, q, i) => (q + 16 * bit(b, 2, i) - 16) * half(b, 0));
const q5_1 = thirtyTwo(8, (b, q, i) => (q + 16 * bit(b, 4, i)) * half(b, 0) + half(b, 2));

/** Two bits of byte t of a half of 32 bytes, for value i of 256. */
const twoBits = (b: DataView, qs: number, i: number): number => (b.getUint8(qs + 32 * (i >> 7) + (i & 31)) >> (2 * ((i >> 5) & 3))) & 3;

const q2_K: Decode = (b, y) => {
  for (let i = 0; i < 256; i++) {
    const g = i >> 4;
    y[i] = half(b, 80) * nibble(b, g, 0) * twoBits(b, 16, i) - half(b, 82) * nibble(b, g, 1);
  }
};

const q3_K: Decode = (b, y) => {
  for (let i = 0; i < 256; i++) {
    const g = i >> 4;
    const low = nibble(b, 96 + (g & 7), g >> 3);
    const high = (b.getUint8(104 + (g & 3)) >> (2 * (g >> 2))) & 3;
    const fourth = (b.getUint8(i & 31) >> (i >> 5)) & 1;
    y[i] = half(b, 108) * (low + 16 * high - 32) * (twoBits(b, 32, i) - (fourth ? 0 : 4));
  }
};

const q5_K: Decode = (b, y) => {
  const s = (i: number) => b.getUint8(4 + i);
  for (let i = 0; i < 256; i++) {
    const [g, t] = [i >> 5, i & 31];
    const scale = g < 4 ? s(g) & 63 : (s(g + 4) & 15) | ((s(g - 4) >> 6) << 4);
    const min = g < 4 ? s(g + 4) & 63 : (s(g + 4) >> 4) | ((s(g) >> 6) << 4);
    const q = nibble(b, 48 + 32 * (g >> 1) + t, g & 1) + 16 * ((b.getUint8(16 + t) >> g) & 1);
    y[i] = half(b, 0) * scale * q - half(b, 2) * min;
  }
};

const normal = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/** Four-bit floats; 0 has no sign. */
const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];

const iq4_NL = thirtyTwo(2, (b, q) => normal[q] * half(b, 0));

const iq4_XS: Decode = (b, y) => {
  for (let i = 0; i < 256; i++) {
    const g = i >> 5;
    const scale = nibble(b, 4 + (g >> 1), g & 1) + 16 * ((b.getUint16(2, true) >> (2 * g)) & 3);
    y[i] = half(b, 0) * (scale - 32) * normal[nibble(b, 8 + 16 * g + (i & 15), (i >> 4) & 1)];
  }
};

const mxfp4 = thirtyTwo(1, (b, q) => e2m1[q] * 2 ** (b.getUint8(0) - 127));

function e4m3(x: number): number {
  if (x === 0 || x === 0x7f) return 0;
  const [exponent, man] = [(x >> 3) & 15, x & 7];
  return exponent ? (1 + man / 8) * 2 ** (exponent - 7) : man * 2 ** -9;
}

const nvfp4: Decode = (b, y) => {
  for (let i = 0; i < 64; i++) {
    const [s, j] = [i >> 4, i & 15];
    y[i] = e4m3(b.getUint8(s)) * e2m1[nibble(b, 4 + 8 * s + (j & 7), j >> 3)];
  }
};

/** Base-3 digit n of a byte, the first being the most significant. */
const trit = (byte: number, n: number): number => Math.floor((((byte * 3 ** n) % 256) * 3) / 256);

const tq1_0: Decode = (b, y) => {
  const d = half(b, 52);
  let i = 0;
  for (const [first, bytes, digits] of [
    [0, 32, 5],
    [32, 16, 5],
    [48, 4, 4],
  ])
    for (let n = 0; n < digits; n++) for (let m = 0; m < bytes; m++) y[i++] = (trit(b.getUint8(first + m), n) - 1) * d;
};

const tq2_0: Decode = (b, y) => {
  for (let i = 0; i < 256; i++) y[i] = (twoBits(b, 0, i) - 1) * half(b, 64);
};

const q2_0: Decode = (b, y) => {
  for (let i = 0; i < 64; i++) y[i] = (((b.getUint8(2 + (i >> 2)) >> (2 * (i & 3))) & 3) - 1) * half(b, 0);
};

const q1_0: Decode = (b, y) => {
  for (let i = 0; i < 128; i++) y[i] = bit(b, 2, i) ? half(b, 0) : -half(b, 0);
};

// ---- Codebooks: value i of 256 stands in group g of 32, in eight l of the group, at place j of the eight ---------------------------------

/** Eight values of 0 .. 2 an entry. */
const digit3 = (book: Uint16Array, index: number, j: number): number => (book[index] >> (2 * j)) & 3;
/** Four values of 0 .. 7 an entry. */
const digit8 = (book: Uint16Array, index: number, j: number): number => (book[index] >> (3 * j)) & 7;

/** Sign j of a seven-bit index: the eighth sign makes the number of minuses even. */
function evenSign(index: number, j: number): number {
  if (j < 7) return (index >> j) & 1 ? -1 : 1;
  let ones = 0;
  for (let k = 0; k < 7; k++) ones += (index >> k) & 1;
  return ones % 2 ? -1 : 1;
}

/** All 256 values, each from its place. */
const places =
  (value: (b: DataView, g: number, l: number, j: number) => number): Decode =>
  (b, y) => {
    for (let i = 0; i < 256; i++) y[i] = value(b, i >> 5, (i >> 3) & 3, i & 7);
  };

const twos = [8, 25, 43];

const iq2_XXS = places((b, g, l, j) => {
  const w = b.getUint32(2 + 8 * g + 4, true);
  const magnitude = twos[digit3(iq2xxs, b.getUint8(2 + 8 * g + l), j)];
  return ((half(b, 0) * (0.5 + (w >>> 28))) / 4) * magnitude * evenSign((w >>> (7 * l)) & 127, j);
});

const iq2_XS = places((b, g, l, j) => {
  const v = b.getUint16(2 + 2 * (4 * g + l), true);
  const scale = (half(b, 0) * (0.5 + nibble(b, 66 + g, l >> 1))) / 4;
  return scale * twos[digit3(iq2xs, v & 511, j)] * evenSign(v >> 9, j);
});

const iq2_S = places((b, g, l, j) => {
  const index = b.getUint8(2 + 4 * g + l) + 256 * ((b.getUint8(66 + g) >> (2 * l)) & 3);
  const scale = (half(b, 0) * (0.5 + nibble(b, 74 + g, l >> 1))) / 4;
  return scale * twos[digit3(iq2s, index, j)] * (bit(b, 34 + 4 * g + l, j) ? -1 : 1);
});

const iq3_XXS = places((b, g, l, j) => {
  const w = b.getUint32(66 + 4 * g, true);
  const magnitude = [4, 12, 20, 28, 36, 44, 52, 62][digit8(iq3xxs, b.getUint8(2 + 8 * g + 2 * l + (j >> 2)), j & 3)];
  return ((half(b, 0) * (0.5 + (w >>> 28))) / 2) * magnitude * evenSign((w >>> (7 * l)) & 127, j);
});

const iq3_S = places((b, g, l, j) => {
  const which = 2 * l + (j >> 2);
  const index = b.getUint8(2 + 8 * g + which) + 256 * bit(b, 66 + g, which);
  const scale = half(b, 0) * (1 + 2 * nibble(b, 106 + (g >> 1), g & 1));
  return scale * (2 * digit8(iq3s, index, j & 3) + 1) * (bit(b, 74 + 4 * g + l, j) ? -1 : 1);
});

const iq1_S = places((b, g, l, j) => {
  const h = b.getUint16(34 + 2 * g, true);
  const index = b.getUint8(2 + 4 * g + l) + 256 * ((h >> (3 * l)) & 7);
  return half(b, 0) * (2 * ((h >> 12) & 7) + 1) * (digit3(iq1, index, j) - 1 + (h >> 15 ? -0.125 : 0.125));
});

const iq1_M = places((b, g, l, j) => {
  const d = new DataView(new ArrayBuffer(2));
  const word = (i: number) => b.getUint16(48 + 2 * i, true);
  d.setUint16(
    0,
    [0, 1, 2, 3].reduce((bits, i) => bits + (word(i) >> 12) * 16 ** i, 0),
    true,
  );
  const scale = (word(g >> 1) >> (6 * (g & 1) + 3 * (l >> 1))) & 7;
  const n = nibble(b, 32 + 2 * g + (l >> 1), l & 1);
  const index = b.getUint8(4 * g + l) + 256 * (n & 7);
  return half(d, 0) * (2 * scale + 1) * (digit3(iq1, index, j) - 1 + (n & 8 ? -0.125 : 0.125));
});

/** By the id in GGUF files: how many values a block has, how many bytes, and how they decode. */
export const blockTypes: Readonly<Record<number, [values: number, bytes: number, decode: Decode]>> = {
  3: [32, 20, q4_1],
  6: [32, 22, q5_0],
  7: [32, 24, q5_1],
  10: [256, 84, q2_K],
  11: [256, 110, q3_K],
  13: [256, 176, q5_K],
  16: [256, 66, iq2_XXS],
  17: [256, 74, iq2_XS],
  18: [256, 98, iq3_XXS],
  19: [256, 50, iq1_S],
  20: [32, 18, iq4_NL],
  21: [256, 110, iq3_S],
  22: [256, 82, iq2_S],
  23: [256, 136, iq4_XS],
  29: [256, 56, iq1_M],
  34: [256, 54, tq1_0],
  35: [256, 66, tq2_0],
  39: [32, 17, mxfp4],
  40: [64, 36, nvfp4],
  41: [128, 18, q1_0],
  42: [64, 18, q2_0],
};
