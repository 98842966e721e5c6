/**
 * Constraints of runs: kept ones at once, others when they are compiled, which happens on a thread of its own where there are threads. Brings rules
 * to who waits for them, and what was given up or lost meanwhile is compiled again, and the run led to where it was.
 */
import type { SharedConstraint } from "../decode/constrain/constraint.ts";
import { FlatGrammar, NotWritten } from "../decode/constrain/flat.ts";
import { Gated } from "../decode/constrain/gated.ts";
import { Kept } from "../decode/constrain/kept.ts";
import { type ConstraintSource, Constraints, compileSource, keyOf } from "../decode/constrain/source.ts";
import type { FlatTrie } from "../decode/constrain/trie.ts";
import { LatheError } from "../errors.ts";
import { type Answer, CompileQueue, type Compiler, type Task } from "./compile-queue.ts";
import { fromWire } from "./engine-client.ts";
import { bytesOf, type WireVocabulary } from "./protocol.ts";
import type { ScheduledRun } from "./scheduled-run.ts";

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
/** Bytes that the thread may hold for what is not written to its end: all together, and for what nobody follows. */
const MOST_HELD = 32 * 2 ** 20;
const MOST_IDLE = 6 * 2 ** 20;
/** Of the mean time of a compilation, what a new one counts. */
const NEW_SHARE = 0.1;

/** A source that is being compiled, and who waits for it. */
interface Job {
  readonly key: string;
  readonly number: number;
  readonly source: ConstraintSource;
  readonly runs: Set<ScheduledRun>;
  readonly task: Task;
}

/** What is not written to its end: the thread holds the rest. */
interface Open {
  readonly shared: SharedConstraint;
  readonly grammar: FlatGrammar;
  readonly job: number;
  held: number;
  /** Whether there is more to write before it is asked for; the question for it. */
  more: boolean;
  asked: Task | undefined;
  users: number;
}

export class Compiling {
  readonly #outcome: Outcome;
  readonly #queue: CompileQueue | undefined;
  readonly #kept: Kept;
  #vocabulary: WireVocabulary | undefined;
  #made: Constraints | undefined;
  #numbers = 0;
  readonly #jobs = new Map<string, Job>();
  #meanMs = 10;
  /** What each run follows, and how many of its tokens have led it on; Infinity when it is where it should be. */
  readonly #follows = new Map<ScheduledRun, { readonly shared: SharedConstraint; led: number }>();
  /** The last used come last. */
  readonly #open = new Map<SharedConstraint, Open>();
  /** The rules that runs wait for. */
  readonly #needs = new Map<ScheduledRun, { readonly rule: number; readonly task: Task }>();

  /** `start`: starts a compiling thread; without one, what is asked for is compiled in place. */
  constructor(outcome: Outcome, start?: () => Compiler) {
    this.#outcome = outcome;
    this.#kept = new Kept(
      undefined,
      shared => (this.#open.get(shared)?.held ?? 0) + (shared.compiled instanceof FlatGrammar ? shared.compiled.bytes : 0),
      shared => this.#giveUp(this.#open.get(shared)),
    );
    if (!start) return;
    this.#queue = new CompileQueue({
      start,
      greeting: () => (this.#made ? undefined : { kind: "vocabulary", vocabulary: this.#vocabulary! }),
      trie: trie => void this.#constraints(trie),
      lost: () => this.#lost(),
    });
  }

  setVocabulary(vocabulary: WireVocabulary): void {
    this.#vocabulary = vocabulary;
  }

  /** Bytes that are kept for constraints, estimated; sources that wait. */
  get status(): { readonly bytes: number; readonly waiting: number } {
    return { bytes: this.#kept.bytes, waiting: this.#jobs.size };
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
    const known = this.#kept.get(key);
    if (known || !this.#queue) this.#followInPlace(run, source, known);
    else {
      if (!this.#jobs.has(key)) this.#checkRoom(key, run.client);
      this.#compile(run, key, source);
      run.compiling = true;
    }
  }

  #followInPlace(run: ScheduledRun, source: ConstraintSource, known: SharedConstraint | undefined): void {
    try {
      const shared = known ?? this.#constraints().add(keyOf(source), compileSource(source), source.kind);
      run.compiling = !this.#follow(run, shared);
    } catch (e) {
      this.#unfollow(run);
      run.constraint = undefined;
      if (!staysFree(run, e)) throw e;
    }
  }

  /** The run ends, or is not entered. */
  left(run: ScheduledRun): void {
    this.#unfollow(run);
    const job = run.request.constraint && this.#jobs.get(keyOf(run.request.constraint));
    if (!job?.runs.delete(run) || job.runs.size) return;
    if (this.#queue!.remove(job.task)) this.#jobs.delete(job.key);
  }

  close(): void {
    this.#queue?.close();
  }

  // ---- sources ----

  /** @throws LatheError server.busy. */
  #checkRoom(key: string, client: string): void {
    const units = [...this.#jobs.keys()].reduce((sum, k) => sum + k.length, 0);
    const many = this.#jobs.size >= MOST_WAITING || this.#queue!.waitingOf(client) >= MOST_OF_CLIENT;
    if (!many && (this.#jobs.size === 0 || units + key.length <= MOST_UNITS)) return;
    const retryAfter = Math.max(1, Math.ceil((this.#jobs.size * this.#meanMs) / 1000));
    const message = `Too many schemas and grammars are waiting to be compiled; try again in ${retryAfter} s.`;
    throw new LatheError("server.busy", message, { retryAfter });
  }

  /** The run waits for this source, with all who do already. */
  #compile(run: ScheduledRun, key: string, source: ConstraintSource): void {
    const known = this.#jobs.get(key);
    if (known) {
      known.runs.add(run);
      return;
    }
    const number = this.#numbers++;
    const settled: Task["settled"] = (answer, ms) => this.#compiled(job, answer, ms);
    const job: Job = {
      key,
      number,
      source,
      runs: new Set([run]),
      task: { client: run.client, message: { kind: "compile", job: number, source }, settled },
    };
    this.#jobs.set(key, job);
    this.#queue!.add(job.task, "last");
  }

  #compiled(job: Job, answer: Answer | undefined, ms: number): void {
    this.#jobs.delete(job.key);
    if (answer?.kind !== "compiled") {
      const error = answer?.kind === "failed" ? fromWire(answer.error) : tooMuch();
      for (const run of job.runs) this.#fail(run, error);
      return;
    }
    this.#meanMs += NEW_SHARE * (ms - this.#meanMs);
    const grammar = new FlatGrammar(answer.root, answer.part);
    const other = this.#kept.get(job.key);
    if (other) this.#kept.leave(other);
    const shared = this.#constraints().add(job.key, grammar, job.source.kind);
    const open: Open = { shared, grammar, job: job.number, held: 0, more: true, asked: undefined, users: 1 };
    this.#open.set(shared, open);
    this.#written(open, answer);
    for (const run of job.runs) this.#goOn(run, shared);
    open.users--; // it was not to be given up before they follow it
    this.#makeRoom();
  }

  #fail(run: ScheduledRun, error: unknown): void {
    const free = staysFree(run, error);
    if (free) {
      this.#unfollow(run);
      run.constraint = undefined;
    }
    this.#tell(run, free ? undefined : error);
  }

  /** The run is told that it may begin, or go on, or that it failed. */
  #tell(run: ScheduledRun, error?: unknown): void {
    const begins = run.compiling;
    run.compiling = false;
    if (error !== undefined) this.#outcome.failed(run, error);
    else if (begins) this.#outcome.ready(run);
    else this.#outcome.resumed(run);
  }

  // ---- following ----

  /** The run follows the constraint from its beginning, or further along its tokens; false: it waits for a rule on the way. */
  #follow(run: ScheduledRun, shared: SharedConstraint): boolean {
    let place = this.#follows.get(run);
    if (place?.shared !== shared) {
      this.#unfollow(run);
      place = { shared, led: 0 };
      this.#follows.set(run, place);
      this.#use(shared, 1);
      run.constraint = undefined;
    }
    const { known, request } = run;
    try {
      run.constraint ??= request.gate ? new Gated(request.gate, shared) : shared.begin(request.leadingSpace);
      // What it has answered leads it: there is nothing of that yet, unless its constraint was lost.
      for (; place.led < run.produced; place.led++) run.constraint.accept(known[request.tokens.length + place.led]);
      place.led = Number.POSITIVE_INFINITY;
      return true;
    } catch (e) {
      const error = this.failure(run, e);
      if (error) throw error;
      return false;
    }
  }

  #unfollow(run: ScheduledRun): void {
    const need = this.#needs.get(run);
    if (need) this.#queue!.remove(need.task);
    this.#needs.delete(run);
    const place = this.#follows.get(run);
    this.#follows.delete(run);
    if (place) this.#use(place.shared, -1);
  }

  #use(shared: SharedConstraint, change: 1 | -1): void {
    const open = this.#open.get(shared);
    if (open) open.users += change;
    if (open?.users === 0 && open.asked && this.#queue!.remove(open.asked)) open.asked = undefined;
    this.#kept.use(shared, change);
    this.#makeRoom();
  }

  /** The run has what it waited for, as far as it is known. */
  #goOn(run: ScheduledRun, shared: SharedConstraint): void {
    try {
      if (!this.#follow(run, shared)) return;
    } catch (e) {
      this.#fail(run, e);
      return;
    }
    this.#tell(run);
  }

  /** The run has followed its constraint for a token: what may come next is written meanwhile. */
  wentOn(run: ScheduledRun): void {
    const place = run.constraint?.free ? undefined : this.#follows.get(run);
    const open = place && this.#open.get(place.shared);
    if (!open?.more || open.asked) return;
    const settled = (answer: Answer | undefined): void => {
      open.asked = undefined;
      this.#came(open, answer);
    };
    open.asked = { client: run.client, message: { kind: "more", job: open.job }, settled };
    this.#queue!.add(open.asked, "idle");
  }

  // ---- what is not written to its end ----

  /** What the run fails with after following its constraint has thrown this; undefined where it waits for a rule instead. */
  failure(run: ScheduledRun, thrown: unknown): unknown {
    if (!(thrown instanceof NotWritten)) return thrown;
    const { rule } = thrown;
    const { shared } = this.#follows.get(run)!;
    const open = this.#open.get(shared);
    if (open) {
      const settled = (answer: Answer | undefined): void => this.#came(open, answer, rule);
      const task: Task = { client: run.client, message: { kind: "rule", job: open.job, rule }, settled };
      this.#needs.set(run, { rule, task });
      this.#queue!.add(task, "first");
    } else this.#again(run);
    return undefined;
  }

  /** What is left of the run's grammar is gone: it is compiled again, and the run led to where it was. */
  #again(run: ScheduledRun): void {
    const { shared } = this.#follows.get(run)!;
    this.#unfollow(run);
    this.#kept.leave(shared);
    const source = run.request.constraint!;
    this.#compile(run, keyOf(source), source);
  }

  /** Rules have come, the one that was asked for or others; or the thread died of writing them. */
  #came(open: Open, answer: Answer | undefined, rule?: number): void {
    const { shared, grammar } = open;
    const followers = [...this.#follows].filter(([, place]) => place.shared === shared).map(([run]) => run);
    if (!answer) {
      this.#kept.leave(shared);
      for (const run of followers) if (rule === undefined || this.#needs.get(run)?.rule === rule) this.#fail(run, tooMuch());
      return;
    }
    if (this.#open.get(shared) !== open) return; // given up meanwhile
    if (answer.kind === "part") {
      grammar.add(answer.part);
      this.#written(open, answer);
    } else if (answer.kind === "failed") {
      if (rule === undefined) open.more = false;
      else grammar.refuse(rule, fromWire(answer.error));
    }
    // It may have been on its way when it was asked for.
    for (const run of followers) {
      const need = this.#needs.get(run);
      if (!need || !grammar.has(need.rule)) continue;
      this.#queue!.remove(need.task);
      this.#needs.delete(run);
      this.#goOn(run, shared);
    }
  }

  /** The thread holds so much of it. */
  #written(open: Open, { held, more }: Extract<Answer, { kind: "part" | "compiled" }>): void {
    open.held = held;
    open.more = more;
    this.#open.delete(open.shared);
    if (held) this.#open.set(open.shared, open);
    this.#kept.grown(open.shared);
    this.#makeRoom();
  }

  /** The thread forgets what nobody follows, the longest unused first, and what is followed only where that is not enough. */
  #makeRoom(): void {
    const all = [...this.#open.values()];
    const idle = all.filter(open => open.users === 0);
    const sum = (of: readonly Open[]): number => of.reduce((bytes, { held }) => bytes + held, 0);
    let [most, mostIdle] = [sum(all) - MOST_HELD, sum(idle) - MOST_IDLE];
    for (const open of [...idle, ...all.filter(o => o.users > 0)].slice(0, -1)) {
      if (mostIdle <= 0 && most <= 0) return;
      if (open.users > 0 && most <= 0) return;
      this.#giveUp(open);
      most -= open.held;
      mostIdle -= open.held;
    }
  }

  /** Neither it nor the thread holds what is not written. Who reaches that has it compiled again. */
  #giveUp(open: Open | undefined): void {
    if (!open || !this.#open.delete(open.shared)) return;
    this.#queue!.drop(open.job);
    for (const [run, place] of [...this.#follows]) if (place.shared === open.shared && this.#needs.has(run)) this.#again(run);
  }

  /** The thread has lost all that it held. */
  #lost(): void {
    this.#open.clear();
    for (const run of [...this.#needs.keys()]) this.#again(run);
  }
}

/** What an answer may hold, and not must, is left to the model where it cannot be enforced. */
const staysFree = ({ request }: ScheduledRun, error: unknown): boolean => request.gate !== undefined && error instanceof LatheError;

const tooMuch = (): LatheError =>
  new LatheError("grammar.limit", "The constraint needs too much time or memory to be compiled; make it simpler.", {});
