/**
 * The values that templates work with, and what Python's rules say of all of them: truth, equality, order, hashing, iteration.
 * Nothing of the host is a value: no JavaScript object, function or prototype can be reached from a template. Integers are bigints,
 * floats are numbers, strings are `Text`. Attributes and methods are in `methods.ts`, printing in `print.ts`.
 */
import { type Budget, fail, MAX_NESTING, MAX_RANGE } from "./budget.ts";
import { Text } from "./text.ts";

export type Value = Undefined | null | boolean | bigint | number | Text | Seq | Range | Dict | Iter | Exotic;

/** Something that does not exist. It may be printed, tested and looped over; everything else fails with its message. */
export class Undefined {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export type SeqKind = "list" | "tuple" | "dict_keys" | "dict_values" | "dict_items";

/** A list, a tuple, or a view of a dict (which has a length but no indices). */
export class Seq {
  readonly kind: SeqKind;
  readonly items: Value[];
  /** The names of the elements, where a tuple has them. */
  readonly names: readonly string[];

  constructor(items: Value[], kind: SeqKind = "list", names: readonly string[] = []) {
    this.items = items;
    this.kind = kind;
    this.names = names;
  }

  get indexed(): boolean {
    return this.kind === "list" || this.kind === "tuple";
  }
}

export const list = (items: Value[]): Seq => new Seq(items);
export const tuple = (...items: Value[]): Seq => new Seq(items, "tuple");

export class Range {
  readonly start: bigint;
  readonly stop: bigint;
  readonly step: bigint;
  readonly length: number;

  constructor(start: bigint, stop: bigint, step: bigint) {
    if (step === 0n) fail("range() arg 3 must not be zero");
    const span = step > 0n ? stop - start : start - stop;
    const size = step > 0n ? step : -step;
    const length = span <= 0n ? 0n : (span + size - 1n) / size;
    if (length > BigInt(MAX_RANGE)) fail(`Range too big: at most ${MAX_RANGE} elements.`);
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.length = Number(length);
  }

  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }
}

/** What `map`, `select` and other lazy filters return: always true, and empty once it has been read. */
export class Iter {
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    this.#items = items;
  }

  /** Takes all items that are left. */
  take(): Value[] {
    const items = this.#items.slice(this.#at);
    this.#at = this.#items.length;
    return items;
  }

  /** How many items are left. */
  get left(): number {
    return this.#items.length - this.#at;
  }

  /** Takes the next item. */
  next(): Value | undefined {
    return this.#at < this.#items.length ? this.#items[this.#at++] : undefined;
  }
}

/** A mapping by Python's equality of keys (1, 1.0 and True are one key), in order of insertion. */
export class Dict {
  readonly #entries = new Map<string, [Value, Value]>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value, budget: Budget): Value | undefined {
    return this.#entries.get(hashKey(key, budget))?.[1];
  }

  getText(key: string): Value | undefined {
    return this.#entries.get(`s${key}`)?.[1];
  }

  setText(key: Text, value: Value): void {
    const entry = this.#entries.get(`s${key.text}`);
    if (entry) entry[1] = value;
    else this.#entries.set(`s${key.text}`, [key, value]);
  }

  set(key: Value, value: Value, budget: Budget): void {
    const hash = hashKey(key, budget);
    const entry = this.#entries.get(hash);
    if (entry) entry[1] = value;
    else this.#entries.set(hash, [key, value]);
  }

  delete(key: Value, budget: Budget): void {
    this.#entries.delete(hashKey(key, budget));
  }

  clear(): void {
    this.#entries.clear();
  }

  /** The entries one by one, for who may not need all of them. */
  pairs(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }

  entries(): readonly [Value, Value][] {
    return [...this.#entries.values()];
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }
}

/** The arguments of a call. */
export interface Call {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** Everything else that a template can hold: namespaces, macros, bound methods, the `loop` variable. */
export abstract class Exotic {
  abstract readonly typeName: string;

  /** A named attribute, or undefined where there is none. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }

  /** What a call returns; absent where it cannot be called. */
  call?(args: Call): Value;
}

/** A function that the interpreter offers, or a method bound to its value. */
export class NativeFunction extends Exotic {
  readonly typeName = "builtin_function_or_method";
  readonly #run: (args: Call) => Value;

  constructor(run: (args: Call) => Value) {
    super();
    this.#run = run;
  }

  override call(args: Call): Value {
    return this.#run(args);
  }
}

export class Namespace extends Exotic {
  readonly typeName = "Namespace";
  readonly fields: Map<string, Value>;

  constructor(fields: Map<string, Value>) {
    super();
    this.fields = fields;
  }

  override attribute(name: string): Value | undefined {
    return this.fields.get(name);
  }
}

export type Num = bigint | number | boolean;
export const isNum = (v: Value): v is Num => typeof v === "bigint" || typeof v === "number" || typeof v === "boolean";
/** True and False count as 1 and 0. */
export const plainNum = (v: Num): bigint | number => (typeof v === "boolean" ? (v ? 1n : 0n) : v);

/** Python's name of a value's type, as its messages have it. */
export function typeName(v: Value): string {
  if (v === null) return "NoneType";
  if (typeof v === "boolean") return "bool";
  if (typeof v === "bigint") return "int";
  if (typeof v === "number") return "float";
  if (v instanceof Text) return v.markup ? "Markup" : "str";
  if (v instanceof Undefined) return "Undefined";
  if (v instanceof Seq) return v.kind;
  if (v instanceof Range) return "range";
  if (v instanceof Dict) return "dict";
  if (v instanceof Iter) return "generator";
  return v.typeName;
}

export function truthy(v: Value): boolean {
  if (v === null || typeof v === "boolean") return v === true;
  if (typeof v === "bigint") return v !== 0n;
  if (typeof v === "number") return v !== 0;
  if (v instanceof Undefined) return false;
  if (v instanceof Text) return v.length > 0;
  return v instanceof Seq ? v.items.length > 0 : v instanceof Dict ? v.size > 0 : !(v instanceof Range) || v.length > 0;
}

/** What `len()` says, or undefined where a value has no length. */
export function sizeOf(v: Value, budget: Budget): number | undefined {
  if (v instanceof Text) return v.points(budget);
  if (v instanceof Seq) return v.items.length;
  if (v instanceof Dict) return v.size;
  if (v instanceof Range) return v.length;
  return v instanceof Undefined ? 0 : undefined;
}

/** The elements that a loop over the value visits, or undefined where it cannot be looped over. Charges a step for each. */
export function elements(v: Value, budget: Budget): Value[] | undefined {
  const items = rawElements(v, budget);
  if (items !== undefined) budget.step(items.length);
  return items;
}

function rawElements(v: Value, budget: Budget): Value[] | undefined {
  if (v instanceof Seq) return v.items;
  if (v instanceof Iter) return v.take();
  if (v instanceof Dict) return v.keys();
  if (v instanceof Undefined) return [];
  if (v instanceof Range) budget.step(v.length); // each number is made
  if (v instanceof Range) return Array.from({ length: v.length }, (_, i) => v.at(i));
  if (!(v instanceof Text)) return undefined;
  const length = v.points(budget);
  budget.step(length);
  return Array.from({ length }, (_, i) => v.charAt(i, budget));
}

/** The elements of a value that must have some. */
export function iterate(v: Value, budget: Budget): Value[] {
  return elements(v, budget) ?? fail(`'${typeName(v)}' object is not iterable`);
}

function numbersEqual(a: bigint | number, b: bigint | number): boolean {
  if (typeof a === typeof b) return a === b;
  const [whole, float] = typeof a === "bigint" ? [a, b as number] : [b as bigint, a];
  return Number.isInteger(float) && BigInt(float) === whole;
}

export function equals(a: Value, b: Value, budget: Budget, depth = 0): boolean {
  budget.step();
  if (depth > MAX_NESTING) fail("The values to compare are nested too deeply.");
  if (isNum(a) && isNum(b)) return numbersEqual(plainNum(a), plainNum(b));
  if (a instanceof Text && b instanceof Text) {
    if (a.length === b.length) budget.work(a.length);
    return a.text === b.text;
  }
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a instanceof Seq && b instanceof Seq) {
    if (a.kind !== b.kind || a.items.length !== b.items.length) return false;
    return a.items.every((item, i) => equals(item, b.items[i], budget, depth + 1));
  }
  if (a instanceof Dict && b instanceof Dict) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a.pairs()) {
      const other = b.get(key, budget);
      if (other === undefined || !equals(value, other, budget, depth + 1)) return false;
    }
    return true;
  }
  if (a instanceof Range && b instanceof Range) {
    return a.length === b.length && (a.length === 0 || (a.start === b.start && (a.length === 1 || a.step === b.step)));
  }
  return a === b;
}

/** Strings in order of their code points, which UTF-16 units do not give beyond the basic plane. */
function compareText(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xHigh = x >= 0xd800 && x <= 0xdfff;
    const yHigh = y >= 0xd800 && y <= 0xdfff;
    return xHigh === yHigh ? x - y : xHigh ? 1 : -1;
  }
  return a.length - b.length;
}

/** Negative, zero or positive; NaN where two numbers have no order. Fails for values that Python does not order. */
export function compare(a: Value, b: Value, budget: Budget, operator = "<", depth = 0): number {
  budget.step();
  if (depth > MAX_NESTING) fail("The values to compare are nested too deeply.");
  if (isNum(a) && isNum(b)) {
    const [x, y] = [plainNum(a), plainNum(b)];
    return x < y ? -1 : x > y ? 1 : numbersEqual(x, y) ? 0 : Number.NaN;
  }
  if (a instanceof Text && b instanceof Text) {
    budget.work(Math.min(a.length, b.length));
    return compareText(a.text, b.text);
  }
  if (a instanceof Seq && b instanceof Seq && a.kind === b.kind && a.indexed) {
    const length = Math.min(a.items.length, b.items.length);
    for (let i = 0; i < length; i++) {
      if (!equals(a.items[i], b.items[i], budget, depth + 1)) return compare(a.items[i], b.items[i], budget, operator, depth + 1);
    }
    return a.items.length - b.items.length;
  }
  const missing = [a, b].find(v => v instanceof Undefined) as Undefined | undefined;
  if (missing) fail(missing.message);
  return fail(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** What a digit costs that is printed. */
export const DIGIT_COST = 8;

/** One string for all keys that are equal. */
export function hashKey(v: Value, budget: Budget, depth = 0): string {
  budget.step();
  if (v instanceof Text) {
    budget.work(v.length);
    return `s${v.text}`;
  }
  if (v === null) return "N";
  if (isNum(v)) {
    const n = plainNum(v);
    const digits = String(typeof n === "number" && Number.isInteger(n) ? BigInt(n) : n);
    budget.work(DIGIT_COST * digits.length);
    return `n${digits}`;
  }
  if (v instanceof Seq && v.kind === "tuple" && depth <= MAX_NESTING) {
    const parts = v.items.map(item => hashKey(item, budget, depth + 1));
    budget.work(parts.reduce((sum, part) => sum + part.length, 0)); // a text is copied at each level around it
    return `t${parts.map(part => `${part.length}:${part}`).join("")}`;
  }
  if (v instanceof Undefined) return "U";
  if (v instanceof Range) return `r${v.length}:${v.start}:${v.step}`;
  return fail(`unhashable type: '${typeName(v)}'`);
}
