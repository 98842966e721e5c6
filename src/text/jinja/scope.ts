/** Where names live while a template runs, and the values that templates get from running: macros and the `loop` variable. */
import type { MacroNode } from "./ast.ts";
import { type Budget, fail } from "./budget.ts";
import type { Runtime } from "./runtime.ts";
import { own } from "./text.ts";
import { type Call, Dict, Exotic, equals, NativeFunction, tuple, Undefined, type Value } from "./values.ts";

/** Levels of names that are looked through in the time of a step. */
const LEVELS_OF_STEP = 8;

/** One level of names. Loops, macros and blocks have their own; `if` has none. */
export class Scope {
  readonly #names: Map<string, Value>;
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope, names: Map<string, Value> = new Map()) {
    this.#outer = outer;
    this.#names = names;
  }

  /** The value of a name here or further out. Charges a step for every few levels in between. */
  get(name: string, budget: Budget): Value {
    let levels = 0;
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.#outer) {
      const value = scope.#names.get(name);
      if (value !== undefined) return value;
      if (++levels % LEVELS_OF_STEP === 0) budget.step();
    }
    return new Undefined(`'${name}' is undefined`);
  }

  /** Whether this level itself has the name. */
  has(name: string): boolean {
    return this.#names.has(name);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}

/** What a macro needs from the interpreter: its body run, a default evaluated. */
export type RunMacro = (macro: Macro, scope: Scope) => Value;

export class Macro extends Exotic {
  readonly typeName = "Macro";
  readonly node: MacroNode;
  readonly #defined: Scope;
  readonly #budget: Budget;
  readonly #run: RunMacro;

  constructor(node: MacroNode, defined: Scope, budget: Budget, run: RunMacro) {
    super();
    this.#budget = budget;
    this.node = node;
    this.#defined = defined;
    this.#run = run;
  }

  override attribute(name: string): Value | undefined {
    if (name === "arguments") this.#budget.step(this.node.parameters.length);
    return macroAttributes.get(name)?.(this.node);
  }

  /** Binds the arguments in a scope inside the one where the macro was defined, and runs the body. */
  override call({ positional, named }: Call): Value {
    const { name, parameters, mentions } = this.node;
    this.#budget.step(2 * parameters.length + named.size);
    const scope = new Scope(this.#defined);
    const rest = new Map(named);
    parameters.forEach((parameter, i) => {
      const given = i < positional.length;
      const value = given ? positional[i] : rest.get(parameter.name);
      if (!given) rest.delete(parameter.name);
      if (value !== undefined) scope.set(parameter.name, value);
    });
    this.#bindRest(scope, positional.slice(parameters.length), rest, name, mentions);
    return this.#run(this, scope);
  }

  #bindRest(scope: Scope, extra: readonly Value[], rest: Map<string, Value>, name: string, mentions: ReadonlySet<string>): void {
    if (mentions.has("caller") && !this.node.parameters.some(p => p.name === "caller")) {
      scope.set("caller", rest.get("caller") ?? new Undefined("No caller defined"));
      rest.delete("caller");
    }
    if (mentions.has("kwargs")) {
      const kwargs = new Dict();
      for (const [key, value] of rest) kwargs.setText(own(key), value);
      scope.set("kwargs", kwargs);
    } else if (rest.size > 0) fail(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
    if (mentions.has("varargs")) scope.set("varargs", tuple(...extra));
    else if (extra.length > 0) fail(`macro '${name}' takes not more than ${this.node.parameters.length} argument(s)`);
  }
}

const macroAttributes: ReadonlyMap<string, (node: MacroNode) => Value> = new Map<string, (node: MacroNode) => Value>([
  ["name", node => own(node.name)],
  ["arguments", node => tuple(...node.parameters.map(p => own(p.name)))],
  ["catch_kwargs", node => node.mentions.has("kwargs")],
  ["catch_varargs", node => node.mentions.has("varargs")],
  ["caller", node => node.mentions.has("caller")],
]);

/** The variable `loop` of a running loop. */
export class Loop extends Exotic {
  readonly typeName = "LoopContext";
  readonly items: readonly Value[];
  readonly depth0: number;
  /** Runs the same loop over other items; present in a recursive loop. */
  readonly #again: ((items: Value, depth0: number) => Value) | undefined;
  readonly #rt: Runtime;
  at = 0;
  #last: Value | undefined;

  constructor(items: readonly Value[], depth0: number, rt: Runtime, again?: (items: Value, depth0: number) => Value) {
    super();
    this.items = items;
    this.depth0 = depth0;
    this.#rt = rt;
    this.#again = again;
  }

  override attribute(name: string): Value | undefined {
    return loopAttributes.get(name)?.(this);
  }

  override call({ positional: [items] }: Call): Value {
    if (this.#again === undefined) fail("The loop must have the 'recursive' marker to be called recursively.");
    return this.#again(items ?? fail("loop() needs something to loop over"), this.depth0 + 1);
  }

  neighbour(offset: number): Value {
    const value = this.items[this.at + offset];
    return value === undefined ? new Undefined(`there is no ${offset < 0 ? "previous" : "next"} item`) : value;
  }

  changed(values: readonly Value[]): boolean {
    const now = tuple(...values);
    const same = this.#last !== undefined && equals(this.#last, now, this.#rt.budget);
    this.#last = now;
    return !same;
  }
}

const cycle = (loop: Loop, items: readonly Value[]): Value =>
  items.length > 0 ? items[loop.at % items.length] : fail("no items for cycling given");

const loopAttributes: ReadonlyMap<string, (loop: Loop) => Value> = new Map<string, (loop: Loop) => Value>([
  ["index", loop => BigInt(loop.at + 1)],
  ["index0", loop => BigInt(loop.at)],
  ["revindex", loop => BigInt(loop.items.length - loop.at)],
  ["revindex0", loop => BigInt(loop.items.length - loop.at - 1)],
  ["first", loop => loop.at === 0],
  ["last", loop => loop.at === loop.items.length - 1],
  ["length", loop => BigInt(loop.items.length)],
  ["depth", loop => BigInt(loop.depth0 + 1)],
  ["depth0", loop => BigInt(loop.depth0)],
  ["previtem", loop => loop.neighbour(-1)],
  ["nextitem", loop => loop.neighbour(1)],
  ["cycle", loop => new NativeFunction(({ positional }) => cycle(loop, positional))],
  ["changed", loop => new NativeFunction(({ positional }) => loop.changed(positional))],
]);
