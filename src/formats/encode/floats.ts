/** Rounding f32 to the 16- and 8-bit floats that files hold, to nearest even, in bits; and back where an encoder needs what a decoder will see. */

/** The greatest half. */
export const MOST_HALF = 65504;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the nearest half; from 65520 on infinite. Undefined stays undefined. */
export function toHalf(x: number): number {
  float[0] = x;
  const sign = (bits[0] >>> 16) & 0x8000;
  const magnitude = bits[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Below 2^-14 in steps of 2^-24. 1.5 * 2^-1 makes the last place of an f32 2^-24, so that adding it rounds.
  float[0] = Math.abs(x) + 0.75;
  return sign | (bits[0] - 0x3f400000);
}

/** The value of half bits, infinite and undefined ones included. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24);
}

/** Bits of the nearest bfloat16. Undefined stays undefined, and quiet. */
export function toBfloat(x: number): number {
  float[0] = x;
  if ((bits[0] & 0x7fffffff) > 0x7f800000) return (bits[0] >>> 16) | 0x40;
  return ((bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number of the nearest unsigned E4M3, 0 .. 0x7e (448); as ggml does, a number below 2^-6 does not round up to it. */
export function toE4m3(x: number): number {
  if (!(x > 0)) return 0;
  if (x < 2 ** -6) return Math.min(7, evenly(x * 2 ** 9));
  const exponent = Math.floor(Math.log2(Math.min(x, 448)));
  // a mantissa of 8 is the next exponent's 0
  return Math.min(0x7e, 8 * (exponent + 7) + evenly((x / 2 ** exponent - 1) * 8));
}

/** To the nearest integer, halves to the even one; of numbers that are not negative. */
function evenly(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down & 1) ? down + 1 : down;
}

/** What an unsigned E4M3 means. */
export const fromE4m3 = (x: number): number => (x === 0x7f ? 0 : x < 8 ? x * 2 ** -9 : (1 + (x & 7) / 8) * 2 ** ((x >> 3) - 7));
