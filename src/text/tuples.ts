/**
 * Numbers for lists of as many 32-bit numbers each, in the order in which they first came: the states of automata that are built where a text
 * leads. The lists stand one behind the other in one array, so that a new one costs no object.
 */

/** Random and odd: nobody can write a text whose states collide. They change no result. */
const factor = (Math.random() * 0x100000000) | 1;
const start = (Math.random() * 0x100000000) | 0;

export class Tuples {
  /** List `i` from `i * length` on, and room for one more. Another array after `next`. */
  values: Int32Array;
  count = 0;
  readonly #length: number;
  /** By hash: a list and 1, or 0 where there is none. */
  #slots = new Int32Array(64);

  /** `length`: numbers of a list. */
  constructor(length: number) {
    this.#length = length;
    this.values = new Int32Array(16 * length);
  }

  /** Where in `values` the list that `number` is asked about is to be written. */
  next(): number {
    const at = this.count * this.#length;
    if (at + this.#length > this.values.length) {
      const more = new Int32Array(2 * this.values.length);
      more.set(this.values);
      this.values = more;
    }
    return at;
  }

  /** The number of the list that was written: one that was given before, or else the next. */
  number(): number {
    if (2 * this.count >= this.#slots.length) this.#rehash();
    const [values, slots, length] = [this.values, this.#slots, this.#length];
    const from = this.count * length;
    const mask = slots.length - 1;
    let hash = start;
    for (let i = from; i < from + length; i++) hash = Math.imul((hash ^ (hash >>> 15)) + values[i], factor);
    for (let i = (hash ^ (hash >>> 16)) & mask; ; i = (i + 1) & mask) {
      const known = slots[i] - 1;
      if (known < 0) {
        slots[i] = this.count + 1;
        return this.count++;
      }
      let [same, own] = [0, known * length];
      while (same < length && values[own + same] === values[from + same]) same++;
      if (same === length) return known;
    }
  }

  clear(): void {
    this.count = 0;
    this.#slots.fill(0);
  }

  #rehash(): void {
    const count = this.count;
    this.#slots = new Int32Array(4 * this.#slots.length);
    for (this.count = 0; this.count < count; ) this.number();
  }
}
