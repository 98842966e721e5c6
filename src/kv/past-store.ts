/** Where pasts go that leave memory, and how they come back: what the scheduler asks of such a store, and what the store asks of memory. */
import type { Sequence } from "./pages.ts";

export interface PastStore {
  /** How many of `tokens`, at most `most`, are stored, if their files are sound. */
  find(key: string, tokens: ArrayLike<number>, most: number): number;
  /**
   * Appends to the sequence as much of `tokens` as is stored beyond its length, up to `most` tokens, bit by bit as it was computed, and gives
   * its new length. `key`: who asks; nobody gets what was kept under another.
   */
  restore(key: string, tokens: ArrayLike<number>, most: number, sequence: Sequence): number;
  /** Keeps a past that is about to be forgotten. Never throws. */
  keep(key: string, sequence: Sequence): void;
}

/** The memory that pages and states lie in. */
export interface PastMemory {
  readonly pageTokens: number;
  readonly pageBytes: number;
  /** Of all recurrent layers together; 0 where there are none. */
  readonly stateBytes: number;
  readonly page: (page: number) => Uint8Array;
  /** A slot of states, layer by layer. */
  readonly state: (slot: number) => readonly Uint8Array[];
}
