/**
 * `value.name`, `value[key]` and slices. The only way from a value to anything else, so also the wall: what is not in a table of methods,
 * an entry of a dict, an element or a field of a namespace does not exist, whatever its name.
 */
import { type Budget, fail } from "./budget.ts";
import { dictMethods, listMethods, numberMethods, tupleMethods } from "./methods-data.ts";
import { textMethods } from "./methods-text.ts";
import { repr } from "./print.ts";
import type { Member, Runtime } from "./runtime.ts";
import { sliceIndices, sliceText } from "./string-cut.ts";
import { own, Text } from "./text.ts";
import { Dict, Exotic, isNum, NativeFunction, plainNum, Range, Seq, typeName, Undefined, type Value } from "./values.ts";

type Methods = ReadonlyMap<string, Member<never>>;
const none: Methods = new Map();

function methodsOf(v: Value): Methods {
  if (v instanceof Text) return textMethods;
  if (v instanceof Dict) return dictMethods;
  if (v instanceof Seq && v.indexed) return v.kind === "list" ? listMethods : tupleMethods;
  return typeof v === "bigint" || typeof v === "number" ? numberMethods : none;
}

/** A method bound to its value, or a field; undefined where there is neither. */
export function memberOf(v: Value, name: string, rt: Runtime): Value | undefined {
  if (v instanceof Undefined) fail(v.message);
  const method = methodsOf(v).get(name);
  if (method !== undefined) return new NativeFunction(call => method(v as never, call, rt));
  if (v instanceof Seq && v.names.includes(name)) return v.items[v.names.indexOf(name)];
  return v instanceof Exotic ? v.attribute(name) : undefined;
}

const absent = (v: Value, name: string): Undefined =>
  new Undefined(v === null ? `None has no attribute '${name}'` : `'${typeName(v)} object' has no attribute '${name}'`);

export function attributeOf(v: Value, name: string, rt: Runtime): Value {
  if (v instanceof Undefined) fail(v.message);
  const found = memberOf(v, name, rt);
  if (found !== undefined) return found;
  const entry = v instanceof Dict ? v.getText(name) : undefined;
  return entry === undefined ? absent(v, name) : entry;
}

export function itemOf(v: Value, key: Value, rt: Runtime): Value {
  if (v instanceof Undefined) fail(v.message);
  const found = v instanceof Dict ? entryOf(v, key, rt.budget) : elementOf(v, key, rt.budget);
  if (found !== undefined) return found;
  if (!(key instanceof Text)) return new Undefined(`${typeName(v)} object has no element ${repr(key, rt.budget).text}`);
  const method = memberOf(v, key.text, rt);
  return method === undefined ? absent(v, key.text) : method;
}

function entryOf(dict: Dict, key: Value, budget: Budget): Value | undefined {
  // A list as a key is no entry, not a failure: Jinja2 answers "undefined".
  return hashable(key, budget) ? dict.get(key, budget) : undefined;
}

function hashable(key: Value, budget: Budget): boolean {
  if (!(key instanceof Seq)) return key === null || isNum(key) || key instanceof Undefined || key instanceof Range || key instanceof Text;
  budget.step(key.items.length);
  return key.kind === "tuple" && key.items.every(item => hashable(item, budget));
}

function elementOf(v: Value, key: Value, budget: Budget): Value | undefined {
  if (typeof key !== "bigint" && typeof key !== "boolean") return undefined;
  const length = v instanceof Text ? v.points(budget) : v instanceof Range ? v.length : v instanceof Seq && v.indexed ? v.items.length : 0;
  const whole = plainNum(key) as bigint;
  const at = whole < 0n ? whole + BigInt(length) : whole;
  if (at < 0n || at >= BigInt(length)) return undefined;
  if (v instanceof Text) return v.charAt(Number(at), budget);
  return v instanceof Range ? v.at(Number(at)) : (v as Seq).items[Number(at)];
}

function sliceBound(v: Value): bigint | null {
  if (v === null) return null;
  if (v instanceof Undefined) fail(v.message);
  const n = isNum(v) ? plainNum(v) : undefined;
  return typeof n === "bigint" ? n : fail("slice indices must be integers or None");
}

/** `value[start:stop:step]` */
export function sliceOf(v: Value, bounds: readonly [Value, Value, Value], rt: Runtime): Value {
  if (v instanceof Undefined) fail(v.message);
  const [start, stop, step] = bounds.map(sliceBound);
  if (v instanceof Text) return sliceText(v, start, stop, step, rt.budget);
  const length =
    v instanceof Range ? v.length : v instanceof Seq && v.indexed ? v.items.length : fail(`'${typeName(v)}' object cannot be sliced`);
  const s = sliceIndices(length, start, stop, step);
  if (v instanceof Range) return new Range(v.start + BigInt(s.from) * v.step, v.start + BigInt(s.to) * v.step, v.step * BigInt(s.step));
  const items: Value[] = [];
  for (let at = s.from; s.step > 0 ? at < s.to : at > s.to; at += s.step) items.push((v as Seq).items[at]);
  rt.budget.step(items.length);
  return new Seq(items, (v as Seq).kind);
}

/** The value that an attribute path such as `"function.name"` or `"0.id"` leads to, as the filters with `attribute=` read it. */
export function pathOf(v: Value, path: Value | undefined, rt: Runtime, otherwise?: Value): Value {
  if (path === undefined || path === null) return v;
  if (path instanceof Text) rt.budget.work(16 * path.length);
  const parts = path instanceof Text ? path.text.split(".") : [path];
  rt.budget.step(2 * parts.length);
  for (const part of parts) {
    const key = typeof part !== "string" ? part : /^\d+$/.test(part) ? BigInt(part) : own(part);
    v = itemOf(v, key, rt);
    if (otherwise !== undefined && otherwise !== null && v instanceof Undefined) v = otherwise;
  }
  return v;
}
