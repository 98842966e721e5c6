/**
 * Who computes what of a launch. Each member has a stretch of the grid as long as it is fast, begins there, and takes it piece by piece; when
 * it is done it helps the others with what they have not begun. So a member that loses its core holds up nothing but the piece in its hands,
 * and a slow core gets less. Grid units are independent: who computes a unit changes nothing in its result.
 */

/** Launches between two barriers that can be shared out; a program waits at least this often. */
export const SECTION = 16;
/** Words between two counters: a line of the cache (and the one that is fetched with it), so that members do not disturb each other. */
const APART = 32;
const APART64 = APART / 2;
/** Speeds follow what is measured by this part at each run: some tens of runs until a change has come through. */
const FOLLOW = 0.05;
/** However slow, a member keeps this part of an equal share, so that it is noticed when it becomes faster. */
const LEAST = 0.1;

export const shareWords = (size: number): number => 2 * SECTION * size * APART;
export const shareNumbers = (size: number): number => size + 1 + size * APART64;

export class Shares {
  readonly rank: number;
  readonly size: number;
  /** Units taken of each member's stretch, for the launches of two sections: one that is running, one that is over. */
  readonly #taken: Int32Array;
  /** Where the stretches begin, as parts of the grid: size + 1 numbers, the last 1. */
  readonly #cuts: Float64Array;
  /** Work that each member has done in this run, in the unit of `cost`; APART64 from one to the next. */
  readonly #done: Float64Array;
  readonly #speeds: Float64Array;
  #bank = 0;
  #next = 0;

  /** Memory that all members share: `shareWords` words of zeros, and `shareNumbers` numbers, which rank 0 sets. */
  constructor(rank: number, size: number, words: Int32Array, numbers: Float64Array) {
    this.rank = rank;
    this.size = size;
    this.#taken = words;
    this.#cuts = numbers.subarray(0, size + 1);
    this.#done = numbers.subarray(size + 1);
    this.#speeds = new Float64Array(size).fill(1 / size);
    if (rank === 0) this.#cut();
  }

  /**
   * Calls `run` for stretches of the next launch's grid until nothing is left to take. `least`: units worth a call. `cost`: of a unit, in any
   * measure; 0 where it is not known.
   */
  take(grid: number, least: number, cost: number, kernel: { run(begin: number, end: number): void }): void {
    const { rank, size } = this;
    const launch = (this.#bank * SECTION + this.#next++) * size;
    for (let k = 0; k < size; k++) {
      const owner = rank + k < size ? rank + k : rank + k - size;
      const begin = Math.floor(this.#cuts[owner] * grid);
      const units = Math.floor(this.#cuts[owner + 1] * grid) - begin;
      const at = (launch + owner) * APART;
      for (let left = units - Atomics.load(this.#taken, at); left > 0; left = units - Atomics.load(this.#taken, at)) {
        // Half of what is left: few pieces for those who are in step, small ones towards the end.
        const wish = Math.max(least, left >> 1);
        const first = Atomics.add(this.#taken, at, wish);
        if (first >= units) break;
        const end = Math.min(first + wish, units);
        kernel.run(begin + first, begin + end);
        this.#done[rank * APART64] += (end - first) * cost;
      }
    }
  }

  /** All members have passed a barrier: the launches before it are over. */
  passed(): void {
    if (this.rank === 0)
      this.#taken.fill(0, this.#bank * SECTION * this.size * APART, (this.#bank * SECTION + this.#next) * this.size * APART);
    this.#bank ^= 1;
    this.#next = 0;
  }

  /** Rank 0, between runs: cuts the next run by what each member got done in this one. */
  settle(): void {
    let total = 0;
    for (let i = 0; i < this.size; i++) total += this.#done[i * APART64];
    if (total > 0) {
      for (let i = 0; i < this.size; i++) this.#speeds[i] += FOLLOW * (this.#done[i * APART64] / total - this.#speeds[i]);
      this.#cut();
    }
    this.#done.fill(0);
  }

  #cut(): void {
    const least = LEAST / this.size;
    let sum = 0;
    for (const speed of this.#speeds) sum += Math.max(least, speed);
    let at = 0;
    for (let i = 0; i < this.size; i++) {
      this.#cuts[i] = at;
      at += Math.max(least, this.#speeds[i]) / sum;
    }
    this.#cuts[this.size] = 1;
  }
}
