/**
 * Pasts that may be gone on from: sequences of sessions and of answers that are over, found by the longest beginning that they share with a
 * prompt. Pages are shared, not copied, so a past that many prompts begin with is there once. The least recently used make room when pages are
 * needed. Nobody finds a past under another key, whatever its tokens.
 */
import { wholeLength } from "./marks.ts";
import type { Sequence } from "./pages.ts";

export interface Past {
  /** Who may go on from it. */
  key: string;
  sequence: Sequence;
  /** Being computed: neither evicted nor dropped. */
  busy: boolean;
  /** A session refers to it; its pages may go, and are then computed again, but the sequence stays. */
  readonly owned: boolean;
}

/** Pasts without a session that are kept at most; finding one compares with all. */
const MOST = 256;

/** How many of a prompt's tokens the sequence saves: not the last, and no part of a module. */
export const usableOf = (sequence: Sequence, tokens: ArrayLike<number>): number =>
  sequence.usable(wholeLength(tokens, Math.min(sequence.common(tokens), tokens.length - 1)));

export class Prefixes {
  /** The least recently used first. */
  readonly #pasts = new Set<Past>();
  readonly #lose: (past: Past) => void;
  #loose = 0;

  /** `lose` is told of a past whose pages are about to go. */
  constructor(lose: (past: Past) => void = () => {}) {
    this.#lose = lose;
  }

  get size(): number {
    return this.#pasts.size;
  }

  add(past: Past): void {
    this.#pasts.add(past);
    if (past.owned || ++this.#loose <= MOST) return;
    for (const each of this.#pasts) {
      if (each.owned || each.busy) continue;
      this.delete(each);
      this.#lose(each);
      each.sequence.close();
      return;
    }
  }

  delete(past: Past): void {
    if (this.#pasts.delete(past) && !past.owned) this.#loose--;
  }

  /** Makes it the most recently used. */
  touch(past: Past): void {
    if (this.#pasts.delete(past)) this.#pasts.add(past);
  }

  /** A past that begins with all of `tokens`. */
  holding(key: string, tokens: ArrayLike<number>): Past | undefined {
    for (const past of this.#pasts) if (past.key === key && past.sequence.common(tokens) === tokens.length) return past;
    return undefined;
  }

  /** The past that saves most of `tokens`, of which the last is always computed, and how many it saves. */
  longest(key: string, tokens: ArrayLike<number>): { past: Past; length: number } | undefined {
    let best: { past: Past; length: number } | undefined;
    for (const past of this.#pasts) {
      if (past.key !== key) continue;
      const length = usableOf(past.sequence, tokens);
      if (length > (best?.length ?? 0)) best = { past, length };
    }
    return best;
  }

  /** Everything is about to go. */
  loseAll(): void {
    for (const past of this.#pasts) this.#lose(past);
  }

  /** Gives back the pages of the least recently used past; false where there is none left. */
  evict(): boolean {
    for (const past of this.#pasts) {
      if (past.busy || past.sequence.length === 0) continue;
      this.#lose(past);
      if (past.owned) past.sequence.truncate(0);
      else {
        this.delete(past);
        past.sequence.close();
      }
      return true;
    }
    return false;
  }
}
