/**
 * A constraint while it is followed: where in its grammar the text is, which tokens may come, which must. The grammar's automaton and its masks
 * are shared by all constraints of one source; a constraint itself is one reference and costs nothing to fork.
 */
import { Automaton, type Stack } from "./automaton.ts";
import type { Expr, Grammar } from "./grammar.ts";
import { MARK, MARK_BYTES } from "./marks.ts";
import { Masks } from "./masks.ts";
import type { Trie } from "./trie.ts";

/** A grammar and where it begins. */
export interface Compiled {
  readonly grammar: Grammar;
  readonly root: Expr;
}

export interface Constraint {
  /** Whether all tokens may come: never. */
  readonly free: boolean;
  /** [ceil(vocabulary / 32)] bit `id & 31` of word `id >> 5` is set where the token may come next; ends of generation where the text may end. Not to be written to. */
  mask(): Uint32Array;
  /** Goes on by a token: `end` if it ends the generation, `refused`, and no change, where it is not allowed. */
  accept(id: number): "text" | "end" | "refused";
  /** The bytes that come next because nothing else can, at most 256, whole marks (marks.ts); empty where there is a choice or the text may end. */
  forced(): Uint8Array;
  /** Of tokens, the first ones up to where they spell something else than what is forced. */
  spelling(ids: readonly number[]): readonly number[];
  /** The text is complete: nothing may follow. */
  readonly done: boolean;
  /** The text may end here. */
  readonly mayEnd: boolean;
  /** A constraint at the same place, which from here on goes its own way. */
  fork(): Constraint;
}

/** Decides byte by byte, without a vocabulary: what tests and parsers need of a constraint. */
export class Recogniser {
  readonly #automaton: Automaton;
  readonly #root: Expr;

  constructor({ grammar, root }: Compiled) {
    this.#automaton = new Automaton(grammar);
    this.#root = root;
  }

  /** `accepted`: the whole text; `prefix`: it could go on; `refused`: the length of the longest prefix that could. */
  read(text: string | Uint8Array): { verdict: "accepted" | "prefix" | "refused"; length: number } {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    let state = this.#automaton.start(this.#root);
    for (let i = 0; i < bytes.length; i++) {
      const next = this.#automaton.step(state, bytes[i]);
      if (!next) return { verdict: "refused", length: i };
      state = next;
    }
    return { verdict: state.ends ? "accepted" : "prefix", length: bytes.length };
  }

  accepts(text: string | Uint8Array): boolean {
    return this.read(text).verdict === "accepted";
  }
}

/** Bytes of an expression, with the table that it is found by. */
const EXPRESSION_BYTES = 200;

/** What the constraints of one source share. */
export class SharedConstraint {
  readonly compiled: Compiled;
  readonly automaton: Automaton;
  readonly masks: Masks;
  readonly trie: Trie;
  /** Bits of the tokens that end a generation. */
  readonly ends: readonly number[];
  /** Called after what is kept may have grown. */
  readonly #grown: () => void;

  constructor(compiled: Compiled, trie: Trie, ends: readonly number[], grown: () => void = () => {}) {
    this.compiled = compiled;
    this.automaton = new Automaton(compiled.grammar);
    this.masks = new Masks(this.automaton, trie, ends);
    this.trie = trie;
    this.ends = ends;
    this.#grown = grown;
  }

  begin(leadingSpace = false): Constraint {
    const { grammar, root } = this.compiled;
    return new Follower(this, this.automaton.start(leadingSpace ? grammar.seq(grammar.text(" "), root) : root));
  }

  /** A constraint behind the first bytes of its text; undefined where these are none. */
  after(bytes: ArrayLike<number>): Constraint | undefined {
    const state = this.automaton.run(this.automaton.start(this.compiled.root), Uint8Array.from(bytes));
    return state ? new Follower(this, state) : undefined;
  }

  mask(state: Stack): Uint32Array {
    const mask = this.masks.of(state);
    this.#grown();
    return mask;
  }

  /** Bytes of the grammar and of what was found by it; estimated. */
  get bytes(): number {
    return EXPRESSION_BYTES * this.compiled.grammar.size + this.automaton.bytes + this.masks.bytes;
  }

  /** Finds everything but the grammar again when it is needed. */
  forget(): void {
    this.automaton.forget();
    this.masks.forget();
  }
}

const nothing = new Uint8Array(0);

/** Longest stretch of forced bytes that is looked for. */
const MOST_FORCED = 256;

class Follower implements Constraint {
  readonly free = false;
  readonly #shared: SharedConstraint;
  #state: Stack;

  constructor(shared: SharedConstraint, state: Stack) {
    this.#shared = shared;
    this.#state = state;
  }

  mask(): Uint32Array {
    return this.#shared.mask(this.#state);
  }

  accept(id: number): "text" | "end" | "refused" {
    const { automaton, trie, ends } = this.#shared;
    const bytes = id >= 0 && id < trie.size ? trie.bytesOf(id) : nothing;
    const next = bytes.length ? automaton.run(this.#state, bytes) : null;
    if (!next) return this.mayEnd && ends.includes(id) ? "end" : "refused";
    this.#state = next;
    return "text";
  }

  forced(): Uint8Array {
    const { automaton } = this.#shared;
    const bytes: number[] = [];
    let whole = 0; // bytes up to the last mark's end
    for (let state: Stack | null = this.#state; state && bytes.length < MOST_FORCED; ) {
      const only = onlyByte(state);
      if (only < 0) break;
      if (bytes.length >= whole) whole += only === MARK ? MARK_BYTES : 1;
      bytes.push(only);
      state = automaton.step(state, only);
    }
    return Uint8Array.from(whole > bytes.length ? bytes.slice(0, whole - MARK_BYTES) : bytes);
  }

  spelling(ids: readonly number[]): readonly number[] {
    const forced = this.forced();
    let at = 0;
    const wrong = ids.findIndex(id => {
      const own = this.#shared.trie.bytesOf(id);
      if (own.length === 0 || own.some((b, i) => b !== forced[at + i])) return true;
      at += own.length;
      return false;
    });
    return wrong < 0 ? ids : ids.slice(0, wrong);
  }

  get mayEnd(): boolean {
    return this.#state.ends;
  }

  get done(): boolean {
    return this.#state.ends && this.#state.isEnd;
  }

  fork(): Constraint {
    return new Follower(this.#shared, this.#state);
  }
}

/** The one byte that may come; -1 where there are more, or the text may end. */
function onlyByte(state: Stack): number {
  if (state.ends) return -1;
  let only = -1;
  for (const head of state.heads) {
    if (head.kind !== "bytes") continue;
    for (let w = 0; w < 8; w++) {
      const word = head.set[w];
      if (word === 0) continue;
      if (word & (word - 1)) return -1;
      const byte = w * 32 + 31 - Math.clz32(word);
      if (only >= 0 && only !== byte) return -1;
      only = byte;
    }
  }
  return only;
}
