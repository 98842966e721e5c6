/**
 * Reading a property's name: where in the tree of the spelled names the text so far is, and in which states the tests are. States are numbered
 * and shared by all objects of a shape; which of them can still lead to an allowed name is asked for each state of the object.
 */
import { compareBytes } from "../grammar.ts";
import type { Component } from "./components.ts";
import type { Shape } from "./shapes.ts";

/** What a complete name is: its place among the spelled names or -1, and the tests' answers. */
export interface NameClass {
  readonly place: number;
  readonly answers: string;
}

interface State {
  /** The spelled names that begin like this: a stretch of the sorted list, and how many bytes were read. */
  readonly from: number;
  readonly to: number;
  readonly length: number;
  readonly tests: readonly number[];
}

/** States that are looked at to find an allowed name. */
const MOST_LOOKS = 2_000;

export class NameStates {
  readonly start: number;
  readonly #sorted: readonly { readonly bytes: Uint8Array; readonly place: number }[];
  /** Any text at all, so that names are UTF-8; then the tests. */
  readonly #machines: readonly Component[];
  readonly #states: State[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #tick: () => void;
  readonly #unsure: () => boolean;
  readonly #rows: (Int32Array | undefined)[] = [];

  constructor(shape: Shape, anyText: Component, tick: () => void, unsure: () => boolean) {
    const encoder = new TextEncoder();
    this.#sorted = shape.names
      .map((name, place) => ({ bytes: encoder.encode(name), place }))
      .sort((a, b) => compareBytes(a.bytes, b.bytes));
    this.#machines = [anyText, ...shape.machines];
    this.#tick = tick;
    this.#unsure = unsure;
    this.start = this.#number({ from: 0, to: this.#sorted.length, length: 0, tests: this.#machines.map(m => m.start) });
  }

  #number(state: State): number {
    const inTree = state.from < state.to;
    const key = `${inTree ? `${state.from},${state.to},${state.length}` : ""}:${state.tests.join()}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#tick();
    this.#numbers.set(key, this.#states.length);
    return this.#states.push(state) - 1;
  }

  /** -1 where no name goes on so. */
  step(number: number, byte: number): number {
    const row = (this.#rows[number] ??= new Int32Array(256).fill(-2));
    return row[byte] !== -2 ? row[byte] : (row[byte] = this.#stepAnew(number, byte));
  }

  #stepAnew(number: number, byte: number): number {
    const state = this.#states[number];
    const tests = state.tests.map((s, i) => (s < 0 ? -1 : this.#machines[i].step(s, byte)));
    if (tests[0] < 0) return -1;
    let { from, to } = state;
    while (from < to && (this.#sorted[from].bytes[state.length] ?? -1) < byte) from++;
    while (to > from && this.#sorted[to - 1].bytes[state.length] > byte) to--;
    return this.#number({ from, to, length: state.length + 1, tests });
  }

  /** The name that ends here; undefined within a character. */
  at(number: number): NameClass | undefined {
    const { from, to, length, tests } = this.#states[number];
    if (!this.#machines[0].accepts(tests[0])) return undefined;
    const first = from < to ? this.#sorted[from] : undefined; // the shortest of those that begin like this
    const place = first && first.bytes.length === length ? first.place : -1;
    const answers = tests.slice(1).map((s, i) => Number(s >= 0 && this.#machines[i + 1].accepts(s)));
    return { place, answers: answers.join("") };
  }

  /** The places of the spelled names that begin like this. */
  *places(number: number): Generator<number> {
    const { from, to } = this.#states[number];
    for (let i = from; i < to; i++) yield this.#sorted[i].place;
  }

  /** Whether a name that is not spelled and that is allowed can come of it. */
  findsOther(number: number, allowed: (answers: string) => boolean): boolean {
    if (this.#machines.length === 1) return allowed(""); // any name can be made longer than the spelled ones
    const seen = new Set([number]);
    for (const state of seen) {
      const name = this.at(state);
      if (name && name.place < 0 && allowed(name.answers)) return true;
      if (seen.size > MOST_LOOKS) return this.#unsure();
      for (let byte = 0; byte < 256; byte++) {
        const next = this.step(state, byte);
        if (next >= 0) seen.add(next);
      }
    }
    return false;
  }
}
