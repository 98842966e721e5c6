/**
 * The team of threads that runs programs in step, seen from its leader, the engine's thread. `run` blocks the leader, which does its own share
 * of the work. Setting up (kernels, programs, packing tasks) is asynchronous and happens while the others are paused.
 */
import { Worker } from "node:worker_threads";
import { LatheError } from "../errors.ts";
import type { Arena } from "./arena.ts";
import type { Compiled } from "./compile.ts";
import type { Program } from "./launch.ts";
import { hasEnded, type MemberData, openParts, type Setup } from "./member.node.ts";
import { control, Member, orders, type PackTask, type ReadTask, sharedBlock } from "./member.ts";
import { Door } from "./native/door.node.ts";
import { Paces } from "./pace.ts";

/** A run that takes so long is worth every member's while: trying fewer would be felt, and what waiting costs is not. */
const LONG_MS = 4;

export class Team {
  readonly size: number;
  readonly #leader: Member;
  readonly #words: Int32Array;
  readonly #workers: readonly Worker[];
  readonly #door: Door;
  readonly #paces: Paces;
  #following = false;

  private constructor(leader: Member, words: Int32Array, workers: readonly Worker[], door: Door, size: number) {
    this.#leader = leader;
    this.#words = words;
    this.#workers = workers;
    this.#door = door;
    this.size = size;
    this.#paces = new Paces(size);
    leader.barrier.check = () => {
      for (let rank = 1; rank < size; rank++) if (hasEnded(leader.threadOf(rank))) throw new Error(`thread ${rank} has ended`);
    };
    for (const w of workers) {
      w.on("error", e => leader.fail(e));
      w.on("exit", code => leader.fail(new Error(`it ended with code ${code}`)));
    }
  }

  /** Starts `threads` - 1 workers beside the calling thread. */
  static start(threads: number, arena: Arena): Team {
    const block = sharedBlock(threads);
    const leader = new Member(0, threads, block, arena.memory);
    const door = new Door();
    const workers = Array.from({ length: threads - 1 }, (_, i) => {
      const workerData: MemberData = { ...door.data, rank: i + 1, size: threads, block, memory: arena.memory, memory64: arena.memory64 };
      const worker = new Worker(new URL("./member.node.js", import.meta.url), { workerData, execArgv: [] });
      worker.unref();
      return worker;
    });
    return new Team(leader, new Int32Array(block, 0, control.words), workers, door, threads);
  }

  /** Variables of the next run. */
  get variables(): Float64Array {
    return this.#leader.variables;
  }

  /** Gives the first `members` members their kernels: all, or the leader alone, who need not wait for threads that are still starting. */
  async setKernels({ table, shared }: Compiled, members: number = this.size): Promise<void> {
    this.#leader.kernels = table;
    if (shared && members > 1) await this.#setUp(() => ({ kind: "kernels", shared }));
  }

  async setPrograms(programs: readonly Program[]): Promise<void> {
    this.#leader.programs = programs;
    await this.#setUp(() => ({ kind: "programs", programs }));
  }

  /** Packs or reads weights on all members, or on the leader alone. `staging` gives each member's area. Throws "file.changed" if the files could not be read to their ends. */
  async pack(
    tasks: readonly (PackTask | ReadTask)[],
    parts: readonly string[],
    staging: (rank: number) => number,
    progress: (bytes: number) => void,
    members: number = this.size,
  ): Promise<void> {
    this.#leader.tasks = tasks;
    this.#leader.staging = staging(0);
    if (members > 1) await this.#setUp(rank => ({ kind: "tasks", tasks, parts, staging: staging(rank) }));
    for (const word of [control.task, control.unreadable, control.packed]) Atomics.store(this.#words, word, 0);
    const cause = this.#together(orders.pack, 0, members, leader => {
      leader.join();
      const failure = leader.pack(
        () => openParts(parts),
        kib => progress(kib * 1024),
      );
      leader.barrier.wait();
      return failure;
    });
    if (Atomics.load(this.#words, control.unreadable)) {
      const message = "The model file could not be read to its end while loading; check that it is complete and not being written to.";
      throw new LatheError("file.changed", message, { parts }, { cause });
    }
    progress(1024 * Atomics.load(this.#words, control.packed)); // the leader may have packed nothing itself
  }

  /**
   * Runs a program on as many members as have been found to be fastest; returns when it is done, or, with false, soon after `interrupted`, which is
   * asked after each launch, has said so. Throws "engine.failed" if a member has failed, now or before.
   */
  run(program: number, interrupted?: () => boolean): boolean {
    const work = Math.max(1, this.variables[0]);
    const pace = this.#paces.of(work);
    const { active } = pace;
    const begun = performance.now();
    this.#leader.cut(active);
    const whole = this.#together(orders.run, program, active, leader => leader.run(program, interrupted));
    const took = performance.now() - begun;
    if (whole) pace.took(took / work, took >= LONG_MS);
    return whole;
  }

  /** Runs a program on all members, adding the milliseconds of each launch to `times`. */
  profile(program: number, times: Float64Array): void {
    this.#leader.cut(this.size);
    this.#together(orders.profile, program, this.size, leader => leader.profile(program, times));
  }

  /** Ends the threads. Nothing is run any more, not even by the leader. */
  async close(): Promise<void> {
    await this.#door.shut();
    await Promise.all(this.#workers.map(w => w.terminate()));
    this.#leader.fail(new Error("it was closed"));
  }

  /** Gives an order and does the leader's part of it. Whoever fails, nobody is left waiting, and the team takes no more orders. */
  #together<T>(kind: number, program: number, active: number, part: (leader: Member) => T): T {
    this.requireWhole();
    if (active > 1) this.#follow();
    this.#leader.call(kind, program, active);
    try {
      return part(this.#leader);
    } catch (e) {
      this.#leader.fail(e);
      throw this.#failure(e);
    }
  }

  /** Throws "engine.failed" if a member has failed: the team computes nothing any more. */
  requireWhole(): void {
    if (this.#leader.barrier.broken) throw this.#failure();
  }

  #failure(cause?: unknown): LatheError {
    const { complaint } = this.#leader;
    const message = `A thread of the engine failed (${complaint}); load the model again.`;
    return new LatheError("engine.failed", message, { reason: complaint }, { cause });
  }

  #follow(): void {
    if (this.#following) return;
    this.#following = true;
    for (const w of this.#workers) w.postMessage({ kind: "follow" } satisfies Setup);
  }

  /** Brings the workers back to their event loops and waits until each has taken the message. */
  async #setUp(message: (rank: number) => Setup): Promise<void> {
    this.requireWhole();
    if (this.#following) {
      this.#leader.call(orders.pause, 0, this.size);
      this.#following = false;
    }
    await Promise.all(this.#workers.map((worker, i) => this.#sent(worker, message(i + 1))));
  }

  #sent(worker: Worker, message: Setup): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = (end: () => void) => (): void => {
        worker.off("message", taken);
        worker.off("exit", gone);
        end();
      };
      const taken = settled(resolve);
      const gone = settled(() => reject(this.#failure()));
      worker.once("message", taken);
      worker.once("exit", gone);
      worker.postMessage(message);
    });
  }
}
