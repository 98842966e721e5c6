/**
 * A program is a flat list of kernel launches; every thread of a team runs the same list in step. Arguments are numbers or depend on the few
 * variables of a step (how many tokens it has). Owns the form of programs and their execution on one thread; team.ts owns the threads.
 */
import type { Barrier } from "./barrier.ts";

/** A number, or `mul * variables[v] + add`. */
export type Arg = number | { readonly v: number; readonly mul: number; readonly add: number };

export interface Launch {
  /** Name of the kernel. */
  readonly kernel: string;
  /** Grid units; cut into equal shares for the threads. */
  readonly grid: Arg;
  readonly args: readonly Arg[];
  /** All threads must be done with this launch before the next begins. */
  readonly sync: boolean;
  /** For profiles: bytes of weights that the launch reads, and operations for each token. */
  readonly bytes?: number;
  readonly operations?: number;
}

export type Program = readonly Launch[];

/** begin, end, then the kernel's slots; addresses are byte offsets into the arena. */
export type KernelFunction = (begin: number, end: number, ...args: number[]) => void;
export type KernelTable = ReadonlyMap<string, KernelFunction>;

const resolve = (arg: Arg, variables: Float64Array): number => (typeof arg === "number" ? arg : arg.mul * variables[arg.v] + arg.add);

/** Boundaries of the shares of a grid. */
export const share = (grid: number, rank: number, size: number): number => Math.floor((grid * rank) / size);

/**
 * Runs a program as member `rank`. `times`, if given, gets the milliseconds that each launch and the waiting after it took; profiling
 * synchronises after every launch.
 */
export function execute(
  program: Program,
  kernels: KernelTable,
  variables: Float64Array,
  rank: number,
  barrier: Barrier,
  profile: { readonly times?: Float64Array } | undefined,
): void {
  const { size } = barrier;
  let mark = profile?.times ? performance.now() : 0;
  for (let i = 0; i < program.length; i++) {
    const launch = program[i];
    const grid = resolve(launch.grid, variables);
    const begin = share(grid, rank, size);
    const end = share(grid, rank + 1, size);
    if (end > begin) {
      const run = kernels.get(launch.kernel)!;
      run(begin, end, ...launch.args.map(a => resolve(a, variables)));
    }
    if (launch.sync || profile) barrier.wait();
    if (profile?.times) {
      const now = performance.now();
      profile.times[i] += now - mark;
      mark = now;
    }
  }
}
