/**
 * Reads JSON strictly and piece by piece, for headers that say where bytes lie: two readers of the same text must never see different
 * things, so a key that occurs twice is refused, where `JSON.parse` silently takes the last. Builds no tree: the caller takes what it
 * expects. Owns the grammar (RFC 8259) and the places in error messages.
 */
import type { LatheError } from "../errors.ts";
import { quoted } from "./gguf-values.ts";

/** Makes the error of a violated rule: `why` is a clause, `at` the offset in the text. */
export type JsonFailure = (why: string, at: number) => LatheError;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const escapes: Readonly<Record<string, string>> = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Values inside values that are skipped; no header of a model comes near it, and no stack ends below it. */
const maxDepth = 64;

export class JsonReader {
  private readonly text: string;
  private readonly fail: JsonFailure;
  private at = 0;

  constructor(text: string, fail: JsonFailure) {
    this.text = text;
    this.fail = fail;
  }

  /** Calls `member` with each key of the object that stands here; it must read the value. */
  object(what: string, member: (key: string) => void): void {
    const seen = new Set<string>();
    this.list(what, "{", "}", () => {
      const start = this.at;
      const key = this.string(`a key of ${what}`);
      if (seen.has(key)) throw this.fail(`${what} has the key ${quoted(key)} twice`, start);
      seen.add(key);
      this.expect(":", what);
      member(key);
    });
  }

  /** Calls `item` for each item of the array that stands here; it must read the item. */
  array(what: string, item: () => void): void {
    this.list(what, "[", "]", item);
  }

  string(what: string): string {
    this.expect('"', what);
    const start = this.at;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === QUOTE) return this.text.slice(start, this.at++);
      if (code === BACKSLASH) return this.escaped(start, what);
      if (!(code >= 0x20)) throw this.fail(`${what} is not a complete string`, start);
      this.at++;
    }
  }

  /** A whole number from 0 to 2^53 - 1, written without a fraction or an exponent. */
  size(what: string): number {
    const start = this.skipSpace();
    let value = 0;
    for (let digit: number; (digit = this.text.charCodeAt(this.at) - 0x30) >= 0 && digit <= 9; this.at++) {
      value = value * 10 + digit;
      if (value > Number.MAX_SAFE_INTEGER) throw this.fail(`${what} is larger than 2^53`, start);
    }
    const digits = this.at - start;
    const next = this.text[this.at] ?? "";
    if (digits === 0 || (digits > 1 && this.text[start] === "0") || ".eE".includes(next || " ")) {
      throw this.fail(`${what} is not a whole number`, start);
    }
    return value;
  }

  /** Passes over any value. */
  skip(what: string, depth = 0): void {
    const start = this.skipSpace();
    if (depth > maxDepth) throw this.fail(`${what} is nested more than ${maxDepth} deep`, start);
    const first = this.text[start];
    const inner = (): void => this.skip(what, depth + 1);
    if (first === "{") this.object(what, inner);
    else if (first === "[") this.array(what, inner);
    else if (first === '"') this.string(what);
    else this.skipPlain(what, start);
  }

  /** A number, true, false or null. */
  private skipPlain(what: string, start: number): void {
    const word = ["true", "false", "null"].find(w => this.text.startsWith(w, start));
    numberPattern.lastIndex = start;
    const length = word?.length ?? numberPattern.exec(this.text)?.[0].length ?? 0;
    if (length === 0) throw this.fail(`${what} has no value`, start);
    this.at += length;
  }

  /** Only white space is left. */
  end(what: string): void {
    if (this.skipSpace() < this.text.length) throw this.fail(`something follows ${what}`, this.at);
  }

  private list(what: string, open: string, close: string, item: () => void): void {
    this.expect(open, what);
    if (this.take(close)) return;
    do item();
    while (this.take(","));
    this.expect(close, what);
  }

  private take(char: string): boolean {
    if (this.text[this.skipSpace()] !== char) return false;
    this.at++;
    return true;
  }

  private expect(char: string, what: string): void {
    if (!this.take(char)) throw this.fail(`${what} lacks a ${char}`, this.at);
  }

  private skipSpace(): number {
    for (let c: number; (c = this.text.charCodeAt(this.at)) === 0x20 || c === 0x0a || c === 0x0d || c === 0x09; ) this.at++;
    return this.at;
  }

  /** The rest of a string from its first escape on. */
  private escaped(start: number, what: string): string {
    const pieces = [this.text.slice(start, this.at)];
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === QUOTE) {
        this.at++;
        return pieces.join("");
      }
      if (!(code >= 0x20)) throw this.fail(`${what} is not a complete string`, start);
      if (code !== BACKSLASH) {
        const from = this.at;
        for (let c = code; c >= 0x20 && c !== QUOTE && c !== BACKSLASH; c = this.text.charCodeAt(this.at)) this.at++;
        pieces.push(this.text.slice(from, this.at));
        continue;
      }
      const letter = this.text[this.at + 1] ?? "";
      const hex = this.text.slice(this.at + 2, this.at + 6);
      if (letter === "u" && /^[0-9a-fA-F]{4}$/.test(hex)) {
        pieces.push(String.fromCharCode(Number.parseInt(hex, 16)));
        this.at += 6;
      } else if (letter !== "" && Object.hasOwn(escapes, letter)) {
        pieces.push(escapes[letter]);
        this.at += 2;
      } else throw this.fail(`${what} has an unknown escape`, this.at);
    }
  }
}
