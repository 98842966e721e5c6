/** What the operators of expressions mean, by their signs: arithmetic on numbers, joining and repeating, comparison, membership. */
import { type Budget, fail } from "./budget.ts";
import { calculate } from "./numbers.ts";
import { writeEscaped } from "./print.ts";
import type { Runtime } from "./runtime.ts";
import { contains } from "./string-cut.ts";
import { percentFormat } from "./string-format.ts";
import { concat, repeatText, Text, TextBuilder } from "./text.ts";
import { compare, Dict, elements, equals, isNum, plainNum, Range, Seq, typeName, Undefined, type Value } from "./values.ts";

const HTML: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ["'", "&#39;"],
  ['"', "&#34;"],
]);

/** Escapes a text for HTML, unless it is declared safe. */
export function escapeHtml(text: Text, budget: Budget): Text {
  if (text.markup) return text;
  const out = new TextBuilder(budget);
  writeEscaped(text, out, budget, /[&<>'"]/g, character => HTML.get(character)!);
  return out.done(true);
}

function addTexts(a: Text, b: Text, budget: Budget): Text {
  if (!a.markup && !b.markup) return concat(budget, a, b);
  return concat(budget, escapeHtml(a, budget), escapeHtml(b, budget)).asMarkup();
}

function repeatList(items: Seq, count: bigint, budget: Budget): Seq {
  const times = count > 0n && items.items.length > 0 ? count : 0n;
  const length = BigInt(items.items.length) * times;
  budget.step(length > 1_000_000_000n ? 1_000_000_000 : Number(length));
  const out: Value[] = [];
  for (let i = 0; i < Number(times); i++) for (const item of items.items) out.push(item);
  return new Seq(out, items.kind);
}

function multiply(a: Value, b: Value, budget: Budget): Value | undefined {
  const [whole, other] = typeof a === "bigint" || typeof a === "boolean" ? [a, b] : [b, a];
  if (typeof whole !== "bigint" && typeof whole !== "boolean") return undefined;
  const count = plainNum(whole) as bigint;
  // Cut to what no budget allows, so that the product stays a safe number.
  const safe = count > 1_000_000_000n ? 1_000_000_000n : count;
  if (other instanceof Text) return repeatText(budget, other, Number(safe < 0n ? 0n : safe));
  return other instanceof Seq && other.indexed ? repeatList(other, safe, budget) : undefined;
}

function addLists(a: Value, b: Value, budget: Budget): Value | undefined {
  if (!(a instanceof Seq && b instanceof Seq && a.kind === b.kind && a.indexed)) return undefined;
  budget.step(a.items.length + b.items.length);
  return new Seq([...a.items, ...b.items], a.kind);
}

/** What an operator does with operands that are not both numbers; undefined where Python knows nothing either. */
const other: ReadonlyMap<string, (a: Value, b: Value, rt: Runtime) => Value | undefined> = new Map(
  Object.entries({
    "+": (a: Value, b: Value, { budget }: Runtime) =>
      a instanceof Text && b instanceof Text ? addTexts(a, b, budget) : addLists(a, b, budget),
    "*": (a: Value, b: Value, { budget }: Runtime) => multiply(a, b, budget),
    "%": (a: Value, b: Value, rt: Runtime) => (a instanceof Text ? percentFormat(a, b, rt) : undefined),
  }),
);

/** The operators that take longer than others where the numbers are large. */
const DIVIDING: ReadonlySet<string> = new Set(["%", "//", "**"]);
const DIVIDING_STEPS = 3;

export function binary(operator: string, a: Value, b: Value, rt: Runtime): Value {
  if (DIVIDING.has(operator)) rt.budget.step(DIVIDING_STEPS);
  if (isNum(a) && isNum(b)) return calculate(operator, plainNum(a), plainNum(b));
  if (a instanceof Undefined) fail(a.message);
  if (b instanceof Undefined && !(operator === "%" && a instanceof Text)) fail(b.message);
  const result = other.get(operator)?.(a, b, rt);
  return result ?? fail(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

export function negate(v: Value): Value {
  if (v instanceof Undefined) fail(v.message);
  return isNum(v) ? -plainNum(v) : fail(`bad operand type for unary -: '${typeName(v)}'`);
}

export function plus(v: Value): Value {
  if (v instanceof Undefined) fail(v.message);
  return isNum(v) ? plainNum(v) : fail(`bad operand type for unary +: '${typeName(v)}'`);
}

/** `needle in container` */
function isIn(needle: Value, container: Value, { budget }: Runtime): boolean {
  if (container instanceof Text) {
    if (needle instanceof Text) return contains(container, needle, budget);
    return fail(`'in <string>' requires string as left operand, not ${typeName(needle)}`);
  }
  if (container instanceof Dict) return container.get(needle, budget) !== undefined;
  if (container instanceof Range && typeof needle === "bigint") return inRange(needle, container);
  const items = elements(container, budget) ?? fail(`argument of type '${typeName(container)}' is not iterable`);
  return items.some(item => equals(item, needle, budget));
}

function inRange(n: bigint, range: Range): boolean {
  const offset = n - range.start;
  const index = offset / range.step;
  return offset % range.step === 0n && index >= 0n && index < BigInt(range.length);
}

type Comparison = (a: Value, b: Value, rt: Runtime) => boolean;

/** NaN has no order, and every comparison below is then false, as in Python. */
export const comparisons: ReadonlyMap<string, Comparison> = new Map<string, Comparison>([
  ["==", (a, b, rt) => equals(a, b, rt.budget)],
  ["!=", (a, b, rt) => !equals(a, b, rt.budget)],
  ["<", (a, b, rt) => compare(a, b, rt.budget, "<") < 0],
  ["<=", (a, b, rt) => compare(a, b, rt.budget, "<=") <= 0],
  [">", (a, b, rt) => compare(a, b, rt.budget, ">") > 0],
  [">=", (a, b, rt) => compare(a, b, rt.budget, ">=") >= 0],
  ["in", isIn],
  ["not in", (a, b, rt) => !isIn(a, b, rt)],
]);
