/**
 * Regular expressions in linear time with the meaning of backtracking engines: the leftmost match, and at one place the first alternative
 * that leads to a match. It takes two walks. The first goes from the end of the text to its start and finds, for every place, the set of
 * instructions from which the rest of the text leads to a match (sets.ts). Look-ahead costs nothing there, because at every place the future
 * is already known. The second walk goes forward and takes at every choice the first branch that is in the set: it never has to come back, so
 * all matches of a text together cost one pass. Long texts are walked back once to set marks, then block by block, so memory does not grow
 * with what the sets are.
 */
import { codePointAt } from "../unicode.ts";
import { Alphabet } from "./classes.ts";
import { Memo } from "./memo.ts";
import { parseRegex } from "./parse.ts";
import { CHAR, compile, MATCH, type Program, SPLIT } from "./program.ts";
import { Sets } from "./sets.ts";

/** Places between two marks, in UTF-16 units, if not so many sets are kept. */
const BLOCK = 2 ** 16;
/** Slots for branches that were looked for. */
const MOST_BRANCHES = 2 ** 16;

export type Found = (from: number, to: number) => void;

export interface RegexOptions {
  /** `^` and `$` hold at every line, as in Oniguruma. Default false, as in Rust and Python. */
  readonly lines?: boolean;
}

export class Regex {
  readonly source: string;
  readonly #program: Program;
  readonly #alphabet: Alphabet;
  readonly #sets: Sets;
  /** By instruction and set: the CHAR or MATCH that the first successful branch leads to. */
  readonly #branches = new Memo(MOST_BRANCHES);
  /** By instruction: the last search that came by, so that none is followed twice in one. */
  readonly #seen: Uint32Array;
  #searches = 0;
  readonly #waiting: Int32Array;
  /** By group of characters: which look-behinds hold after one of them, one bit each. */
  readonly #behindOf: number[] = [];
  /** The classes of the characters that a match may begin with; undefined if it may be empty. By group: whether it is in one of them. */
  readonly #begins: readonly number[] | undefined;
  readonly #mayBegin: (boolean | undefined)[] = [];
  readonly #block: number;
  /** The sets of the block that is walked now, from `#base` to `#limit`; beyond that, what is left of other blocks. */
  #window = new Int32Array(64);
  #base = 0;
  #limit = 0;

  /** Throws `tokenizer.malformed` for what is no expression, `tokenizer.unsupported` for what this engine refuses. */
  constructor(source: string, options: RegexOptions = {}) {
    this.source = source;
    this.#program = compile(parseRegex(source, options.lines ?? false), source);
    this.#alphabet = new Alphabet(this.#program.tests);
    this.#sets = new Sets(this.#program, this.#alphabet);
    this.#seen = new Uint32Array(this.#program.ops.length);
    // A search waits with two at most for each instruction that it comes by.
    this.#waiting = new Int32Array(2 * this.#program.ops.length + 1);
    this.#begins = beginnings(this.#program);
    this.#block = Math.min(BLOCK, this.#sets.most >> 1);
  }

  /** Instructions of the compiled expression: the states of its automaton. */
  get states(): number {
    return this.#program.ops.length;
  }

  /**
   * Calls `found` for every match in `text[start..end)`, from left to right; positions are UTF-16 units and nothing outside is looked at.
   * Matches do not overlap; an empty one is left out where the one before it ended.
   */
  forEach(text: string, start: number, end: number, found: Found): void {
    const begin = this.#beginning(text, start, end);
    if (begin > end) return;
    const marks = this.#marks(text, start, end);
    this.#fill(text, start, end, begin, marks);
    const { start: entry } = this.#program;
    let last = -1;
    for (let at = begin; at <= end; ) {
      if (at > this.#limit) this.#fill(text, start, end, at, marks);
      if (this.#sets.has(this.#window[at - this.#base], entry) === 1) {
        const stop = this.#walk(text, start, end, at, marks);
        if (stop > at || last !== at) found(at, stop);
        last = stop;
        if (stop > at) {
          at = stop;
          continue;
        }
      }
      at += at < end && codePointAt(text, at, end) > 0xffff ? 2 : 1;
    }
  }

  /** The first character that a match may begin with; past the end if there is none. */
  #beginning(text: string, start: number, end: number): number {
    if (this.#begins === undefined) return start;
    for (let at = start; at < end; ) {
      const codePoint = codePointAt(text, at, end);
      const group = this.#alphabet.groupOf(codePoint);
      const may = (this.#mayBegin[group] ??= this.#begins.some(test => this.#alphabet.members[group][test] === 1));
      if (may) return at;
      at += codePoint > 0xffff ? 2 : 1;
    }
    return end + 1;
  }

  /** The end of the match that starts at `at`; there is one. */
  #walk(text: string, start: number, end: number, at: number, marks: Mark[]): number {
    const { ops, next } = this.#program;
    for (let from = this.#program.start; ; ) {
      if (at > this.#limit) this.#fill(text, start, end, at, marks);
      const step = this.#first(this.#window[at - this.#base], from);
      if (ops[step] === MATCH) return at;
      at += codePointAt(text, at, end) > 0xffff ? 2 : 1;
      from = next[step];
    }
  }

  /** The CHAR or MATCH to which the first successful branch leads from an instruction that is in the set. */
  #first(set: number, from: number): number {
    const known = this.#branches.get(from, set);
    return known >= 0 ? known : this.#branches.add(from, set, this.#search(set, from));
  }

  /** Follows branches in their order; a loop that comes back to itself without a character ends there. */
  #search(set: number, from: number): number {
    const { ops, x, next } = this.#program;
    const [seen, waiting, sets] = [this.#seen, this.#waiting, this.#sets];
    const own = (this.#searches = (this.#searches + 1) >>> 0);
    if (own === 0) return this.#searchAgain(set, from);
    let count = 0;
    for (waiting[count++] = from; count > 0; ) {
      const at = waiting[--count];
      if (seen[at] === own || sets.has(set, at) === 0) continue;
      if (ops[at] === CHAR || ops[at] === MATCH) return at;
      seen[at] = own;
      if (ops[at] === SPLIT) waiting[count++] = x[at];
      waiting[count++] = next[at];
    }
    throw new Error("an instruction in a set leads nowhere");
  }

  /** Where the count of searches has begun anew. */
  #searchAgain(set: number, from: number): number {
    this.#seen.fill(0);
    return this.#search(set, from);
  }

  /** Places at distances of a block, from right to left. None in a text of one block. */
  #marks(text: string, start: number, end: number): Mark[] {
    if (end - start <= this.#block) return NONE;
    const marks: Mark[] = [];
    this.#makeRoom(1);
    let set = this.#end(text, start, end);
    let last = end;
    for (let at = end; at > start; ) {
      if (!this.#sets.hasRoom(1)) {
        const bits = this.#sets.copy(set);
        this.#makeRoom(1);
        set = this.#sets.kept(bits);
      }
      const from = previous(text, start, at);
      set = this.#back(text, start, from, at, set);
      at = from;
      if (last - at >= this.#block) {
        marks.push({ at, bits: this.#sets.copy(set) });
        last = at;
      }
    }
    return marks;
  }

  /** Makes the window begin at `from` and reach to the next mark, or to the end. */
  #fill(text: string, start: number, end: number, from: number, marks: Mark[]): void {
    while (marks.length > 0 && marks[marks.length - 1].at <= from) marks.pop();
    const mark = marks[marks.length - 1];
    this.#base = from;
    this.#limit = mark ? mark.at : end;
    const places = this.#limit - from + 1;
    if (places > this.#window.length) this.#window = new Int32Array(Math.max(places, 2 * this.#window.length));
    this.#makeRoom(places);
    let set = mark ? this.#sets.kept(mark.bits) : this.#end(text, start, end);
    this.#window[places - 1] = set;
    for (let at = this.#limit; at > from; ) {
      const before = previous(text, start, at);
      set = this.#back(text, start, before, at, set);
      this.#window[before - from] = set;
      at = before;
    }
  }

  #makeRoom(sets: number): void {
    if (this.#sets.hasRoom(sets)) return;
    this.#sets.forget();
    this.#branches.clear();
  }

  /** Which look-behinds hold at `at`. */
  #behind(text: string, start: number, at: number): number {
    const { behind } = this.#program;
    if (behind.length === 0 || at === start) return 0;
    const group = this.#alphabet.groupOf(codePointAt(text, previous(text, start, at), at));
    const members = this.#alphabet.members[group];
    return (this.#behindOf[group] ??= behind.reduce((key, test, i) => key | (members[test] << i), 0));
  }

  #end(text: string, start: number, end: number): number {
    return this.#sets.end(this.#behind(text, start, end));
  }

  /** The set at `from`, which is one character before `at`, where it is `set`. */
  #back(text: string, start: number, from: number, at: number, set: number): number {
    return this.#sets.before(set, this.#alphabet.groupOf(codePointAt(text, from, at)), this.#behind(text, start, from));
  }
}

/** The classes of all characters that come first, whatever look-ahead and look-behind say; undefined if a match needs no character. */
function beginnings({ ops, x, next, start }: Program): number[] | undefined {
  const found = new Set<number>();
  const seen = new Set<number>();
  const waiting = [start];
  while (waiting.length > 0) {
    const at = waiting.pop()!;
    if (seen.has(at)) continue;
    seen.add(at);
    if (ops[at] === MATCH) return undefined;
    if (ops[at] === CHAR) found.add(x[at]);
    else waiting.push(next[at]);
    if (ops[at] === SPLIT) waiting.push(x[at]);
  }
  return [...found];
}

interface Mark {
  readonly at: number;
  readonly bits: Int32Array;
}

const NONE: Mark[] = [];

/** Where the character before `at` starts. */
function previous(text: string, start: number, at: number): number {
  const isPair = at - 2 >= start && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 2) & 0xfc00) === 0xd800;
  return isPair ? at - 2 : at - 1;
}
