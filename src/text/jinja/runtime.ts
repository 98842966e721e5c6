/**
 * What the tables of filters, tests, methods and functions may ask of the interpreter, and how they read their arguments.
 * Owns no behaviour of templates.
 */
import { type Budget, fail } from "./budget.ts";
import { truncate } from "./numbers.ts";
import { Text } from "./text.ts";
import { type Call, isNum, plainNum, truthy, typeName, Undefined, type Value } from "./values.ts";

export interface Runtime {
  readonly budget: Budget;
  /** The time that `strftime_now` tells. */
  readonly now: Date;
  call(callee: Value, args: Call): Value;
  filter(name: string, self: Value, args: Call): Value;
  test(name: string, self: Value, args: Call): boolean;
  /** `value.name`: methods first, then entries of a dict. */
  attribute(value: Value, name: string): Value;
  /** `value[key]`: entries first, then methods. */
  item(value: Value, key: Value): Value;
  isFilter(name: string): boolean;
  isTest(name: string): boolean;
}

/** A filter, test or method: the value it is applied to, its arguments, the interpreter. */
export type Member<S extends Value = Value, R = Value> = (self: S, call: Call, rt: Runtime) => R;
export type Params = readonly (Value | undefined)[];

/** Arguments by the names in a signature such as `"old new count?"`; a question mark ends the name of one that may be left out. */
export function bind(names: readonly string[], call: Call): Params {
  if (call.positional.length > names.length) fail(`takes at most ${names.length} arguments, got ${call.positional.length}`);
  const bound: (Value | undefined)[] = [...call.positional];
  const bare = names.map(name => name.replace("?", ""));
  for (const [name, value] of call.named) {
    const at = bare.indexOf(name);
    if (at < 0) fail(`got an unexpected keyword argument '${name}'`);
    if (at < call.positional.length) fail(`got multiple values for argument '${name}'`);
    bound[at] = value;
  }
  names.forEach((name, i) => {
    if (bound[i] === undefined && !name.endsWith("?")) fail(`is missing the argument '${name}'`);
  });
  return bound;
}

/** A table entry whose arguments are bound by a signature. */
export function takes<S extends Value, R = Value>(signature: string, run: (self: S, args: Params, rt: Runtime) => R): Member<S, R> {
  const names = signature.split(" ").filter(name => name !== "");
  return (self, call, rt) => run(self, bind(names, call), rt);
}

/** An argument that must be a string; None and a missing one give undefined. */
export function optionalText(v: Value | undefined): Text | undefined {
  if (v === undefined || v === null) return undefined;
  return v instanceof Text ? v : fail(`expected a string, got ${typeName(v)}`);
}

export const textOf = (v: Value | undefined): Text => optionalText(v) ?? fail("expected a string, got None");

/** An argument that must be an integer. */
export function wholeOf(v: Value | undefined, otherwise: bigint): bigint {
  if (v === undefined) return otherwise;
  if (v instanceof Undefined) fail(v.message);
  const n = isNum(v) ? plainNum(v) : undefined;
  return typeof n === "bigint" ? n : fail(`'${typeName(v)}' object cannot be interpreted as an integer`);
}

/** An integer argument as a JavaScript number, cut to the sizes that a text or list can have. */
export function sizeArgument(v: Value | undefined, otherwise: number): number {
  const whole = wholeOf(v, BigInt(otherwise));
  const limit = BigInt(2 ** 40);
  return Number(whole > limit ? limit : whole < -limit ? -limit : whole);
}

export const flag = (v: Value | undefined, otherwise = false): boolean => (v === undefined ? otherwise : truthy(v));

/** The whole part of a number, or undefined where the value is not a number. */
export function wholePart(v: Value): bigint | undefined {
  if (!isNum(v)) return undefined;
  const n = plainNum(v);
  return typeof n === "bigint" ? n : truncate(n);
}
