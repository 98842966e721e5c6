/**
 * The reference for the weight types that reference/llama.ts does not spell out: from the bytes of a block to float64, value by value, in the
 * order of the formulas that describe them. Like the rest of the reference it shares no code with `src/`.
 *
 * Source: the block layouts and scalar decoders of ggml (ggml-common.h, ggml-quants.c).
 */

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

/** By the id in GGUF files: how many values a block has, how many bytes, and how they decode. */
export const blockTypes: Readonly<Record<number, [values: number, bytes: number, decode: Decode]>> = {
  3: [32, 20, q4_1],
  6: [32, 22, q5_0],
  7: [32, 24, q5_1],
  10: [256, 84, q2_K],
  11: [256, 110, q3_K],
  13: [256, 176, q5_K],
  20: [32, 18, iq4_NL],
  23: [256, 136, iq4_XS],
  34: [256, 54, tq1_0],
  35: [256, 66, tq2_0],
  39: [32, 17, mxfp4],
  40: [64, 36, nvfp4],
  41: [128, 18, q1_0],
  42: [64, 18, q2_0],
};
