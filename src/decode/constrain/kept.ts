/**
 * What is kept of constraints for the next request with the same source: as many as fit into a number of bytes, the last used ones. What somebody
 * follows is never given up, but what was found while following it is, where nothing else is left to give up.
 */
import type { SharedConstraint } from "./constraint.ts";

/** Bytes of all that is kept. */
const MOST_BYTES = 32 * 2 ** 20;
/** A grammar that has unfolded to this many expressions is compiled anew. */
const MOST_UNFOLDED = 100_000;
/** Growth that is looked at while it is followed; all of it is when that ends. */
const GRAIN = 64 * 1024;
/** Bytes of one from which nothing was found yet. */
const LEAST_BYTES = 8 * 1024;

interface Entry {
  key: string;
  readonly shared: SharedConstraint;
  /** Bytes as they were counted last. */
  bytes: number;
  /** How many follow it. */
  users: number;
}

export class Kept {
  readonly #most: number;
  /** By key; the last used come last. */
  readonly #entries = new Map<string, Entry>();
  readonly #of = new Map<SharedConstraint, Entry>();
  readonly #bytesOf: (shared: SharedConstraint) => number;
  readonly #gone: (shared: SharedConstraint) => void;
  #bytes = 0;
  #left = 0;

  /** `bytesOf`: what else is held for one; `gone` is told of those that are given up. */
  constructor(
    most = MOST_BYTES,
    bytesOf: (shared: SharedConstraint) => number = () => 0,
    gone: (shared: SharedConstraint) => void = () => {},
  ) {
    this.#most = most;
    this.#bytesOf = bytesOf;
    this.#gone = gone;
  }

  /** Bytes of all, as they were counted last. */
  get bytes(): number {
    return this.#bytes;
  }
  get size(): number {
    return this.#entries.size;
  }

  get(key: string): SharedConstraint | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.shared.compiled.grammar.size >= MOST_UNFOLDED) {
      this.leave(entry.shared);
      return undefined;
    }
    this.#move(entry, key);
    return entry.shared;
  }

  add(key: string, shared: SharedConstraint): void {
    const entry: Entry = { key, shared, bytes: 0, users: 0 };
    this.#entries.set(key, entry);
    this.#of.set(shared, entry);
    this.#count(entry);
    this.#makeRoom(entry);
  }

  /** Counts what has grown, and gives up what is too much. */
  grown(shared: SharedConstraint): void {
    const entry = this.#of.get(shared);
    if (!entry || Math.abs(this.#sizeOf(entry) - entry.bytes) < GRAIN) return;
    this.#count(entry);
    this.#makeRoom(entry);
  }

  /** Somebody follows it from now on, or no more. */
  use(shared: SharedConstraint, change: 1 | -1): void {
    const entry = this.#of.get(shared);
    if (!entry) return;
    entry.users += change;
    this.#count(entry);
    this.#makeRoom(undefined);
  }

  /** Its key is free for another; who follows it goes on. */
  leave(shared: SharedConstraint): void {
    const entry = this.#of.get(shared);
    if (!entry) return;
    if (entry.users === 0) this.#delete(entry);
    else this.#move(entry, `left ${this.#left++}`);
  }

  #sizeOf({ key, shared }: Entry): number {
    return LEAST_BYTES + 2 * key.length + shared.bytes + this.#bytesOf(shared);
  }

  #count(entry: Entry): void {
    const size = this.#sizeOf(entry);
    this.#bytes += size - entry.bytes;
    entry.bytes = size;
  }

  #move(entry: Entry, key: string): void {
    this.#entries.delete(entry.key);
    entry.key = key;
    this.#entries.set(key, entry);
  }

  #delete(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#of.delete(entry.shared);
    this.#bytes -= entry.bytes;
    this.#gone(entry.shared);
  }

  /** Gives up what nobody follows, the longest unused first, then what was found by the others; `last` goes last. */
  #makeRoom(last: Entry | undefined): void {
    if (this.#bytes <= this.#most) return;
    const oldest = [...this.#entries.values()];
    for (const entry of oldest) {
      if (this.#bytes <= this.#most) return;
      if (entry !== last && entry.users === 0) this.#delete(entry);
    }
    for (const entry of [...oldest.filter(e => e !== last && e.users > 0), ...(last ? [last] : [])]) {
      if (this.#bytes <= this.#most) return;
      entry.shared.forget();
      this.#count(entry);
    }
  }
}
