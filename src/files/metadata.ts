/**
 * Typed access to the metadata of a model file. Owns the tolerance that real files need (converters disagree about integer types, scalars
 * stand for arrays) and the errors that name the key. Which keys there are is said where they are used.
 */
import { LatheError } from "../errors.ts";
import type { GgufNumbers, GgufValue } from "./gguf-values.ts";
import { quoted } from "./gguf-values.ts";

/** Limits of a number, inclusive. */
export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
}

/** Numbers of an array: u64 and i64 come as a Float64Array, whose values are exact. Booleans are 0 and 1. */
export type MetadataNumbers = Exclude<GgufNumbers, BigUint64Array | BigInt64Array>;

/**
 * Reads one model's metadata. Every method takes a fallback for an absent key; without one, an absent key throws `model.missing-key`. A
 * value of the wrong type or outside its range throws `model.missing-key` in any case, with `key`, `expected` and `found` in its details.
 */
export class Metadata {
  private readonly values: ReadonlyMap<string, GgufValue>;

  constructor(values: ReadonlyMap<string, GgufValue>) {
    this.values = values;
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  string(key: string, fallback?: string): string {
    const value = this.values.get(key) ?? fallback;
    if (typeof value === "string") return value;
    throw unfit(key, "a string", value);
  }

  /** A finite number of any type. */
  number(key: string, fallback?: number, range: NumberRange = {}): number {
    const value = this.values.get(key) ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && within(value, range)) return value;
    throw unfit(key, described("a number", range), value);
  }

  /** A whole number of any integer type, or a float that is whole. */
  integer(key: string, fallback?: number, range: NumberRange = {}): number {
    const value = this.values.get(key) ?? fallback;
    if (typeof value === "number" && Number.isSafeInteger(value) && within(value, range)) return value;
    throw unfit(key, described("a whole number", range), value);
  }

  /** A boolean, or 0 or 1 of any integer type. */
  boolean(key: string, fallback?: boolean): boolean {
    const value = this.values.get(key) ?? fallback;
    if (typeof value === "boolean") return value;
    if (value === 0 || value === 1) return value === 1;
    throw unfit(key, "a boolean", value);
  }

  /** An array of numbers of any type. */
  numbers(key: string, fallback?: MetadataNumbers): MetadataNumbers {
    const value = this.values.get(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "object" && value.of !== "string") {
      const { items } = value;
      if (!(items instanceof BigUint64Array || items instanceof BigInt64Array)) return items;
      const numbers = Float64Array.from(items as BigUint64Array, Number);
      if (numbers.every(Number.isSafeInteger)) return numbers;
    }
    throw unfit(key, "an array of numbers", value);
  }

  /** An array of strings. */
  strings(key: string, fallback?: readonly string[]): readonly string[] {
    const value = this.values.get(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "object" && value.of === "string") return value.items;
    throw unfit(key, "an array of strings", value);
  }

  /** One whole number for each of `layers` layers: an array of that length, or one number (or the fallback) that holds for all. */
  perLayer(key: string, layers: number, fallback?: number, range: NumberRange = {}): readonly number[] {
    const value = this.values.get(key);
    if (typeof value !== "object") return new Array<number>(layers).fill(this.integer(key, fallback, range));
    const items = Array.from(this.numbers(key));
    if (items.length === layers && items.every(item => Number.isSafeInteger(item) && within(item, range))) return items;
    throw unfit(key, `${described("a whole number", range)} for each of ${layers} layers`, value);
  }
}

const within = (value: number, { min = -Infinity, max = Infinity }: NumberRange): boolean => value >= min && value <= max;

function described(kind: string, { min, max }: NumberRange): string {
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`;
  if (min !== undefined) return `${kind} of at least ${min}`;
  return max !== undefined ? `${kind} of at most ${max}` : kind;
}

function found(value: GgufValue | undefined): string {
  if (value === undefined) return "nothing";
  if (typeof value === "object") return `an array of ${value.items.length} ${value.of}`;
  return typeof value === "string" ? `the string ${quoted(value)}` : `the ${typeof value === "boolean" ? "boolean" : "number"} ${value}`;
}

function unfit(key: string, expected: string, value: GgufValue | undefined): LatheError {
  const what = found(value);
  const problem = value === undefined ? `lacks the key ${quoted(key)}` : `has ${what} under the key ${quoted(key)}`;
  const message = `The model file ${problem}, where ${expected} is needed; convert the model again with a current converter.`;
  return new LatheError("model.missing-key", message, { key, expected, found: what });
}
