/**
 * What becomes of rows of logits: tokens, chosen from those that a run's constraint allows, and what must follow them. Finding what constraints allow
 * takes time from everybody, so it has a share of each step; rows that are left wait for the next turn, and where a constraint's rule has not come, for that.
 */
import { type TokenLogprob, topLogprobs } from "../decode/logprobs.ts";
import { logProbability } from "./batch.ts";
import type { Compiling } from "./compiling.ts";
import type { Finish } from "./protocol.ts";
import type { ScheduledRun } from "./scheduled-run.ts";
import type { Events } from "./scheduling.ts";

/** Bytes without a choice that are worth asking for their tokens, all of which are then computed in one step. */
const WORTH_ASKING = 6;
/** Of a step's time, what finding the tokens that constraints allow may add for all others. */
const MASKS = 0.1;

export interface AnsweringOptions {
  /** Tokens of the longest sequence. */
  readonly context: number;
  /** Milliseconds. */
  readonly now: () => number;
  /** Whether the run has not ended. */
  readonly going: (run: ScheduledRun) => boolean;
  readonly finish: (run: ScheduledRun, finish: Finish) => void;
  readonly fail: (run: ScheduledRun, error: unknown) => void;
}

/** Runs and their rows, each [vocabulary]. */
type Rows = readonly (readonly [ScheduledRun, readonly Float32Array[]])[];

export class Answering {
  readonly #events: Events;
  readonly #compiling: Compiling;
  readonly #options: AnsweringOptions;
  /** Runs whose rows wait for the next turn. */
  readonly #late = new Set<ScheduledRun>();
  /** Milliseconds of the last step. */
  #stepMs = 0;

  constructor(events: Events, compiling: Compiling, options: AnsweringOptions) {
    this.#events = events;
    this.#compiling = compiling;
    this.#options = options;
  }

  /** How many runs' rows wait for the next turn. */
  get late(): number {
    return this.#late.size;
  }

  /** Answers those, as far as time goes. */
  answerLate(): void {
    const late = [...this.#late].map(run => [run, run.held!] as const);
    this.#late.clear();
    this.#answerAll(late);
  }

  /** Answers the rows of a step that took so many milliseconds. */
  answerAll(all: Rows, stepMs: number): void {
    this.#stepMs = stepMs;
    this.#answerAll(all);
  }

  /** The run has ended. */
  left(run: ScheduledRun): void {
    this.#late.delete(run);
  }

  /** Those without a constraint first; when finding what is allowed has taken its share of time, the rows that are left wait for the next turn. */
  #answerAll(all: Rows): void {
    const until = this.#options.now() + MASKS * this.#stepMs;
    const free = ({ constraint }: ScheduledRun): boolean => constraint?.free ?? true;
    const held = all.filter(([r]) => !free(r));
    for (const [run, rows] of all) if (free(run)) this.answer(run, rows);
    for (const [i, [run, rows]] of held.entries()) {
      if (i === 0 || this.#options.now() <= until) this.answer(run, rows);
      else {
        run.held = rows.map(r => r.slice());
        this.#late.add(run);
      }
    }
  }

  /** The tokens after the rows' places, as long as the run goes on. Where the constraint cannot tell yet, what is left of the rows is held. */
  answer(run: ScheduledRun, rows: readonly Float32Array[]): void {
    const { going, fail } = this.#options;
    let left = rows;
    run.held = undefined;
    try {
      for (; left.length && going(run); left = left.slice(1)) this.#choose(run, left[0]);
      if (going(run)) this.#lookAhead(run);
      if (going(run)) this.#compiling.wentOn(run);
    } catch (e) {
      const error = this.#compiling.failure(run, e);
      if (error) fail(run, error);
      else run.held = left.map(row => row.slice());
    }
  }

  #chosen({ forced, constraint, sampler }: ScheduledRun, logits: Float32Array): TokenLogprob {
    const next = forced.shift();
    return next === undefined ? sampler.sample(logits, constraint?.mask()) : { id: next, logprob: logProbability(logits, next) };
  }

  #choose(run: ScheduledRun, logits: Float32Array): void {
    const { context, now, finish } = this.#options;
    if (!run.answering) run.answering = now();
    const { constraint } = run;
    const { id, logprob } = (run.chosen ??= this.#chosen(run, logits));
    if (run.request.stopIds.includes(id) || constraint?.accept(id) === "end") {
      finish(run, "stop");
      return;
    }
    run.chosen = undefined;
    run.sampler.accept(id);
    run.known.push(id);
    run.produced++;
    const { alternatives } = run.request;
    this.#events.token(run.request.run, alternatives ? { id, logprob, alternatives: topLogprobs(logits, alternatives) } : { id, logprob });
    if (constraint?.done) finish(run, "stop");
    else if (run.produced >= run.request.maxTokens) finish(run, "length");
    else if (run.known.length > context) finish(run, "context");
  }

  /** Asks for the tokens of what must come, where that is more than a token or two. */
  #lookAhead(run: ScheduledRun): void {
    if (!run.constraint || run.forced.length > 0) return;
    const bytes = run.constraint.forced();
    if (bytes.length < WORTH_ASKING) return;
    run.waiting = true;
    this.#events.forced(run.request.run, bytes);
  }

  /** Goes on with these tokens as far as the constraint leaves nothing else and there is room for them. */
  jump(run: ScheduledRun, ids: readonly number[]): void {
    if (!run.waiting) return;
    run.waiting = false;
    const room = Math.min(run.request.maxTokens - run.produced, this.#options.context - run.known.length);
    run.forced.push(...(run.constraint?.spelling(ids.slice(0, Math.max(0, room))) ?? []));
  }
}
