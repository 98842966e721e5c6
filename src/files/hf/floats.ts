/**
 * Float types of checkpoints as bytes: decoding to f32 and encoding with rounding to the nearest, ties to even. Owns the conversions of
 * F64, F32, F16, BF16 and the 8-bit floats; block types are in `blocks.ts`. All are little-endian.
 *
 * Sources: IEEE 754 (binary16), OCP 8-bit floating point specification 1.0 (E4M3, E5M2), OCP microscaling formats 1.0 (E8M0).
 */

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The value of a binary16. */
export function halfToNumber(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Infinity;
  return sign * (exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24);
}

/** The nearest binary16 of an f32; what is too large becomes an infinity. */
export function numberToHalf(value: number): number {
  float[0] = value;
  const bits = word[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // From 65520 on, half-way between the largest half and the next power of two.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14 the last place is 2^-24; multiplying and rounding is exact, since a double holds both.
    const scaled = Math.abs(float[0]) * 2 ** 24;
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0));
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >>> 13);
}

/** The nearest bfloat16 of an f32. */
export function numberToBfloat(value: number): number {
  float[0] = value;
  const bits = word[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Exponent bits, their bias, and whether the largest exponent is for infinities and NaN (else only all ones are NaN). */
function smallFloat(bits: number, exponentBits: number, bias: number, special: boolean): number {
  const mantissaBits = 7 - exponentBits;
  const mantissa = bits & ((1 << mantissaBits) - 1);
  const exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
  const sign = bits & 0x80 ? -1 : 1;
  const highest = exponent === (1 << exponentBits) - 1;
  if (highest && special) return mantissa ? Number.NaN : sign * Infinity;
  if (highest && (bits & 0x7f) === 0x7f) return Number.NaN;
  const whole = exponent ? mantissa + (1 << mantissaBits) : mantissa;
  return sign * whole * 2 ** (Math.max(exponent, 1) - bias - mantissaBits);
}

const tableOf = (value: (bits: number) => number): Float32Array => Float32Array.from({ length: 256 }, (_, bits) => value(bits));

/** Values of the 8-bit floats by their bits. */
export const smallFloats = {
  F8_E4M3: tableOf(bits => smallFloat(bits, 4, 7, false)),
  F8_E5M2: tableOf(bits => smallFloat(bits, 5, 15, true)),
  F8_E8M0: tableOf(bits => (bits === 255 ? Number.NaN : 2 ** (bits - 127))),
} as const;

let halves: Float32Array | undefined;
const halfTable = (): Float32Array => (halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits)));

type Decode = (view: DataView, out: Float32Array) => void;
const each =
  (bytes: number, value: (view: DataView, at: number) => number): Decode =>
  (view, out) => {
    for (let i = 0; i < out.length; i++) out[i] = value(view, i * bytes);
  };

const decoders: Readonly<Record<string, { readonly bytes: number; readonly decode: Decode }>> = {
  F64: { bytes: 8, decode: each(8, (v, at) => v.getFloat64(at, true)) },
  F32: { bytes: 4, decode: each(4, (v, at) => v.getFloat32(at, true)) },
  F16: {
    bytes: 2,
    decode: (view, out) => {
      const table = halfTable();
      for (let i = 0; i < out.length; i++) out[i] = table[view.getUint16(2 * i, true)];
    },
  },
  BF16: {
    bytes: 2,
    decode: (view, out) => {
      const words = new Uint32Array(out.buffer);
      for (let i = 0; i < out.length; i++) words[i] = view.getUint16(2 * i, true) << 16;
    },
  },
  F8_E4M3: small("F8_E4M3"),
  F8_E5M2: small("F8_E5M2"),
  F8_E8M0: small("F8_E8M0"),
};

function small(name: keyof typeof smallFloats): { bytes: number; decode: Decode } {
  return { bytes: 1, decode: each(1, (v, at) => smallFloats[name][v.getUint8(at)]) };
}

export const isFloat = (type: string): boolean => Object.hasOwn(decoders, type);

/** Values of whole bytes of a float type that `isFloat` knows. */
export function decodeFloats(type: string, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { bytes: size, decode } = decoders[type];
  const out = new Float32Array(bytes.length / size);
  decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), out);
  return out;
}

export type FloatType = "F32" | "F16" | "BF16";

/** Bytes of values, each rounded to the nearest of the type. Undefined where F16 does not reach a finite value. */
export function encodeFloats(type: FloatType, values: Float32Array): Uint8Array<ArrayBuffer> | undefined {
  if (type === "F32") return new Uint8Array(Float32Array.from(values).buffer);
  const out = new Uint16Array(values.length);
  const encode = type === "F16" ? numberToHalf : numberToBfloat;
  for (let i = 0; i < values.length; i++) {
    out[i] = encode(values[i]);
    if (type === "F16" && (out[i] & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) return undefined;
  }
  return new Uint8Array(out.buffer);
}
