/** The filters that work on lists, dicts and numbers, by name. */
import { memberOf, pathOf } from "./access.ts";
import { type Budget, fail } from "./budget.ts";
import { reverseText } from "./filters-text.ts";
import { parseFloating, parseWhole, round as roundNumber } from "./numbers.ts";
import { binary } from "./operators.ts";
import { flag, type Member, type Params, type Runtime, sizeArgument, takes, textOf, wholePart } from "./runtime.ts";
import { lower } from "./string-case.ts";
import { CHANGE_COST, own, Text } from "./text.ts";
import {
  type Call,
  compare,
  Dict,
  equals,
  hashKey,
  Iter,
  isNum,
  iterate,
  list,
  plainNum,
  Seq,
  sizeOf,
  truthy,
  tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** What a character costs that is made small to be compared. */
const FOLD_COST = 8;

function folded(v: Value, { budget }: Runtime): Value {
  if (!(v instanceof Text)) return v;
  budget.work(FOLD_COST * v.length + CHANGE_COST * v.flips.length);
  return lower(v);
}

/** Reads the key that a filter sorts or groups by: an attribute path, case ignored unless told otherwise. */
function keyReader(attribute: Value | undefined, caseSensitive: boolean, rt: Runtime, otherwise?: Value): (v: Value) => Value {
  return v => {
    const key = pathOf(v, attribute, rt, otherwise);
    return caseSensitive ? key : folded(key, rt);
  };
}

interface Keyed {
  readonly key: Value;
  readonly value: Value;
}

function sortKeyed(pairs: Keyed[], reverse: boolean, rt: Runtime): Value[] {
  const sign = reverse ? -1 : 1;
  pairs.sort((a, b) => sign * compare(a.key, b.key, rt.budget) || 0);
  return pairs.map(({ value }) => value);
}

function sort(v: Value, [reverse, caseSensitive, attribute]: Params, rt: Runtime): Value {
  const paths = attribute instanceof Text ? attribute.text.split(",").map(own) : [attribute];
  rt.budget.step(paths.length);
  const readers = paths.map(path => keyReader(path, flag(caseSensitive), rt));
  const keyed = iterate(v, rt.budget).map(value => ({ key: list(readers.map(read => read(value))), value }));
  return list(sortKeyed(keyed, flag(reverse), rt));
}

function dictSort(v: Value, [caseSensitive, by, reverse]: Params, rt: Runtime): Value {
  if (!(v instanceof Dict)) fail(`dictsort needs a dict, not ${typeName(v)}`);
  const what = by === undefined ? "key" : textOf(by).text;
  if (what !== "key" && what !== "value") fail('You can only sort by either "key" or "value"');
  rt.budget.step(v.size);
  const keyed = v.entries().map(([key, value]) => {
    const chosen = what === "key" ? key : value;
    return { key: flag(caseSensitive) ? chosen : folded(chosen, rt), value: tuple(key, value) };
  });
  return list(sortKeyed(keyed, flag(reverse), rt));
}

function groupBy(v: Value, [attribute, otherwise, caseSensitive]: Params, rt: Runtime): Value {
  const read = keyReader(attribute, flag(caseSensitive), rt, otherwise);
  const keyed = iterate(v, rt.budget).map(value => ({ key: read(value), value }));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const value of sortKeyed(keyed, false, rt)) {
    const key = read(value);
    const last = groups.at(-1);
    if (last !== undefined && equals(last.key, key, rt.budget)) last.items.push(value);
    else groups.push({ key, items: [value] });
  }
  return list(groups.map(({ items }) => new Seq([pathOf(items[0], attribute, rt, otherwise), list(items)], "tuple", ["grouper", "list"])));
}

function unique(v: Value, [caseSensitive, attribute]: Params, rt: Runtime): Value {
  const read = keyReader(attribute, flag(caseSensitive), rt);
  const seen = new Set<string>();
  const kept = iterate(v, rt.budget).filter(item => {
    const key = hashKey(read(item), rt.budget);
    return !seen.has(key) && seen.add(key);
  });
  return new Iter(kept);
}

const extreme = (sign: number): Member =>
  takes("case_sensitive? attribute?", (v, [caseSensitive, attribute], rt) => {
    const read = keyReader(attribute, flag(caseSensitive), rt);
    const items = iterate(v, rt.budget);
    if (items.length === 0) return new Undefined("No aggregated item, sequence was empty.");
    return items.reduce((best, item) => (sign * compare(read(item), read(best), rt.budget) < 0 ? item : best));
  });

/** What the lazy filters loop over: anything false, None included, counts as empty. */
const lazyItems = (v: Value, rt: Runtime): Value[] => (truthy(v) ? iterate(v, rt.budget) : []);

function map(v: Value, { positional, named }: Call, rt: Runtime): Value {
  const items = lazyItems(v, rt);
  const [name, ...rest] = positional;
  if (name === undefined && named.has("attribute")) {
    return new Iter(items.map(item => pathOf(item, named.get("attribute"), rt, named.get("default"))));
  }
  if (!(name instanceof Text)) fail("map requires a filter argument");
  return new Iter(items.map(item => rt.filter(name.text, item, { positional: rest, named })));
}

/** `select`, `reject`, `selectattr`, `rejectattr`: the elements whose test has the wanted outcome. */
const selecting = (wanted: boolean, byAttribute: boolean): Member => {
  return (v, { positional, named }, rt) => {
    const [attribute, ...others] = byAttribute ? positional : [undefined, ...positional];
    if (byAttribute && attribute === undefined) fail("Missing parameter for attribute name");
    const [name, ...rest] = others;
    const passes = (item: Value): boolean => {
      const subject = pathOf(item, attribute, rt);
      if (name === undefined) return truthy(subject);
      return rt.test(name instanceof Text ? name.text : fail("The name of a test must be a string."), subject, {
        positional: rest as Value[],
        named,
      });
    };
    return new Iter(lazyItems(v, rt).filter(item => passes(item) === wanted));
  };
};

function batch(v: Value, [size, fill]: Params, { budget }: Runtime): Value {
  const items = iterate(v, budget);
  const width = sizeArgument(size, 1);
  const rows: Value[] = [];
  for (let at = 0; at < items.length; at += Math.max(1, width)) {
    const row = items.slice(at, at + Math.max(1, width));
    if (fill !== undefined && fill !== null) {
      budget.step(width - row.length);
      while (row.length < width) row.push(fill);
    }
    rows.push(list(row));
  }
  return new Iter(rows);
}

function slices(v: Value, [count, fill]: Params, { budget }: Runtime): Value {
  const items = iterate(v, budget);
  const columns = sizeArgument(count, 1);
  if (columns < 1) fail("integer division or modulo by zero");
  budget.step(columns);
  const size = Math.floor(items.length / columns);
  const extra = items.length % columns;
  return new Iter(
    Array.from({ length: columns }, (_, i) => {
      const from = i * size + Math.min(i, extra);
      const column = items.slice(from, from + size + (i < extra ? 1 : 0));
      if (fill !== undefined && fill !== null && i >= extra) column.push(fill);
      return list(column);
    }),
  );
}

function sum(v: Value, [attribute, start]: Params, rt: Runtime): Value {
  return iterate(v, rt.budget).reduce((total, item) => binary("+", total, pathOf(item, attribute, rt), rt), start ?? 0n);
}

function first(v: Value, rt: Runtime): Value {
  const none = new Undefined("No first item, sequence was empty.");
  if (v instanceof Iter) return orElse(v.next(), none);
  if (v instanceof Text) return v.length > 0 ? v.charAt(0, rt.budget) : none;
  return orElse(iterate(v, rt.budget)[0], none);
}

function last(v: Value, rt: Runtime): Value {
  const none = new Undefined("No last item, sequence was empty.");
  if (v instanceof Text) return v.length > 0 ? v.charAt(v.points(rt.budget) - 1, rt.budget) : none;
  return orElse(iterate(v, rt.budget).at(-1), none);
}

const orElse = (v: Value | undefined, none: Value): Value => (v === undefined ? none : v);

/** What a text costs that is read as a number: steps for the patterns, and for each digit. */
const PARSE_STEPS = 4;
const PARSE_COST = 32;

function toWhole(v: Value, [otherwise, base]: Params, { budget }: Runtime): Value {
  if (v instanceof Undefined) fail(v.message);
  const fallback = orElse(otherwise, 0n);
  if (!(v instanceof Text)) return orElse(wholePart(v), fallback);
  budget.step(PARSE_STEPS);
  budget.work(PARSE_COST * v.length);
  const whole = parseWhole(v.text, sizeArgument(base, 10));
  return whole ?? orElse(wholePart(parseFloating(v.text) ?? Number.NaN), fallback);
}

function toFloat(v: Value, [otherwise]: Params, { budget }: Runtime): Value {
  if (v instanceof Undefined) fail(v.message);
  const fallback = orElse(otherwise, 0);
  if (isNum(v)) return Number(plainNum(v));
  if (!(v instanceof Text)) return fallback;
  budget.step(PARSE_STEPS);
  budget.work(PARSE_COST * v.length);
  return parseFloating(v.text) ?? fallback;
}

/** Steps of a rounding: it is exact in decimal, whatever the number and the places. */
const ROUND_STEPS = 40;

function round(v: Value, [precision, method]: Params, { budget }: Runtime): Value {
  budget.step(ROUND_STEPS);
  if (v instanceof Undefined) fail(v.message);
  if (!isNum(v)) fail(`type ${typeName(v)} doesn't define __round__ method`);
  const digits = sizeArgument(precision, 0);
  const how = method === undefined ? "common" : textOf(method).text;
  const n = plainNum(v);
  if (how === "common") return roundNumber(n, digits);
  if (how !== "ceil" && how !== "floor") fail("method must be common, ceil or floor");
  const unit = 10 ** digits;
  return Math[how](Number(n) * unit) / unit;
}

function abs(v: Value): Value {
  if (v instanceof Undefined) fail(v.message);
  if (!isNum(v)) fail(`bad operand type for abs(): '${typeName(v)}'`);
  const n = plainNum(v);
  return n < 0 || Object.is(n, -0) ? -n : n;
}

function reverse(v: Value, rt: Runtime): Value {
  return v instanceof Text ? reverseText(v, rt) : new Iter([...iterate(v, rt.budget)].reverse());
}

/** The length of a value. What a lazy filter made has none in Python; here it is what is left of it, as templates mean it. */
function length(v: Value, budget: Budget): Value {
  const size = v instanceof Iter ? v.left : sizeOf(v, budget);
  return BigInt(size ?? fail(`object of type '${typeName(v)}' has no len()`));
}

const fallBack = takes("default_value? boolean?", (v, [otherwise, boolean]) =>
  v instanceof Undefined || (flag(boolean) && !truthy(v)) ? orElse(otherwise, Text.empty) : v,
);

const pairsOf = (v: Value, rt: Runtime): Value => {
  if (v instanceof Undefined) return new Iter([]);
  if (!(v instanceof Dict)) fail("Can only get item pairs from a mapping.");
  rt.budget.step(v.size);
  return new Iter(v.entries().map(pair => tuple(...pair)));
};

const counted = takes("", (v, _, { budget }) => length(v, budget));

export const dataFilters: ReadonlyMap<string, Member> = new Map<string, Member>([
  ["length", counted],
  ["count", counted],
  ["default", fallBack],
  ["d", fallBack],
  ["list", takes("", (v, _, { budget }) => list([...iterate(v, budget)]))],
  ["items", takes("", (v, _, rt) => pairsOf(v, rt))],
  ["first", takes("", (v, _, rt) => first(v, rt))],
  ["last", takes("", (v, _, rt) => last(v, rt))],
  ["reverse", takes("", (v, _, rt) => reverse(v, rt))],
  ["sort", takes("reverse? case_sensitive? attribute?", sort)],
  ["dictsort", takes("case_sensitive? by? reverse?", dictSort)],
  ["groupby", takes("attribute default? case_sensitive?", groupBy)],
  ["unique", takes("case_sensitive? attribute?", unique)],
  ["min", extreme(1)],
  ["max", extreme(-1)],
  ["sum", takes("attribute? start?", sum)],
  ["map", map],
  ["select", selecting(true, false)],
  ["reject", selecting(false, false)],
  ["selectattr", selecting(true, true)],
  ["rejectattr", selecting(false, true)],
  ["batch", takes("linecount fill_with?", batch)],
  ["slice", takes("slices fill_with?", slices)],
  [
    "attr",
    takes("name", (v, [name], rt) =>
      orElse(memberOf(v, textOf(name).text, rt), new Undefined(`'${typeName(v)} object' has no attribute '${textOf(name).text}'`)),
    ),
  ],
  ["int", takes("default? base?", toWhole)],
  ["float", takes("default?", toFloat)],
  ["round", takes("precision? method?", round)],
  ["abs", takes("", v => abs(v))],
]);
