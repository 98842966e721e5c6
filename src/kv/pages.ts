/**
 * Keys and values as pages: a pool of page numbers with reference counts, and sequences that are lists of pages. A fork shares everything and
 * costs the same however long the sequence is; what is shared is copied when one side writes to it. Owns no bytes: `copy` moves them. A
 * sequence of a model with recurrent layers has a state besides (states.ts), which decides how far back it can go.
 */
import { LatheError } from "../errors.ts";
import type { SourceText } from "./sources.ts";
import { SequenceState, type StateSegment, type StateStore } from "./states.ts";

export class PagePool {
  readonly capacity: number;
  readonly #references: Int32Array;
  readonly #free: number[] = [];
  #next = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#references = new Int32Array(capacity);
  }

  get used(): number {
    return this.#next - this.#free.length;
  }

  take(): number {
    const page = this.#free.pop() ?? this.#next++;
    if (page >= this.capacity) {
      this.#next--;
      const message = `All ${this.capacity} pages of the key-value cache are in use; close sessions you no longer need or load with a larger cache.`;
      throw new LatheError("memory.insufficient", message, { pages: this.capacity });
    }
    this.#references[page] = 1;
    return page;
  }
  retain(page: number): void {
    this.#references[page]++;
  }
  release(page: number): void {
    if (--this.#references[page] === 0) this.#free.push(page);
  }
  shared = (page: number): boolean => this.#references[page] > 1;
}

/** Tokens and pages, shared by forks until one of them writes. */
interface Table {
  references: number;
  tokens: number[];
  pages: number[];
}

export interface PageStore {
  readonly pool: PagePool;
  /** Tokens of a page. */
  readonly pageTokens: number;
  /** Copies the bytes of a page. */
  readonly copy: (from: number, to: number) => void;
  /** A page is taken that was free: whatever it held is nobody's business any more. */
  readonly clear?: (page: number) => void;
  /** For models with recurrent layers. */
  readonly states?: StateStore;
}

/** Where a token's keys and values go. */
export interface Slot {
  readonly position: number;
  readonly page: number;
  readonly place: number;
}

export class Sequence {
  readonly #store: PageStore;
  readonly #state: SequenceState | undefined;
  #table: Table;
  #length = 0;
  /** The position that the first token stands for: rotations and chunks count from there. There is nothing before it. */
  readonly origin: number;
  /** The text that its tokens answer, in models that read one; the sequence releases it when it is closed. */
  #source: SourceText | undefined;

  constructor(store: PageStore, from?: Sequence, origin = 0, source?: SourceText) {
    this.#store = store;
    this.#source = from ? from.#source?.share() : source;
    this.origin = from ? from.origin : origin;
    this.#state = store.states && new SequenceState(store.states, from ? from.#state : undefined);
    this.#table = from ? from.#table : { references: 0, tokens: [], pages: [] };
    this.#table.references++;
    this.#length = from ? from.#length : 0;
  }

  get length(): number {
    return this.#length;
  }
  get source(): SourceText | undefined {
    return this.#source;
  }
  token = (position: number): number => this.#table.tokens[position];
  /** Pages in use, in order. */
  get pages(): readonly number[] {
    return this.#table.pages;
  }

  /** A second sequence with the same past; O(1). */
  fork(): Sequence {
    return new Sequence(this.#store, this);
  }

  /** How many leading tokens of `tokens` this sequence already holds. */
  common(tokens: ArrayLike<number>): number {
    const most = Math.min(this.#length, tokens.length);
    let n = 0;
    while (n < most && this.#table.tokens[n] === tokens[n]) n++;
    return n;
  }

  /** The length that `truncate(length)` would leave. */
  usable = (length: number): number => (length >= this.#length ? this.#length : (this.#state?.nearest(length) ?? length));

  /**
   * Forgets everything from position `length` on, and gives the length that is left: that of the last checkpoint before, where a state cannot
   * be cut. Tokens between have to be evaluated again.
   */
  truncate(length: number): number {
    if (length < this.#length) this.#shorten(this.#state?.back(length) ?? length);
    if (this.#length === 0) this.#source?.forget();
    return this.#length;
  }

  /** Takes back the tokens from position `length` on, which were appended and not evaluated, or not wholly and `revocable`. */
  retract(length: number): void {
    this.#state?.abandon();
    this.#shorten(length);
  }

  /** Whether the tokens appended since the last `settle` can still be taken back once their step has begun. */
  get revocable(): boolean {
    return this.#state?.apart ?? true;
  }

  /** The state's segments for the tokens appended since the last `settle`; checkpoints at the positions `keep`. `apart`: they shall be `revocable`. */
  segments(keep: readonly number[], apart = false): StateSegment[] {
    return this.#state?.reserve(this.#length, keep, apart) ?? [];
  }

  /** Appends tokens whose keys and values the caller brings. Throws "memory.insufficient"; the sequence is then as before. */
  adopt(tokens: Iterable<number>): void {
    const before = this.#length;
    try {
      for (const token of tokens) this.append(token);
    } catch (e) {
      this.retract(before);
      throw e;
    }
  }

  /** A slot for the state after all tokens, which the caller brings. The sequence can go back to it. Throws "memory.insufficient". */
  adoptState(): number {
    if (!this.#state) throw new RangeError("a sequence without states");
    return this.#state.adopt(this.#length);
  }

  /** Where the states of recurrent layers lie that are kept: of checkpoints, and the one that the sequence stands at. Positions rise. */
  states(): readonly { readonly position: number; readonly slot: number }[] {
    return this.#state?.kept() ?? [];
  }

  /** What was appended has been evaluated. */
  settle(): void {
    this.#state?.settle();
  }

  /** Pages that appending so many tokens takes from the pool, a copy of a shared last page included. */
  needs(tokens: number): number {
    const { pageTokens, pool } = this.#store;
    const used = Math.ceil(this.#length / pageTokens);
    const part = this.#length % pageTokens !== 0;
    const shared = part && (this.#table.references > 1 || pool.shared(this.#table.pages[used - 1]));
    const own = Math.ceil((this.#length + tokens) / pageTokens) - used + Number(shared && tokens > 0);
    return own + (this.#source?.needs ?? 0);
  }

  /** Makes room for one more token. Throws "memory.insufficient" if the pool is empty; the sequence is then as before. */
  append(token: number): Slot {
    const { pageTokens, pool, copy } = this.#store;
    this.#own();
    const { pages, tokens } = this.#table;
    const position = this.#length;
    const index = Math.floor(position / pageTokens);
    if (index === pages.length) {
      const fresh = pool.take();
      this.#store.clear?.(fresh);
      pages.push(fresh);
    } else if (pool.shared(pages[index])) {
      const fresh = pool.take();
      copy(pages[index], fresh);
      pool.release(pages[index]);
      pages[index] = fresh;
    }
    tokens.push(token);
    this.#length++;
    return { position, page: pages[index], place: position % pageTokens };
  }

  close(): void {
    if (--this.#table.references === 0) for (const p of this.#table.pages) this.#store.pool.release(p);
    this.#table = { references: 1, tokens: [], pages: [] };
    this.#length = 0;
    this.#state?.close();
    this.#source?.release();
    this.#source = undefined;
  }

  #shorten(length: number): void {
    this.#length = length;
    if (this.#table.references === 1) this.#cut(length);
  }

  /** A table of its own, exactly as long as the sequence. */
  #own(): void {
    if (this.#table.references > 1) {
      this.#table.references--;
      const used = Math.ceil(this.#length / this.#store.pageTokens);
      const pages = this.#table.pages.slice(0, used);
      for (const p of pages) this.#store.pool.retain(p);
      this.#table = { references: 1, tokens: this.#table.tokens.slice(0, this.#length), pages };
    } else this.#cut(this.#length);
  }

  #cut(length: number): void {
    const { pages, tokens } = this.#table;
    tokens.length = length;
    for (const p of pages.splice(Math.ceil(length / this.#store.pageTokens))) this.#store.pool.release(p);
  }
}
