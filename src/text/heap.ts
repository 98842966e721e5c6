/**
 * A binary min-heap of (rank, position) pairs for the greedy loops of this folder: lowest rank first, ties to the smaller position. Entries
 * are never removed early; whoever pops one checks whether it still holds.
 */

const POSITIONS = 2 ** 31;

export class Heap {
  /** rank * 2^31 + position: exact in a double for ranks below 2^22. */
  #keys: Float64Array;
  #size = 0;
  /** The pair that the last `pop` took out. */
  rank = 0;
  position = 0;

  constructor(capacity = 64) {
    this.#keys = new Float64Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Empties the heap and gives back its memory if a large input had made it large. */
  clear(): void {
    this.#size = 0;
    if (this.#keys.length > 1 << 16) this.#keys = new Float64Array(64);
  }

  push(rank: number, position: number): void {
    if (this.#size === this.#keys.length) {
      const grown = new Float64Array(this.#size * 2);
      grown.set(this.#keys);
      this.#keys = grown;
    }
    const keys = this.#keys;
    const key = rank * POSITIONS + position;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent] <= key) break;
      keys[at] = keys[parent];
      at = parent;
    }
    keys[at] = key;
  }

  /** Takes out the smallest pair into `rank` and `position`; false if there is none. */
  pop(): boolean {
    if (this.#size === 0) return false;
    const keys = this.#keys;
    this.rank = Math.floor(keys[0] / POSITIONS);
    this.position = keys[0] - this.rank * POSITIONS;
    const size = --this.#size;
    const key = keys[size];
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && keys[child + 1] < keys[child]) child++;
      if (keys[child] >= key) break;
      keys[at] = keys[child];
      at = child;
    }
    keys[at] = key;
    return true;
  }
}
