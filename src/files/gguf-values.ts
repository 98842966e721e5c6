/**
 * The value types of GGUF metadata: their numbers in the file, sizes and JavaScript forms. Shared by the reader and the writer, which own
 * the reading and writing.
 *
 * Source: ggml `docs/gguf.md`, `enum gguf_metadata_value_type`.
 */

/** A metadata value that is not an array. */
export type GgufScalarType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "bool" | "string" | "u64" | "i64" | "f64";
export type GgufValueType = GgufScalarType | "array";

/** By the number in the file. */
export const valueTypes: readonly GgufValueType[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
];

/** Numbers of one type; booleans are a Uint8Array of 0 and 1. */
export type GgufNumbers =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>;

/** A metadata array. Arrays of arrays do not occur: no writer makes them, and the reader refuses them. */
export type GgufArray =
  | { readonly of: "string"; readonly items: readonly string[] }
  | { readonly of: Exclude<GgufScalarType, "string">; readonly items: GgufNumbers };

/** A metadata value. 64-bit integers are numbers where a number holds them exactly, else bigints. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

interface NumericType {
  readonly bytes: number;
  readonly array: new (length: number) => GgufNumbers;
  readonly get: (view: DataView, at: number) => number | bigint;
  readonly set: (view: DataView, at: number, value: number | bigint) => void;
  /** Smallest and largest value; absent for floats. */
  readonly range?: readonly [bigint, bigint];
}

const unsigned = (bits: number): [bigint, bigint] => [0n, 2n ** BigInt(bits) - 1n];
const signed = (bits: number): [bigint, bigint] => [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n];

/** Everything but strings and arrays. All are little-endian. */
export const numericTypes: Readonly<Record<Exclude<GgufScalarType, "string">, NumericType>> = {
  u8: { bytes: 1, array: Uint8Array, range: unsigned(8), get: (v, at) => v.getUint8(at), set: (v, at, x) => v.setUint8(at, Number(x)) },
  i8: { bytes: 1, array: Int8Array, range: signed(8), get: (v, at) => v.getInt8(at), set: (v, at, x) => v.setInt8(at, Number(x)) },
  u16: {
    bytes: 2,
    array: Uint16Array,
    range: unsigned(16),
    get: (v, at) => v.getUint16(at, true),
    set: (v, at, x) => v.setUint16(at, Number(x), true),
  },
  i16: {
    bytes: 2,
    array: Int16Array,
    range: signed(16),
    get: (v, at) => v.getInt16(at, true),
    set: (v, at, x) => v.setInt16(at, Number(x), true),
  },
  u32: {
    bytes: 4,
    array: Uint32Array,
    range: unsigned(32),
    get: (v, at) => v.getUint32(at, true),
    set: (v, at, x) => v.setUint32(at, Number(x), true),
  },
  i32: {
    bytes: 4,
    array: Int32Array,
    range: signed(32),
    get: (v, at) => v.getInt32(at, true),
    set: (v, at, x) => v.setInt32(at, Number(x), true),
  },
  f32: {
    bytes: 4,
    array: Float32Array,
    get: (v, at) => v.getFloat32(at, true),
    set: (v, at, x) => v.setFloat32(at, Number(x), true),
  },
  bool: { bytes: 1, array: Uint8Array, range: [0n, 1n], get: (v, at) => v.getUint8(at), set: (v, at, x) => v.setUint8(at, Number(x)) },
  u64: {
    bytes: 8,
    array: BigUint64Array,
    range: unsigned(64),
    get: (v, at) => v.getBigUint64(at, true),
    set: (v, at, x) => v.setBigUint64(at, BigInt(x), true),
  },
  i64: {
    bytes: 8,
    array: BigInt64Array,
    range: signed(64),
    get: (v, at) => v.getBigInt64(at, true),
    set: (v, at, x) => v.setBigInt64(at, BigInt(x), true),
  },
  f64: {
    bytes: 8,
    array: Float64Array,
    get: (v, at) => v.getFloat64(at, true),
    set: (v, at, x) => v.setFloat64(at, Number(x), true),
  },
};

/** A name from a file, for a message: quoted, control characters escaped, cut where it is long. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? name.slice(0, 80) + "..." : name);
}
