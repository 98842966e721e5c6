/**
 * A constraint that holds in stretches only: the model writes freely until it begins what the constraint is for (a call of a tool, in words that are
 * otherwise its own), is held until that is complete, and is free again. Where stretches begin is looked for in the bytes of the answer, marks that are
 * tokens written as in grammars (marks.ts), so it depends on the tokens alone.
 */
import { LatheError } from "../../errors.ts";
import type { Beginnings } from "../../text/tools/beginnings.ts";
import type { Constraint, SharedConstraint } from "./constraint.ts";
import { type MarkIds, markBytes, withMarks } from "./marks.ts";

/** Where a constraint holds: stretches begin as calls do. Plain data. */
export interface Gate extends Beginnings {
  /** Marks around what is not looked at. */
  readonly blind: readonly (readonly [open: string, close: string])[];
  /** The answer begins in the middle of something that is not looked at, and that ends with this. */
  readonly until?: string;
  /** The answer ends after so many stretches; absent: it goes on. */
  readonly stretches?: number;
  /** Marks that are tokens. */
  readonly marks: MarkIds;
}

type Bytes = readonly number[];

interface Patterns {
  readonly anywhere: readonly Bytes[];
  readonly first: readonly Bytes[];
  readonly anew: readonly Bytes[];
  readonly blind: readonly (readonly [open: Bytes, close: Bytes])[];
  readonly longest: number;
}

/** What was read since the last stretch. */
interface Reading {
  /** The last bytes, as many as a mark may have. */
  readonly tail: Bytes;
  /** What has come where no words had; undefined: words have. */
  readonly fresh: Bytes | undefined;
  /** Ends what is not looked at. */
  readonly until: Bytes | undefined;
}

const SPACE: Bytes = [0x20, 0x09, 0x0a, 0x0d];

const endsWith = (bytes: Bytes, end: Bytes): boolean =>
  bytes.length >= end.length && end.every((b, i) => b === bytes[bytes.length - end.length + i]);
const includes = (bytes: Bytes, part: Bytes): boolean => bytes.some((_, i) => endsWith(bytes.slice(0, i + 1), part));

const nothing = new Uint8Array(0);

export class Gated {
  readonly #shared: SharedConstraint;
  readonly #patterns: Patterns;
  /** By the ids of marks: their bytes in a grammar. */
  readonly #marks: ReadonlyMap<number, Uint8Array>;
  #reading: Reading;
  #held: Constraint | undefined;
  /** Stretches that may still come. */
  #left: number;

  constructor(gate: Gate, shared: SharedConstraint) {
    const bytes = (text: string): Bytes => [...withMarks(text, gate.marks)];
    const [anywhere, first, anew] = [gate.anywhere, gate.first, gate.anew].map(texts => texts.map(bytes));
    const blind = gate.blind.map(([open, close]) => [bytes(open), bytes(close)] as const);
    const until = gate.until === undefined ? undefined : bytes(gate.until);
    const longest = Math.max(1, until?.length ?? 0, ...[...anywhere, ...anew, ...blind.flat()].map(b => b.length));
    this.#shared = shared;
    this.#patterns = { anywhere, first, anew, blind, longest };
    this.#marks = new Map(Object.values(gate.marks).map(id => [id, markBytes(id)]));
    this.#reading = { tail: [], fresh: first.length ? [] : undefined, until };
    this.#left = gate.stretches ?? Number.POSITIVE_INFINITY;
  }

  /** Nothing is held here: whatever comes may come. */
  get free(): boolean {
    return this.#held === undefined;
  }

  /** As a constraint's; undefined where all tokens may come. */
  mask(): Uint32Array | undefined {
    return this.#followed(held => held.mask());
  }

  /** As a constraint's; where nothing is held, all tokens are text. */
  accept(id: number): "text" | "end" | "refused" {
    if (!this.#held) {
      this.#read(this.#bytesOf(id));
      return "text";
    }
    const said = this.#followed(held => held.accept(id)) ?? "text";
    if (this.#held?.done) this.#completed();
    return said;
  }

  /** The bytes that must come next, as a constraint's. */
  forced(): Uint8Array {
    return this.#followed(held => held.forced()) ?? nothing;
  }

  /** Of tokens, the first ones that spell what is forced. */
  spelling(ids: readonly number[]): readonly number[] {
    return this.#followed(held => held.spelling(ids)) ?? [];
  }

  /** The last stretch is complete: nothing may follow. */
  get done(): boolean {
    return this.#left <= 0;
  }

  /** A schema may turn out to be beyond what can be enforced while it is followed: the rest of the stretch is free then. */
  #followed<T>(step: (held: Constraint) => T): T | undefined {
    try {
      return this.#held && step(this.#held);
    } catch (e) {
      if (!(e instanceof LatheError)) throw e;
      this.#held = undefined;
      return undefined;
    }
  }

  #bytesOf(id: number): Uint8Array {
    const { trie } = this.#shared;
    return this.#marks.get(id) ?? (id >= 0 && id < trie.size ? trie.bytesOf(id) : nothing);
  }

  #begin(held: Constraint): void {
    this.#held = held;
    if (held.done) this.#completed();
  }

  #completed(): void {
    this.#held = undefined;
    this.#left--;
    this.#reading = this.#anew();
  }

  #anew(): Reading {
    return { tail: [], fresh: this.#patterns.first.length ? [] : undefined, until: undefined };
  }

  /** Reads a token's bytes; a stretch may begin within them. Changes nothing where that throws. */
  #read(bytes: Uint8Array): void {
    let reading = this.#reading;
    for (let i = 0; i < bytes.length; i++) {
      const tail = [...reading.tail, bytes[i]].slice(-this.#patterns.longest);
      const begins = reading.until ? undefined : this.#patterns.anywhere.find(mark => endsWith(tail, mark));
      const held = begins && this.#shared.after([...begins, ...bytes.subarray(i + 1)]);
      if (held) {
        this.#begin(held);
        return;
      }
      reading = this.#next(reading, tail);
    }
    const { fresh } = reading;
    if (fresh?.length) {
      const held = this.#shared.after(fresh);
      if (held && this.#patterns.first.some(text => includes(fresh, text))) {
        this.#begin(held);
        return;
      }
      if (!held && !this.#mayBeMark(fresh)) reading = { ...reading, fresh: undefined };
    }
    this.#reading = reading;
  }

  /** One byte further, the last of `tail`. */
  #next({ fresh, until }: Reading, tail: Bytes): Reading {
    const { blind, anew } = this.#patterns;
    if (until) return endsWith(tail, until) ? this.#anew() : { tail, fresh, until };
    const [, close] = blind.find(([open]) => endsWith(tail, open)) ?? [];
    if (close) return { tail: [], fresh, until: close };
    if (anew.some(mark => endsWith(tail, mark))) return this.#anew();
    const byte = tail[tail.length - 1];
    return { tail, until, fresh: fresh && (fresh.length || !SPACE.includes(byte)) ? [...fresh, byte] : fresh };
  }

  /** Whether this may be the beginning of what is no word. */
  #mayBeMark(fresh: Bytes): boolean {
    const { blind, anew } = this.#patterns;
    return [...blind.map(([open]) => open), ...anew].some(mark => fresh.every((b, i) => b === mark[i]));
  }
}
