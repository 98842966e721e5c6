/**
 * Calls written as a program would: `[f(a=1), g()]` with the literals of Python, and `call:f{a:1}`, whose texts stand between marks. Arguments
 * are told one after the other.
 */
import { type Body, type BodyReader, ended, isName } from "./calls.ts";
import { parsedJson } from "./events.ts";
import type { Reading, Scanner } from "./scanner.ts";
import { argumentNames } from "./typed.ts";

export interface LiteralForm {
  /** Before the name. */
  readonly call?: string;
  readonly open: "(" | "{";
  readonly close: ")" | "}";
  /** Between an argument's name and its value. */
  readonly is: "=" | ":";
  /** What stands around texts, the longest first. */
  readonly quotes: readonly string[];
  /** Whether backslashes mean something in texts. */
  readonly escapes: boolean;
}

export const python: LiteralForm = { open: "(", close: ")", is: "=", quotes: ['"""', "'''", '"', "'"], escapes: true };
export const marked = (quote: string): LiteralForm => {
  return { call: "call:", open: "{", close: "}", is: ":", quotes: [quote, '"'], escapes: false };
};

/** Deeper values count as none. */
const DEEPEST = 64;
const words: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null", true: "true", false: "false", null: "null" };
const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", "0": "\0", "\n": "" };
const digits: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const isWord = (c: string): boolean => /[\w.+-]/.test(c);
const isIdentifier = (c: string): boolean => /[\w.$-]/.test(c);

function* escaped(scanner: Scanner): Reading<string | undefined> {
  const [kind, n] = yield* unit(scanner);
  if (n === 0) return undefined;
  if (!(kind in digits)) return escapes[kind] ?? (/[\\'"]/.test(kind) ? kind : `\\${kind}`);
  let hex = "";
  while (hex.length < digits[kind]) {
    const [digit] = yield* unit(scanner);
    if (!/[0-9a-fA-F]/.test(digit)) return undefined;
    hex += digit;
  }
  const code = Number.parseInt(hex, 16);
  return code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}

/** The next unit, read; none at the end. */
function* unit(scanner: Scanner): Reading<[string, number]> {
  const next = yield* scanner.peek();
  if (next.length !== 1) return ["", 0];
  yield* scanner.starts([next]);
  return [next, 1];
}

function* text(scanner: Scanner, form: LiteralForm, quote: string): Reading<string | undefined> {
  let out = "";
  for (;;) {
    const mark = yield* scanner.until(form.escapes ? [quote, "\\"] : [quote], t => void (out += t));
    if (mark === quote) return JSON.stringify(out);
    if (mark === undefined) return undefined;
    const meant = yield* escaped(scanner);
    if (meant === undefined) return undefined;
    out += meant;
  }
}

function* key(scanner: Scanner, form: LiteralForm): Reading<string | undefined> {
  const quote = yield* scanner.starts(form.quotes);
  if (quote !== undefined) return yield* text(scanner, form, quote);
  const bare = yield* scanner.while(isIdentifier);
  return bare === "" ? undefined : JSON.stringify(bare);
}

/** Values between brackets, with keys or without. */
function* several(scanner: Scanner, form: LiteralForm, close: string, keyed: boolean, depth: number): Reading<string | undefined> {
  const out: string[] = [];
  for (;;) {
    yield* scanner.space();
    if (yield* scanner.starts([close])) break;
    let own = "";
    if (keyed) {
      const name = yield* key(scanner, form);
      yield* scanner.space();
      if (name === undefined || !(yield* scanner.starts([":"]))) return undefined;
      own = `${name}:`;
    }
    const inner = yield* value(scanner, form, depth + 1);
    if (inner === undefined) return undefined;
    out.push(own + inner);
    yield* scanner.space();
    const next = yield* scanner.starts([",", close]);
    if (next === undefined) return undefined;
    if (next === close) break;
  }
  return keyed ? `{${out.join()}}` : `[${out.join()}]`;
}

/** A literal, as JSON text. */
function* value(scanner: Scanner, form: LiteralForm, depth = 0): Reading<string | undefined> {
  yield* scanner.space();
  if (depth > DEEPEST) return undefined;
  const open = yield* scanner.starts([...form.quotes, "[", "(", "{"]);
  if (open === "[" || open === "(") return yield* several(scanner, form, open === "[" ? "]" : ")", false, depth);
  if (open === "{") return yield* several(scanner, form, "}", true, depth);
  if (open !== undefined) return yield* text(scanner, form, open);
  const word = yield* scanner.while(isWord);
  if (Object.hasOwn(words, word)) return words[word];
  const number = word
    .replace(/^\+/, "")
    .replace(/^(-?)\./, "$10.")
    .replace(/\.($|e)/i, ".0$1");
  return typeof parsedJson(number) === "number" ? number : undefined;
}

/** One argument: its name where it has one, and its value. */
function* argument(body: Body, form: LiteralForm, names: readonly string[], at: number): Reading<string | undefined> {
  const { scanner } = body;
  const next = yield* scanner.peek();
  if (/[A-Za-z_]/.test(next)) {
    const word = yield* scanner.while(isIdentifier);
    yield* scanner.space();
    if (yield* scanner.starts([form.is])) {
      const given = yield* value(scanner, form);
      return given === undefined ? undefined : `${JSON.stringify(word)}:${given}`;
    }
    const place = Object.hasOwn(words, word) ? names[at] : undefined;
    return place === undefined ? undefined : `${JSON.stringify(place)}:${words[word]}`;
  }
  if (form.is === ":" && (yield* scanner.starts(form.quotes.slice(0, 1)))) {
    const name = yield* text(scanner, form, form.quotes[0]);
    if (name === undefined || !(yield* scanner.starts([":"]))) return undefined;
    const given = yield* value(scanner, form);
    return given === undefined ? undefined : `${name}:${given}`;
  }
  const given = yield* value(scanner, form);
  return given === undefined || names[at] === undefined ? undefined : `${JSON.stringify(names[at])}:${given}`;
}

function* literalCall(body: Body, form: LiteralForm): Reading<boolean> {
  const { scanner, telling, tools } = body;
  if (form.call !== undefined && !(yield* scanner.starts([form.call]))) return false;
  // The built-in tools of Llama are methods: search.call(query="...").
  const name = (yield* scanner.while(isIdentifier)).replace(/\.call$/, "");
  if (!isName(body, name) || !(yield* scanner.starts([form.open]))) return false;
  telling.begin(name);
  telling.add("{");
  const names = argumentNames(tools.get(name));
  for (let n = 0; ; n++) {
    yield* scanner.space();
    if (yield* scanner.starts([form.close])) break;
    const given = yield* argument(body, form, names, n);
    if (given === undefined) return false;
    telling.add(n > 0 ? `,${given}` : given);
    yield* scanner.space();
    const next = yield* scanner.starts([",", form.close]);
    if (next === undefined) return false;
    if (next === form.close) break;
  }
  telling.add("}");
  return ended(body);
}

/** Calls of that form, in a list or not, until one of `close`. */
export const literalCalls = (form: LiteralForm, close: readonly string[] = []): BodyReader =>
  function* (body) {
    const { scanner, telling } = body;
    const before = telling.completed;
    yield* scanner.space();
    const listed = form.is === "=" && (yield* scanner.starts(["["])) !== undefined;
    for (;;) {
      yield* scanner.space();
      const mark = yield* scanner.starts([...(listed ? ["]"] : close), ",", ";"]);
      if (mark === "," || mark === ";") continue;
      if (mark !== undefined) break;
      if (!/[A-Za-z_]/.test(yield* scanner.peek())) return !listed && telling.completed > before;
      if (!(yield* literalCall(body, form))) return false;
    }
    if (listed && close.length) {
      yield* scanner.space();
      yield* scanner.starts(close);
    }
    if (telling.completed > before) scanner.hold();
    return telling.completed > before;
  };
