/**
 * An open-addressed map from a pair of small integers to a rank and a result: the merges of a vocabulary, and the edges of a tree of texts.
 * Fixed capacity, one cache line a look-up, no allocation after it is made.
 */

/** Vocabularies and lists of merges must be shorter than this: a rank and a position share one double in the heap. */
export const MOST_ENTRIES = 2 ** 22;

/** Random odd factors: a file cannot be made so that its pairs collide. They change no result. */
const factor = (): number => (Math.random() * 0x100000000) | 1;
const leftFactor = factor();
const rightFactor = factor();

export class PairTable {
  /** Four numbers a slot: left, right, rank, result; rank -1 marks an empty slot. */
  readonly slots: Int32Array;
  readonly #shift: number;

  /** `most`: how many pairs will be added at most. */
  constructor(most: number) {
    const bits = Math.max(4, Math.ceil(Math.log2(most * 1.5 + 1)));
    this.#shift = 32 - bits;
    this.slots = new Int32Array(4 << bits).fill(-1);
  }

  #slot(left: number, right: number): number {
    const { slots } = this;
    let at = ((Math.imul(left, leftFactor) ^ Math.imul(right, rightFactor)) >>> this.#shift) << 2;
    while (slots[at + 2] >= 0 && (slots[at] !== left || slots[at + 1] !== right)) {
      at += 4;
      if (at === slots.length) at = 0;
    }
    return at;
  }

  /** A pair that is already there keeps its first rank and result. All four are at least 0. */
  add(left: number, right: number, rank: number, result: number): void {
    const { slots } = this;
    const at = this.#slot(left, right);
    if (slots[at + 2] >= 0) return;
    slots[at] = left;
    slots[at + 1] = right;
    slots[at + 2] = rank;
    slots[at + 3] = result;
  }

  /** The offset of the pair's four numbers in `slots`, or -1 if it is not there; negative numbers never are. */
  find(left: number, right: number): number {
    if (left < 0 || right < 0) return -1;
    const at = this.#slot(left, right);
    return this.slots[at + 2] >= 0 ? at : -1;
  }
}
