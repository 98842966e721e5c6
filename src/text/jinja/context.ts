/**
 * Turns the caller's plain data into template values. This is the only place where anything of the host enters a template, and it enters
 * as a copy: numbers, texts, lists and dicts, never an object, a function or a getter.
 */
import { fail } from "./budget.ts";
import { Text } from "./text.ts";
import { Dict, Seq, type Value } from "./values.ts";

/** A string of the context that may become control tokens, such as the text of the BOS token. Made by `trusted`. */
export class TrustedText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Declares a string of the context to be as trustworthy as the template itself. Never for anything that a user or a model wrote. */
export const trusted = (text: string): TrustedText => new TrustedText(text);

const MAX_CONTEXT_DEPTH = 100;
/** Beyond this a JavaScript number is a float even when it is whole. */
const WHOLE_LIMIT = 1e21;

export class ContextReader {
  /** Characters of all texts read so far. */
  characters = 0;
  /** One value for one object, so that shared and cyclic data stays as small as it was. */
  readonly #seen = new Map<object, Value>();

  read(context: Readonly<Record<string, unknown>>): Map<string, Value> {
    const names = new Map<string, Value>();
    for (const [name, host] of Object.entries(context)) if (host !== undefined) names.set(name, this.#value(host, name, 0));
    return names;
  }

  #text(text: string, isTrusted: boolean): Text {
    this.characters += text.length;
    return new Text(text, isTrusted);
  }

  #value(host: unknown, path: string, depth: number): Value {
    if (host === null || host === undefined) return null;
    if (typeof host === "string") return this.#text(host, false);
    if (typeof host === "boolean" || typeof host === "bigint") return host;
    if (typeof host === "number")
      return Number.isInteger(host) && Math.abs(host) < WHOLE_LIMIT && !Object.is(host, -0) ? BigInt(host) : host;
    if (host instanceof TrustedText) return this.#text(host.text, true);
    if (typeof host !== "object") fail(`'${path}' in the context is a ${typeof host}, not plain data`);
    if (depth > MAX_CONTEXT_DEPTH) fail(`'${path}' in the context is nested too deeply`);
    return this.#seen.get(host) ?? (Array.isArray(host) ? this.#list(host, path, depth) : this.#dict(host, path, depth));
  }

  #list(host: readonly unknown[], path: string, depth: number): Value {
    const items: Value[] = [];
    const value = new Seq(items);
    this.#seen.set(host, value);
    for (const item of host) items.push(this.#value(item, path, depth + 1));
    return value;
  }

  #dict(host: object, path: string, depth: number): Value {
    const prototype = Object.getPrototypeOf(host);
    const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
    if (!plain && !(host instanceof Map)) fail(`'${path}' in the context is not plain data`);
    const value = new Dict();
    this.#seen.set(host, value);
    for (const [key, entry] of host instanceof Map ? host : Object.entries(host)) {
      if (typeof key !== "string") fail(`'${path}' in the context has a key that is not a string`);
      if (entry !== undefined) value.setText(this.#text(key, false), this.#value(entry, `${path}.${key}`, depth + 1));
    }
    return value;
  }
}
