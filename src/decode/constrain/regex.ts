/**
 * Regular expressions (the ECMAScript syntax, read by characters as with the flag u) as grammar expressions. Only what is regular and needs no
 * look at its surroundings: look-around, back references and word boundaries are refused with the reason. `^` and `$` are taken where they
 * can be decided while compiling: at the edges of an alternative.
 */
import { LatheError } from "../../errors.ts";
import { alphabets, properties } from "./charsets.ts";
import type { Expr, Grammar } from "./grammar.ts";
import { type CharSet, chars, complement, LAST, onceEach, type Writing } from "./utf8.ts";

type Node =
  | { readonly kind: "chars"; readonly set: CharSet }
  | { readonly kind: "seq"; readonly parts: readonly Node[] }
  | { readonly kind: "alt"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly body: Node; readonly min: number; readonly max: number }
  | { readonly kind: "begin" }
  | { readonly kind: "end" };

const MOST_UNITS = 65_536;
const DEEPEST = 100;
const LONGEST_COUNTS = 64;
/** Alternatives that anchors may be spread over. */
const MOST_BRANCHES = 256;

function invalid(source: string, at: number, reason: string): LatheError {
  const message = `The regular expression ${JSON.stringify(source.slice(0, 80))} is not valid at ${at}: ${reason}.`;
  return new LatheError("regex.invalid", message, { at, reason });
}
function unsupported(source: string, at: number, what: string): LatheError {
  const message = `The regular expression ${JSON.stringify(source.slice(0, 80))} uses ${what} at ${at}, which cannot be enforced; rewrite it without.`;
  return new LatheError("regex.unsupported", message, { at, what });
}

/** Bytes of a range in a class that was read. */
const RANGE_BYTES = 8;
/** What finding the characters of a Unicode property takes, counted as bytes: 40 ms. */
const PROPERTY_BYTES = 2 ** 21;

class Parser {
  readonly #source: string;
  readonly #chars: readonly string[];
  readonly #grammar: Grammar;
  /** By how they are written: equal classes are one. */
  readonly #classes = new Map<string, CharSet>();
  #at = 0;
  #depth = 0;

  /** `grammar`: counts what reading takes. */
  constructor(source: string, grammar: Grammar) {
    this.#grammar = grammar;
    if (source.length > MOST_UNITS) throw invalid(source, MOST_UNITS, `it is longer than ${MOST_UNITS}`);
    this.#source = source;
    this.#chars = [...source];
  }

  parse(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#chars.length) throw this.#invalid("a closing parenthesis has no opening one");
    return node;
  }

  #invalid(reason: string): LatheError {
    return invalid(this.#source, this.#at, reason);
  }
  #unsupported(what: string): LatheError {
    return unsupported(this.#source, this.#at, what);
  }
  #take(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#chars[this.#at + i] !== text[i]) return false;
    this.#at += text.length;
    return true;
  }

  #alternatives(): Node {
    if (++this.#depth > DEEPEST) throw this.#invalid(`it nests deeper than ${DEEPEST}`);
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0] : { kind: "alt", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (;;) {
      const next = this.#chars[this.#at];
      if (next === undefined || next === "|" || next === ")") break;
      parts.push(this.#quantified(this.#atom()));
    }
    return parts.length === 1 ? parts[0] : { kind: "seq", parts };
  }

  #quantified(body: Node): Node {
    const counts = this.#counts();
    if (!counts) return body;
    if (body.kind === "begin" || body.kind === "end") throw this.#invalid("an anchor cannot be repeated");
    this.#take("?"); // lazy: the same texts
    if (this.#counts()) throw this.#invalid("there is nothing to repeat");
    const [min, max] = counts;
    if (max < min) throw this.#invalid("the upper count is below the lower");
    return { kind: "repeat", body, min, max };
  }

  #counts(): [number, number] | undefined {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    if (this.#chars[this.#at] !== "{") return undefined;
    const found = /^\{(\d+)(,(\d*))?\}/.exec(this.#chars.slice(this.#at, this.#at + LONGEST_COUNTS).join(""));
    if (!found) return undefined; // a brace that stands for itself
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === "" ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (min > Number.MAX_SAFE_INTEGER || (max > Number.MAX_SAFE_INTEGER && max !== Number.POSITIVE_INFINITY))
      throw this.#invalid("a count is too large");
    return [min, max];
  }

  #atom(): Node {
    const next = this.#chars[this.#at];
    if (this.#take("(")) return this.#group();
    if (this.#take("[")) return { kind: "chars", set: this.#class() };
    if (this.#take("^")) return { kind: "begin" };
    if (this.#take("$")) return { kind: "end" };
    if (this.#take(".")) return { kind: "chars", set: alphabets.dot };
    if (next === "\\") return { kind: "chars", set: this.#escape(false) };
    if (next === "*" || next === "+" || next === "?") throw this.#invalid("there is nothing to repeat");
    this.#at++;
    return one(next);
  }

  #group(): Node {
    if (this.#take("?")) {
      if (!this.#take(":")) this.#named();
    }
    const inner = this.#alternatives();
    if (!this.#take(")")) throw this.#invalid("a parenthesis is not closed");
    return inner.kind === "seq" ? { kind: "alt", parts: [inner] } : inner;
  }

  #named(): void {
    const name = this.#chars.slice(this.#at, this.#at + 64).join("");
    if (/^<[=!]|^[=!]/.test(name)) throw this.#unsupported("look-around");
    const found = /^<[\p{L}_$][\p{L}\p{N}_$]*>/u.exec(name);
    if (!found) throw this.#unsupported(`the group (?${name.slice(0, 1)}`);
    this.#at += [...found[0]].length;
  }

  /** The characters of a class, from its bracket on. */
  #class(): CharSet {
    const begin = this.#at;
    const read = this.#members();
    const written = this.#chars.slice(begin, this.#at).join("");
    const known = this.#classes.get(written);
    if (known) return known;
    this.#grammar.charge(RANGE_BYTES * read.length);
    this.#classes.set(written, read);
    return read;
  }

  #members(): CharSet {
    const negated = this.#take("^");
    const ranges: (readonly [number, number])[] = [];
    for (;;) {
      if (this.#at >= this.#chars.length) throw this.#invalid("a class is not closed");
      if (this.#take("]")) break;
      const low = this.#member();
      if (this.#chars[this.#at] === "-" && this.#chars[this.#at + 1] !== "]" && this.#at + 1 < this.#chars.length) {
        this.#at++;
        const high = this.#member();
        if (!isOne(low) || !isOne(high)) throw this.#invalid("a range needs single characters on both sides");
        if (high[0][0] < low[0][0]) throw this.#invalid("a range is out of order");
        ranges.push([low[0][0], high[0][0]]);
      } else ranges.push(...low);
    }
    return negated ? complement(ranges) : ranges;
  }

  #member(): CharSet {
    if (this.#chars[this.#at] === "\\") return this.#escape(true);
    const code = this.#chars[this.#at++].codePointAt(0)!;
    return [[code, code]];
  }

  /** What a backslash and what follows stand for. */
  #escape(inClass: boolean): CharSet {
    this.#at++;
    const letter = this.#chars[this.#at];
    if (letter === undefined) throw this.#invalid("it ends in a backslash");
    if (letter === "b" && inClass) return this.#single(8);
    if (letter === "b" || letter === "B") throw this.#unsupported("a word boundary");
    if ((letter >= "1" && letter <= "9") || letter === "k") throw this.#unsupported("a back reference");
    if (letter === "p" || letter === "P") return this.#property(letter === "P");
    const alphabet = alphabets.byLetter.get(letter);
    if (alphabet) {
      this.#at++;
      return alphabet;
    }
    const control = "tnvfr".indexOf(letter);
    if (control >= 0) return this.#single([9, 10, 11, 12, 13][control]);
    if (letter === "0") return this.#single(0);
    if (letter === "c") return this.#control();
    if (letter === "x" || letter === "u") return this.#numbered(letter);
    if (/[A-Za-z]/.test(letter)) throw this.#invalid(`\\${letter} has no meaning`);
    return this.#single(letter.codePointAt(0)!);
  }

  #single(code: number): CharSet {
    this.#at++;
    return [[code, code]];
  }

  #control(): CharSet {
    const letter = this.#chars[++this.#at] ?? "";
    if (!/^[A-Za-z]$/.test(letter)) throw this.#invalid("\\c needs a letter");
    return this.#single(letter.charCodeAt(0) & 31);
  }

  #numbered(letter: string): CharSet {
    this.#at++;
    let code = this.#hex(letter);
    if (code >= 0xd800 && code < 0xdc00 && this.#take("\\u")) {
      const low = this.#hex("u");
      if (low < 0xdc00 || low > 0xdfff) throw this.#invalid("half a surrogate pair is no character");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if ((code >= 0xd800 && code <= 0xdfff) || code > LAST) throw this.#invalid("there is no such character");
    return [[code, code]];
  }

  #hex(letter: string): number {
    const ahead = this.#chars.slice(this.#at, this.#at + 12).join("");
    const found = (letter === "x" ? /^[0-9a-fA-F]{2}/ : /^\{([0-9a-fA-F]{1,8})\}|^[0-9a-fA-F]{4}/).exec(ahead);
    if (!found) throw this.#invalid(`\\${letter} needs hexadecimal digits`);
    this.#at += found[0].length;
    return Number.parseInt(found[1] ?? found[0], 16);
  }

  #property(negated: boolean): CharSet {
    const ahead = this.#chars.slice(this.#at + 1, this.#at + 64).join("");
    const found = /^\{([A-Za-z_]+(?:=[A-Za-z_]+)?)\}/.exec(ahead);
    const written = (negated ? "P" : "p") + found?.[0];
    const known = this.#classes.get(written);
    if (!known) this.#grammar.charge(PROPERTY_BYTES);
    const set = known ?? (found && properties(found[1]));
    if (!found || !set) throw this.#invalid("\\p needs the name of a Unicode property");
    this.#at += 1 + found[0].length;
    const made = known ?? (negated ? complement(set) : set);
    this.#classes.set(written, made);
    return made;
  }
}

const one = (char: string): Node => {
  const code = char.codePointAt(0)!;
  return { kind: "chars", set: [[code, code]] };
};
const isOne = (set: CharSet): boolean => set.length === 1 && set[0][0] === set[0][1];

/** One way through the alternatives that hold anchors: what is between, and whether it is tied to the text's edges. */
interface Branch {
  readonly begins: boolean;
  readonly parts: readonly Node[];
  readonly ends: boolean;
}

function hasAnchor(node: Node): boolean {
  if (node.kind === "begin" || node.kind === "end") return true;
  if (node.kind === "repeat") return hasAnchor(node.body);
  return node.kind !== "chars" && node.parts.some(hasAnchor);
}

/** Spreads alternatives that hold anchors, so that each anchor stands at the edge of a branch or is refused. */
function branches(node: Node, source: string): Branch[] {
  if (!hasAnchor(node)) return [{ begins: false, parts: [node], ends: false }];
  if (node.kind === "begin") return [{ begins: true, parts: [], ends: false }];
  if (node.kind === "end") return [{ begins: false, parts: [], ends: true }];
  if (node.kind === "alt")
    return limited(
      node.parts.flatMap(part => branches(part, source), source),
      source,
    );
  if (node.kind !== "seq") throw unsupported(source, 0, "an anchor inside a repetition");
  let whole: Branch[] = [{ begins: false, parts: [], ends: false }];
  for (const part of runs(node.parts)) {
    const next = branches(part, source);
    whole = limited(
      whole.flatMap(a => next.map(b => join(a, b, source))),
      source,
    );
  }
  return whole;
}

/** What stands between parts that hold anchors as one part, so that spreading copies few. */
function runs(parts: readonly Node[]): Node[] {
  const all: Node[] = [];
  let plain: Node[] = [];
  const close = (): void => {
    if (plain.length > 0) all.push({ kind: "seq", parts: plain });
    plain = [];
  };
  for (const part of parts) {
    if (!hasAnchor(part)) plain.push(part);
    else {
      close();
      all.push(part);
    }
  }
  close();
  return all;
}

function limited(list: Branch[], source: string): Branch[] {
  if (list.length > MOST_BRANCHES) throw unsupported(source, 0, `anchors in more than ${MOST_BRANCHES} alternatives`);
  return list;
}

function join(a: Branch, b: Branch, source: string): Branch {
  if ((b.begins && a.parts.length > 0) || (a.ends && b.parts.length > 0)) throw unsupported(source, 0, "an anchor between characters");
  return { begins: a.begins || b.begins, parts: [...a.parts, ...b.parts], ends: a.ends || b.ends };
}

function build(grammar: Grammar, node: Node, write: Writing): Expr {
  switch (node.kind) {
    case "chars":
      return write(grammar, node.set);
    case "seq":
      return grammar.inOrder(node.parts.map(part => build(grammar, part, write)));
    case "alt":
      return grammar.anyOf(node.parts.map(part => build(grammar, part, write)));
    case "repeat":
      return grammar.repeat(build(grammar, node.body, write), node.min, node.max);
    default:
      throw new Error("anchors are spread before");
  }
}

/**
 * The texts that a regular expression matches as a whole, or, with `search`, that hold a match. `write`: default as UTF-8.
 * @throws LatheError `regex.invalid`, `regex.unsupported`, `grammar.limit`.
 */
export function regexExpr(grammar: Grammar, source: string, search = false, write: Writing = chars): Expr {
  const written = onceEach(write);
  const anything = grammar.repeat(written(grammar, [[0, LAST]]), 0);
  const built = new Map<Node, Expr>(); // branches share parts
  const exprOf = (part: Node): Expr => {
    const made = built.get(part) ?? build(grammar, part, written);
    built.set(part, made);
    return made;
  };
  const parts = branches(new Parser(source, grammar).parse(), source).map(({ begins, parts, ends }) => {
    const body = grammar.inOrder(parts.map(exprOf));
    return search ? grammar.seq(begins ? grammar.empty : anything, body, ends ? grammar.empty : anything) : body;
  });
  return grammar.anyOf(parts);
}
