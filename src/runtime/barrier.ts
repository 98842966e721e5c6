/**
 * The barrier of a team: members spin briefly, then sleep. Spinning is what makes a hundred barriers a token cheap; sleeping is what keeps a
 * busy machine from collapsing when a member has lost its core.
 */

/** Words of shared memory that a barrier uses. */
export const BARRIER_WORDS = 3;
const [ARRIVED, PHASE, SLEEPING] = [0, 1, 2];

/** Looks before sleeping: some tens of microseconds. */
const SPINS = 20_000;

/** Waits until `words[at]` is no longer `value`; `sleeping` counts those who need a wake-up call. */
export function awaitChange(words: Int32Array, at: number, value: number, sleeping: number): void {
  for (let i = 0; i < SPINS; i++) if (Atomics.load(words, at) !== value) return;
  Atomics.add(words, sleeping, 1);
  while (Atomics.load(words, at) === value) Atomics.wait(words, at, value);
  Atomics.sub(words, sleeping, 1);
}

/** Changes `words[at]` and wakes whoever sleeps on it. */
export function signalChange(words: Int32Array, at: number, sleeping: number): void {
  Atomics.add(words, at, 1);
  if (Atomics.load(words, sleeping) > 0) Atomics.notify(words, at);
}

export class Barrier {
  readonly size: number;
  readonly #words: Int32Array;

  /** `words` are shared by all members and start as zeros. */
  constructor(words: Int32Array, size: number) {
    this.#words = words;
    this.size = size;
  }

  /** Returns when all members have called it. */
  wait(): void {
    if (this.size === 1) return;
    const words = this.#words;
    const phase = Atomics.load(words, PHASE);
    if (Atomics.add(words, ARRIVED, 1) === this.size - 1) {
      Atomics.store(words, ARRIVED, 0);
      signalChange(words, PHASE, SLEEPING);
    } else awaitChange(words, PHASE, phase, SLEEPING);
  }
}
