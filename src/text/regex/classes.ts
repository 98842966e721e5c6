/**
 * Character classes of regular expressions as tests of one code point: `\s`, `\d`, `\w`, `\p{..}`, ranges, negation, case folding; and the
 * alphabet of an expression, which numbers the groups of code points that all of its classes treat alike. The host's `\p{..}` is asked
 * about single code points only.
 */
import { classOf, LETTER, MARK, NUMBER, PUNCTUATION, SPACE, SYMBOL } from "../unicode.ts";
import type { Test } from "./syntax.ts";

export const not =
  (test: Test): Test =>
  c =>
    !test(c);

export const any =
  (tests: readonly Test[]): Test =>
  c =>
    tests.some(test => test(c));

export const both =
  (a: Test, b: Test): Test =>
  c =>
    a(c) && b(c);

export const range =
  (from: number, to: number): Test =>
  c =>
    c >= from && c <= to;

const bits =
  (mask: number): Test =>
  c =>
    (classOf(c) & mask) !== 0;

const host =
  (expression: RegExp): Test =>
  c =>
    expression.test(String.fromCodePoint(c >= 0xd800 && c <= 0xdfff ? 0xfffd : c));

export const everything: Test = () => true;
export const lineFeed: Test = range(10, 10);
export const space: Test = bits(SPACE);
export const digit: Test = host(/^\p{Nd}$/u);
export const word: Test = host(/^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u);

/** The large categories have a table already. */
const known: ReadonlyMap<string, Test> = new Map([
  ["L", bits(LETTER)],
  ["N", bits(NUMBER)],
  ["M", bits(MARK)],
  ["P", bits(PUNCTUATION)],
  ["S", bits(SYMBOL)],
  ["White_Space", space],
  ["Any", everything],
]);

/** `\p{name}`: a category, a script, or a property; undefined if there is none of that name. */
export function property(name: string): Test | undefined {
  const found = known.get(name);
  if (found) return found;
  if (!/^[A-Za-z][A-Za-z_]*(=[A-Za-z_]+)?$/.test(name)) return undefined;
  for (const full of [name, `Script=${name}`]) {
    try {
      return host(new RegExp(`^\\p{${full}}$`, "u"));
    } catch {
      // Not a name of this kind; the next kind is tried.
    }
  }
  return undefined;
}

/** `[:name:]` inside of a class. */
export const posix: ReadonlyMap<string, Test> = new Map([
  ["alpha", host(/^\p{Alphabetic}$/u)],
  ["digit", digit],
  ["alnum", host(/^[\p{Alphabetic}\p{M}\p{Nd}]$/u)],
  ["upper", host(/^\p{Uppercase}$/u)],
  ["lower", host(/^\p{Lowercase}$/u)],
  ["space", space],
  ["punct", bits(PUNCTUATION | SYMBOL)],
  ["cntrl", host(/^\p{Cc}$/u)],
  ["xdigit", any([range(0x30, 0x39), range(0x41, 0x46), range(0x61, 0x66)])],
  ["word", word],
]);

function single(text: string, otherwise: number): number {
  const codePoint = text.codePointAt(0) ?? otherwise;
  return text.length === (codePoint > 0xffff ? 2 : 1) ? codePoint : otherwise;
}

/** The class and everything that differs from its members in case alone. */
export function foldCase(test: Test): Test {
  return c => {
    if (test(c)) return true;
    if (c >= 0xd800 && c <= 0xdfff) return false;
    const char = String.fromCodePoint(c);
    const upper = single(char.toUpperCase(), c);
    return test(single(char.toLowerCase(), c)) || test(upper) || test(single(String.fromCodePoint(upper).toLowerCase(), c));
  };
}

/** Numbers the groups of code points that a list of classes cannot tell apart. Pages of 256 are filled when first touched. */
export class Alphabet {
  readonly tests: readonly Test[];
  /** By group: which of the tests hold, one byte each. */
  readonly members: Uint8Array[] = [];
  readonly #groups = new Map<string, number>();
  readonly #pages: (Uint32Array | undefined)[] = new Array(0x1100).fill(undefined);

  constructor(tests: readonly Test[]) {
    this.tests = tests;
  }

  groupOf(codePoint: number): number {
    const page = codePoint >> 8;
    return (this.#pages[page] ?? this.#fill(page))[codePoint & 255];
  }

  #fill(page: number): Uint32Array {
    const filled = new Uint32Array(256);
    for (let low = 0; low < 256; low++) {
      const c = page * 256 + low;
      const scalar = c >= 0xd800 && c <= 0xdfff ? 0xfffd : c;
      const held = Uint8Array.from(this.tests, test => Number(test(scalar)));
      const key = held.join("");
      let group = this.#groups.get(key);
      if (group === undefined) {
        group = this.members.push(held) - 1;
        this.#groups.set(key, group);
      }
      filled[low] = group;
    }
    this.#pages[page] = filled;
    return filled;
  }
}
