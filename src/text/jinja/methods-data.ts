/** The methods of lists, tuples, dicts and numbers, by name. The methods of strings are in `methods-text.ts`. */
import { type Budget, fail } from "./budget.ts";
import { repr } from "./print.ts";
import { flag, type Member, type Params, type Runtime, sizeArgument, takes } from "./runtime.ts";
import { Text } from "./text.ts";
import { type Call, compare, DIGIT_COST, Dict, equals, iterate, list, Seq, tuple, type Value } from "./values.ts";

/** The place of an equal element at or after `from`, or -1. */
function indexOf(items: readonly Value[], wanted: Value, budget: Budget, from = 0): number {
  for (let i = from; i < items.length; i++) if (equals(items[i], wanted, budget)) return i;
  return -1;
}

/** A method that changes its list and returns None. */
const mutates = (signature: string, run: (items: Value[], args: Params, rt: Runtime) => void): Member<Seq> =>
  takes(signature, (self, args, rt) => {
    run(self.items, args, rt);
    return null;
  });

/** A position in a list, counted from the end when negative. */
const place = (at: number, length: number): number => (at < 0 ? at + length : at);

const searches: readonly [string, Member<Seq>][] = [
  [
    "index",
    takes("value start?", (self, [wanted, start], { budget }) => {
      const at = indexOf(self.items, wanted!, budget, Math.max(0, place(sizeArgument(start, 0), self.items.length)));
      return at < 0 ? fail(`${repr(wanted!, budget).text} is not in list`) : BigInt(at);
    }),
  ],
  ["count", takes("value", (self, [wanted], { budget }) => BigInt(self.items.filter(item => equals(item, wanted!, budget)).length))],
];

export const tupleMethods: ReadonlyMap<string, Member<Seq>> = new Map(searches);

export const listMethods: ReadonlyMap<string, Member<Seq>> = new Map<string, Member<Seq>>([
  ...searches,
  ["append", mutates("object", (items, [value]) => items.push(value!))],
  [
    "extend",
    mutates("iterable", (items, [values], { budget }) => {
      for (const value of [...iterate(values!, budget)]) items.push(value);
    }),
  ],
  [
    "insert",
    mutates("index object", (items, [at, value], { budget }) => {
      budget.step(Math.ceil(items.length / 64));
      items.splice(Math.max(0, place(sizeArgument(at, 0), items.length)), 0, value!);
    }),
  ],
  [
    "pop",
    takes("index?", ({ items }, [index], { budget }) => {
      budget.step(Math.ceil(items.length / 64));
      const at = place(sizeArgument(index, -1), items.length);
      if (items.length === 0) fail("pop from empty list");
      return at >= 0 && at < items.length ? items.splice(at, 1)[0] : fail("pop index out of range");
    }),
  ],
  [
    "remove",
    mutates("value", (items, [value], { budget }) => {
      const at = indexOf(items, value!, budget);
      if (at < 0) fail("list.remove(x): x not in list");
      budget.step(Math.ceil(items.length / 64));
      items.splice(at, 1);
    }),
  ],
  ["clear", mutates("", items => items.splice(0))],
  [
    "reverse",
    mutates("", (items, _, { budget }) => {
      budget.step(items.length);
      items.reverse();
    }),
  ],
  [
    "sort",
    mutates("reverse?", (items, [reverse], { budget }) => {
      const sign = flag(reverse) ? -1 : 1;
      items.sort((a, b) => sign * compare(a, b, budget) || 0);
    }),
  ],
  [
    "copy",
    takes("", ({ items }, _, { budget }) => {
      budget.step(items.length);
      return list([...items]);
    }),
  ],
]);

/** Fills a dict as `dict(...)` and `update(...)` do: from a dict or pairs, then from named arguments. */
export function fillDict(dict: Dict, { positional, named }: Call, budget: Budget): Dict {
  const [source] = positional;
  if (positional.length > 1) fail(`expected at most 1 argument, got ${positional.length}`);
  if (source instanceof Dict) {
    budget.step(source.size);
    for (const [key, value] of source.entries()) dict.set(key, value, budget);
  } else if (source !== undefined) {
    for (const pair of iterate(source, budget)) {
      const [key, value, ...rest] = iterate(pair, budget);
      if (value === undefined || rest.length > 0) fail("dictionary update sequence element does not have two parts");
      dict.set(key, value, budget);
    }
  }
  for (const [name, value] of named) dict.set(new Text(name, true), value, budget);
  return dict;
}

/** An entry's value, which may be None, or another value where there is no entry. */
const found = (value: Value | undefined, otherwise: Value | undefined): Value | undefined => (value === undefined ? otherwise : value);

const view = (kind: "dict_keys" | "dict_values" | "dict_items", pick: (key: Value, value: Value) => Value): Member<Dict> =>
  takes("", (self, _, { budget }) => {
    budget.step(self.size);
    return new Seq(
      self.entries().map(([key, value]) => pick(key, value)),
      kind,
    );
  });

export const dictMethods: ReadonlyMap<string, Member<Dict>> = new Map<string, Member<Dict>>([
  ["get", takes("key default?", (self, [key, otherwise], { budget }) => found(self.get(key!, budget), otherwise) ?? null)],
  ["keys", view("dict_keys", key => key)],
  ["values", view("dict_values", (_, value) => value)],
  ["items", view("dict_items", (key, value) => tuple(key, value))],
  [
    "update",
    (self, call, { budget }) => {
      fillDict(self, call, budget);
      return null;
    },
  ],
  [
    "pop",
    takes("key default?", (self, [key, otherwise], { budget }) => {
      const value = found(self.get(key!, budget), otherwise);
      if (value === undefined) fail(`KeyError: ${repr(key!, budget).text}`);
      self.delete(key!, budget);
      return value;
    }),
  ],
  [
    "popitem",
    takes("", (self, _, { budget }) => {
      budget.step(self.size);
      const last = self.entries().at(-1) ?? fail("popitem(): dictionary is empty");
      self.delete(last[0], budget);
      return tuple(...last);
    }),
  ],
  [
    "setdefault",
    takes("key default?", (self, [key, otherwise], { budget }) => {
      const value = found(self.get(key!, budget), otherwise) ?? null;
      self.set(key!, value, budget);
      return value;
    }),
  ],
  [
    "clear",
    takes("", self => {
      self.clear();
      return null;
    }),
  ],
  [
    "copy",
    takes("", (self, _, { budget }) => {
      budget.step(self.size);
      return fillDict(new Dict(), { positional: [self], named: new Map() }, budget);
    }),
  ],
]);

export const numberMethods: ReadonlyMap<string, Member<bigint | number>> = new Map<string, Member<bigint | number>>([
  ["is_integer", takes("", self => typeof self === "bigint" || Number.isInteger(self))],
  [
    "bit_length",
    takes("", (self, _, { budget }) => {
      if (typeof self !== "bigint") fail("a float has no bits");
      const digits = self.toString(16).replace("-", "");
      budget.work(DIGIT_COST * digits.length);
      return BigInt(4 * digits.length - Math.clz32(Number.parseInt(digits[0], 16)) + 28);
    }),
  ],
]);
