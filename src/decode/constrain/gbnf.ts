/**
 * GBNF, the grammar notation of llama.cpp: rules of texts, classes of characters, sequences, alternatives and counted repetition. This file
 * reads the notation; gbnf-rules.ts checks the rules against each other and makes expressions of them.
 */
import { LatheError } from "../../errors.ts";
import type { Compiled } from "./constraint.ts";
import { compileRules } from "./gbnf-rules.ts";
import { type CharSet, complement, LAST } from "./utf8.ts";

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "chars"; readonly set: CharSet }
  | { readonly kind: "rule"; readonly name: string; readonly at: number }
  | { readonly kind: "seq"; readonly parts: readonly Node[] }
  | { readonly kind: "alt"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly body: Node; readonly min: number; readonly max: number };

const MOST_UNITS = 262_144;
const DEEPEST = 100;

const anyCharacter: CharSet = [[0, LAST]];

/** The error for a grammar that breaks the notation's rules; `at` counts UTF-16 units. */
export function invalidGrammar(text: string, at: number, reason: string): LatheError {
  const line = text.slice(0, at).split("\n").length;
  return new LatheError("grammar.invalid", `The grammar is not valid in line ${line}: ${reason}.`, { line, at, reason });
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  rules(): Map<string, Node> {
    const rules = new Map<string, Node>();
    for (this.#space(true); this.#at < this.#text.length; this.#space(true)) {
      const start = this.#at;
      const name = this.#name();
      this.#space(false);
      if (!this.#take("::=")) throw this.#invalid('"::=" is missing after the name of a rule');
      this.#space(true);
      if (rules.has(name)) throw invalidGrammar(this.#text, start, `the rule "${name}" is defined twice`);
      rules.set(name, this.#alternatives(false));
      if (this.#at < this.#text.length && !/[\r\n]/.test(this.#text[this.#at])) throw this.#invalid("the end of the line is expected here");
    }
    return rules;
  }

  #invalid(reason: string): LatheError {
    return invalidGrammar(this.#text, this.#at, reason);
  }
  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** Skips blanks and comments, and the ends of lines if they mean nothing here. */
  #space(lines: boolean): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at];
      if (c === "#") {
        while (this.#at + 1 < this.#text.length && !/[\r\n]/.test(this.#text[this.#at + 1])) this.#at++;
      } else if (c !== " " && c !== "\t" && !(lines && (c === "\n" || c === "\r"))) return;
    }
  }

  #name(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && /[A-Za-z0-9_-]/.test(this.#text[this.#at])) this.#at++;
    if (this.#at === start) throw this.#invalid("the name of a rule is expected here");
    return this.#text.slice(start, this.#at);
  }

  #alternatives(nested: boolean): Node {
    if (++this.#depth > DEEPEST) throw this.#invalid(`it nests deeper than ${DEEPEST}`);
    const parts = [this.#sequence(nested)];
    while (this.#continues(nested)) {
      this.#space(true);
      parts.push(this.#sequence(nested));
    }
    this.#depth--;
    return parts.length === 1 ? parts[0] : { kind: "alt", parts };
  }

  /** Takes a `|`, which may stand on a later line than what it follows. */
  #continues(nested: boolean): boolean {
    if (this.#take("|")) return true;
    if (nested) return false;
    const before = this.#at;
    this.#space(true);
    if (this.#take("|")) return true;
    this.#at = before;
    return false;
  }

  #sequence(nested: boolean): Node {
    const parts: Node[] = [];
    for (;;) {
      this.#space(nested);
      const c = this.#text[this.#at];
      if (c === undefined || c === "|" || c === ")" || c === "\n" || c === "\r") break;
      parts.push(this.#repeated(this.#item(c), nested));
    }
    return parts.length === 1 ? parts[0] : { kind: "seq", parts };
  }

  #item(first: string): Node {
    if (first === '"') return { kind: "text", text: this.#quoted() };
    if (first === "[") return { kind: "chars", set: this.#class() };
    if (this.#take(".")) return { kind: "chars", set: anyCharacter };
    if (this.#take("(")) {
      const inner = this.#alternatives(true);
      this.#space(true);
      if (!this.#take(")")) throw this.#invalid("a parenthesis is not closed");
      return inner;
    }
    const at = this.#at;
    if (first === "<" || first === "!") {
      throw new LatheError("grammar.unsupported", `Grammars that name tokens (${first}) are not supported; name their text.`, { at });
    }
    return { kind: "rule", name: this.#name(), at };
  }

  /** Any quantifiers after an item, each of which repeats what is before it. */
  #repeated(body: Node, nested: boolean): Node {
    for (let depth = 0; ; depth++) {
      const before = this.#at;
      this.#space(nested);
      const counts = this.#counts();
      if (!counts) {
        this.#at = before;
        return body;
      }
      if (depth > DEEPEST) throw this.#invalid(`what is repeated is repeated more than ${DEEPEST} times`);
      body = { kind: "repeat", body, min: counts[0], max: counts[1] };
    }
  }

  #counts(): [number, number] | undefined {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    if (this.#text[this.#at] !== "{") return undefined;
    const found = /^\{\s*(\d*)\s*(,\s*(\d*)\s*)?\}/.exec(this.#text.slice(this.#at, this.#at + 64));
    if (!found || (found[1] === "" && !found[3])) throw this.#invalid("a count is written {n}, {n,}, {,n} or {n,m}");
    const min = found[1] === "" ? 0 : Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === "" ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (max < min) throw this.#invalid("the upper count is below the lower");
    if (min > Number.MAX_SAFE_INTEGER) throw this.#invalid("a count is too large");
    this.#at += found[0].length;
    return [min, max > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : max];
  }

  #quoted(): string {
    this.#at++;
    let text = "";
    while (!this.#take('"')) text += String.fromCodePoint(this.#char('a text is not closed by "'));
    return text;
  }

  #class(): CharSet {
    this.#at++;
    const negated = this.#take("^");
    const ranges: [number, number][] = [];
    while (!this.#take("]")) {
      const low = this.#char("a class is not closed by ]");
      let high = low;
      if (this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]") {
        this.#at++;
        high = this.#char("a class is not closed by ]");
      }
      if (high < low) throw this.#invalid("a range is out of order");
      ranges.push([low, high]);
    }
    return negated ? complement(ranges) : ranges;
  }

  /** One character of a text or class, escapes read. */
  #char(missing: string): number {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined || code === 10 || code === 13) throw this.#invalid(missing);
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 0x5c) return code;
    const letter = this.#text[this.#at++] ?? "";
    const digits = { x: 2, u: 4, U: 8 }[letter];
    if (digits) return this.#hex(digits);
    const plain = { n: 10, r: 13, t: 9, '"': 0x22, "\\": 0x5c, "[": 0x5b, "]": 0x5d, "-": 0x2d, "^": 0x5e, "/": 0x2f, "'": 0x27 }[letter];
    if (plain === undefined) throw this.#invalid(`\\${letter} has no meaning`);
    return plain;
  }

  #hex(digits: number): number {
    const text = this.#text.slice(this.#at, this.#at + digits);
    const code = /^[0-9a-fA-F]+$/.test(text) && text.length === digits ? Number.parseInt(text, 16) : LAST + 1;
    if (code > LAST || (code >= 0xd800 && code <= 0xdfff))
      throw this.#invalid(`${digits} hexadecimal digits of a character are expected here`);
    this.#at += digits;
    return code;
  }
}

/**
 * @param text rules, of which "root" is the whole.
 * @throws LatheError `grammar.invalid`, `grammar.unsupported`, `grammar.limit`.
 */
export function compileGbnf(text: string): Compiled {
  if (text.length > MOST_UNITS) throw invalidGrammar("", 0, `it is longer than ${MOST_UNITS}`);
  return compileRules(text, new Parser(text).rules());
}
