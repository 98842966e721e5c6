/**
 * Reads the notation of regular expressions that tokenizer files use (Oniguruma's and Rust's, as far as they agree): choice, groups,
 * greedy, lazy and possessive repetition, classes with ranges, negation and `&&`, `\p{..}`, look-ahead, look-behind of one character,
 * `(?i:..)`. Back-references, conditions, general atomic groups and longer look-behind are refused by name.
 */
import * as classes from "./classes.ts";
import { badPattern, EMPTY, type Node, type Test, unsupportedPattern } from "./syntax.ts";

const LONGEST = 20_000;
const DEEPEST = 50;
const MOST_REPEATS = 1000;

interface Flags {
  readonly ignoreCase: boolean;
  /** `.` takes line feeds too. */
  readonly dotAll: boolean;
  /** `^` and `$` hold at every line. */
  readonly lines: boolean;
}

const controls: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, a: 7, e: 27, "0": 0 };
const shorthand: Readonly<Record<string, Test>> = { s: classes.space, d: classes.digit, w: classes.word };

const oneOf = (test: Test): Node => ({ kind: "class", test });
const ahead = (item: Node, negative: boolean): Node => ({ kind: "ahead", item, negative });
const behind = (test: Test, negative: boolean): Node => ({ kind: "behind", test, negative });
const sequence = (...items: Node[]): Node => (items.length === 1 ? items[0] : { kind: "sequence", items });
const choice = (...items: Node[]): Node => (items.length === 1 ? items[0] : { kind: "choice", items });

const boundary = (at: boolean): Node => {
  const place = (before: boolean, after: boolean): Node => sequence(behind(classes.word, before), ahead(oneOf(classes.word), after));
  return choice(place(false, at), place(true, !at));
};

class Parser {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  whole(flags: Flags): Node {
    if (this.#source.length > LONGEST) throw unsupportedPattern(this.#source, LONGEST, `more than ${LONGEST} characters`);
    const node = this.#alternatives(flags);
    if (this.#at < this.#source.length) throw this.#bad("a closing bracket has no opening one");
    return node;
  }

  #bad(what: string): Error {
    return badPattern(this.#source, this.#at, what);
  }

  #unsupported(what: string): Error {
    return unsupportedPattern(this.#source, this.#at, what);
  }

  #peek(): string {
    return this.#source.charAt(this.#at);
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #nextCodePoint(): number {
    const codePoint = this.#source.codePointAt(this.#at);
    if (codePoint === undefined) throw this.#bad("it ends too early");
    this.#at += codePoint > 0xffff ? 2 : 1;
    return codePoint;
  }

  #alternatives(flags: Flags): Node {
    if (++this.#depth > DEEPEST) throw this.#unsupported(`groups more than ${DEEPEST} deep`);
    const items: Node[] = [];
    let own = flags;
    do {
      const terms: Node[] = [];
      while (this.#at < this.#source.length && this.#peek() !== "|" && this.#peek() !== ")") {
        const inline = this.#inlineFlags(own);
        if (inline) own = inline;
        else terms.push(this.#repeated(this.#term(own)));
      }
      items.push(terms.length === 0 ? EMPTY : sequence(...terms));
    } while (this.#take("|"));
    this.#depth--;
    return choice(...items);
  }

  /** `(?i)` holds to the end of its group. */
  #inlineFlags(flags: Flags): Flags | undefined {
    const match = /^\(\?([a-z]*)(-[a-z]+)?\)/.exec(this.#source.slice(this.#at, this.#at + 20));
    if (!match || match[0] === "(?)") return undefined;
    const changed = this.#changed(flags, match[1], match[2] ?? "");
    this.#at += match[0].length;
    return changed;
  }

  #changed(flags: Flags, on: string, off: string): Flags {
    const odd = [...(on + off)].find(letter => !"ismu-".includes(letter));
    if (odd) throw this.#unsupported(`the flag "${odd}"`);
    const value = (letter: string, before: boolean): boolean => (on.includes(letter) ? true : off.includes(letter) ? false : before);
    return { ignoreCase: value("i", flags.ignoreCase), dotAll: value("s", flags.dotAll), lines: value("m", flags.lines) };
  }

  #term(flags: Flags): Node {
    const start = this.#peek();
    if (start === "(") return this.#group(flags);
    if (start === "[") return oneOf(this.#class(flags));
    if (start === "\\") return this.#escape(flags);
    if ("*+?".includes(start)) throw this.#bad("there is nothing to repeat");
    const codePoint = this.#nextCodePoint();
    if (start === ".") return oneOf(flags.dotAll ? classes.everything : classes.not(classes.lineFeed));
    const line = oneOf(classes.not(classes.lineFeed));
    if (start === "^") return behind(flags.lines ? classes.not(classes.lineFeed) : classes.everything, true);
    if (start === "$") return ahead(flags.lines ? line : oneOf(classes.everything), true);
    return this.#literal(codePoint, flags);
  }

  #literal(codePoint: number, flags: Flags): Node {
    const test = classes.range(codePoint, codePoint);
    return oneOf(flags.ignoreCase ? classes.foldCase(test) : test);
  }

  #group(flags: Flags): Node {
    this.#at++;
    let wrap = (inner: Node): Node => inner;
    let own = flags;
    if (this.#take("?")) {
      if (this.#take("=")) wrap = inner => ahead(inner, false);
      else if (this.#take("!")) wrap = inner => ahead(inner, true);
      else if (this.#take("<=")) wrap = inner => behind(this.#oneCharacter(inner), false);
      else if (this.#take("<!")) wrap = inner => behind(this.#oneCharacter(inner), true);
      else if (this.#take(">")) wrap = inner => this.#atomic(inner);
      else if (/^P?<[A-Za-z_]\w*>/.test(this.#source.slice(this.#at, this.#at + 100))) this.#at = this.#source.indexOf(">", this.#at) + 1;
      else own = this.#flagGroup(flags);
    }
    const inner = this.#alternatives(own);
    if (!this.#take(")")) throw this.#bad("a group is not closed");
    return wrap(inner);
  }

  #flagGroup(flags: Flags): Flags {
    const match = /^([a-z]*)(-[a-z]+)?:/.exec(this.#source.slice(this.#at, this.#at + 20));
    if (!match) throw this.#unsupported("a group of an unknown kind");
    const changed = this.#changed(flags, match[1], match[2] ?? "");
    this.#at += match[0].length;
    return changed;
  }

  #oneCharacter(node: Node): Test {
    if (node.kind === "class") return node.test;
    if (node.kind === "choice") return classes.any(node.items.map(item => this.#oneCharacter(item)));
    throw this.#unsupported("look-behind of anything but one character");
  }

  #repeated(item: Node): Node {
    let node = item;
    for (let times = 0; ; times++) {
      const bounds = this.#bounds();
      if (!bounds) return node;
      if (times > 8) throw this.#unsupported("repetitions of repetitions of repetitions");
      const [min, max] = bounds;
      const greedy = !this.#take("?");
      node = { kind: "repeat", item: node, min, max, greedy };
      if (greedy && this.#take("+")) node = this.#atomic(node);
    }
  }

  #bounds(): readonly [min: number, max: number] | undefined {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    const match = /^\{(\d*)(,?)(\d*)\}/.exec(this.#source.slice(this.#at, this.#at + 24));
    if (!match || (match[1] === "" && match[3] === "")) return undefined;
    this.#at += match[0].length;
    const min = Number(match[1] || 0);
    const max = match[2] === "" ? min : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (min > MOST_REPEATS || (max > MOST_REPEATS && max !== Number.POSITIVE_INFINITY)) {
      throw this.#unsupported(`more than ${MOST_REPEATS} repetitions`);
    }
    if (min > max) throw this.#bad("the bounds of a repetition are the wrong way round");
    return [min, max];
  }

  /** An atomic loop over one class ends where the class does, or at its upper bound: that is a look-ahead, and no other case is needed. */
  #atomic(node: Node): Node {
    if (node.kind === "class") return node;
    if (node.kind !== "repeat" || node.item.kind !== "class" || !node.greedy) throw this.#unsupported("an atomic group of this form");
    const { item, min, max } = node;
    const stopped: Node = { kind: "sequence", items: [node, ahead(item, true)] };
    if (max === min) return node;
    return max === Number.POSITIVE_INFINITY
      ? stopped
      : choice({ ...node, min: max }, sequence({ ...node, max: max - 1 }, ahead(item, true)));
  }

  #escape(flags: Flags): Node {
    const next = this.#source.charAt(this.#at + 1);
    const anchor = this.#anchor(next);
    if (anchor) {
      this.#at += 2;
      return anchor;
    }
    if (/[1-9k]/.test(next)) throw this.#unsupported("a back-reference");
    const found = this.#classEscape();
    if (typeof found === "number") return this.#literal(found, flags);
    return oneOf(flags.ignoreCase ? classes.foldCase(found) : found);
  }

  #anchor(letter: string): Node | undefined {
    const end = ahead(oneOf(classes.everything), true);
    if (letter === "b") return boundary(true);
    if (letter === "B") return boundary(false);
    if (letter === "A") return behind(classes.everything, true);
    if (letter === "z") return end;
    if (letter !== "Z") return undefined;
    return ahead(sequence({ kind: "repeat", item: oneOf(classes.lineFeed), min: 0, max: 1, greedy: true }, end), false);
  }

  /** An escape that stands for one character or for a class. */
  #classEscape(): number | Test {
    this.#at++;
    const letter = this.#peek();
    if (letter === "p" || letter === "P") return this.#property(letter === "P");
    const codePoint = this.#nextCodePoint();
    if (shorthand[letter.toLowerCase()] && /[sdwSDW]/.test(letter)) {
      const test = shorthand[letter.toLowerCase()];
      return letter === letter.toLowerCase() ? test : classes.not(test);
    }
    if (letter === "x" || letter === "u") return this.#hexadecimal(letter === "x" ? 2 : 4);
    if (Object.hasOwn(controls, letter)) return controls[letter];
    if (/[A-Za-z0-9]/.test(letter)) throw this.#unsupported(`the escape "\\${letter}"`);
    return codePoint;
  }

  #hexadecimal(digits: number): number {
    const match = /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]+))/.exec(this.#source.slice(this.#at, this.#at + 8));
    const plain = match?.[2]?.slice(0, digits);
    if (!match || (plain !== undefined && plain.length < digits)) throw this.#bad("a character number is incomplete");
    this.#at += plain === undefined ? match[0].length : digits;
    const codePoint = Number.parseInt(plain ?? match[1], 16);
    if (codePoint > 0x10ffff) throw this.#bad("a character number is too large");
    return codePoint;
  }

  #property(inverted: boolean): Test {
    this.#at++;
    let name = this.#peek();
    if (this.#take("{")) {
      const close = this.#source.indexOf("}", this.#at);
      if (close < 0 || close - this.#at > 60) throw this.#bad("the name of a property is not closed");
      name = this.#source.slice(this.#at, close);
      this.#at = close + 1;
    } else this.#at++;
    const flipped = name.startsWith("^");
    const test = classes.property(flipped ? name.slice(1) : name);
    if (!test) throw this.#unsupported(`the property "${name.slice(0, 60)}"`);
    return flipped !== inverted ? classes.not(test) : test;
  }

  /** `[...]`, with what stands inside of it up to the closing bracket. */
  #class(flags: Flags): Test {
    if (++this.#depth > DEEPEST) throw this.#unsupported(`classes more than ${DEEPEST} deep`);
    this.#at++;
    const negative = this.#take("^");
    const members: Test[] = [];
    let limit: Test | undefined;
    for (let first = true; ; first = false) {
      if (this.#at >= this.#source.length) throw this.#bad("a class is not closed");
      if (this.#peek() === "]" && !first) break;
      if (this.#take("&&")) {
        const before = classes.any(members.splice(0));
        limit = limit ? classes.both(limit, before) : before;
      } else members.push(this.#member(flags));
    }
    this.#at++;
    this.#depth--;
    const union = classes.any(members);
    const all = limit ? classes.both(limit, union) : union;
    const folded = flags.ignoreCase ? classes.foldCase(all) : all;
    return negative ? classes.not(folded) : folded;
  }

  #member(flags: Flags): Test {
    const named = /^\[:(\^?)([a-z]+):\]/.exec(this.#source.slice(this.#at, this.#at + 20));
    if (named) {
      const test = classes.posix.get(named[2]);
      if (!test) throw this.#unsupported(`the class "${named[0]}"`);
      this.#at += named[0].length;
      return named[1] ? classes.not(test) : test;
    }
    if (this.#peek() === "[") return this.#class(flags);
    const low = this.#peek() === "\\" ? this.#classEscape() : this.#nextCodePoint();
    if (typeof low !== "number") return low;
    if (this.#peek() !== "-" || this.#source.charAt(this.#at + 1) === "]") return classes.range(low, low);
    this.#at++;
    const high = this.#peek() === "\\" ? this.#classEscape() : this.#nextCodePoint();
    if (typeof high !== "number") return classes.any([classes.range(low, low), classes.range(0x2d, 0x2d), high]);
    if (high < low) throw this.#bad("a range is the wrong way round");
    return classes.range(low, high);
  }
}

/** `lines`: `^` and `$` hold at every line, as in Oniguruma. Throws `tokenizer.malformed` and `tokenizer.unsupported`. */
export function parseRegex(source: string, lines: boolean): Node {
  return new Parser(source).whole({ ignoreCase: false, dotAll: false, lines });
}
