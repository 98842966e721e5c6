/** How values are written: white space, strings and numbers as expressions. JSON, and what other forms of values change of it. */
import type { ValueForm } from "../../../text/tools/call-forms.ts";
import type { Expr, Grammar } from "../grammar.ts";
import { type CharSet, chars, complement, LAST } from "../utf8.ts";
import type { Profile } from "./context.ts";

export function whitespace(grammar: Grammar, profile: Profile): Expr {
  const blanks: [number, number][] = [
    [9, 9],
    [32, 32],
  ];
  if (profile.whitespace === "none") return grammar.empty;
  if (profile.whitespace === "any") return grammar.repeat(grammar.ranges([...blanks, [10, 10], [13, 13]]), 0);
  return grammar.alt(grammar.empty, grammar.byte(32), grammar.seq(grammar.byte(10), grammar.repeat(grammar.ranges(blanks), 0, 20)));
}

/** Escapes of one letter, and the bytes they stand for. */
const escapes: readonly (readonly [letter: string, byte: number])[] = [
  ['"', 0x22],
  ["\\", 0x5c],
  ["/", 0x2f],
  ["b", 8],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9],
];

/** A slash is escaped in JSON alone. */
const escapesOf = (texts: ValueForm["texts"]): typeof escapes =>
  texts === "json" ? escapes : escapes.filter(([letter]) => letter !== "/");

/** What stands between the quotes of a string. Escapes that `JSON.stringify` writes are known to every form that knows any. */
export const between = (text: string, texts: ValueForm["texts"]): string => (texts === "raw" ? text : JSON.stringify(text).slice(1, -1));

/** Whether a text can be written; one that stands as it is has no half of a character in it, which UTF-8 cannot say. */
export const canHold = (text: string, texts: ValueForm["texts"], without?: string): boolean =>
  !(without !== undefined && text.includes(without)) && !(texts === "raw" && /\p{Cs}/u.test(text));

/** One character of a string with escapes, however it is written. */
export function anyChar(grammar: Grammar, texts: ValueForm["texts"]): Expr {
  const hex = grammar.ranges([
    [0x30, 0x39],
    [0x41, 0x46],
    [0x61, 0x66],
  ]);
  const d = grammar.ranges([
    [0x44, 0x44],
    [0x64, 0x64],
  ]);
  const digits = (from: string, to: string): Expr => {
    const [a, b] = [from.charCodeAt(0), to.charCodeAt(0)];
    return grammar.ranges([
      [a, b],
      [a & ~32, b & ~32],
    ]);
  };
  const plain = chars(grammar, unescaped);
  const notD = grammar.alt(grammar.ranges([[0x30, 0x39]]), digits("a", "c"), digits("e", "f"));
  const low = grammar.ranges([[0x30, 0x37]]);
  const unit = grammar.alt(grammar.seq(notD, hex, hex, hex), grammar.seq(d, low, hex, hex));
  const high = grammar.seq(d, grammar.alt(grammar.ranges([[0x38, 0x39]]), digits("a", "b")), hex, hex);
  const second = grammar.seq(d, digits("c", "f"), hex, hex);
  const coded = grammar.seq(grammar.text("u"), grammar.alt(unit, grammar.seq(high, grammar.text("\\u"), second)));
  const letters = grammar.anyOf(escapesOf(texts).map(([letter]) => grammar.text(letter)));
  return grammar.alt(plain, grammar.seq(grammar.text("\\"), grammar.alt(letters, coded)));
}

/** Characters that a string with escapes holds as they are. */
const unescaped: CharSet = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, LAST],
];

/** One character of a set in a string with escapes: as it is, or by its escape of one letter; control characters by number where they have none. */
export function contentChar(grammar: Grammar, set: CharSet, texts: ValueForm["texts"]): Expr {
  const has = (code: number): boolean => set.some(([from, to]) => from <= code && code <= to);
  const outside = complement(unescaped);
  const plain = complement([...complement(set), ...outside]);
  const letters = escapesOf(texts)
    .filter(([, byte]) => has(byte))
    .map(([letter]) => grammar.text(letter));
  return grammar.alt(chars(grammar, plain), grammar.seq(grammar.text("\\"), grammar.anyOf([...letters, ...numbered(grammar, has)])));
}

/** The escapes by number of control characters without a letter, but for the backslash. */
function numbered(grammar: Grammar, has: (code: number) => boolean): Expr[] {
  return onlyNumbered.filter(([, code]) => has(code)).map(([written]) => grammar.text(written));
}

/** Control characters without an escape of one letter, and how they are written. */
const onlyNumbered: readonly (readonly [escape: string, code: number])[] = Array.from(
  { length: 0x20 },
  (_, code) => [`u00${code.toString(16).padStart(2, "0")}`, code] as const,
).filter(([, code]) => !escapes.some(e => e[1] === code));

/**
 * The next byte of a string's content, on which what follows depends: `step` gives the state after a byte of the content's UTF-8 or -1, `then`
 * what follows in a state, or undefined. With escapes, control characters are written as such, everything else as itself or by its escape of one
 * letter.
 */
export function contentByte(
  grammar: Grammar,
  texts: ValueForm["texts"],
  step: (byte: number) => number,
  then: (state: number) => Expr | undefined,
): Expr {
  const raw = texts === "raw";
  const groups = new Map<number, [number, number][]>();
  for (let byte = raw ? 0 : 0x20; byte < 256; byte++) {
    if (!raw && (byte === 0x22 || byte === 0x5c)) continue;
    const next = step(byte);
    const group = groups.get(next);
    if (group) group.push([byte, byte]);
    else groups.set(next, [[byte, byte]]);
  }
  const known = new Map<number, Expr>([[-1, grammar.fail]]);
  const after = (state: number): Expr => {
    const expr = known.get(state) ?? then(state) ?? grammar.fail;
    known.set(state, expr);
    return expr;
  };
  const parts = [...groups].map(([state, ranges]) => grammar.seq(grammar.ranges(ranges), after(state)));
  if (raw) return grammar.anyOf(parts);
  const escaped = escapesOf(texts).map(([letter, byte]) => grammar.seq(grammar.text(letter), after(step(byte))));
  for (const [written, byte] of onlyNumbered) escaped.push(grammar.seq(grammar.text(written), after(step(byte))));
  return grammar.alt(...parts, grammar.seq(grammar.text("\\"), grammar.anyOf(escaped)));
}

/**
 * Digits of a plain number before and after the point together: so many come through a double unchanged, so that what was valid as text is
 * valid as a value.
 */
const PLAIN_DIGITS = 15;

interface NumberParts {
  readonly digit: Expr;
  /** Not zero. */
  readonly first: Expr;
  readonly minus: Expr;
  readonly mark: Expr;
}

function numberParts(grammar: Grammar): NumberParts {
  return {
    digit: grammar.ranges([[0x30, 0x39]]),
    first: grammar.ranges([[0x31, 0x39]]),
    minus: grammar.optional(grammar.text("-")),
    mark: grammar.alt(grammar.text("e"), grammar.text("E")),
  };
}

/** A point and digits. */
function fraction(grammar: Grammar, most = Number.POSITIVE_INFINITY): Expr {
  return grammar.seq(grammar.text("."), grammar.repeat(numberParts(grammar).digit, 1, most));
}

/** Without sign; `most` digits at most. */
function whole(grammar: Grammar, most = Number.POSITIVE_INFINITY): Expr {
  const { digit, first } = numberParts(grammar);
  return grammar.alt(grammar.text("0"), grammar.seq(first, grammar.repeat(digit, 0, most - 1)));
}

/** Numbers without exponent; -0 only where numbers need not be plain. */
export function decimalNumber(grammar: Grammar, profile: Profile): Expr {
  const { digit, first, minus } = numberParts(grammar);
  if (!profile.plainNumbers) return grammar.seq(minus, whole(grammar), grammar.optional(fraction(grammar)));
  let rest = grammar.empty; // what may follow so many digits before the point
  for (let used = PLAIN_DIGITS - 1; used > 0; used--) {
    rest = grammar.alt(grammar.empty, fraction(grammar, PLAIN_DIGITS - used), grammar.seq(digit, rest));
  }
  const small = grammar.seq(grammar.text("0"), fraction(grammar, PLAIN_DIGITS));
  return grammar.alt(grammar.text("0"), grammar.seq(minus, grammar.alt(small, grammar.seq(first, rest))));
}

/** Any number, with or without exponent. */
export function anyNumber(grammar: Grammar, profile: Profile): Expr {
  const { digit, first, minus, mark } = numberParts(grammar);
  const sign = grammar.alt(grammar.empty, grammar.text("+"), grammar.text("-"));
  const exponent = (most: number): Expr => grammar.seq(mark, sign, grammar.repeat(digit, 1, most));
  if (profile.plainNumbers) {
    const scientific = grammar.seq(minus, first, grammar.optional(fraction(grammar, PLAIN_DIGITS - 1)), exponent(2));
    return grammar.alt(decimalNumber(grammar, profile), scientific);
  }
  return grammar.seq(minus, whole(grammar), grammar.optional(fraction(grammar)), grammar.optional(exponent(Number.POSITIVE_INFINITY)));
}

/** Any integer: without point, with zeros behind it, or with an exponent that leaves none of its digits behind it. */
export function anyInteger(grammar: Grammar, profile: Profile): Expr {
  const { digit, first, minus, mark } = numberParts(grammar);
  if (profile.plainNumbers) {
    return grammar.alt(grammar.text("0"), grammar.seq(minus, first, grammar.repeat(digit, 0, PLAIN_DIGITS - 1)));
  }
  const zeros = grammar.optional(grammar.seq(grammar.text("."), grammar.repeat(grammar.text("0"), 1)));
  const e = grammar.seq(mark, grammar.optional(grammar.text("+")));
  // An exponent of 20 and more takes in all of up to 20 digits behind the point.
  const far = grammar.alt(grammar.seq(grammar.ranges([[0x32, 0x39]]), digit), grammar.seq(first, digit, grammar.repeat(digit, 1)));
  const scientific = grammar.seq(whole(grammar), fraction(grammar, 20), e, far);
  const near = grammar.seq(whole(grammar), zeros, grammar.optional(grammar.seq(e, grammar.repeat(digit, 1))));
  return grammar.seq(minus, grammar.alt(near, scientific));
}
