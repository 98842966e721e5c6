/** The functions that every template can call without defining them. */
import { fail } from "./budget.ts";
import { fillDict } from "./methods-data.ts";
import { str } from "./print.ts";
import { bind, type Params, type Runtime, textOf, wholeOf } from "./runtime.ts";
import { strftime } from "./strftime.ts";
import { own, Text } from "./text.ts";
import { type Call, Dict, Exotic, Namespace, NativeFunction, Range, type Value } from "./values.ts";

/** `cycler("odd", "even")`: gives its values in turn. */
class Cycler extends Exotic {
  readonly typeName = "Cycler";
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) fail("at least one item has to be provided");
    this.#items = items;
  }

  override attribute(name: string): Value | undefined {
    if (name === "current") return this.#items[this.#at];
    const run = cyclerMethods.get(name);
    return run && new NativeFunction(() => run(this));
  }

  next(): Value {
    const value = this.#items[this.#at];
    this.#at = (this.#at + 1) % this.#items.length;
    return value;
  }

  reset(): Value {
    this.#at = 0;
    return null;
  }
}

const cyclerMethods: ReadonlyMap<string, (cycler: Cycler) => Value> = new Map<string, (cycler: Cycler) => Value>([
  ["next", cycler => cycler.next()],
  ["reset", cycler => cycler.reset()],
]);

/** A function that gives nothing the first time and its separator from then on. */
function joiner(separator: Value): Value {
  let used = false;
  return new NativeFunction(() => {
    const value = used ? separator : Text.empty;
    used = true;
    return value;
  });
}

function range([first, second, third]: Params): Value {
  const [start, stop] = second === undefined ? [0n, wholeOf(first, 0n)] : [wholeOf(first, 0n), wholeOf(second, 0n)];
  return new Range(start, stop, wholeOf(third, 1n));
}

function namespace(call: Call, rt: Runtime): Value {
  rt.budget.step(2);
  const initial = fillDict(new Dict(), call, rt.budget);
  const fields = initial
    .entries()
    .map(([key, value]) => [key instanceof Text ? key.text : fail("A namespace needs names."), value] as const);
  return new Namespace(new Map(fields));
}

/** What a character of a format of dates may cost, and be long at most. */
const DATE_COST = 1024;
const DATE_LENGTH = 16;

function strftimeNow(format: Text, { now, budget }: Runtime): Text {
  budget.grow(DATE_LENGTH * format.length, DATE_COST * format.length);
  return own(strftime(now, format.text));
}

type GlobalFunction = (call: Call, rt: Runtime) => Value;

const functions: ReadonlyMap<string, GlobalFunction> = new Map<string, GlobalFunction>([
  ["range", call => range(bind(["start", "stop?", "step?"], call))],
  ["dict", (call, rt) => fillDict(new Dict(), call, rt.budget)],
  ["namespace", namespace],
  ["cycler", ({ positional }) => new Cycler(positional)],
  ["joiner", call => joiner(bind(["sep?"], call)[0] ?? own(", "))],
  ["raise_exception", (call, rt) => fail(str(bind(["message"], call)[0]!, rt.budget).text)],
  ["strftime_now", (call, rt) => strftimeNow(textOf(bind(["format"], call)[0]), rt)],
]);

export function globals(rt: Runtime): Map<string, Value> {
  return new Map([...functions].map(([name, run]) => [name, new NativeFunction(call => run(call, rt))]));
}
