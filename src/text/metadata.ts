/**
 * Reads typed values out of a file's metadata for the tokenizers. The metadata is whatever has a `get`: a GGUF header or a map made by
 * hand. A value of the wrong type is an error that names its key; an absent one is undefined.
 */
import { LatheError } from "../errors.ts";

/** Key-value metadata. Numbers may be `number` or `bigint`; lists may be arrays, typed arrays, or either as the `items` of an object. */
export interface Metadata {
  get(key: string): unknown;
}

/** `tokenizer.malformed`, naming the key. */
export function malformed(key: string, what: string, details: Record<string, unknown> = {}): LatheError {
  return new LatheError("tokenizer.malformed", `The model's vocabulary is damaged: ${key} ${what}.`, { key, ...details });
}

/** A GGUF header gives a list as `{ of, items }`. */
function listOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "items" in value ? value.items : value;
}

export function readString(from: Metadata, key: string): string | undefined {
  const value = from.get(key);
  if (value === undefined || typeof value === "string") return value;
  throw malformed(key, "is not a text", { found: typeof value });
}

export function readBoolean(from: Metadata, key: string): boolean | undefined {
  const value = from.get(key);
  if (value === undefined || typeof value === "boolean") return value;
  throw malformed(key, "is not a boolean", { found: typeof value });
}

/** A token id below `size`. An id outside the vocabulary counts as absent: converters write -1 or 2^32 - 1 for "none". */
export function readId(from: Metadata, key: string, size: number): number | undefined {
  const value = from.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== "number" && typeof value !== "bigint") throw malformed(key, "is not a number", { found: typeof value });
  const id = Number(value);
  return Number.isInteger(id) && id >= 0 && id < size ? id : undefined;
}

export function readStrings(from: Metadata, key: string): readonly string[] | undefined {
  const value = listOf(from.get(key));
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw malformed(key, "is not a list", { found: typeof value });
  for (let i = 0; i < value.length; i++) {
    if (typeof value[i] !== "string") throw malformed(key, "holds something else than texts", { index: i, found: typeof value[i] });
  }
  return value;
}

/** A list of `count` numbers, as doubles. */
export function readNumbers(from: Metadata, key: string, count: number): Float64Array | undefined {
  const value = listOf(from.get(key));
  if (value === undefined) return undefined;
  if (!Array.isArray(value) && (!ArrayBuffer.isView(value) || value instanceof DataView)) throw malformed(key, "is not a list of numbers");
  const list = value as ArrayLike<unknown>;
  if (list.length !== count) throw malformed(key, "has not one entry for each token", { entries: list.length, tokens: count });
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const number = typeof list[i] === "bigint" ? Number(list[i]) : list[i];
    if (typeof number !== "number" || Number.isNaN(number)) throw malformed(key, "holds something else than numbers", { index: i });
    numbers[i] = number;
  }
  return numbers;
}

/** A list of bytes, which converters write as signed or unsigned ones. */
export function readBytes(from: Metadata, key: string): Uint8Array | undefined {
  const value = listOf(from.get(key));
  if (value === undefined) return undefined;
  if (value instanceof Uint8Array || value instanceof Int8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value) && value.every(byte => typeof byte === "number")) return Uint8Array.from(value);
  throw malformed(key, "is not a list of bytes", { found: typeof value });
}
