/**
 * Regular expressions in linear time with the meaning of backtracking engines: the leftmost match, and at one place the first alternative
 * that leads to a match. It takes two walks. The first goes from the end of the text to its start and finds, for every place, the set of
 * instructions from which the rest of the text leads to a match; sets and their transitions are made when first needed and kept (a lazily
 * built deterministic automaton). Look-ahead costs nothing there, because at every place the future is already known. The second walk goes
 * forward and takes at every choice the first branch that is in the set: it never has to come back, so all matches of a text together cost
 * one pass. Long texts are walked back once to set marks, then block by block, so memory does not grow with what the sets are.
 */
import { codePointAt } from "../unicode.ts";
import { Alphabet } from "./classes.ts";
import { parseRegex } from "./parse.ts";
import { AHEAD, BEHIND, CHAR, compile, type Level, MATCH, NOT_BEHIND, type Program, SPLIT } from "./program.ts";

/** Places between two marks, in UTF-16 units. */
const BLOCK = 4096;
/** Sets that are kept; beyond, they are forgotten and made anew. */
const MOST_SETS = 4000;

/** Most places are only passed on the way to others. */
const nothingSearched = new Int16Array(0);

/** What can match from one place on. */
class Place {
  readonly key: string;
  /** One byte an instruction: 1 if it leads to a match from here. */
  readonly holds: Uint8Array;
  /** The place before this one, by what is between and what stands before that. */
  before: Place[] = [];
  /** By instruction: the CHAR or MATCH that its first successful branch leads to; -1 for none, -2 for not looked up yet. */
  first: Int16Array = nothingSearched;

  constructor(key: string, holds: Uint8Array) {
    this.key = key;
    this.holds = holds;
  }
}

export type Found = (from: number, to: number) => void;

export interface RegexOptions {
  /** `^` and `$` hold at every line, as in Oniguruma. Default false, as in Rust and Python. */
  readonly lines?: boolean;
}

export class Regex {
  readonly source: string;
  readonly #program: Program;
  readonly #alphabet: Alphabet;
  readonly #places = new Map<string, Place>();
  readonly #scratch: Uint8Array;
  /** By instruction: the last search that came by, so that none is followed twice in one. */
  readonly #seen: Uint32Array;
  #searches = 0;
  /** By what stands before the end of the text. */
  #ends: Place[] = [];
  readonly #behindKeys: number;
  /** The classes of the characters that a match may begin with; undefined if it may be empty. By group: whether it is in one of them. */
  readonly #begins: readonly number[] | undefined;
  readonly #mayBegin: (boolean | undefined)[] = [];
  /** The places of the block that is walked now, from `#base` to `#limit`; beyond that, what is left of other blocks. */
  readonly #window: Place[] = new Array(BLOCK + 2);
  #base = 0;
  #limit = 0;

  /** Throws `tokenizer.malformed` for what is no expression, `tokenizer.unsupported` for what this engine refuses. */
  constructor(source: string, options: RegexOptions = {}) {
    this.source = source;
    this.#program = compile(parseRegex(source, options.lines ?? false), source);
    this.#alphabet = new Alphabet(this.#program.tests);
    this.#scratch = new Uint8Array(this.#program.ops.length);
    this.#seen = new Uint32Array(this.#program.ops.length);
    this.#begins = beginnings(this.#program);
    this.#behindKeys = 1 << this.#program.behind.length;
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
      if (this.#first(this.#window[at - this.#base], entry) >= 0) {
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

  #first(place: Place, from: number): number {
    if (place.first === nothingSearched) place.first = new Int16Array(place.holds.length).fill(-2);
    const known = place.first[from];
    return known !== -2 ? known : (place.first[from] = this.#search(place, from));
  }

  /** Follows branches in their order; a loop that comes back to itself without a character ends there. */
  #search(place: Place, from: number): number {
    const { ops, x, next } = this.#program;
    const seen = this.#seen;
    const own = (this.#searches = (this.#searches + 1) >>> 0);
    if (own === 0) return this.#searchAgain(place, from);
    const waiting = [from];
    while (waiting.length > 0) {
      const at = waiting.pop()!;
      if (place.holds[at] === 0 || seen[at] === own) continue;
      if (ops[at] === CHAR || ops[at] === MATCH) return at;
      seen[at] = own;
      if (ops[at] === SPLIT) waiting.push(x[at]);
      waiting.push(next[at]);
    }
    return -1;
  }

  /** Where the count of searches has begun anew. */
  #searchAgain(place: Place, from: number): number {
    this.#seen.fill(0);
    return this.#search(place, from);
  }

  /** Places at distances of a block, from right to left. None in a text of one block. */
  #marks(text: string, start: number, end: number): Mark[] {
    if (end - start <= BLOCK) return NONE;
    const marks: Mark[] = [];
    let place = this.#end(text, start, end);
    let last = end;
    for (let at = end; at > start; ) {
      const from = previous(text, start, at);
      place = this.#back(text, start, from, at, place);
      at = from;
      if (last - at >= BLOCK) {
        marks.push({ at, place });
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
    let place = mark ? mark.place : this.#end(text, start, end);
    this.#window[this.#limit - from] = place;
    for (let at = this.#limit; at > from; ) {
      const before = previous(text, start, at);
      place = this.#back(text, start, before, at, place);
      this.#window[before - from] = place;
      at = before;
    }
  }

  /** What stands before `at`, as far as look-behind asks. */
  #behind(text: string, start: number, at: number): number {
    const { behind } = this.#program;
    if (behind.length === 0 || at === start) return 0;
    const held = this.#alphabet.groupOf(codePointAt(text, previous(text, start, at), at));
    return behind.reduce((key, test, i) => key | (this.#alphabet.members[held][test] << i), 0);
  }

  #end(text: string, start: number, end: number): Place {
    const key = this.#behind(text, start, end);
    return (this.#ends[key] ??= this.#make(undefined, undefined, key));
  }

  /** The place at `from`, which is one character before `at`. */
  #back(text: string, start: number, from: number, at: number, place: Place): Place {
    const group = this.#alphabet.groupOf(codePointAt(text, from, at));
    const behind = this.#behindKeys === 1 ? 0 : this.#behind(text, start, from);
    const edge = group * this.#behindKeys + behind;
    return (place.before[edge] ??= this.#make(place, this.#alphabet.members[group], behind));
  }

  #make(after: Place | undefined, members: Uint8Array | undefined, behind: number): Place {
    const { x, next, chars, matches, levels } = this.#program;
    const holds = this.#scratch;
    holds.fill(0);
    for (const at of matches) holds[at] = 1;
    if (members && after) for (let i = 0; i < chars.length; i++) holds[chars[i]] = members[x[chars[i]]] & after.holds[next[chars[i]]];
    for (const level of levels) {
      while (this.#decide(level, holds, behind) && level.loops);
    }
    const key = String.fromCharCode(...packed(holds));
    const known = this.#places.get(key);
    if (known) return known;
    if (this.#places.size >= MOST_SETS) this.#forget();
    const made = new Place(key, holds.slice());
    this.#places.set(key, made);
    return made;
  }

  /** Which instructions of a level lead to a match, as far as what follows them is known; whether there is one that was not known. */
  #decide({ instructions }: Level, holds: Uint8Array, behind: number): boolean {
    const { ops, x, next, behindAt } = this.#program;
    let changed = false;
    for (let i = 0; i < instructions.length; i++) {
      const at = instructions[i];
      const op = ops[at];
      let own = holds[next[at]];
      if (op === SPLIT) own |= holds[x[at]];
      else if (op === BEHIND) own &= (behind >> behindAt[at]) & 1;
      else if (op === NOT_BEHIND) own &= ~(behind >> behindAt[at]) & 1;
      else own &= op === AHEAD ? holds[x[at]] : 1 - holds[x[at]];
      if (own === holds[at]) continue;
      holds[at] = own;
      changed = true;
    }
    return changed;
  }

  #forget(): void {
    for (const place of this.#places.values()) place.before = [];
    this.#places.clear();
    this.#ends = [];
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
  readonly place: Place;
}

const NONE: Mark[] = [];

/** Where the character before `at` starts. */
function previous(text: string, start: number, at: number): number {
  const isPair = at - 2 >= start && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 2) & 0xfc00) === 0xd800;
  return isPair ? at - 2 : at - 1;
}

/** Sixteen flags a unit. */
function packed(flags: Uint8Array): Uint16Array {
  const units = new Uint16Array((flags.length + 15) >> 4);
  for (let i = 0; i < flags.length; i++) units[i >> 4] |= flags[i] << (i & 15);
  return units;
}
