/**
 * What each thread of a team does: holds the compiled kernels, runs programs in step with the others, and packs weights task by task. The
 * leader (rank 0) is the engine's own thread; team.ts directs, member.node.ts is the others' entry.
 */
import { BARRIER_WORDS, Barrier } from "./barrier.ts";
import { execute, type KernelFunction, type KernelTable, type Program } from "./launch.ts";

/** Where the control words lie in the team's shared block of 32-bit words. */
export const control = {
  /** Changes when there is a new order. */
  order: 0,
  /** Members asleep on `order`. */
  sleeping: 1,
  /** Which order. */
  kind: 2,
  /** The program's number. */
  program: 3,
  /** Next packing task to be taken. */
  task: 4,
  /** Set by a member that could not read the file. */
  failed: 5,
  /** KiB packed so far, by all members. */
  packed: 6,
  barrier: 8,
  words: 8 + BARRIER_WORDS + 5,
} as const;
export const VARIABLES = 16;

/** `pause` sends a member back to its event loop, where it takes new kernels, programs and tasks. */
export const orders = { run: 1, profile: 2, pack: 3, pause: 4 } as const;

/** Reads rows of a weight from the file and packs them; tasks of one list may run in any order on any member. */
export interface PackTask {
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

/** Reads `length` bytes at `offset` of file `part` into `into`. Synchronous: members are not event loops. */
export type ReadPart = (part: number, offset: number, into: Uint8Array) => void;

export class Member {
  readonly rank: number;
  readonly barrier: Barrier;
  readonly variables: Float64Array;
  readonly #words: Int32Array;
  readonly #memory: WebAssembly.Memory;
  kernels: KernelTable = new Map();
  programs: readonly Program[] = [];
  tasks: readonly PackTask[] = [];
  /** Address of this member's staging area. */
  staging = 0;

  constructor(rank: number, size: number, block: SharedArrayBuffer, memory: WebAssembly.Memory) {
    this.rank = rank;
    this.#words = new Int32Array(block, 0, control.words);
    this.barrier = new Barrier(this.#words.subarray(control.barrier), size);
    this.variables = new Float64Array(block, 4 * control.words, VARIABLES);
    this.#memory = memory;
  }

  run(program: number): void {
    execute(this.programs[program], this.kernels, this.variables, this.rank, this.barrier, undefined);
  }

  profile(program: number, times?: Float64Array): void {
    execute(this.programs[program], this.kernels, this.variables, this.rank, this.barrier, { times });
  }

  /** Takes packing tasks until none is left or a member has failed; `progress` gets the KiB that the whole team has packed. */
  pack(read: ReadPart, progress?: (kib: number) => void): void {
    for (;;) {
      const next = Atomics.add(this.#words, control.task, 1);
      if (next >= this.tasks.length || Atomics.load(this.#words, control.failed)) return;
      const task = this.tasks[next];
      try {
        this.#packOne(task, read);
      } catch (e) {
        Atomics.store(this.#words, control.failed, 1);
        throw e;
      }
      const kib = Math.ceil(task.bytes / 1024);
      const packed = Atomics.add(this.#words, control.packed, kib) + kib;
      progress?.(packed);
    }
  }

  #packOne(task: PackTask, read: ReadPart): void {
    const padded = task.paddedRows * task.rowBytes;
    const target = new Uint8Array(this.#memory.buffer, this.staging, padded);
    if (task.order) {
      const raw = new Uint8Array(this.#memory.buffer, this.staging + padded, task.bytes);
      read(task.part, task.offset, raw);
      for (let row = 0; row < task.rows; row++) {
        const { order } = task;
        const stretch = row - (row % order.length);
        const from = (stretch + order[row % order.length]) * task.rowBytes;
        target.set(raw.subarray(from, from + task.rowBytes), row * task.rowBytes);
      }
    } else read(task.part, task.offset, target.subarray(0, task.bytes));
    target.fill(task.padding ?? 0, task.rows * task.rowBytes);
    this.kernels.get(task.kernel)!(0, task.grid, this.staging, ...task.args);
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
    const wide: KernelFunction = (begin, end, ...args) => f(begin, end, ...args.map((a, i) => (isAddress[i] ? BigInt(a) : a)));
    table.set(name, memory64 ? wide : (f as KernelFunction));
  }
  return table;
}
