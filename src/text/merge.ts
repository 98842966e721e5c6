/**
 * Byte-pair merging: applies a table of merges to a piece, lowest rank first and leftmost among equals, in O(n log n) without recursion. It
 * knows symbols (small integers) only; what they stand for is the business of bytebpe.ts and spm.ts.
 */
import { Heap } from "./heap.ts";
import { MOST_ENTRIES } from "./pair-table.ts";

/** Pieces up to this many symbols are merged by looking for the best pair each time, which is faster than the heap for them. */
const SHORT = 24;
/** Scratch memory that is kept from one call to the next, in symbols. */
const KEPT = 1 << 14;

/** Where merges are looked up: as `PairTable`, whose offsets and slots are good until the next look. */
export interface MergeTable {
  readonly slots: Int32Array;
  find(left: number, right: number): number;
}

export class Merger {
  readonly #table: MergeTable;
  readonly #heap = new Heap();
  readonly #shortRanks = new Int32Array(SHORT);
  readonly #shortResults = new Int32Array(SHORT);
  #ranks = new Int32Array(256);
  #next = new Int32Array(256);
  #previous = new Int32Array(256);

  constructor(table: MergeTable) {
    this.#table = table;
  }

  /** Merges the first `count` symbols in place and returns how many are left. */
  merge(symbols: Int32Array, count: number): number {
    if (count < 2) return count;
    return count <= SHORT ? this.#mergeShort(symbols, count) : this.#mergeLong(symbols, count);
  }

  #mergeShort(symbols: Int32Array, count: number): number {
    const ranks = this.#shortRanks;
    const results = this.#shortResults;
    for (let i = 0; i + 1 < count; i++) this.#rankShort(symbols, i);
    for (;;) {
      let best = -1;
      let rank = MOST_ENTRIES;
      for (let i = 0; i + 1 < count; i++) {
        if (ranks[i] < rank) {
          rank = ranks[i];
          best = i;
        }
      }
      if (best < 0) return count;
      symbols[best] = results[best];
      count--;
      for (let i = best + 1; i < count; i++) {
        symbols[i] = symbols[i + 1];
        ranks[i] = ranks[i + 1];
        results[i] = results[i + 1];
      }
      if (best > 0) this.#rankShort(symbols, best - 1);
      if (best + 1 < count) this.#rankShort(symbols, best);
    }
  }

  #rankShort(symbols: Int32Array, at: number): void {
    const slot = this.#table.find(symbols[at], symbols[at + 1]);
    this.#shortRanks[at] = slot < 0 ? MOST_ENTRIES : this.#table.slots[slot + 2];
    if (slot >= 0) this.#shortResults[at] = this.#table.slots[slot + 3];
  }

  /** The list of symbols is linked by position; `ranks[i]` is the rank of the pair that starts at i now, so old heap entries show. */
  #mergeLong(symbols: Int32Array, count: number): number {
    this.#reserve(count);
    const heap = this.#heap;
    const ranks = this.#ranks;
    const next = this.#next;
    const previous = this.#previous;
    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    for (let i = 0; i < count; i++) this.#rankLong(symbols, i, count);
    while (heap.pop()) {
      const at = heap.position;
      if (ranks[at] !== heap.rank) continue;
      const right = next[at];
      const slot = this.#table.find(symbols[at], symbols[right]);
      symbols[at] = this.#table.slots[slot + 3];
      ranks[right] = -1;
      next[at] = next[right];
      if (next[at] < count) previous[next[at]] = at;
      this.#rankLong(symbols, at, count);
      if (previous[at] >= 0) this.#rankLong(symbols, previous[at], count);
    }
    let left = 0;
    for (let i = 0; i < count; i = next[i]) symbols[left++] = symbols[i];
    heap.clear();
    return left;
  }

  #rankLong(symbols: Int32Array, at: number, count: number): void {
    const right = this.#next[at];
    const slot = right < count ? this.#table.find(symbols[at], symbols[right]) : -1;
    this.#ranks[at] = slot < 0 ? -1 : this.#table.slots[slot + 2];
    if (slot >= 0) this.#heap.push(this.#ranks[at], at);
  }

  #reserve(count: number): void {
    if (count <= this.#ranks.length && (this.#ranks.length <= KEPT || count > KEPT)) return;
    const size = Math.max(count, 256);
    this.#ranks = new Int32Array(size);
    this.#next = new Int32Array(size);
    this.#previous = new Int32Array(size);
  }
}
