/** What each kind of expression means: one table of functions, which call back into the interpreter for their parts. */
import { sliceOf } from "./access.ts";
import type { Arguments, Expr } from "./ast.ts";
import { fail } from "./budget.ts";
import { binary, comparisons, negate, plus } from "./operators.ts";
import { str } from "./print.ts";
import type { Runtime } from "./runtime.ts";
import type { Scope } from "./scope.ts";
import { concat, Text } from "./text.ts";
import { type Call, Dict, iterate, list, Seq, truthy, typeName, Undefined, type Value } from "./values.ts";

/** The interpreter as expressions see it. */
export interface Evaluator extends Runtime {
  evaluate(node: Expr, scope: Scope): Value;
}

type Kind = Expr["kind"];
type Node<K extends Kind> = Extract<Expr, { kind: K }>;
type Handlers = { readonly [K in Kind]: (node: Node<K>, scope: Scope, m: Evaluator) => Value };

export function evaluateArguments(args: Arguments, scope: Scope, m: Evaluator): Call {
  const positional = args.positional.map(arg => m.evaluate(arg, scope));
  const named = new Map(args.named.map(([name, arg]) => [name, m.evaluate(arg, scope)]));
  if (args.rest !== undefined) positional.push(...spread(m.evaluate(args.rest, scope), m));
  if (args.restNamed !== undefined) {
    const more = m.evaluate(args.restNamed, scope);
    if (!(more instanceof Dict)) fail(`argument after ** must be a mapping, not ${typeName(more)}`);
    m.budget.step(2 * more.size);
    for (const [key, value] of more.entries()) named.set(key instanceof Text ? key.text : fail("keywords must be strings"), value);
  }
  return { positional, named };
}

/** More arguments than this in one call would not fit the host's stack. */
const MAX_SPREAD = 10_000;

function spread(v: Value, m: Evaluator): Value[] {
  const items = iterate(v, m.budget);
  return items.length <= MAX_SPREAD ? items : fail("A call has too many arguments.");
}

/** A chain such as `a + b + c` leans to the left; it is walked in a loop, so that its length does not cost depth. */
function evaluateChain(node: Node<"binary">, scope: Scope, m: Evaluator): Value {
  const chain: Node<"binary">[] = [];
  let leftmost: Expr = node;
  for (; leftmost.kind === "binary"; leftmost = leftmost.left) chain.push(leftmost);
  m.budget.step(chain.length);
  let value = m.evaluate(leftmost, scope);
  for (let i = chain.length - 1; i >= 0; i--) value = binary(chain[i].operator, value, m.evaluate(chain[i].right, scope), m);
  return value;
}

function evaluateLogic({ operator, parts }: Node<"logic">, scope: Scope, m: Evaluator): Value {
  let value: Value = null;
  for (const part of parts) {
    value = m.evaluate(part, scope);
    if (truthy(value) === (operator === "or")) break;
  }
  return value;
}

function evaluateComparison({ first, rest }: Node<"compare">, scope: Scope, m: Evaluator): boolean {
  let left = m.evaluate(first, scope);
  for (const [operator, operand] of rest) {
    const right = m.evaluate(operand, scope);
    if (!comparisons.get(operator)!(left, right, m)) return false;
    left = right;
  }
  return true;
}

function evaluateChoice({ test, yes, no, line }: Node<"choose">, scope: Scope, m: Evaluator): Value {
  if (truthy(m.evaluate(test, scope))) return m.evaluate(yes, scope);
  if (no !== undefined) return m.evaluate(no, scope);
  return new Undefined(`the inline if-expression on line ${line} evaluated to false and no else section was defined.`);
}

const unary = {
  "-": negate,
  "+": plus,
  not: (v: Value): Value => !truthy(v),
} as const;

const handlers: Handlers = {
  constant: node => node.value,
  name: (node, scope, m) => scope.get(node.name, m.budget),
  list: (node, scope, m) => list(node.items.map(item => m.evaluate(item, scope))),
  tuple: (node, scope, m) =>
    new Seq(
      node.items.map(item => m.evaluate(item, scope)),
      "tuple",
    ),
  dict: (node, scope, m) => {
    const dict = new Dict();
    for (const [key, value] of node.entries) dict.set(m.evaluate(key, scope), m.evaluate(value, scope), m.budget);
    return dict;
  },
  unary: (node, scope, m) => unary[node.operator](m.evaluate(node.operand, scope)),
  binary: evaluateChain,
  concat: (node, scope, m) => node.parts.reduce((text, part) => concat(m.budget, text, str(m.evaluate(part, scope), m.budget)), Text.empty),
  logic: evaluateLogic,
  compare: evaluateComparison,
  choose: evaluateChoice,
  attribute: (node, scope, m) => m.attribute(m.evaluate(node.target, scope), node.name),
  item: (node, scope, m) => m.item(m.evaluate(node.target, scope), m.evaluate(node.key, scope)),
  slice: (node, scope, m) => {
    const target = m.evaluate(node.target, scope);
    const [start, stop, step] = [0, 1, 2].map(i => {
      const bound = node.bounds[i];
      return bound === undefined ? null : m.evaluate(bound, scope);
    });
    return sliceOf(target, [start, stop, step], m);
  },
  call: (node, scope, m) => m.call(m.evaluate(node.callee, scope), evaluateArguments(node.args, scope, m)),
  filter: (node, scope, m) => m.filter(node.name, m.evaluate(node.target, scope), evaluateArguments(node.args, scope, m)),
  test: (node, scope, m) => m.test(node.name, m.evaluate(node.target, scope), evaluateArguments(node.args, scope, m)) !== node.negated,
};

export function evaluateNode(node: Expr, scope: Scope, m: Evaluator): Value {
  return (handlers[node.kind] as (node: Expr, scope: Scope, m: Evaluator) => Value)(node, scope, m);
}
