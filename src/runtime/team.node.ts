/**
 * The team of threads that runs programs in step, seen from its leader, the engine's thread. `run` blocks the leader, which does its own share
 * of the work. Setting up (kernels, programs, packing tasks) is asynchronous and happens while the others are paused.
 */
import { Worker } from "node:worker_threads";
import { LatheError } from "../errors.ts";
import type { Arena } from "./arena.ts";
import { signalChange } from "./barrier.ts";
import type { Compiled } from "./compile.ts";
import type { Program } from "./launch.ts";
import { type MemberData, openParts, type Setup } from "./member.node.ts";
import { control, Member, orders, type PackTask, VARIABLES } from "./member.ts";

export class Team {
  readonly size: number;
  readonly #leader: Member;
  readonly #words: Int32Array;
  readonly #workers: readonly Worker[];
  #following = false;

  private constructor(leader: Member, words: Int32Array, workers: readonly Worker[], size: number) {
    this.#leader = leader;
    this.#words = words;
    this.#workers = workers;
    this.size = size;
  }

  /** Starts `threads` - 1 workers beside the calling thread. */
  static start(threads: number, arena: Arena): Team {
    const block = new SharedArrayBuffer(4 * control.words + 8 * VARIABLES);
    const leader = new Member(0, threads, block, arena.memory);
    const workers = Array.from({ length: threads - 1 }, (_, i) => {
      const workerData: MemberData = { rank: i + 1, size: threads, block, memory: arena.memory, memory64: arena.memory64 };
      const worker = new Worker(new URL("./member.node.js", import.meta.url), { workerData, execArgv: [] });
      worker.unref();
      worker.setMaxListeners(0);
      return worker;
    });
    return new Team(leader, new Int32Array(block, 0, control.words), workers, threads);
  }

  /** Variables of the next run. */
  get variables(): Float64Array {
    return this.#leader.variables;
  }

  /** Gives every member its kernels. */
  async setKernels({ table, shared }: Compiled): Promise<void> {
    this.#leader.kernels = table;
    if (shared) await this.#setUp(() => ({ kind: "kernels", shared }));
  }

  async setPrograms(programs: readonly Program[]): Promise<void> {
    this.#leader.programs = programs;
    await this.#setUp(() => ({ kind: "programs", programs }));
  }

  /** Packs weights on all members. `staging` gives each member's area. Throws "file.changed" if the files could not be read to their ends. */
  async pack(
    tasks: readonly PackTask[],
    parts: readonly string[],
    staging: (rank: number) => number,
    progress: (bytes: number) => void,
  ): Promise<void> {
    this.#leader.tasks = tasks;
    this.#leader.staging = staging(0);
    await this.#setUp(rank => ({ kind: "tasks", tasks, parts, staging: staging(rank) }));
    this.#follow();
    for (const word of [control.task, control.failed, control.packed]) Atomics.store(this.#words, word, 0);
    const { read, close } = openParts(parts);
    this.#order(orders.pack, 0);
    let cause: unknown;
    try {
      this.#leader.pack(read, kib => progress(kib * 1024));
    } catch (e) {
      cause = e;
    } finally {
      close();
      this.#leader.barrier.wait();
    }
    if (Atomics.load(this.#words, control.failed)) {
      const message = "The model file could not be read to its end while loading; check that it is complete and not being written to.";
      throw new LatheError("file.changed", message, { parts }, { cause });
    }
    progress(1024 * Atomics.load(this.#words, control.packed)); // the leader may have packed nothing itself
  }

  /** Runs a program on all members; returns when all are done. */
  run(program: number): void {
    this.#follow();
    this.#order(orders.run, program);
    this.#leader.run(program);
  }

  /** Runs a program, adding the milliseconds of each launch to `times`. */
  profile(program: number, times: Float64Array): void {
    this.#follow();
    this.#order(orders.profile, program);
    this.#leader.profile(program, times);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(w => w.terminate()));
  }

  #order(kind: number, program: number): void {
    Atomics.store(this.#words, control.kind, kind);
    Atomics.store(this.#words, control.program, program);
    signalChange(this.#words, control.order, control.sleeping);
  }

  #follow(): void {
    if (this.#following) return;
    this.#following = true;
    for (const w of this.#workers) w.postMessage({ kind: "follow" } satisfies Setup);
  }

  /** Brings the workers back to their event loops and waits until each has taken the message. */
  async #setUp(message: (rank: number) => Setup): Promise<void> {
    if (this.#following) {
      this.#order(orders.pause, 0);
      this.#following = false;
    }
    await Promise.all(
      this.#workers.map(
        (worker, i) =>
          new Promise<void>((resolve, reject) => {
            worker.once("error", e =>
              reject(new LatheError("engine.failed", "A worker thread of the engine died; load the model again.", {}, { cause: e })),
            );
            worker.once("message", () => resolve());
            worker.postMessage(message(i + 1));
          }),
      ),
    );
  }
}
