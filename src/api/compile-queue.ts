/**
 * The queue in front of the thread that compiles constraints: clients take turns, the thread is given one thing at a time, and one
 * that hangs or dies is replaced: what it was at is told so, the rest is done by the next one. Knows nothing of what the tasks are for.
 */
import type { FlatTrie } from "../decode/constrain/trie.ts";
import type { FromCompiler, ToCompiler } from "./compile-service.ts";

/** The compiling thread: a `CompileService` behind a channel. */
export interface Compiler {
  post(message: ToCompiler): void;
  onMessage(listener: (message: FromCompiler) => void): void;
  /** It ended, which it never does by itself. */
  onDeath(listener: () => void): void;
  terminate(): void;
}

export type Answer = Exclude<FromCompiler, { kind: "trie" }>;

export interface Task {
  readonly client: string;
  readonly message: Extract<ToCompiler, { job: number }>;
  /** Called once, with what came of it; undefined: the thread died of it. */
  readonly settled: (answer: Answer | undefined, ms: number) => void;
}

/** `first`, `last`: among the client's own; `idle`: when nobody waits for anything else. */
export type Turn = "first" | "last" | "idle";

export interface QueueSurroundings {
  readonly start: () => Compiler;
  /** What a new thread is told first of all. */
  readonly greeting: () => ToCompiler | undefined;
  readonly trie: (trie: FlatTrie) => void;
  /** The thread died, and what it held is lost; called after who is to blame was told. Tasks that need it are gone. */
  readonly lost: () => void;
}

/** Milliseconds after which a task is taken for one that never ends: what tasks may do is counted, so that none takes as long. */
const LONGEST_MS = 5_000;
/** The same for the first, with the thread's start and the vocabulary's tree before it. */
const LONGEST_START_MS = 30_000;

export class CompileQueue {
  readonly #surroundings: QueueSurroundings;
  #compiler: Compiler | undefined;
  /** What waits, by client; the client whose turn is next comes first. */
  readonly #waiting = new Map<string, Task[]>();
  readonly #idle = new Set<Task>();
  /**
   * Handed over, and answered once. What came of it is taken between two steps: so one task is worked at in the time of a step, which answers that are
   * under way hardly feel, and where there are no steps the next is handed over at once.
   */
  #at: Task | undefined;
  #begun = 0;
  /** Whether the thread has answered anything. */
  #heard = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(surroundings: QueueSurroundings) {
    this.#surroundings = surroundings;
  }

  /** How many of a client wait, and are not handed over. */
  waitingOf(client: string): number {
    return this.#waiting.get(client)?.length ?? 0;
  }

  add(task: Task, turn: Turn): void {
    const own = this.#waiting.get(task.client) ?? [];
    if (turn === "idle") this.#idle.add(task);
    else this.#waiting.set(task.client, turn === "first" ? [task, ...own] : [...own, task]);
    this.#handOver();
  }

  /** Nobody wants it any more. False: it is handed over, and done all the same. */
  remove(task: Task): boolean {
    if (this.#idle.delete(task)) return true;
    const own = this.#waiting.get(task.client) ?? [];
    const left = own.filter(t => t !== task);
    if (left.length) this.#waiting.set(task.client, left);
    else this.#waiting.delete(task.client);
    return left.length < own.length;
  }

  /** The thread may forget a job. */
  drop(job: number): void {
    this.#compiler?.post({ kind: "drop", job });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#compiler?.terminate();
    this.#compiler = undefined;
  }

  /** The task whose turn it is, taken out; whose client it is goes to the end. */
  #next(): Task | undefined {
    const turn = this.#waiting.entries().next();
    if (turn.done) {
      const [task] = this.#idle;
      if (task) this.#idle.delete(task);
      return task;
    }
    const [client, [task, ...rest]] = turn.value;
    this.#waiting.delete(client);
    if (rest.length) this.#waiting.set(client, rest);
    return task;
  }

  #handOver(): void {
    if (this.#at) return;
    this.#at = this.#next();
    if (!this.#at) return;
    this.#watch();
    this.#thread().post(this.#at.message);
  }

  /** The thread is at a task now, if there is one. */
  #watch(): void {
    clearTimeout(this.#timer);
    if (!this.#at) return;
    this.#begun = performance.now();
    this.#timer = setTimeout(() => this.#compiler && this.#died(this.#compiler), this.#heard ? LONGEST_MS : LONGEST_START_MS);
  }

  #thread(): Compiler {
    if (this.#compiler) return this.#compiler;
    const started = this.#surroundings.start();
    this.#compiler = started;
    this.#heard = false;
    started.onMessage(m => this.#receive(m));
    started.onDeath(() => this.#died(started));
    const greeting = this.#surroundings.greeting();
    if (greeting) started.post(greeting);
    return started;
  }

  #receive(message: FromCompiler): void {
    this.#heard = true;
    if (message.kind === "trie") {
      this.#surroundings.trie(message.trie);
      this.#watch();
      return;
    }
    const task = this.#at;
    this.#at = undefined;
    const ms = performance.now() - this.#begun;
    this.#watch();
    task?.settled(message, ms);
    this.#handOver();
  }

  #died(compiler: Compiler): void {
    if (compiler !== this.#compiler) return;
    this.#compiler = undefined;
    compiler.terminate();
    const guilty = this.#at;
    this.#at = undefined;
    this.#watch();
    this.#idle.clear();
    for (const [client, tasks] of [...this.#waiting]) {
      const left = tasks.filter(t => t.message.kind === "compile"); // the others are about what is lost
      if (left.length) this.#waiting.set(client, left);
      else this.#waiting.delete(client);
    }
    guilty?.settled(undefined, performance.now() - this.#begun);
    this.#surroundings.lost();
    this.#handOver();
  }
}
