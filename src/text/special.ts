/**
 * Cuts a text at the special tokens that are written out in it. User-defined tokens are found everywhere; control tokens only where the text is trusted (a chat template's own words), so that nobody can write one into a
 * message. Owns nothing of what happens to the text between.
 */
import { Heap } from "./heap.ts";
import { Trie } from "./trie.ts";
import { classAt, classOf, LETTER, MARK, NUMBER, SPACE } from "./unicode.ts";

/** A stretch of text `[start, end)` in UTF-16 units; `id` is the token that it spells, or -1 for text still to be encoded. */
export interface Fragment {
  readonly start: number;
  readonly end: number;
  readonly id: number;
}

/** Which parts of a text may spell control tokens: ascending, disjoint, not touching. */
export type Trusted = readonly (readonly [start: number, end: number])[];

/** Longer texts are not looked for, which bounds the work per character. */
const LONGEST = 128;
const isBlank = (unit: number): boolean => (classOf(unit) & SPACE) !== 0;

/** A text that is a token by itself. */
export interface SpecialRule {
  readonly id: number;
  readonly text: string;
  /** Found in trusted text only. */
  readonly control: boolean;
  /** White space on that side belongs to the token. */
  readonly eatsLeft?: boolean;
  readonly eatsRight?: boolean;
  /** Found only where no character of a word stands beside it. */
  readonly singleWord?: boolean;
}

/** Which of overlapping texts wins: the longest of all, as llama.cpp has it, or the leftmost, as Hugging Face has it. */
export type Preference = "longest" | "leftmost";

const isWord = (text: string, at: number, end: number): boolean =>
  at < end && ((classAt(text, at, end) & (LETTER | NUMBER | MARK)) !== 0 || text.charCodeAt(at) === 0x5f);

export class SpecialTokens {
  /** By falling length of text, then by id; a rule's place in this list is its order. */
  readonly #rules: readonly SpecialRule[];
  readonly #preference: Preference;
  readonly #trie: Trie;
  readonly #first = new Uint8Array(65536);

  constructor(rules: readonly SpecialRule[], preference: Preference) {
    const usable = rules.filter(({ text }) => text !== "" && text.length <= LONGEST);
    this.#rules = usable.sort((a, b) => b.text.length - a.text.length || a.id - b.id);
    this.#preference = preference;
    const texts = usable.map(({ text }) => text);
    this.#trie = Trie.ofTexts(texts, Int32Array.from(texts.keys()));
    for (const text of texts) this.#first[text.charCodeAt(0)] = 1;
  }

  /** The fragments of a text, in order; empty ones are left out. */
  split(text: string, trusted: Trusted, start = 0, end = text.length): Fragment[] {
    const found = this.#preference === "longest" ? this.#choose(text, trusted, start, end) : this.#scan(text, trusted, start, end);
    const fragments: Fragment[] = [];
    let at = start;
    for (const [from, order] of found) {
      const { id, text: own, eatsLeft, eatsRight } = this.#rules[order];
      let before = from;
      if (eatsLeft) while (before > at && isBlank(text.charCodeAt(before - 1))) before--;
      if (before > at) fragments.push({ start: at, end: before, id: -1 });
      at = from + own.length;
      fragments.push({ start: from, end: at, id });
      if (eatsRight) while (at < end && isBlank(text.charCodeAt(at))) at++;
    }
    if (at < end) fragments.push({ start: at, end, id: -1 });
    return fragments;
  }

  /** The order of the longest token at `at` of at most `room` units that may stand there, or -1. */
  #longest(text: string, at: number, room: number, trusted: Trusted): number {
    let best = -1;
    const most = trustedFrom(trusted, at) - at;
    for (let length = 0, node = 0; length < room; ) {
      node = this.#trie.step(node, text.charCodeAt(at + length));
      if (node < 0) break;
      length++;
      const order = this.#trie.value(node);
      if (order >= 0 && (!this.#rules[order].control || length <= most)) best = order;
    }
    return best;
  }

  /** From the left, the longest at each place. One that may only stand by itself and does not is passed over. */
  #scan(text: string, trusted: Trusted, start: number, end: number): Chosen[] {
    const chosen: Chosen[] = [];
    for (let at = start; at < end; ) {
      const order = this.#first[text.charCodeAt(at)] ? this.#longest(text, at, end - at, trusted) : -1;
      const stop = order < 0 ? at + 1 : at + this.#rules[order].text.length;
      const beside = order >= 0 && this.#rules[order].singleWord && (isWord(text, stop, end) || isWordBefore(text, start, at));
      if (order >= 0 && !beside) chosen.push([at, order]);
      at = stop;
    }
    return chosen;
  }

  /**
   * Chooses longest token first, then leftmost. Each position offers its longest match; one that an earlier choice has cut short offers the
   * next shorter one instead.
   */
  #choose(text: string, trusted: Trusted, start: number, end: number): Chosen[] {
    const heap = new Heap();
    const offer = (at: number, room: number): void => {
      const order = this.#longest(text, at, room, trusted);
      if (order >= 0) heap.push(order, at);
    };
    for (let at = start; at < end; at++) if (this.#first[text.charCodeAt(at)]) offer(at, end - at);
    if (heap.size === 0) return [];
    const taken = new Uint8Array(end);
    const chosen: Chosen[] = [];
    while (heap.pop()) {
      const { position: at, rank: order } = heap;
      const { length } = this.#rules[order].text;
      let room = 0;
      while (room < length && taken[at + room] === 0) room++;
      if (room === length) {
        taken.fill(1, at, at + length);
        chosen.push([at, order]);
      } else if (room > 0) offer(at, room);
    }
    return chosen.sort((a, b) => a[0] - b[0]);
  }
}

type Chosen = readonly [start: number, order: number];

function isWordBefore(text: string, start: number, at: number): boolean {
  if (at <= start) return false;
  const isPair = at - 2 >= start && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00;
  return isWord(text, isPair ? at - 2 : at - 1, at);
}

/** The place in the list of the first stretch that ends after `at`. */
function trustedIndex(trusted: Trusted, at: number): number {
  let low = 0;
  let high = trusted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trusted[middle][1] > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The end of the trusted stretch that holds `at`, or `at` if none does. */
function trustedFrom(trusted: Trusted, at: number): number {
  const index = trustedIndex(trusted, at);
  return index < trusted.length && trusted[index][0] <= at ? trusted[index][1] : at;
}

/** The trusted stretches between two places, cut off there. */
export function trustedWithin(trusted: Trusted, start: number, end: number): [start: number, end: number][] {
  const within: [number, number][] = [];
  for (let i = trustedIndex(trusted, start); i < trusted.length && trusted[i][0] < end; i++) {
    within.push([Math.max(trusted[i][0], start), Math.min(trusted[i][1], end)]);
  }
  return within;
}
