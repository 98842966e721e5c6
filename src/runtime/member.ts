/**
 * What each thread of a team does: holds the compiled kernels, runs programs in step with the others, and packs weights task by task. The
 * leader (rank 0) is the engine's own thread; team.ts directs, member.node.ts is the others' entry.
 */
import { BARRIER_WORDS, Barrier, Patience, signalChange } from "./barrier.ts";
import { type Ending, NOWHERE, PreparedProgram } from "./execute.ts";
import type { BoundKernel, KernelFunction, KernelTable, Program } from "./launch.ts";
import { Shares, shareNumbers, shareWords } from "./shares.ts";

/** Where the control words lie in the team's shared block of 32-bit words. */
export const control = {
  /** Which order. */
  kind: 0,
  /** The program's number. */
  program: 1,
  /** Members whom it concerns: the first ones. */
  active: 2,
  /** The launch behind which the run ends early. */
  ending: 3,
  /** Next packing task to be taken. */
  task: 4,
  /** Set by a member that could not read the file. */
  unreadable: 5,
  /** KiB packed so far, by all members. */
  packed: 6,
  barrier: 8,
  /** Bytes of what the member that failed has said. */
  complaint: 8 + BARRIER_WORDS,
  words: 8 + BARRIER_WORDS + 4,
} as const;
const VARIABLES = 16;
const COMPLAINT_BYTES = 512;
/**
 * Each worker is called by words of its own, so that one that does not take part sleeps on: a word that changes, whether the worker sleeps on
 * it, and the number of its thread. Lines of the cache apart.
 */
const CALL_WORDS = 32;
const [CALL, ASLEEP, THREAD] = [0, 1, 2];

/** The block that a team shares: control words, variables, shares of launches, and room for a complaint. */
const layout = (size: number) => {
  const variables = 4 * control.words;
  const numbers = variables + 8 * VARIABLES;
  const words = numbers + 8 * shareNumbers(size);
  const calls = words + 4 * shareWords(size);
  const complaint = calls + 4 * size * CALL_WORDS;
  return { variables, numbers, words, calls, complaint, bytes: complaint + COMPLAINT_BYTES };
};
export const sharedBlock = (size: number): SharedArrayBuffer => new SharedArrayBuffer(layout(size).bytes);

/** `pause` goes to all; it sends a member back to its event loop, where it takes new kernels, programs and tasks. */
export const orders = { run: 1, profile: 2, pack: 3, pause: 4 } as const;

/** Reads rows of a weight from the file and packs them; tasks of one list may run in any order on any member. */
export interface PackTask {
  /** The arena's address of the rows where they are in memory already; then no file is read. */
  readonly from?: number;
  /** Which opened file. */
  readonly part: number;
  readonly offset: number;
  readonly bytes: number;
  /** Rows in the source, and what they are padded to. */
  readonly rowBytes: number;
  readonly rows: number;
  readonly paddedRows: number;
  /** The byte that padding rows are made of; absent: 0. */
  readonly padding?: number;
  /** Row order inside each stretch: output row i takes source row order[i]. */
  readonly order?: readonly number[];
  readonly kernel: string;
  readonly grid: number;
  /** Arguments after the source address. */
  readonly args: readonly number[];
}

/** Reads a stretch of a file into the arena as it is. */
export interface ReadTask {
  readonly part: number;
  readonly offset: number;
  readonly bytes: number;
  /** Address in the arena. */
  readonly target: number;
}

/** Reads `length` bytes at `offset` of file `part` into `into`. Synchronous: members are not event loops. */
export type ReadPart = (part: number, offset: number, into: Uint8Array) => void;

/** A reader, and the call that closes what it reads from. */
export interface OpenedParts {
  readonly read: ReadPart;
  readonly close: () => void;
}

export class Member {
  readonly rank: number;
  readonly barrier: Barrier;
  readonly variables: Float64Array;
  /** Where this member packs from; set before packing. */
  tasks: readonly (PackTask | ReadTask)[] = [];
  /** Address of this member's staging area. */
  staging = 0;
  readonly #words: Int32Array;
  readonly #memory: WebAssembly.Memory;
  readonly #shares: Shares;
  readonly #complaint: Uint8Array;
  readonly #calls: Int32Array;
  readonly #patience = new Patience();
  readonly #ending: Ending;
  #seen = 0;
  #kernels: KernelTable = new Map();
  #programs: readonly Program[] = [];
  #prepared: PreparedProgram[] = [];

  /** `block`: a `sharedBlock` of the team's size. */
  constructor(rank: number, size: number, block: SharedArrayBuffer, memory: WebAssembly.Memory) {
    const at = layout(size);
    this.rank = rank;
    this.#words = new Int32Array(block, 0, control.words);
    this.#ending = { word: this.#words.subarray(control.ending, control.ending + 1) };
    this.barrier = new Barrier(this.#words.subarray(control.barrier), size);
    this.variables = new Float64Array(block, at.variables, VARIABLES);
    const numbers = new Float64Array(block, at.numbers, shareNumbers(size));
    this.#shares = new Shares(rank, size, new Int32Array(block, at.words, shareWords(size)), numbers);
    this.#complaint = new Uint8Array(block, at.complaint, COMPLAINT_BYTES);
    this.#calls = new Int32Array(block, at.calls, size * CALL_WORDS);
    this.#memory = memory;
  }

  /** What the operating system calls this member's thread; 0 where that is not known. */
  set thread(id: number) {
    Atomics.store(this.#calls, this.rank * CALL_WORDS + THREAD, id);
  }

  threadOf = (rank: number): number => Atomics.load(this.#calls, rank * CALL_WORDS + THREAD);

  /** The leader gives an order to the first `active` members; those before have been carried out. */
  call(kind: number, program: number, active: number): void {
    Atomics.store(this.#words, control.ending, NOWHERE);
    Atomics.store(this.#words, control.kind, kind);
    Atomics.store(this.#words, control.program, program);
    Atomics.store(this.#words, control.active, active);
    for (let rank = 1; rank < active; rank++) signalChange(this.#calls, rank * CALL_WORDS + CALL, rank * CALL_WORDS + ASLEEP);
  }

  /** A worker waits until it is called. */
  awaitCall(): { readonly kind: number; readonly program: number } {
    const at = this.rank * CALL_WORDS;
    this.#patience.await(this.#calls, at + CALL, this.#seen, at + ASLEEP);
    this.#seen = Atomics.load(this.#calls, at + CALL);
    return { kind: Atomics.load(this.#words, control.kind), program: Atomics.load(this.#words, control.program) };
  }

  set kernels(table: KernelTable) {
    this.#kernels = table;
    this.#prepared = [];
  }

  set programs(programs: readonly Program[]) {
    this.#programs = programs;
    this.#prepared = [];
  }

  /** False: the run was ended before its end, as `interrupted` had asked the leader to. */
  run(program: number, interrupted?: () => boolean): boolean {
    this.join();
    return this.#program(program).run(this.variables, this.#shares, this.barrier, { ...this.#ending, interrupted });
  }

  profile(program: number, times?: Float64Array): void {
    this.join();
    this.#program(program).run(this.variables, this.#shares, this.barrier, this.#ending, { times });
  }

  /** The leader, before a run is ordered: cuts it for `active` members, by what they have shown before. */
  cut(active: number): void {
    this.#shares.cut(active);
  }

  /** Takes part in what has been ordered, with those whom it concerns. */
  join(): void {
    const active = Atomics.load(this.#words, control.active);
    this.#shares.begin(active);
    this.barrier.size = active;
  }

  #program(number: number): PreparedProgram {
    this.#prepared[number] ??= new PreparedProgram(this.#programs[number], this.#kernels, this.variables);
    return this.#prepared[number];
  }

  /** Ends the team: this member cannot go on, and nobody shall wait for it. The first to say why is heard. */
  fail(why: unknown): void {
    if (this.barrier.broken) return;
    const text = new TextEncoder().encode(why instanceof Error ? why.message : String(why)).subarray(0, COMPLAINT_BYTES);
    this.#complaint.set(text);
    Atomics.store(this.#words, control.complaint, text.length);
    this.barrier.break();
  }

  /** Why the team has ended. */
  get complaint(): string {
    return new TextDecoder().decode(this.#complaint.slice(0, Atomics.load(this.#words, control.complaint)));
  }

  /**
   * Takes packing tasks until none is left or a member cannot open or read the files; `progress` gets the KiB that the whole team has packed.
   * Gives the error of reading, if this member had one.
   */
  pack(open: () => OpenedParts, progress?: (kib: number) => void): unknown {
    let parts: OpenedParts;
    try {
      parts = open();
    } catch (e) {
      Atomics.store(this.#words, control.unreadable, 1);
      return e;
    }
    try {
      return this.#pack(parts.read, progress);
    } finally {
      parts.close();
    }
  }

  #pack(read: ReadPart, progress?: (kib: number) => void): unknown {
    for (;;) {
      const next = Atomics.add(this.#words, control.task, 1);
      if (next >= this.tasks.length || Atomics.load(this.#words, control.unreadable)) return undefined;
      const task = this.tasks[next];
      try {
        if ("target" in task) read(task.part, task.offset, new Uint8Array(this.#memory.buffer, task.target, task.bytes));
        else this.#stage(task, read);
      } catch (e) {
        Atomics.store(this.#words, control.unreadable, 1);
        return e;
      }
      if ("kernel" in task) this.#kernels.get(task.kernel)!(0, task.grid, this.staging, ...task.args);
      const kib = Math.ceil(task.bytes / 1024);
      const packed = Atomics.add(this.#words, control.packed, kib) + kib;
      progress?.(packed);
    }
  }

  /** Brings the rows of a task into the staging area, in their order. */
  #stage(task: PackTask, read: ReadPart): void {
    const padded = task.paddedRows * task.rowBytes;
    const target = new Uint8Array(this.#memory.buffer, this.staging, padded);
    const bring = (into: Uint8Array): void => {
      if (task.from === undefined) read(task.part, task.offset, into);
      else into.set(new Uint8Array(this.#memory.buffer, task.from, into.length));
    };
    if (task.order) {
      const raw = new Uint8Array(this.#memory.buffer, this.staging + padded, task.bytes);
      bring(raw);
      for (let row = 0; row < task.rows; row++) {
        const { order } = task;
        const stretch = row - (row % order.length);
        const from = (stretch + order[row % order.length]) * task.rowBytes;
        target.set(raw.subarray(from, from + task.rowBytes), row * task.rowBytes);
      }
    } else bring(target.subarray(0, task.bytes));
    target.fill(task.padding ?? 0, task.rows * task.rowBytes);
  }
}

/** Kernel functions from a compiled module; 64-bit memories take addresses as BigInt. */
export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  slots: ReadonlyMap<string, readonly boolean[]>,
  memory64: boolean,
): KernelTable {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const table = new Map<string, KernelFunction>();
  for (const [name, isAddress] of slots) {
    const f = exports[name] as (...args: unknown[]) => void;
    table.set(name, memory64 ? wide(f, isAddress) : (f as KernelFunction));
  }
  return table;
}

function wide(f: (...args: unknown[]) => void, isAddress: readonly boolean[]): KernelFunction {
  const widened = (value: number, slot: number): number | bigint => (isAddress[slot] ? BigInt(value) : value);
  const withArguments = (args: readonly number[]): BoundKernel => {
    const own = args.map(widened);
    return {
      set: (slot, value) => {
        own[slot] = widened(value, slot);
      },
      run: (begin, end) => f(begin, end, ...own),
    };
  };
  return Object.assign((begin: number, end: number, ...args: number[]) => f(begin, end, ...args.map(widened)), { withArguments });
}
