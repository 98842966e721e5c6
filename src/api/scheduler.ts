/**
 * The engine's side of runs: continuous batching over `step`. Each turn is one step with a token of every run that is answering and as much
 * of the waiting prompts as fits. Owns sequences and samplers; knows no threads and no messages, so that it can be tested alone.
 */
import type { Constraint } from "../decode/constrain/constraint.ts";
import { Constraints } from "../decode/constrain/source.ts";
import { createSampler, type Sampler } from "../decode/sampler.ts";
import type { Stepper, StepToken } from "../engine/step.ts";
import { LatheError } from "../errors.ts";
import type { Sequence } from "../kv/pages.ts";
import type { Finish, Finished, RunRequest, Token, WireVocabulary } from "./protocol.ts";

/** Tokens that a run may be ahead of its consumer. */
export const AHEAD = 32;

export interface Events {
  prompt: (run: number, done: number, total: number) => void;
  token: (run: number, token: Token) => void;
  finished: (run: number, result: Finished) => void;
  scored: (run: number, logprobs: Float64Array) => void;
  failed: (run: number, error: unknown) => void;
}

class Run {
  readonly request: RunRequest;
  readonly sequence: Sequence;
  readonly sampler: Sampler;
  readonly constraint: Constraint | undefined;
  readonly cached: number;
  /** Prompt tokens evaluated or cached. */
  filled: number;
  produced = 0;
  taken = 0;
  last = -1;
  readonly begun = performance.now();
  answering = 0;

  constructor(request: RunRequest, sequence: Sequence, constraint: Constraint | undefined) {
    this.constraint = constraint;
    this.request = request;
    this.sequence = sequence;
    this.sampler = createSampler(request.sampling);
    this.cached = Math.min(sequence.common(request.tokens), request.tokens.length - 1);
    this.filled = this.cached;
    sequence.truncate(this.cached);
    for (const id of request.tokens) this.sampler.accept(id);
  }

  get prefilling(): boolean {
    return this.filled < this.request.tokens.length;
  }
  get ready(): boolean {
    return this.prefilling || this.produced - this.taken < AHEAD;
  }

  result(finish: Finish): Finished {
    const now = performance.now();
    const promptMs = (this.answering || now) - this.begun;
    const completionMs = this.answering ? now - this.answering : 0;
    const perSecond = (n: number, ms: number): number => (ms > 0 && n > 0 ? (1000 * n) / ms : 0);
    return {
      finish,
      usage: { promptTokens: this.request.tokens.length, cachedTokens: this.cached, completionTokens: this.produced },
      // The first token of the answer comes out of the prompt's last step.
      timings: {
        promptMs,
        completionMs,
        promptTokensPerSecond: perSecond(this.filled - this.cached, promptMs),
        tokensPerSecond: perSecond(this.produced - 1, completionMs),
      },
      seed: this.sampler.seed,
    };
  }
}

/** Scoring of a text: the log-probability of each token after the first. */
interface Scoring {
  readonly run: number;
  readonly tokens: Int32Array;
  readonly sequence: Sequence;
  readonly logprobs: Float64Array;
  done: number;
}

export class Scheduler {
  readonly #stepper: Stepper;
  readonly #events: Events;
  readonly #sessions = new Map<number, Sequence>();
  readonly #runs = new Map<number, Run>();
  readonly #scorings: Scoring[] = [];
  #vocabulary: WireVocabulary | undefined;
  /** Made for the first run with a constraint. */
  #constraints: Constraints | undefined;

  constructor(stepper: Stepper, events: Events) {
    this.#stepper = stepper;
    this.#events = events;
  }

  /** Whether a turn would do something. */
  get busy(): boolean {
    return this.#scorings.length > 0 || [...this.#runs.values()].some(r => r.ready);
  }

  open(session: number, from?: number): void {
    const parent = from === undefined ? undefined : this.#sessions.get(from);
    this.#sessions.set(session, parent ? parent.fork() : this.#stepper.newSequence());
  }

  drop(session: number): void {
    for (const run of this.#runs.values()) if (run.request.session === session) this.cancel(run.request.run);
    this.#sessions.get(session)?.close();
    this.#sessions.delete(session);
  }

  setVocabulary(vocabulary: WireVocabulary): void {
    this.#vocabulary = vocabulary;
  }

  /** @throws LatheError what compiling the constraint throws, before anything is computed. */
  add(request: RunRequest): void {
    const sequence = this.#sessions.get(request.session);
    if (!sequence) throw new LatheError("model.closed", "The session is closed; open a new one.");
    this.#runs.set(request.run, new Run(request, sequence, this.#constraint(request)));
  }

  #constraint({ constraint, leadingSpace }: RunRequest): Constraint | undefined {
    if (!constraint) return undefined;
    const { bytes, offsets, ends } = this.#vocabulary!;
    const bytesOf = (id: number): Uint8Array => bytes.subarray(id === 0 ? 0 : offsets[id - 1], offsets[id]);
    this.#constraints ??= new Constraints({ size: offsets.length, bytes: bytesOf, ends });
    return this.#constraints.begin(constraint, leadingSpace);
  }

  score(run: number, tokens: Int32Array): void {
    const logprobs = new Float64Array(Math.max(0, tokens.length - 1));
    this.#scorings.push({ run, tokens, sequence: this.#stepper.newSequence(), logprobs, done: 0 });
  }

  taken(run: number, count: number): void {
    const found = this.#runs.get(run);
    if (found) found.taken += count;
  }

  cancel(run: number): void {
    const found = this.#runs.get(run);
    if (found) this.#finish(found, "cancelled");
    const at = this.#scorings.findIndex(s => s.run === run);
    if (at >= 0) this.#scorings.splice(at, 1)[0].sequence.close();
  }

  /** One step. An error of the step ends the youngest run in it; one of a run's choice of token ends that run. */
  turn(): void {
    const scoring = this.#scorings[0];
    if (scoring) this.#scoreTurn(scoring);
    else this.#runTurn();
  }

  #runTurn(): void {
    const batch: StepToken[] = [];
    const members: Run[] = [];
    const asked: Run[] = [];
    const evaluated: [Run, number][] = [];
    const { maxTokens, maxWanted } = this.#stepper.plan.options;
    const ordered = [...this.#runs.values()].filter(r => r.ready).sort((a, b) => Number(a.prefilling) - Number(b.prefilling));
    for (const run of ordered) {
      const room = maxTokens - batch.length;
      if (room === 0 || asked.length === maxWanted) break;
      const { tokens } = run.request;
      const ids = run.prefilling ? tokens.subarray(run.filled, run.filled + room) : [run.last];
      const complete = !run.prefilling || run.filled + ids.length === tokens.length;
      ids.forEach((id, i) => {
        batch.push({ id, sequence: run.sequence, wanted: complete && i === ids.length - 1 });
      });
      members.push(run);
      if (complete) asked.push(run);
      if (run.prefilling) evaluated.push([run, ids.length]);
    }
    if (!batch.length) return;
    let logits: Float32Array[];
    try {
      logits = this.#stepper.step(batch);
    } catch (e) {
      this.#fail(members.at(-1)!, e);
      return;
    }
    for (const [run, count] of evaluated) {
      run.filled += count;
      this.#events.prompt(run.request.run, run.filled, run.request.tokens.length);
    }
    asked.forEach((run, i) => {
      try {
        this.#choose(run, logits[i]);
      } catch (e) {
        this.#fail(run, e);
      }
    });
  }

  /** Ends a run and gives its pages back. */
  #fail(run: Run, error: unknown): void {
    this.#runs.delete(run.request.run);
    run.sequence.truncate(0);
    this.#events.failed(run.request.run, error);
  }

  #choose(run: Run, logits: Float32Array): void {
    if (!run.answering) run.answering = performance.now();
    const { constraint } = run;
    const { id, logprob } = run.sampler.sample(logits, constraint?.mask());
    if (run.request.stopIds.includes(id) || constraint?.accept(id) === "end") {
      this.#finish(run, "stop");
      return;
    }
    run.sampler.accept(id);
    run.last = id;
    run.produced++;
    this.#events.token(run.request.run, { id, logprob });
    if (constraint?.done) this.#finish(run, "stop");
    else if (run.produced >= run.request.maxTokens) this.#finish(run, "length");
    else if (run.sequence.length >= this.#stepper.plan.options.context) this.#finish(run, "context");
  }

  #finish(run: Run, finish: Finish): void {
    this.#runs.delete(run.request.run);
    this.#events.finished(run.request.run, run.result(finish));
  }

  #scoreTurn(s: Scoring): void {
    const { maxTokens, maxWanted } = this.#stepper.plan.options;
    try {
      const ids = s.tokens.subarray(s.done, Math.min(s.done + Math.min(maxTokens, maxWanted), s.tokens.length - 1));
      if (ids.length) {
        const rows = this.#stepper.step([...ids].map(id => ({ id, sequence: s.sequence, wanted: true })));
        rows.forEach((row, i) => {
          s.logprobs[s.done + i] = logProbability(row, s.tokens[s.done + i + 1]);
        });
        s.done += ids.length;
        this.#events.prompt(s.run, s.done, s.logprobs.length);
      }
      if (s.done < s.logprobs.length) return;
      this.#events.scored(s.run, s.logprobs);
    } catch (e) {
      this.#events.failed(s.run, e);
    }
    this.#scorings.shift();
    s.sequence.close();
  }
}

function logProbability(logits: Float32Array, id: number): number {
  const max = logits.reduce((m, x) => Math.max(m, x), -Infinity);
  const sum = logits.reduce((total, x) => total + Math.exp(x - max), 0);
  return logits[id] - max - Math.log(sum);
}
