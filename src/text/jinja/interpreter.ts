/**
 * Runs a parsed template once: dispatches to the tables of statements, expressions, filters and tests, charges each step, and remembers
 * the line it is on for the message of a failure.
 */
import { attributeOf, itemOf } from "./access.ts";
import type { Expr, Stmt } from "./ast.ts";
import { type Budget, fail } from "./budget.ts";
import { evaluateNode } from "./expressions.ts";
import { dataFilters } from "./filters-data.ts";
import { textFilters } from "./filters-text.ts";
import { globals } from "./functions.ts";
import { Scope } from "./scope.ts";
import { type Executor, executeNode, type Signal } from "./statements.ts";
import { tests } from "./tests.ts";
import { type Text, TextBuilder } from "./text.ts";
import { type Call, Exotic, typeName, Undefined, type Value } from "./values.ts";

const filters = new Map([...textFilters, ...dataFilters]);

export class Interpreter implements Executor {
  readonly budget: Budget;
  readonly now: Date;
  /** The line of the template that ran last. */
  line = 1;

  constructor(budget: Budget, now: Date) {
    this.budget = budget;
    this.now = now;
  }

  run(body: readonly Stmt[], context: Map<string, Value>): Text {
    const out = new TextBuilder(this.budget);
    const outermost = new Scope(new Scope(new Scope(undefined, globals(this)), context));
    const signal = this.execute(body, outermost, out);
    if (signal !== undefined) fail(`'${signal}' outside loop`);
    return out.done();
  }

  execute(body: readonly Stmt[], scope: Scope, out: TextBuilder): Signal {
    this.budget.enter();
    for (const node of body) {
      this.budget.step();
      this.line = node.line;
      const signal = executeNode(node, scope, this, out);
      if (signal !== undefined) {
        this.budget.leave();
        return signal;
      }
    }
    this.budget.leave();
    return undefined;
  }

  evaluate(node: Expr, scope: Scope): Value {
    this.budget.step();
    this.budget.enter();
    this.line = node.line;
    const value = evaluateNode(node, scope, this);
    this.budget.leave();
    return value;
  }

  call(callee: Value, args: Call): Value {
    if (callee instanceof Undefined) fail(callee.message);
    if (!(callee instanceof Exotic) || callee.call === undefined) fail(`'${typeName(callee)}' object is not callable`);
    this.budget.enter();
    const value = callee.call(args);
    this.budget.leave();
    return value;
  }

  filter(name: string, self: Value, args: Call): Value {
    const run = filters.get(name) ?? fail(`No filter named '${name}'.`);
    this.budget.step();
    return run(self, args, this);
  }

  test(name: string, self: Value, args: Call): boolean {
    const run = tests.get(name) ?? fail(`No test named '${name}'.`);
    this.budget.step();
    return run(self, args, this);
  }

  attribute(value: Value, name: string): Value {
    return attributeOf(value, name, this);
  }

  item(value: Value, key: Value): Value {
    return itemOf(value, key, this);
  }

  isFilter(name: string): boolean {
    return filters.has(name);
  }

  isTest(name: string): boolean {
    return tests.has(name);
  }
}
