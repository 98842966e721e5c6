/**
 * Float types of checkpoints as bytes: decoding to f32 and encoding, whole tensors at a time. Owns which types there are (F64, F32, F16, BF16 and the
 * 8-bit floats) and what the 8-bit ones mean; block types are in `blocks.ts`. All are little-endian.
 *
 * Sources: OCP 8-bit floating point specification 1.0 (E4M3, E5M2), OCP microscaling formats 1.0 (E8M0).
 */
import { fromHalf, toBfloat, toHalf } from "../../formats/encode/floats.ts";

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
const halfTable = (): Float32Array => (halves ??= Float32Array.from({ length: 65536 }, (_, bits) => fromHalf(bits)));

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
  const encode = type === "F16" ? toHalf : toBfloat;
  for (let i = 0; i < values.length; i++) {
    out[i] = encode(values[i]);
    if (type === "F16" && (out[i] & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) return undefined;
  }
  return new Uint8Array(out.buffer);
}
