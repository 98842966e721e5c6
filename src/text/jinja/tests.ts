/** The tests of templates (`value is name`), by name. */

import { type Budget, fail } from "./budget.ts";
import { calculate } from "./numbers.ts";
import { comparisons } from "./operators.ts";
import { str } from "./print.ts";
import { type Member, type Runtime, takes, wholeOf } from "./runtime.ts";
import { ASK_COST, questions } from "./string-case.ts";
import { Text } from "./text.ts";
import { Dict, Exotic, equals, Iter, isNum, plainNum, Range, Seq, typeName, Undefined, type Value } from "./values.ts";

type Test = Member<Value, boolean>;

const is = (check: (v: Value) => boolean): Test => takes<Value, boolean>("", v => check(v));

/** A comparison as a test: `value is gt(3)`. */
const compared = (operator: string): Test => takes<Value, boolean>("other", (v, [other], rt) => comparisons.get(operator)!(v, other!, rt));

const asked = (question: string): Test =>
  takes<Value, boolean>("", (v, _, { budget }) => {
    const text = str(v, budget);
    budget.work(ASK_COST * text.length);
    return questions.get(question)!(text.text);
  });

function remainder(v: Value, divisor: bigint): bigint | number {
  if (v instanceof Undefined) fail(v.message);
  return isNum(v) ? calculate("%", plainNum(v), divisor) : fail(`'${typeName(v)}' is not a number`);
}

const isNonZero = (n: bigint | number): boolean => n !== 0n && n !== 0;
const textName = (v: Value): string => (v instanceof Text ? v.text : "");

const callable = (v: Value): boolean => v instanceof Undefined || (v instanceof Exotic && v.call !== undefined);
const sequence = (v: Value): boolean =>
  v instanceof Text || v instanceof Dict || v instanceof Range || v instanceof Undefined || (v instanceof Seq && v.indexed);

export const tests: ReadonlyMap<string, Test> = new Map<string, Test>([
  ["defined", is(v => !(v instanceof Undefined))],
  ["undefined", is(v => v instanceof Undefined)],
  ["none", is(v => v === null)],
  ["true", is(v => v === true)],
  ["false", is(v => v === false)],
  ["boolean", is(v => typeof v === "boolean")],
  ["integer", is(v => typeof v === "bigint")],
  ["float", is(v => typeof v === "number")],
  ["number", is(isNum)],
  ["string", is(v => v instanceof Text)],
  ["mapping", is(v => v instanceof Dict)],
  ["sequence", is(sequence)],
  ["iterable", is(v => sequence(v) || v instanceof Seq || v instanceof Iter)],
  ["callable", is(callable)],
  ["escaped", is(v => v instanceof Text && v.markup)],
  ["odd", is(v => remainder(v, 2n) === 1n || remainder(v, 2n) === 1)],
  ["even", is(v => !isNonZero(remainder(v, 2n)))],
  ["divisibleby", takes<Value, boolean>("num", (v, [n]) => !isNonZero(remainder(v, wholeOf(n, 1n))))],
  ["lower", asked("islower")],
  ["upper", asked("isupper")],
  ["sameas", takes<Value, boolean>("other", (v, [other], { budget }) => same(v, other!, budget))],
  ["filter", takes<Value, boolean>("", (v, _, rt) => rt.isFilter(textName(v)))],
  ["test", takes<Value, boolean>("", (v, _, rt: Runtime) => rt.isTest(textName(v)))],
  ...["==", "eq", "equalto"].map(name => [name, compared("==")] as const),
  ...["!=", "ne"].map(name => [name, compared("!=")] as const),
  ...["<", "lt", "lessthan"].map(name => [name, compared("<")] as const),
  ...["<=", "le"].map(name => [name, compared("<=")] as const),
  ...[">", "gt", "greaterthan"].map(name => [name, compared(">")] as const),
  ...[">=", "ge"].map(name => [name, compared(">=")] as const),
  ["in", compared("in")],
]);

/** Python's `is`: the same object; equal small values count as the same. */
function same(a: Value, b: Value, budget: Budget): boolean {
  return a instanceof Text && b instanceof Text ? equals(a, b, budget) : a === b;
}
