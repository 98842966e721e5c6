/** What a scheduler works with and whom it tells. */
import type { StepToken } from "../engine/step.ts";
import type { PageStore, Sequence } from "../kv/pages.ts";
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

/** What computes: a `Stepper`. */
export interface Steps {
  readonly plan: { readonly options: { readonly maxTokens: number; readonly maxWanted: number; readonly context: number } };
  readonly store: PageStore;
  newSequence(origin?: number, source?: ArrayLike<number>): Sequence;
  /** Appends a module's tokens, as `source` has them computed. */
  place?(source: Sequence, target: Sequence, tokens: readonly number[]): void;
  step(tokens: readonly StepToken[]): Float32Array[];
}
