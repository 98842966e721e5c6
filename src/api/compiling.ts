/**
 * Constraints of runs: kept ones at once, others when they are compiled, which happens on a thread of its own where there are threads. Owns the
 * queue in front of that thread, in which clients take turns, and brings rules to who waits for them.
 */
import type { Compiled, SharedConstraint } from "../decode/constrain/constraint.ts";
import { FlatGrammar, NotWritten } from "../decode/constrain/flat.ts";
import { Kept } from "../decode/constrain/kept.ts";
import { type ConstraintSource, Constraints, compileSource, keyOf } from "../decode/constrain/source.ts";
import type { FlatTrie } from "../decode/constrain/trie.ts";
import { LatheError } from "../errors.ts";
import type { FromCompiler, ToCompiler } from "./compile-service.ts";
import { fromWire } from "./engine-client.ts";
import { bytesOf, type WireVocabulary } from "./protocol.ts";
import type { ScheduledRun } from "./scheduled-run.ts";

/** The compiling thread: a `CompileService` behind a channel. */
export interface Compiler {
  post(message: ToCompiler): void;
  onMessage(listener: (message: FromCompiler) => void): void;
  /** It ended, which it never does by itself. */
  onDeath(listener: () => void): void;
  terminate(): void;
}

/** What becomes of runs. */
export interface Outcome {
  /** It has its constraint, and may begin. */
  readonly ready: (run: ScheduledRun) => void;
  /** The rule has come: what was tried may be tried again. */
  readonly resumed: (run: ScheduledRun) => void;
  readonly failed: (run: ScheduledRun, error: unknown) => void;
}

/** Sources that may wait, all together and of one client, and their characters. */
const MOST_WAITING = 256;
const MOST_OF_CLIENT = 64;
const MOST_UNITS = 8_000_000;
/** Sources that are handed over: one is compiled, and one is there when it is done. */
const AHEAD = 2;
/** Milliseconds after which a compilation is taken for one that never ends. */
const LONGEST_MS = 30_000;
/** Of the mean time of a compilation, what a new one counts. */
const NEW_SHARE = 0.1;

interface Job {
  readonly number: number;
  readonly key: string;
  readonly source: ConstraintSource;
  readonly client: string;
  readonly runs: Set<ScheduledRun>;
  begun: number;
}

export class Compiling {
  readonly #start: (() => Compiler) | undefined;
  readonly #outcome: Outcome;
  readonly #kept: Kept;
  #vocabulary: WireVocabulary | undefined;
  #made: Constraints | undefined;
  #compiler: Compiler | undefined;
  #jobs = 0;
  /** Jobs that wait, by client; the client whose turn is next comes first. */
  readonly #waiting = new Map<string, Job[]>();
  readonly #byKey = new Map<string, Job>();
  /** Handed over, in order. */
  readonly #under = new Map<number, Job>();
  #meanMs = 10;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What each run follows. */
  readonly #follows = new Map<ScheduledRun, SharedConstraint>();
  /** What is not written to its end, by the job that it came from; the job of each grammar; bytes that the thread holds for it. */
  readonly #open = new Map<number, SharedConstraint>();
  readonly #numbers = new WeakMap<Compiled, number>();
  readonly #held = new WeakMap<SharedConstraint, number>();
  /** The rules that runs wait for. */
  readonly #needs = new Map<ScheduledRun, number>();

  /** `start`: starts a compiling thread; without one, what is asked for is compiled in place. */
  constructor(outcome: Outcome, start?: () => Compiler) {
    this.#outcome = outcome;
    this.#start = start;
    this.#kept = new Kept(
      undefined,
      shared => (this.#held.get(shared) ?? 0) + (shared.compiled instanceof FlatGrammar ? shared.compiled.bytes : 0),
      shared => this.#gone(shared),
    );
  }

  setVocabulary(vocabulary: WireVocabulary): void {
    this.#vocabulary = vocabulary;
  }

  /** Bytes that are kept for constraints, estimated; sources that wait. */
  get status(): { readonly bytes: number; readonly waiting: number } {
    return { bytes: this.#kept.bytes, waiting: this.#byKey.size };
  }

  /** With the vocabulary's tree from the compiling thread, whose first answer it is; where there is none, built here. */
  #constraints(trie?: FlatTrie): Constraints {
    const vocabulary = this.#vocabulary!;
    const { offsets, ends, marks } = vocabulary;
    this.#made ??= new Constraints({ size: offsets.length, bytes: id => bytesOf(vocabulary, id), ends, marks }, this.#kept, trie);
    return this.#made;
  }

  /**
   * Gives the run its constraint if it wants one, at once or later: then it is `compiling` until `ready` or `failed`.
   * @throws LatheError server.busy where too much waits, and in place what compiling throws.
   */
  enter(run: ScheduledRun): void {
    const { constraint: source } = run.request;
    if (!source) return;
    const key = keyOf(source);
    let shared = this.#kept.get(key);
    if (!shared && !this.#start) shared = this.#constraints().add(key, compileSource(source), source.kind);
    if (shared) this.#follow(run, shared);
    else {
      const job = this.#byKey.get(key) ?? this.#queue(key, source, run.client);
      job.runs.add(run);
      run.compiling = true;
      this.#handOver();
    }
  }

  /** The run is at the constraint's beginning; or waits for a rule that stands there. */
  #follow(run: ScheduledRun, shared: SharedConstraint): void {
    if (!this.#follows.has(run)) this.#kept.use(shared, 1);
    this.#follows.set(run, shared);
    run.compiling = false;
    try {
      run.constraint = shared.begin(run.request.leadingSpace);
    } catch (e) {
      const error = this.failure(run, e);
      if (error) throw error;
      run.compiling = true;
    }
  }

  /** The run ends, or is not entered. */
  left(run: ScheduledRun): void {
    this.#needs.delete(run);
    const shared = this.#follows.get(run);
    if (shared) this.#kept.use(shared, -1);
    this.#follows.delete(run);
    if (!run.compiling) return;
    const job = this.#byKey.get(keyOf(run.request.constraint!));
    job?.runs.delete(run);
    if (job && job.runs.size === 0 && !this.#under.has(job.number)) this.#unqueue(job);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#compiler?.terminate();
    this.#compiler = undefined;
  }

  // ---- the queue ----

  #queue(key: string, source: ConstraintSource, client: string): Job {
    const own = this.#waiting.get(client) ?? [];
    const units = [...this.#byKey.keys()].reduce((sum, k) => sum + k.length, 0);
    const many = this.#byKey.size >= MOST_WAITING || own.length >= MOST_OF_CLIENT;
    if (many || (this.#byKey.size > 0 && units + key.length > MOST_UNITS)) throw this.#busy();
    const job: Job = { number: this.#jobs++, key, source, client, runs: new Set(), begun: 0 };
    this.#waiting.set(client, [...own, job]);
    this.#byKey.set(key, job);
    return job;
  }

  #busy(): LatheError {
    const retryAfter = Math.max(1, Math.ceil((this.#byKey.size * this.#meanMs) / 1000));
    const message = `Too many schemas and grammars are waiting to be compiled; try again in ${retryAfter} s.`;
    return new LatheError("server.busy", message, { retryAfter });
  }

  #unqueue(job: Job): void {
    this.#byKey.delete(job.key);
    const left = (this.#waiting.get(job.client) ?? []).filter(j => j !== job);
    if (left.length) this.#waiting.set(job.client, left);
    else this.#waiting.delete(job.client);
  }

  /** The next clients' first jobs go to the thread, as long as it has less than it should. */
  #handOver(): void {
    while (this.#under.size < AHEAD && this.#waiting.size) {
      const [client, [job, ...rest]] = this.#waiting.entries().next().value!;
      this.#waiting.delete(client); // whose turn was goes to the end
      if (rest.length) this.#waiting.set(client, rest);
      this.#under.set(job.number, job);
      if (this.#under.size === 1) this.#watch(job);
      this.#thread().post({ kind: "compile", job: job.number, source: job.source });
    }
  }

  /** The thread is at this job now. */
  #watch(job: Job | undefined): void {
    clearTimeout(this.#timer);
    if (!job) return;
    job.begun = performance.now();
    this.#timer = setTimeout(() => this.#died(this.#compiler!), LONGEST_MS);
  }

  #thread(): Compiler {
    if (this.#compiler) return this.#compiler;
    const started = this.#start!();
    this.#compiler = started;
    started.onMessage(m => this.#receive(m));
    started.onDeath(() => this.#died(started));
    if (!this.#made) started.post({ kind: "vocabulary", vocabulary: this.#vocabulary! });
    return started;
  }

  /** What it was at is to blame. The next is compiled by a new one; what was not written to its end is lost. */
  #died(compiler: Compiler): void {
    if (compiler !== this.#compiler) return;
    this.#compiler = undefined;
    compiler.terminate();
    const [guilty, ...others] = [...this.#under.values()];
    this.#under.clear();
    this.#watch(undefined);
    for (const job of others) this.#waiting.set(job.client, [job, ...(this.#waiting.get(job.client) ?? [])]);
    for (const shared of this.#open.values()) this.#kept.leave(shared);
    this.#open.clear();
    const needing = [...this.#needs.keys()];
    this.#needs.clear();
    for (const run of needing) this.#outcome.failed(run, givenUp());
    const error = new LatheError("grammar.limit", "The constraint needs too much time or memory to be compiled; make it simpler.", {});
    if (guilty) this.#end(guilty, run => this.#outcome.failed(run, error));
    this.#handOver();
  }

  // ---- what comes ----

  #receive(message: FromCompiler): void {
    if (message.kind === "trie") {
      this.#constraints(message.trie);
      return;
    }
    const { job: number } = message;
    const job = this.#under.get(number);
    if (job && (message.kind === "compiled" || message.rule === undefined)) {
      if (message.kind === "compiled") this.#compiled(job, message);
      else if (message.kind === "failed") this.#end(job, run => this.#outcome.failed(run, fromWire(message.error)));
      this.#handOver();
      return;
    }
    const shared = this.#open.get(number);
    if (!shared || message.kind === "compiled") return; // given up meanwhile
    const grammar = shared.compiled as FlatGrammar;
    if (message.kind === "part") {
      grammar.add(message.part);
      this.#hold(shared, number, message.held);
    } else if (message.rule !== undefined) grammar.refuse(message.rule, fromWire(message.error));
    this.#bring(shared, grammar);
  }

  #compiled(job: Job, { root, part, held }: Extract<FromCompiler, { kind: "compiled" }>): void {
    const shared = this.#constraints().add(job.key, new FlatGrammar(root, part), job.source.kind);
    this.#hold(shared, job.number, held);
    this.#meanMs += NEW_SHARE * (performance.now() - job.begun - this.#meanMs);
    this.#end(job, run => this.#ready(run, shared));
  }

  #ready(run: ScheduledRun, shared: SharedConstraint): void {
    try {
      this.#follow(run, shared);
      if (!run.compiling) this.#outcome.ready(run);
    } catch (e) {
      this.#outcome.failed(run, e);
    }
  }

  /** The job is done: `tell` is called for each of its runs, which wait no more. */
  #end(job: Job, tell: (run: ScheduledRun) => void): void {
    this.#under.delete(job.number);
    this.#unqueue(job);
    this.#watch(this.#under.values().next().value);
    for (const run of job.runs) {
      run.compiling = false;
      tell(run);
    }
  }

  /** The thread holds so many bytes for it. */
  #hold(shared: SharedConstraint, number: number, held: number): void {
    this.#held.set(shared, held);
    if (held) this.#open.set(number, shared);
    else this.#open.delete(number);
    if (held) this.#numbers.set(shared.compiled, number);
    this.#kept.grown(shared);
  }

  /** It is kept no more: neither here nor by the thread. */
  #gone({ compiled }: SharedConstraint): void {
    const number = this.#numbers.get(compiled);
    if (number !== undefined && this.#open.delete(number)) this.#compiler?.post({ kind: "drop", job: number });
  }

  // ---- rules ----

  /** What the run fails with after following its constraint has thrown this; undefined where it waits for a rule instead. */
  failure(run: ScheduledRun, thrown: unknown): unknown {
    if (!(thrown instanceof NotWritten)) return thrown;
    const { of, rule } = thrown;
    const number = this.#numbers.get(of);
    if (number === undefined || !this.#open.has(number)) return givenUp();
    this.#needs.set(run, rule);
    this.#thread().post({ kind: "rule", job: number, rule });
    return undefined;
  }

  /** Whoever waits for a rule that has come goes on: it may have been on its way when it was asked for. */
  #bring(shared: SharedConstraint, grammar: FlatGrammar): void {
    for (const [run, needed] of [...this.#needs]) {
      if (!grammar.has(needed) || this.#follows.get(run) !== shared) continue;
      this.#needs.delete(run);
      if (run.compiling) this.#ready(run, shared);
      else this.#outcome.resumed(run);
    }
  }
}

const givenUp = (): LatheError => new LatheError("grammar.limit", "The constraint was given up while it was followed; try again.", {});
