/**
 * A program is a flat list of kernel launches; every thread of a team runs the same list in step. Arguments are numbers or depend on the few
 * variables of a step (how many tokens it has). Owns the form of programs and of the functions that they call; execute.ts runs them.
 */

/** A number, or `mul * variables[v] + add`. */
export type Arg = number | { readonly v: number; readonly mul: number; readonly add: number };

export interface Launch {
  /** Name of the kernel. */
  readonly kernel: string;
  /** Grid units, which may run in any order on any thread. */
  readonly grid: Arg;
  readonly args: readonly Arg[];
  /** All threads must be done with this launch before the next begins. */
  readonly sync: boolean;
  /** For cutting: bytes of weights that the launch reads, and operations for each token (variable 0). */
  readonly bytes?: number;
  readonly operations?: number;
  /** For profiles: what it reads and writes. */
  readonly traffic?: readonly Traffic[];
}

/** Bytes that a launch reads or writes of one operand: so many, but no more than `most`. */
export interface Traffic {
  readonly bytes: Arg;
  readonly most?: Arg;
}

export type Program = readonly Launch[];

/** A kernel with its arguments in place. */
export interface BoundKernel {
  set(slot: number, value: number): void;
  run(begin: number, end: number): void;
}

/** begin, end, then the kernel's slots; addresses are byte offsets into the arena. */
export interface KernelFunction {
  (begin: number, end: number, ...args: number[]): void;
  /** Keeps arguments for many calls, where that is quicker than passing them each time. */
  readonly withArguments?: (args: readonly number[]) => BoundKernel;
}
export type KernelTable = ReadonlyMap<string, KernelFunction>;

export const resolve = (arg: Arg, variables: Float64Array): number =>
  typeof arg === "number" ? arg : arg.mul * variables[arg.v] + arg.add;

export function bind(kernel: KernelFunction, args: readonly number[]): BoundKernel {
  if (kernel.withArguments) return kernel.withArguments(args);
  const own = [...args];
  return {
    set: (slot, value) => {
      own[slot] = value;
    },
    run: (begin, end) => kernel(begin, end, ...own),
  };
}
