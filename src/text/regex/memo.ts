/**
 * A table from pairs of small numbers to numbers, in one array: what the walks of an expression look up at every character. Its size is bounded;
 * beyond, all is forgotten, since everything in it can be found again.
 */

/** Random and odd: nobody can write a text whose pairs collide. They change no result. */
const factor = (): number => (Math.random() * 0x100000000) | 1;
const [firstFactor, secondFactor] = [factor(), factor()];

/** Numbers that a slot takes: the first of the pair and 1 (0: free), the second, the value. */
const SLOT = 3;

export class Memo {
  readonly #most: number;
  #slots: Int32Array;
  #mask: number;
  #count = 0;

  /** `most`: slots that there may be, a power of two. */
  constructor(most: number) {
    this.#most = most;
    this.#mask = Math.min(most, 64) - 1;
    this.#slots = new Int32Array((this.#mask + 1) * SLOT);
  }

  /** The value of a pair of numbers of at least 0; -1 if there is none. */
  get(a: number, b: number): number {
    const slots = this.#slots;
    for (let i = hash(a, b) & this.#mask; ; i = (i + 1) & this.#mask) {
      const at = i * SLOT;
      if (slots[at] === a + 1 && slots[at + 1] === b) return slots[at + 2];
      if (slots[at] === 0) return -1;
    }
  }

  /** Adds a pair that is not there. */
  add(a: number, b: number, value: number): number {
    if (2 * this.#count > this.#mask) this.#makeRoom();
    this.#count++;
    put(this.#slots, this.#mask, a, b, value);
    return value;
  }

  clear(): void {
    if (this.#count > 0) this.#slots.fill(0);
    this.#count = 0;
  }

  #makeRoom(): void {
    if (this.#mask + 1 >= this.#most) {
      this.clear();
      return;
    }
    const old = this.#slots;
    this.#mask = 4 * this.#mask + 3;
    this.#slots = new Int32Array((this.#mask + 1) * SLOT);
    for (let at = 0; at < old.length; at += SLOT) if (old[at] !== 0) put(this.#slots, this.#mask, old[at] - 1, old[at + 1], old[at + 2]);
  }
}

function put(slots: Int32Array, mask: number, a: number, b: number, value: number): void {
  let i = hash(a, b) & mask;
  while (slots[i * SLOT] !== 0) i = (i + 1) & mask;
  slots[i * SLOT] = a + 1;
  slots[i * SLOT + 1] = b;
  slots[i * SLOT + 2] = value;
}

function hash(a: number, b: number): number {
  const mixed = Math.imul(a ^ Math.imul(b, firstFactor), secondFactor);
  return mixed ^ (mixed >>> 15);
}
