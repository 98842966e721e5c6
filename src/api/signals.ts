/**
 * What the engine's thread can see of its caller in the middle of a step, when it takes no messages: that the model is being closed, and how many
 * runs and ends of runs have been sent. Both sides hold one over the same memory; the engine's counts what has come through.
 */
import type { ToEngine } from "./protocol.ts";

const WORDS = 3;
const [STOP, RUNS, ENDS] = [0, 1, 2];

const words: { readonly [K in ToEngine["kind"]]?: number } = { run: RUNS, score: RUNS, embed: RUNS, cancel: ENDS, drop: ENDS };

export class Signals {
  readonly block: SharedArrayBuffer;
  readonly #words: Int32Array;
  /** By word: messages that the engine has handled. */
  readonly #handled = [0, 0, 0];

  constructor(block: SharedArrayBuffer = new SharedArrayBuffer(4 * WORDS)) {
    this.block = block;
    this.#words = new Int32Array(block);
  }

  // ---- the caller ----

  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }
  /** After posting: the engine must never wait for a message that does not come. */
  sent({ kind }: ToEngine): void {
    const word = words[kind];
    if (word !== undefined) Atomics.add(this.#words, word, 1);
  }

  // ---- the engine ----

  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }
  handled({ kind }: ToEngine): void {
    const word = words[kind];
    if (word !== undefined) this.#handled[word]++;
  }
  /** Whether a run has been sent that has not come through. */
  runComes = (): boolean => Atomics.load(this.#words, RUNS) > this.#handled[RUNS];
  /** Whether something ends that may be computed now. */
  endComes = (): boolean => this.stopped || Atomics.load(this.#words, ENDS) > this.#handled[ENDS];
}
