/** The accepted tokens that penalties look back on: the last `window` of them, and how often each id is among those. */

export class History {
  /** How often each id is in the window; ids that are not in it are absent. */
  readonly counts: Map<number, number>;
  readonly #window: number;
  /** The ids of the window in a ring; unused where the window is unlimited. */
  readonly #ring: number[];
  #oldest = 0;

  /** `window`: in tokens; 0 remembers nothing, -1 everything. */
  constructor(window: number, from?: History) {
    this.#window = window;
    this.counts = new Map(from?.counts);
    this.#ring = from ? from.#ring.slice() : [];
    this.#oldest = from ? from.#oldest : 0;
  }

  accept(id: number): void {
    if (this.#window === 0) return;
    this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    if (this.#window === -1) return;
    if (this.#ring.length < this.#window) {
      this.#ring.push(id);
      return;
    }
    this.#forget(this.#ring[this.#oldest]);
    this.#ring[this.#oldest] = id;
    this.#oldest = (this.#oldest + 1) % this.#window;
  }

  fork(): History {
    return new History(this.#window, this);
  }

  #forget(id: number): void {
    const left = this.counts.get(id)! - 1;
    if (left === 0) this.counts.delete(id);
    else this.counts.set(id, left);
  }
}
