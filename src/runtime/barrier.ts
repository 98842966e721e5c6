/**
 * The barrier of a team: members spin briefly, then sleep. Spinning is what makes a hundred barriers a token cheap; sleeping is what keeps a
 * busy machine from collapsing when a member has lost its core. A member that fails breaks the barrier, and nobody waits at a broken one.
 */

/** Words of shared memory that a barrier uses. */
export const BARRIER_WORDS = 4;
const [ARRIVED, PHASE, SLEEPING, BROKEN] = [0, 1, 2, 3];

/** Looks before sleeping: some hundred microseconds at most, which is several times what waking a sleeper costs. */
const SPINS = 100_000;
const FEWEST = 2_000;
/** How often a sleeper with a `check` wakes to make it. */
const CHECK_MS = 500;

/** Thrown by members that find the barrier broken: another member has failed, and has said why. */
export class BrokenBarrier extends Error {}

/**
 * How a member waits. Looking pays where others are running and soon there; where one has lost its core, each look takes time from it. So a
 * wait that looking did not end halves the looks of the next ones, and one that it did doubles them again.
 */
export class Patience {
  #spins = SPINS;

  /**
   * Waits until `words[at]` is no longer `value`; `sleeping` counts those who need a wake-up call. `check` is called now and then in a long
   * wait, and may throw.
   */
  await(words: Int32Array, at: number, value: number, sleeping: number, check?: () => void): void {
    for (let i = 0; i < this.#spins; i++) {
      if (Atomics.load(words, at) === value) continue;
      this.#spins = Math.min(SPINS, 2 * this.#spins);
      return;
    }
    this.#spins = Math.max(FEWEST, this.#spins >> 1);
    Atomics.add(words, sleeping, 1);
    try {
      while (Atomics.load(words, at) === value) {
        const end = Atomics.wait(words, at, value, check ? CHECK_MS : undefined);
        if (end === "timed-out") check?.();
      }
    } finally {
      Atomics.sub(words, sleeping, 1);
    }
  }
}

/** Changes `words[at]` and wakes whoever sleeps on it. */
export function signalChange(words: Int32Array, at: number, sleeping: number): void {
  Atomics.add(words, at, 1);
  if (Atomics.load(words, sleeping) > 0) Atomics.notify(words, at);
}

export class Barrier {
  /** Members that must come. It may change between passes, for all of them. */
  size: number;
  /** Made now and then by a member that waits long; throws if the wait is in vain. */
  check?: () => void;
  readonly #words: Int32Array;
  readonly #patience = new Patience();

  /** `words` are shared by all members and start as zeros. */
  constructor(words: Int32Array, size: number) {
    this.#words = words;
    this.size = size;
  }

  get broken(): boolean {
    return Atomics.load(this.#words, BROKEN) !== 0;
  }

  /** Returns when all members have called it. Throws `BrokenBarrier` when one never will. */
  wait(): void {
    if (this.size === 1) return;
    const words = this.#words;
    const phase = Atomics.load(words, PHASE);
    // The phase is read before the break is looked for: a member that breaks it sets the word first and changes the phase afterwards.
    if (this.broken) throw new BrokenBarrier();
    if (Atomics.add(words, ARRIVED, 1) === this.size - 1) {
      Atomics.store(words, ARRIVED, 0);
      signalChange(words, PHASE, SLEEPING);
    } else this.#patience.await(words, PHASE, phase, SLEEPING, this.check);
    if (this.broken) throw new BrokenBarrier();
  }

  /** For ever: everyone who waits or comes to wait gets `BrokenBarrier`. Whether this call was the first. */
  break(): boolean {
    const first = Atomics.exchange(this.#words, BROKEN, 1) === 0;
    signalChange(this.#words, PHASE, SLEEPING);
    return first;
  }
}
