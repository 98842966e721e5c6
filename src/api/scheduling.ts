/** What a scheduler works with and whom it tells. */
import type { StepToken } from "../engine/step.ts";
import type { PageStore, Sequence } from "../kv/pages.ts";
import type { PastStore } from "../kv/past-store.ts";
import type { Compiler } from "./compile-queue.ts";
import type { Finished, Token } from "./protocol.ts";

export interface Events {
  prompt: (run: number, done: number, total: number) => void;
  token: (run: number, token: Token) => void;
  /** The run waits until `jump` says which tokens spell these bytes. */
  forced: (run: number, bytes: Uint8Array) => void;
  finished: (run: number, result: Finished) => void;
  scored: (run: number, logprobs: Float64Array) => void;
  failed: (run: number, error: unknown) => void;
}

/** What is on its way to the scheduler and has not come through. */
export interface Coming {
  readonly runComes: () => boolean;
  /** A run, or all of them, may end. */
  readonly endComes: () => boolean;
}
export const nothing: Coming = { runComes: () => false, endComes: () => false };

export interface Surroundings {
  /** Milliseconds. */
  readonly now?: () => number;
  /** Keeps pasts that leave memory. */
  readonly store?: PastStore | undefined;
  readonly coming?: Coming;
  /** Starts the thread that compiles constraints; without one they are compiled in place. */
  readonly compiler?: () => Compiler;
  /** Called when there is something to do that no message has brought. */
  readonly wake?: () => void;
}

/** What computes: a `Stepper`. */
export interface Steps {
  readonly plan: { readonly options: { readonly maxTokens: number; readonly maxWanted: number; readonly context: number } };
  readonly store: PageStore;
  newSequence(origin?: number, source?: ArrayLike<number>): Sequence;
  /** Appends a module's tokens, as `source` has them computed. */
  place?(source: Sequence, target: Sequence, tokens: readonly number[]): void;
  step(tokens: readonly StepToken[]): Float32Array[];
  /** Undefined: broken off, with the sequences as they were. */
  attempt(tokens: readonly StepToken[], interrupted: () => boolean): Float32Array[] | undefined;
}
