/**
 * States of recurrent layers: a pool of slots, each holding the state of all such layers after some number of tokens, and what a sequence owns
 * of them: the state that it stands at, and checkpoints to which it can go back, since a state cannot be cut like a list of pages. A step reads
 * from one slot and writes to another (kernels/segments.ts), so forks and checkpoints are references and nothing is copied. Owns no bytes.
 *
 * Invariants: slot 0 is the state before any token and is never written. A slot is written only while exactly one sequence stands at it and no
 * checkpoint refers to it. Checkpoints of a sequence lie at rising positions, none beyond the sequence's length. Checkpoints are spare: the pool
 * takes the least recently used ones back when it runs out; the states that sequences stand at it never takes.
 */
import { LatheError } from "../errors.ts";

/** A state that is kept. Forks share it. */
interface Checkpoint {
  /** Tokens evaluated so far. */
  readonly position: number;
  readonly slot: number;
  /** Sequences that list it; 0: taken back. */
  holders: number;
}

export class StatePool {
  readonly capacity: number;
  readonly #references: Int32Array;
  readonly #free: number[] = [];
  /** By slot, in the order of their last use. */
  readonly #checkpoints = new Map<number, Checkpoint>();
  #next = 1;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#references = new Int32Array(capacity);
  }

  /** Slots in use, that of the empty state not counted. */
  get used(): number {
    return this.#next - 1 - this.#free.length;
  }
  get checkpoints(): number {
    return this.#checkpoints.size;
  }

  /** A slot with one reference, or undefined where every slot is the state of a sequence. */
  tryTake(): number | undefined {
    for (const c of this.#checkpoints.values()) {
      if (this.#free.length || this.#next < this.capacity) break;
      if (this.#references[c.slot] === 1) this.#evict(c); // nothing is won where a sequence stands at it
    }
    const slot = this.#free.pop() ?? (this.#next < this.capacity ? this.#next++ : undefined);
    if (slot !== undefined) this.#references[slot] = 1;
    return slot;
  }

  /** Throws "memory.insufficient" where every slot is the state of a sequence. */
  take(): number {
    const slot = this.tryTake();
    if (slot !== undefined) return slot;
    const message = `All ${this.capacity - 1} states of recurrent layers are in use; close sessions you no longer need or load with a larger cache.`;
    throw new LatheError("memory.insufficient", message, { states: this.capacity - 1 });
  }
  retain(slot: number): void {
    if (slot) this.#references[slot]++;
  }
  release(slot: number): void {
    if (slot && --this.#references[slot] === 0) this.#free.push(slot);
  }
  /** Whether whoever holds the slot may write to it. */
  sole = (slot: number): boolean => slot !== 0 && this.#references[slot] === 1;

  /** Keeps the state in `slot`, for one holder more. */
  keep(position: number, slot: number): Checkpoint {
    const made = this.#checkpoints.get(slot) ?? { position, slot, holders: 0 };
    if (!made.holders) this.retain(slot);
    made.holders++;
    this.touch(made);
    return made;
  }
  /** Makes it the most recently used. */
  touch(c: Checkpoint): void {
    this.#checkpoints.delete(c.slot);
    this.#checkpoints.set(c.slot, c);
  }
  drop(c: Checkpoint): void {
    if (c.holders && --c.holders === 0) this.#evict(c);
  }
  #evict(c: Checkpoint): void {
    c.holders = 0;
    this.#checkpoints.delete(c.slot);
    this.release(c.slot);
  }
}

export interface StateStore {
  readonly pool: StatePool;
  /** A checkpoint is kept at every multiple of this many tokens. */
  readonly interval: number;
  /** Most checkpoints of a sequence; see `thin`. */
  readonly most: number;
}

/** Some of a sequence's new tokens, and the slots of the state before and after them. */
export interface StateSegment {
  readonly count: number;
  readonly from: number;
  readonly to: number;
}

interface Pending {
  readonly position: number;
  readonly slot: number;
  /** Slots that `reserve` took. */
  readonly taken: readonly number[];
  readonly kept: readonly { readonly position: number; readonly slot: number }[];
}

/** What one sequence owns: the state it stands at, and its checkpoints. */
export class SequenceState {
  readonly #store: StateStore;
  #position = 0;
  #slot = 0;
  #checkpoints: Checkpoint[] = [];
  #pending: Pending | undefined;

  constructor(store: StateStore, from?: SequenceState) {
    this.#store = store;
    if (!from) return;
    this.#position = from.#position;
    this.#slot = from.#slot;
    store.pool.retain(this.#slot);
    this.#checkpoints = from.#live();
    for (const c of this.#checkpoints) c.holders++;
  }

  /** Tokens that the state has seen. */
  get position(): number {
    return this.#position;
  }
  /** Where it can go back to, rising. */
  get checkpoints(): readonly number[] {
    return this.#live().map(c => c.position);
  }

  /** Its checkpoints and the state that it stands at, rising. */
  kept(): { readonly position: number; readonly slot: number }[] {
    const all = this.#live().map(({ position, slot }) => ({ position, slot }));
    if (this.#slot && all.at(-1)?.position !== this.#position) all.push({ position: this.#position, slot: this.#slot });
    return all;
  }

  /** Stands at `position`, beyond where it stood, with a checkpoint there; the caller fills the slot. Throws "memory.insufficient". */
  adopt(position: number): number {
    const { pool } = this.#store;
    const slot = pool.take();
    pool.release(this.#slot);
    this.#position = position;
    this.#slot = slot;
    this.#checkpoints = [...this.#live(), pool.keep(position, slot)];
    while (this.#checkpoints.length > this.#store.most) this.#thin();
    return slot;
  }

  /** The last position, at most `length`, to which it can go back. */
  nearest(length: number): number {
    if (length >= this.#position) return this.#position;
    return this.#live().findLast(c => c.position <= length)?.position ?? 0;
  }

  /** Goes back to `nearest(length)`, which it gives, and forgets what comes after. */
  back(length: number): number {
    if (length >= this.#position) return this.#position;
    const { pool } = this.#store;
    const [kept, gone] = split(this.#live(), c => c.position <= length);
    const to = kept.at(-1);
    if (to) {
      pool.retain(to.slot);
      pool.touch(to);
    }
    pool.release(this.#slot);
    for (const c of gone) pool.drop(c);
    this.#checkpoints = kept;
    this.#slot = to?.slot ?? 0;
    this.#position = to?.position ?? 0;
    return this.#position;
  }

  /**
   * The segments of a step that takes the sequence to `length`; checkpoints at `keep` (positions) and at the store's interval where slots can be
   * had. Nothing changes until `settle`; `abandon` takes it back. `apart`: the state before is not written over if a slot can be had. Throws
   * "memory.insufficient".
   */
  reserve(length: number, keep: readonly number[], apart = false): StateSegment[] {
    const { pool, interval } = this.#store;
    const [taken, kept, segments]: [number[], { position: number; slot: number }[], StateSegment[]] = [[], [], []];
    const known = new Set(this.#live().map(c => c.position));
    const every = Array.from(
      { length: Math.floor(length / interval) - Math.floor(this.#position / interval) },
      (_, i) => (Math.floor(this.#position / interval) + i + 1) * interval,
    );
    const wanted = [...new Set([...keep, ...every])].filter(p => p > 0 && !known.has(p)).sort((a, b) => a - b);
    const here = wanted.includes(this.#position);
    const own = pool.sole(this.#slot) && !here;
    const last = own ? ((apart ? pool.tryTake() : undefined) ?? this.#slot) : pool.take();
    if (last !== this.#slot) taken.push(last);
    if (here) kept.push({ position: this.#position, slot: this.#slot });
    let [at, from] = [this.#position, this.#slot];
    for (const position of wanted.filter(p => p > this.#position && p < length)) {
      const to = pool.tryTake();
      if (to === undefined) break;
      taken.push(to);
      kept.push({ position, slot: to });
      segments.push({ count: position - at, from, to });
      [at, from] = [position, to];
    }
    segments.push({ count: length - at, from, to: last });
    if (wanted.includes(length)) kept.push({ position: length, slot: last });
    this.#pending = { position: length, slot: last, taken, kept };
    return segments;
  }

  /** The step has run. */
  settle(): void {
    if (!this.#pending) return;
    const { pool } = this.#store;
    const { position, slot, taken, kept } = this.#pending;
    this.#pending = undefined;
    const made = kept.map(k => pool.keep(k.position, k.slot));
    for (const t of taken) if (t !== slot) pool.release(t); // the checkpoint holds it now
    if (slot !== this.#slot) pool.release(this.#slot);
    this.#position = position;
    this.#slot = slot;
    this.#checkpoints = [...this.#live(), ...made];
    while (this.#checkpoints.length > this.#store.most) this.#thin();
  }

  /** The step will not run, or not to its end. */
  abandon(): void {
    for (const t of this.#pending?.taken ?? []) this.#store.pool.release(t);
    this.#pending = undefined;
  }

  /** Whether the state before outlives the step that is reserved, so that the step may be broken off. */
  get apart(): boolean {
    return this.#pending?.slot !== this.#slot;
  }

  close(): void {
    this.abandon();
    this.#store.pool.release(this.#slot);
    for (const c of this.#live()) this.#store.pool.drop(c);
    this.#checkpoints = [];
    this.#slot = 0;
    this.#position = 0;
  }

  /**
   * Drops the checkpoint that would be missed least: without it, going back to just before the next one costs a gap of tokens; the one whose gap
   * is smallest beside its distance from the end goes. So checkpoints lie close together near the end and further apart before; the last stays.
   */
  #thin(): void {
    const list = this.#checkpoints;
    const cost = list.slice(0, -1).map((c, i) => (list[i + 1].position - (list[i - 1]?.position ?? 0)) / (this.#position - c.position + 1));
    const worst = cost.indexOf(Math.min(...cost));
    const [gone] = list.splice(Math.max(0, worst), 1);
    this.#store.pool.drop(gone);
  }

  #live = (): Checkpoint[] => this.#checkpoints.filter(c => c.holders > 0);
}

function split<T>(list: readonly T[], first: (x: T) => boolean): [T[], T[]] {
  return [list.filter(first), list.filter(x => !first(x))];
}
