/**
 * Cuts a template into tokens, as Jinja2 does with `trim_blocks` and `lstrip_blocks` on: the newline after a block tag and the blanks before
 * one on its line vanish, `-` strips all white space on its side, `+` keeps it. One pass, linear in the template.
 */
import { fail } from "./budget.ts";
import { parseWhole } from "./numbers.ts";
import { isSpace } from "./string-case.ts";

export type TokenKind = "data" | "{{" | "}}" | "{%" | "%}" | "name" | "string" | "integer" | "float" | "operator" | "end";

export interface Token {
  readonly kind: TokenKind;
  /** The text of a name, operator or piece of data, the contents of a string. */
  readonly text: string;
  readonly value?: bigint | number;
  readonly line: number;
}

const OPERATORS = ["//", "**", "==", "!=", ">=", "<=", ..."+-/*%~[](){}><=.:|,;"];
const CLOSING: ReadonlyMap<string, string> = new Map([
  ["{", "}"],
  ["(", ")"],
  ["[", "]"],
]);

const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*/uy;
const RAW = /\{%([-+]?)\s*raw\s*(?:(-%\})|%\})/y;
const END_RAW = /\{%([-+]?)\s*endraw\s*(?:\+%\}|(-%\})|%\}(\n?))/g;

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** Where `#line` was last counted up to. */
  #counted = 0;
  /** Whether the text before `#at` ends a line, for the stripping of blanks. */
  #lineStart = true;

  constructor(source: string) {
    const normal = source.replace(/\r\n?/g, "\n");
    this.#source = normal.endsWith("\n") ? normal.slice(0, -1) : normal;
  }

  run(): readonly Token[] {
    while (this.#at < this.#source.length) this.#outside();
    this.#push("end", "");
    return this.#tokens;
  }

  #lineNow(): number {
    for (; this.#counted < this.#at; this.#counted++) if (this.#source.charCodeAt(this.#counted) === 10) this.#line++;
    return this.#line;
  }

  #push(kind: TokenKind, text: string, value?: bigint | number): void {
    this.#tokens.push({ kind, text, value, line: this.#lineNow() });
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source);
  }

  /** Moves to an offset and notes whether a line begins there. */
  #goTo(at: number): void {
    if (at > this.#at) this.#lineStart = this.#source[at - 1] === "\n";
    this.#at = at;
  }

  #skipSpace(): void {
    let at = this.#at;
    while (at < this.#source.length && isSpace(this.#source[at])) at++;
    this.#goTo(at);
  }

  /** The offset of the next opening of a tag, or the end of the source. */
  #nextTag(): number {
    for (let at = this.#source.indexOf("{", this.#at); at >= 0; at = this.#source.indexOf("{", at + 1)) {
      const next = this.#source[at + 1];
      if (next === "{" || next === "%" || next === "#") return at;
    }
    return this.#source.length;
  }

  /** Plain text up to the next tag, and the tag. */
  #outside(): void {
    const start = this.#nextTag();
    const opening = this.#source.slice(start, start + 2);
    const sign = this.#source[start + 2];
    const signed = opening !== "" && (sign === "-" || sign === "+");
    this.#data(start, signed ? sign : "", opening === "{{");
    this.#goTo(start);
    if (opening === "") return;
    const raw = opening === "{%" ? this.#match(RAW) : null;
    if (raw !== null) this.#rawBlock(raw);
    else this.#openTag(opening, start + (signed ? 3 : 2));
  }

  #openTag(opening: string, inside: number): void {
    const line = this.#lineNow();
    this.#goTo(inside);
    if (opening === "{{" || opening === "{%") {
      this.#tokens.push({ kind: opening, text: opening, line });
      this.#inside(opening === "{{" ? "}}" : "%}");
    } else this.#comment(line);
  }

  /** Emits the text before a tag, stripped as the tag's sign and `lstrip_blocks` ask. */
  #data(end: number, sign: string, isOutput: boolean): void {
    let to = end;
    if (sign === "-") while (to > this.#at && isSpace(this.#source[to - 1])) to--;
    else if (sign === "" && !isOutput && end < this.#source.length) to = this.#withoutIndent(end);
    if (to > this.#at) this.#push("data", this.#source.slice(this.#at, to));
  }

  /** Where the blanks before a tag begin, if nothing else stands before it on its line. */
  #withoutIndent(end: number): number {
    let from = end;
    while (from > this.#at && this.#source[from - 1] !== "\n" && isSpace(this.#source[from - 1])) from--;
    const startsLine = from === this.#at ? this.#lineStart : this.#source[from - 1] === "\n";
    return startsLine ? from : end;
  }

  #comment(line: number): void {
    const end = this.#source.indexOf("#}", this.#at);
    if (end < 0) fail("Missing end of comment tag", line);
    const sign = end > this.#at ? this.#source[end - 1] : "";
    this.#goTo(end + 2);
    this.#afterBlock(sign);
  }

  /** What a closing tag does to the text after it. */
  #afterBlock(sign: string): void {
    if (sign === "-") this.#skipSpace();
    else if (sign !== "+" && this.#source[this.#at] === "\n") this.#goTo(this.#at + 1);
  }

  #rawBlock(begin: RegExpExecArray): void {
    const line = this.#lineNow();
    this.#goTo(this.#at + begin[0].length);
    if (begin[2] !== undefined) this.#skipSpace();
    const end = this.#match(END_RAW);
    if (end === null) fail("Missing end of raw directive", line);
    this.#data(end.index, end[1], false);
    this.#goTo(end.index + end[0].length);
    if (end[2] !== undefined) this.#skipSpace();
  }

  /** The tokens of an expression or a statement up to its closing tag. */
  #inside(closing: "}}" | "%}"): void {
    const open: string[] = [];
    while (true) {
      this.#skipSpace();
      if (this.#at >= this.#source.length) fail(`The template ends inside a tag: '${closing}' is missing.`, this.#lineNow());
      if (open.length === 0 && this.#close(closing)) return;
      if (!this.#number() && !this.#word() && !this.#string()) this.#operator(open);
    }
  }

  #close(closing: "}}" | "%}"): boolean {
    const first = this.#source[this.#at];
    const sign = first === "-" || (first === "+" && closing === "%}") ? first : "";
    if (!this.#source.startsWith(closing, this.#at + sign.length)) return false;
    this.#push(closing, closing);
    this.#goTo(this.#at + sign.length + 2);
    if (closing === "%}") this.#afterBlock(sign);
    else if (sign === "-") this.#skipSpace();
    return true;
  }

  #number(): boolean {
    // `x.0.1` is two subscripts, so what follows a dot is no float.
    const float = this.#source[this.#at - 1] === "." ? null : this.#match(FLOAT);
    const match = float ?? this.#match(INTEGER);
    if (match === null) return false;
    const text = match[0].replaceAll("_", "");
    const value = float ? Number(text) : parseWhole(text, 0);
    if (value === undefined) fail("A number is too long.", this.#lineNow());
    this.#push(float ? "float" : "integer", match[0], value);
    this.#goTo(this.#at + match[0].length);
    return true;
  }

  #word(): boolean {
    const match = this.#match(NAME);
    if (match === null) return false;
    this.#push("name", match[0]);
    this.#goTo(this.#at + match[0].length);
    return true;
  }

  #string(): boolean {
    const quote = this.#source[this.#at];
    if (quote !== "'" && quote !== '"') return false;
    let end = this.#at + 1;
    while (end < this.#source.length && this.#source[end] !== quote) end += this.#source[end] === "\\" ? 2 : 1;
    if (end >= this.#source.length) fail("A string is not closed.", this.#lineNow());
    this.#push("string", withoutEscapes(this.#source.slice(this.#at + 1, end), this.#lineNow()));
    this.#goTo(end + 1);
    return true;
  }

  #operator(open: string[]): void {
    const sign = OPERATORS.find(operator => this.#source.startsWith(operator, this.#at));
    if (sign === undefined) fail(`unexpected char ${JSON.stringify(this.#source[this.#at])}`, this.#lineNow());
    const closing = CLOSING.get(sign);
    if (closing !== undefined) open.push(closing);
    else if (")]}".includes(sign) && open.pop() !== sign) fail(`unexpected '${sign}'`, this.#lineNow());
    this.#push("operator", sign);
    this.#goTo(this.#at + sign.length);
  }
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["v", "\v"],
  ["\n", ""],
  ["\\", "\\"],
  ["'", "'"],
  ['"', '"'],
]);

/** Python's escapes in a string; an unknown one stays as it is. */
function withoutEscapes(text: string, line: number): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/gsu, (whole, octal, x, u, long, other) => {
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    const hex = x ?? u ?? long;
    if (hex !== undefined) {
      const code = Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : fail("A character code in a string is too large.", line);
    }
    if ("xuUN".includes(other)) fail(`An escape \\${other} in a string is not complete.`, line);
    return ESCAPES.get(other) ?? whole;
  });
}

export const tokenize = (source: string): readonly Token[] => new Lexer(source).run();
