/** Scoring of texts: the log-probability of each token after the first, in steps of their own, one text after the other. */
import type { Sequence } from "../kv/pages.ts";
import { logProbability } from "./batch.ts";
import type { Events, Steps } from "./scheduling.ts";

interface Scoring {
  readonly run: number;
  readonly tokens: Int32Array;
  readonly sequence: Sequence;
  readonly logprobs: Float64Array;
  done: number;
}

export class Scorings {
  readonly #steps: Steps;
  readonly #events: Events;
  /** Frees so many pages as far as that can be done. */
  readonly #makeRoom: (pages: number) => void;
  readonly #waiting: Scoring[] = [];

  constructor(steps: Steps, events: Events, makeRoom: (pages: number) => void) {
    this.#steps = steps;
    this.#events = events;
    this.#makeRoom = makeRoom;
  }

  get size(): number {
    return this.#waiting.length;
  }

  add(run: number, tokens: Int32Array): void {
    const logprobs = new Float64Array(Math.max(0, tokens.length - 1));
    this.#waiting.push({ run, tokens, sequence: this.#steps.newSequence(), logprobs, done: 0 });
  }

  cancel(run: number): void {
    const at = this.#waiting.findIndex(s => s.run === run);
    if (at >= 0) this.#waiting.splice(at, 1)[0].sequence.close();
  }

  /** A step of the first text. */
  turn(): void {
    const first = this.#waiting[0];
    try {
      this.#step(first);
      if (first.done < first.logprobs.length) return;
      this.#events.scored(first.run, first.logprobs);
    } catch (e) {
      this.#events.failed(first.run, e);
    }
    this.#waiting.shift();
    first.sequence.close();
  }

  #step(s: Scoring): void {
    const { maxTokens, maxWanted } = this.#steps.plan.options;
    const ids = s.tokens.subarray(s.done, Math.min(s.done + Math.min(maxTokens, maxWanted), s.tokens.length - 1));
    if (!ids.length) return;
    this.#makeRoom(s.sequence.needs(ids.length));
    const rows = this.#steps.step([...ids].map(id => ({ id, sequence: s.sequence, wanted: true })));
    rows.forEach((row, i) => {
      s.logprobs[s.done + i] = logProbability(row, s.tokens[s.done + i + 1]);
    });
    s.done += ids.length;
    this.#events.prompt(s.run, s.done, s.logprobs.length);
  }
}
