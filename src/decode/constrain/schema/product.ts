/**
 * Several machines side by side over one text, and a condition on their answers: strings and numbers with any combination of assertions, also
 * negated ones. Only states from which the condition can still come true are entered, so that no text is begun that cannot be finished.
 */
import type { Component } from "./components.ts";

/** States that are looked at to find out whether a state can still be accepted. */
const MOST_LOOKS = 4_000;
/** States of one product. */
const MOST_STATES = 100_000;

export class Product {
  readonly #components: readonly Component[];
  readonly #holds: (answers: (component: number) => boolean) => boolean;
  readonly #bytes: readonly number[];
  readonly #states: Int32Array[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #rows: Int32Array[] = [];
  readonly #alive: (boolean | undefined)[] = [];
  readonly start: number;
  readonly tick: () => void;

  /** `holds` is asked with the components' answers; texts consist of `bytes`; `tick` is called for each state made, and may throw. */
  constructor(
    components: readonly Component[],
    holds: (answers: (component: number) => boolean) => boolean,
    bytes: readonly number[],
    tick: () => void,
  ) {
    this.#components = components;
    this.#holds = holds;
    this.#bytes = bytes;
    this.tick = tick;
    this.start = this.#number(Int32Array.from(components, c => c.start));
  }

  #number(states: Int32Array): number {
    const key = states.join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.tick();
    this.#numbers.set(key, this.#states.length);
    return this.#states.push(states) - 1;
  }

  accepts(state: number): boolean {
    const states = this.#states[state];
    return this.#holds(i => states[i] >= 0 && this.#components[i].accepts(states[i]));
  }

  /** The state after a byte, whether or not it can still be accepted. */
  step(state: number, byte: number): number {
    const row = (this.#rows[state] ??= new Int32Array(256).fill(-1));
    if (row[byte] >= 0) return row[byte];
    const next = this.#states[state].map((s, i) => (s < 0 ? -1 : this.#components[i].step(s, byte)));
    return (row[byte] = this.#number(next));
  }

  /** Whether an accepted text can still come of it; true also where that is not found out within limits. */
  alive(state: number): boolean {
    return (this.#alive[state] ??= this.#search(state));
  }

  #search(from: number): boolean {
    const parents = new Map<number, number>([[from, -1]]);
    const queue = [from];
    for (const state of queue) {
      if (this.#alive[state] || this.accepts(state)) {
        for (let s = state; s >= 0; s = parents.get(s)!) this.#alive[s] = true;
        return true;
      }
      if (queue.length > MOST_LOOKS || this.#states.length > MOST_STATES) return true;
      for (const byte of this.#bytes) {
        const next = this.step(state, byte);
        if (parents.has(next) || this.#alive[next] === false) continue;
        parents.set(next, state);
        queue.push(next);
      }
    }
    for (const state of queue) this.#alive[state] = false;
    return false;
  }
}
