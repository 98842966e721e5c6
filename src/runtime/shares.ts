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
  readonly #size: number;
  /** Units taken of each member's stretch, for the launches of two sections: one that is running, one that is over. */
  readonly #taken: Int32Array;
  /** Where the stretches of those who take part begin, as parts of the grid, and a 1 behind them. */
  readonly #cuts: Float64Array;
  /** Work that each member has done in this run, in the unit of `cost`; APART64 from one to the next. */
  readonly #done: Float64Array;
  readonly #speeds: Float64Array;
  #active: number;
  #bank = 0;
  #next = 0;

  /** Memory that all members share: `shareWords` words of zeros, and `shareNumbers` numbers, which rank 0 sets. */
  constructor(rank: number, size: number, words: Int32Array, numbers: Float64Array) {
    this.rank = rank;
    this.#size = size;
    this.#active = size;
    this.#taken = words;
    this.#cuts = numbers.subarray(0, size + 1);
    this.#done = numbers.subarray(size + 1);
    this.#speeds = new Float64Array(size).fill(1 / size);
  }

  /** How many members take part: the first ones. */
  get active(): number {
    return this.#active;
  }

  /** Each of the `active` members, at the beginning of a run; those who have been away are in step again. */
  begin(active: number): void {
    this.#active = active;
    this.#bank = 0;
    this.#next = 0;
  }

  /**
   * Calls `run` for stretches of the next launch's grid until nothing is left to take. `least`: units worth a call. `cost`: of a unit, in any
   * measure; 0 where it is not known.
   */
  take(grid: number, least: number, cost: number, kernel: { run(begin: number, end: number): void }): void {
    const rank = this.rank;
    const active = this.#active;
    const launch = (this.#bank * SECTION + this.#next++) * this.#size;
    for (let k = 0; k < active; k++) {
      const owner = rank + k < active ? rank + k : rank + k - active;
      const begin = Math.floor(this.#cuts[owner] * grid);
      const units = Math.floor(this.#cuts[owner + 1] * grid) - begin;
      const at = (launch + owner) * APART;
      for (let left = units - Atomics.load(this.#taken, at); left > 0; left = units - Atomics.load(this.#taken, at)) {
        // Most of one's own, half of what others have left: few pieces for those who are in step, small ones towards the end.
        const wish = Math.max(least, k === 0 ? left - (left >> 3) : left >> 1);
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
    const first = this.#bank * SECTION;
    if (this.rank === 0) this.#taken.fill(0, first * this.#size * APART, (first + this.#next) * this.#size * APART);
    this.#bank ^= 1;
    this.#next = 0;
  }

  /** Rank 0, before a run of `active` members: cuts it by what each of them got done in the last ones. */
  cut(active: number): void {
    let total = 0;
    for (let i = 0; i < this.#active; i++) total += this.#done[i * APART64];
    if (total > 0 && this.#active > 1) {
      // Parts of what the members of that run together are worth.
      const worth = this.#worth(this.#active);
      for (let i = 0; i < this.#active; i++) this.#speeds[i] += FOLLOW * ((worth * this.#done[i * APART64]) / total - this.#speeds[i]);
    }
    for (let i = 0; i < this.#size; i++) this.#done[i * APART64] = 0;
    const sum = this.#worth(active);
    let at = 0;
    for (let i = 0; i < active; i++) {
      this.#cuts[i] = at / sum;
      at += this.#speed(i);
    }
    this.#cuts[active] = 1;
  }

  #speed(rank: number): number {
    return Math.max(LEAST / this.#size, this.#speeds[rank]);
  }

  #worth(members: number): number {
    let sum = 0;
    for (let i = 0; i < members; i++) sum += this.#speed(i);
    return sum;
  }
}
