/**
 * Cuts a text at the special tokens that are written out in it, longest token first as the models' own tokenizers do. User-defined tokens
 * are found everywhere; control tokens only where the text is trusted (a chat template's own words), so that nobody can write one into a
 * message. Owns nothing of what happens to the text between.
 */
import { Heap } from "./heap.ts";
import { PairTable } from "./pair-table.ts";
import { USER_DEFINED, type Vocabulary } from "./vocabulary.ts";

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
/** White space in the sense of the strip rules. */
const isBlank = (unit: number): boolean => unit === 0x20 || (unit >= 9 && unit <= 13);

export class SpecialTokens {
  /** Ids by falling length of text, then by id; a token's place in this list is its order. */
  readonly #ids: Int32Array;
  readonly #anywhere: Uint8Array;
  /** A tree: (node, UTF-16 unit) -> node, and per node the order of the token that ends there. */
  readonly #edges: PairTable;
  readonly #tokenAt: number[] = [-1];
  readonly #first = new Uint8Array(65536);
  readonly #texts: readonly string[];
  readonly #eatsRight: Uint8Array;
  readonly #eatsLeft: Uint8Array;

  constructor(vocabulary: Vocabulary, preTokenizer: string) {
    const { texts, types } = vocabulary;
    const ids = [...texts.keys()].filter(
      id => (types[id] === USER_DEFINED || vocabulary.isControl(id)) && texts[id].length <= LONGEST && vocabulary.id(texts[id]) === id,
    );
    ids.sort((a, b) => texts[b].length - texts[a].length || a - b);
    this.#ids = Int32Array.from(ids);
    this.#anywhere = Uint8Array.from(ids, id => Number(types[id] === USER_DEFINED));
    this.#texts = texts;
    this.#edges = new PairTable(ids.reduce((sum, id) => sum + texts[id].length, 0));
    for (const [order, id] of ids.entries()) this.#insert(texts[id], order);
    // The file format has no place for these rules; the models are known by name.
    const phi3 = /phi-?3/i.test(vocabulary.modelName);
    const kept = ["<unk>", "<s>", "<|endoftext|>"];
    this.#eatsRight = Uint8Array.from(ids, id => Number(phi3 && !kept.includes(texts[id])));
    const mask = /^jina-v2-(de|es|code)$/.test(preTokenizer) ? "<mask>" : preTokenizer === "modern-bert" ? "[MASK]" : "";
    this.#eatsLeft = Uint8Array.from(ids, id => Number(texts[id] === mask));
  }

  /** The fragments of a text, in order; empty ones are left out. */
  split(text: string, trusted: Trusted): Fragment[] {
    const found = this.#choose(text, trusted);
    const fragments: Fragment[] = [];
    let at = 0;
    for (const [start, order] of found) {
      const id = this.#ids[order];
      let before = start;
      if (this.#eatsLeft[order]) while (before > at && isBlank(text.charCodeAt(before - 1))) before--;
      if (before > at) fragments.push({ start: at, end: before, id: -1 });
      at = start + this.#texts[id].length;
      fragments.push({ start, end: at, id });
      if (this.#eatsRight[order]) while (at < text.length && isBlank(text.charCodeAt(at))) at++;
    }
    if (at < text.length) fragments.push({ start: at, end: text.length, id: -1 });
    return fragments;
  }

  #insert(text: string, order: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      let next = this.#step(node, unit);
      if (next < 0) {
        next = this.#tokenAt.push(-1) - 1;
        this.#edges.add(node, unit, 0, next);
      }
      node = next;
    }
    this.#tokenAt[node] = order;
    this.#first[text.charCodeAt(0)] = 1;
  }

  #step(node: number, unit: number): number {
    const slot = this.#edges.find(node, unit);
    return slot < 0 ? -1 : this.#edges.slots[slot + 3];
  }

  /** The order of the longest token at `at` of at most `room` units that may stand there, or -1. */
  #longest(text: string, at: number, room: number, trusted: Trusted): number {
    let best = -1;
    const most = trustedFrom(trusted, at) - at;
    for (let length = 0, node = 0; length < room; ) {
      node = this.#step(node, text.charCodeAt(at + length));
      if (node < 0) break;
      length++;
      const order = this.#tokenAt[node];
      if (order >= 0 && (this.#anywhere[order] || length <= most)) best = order;
    }
    return best;
  }

  /**
   * Chooses longest token first, then leftmost. Each position offers its longest match; one that an earlier choice has cut short offers the
   * next shorter one instead.
   */
  #choose(text: string, trusted: Trusted): (readonly [start: number, order: number])[] {
    const heap = new Heap();
    const offer = (at: number, room: number): void => {
      const order = this.#longest(text, at, room, trusted);
      if (order >= 0) heap.push(order, at);
    };
    for (let at = 0; at < text.length; at++) if (this.#first[text.charCodeAt(at)]) offer(at, text.length - at);
    if (heap.size === 0) return [];
    const taken = new Uint8Array(text.length);
    const chosen: [number, number][] = [];
    while (heap.pop()) {
      const { position: at, rank: order } = heap;
      const length = this.#texts[this.#ids[order]].length;
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

/** The end of the trusted stretch that holds `at`, or `at` if none does. */
function trustedFrom(trusted: Trusted, at: number): number {
  let low = 0;
  let high = trusted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trusted[middle][1] > at) high = middle;
    else low = middle + 1;
  }
  return low < trusted.length && trusted[low][0] <= at ? trusted[low][1] : at;
}
