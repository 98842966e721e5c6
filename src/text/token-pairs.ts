/**
 * Merges of vocabularies that list none: two symbols merge if together they are a token. Which do is looked up when a text has them side by side,
 * and remembered, so that no load goes through all ways of cutting all tokens.
 */
import { PairTable } from "./pair-table.ts";

/** Pairs that are remembered: at first, and at most; then all are forgotten. */
const FIRST = 1 << 12;
const MOST = 1 << 18;
/** The result of pairs that do not merge. */
const NONE = -1;

export class TokenPairs {
  readonly #tokenOf: (left: number, right: number) => number | undefined;
  readonly #ranks: ArrayLike<number>;
  #table = new PairTable(FIRST);
  #room = FIRST;
  #count = 0;

  /** `tokenOf`: the token that two symbols make up; `ranks`: of all tokens, below MOST_ENTRIES. */
  constructor(tokenOf: (left: number, right: number) => number | undefined, ranks: ArrayLike<number>) {
    this.#tokenOf = tokenOf;
    this.#ranks = ranks;
  }

  get slots(): Int32Array {
    return this.#table.slots;
  }

  /** As `PairTable.find`. Offsets found before are not good any more. */
  find(left: number, right: number): number {
    if (left < 0 || right < 0) return -1;
    let at = this.#table.find(left, right);
    if (at < 0) {
      this.#look(left, right);
      at = this.#table.find(left, right);
    }
    return this.#table.slots[at + 3] === NONE ? -1 : at;
  }

  #look(left: number, right: number): void {
    if (this.#count === this.#room) this.#makeRoom();
    const token = this.#tokenOf(left, right);
    this.#table.add(left, right, token === undefined ? 0 : this.#ranks[token], token ?? NONE);
    this.#count++;
  }

  #makeRoom(): void {
    const { slots } = this.#table;
    const grows = this.#room < MOST;
    this.#room = Math.min(2 * this.#room, MOST);
    this.#table = new PairTable(this.#room);
    if (!grows) this.#count = 0;
    else
      for (let i = 0; i < slots.length; i += 4) if (slots[i + 2] >= 0) this.#table.add(slots[i], slots[i + 1], slots[i + 2], slots[i + 3]);
  }
}
