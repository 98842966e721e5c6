/**
 * The engine's side of runs: continuous batching over `step`. Each turn is one step with a token of every run that is answering and as much
 * of the waiting prompts as fits, in pages and in time. Runs whose prompts begin like something that is computed go on from its pages; when pages
 * run out, pasts that nobody uses go first, then the last in rank is sent back and computed again later. Owns sequences and samplers; knows no
 * threads and no messages, so that it can be tested alone. Who goes first is policy.ts.
 */
import type { StepToken } from "../engine/step.ts";
import { LatheError } from "../errors.ts";
import { type Span, wholeLength } from "../kv/marks.ts";
import { type Past, Prefixes, usableOf } from "../kv/prefixes.ts";
import { Answering } from "./answering.ts";
import { commonOf, GRAIN, LEAST_CHUNK, type Member, outstanding, rowsOf, sizeOf, tokensOf, wholeTiles } from "./batch.ts";
import { Compiling } from "./compiling.ts";
import { keyOf, ModuleRuns } from "./module-runs.ts";
import { Fairness, keepOrder } from "./policy.ts";
import type { EngineStatus, Finish, RunRequest, WireVocabulary } from "./protocol.ts";
import { ScheduledRun } from "./scheduled-run.ts";
import { type Coming, type Events, nothing, type Steps, type Surroundings } from "./scheduling.ts";
import { Scorings } from "./scorings.ts";
import { StepTime } from "./step-time.ts";

export { AHEAD } from "./scheduled-run.ts";

export type { Events, Steps } from "./scheduling.ts";

/** Waiting runs that are looked at in a turn. */
const LOOKED_AT = 16;
/** Runs beyond as many as a step gives rows to, so that there are prompts to read when answers end. */
const SPARE = 4;
/** Tokens by which waiting for a neighbour's prompt must be better than not waiting. */
const WORTH_WAITING = 16;

const isShortage = (e: unknown): boolean => e instanceof LatheError && e.code === "memory.insufficient";

export class Scheduler {
  readonly #steps: Steps;
  readonly #events: Events;
  readonly #now: () => number;
  readonly #coming: Coming;
  readonly #sessions = new Map<number, Past>();
  readonly #pasts: Prefixes;
  readonly #store: Surroundings["store"];
  readonly #runs = new Map<number, ScheduledRun>();
  readonly #scorings: Scorings;
  readonly #fairness = new Fairness();
  readonly #time = new StepTime();
  readonly #compiling: Compiling;
  readonly #answering: Answering;
  readonly #modules: ModuleRuns;
  #arrivals = 0;
  #turns = 0;
  #preempted = 0;
  /** Whether the last step was. */
  #brokenOff = false;

  constructor(steps: Steps, events: Events, surroundings: Surroundings = {}) {
    const { now = () => performance.now(), store, coming = nothing, compiler, wake = () => {} } = surroundings;
    this.#steps = steps;
    this.#store = store;
    this.#pasts = new Prefixes(past => store?.keep(past.key, past.sequence));
    this.#events = events;
    this.#now = now;
    this.#coming = coming;
    this.#scorings = new Scorings(steps, events, pages => {
      while (!this.#makeRoom(pages) && this.#preempt());
    });
    const outcome = {
      ready: wake,
      resumed: (run: ScheduledRun) => {
        this.#answering.answer(run, run.held ?? []);
        wake();
      },
      failed: (run: ScheduledRun, e: unknown) => this.#fail(run, e),
    };
    this.#compiling = new Compiling(outcome, compiler);
    const { context } = steps.plan.options;
    this.#answering = new Answering(events, this.#compiling, {
      context,
      now,
      going: run => this.#runs.get(run.request.run) === run,
      finish: (run, finish) => this.#finish(run, finish),
      fail: outcome.failed,
    });
    this.#modules = new ModuleRuns(this.#pasts, {
      newSequence: () => steps.newSequence(),
      enter: (request, past, owner) => this.#enter(new ScheduledRun(request, past, owner.arrival, now())),
      fail: (run, error) => this.#fail(run, error),
      stored: (key, tokens) => store?.find(key, tokens, tokens.length - 1) ?? 0,
    });
  }

  #enter(run: ScheduledRun): ScheduledRun {
    this.#runs.set(run.request.run, run);
    this.#fairness.enter(run.client);
    return run;
  }

  get #running(): ScheduledRun[] {
    return [...this.#runs.values()].filter(r => r.running);
  }

  /** Whether there is something to do, if only who has to say something does. */
  get busy(): boolean {
    return (
      this.#scorings.size + this.#answering.late > 0 ||
      [...this.#runs.values()].some(r => !r.compiling && (!r.running || r.ready || r.module))
    );
  }

  status(): EngineStatus {
    const { pool } = this.#steps.store;
    const running = this.#running.length;
    return {
      running,
      waiting: this.#runs.size - running,
      pagesUsed: pool.used,
      pages: pool.capacity,
      steps: this.#turns,
      pasts: this.#pasts.size,
      preempted: this.#preempted,
      outstandingMs: outstanding([...this.#runs.values()], this.#steps.plan.options, this.#time),
    };
  }

  open(session: number, from?: number): void {
    const parent = from === undefined ? undefined : this.#sessions.get(from);
    const sequence = parent ? parent.sequence.fork() : this.#steps.newSequence();
    const past: Past = { key: parent?.key ?? keyOf({}), sequence, busy: false, owned: true };
    this.#sessions.set(session, past);
    this.#pasts.add(past);
  }

  /** The session ends; what it has computed may still be gone on from. */
  drop(session: number): void {
    for (const run of this.#runs.values()) if (run.request.session === session) this.cancel(run.request.run);
    const past = this.#sessions.get(session);
    if (!past) return;
    this.#sessions.delete(session);
    this.#pasts.delete(past);
    if (past.sequence.length > 0) this.#pasts.add({ ...past, busy: false, owned: false });
    else past.sequence.close();
  }

  /** Gives back the pages of all that nobody computes. */
  forget(): void {
    while (this.#pasts.evict());
  }

  /** The engine is about to end: pasts are kept. Nothing may be asked of it any more. */
  close(): void {
    this.#compiling.close();
    this.#pasts.loseAll();
  }

  setVocabulary(vocabulary: WireVocabulary): void {
    this.#compiling.setVocabulary(vocabulary);
  }

  /** @throws LatheError server.busy, and where constraints are compiled in place what that throws, before anything is computed. */
  add(request: RunRequest): void {
    const past = this.#sessions.get(request.session);
    if (!past) throw new LatheError("model.closed", "The session is closed; open a new one.");
    const run = new ScheduledRun(request, past, this.#arrivals++, this.#now());
    this.#compiling.enter(run);
    this.#enter(run);
  }

  /** The tokens of what must come, or their beginning. */
  jump(run: number, ids: readonly number[]): void {
    const found = this.#runs.get(run);
    if (found) this.#answering.jump(found, ids);
  }

  score(run: number, tokens: Int32Array): void {
    this.#scorings.add(run, tokens);
  }

  taken(run: number, count: number): void {
    const found = this.#runs.get(run);
    if (found) found.taken += count;
  }

  cancel(run: number): void {
    const found = this.#runs.get(run);
    if (found) this.#finish(found, "cancelled");
    this.#scorings.cancel(run);
  }

  /**
   * One step. An error of the step ends the last run in it; one of a run's choice of token ends that run. False: nothing could be done, and nothing
   * can before somebody comes or leaves, or says something.
   */
  turn(): boolean {
    this.#turns++;
    // By turns, so that neither waits for the other's end.
    const scoring = this.#scorings.size > 0;
    if (!scoring || (this.#turns % 2 && this.#runs.size)) return this.#runTurn() || scoring;
    this.#scorings.turn();
    return true;
  }

  // ---- who takes part ----

  /** Runs that wait begin, in order, as far as there are pages for what they know. */
  #admit(): void {
    const { maxWanted } = this.#steps.plan.options;
    const running = this.#running;
    const lagging = running.filter(r => r.lags);
    const share = (r: ScheduledRun): string => `${r.priority} ${r.client}`;
    const shares = new Set(running.map(share));
    const first = (r: ScheduledRun): number => Number(this.#modules.isFirst(r));
    const waiting = [...this.#runs.values()]
      .filter(r => !r.running && !r.compiling)
      .sort((a, b) => first(b) - first(a) || this.#fairness.order(a, b));
    for (const run of waiting.slice(0, LOOKED_AT)) {
      const taking = running.length - lagging.length;
      if (taking >= 2 * maxWanted) return;
      // Prompts that are read long before there is a row for the answer take time from answers; only who has nothing yet begins at once.
      if (taking >= maxWanted + SPARE && shares.has(share(run)) && !first(run)) continue;
      if (!this.#modules.prepared(run)) continue;
      if (this.#worthWaiting(run)) continue;
      if (!this.#begin(run, running.length)) return; // whoever is next in order does not overtake
      running.push(run);
      shares.add(share(run));
    }
  }

  /** Whether a neighbour is about to compute more of what this prompt begins with than is computed yet. */
  #worthWaiting(run: ScheduledRun): boolean {
    const { waitsFor } = run;
    if (waitsFor?.run.running && waitsFor.run.filled < waitsFor.length) return true;
    run.waitsFor = undefined;
    const key = keyOf(run.request);
    const have = this.#pasts.longest(key, run.known)?.length ?? 0;
    for (const other of this.#runs.values()) {
      if (!other.running || !other.prefilling || other.past.key !== key) continue;
      const length = Math.min(commonOf(other.known, run.known), run.known.length - 1);
      if (length <= Math.max(have, other.filled) + WORTH_WAITING) continue;
      run.waitsFor = { run: other, length: Math.min(length, other.request.tokens.length) };
      return true;
    }
    return false;
  }

  /** Gives the run its beginning and makes sure of its pages. False: there are none for it now. */
  #begin(run: ScheduledRun, running: number): boolean {
    const { past, request } = run;
    const key = keyOf(request);
    const found = this.#pasts.longest(key, run.known);
    const own = past.key === key ? usableOf(past.sequence, run.known) : 0;
    if (found && found.length > own) {
      const fork = found.past.sequence.fork();
      past.sequence.close();
      past.sequence = fork;
      this.#pasts.touch(found.past);
    } else if (past.key !== key) {
      past.sequence.close();
      past.sequence = this.#steps.newSequence(0, request.source);
    }
    const usable = Math.max(own, found?.length ?? 0);
    past.key = key;
    past.busy = true;
    const cached = past.sequence.truncate(usable);
    // A page for each neighbour to grow into, so that who begins does not send another back at once.
    const room = past.sequence.needs(run.known.length - cached + 1) + running;
    if (this.#makeRoom(room, run) || running === 0) {
      this.#store?.restore(key, run.known, run.known.length - 1, past.sequence);
      const filled = past.sequence.truncate(wholeLength(run.known, past.sequence.length));
      if (run.produced === 0) run.cached = filled;
      run.running = true;
      this.#pasts.touch(past);
      return true;
    }
    past.busy = false;
    return false;
  }

  /** Evicts until so many pages are free; what a run holds for its modules while it waits, and is not for `run`, goes last. */
  #makeRoom(pages: number, run?: ScheduledRun): boolean {
    const { pool } = this.#steps.store;
    while (pool.capacity - pool.used < pages) if (!this.#pasts.evict() && !this.#modules.yield(run)) return false;
    return true;
  }

  /** It waits for its turn again, with what it has. */
  #sendBack(run: ScheduledRun): void {
    run.running = false;
    run.past.busy = false;
  }

  /** The last in rank gives its pages back and waits again; false where only one is left. */
  #preempt(): boolean {
    const running = this.#running.sort(keepOrder);
    if (running.length < 2) return false;
    const run = running[running.length - 1];
    this.#sendBack(run);
    run.release();
    this.#store?.keep(run.past.key, run.sequence);
    run.sequence.truncate(0);
    this.#preempted++;
    return true;
  }

  /** Tokens of the next step: of each run that answers one and what must follow it, then prompts, as many as end in time. */
  #compose(): Member[] {
    const { maxTokens, maxWanted } = this.#steps.plan.options;
    const ready = this.#running.filter(r => r.ready && r.left > 0);
    const answering = ready.filter(r => r.left === 1).sort((a, b) => a.served - b.served || this.#fairness.order(a, b));
    const most = Math.min(maxWanted, maxTokens);
    const taking = answering.slice(0, most);
    let spare = most - taking.length;
    const members: Member[] = taking.map(run => {
      const more = Math.min(run.forced.length, spare);
      spare -= more;
      return { run, count: 1 + more };
    });
    let rows = most - spare;
    let room = maxTokens - rows;
    const least = taking.length ? LEAST_CHUNK : GRAIN;
    const prompts = ready.filter(r => r.left > 1).sort(this.#fairness.order);
    const time = taking.length ? this.#time.besides(sizeOf(members)) : this.#time.ofPrompts(!this.#brokenOff && prompts.every(this.#alone));
    for (const run of prompts) {
      if (room === 0 || rows === maxWanted) break;
      const most = Math.min(room, run.reach);
      const size = sizeOf(members);
      const fitting = this.#time.tokensWithin(time, size, run.filled, Math.min(least, most), most);
      const count = wholeTiles(fitting, size.tokens, most);
      members.push({ run, count });
      room -= count;
      if (count < most) break; // the step is full in time
      if (count === run.left) rows++;
    }
    return members;
  }

  /** Whether nobody waits for it but who needs it. */
  #alone = (run: ScheduledRun): boolean => !this.#scorings.size && [...this.#runs.values()].every(r => r === run || r.awaits === run);

  /** Puts the module that comes next into the run's sequence. */
  #place(run: ScheduledRun, { start, end }: Span): void {
    const count = end - start;
    const source = run.sources.get(start);
    if (!source) {
      run.distrusts = true; // the beginning that had it was given up, or the store could not give it
      this.#sendBack(run);
      return;
    }
    while (!this.#makeRoom(run.sequence.needs(count), run) && this.#preempt());
    if (!run.running) return;
    try {
      this.#steps.place!(source, run.sequence, run.known.slice(start, end));
      if (run.produced === 0) run.cached += count;
    } catch (e) {
      this.#fail(run, e);
    }
  }

  // ---- what is computed ----

  /** Whether it did anything. */
  #runTurn(): boolean {
    const late = this.#answering.late > 0;
    this.#answering.answerLate();
    const before = this.#running.length;
    this.#admit();
    const placing = this.#running.filter(r => r.module);
    const moved = late || placing.length > 0 || this.#running.length !== before;
    for (const run of placing) if (run.running && run.module) this.#place(run, run.module);
    let members = this.#compose();
    while (members.length && !this.#makeRoom(members.reduce((sum, { run, count }) => sum + run.sequence.needs(count), 0))) {
      if (!this.#preempt()) break;
      members = this.#compose();
    }
    if (members.length) this.#step(members);
    return moved || members.length > 0;
  }

  #step(members: readonly Member[]): void {
    const batch = members.flatMap(({ run, count }) => tokensOf(run, count));
    const rows = members.map(rowsOf);
    const size = sizeOf(members);
    const begun = this.#now();
    let logits: Float32Array[] | undefined;
    try {
      logits = this.#compute(members, batch);
    } catch (e) {
      // Recurrent states run out in ways that pages do not tell: fewer runs need fewer.
      if (isShortage(e) && (this.#pasts.evict() || this.#preempt())) return;
      this.#fail(members[members.length - 1].run, e);
      return;
    }
    if (!logits) return;
    const ms = this.#now() - begun;
    this.#time.observe(size, ms);
    for (const { run, count } of members) this.#count(run, count);
    let row = 0;
    const own = (i: number): Float32Array[] => logits.slice(row, (row += rows[i]));
    this.#answering.answerAll(
      members.map(({ run }, i) => [run, own(i)] as const).filter(([, { length }]) => length),
      ms,
    );
  }

  /**
   * The step; undefined: it was broken off. That befalls steps of prompts alone, when somebody leaves, and where only one is served also when
   * somebody comes; but not the step after one that was, so that whoever comes and goes cannot keep a prompt from its end.
   */
  #compute(members: readonly Member[], batch: readonly StepToken[]): Float32Array[] | undefined {
    const again = this.#brokenOff;
    this.#brokenOff = false;
    if (again || members.some(m => m.run.left === 1)) return this.#steps.step(batch);
    const { runComes, endComes } = this.#coming;
    const alone = members.every(m => this.#alone(m.run));
    const logits = this.#steps.attempt(batch, () => endComes() || (alone && runComes()));
    this.#brokenOff = logits === undefined;
    return logits;
  }

  #count(run: ScheduledRun, count: number): void {
    const { tokens, maxTokens } = run.request;
    const prompt = run.filled - count < tokens.length;
    run.served = this.#turns;
    this.#fairness.serve(run.client, prompt ? count : 0, prompt ? 0 : count);
    if (!prompt || run.produced > 0) return;
    if (!run.serves) this.#events.prompt(run.request.run, run.filled, tokens.length);
    if (!run.prefilling && maxTokens === 0) this.#finish(run, "length");
  }

  /** Ends a run and gives its pages back. */
  #fail(run: ScheduledRun, error: unknown): void {
    this.#leave(run);
    run.sequence.truncate(0);
    if (!this.#modules.failed(run, error)) this.#events.failed(run.request.run, error);
  }

  #finish(run: ScheduledRun, finish: Finish): void {
    this.#leave(run);
    if (!this.#modules.finished(run, finish)) this.#events.finished(run.request.run, run.result(finish, this.#now()));
  }

  #leave(run: ScheduledRun): void {
    this.#runs.delete(run.request.run);
    this.#answering.left(run);
    this.#compiling.left(run);
    this.#modules.left(run);
    if (run.awaits) this.cancel(run.awaits.request.run);
    run.past.busy = false;
    run.running = false;
    this.#fairness.leave(run.client);
  }
}
