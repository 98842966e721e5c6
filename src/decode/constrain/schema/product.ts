/**
 * Several machines side by side over one text, and a condition on their answers: strings and numbers with any combination of assertions, also
 * negated ones. Only states from which the condition can still come true are entered, so that no text is begun that cannot be finished.
 */
import { Tuples } from "../../../text/tuples.ts";
import type { Component, Panel } from "./components.ts";

/** Steps of single machines for finding out whether one state can still be accepted, and all states of a product together. */
const MOST_STEPS = 300_000;
const MOST_ALL_STEPS = 3_000_000;
/** States of a product; and those whose steps are kept. */
const MOST_STATES = 50_000;
const MOST_ROWS = 5_000;

/** Steps that stand for a machine's part in a state: four bytes here, and what the machine itself keeps of where it has been. */
const STEPS_A_STATE = 50;

/** A question about the text: to which machine, and which of those that it answers. */
export interface Question {
  readonly component: number;
  readonly part?: number;
}

export interface Condition {
  readonly questions: readonly Question[];
  holds(answers: (question: number) => boolean): boolean;
  possible(living: (question: number) => boolean): boolean;
}

export class Product {
  readonly #components: readonly Component[];
  readonly #condition: Condition;
  readonly #bytes: readonly number[];
  /** States of all components each. */
  readonly #states: Tuples;
  #rows = new Map<number, Int32Array>();
  readonly #alive: (boolean | undefined)[] = [];
  #steps = 0;
  readonly #work: (steps: number) => void;
  readonly #unsure: () => boolean;
  readonly start: number;

  /**
   * `condition` is asked with the components' answers, and, as `possible`, whether it can become true if only the answers that can still be yes
   * count on that. Texts consist of `bytes`. `work` is told of
   * the steps that looking ahead takes, and may throw; `unsure` answers where looking ahead finds nothing within limits.
   */
  constructor(
    components: readonly Component[],
    condition: Condition,
    bytes: readonly number[],
    work: (steps: number) => void,
    unsure: () => boolean,
  ) {
    this.#work = work;
    this.#unsure = unsure;
    this.#components = components;
    this.#condition = condition;
    this.#bytes = bytes;
    this.#states = new Tuples(components.length);
    const at = this.#states.next();
    for (let i = 0; i < components.length; i++) this.#states.values[at + i] = components[i].start;
    this.start = this.#number();
  }

  /** The number of the state that was written behind all others; a new one is paid for. */
  #number(): number {
    const before = this.#states.count;
    const state = this.#states.number();
    if (this.#states.count > before) this.#work(STEPS_A_STATE * (this.#components.length + 3));
    return state;
  }

  accepts(state: number): boolean {
    const first = state * this.#components.length;
    return this.#condition.holds(i => {
      const { component, part } = this.#condition.questions[i];
      const own = this.#states.values[first + component];
      if (own < 0) return false;
      return part === undefined ? this.#components[component].accepts(own) : (this.#components[component] as Panel).part(own, part);
    });
  }

  /** The state after a byte, whether or not it can still be accepted. */
  step(state: number, byte: number): number {
    let row = this.#rows.get(state);
    if (!row) {
      if (this.#rows.size >= MOST_ROWS) this.#rows = new Map();
      row = new Int32Array(256).fill(-1);
      this.#rows.set(state, row);
    }
    if (row[byte] >= 0) return row[byte];
    const [from, to] = [state * this.#components.length, this.#states.next()];
    const { values } = this.#states;
    for (let i = 0; i < this.#components.length; i++) {
      const own = values[from + i];
      values[to + i] = own < 0 ? own : this.#components[i].step(own, byte);
    }
    return (row[byte] = this.#number());
  }

  #possible(state: number): boolean {
    const first = state * this.#components.length;
    return this.#condition.possible(i => {
      const { component, part } = this.#condition.questions[i];
      const own = this.#states.values[first + component];
      return own >= 0 && (part === undefined || (this.#components[component] as Panel).can(own, part));
    });
  }

  /** Whether an accepted text can still come of it; true also where that is not found out within limits. */
  alive(state: number): boolean {
    return (this.#alive[state] ??= this.#search(state));
  }

  #search(from: number): boolean {
    if (!this.#possible(from)) return false;
    const parents = new Map<number, number>([[from, -1]]);
    const queue = [from];
    const most = Math.min(this.#steps + MOST_STEPS, MOST_ALL_STEPS);
    const each = this.#bytes.length * this.#components.length + this.#condition.questions.length;
    for (const state of queue) {
      if (this.#alive[state] || this.accepts(state)) {
        for (let s = state; s >= 0; s = parents.get(s)!) this.#alive[s] = true;
        return true;
      }
      if (this.#steps >= most || this.#states.count > MOST_STATES) return this.#unsure();
      this.#steps += each;
      this.#work(each);
      for (const byte of this.#bytes) {
        const next = this.step(state, byte);
        if (parents.has(next) || this.#alive[next] === false || !this.#possible(next)) continue;
        parents.set(next, state);
        queue.push(next);
      }
    }
    for (const state of queue) this.#alive[state] = false;
    return false;
  }
}
