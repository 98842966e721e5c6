/** What each kind of statement does: one table of functions, which call back into the interpreter for their bodies. */
import type { FilterStep, ForNode, MacroNode, Stmt, Target } from "./ast.ts";
import { fail } from "./budget.ts";
import { type Evaluator, evaluateArguments } from "./expressions.ts";
import { writeStr } from "./print.ts";
import { Loop, Macro, Scope } from "./scope.ts";
import { TextBuilder } from "./text.ts";
import { type Call, iterate, Namespace, truthy, Undefined, type Value } from "./values.ts";

/** Steps of what has names or a text of its own, beyond those of its parts: a round of a loop, a body that is kept as a text, a macro's call. */
const ROUND_STEPS = 1;
const CAPTURE_STEPS = 2;
const CALL_STEPS = 4;

/** How a body ended, when it did not end at its end. */
export type Signal = "break" | "continue" | undefined;

/** The interpreter as statements see it. */
export interface Executor extends Evaluator {
  execute(body: readonly Stmt[], scope: Scope, out: TextBuilder): Signal;
}

type Kind = Stmt["kind"];
type Handlers = { readonly [K in Kind]: (node: Extract<Stmt, { kind: K }>, scope: Scope, m: Executor, out: TextBuilder) => Signal };

/** Runs a body in a scope of its own and returns its text. */
function capture(body: readonly Stmt[], scope: Scope, m: Executor): Value {
  m.budget.step(CAPTURE_STEPS);
  const out = new TextBuilder(m.budget);
  m.execute(body, new Scope(scope), out);
  return out.done();
}

function applyFilters(value: Value, steps: readonly FilterStep[], scope: Scope, m: Executor): Value {
  return steps.reduce((v, { name, args }) => m.filter(name, v, evaluateArguments(args, scope, m)), value);
}

function assign(target: Target, value: Value, scope: Scope, m: Executor): void {
  if (target.kind === "name") scope.set(target.name, value);
  else if (target.kind === "targets") unpack(target.items, value, scope, m);
  else {
    const namespace = scope.get(target.name, m.budget);
    if (namespace instanceof Undefined) fail(namespace.message);
    if (!(namespace instanceof Namespace)) fail("cannot assign attribute on non-namespace object");
    namespace.fields.set(target.field, value);
  }
}

function unpack(targets: readonly Target[], value: Value, scope: Scope, m: Executor): void {
  const values = iterate(value, m.budget);
  if (values.length < targets.length) fail(`not enough values to unpack (expected ${targets.length}, got ${values.length})`);
  if (values.length > targets.length) fail(`too many values to unpack (expected ${targets.length})`);
  targets.forEach((target, i) => {
    assign(target, values[i], scope, m);
  });
}

function runFor(node: ForNode, scope: Scope, m: Executor, out: TextBuilder): Signal {
  loopOver(node, m.evaluate(node.source, scope), scope, m, out, 0);
  return undefined;
}

function loopOver(node: ForNode, source: Value, scope: Scope, m: Executor, out: TextBuilder, depth0: number): void {
  const items = selected(node, iterate(source, m.budget), scope, m);
  const again = (inner: Value, depth: number): Value => {
    const text = new TextBuilder(m.budget);
    loopOver(node, inner, scope, m, text, depth);
    return text.done();
  };
  const loop = new Loop(items, depth0, m, node.recursive ? again : undefined);
  // Jinja2 takes the `else` branch when no iteration reached its end, so also when each was cut short.
  let completed = false;
  for (; loop.at < items.length; loop.at++) {
    m.budget.step(ROUND_STEPS);
    const inner = new Scope(scope);
    inner.set("loop", loop);
    assign(node.target, items[loop.at], inner, m);
    const signal = m.execute(node.body, inner, out);
    if (signal === "break") break;
    completed ||= signal === undefined;
  }
  if (!completed) m.execute(node.otherwise, new Scope(scope), out);
}

/** The items that pass the loop's own condition, which `loop` does not count otherwise. A copy, since the body may change the list. */
function selected({ target, test }: ForNode, items: readonly Value[], scope: Scope, m: Executor): Value[] {
  if (test === undefined) return [...items];
  return items.filter(item => {
    const inner = new Scope(scope);
    assign(target, item, inner, m);
    return truthy(m.evaluate(test, inner));
  });
}

function makeMacro(node: MacroNode, scope: Scope, m: Executor): Macro {
  return new Macro(node, scope, m.budget, (macro, inner) => {
    m.budget.step(CALL_STEPS);
    const missing = macro.node.parameters.filter(({ name }) => !inner.has(name));
    // A default does not see outer variables of the parameters' names.
    for (const { name } of missing) inner.set(name, new Undefined(`parameter '${name}' was not provided`));
    for (const { name, default: otherwise } of missing) if (otherwise) inner.set(name, m.evaluate(otherwise, inner));
    const out = new TextBuilder(m.budget);
    m.execute(macro.node.body, inner, out);
    return out.done();
  });
}

function print(value: Value, m: Executor, out: TextBuilder): Signal {
  writeStr(value, out, m.budget);
  return undefined;
}

const handlers: Handlers = {
  data: (node, _scope, _m, out) => {
    out.addText(node.text);
    return undefined;
  },
  print: (node, scope, m, out) => print(m.evaluate(node.value, scope), m, out),
  if: (node, scope, m, out) => {
    const chosen = node.branches.find(({ test }) => truthy(m.evaluate(test, scope)));
    return m.execute(chosen?.body ?? node.otherwise, scope, out);
  },
  for: runFor,
  set: (node, scope, m) => {
    assign(node.target, m.evaluate(node.value, scope), scope, m);
    return undefined;
  },
  capture: (node, scope, m) => {
    assign(node.target, applyFilters(capture(node.body, scope, m), node.filters, scope, m), scope, m);
    return undefined;
  },
  macro: (node, scope, m) => {
    scope.set(node.macro.name, makeMacro(node.macro, scope, m));
    return undefined;
  },
  callBlock: (node, scope, m, out) => {
    const { callee, args } = node.call;
    const { positional, named }: Call = evaluateArguments(args, scope, m);
    const caller = makeMacro(node.caller, scope, m);
    return print(m.call(m.evaluate(callee, scope), { positional, named: new Map([...named, ["caller", caller]]) }), m, out);
  },
  filterBlock: (node, scope, m, out) => print(applyFilters(capture(node.body, scope, m), node.filters, scope, m), m, out),
  with: (node, scope, m, out) => {
    const inner = new Scope(scope);
    const values = node.bindings.map(([, value]) => m.evaluate(value, scope));
    node.bindings.forEach(([target], i) => {
      assign(target, values[i], inner, m);
    });
    return m.execute(node.body, inner, out);
  },
  do: (node, scope, m) => {
    m.evaluate(node.value, scope);
    return undefined;
  },
  break: () => "break",
  continue: () => "continue",
};

export function executeNode(node: Stmt, scope: Scope, m: Executor, out: TextBuilder): Signal {
  return (handlers[node.kind] as (node: Stmt, scope: Scope, m: Executor, out: TextBuilder) => Signal)(node, scope, m, out);
}
