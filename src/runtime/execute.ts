/** Running a program as one member of a team: kernels with their arguments in place, a share of every launch, and barriers between. */
import type { Barrier } from "./barrier.ts";
import { type Arg, type BoundKernel, bind, type KernelTable, type Program, resolve } from "./launch.ts";
import { SECTION, type Shares } from "./shares.ts";

/** What a piece of a launch should at least take, in nanoseconds: many times what a call and the counting cost. */
const PIECE = 5_000;
/** Rough speeds of one thread, for judging what a piece takes: bytes and operations a nanosecond. */
const BYTES = 10;
const OPERATIONS = 50;
/** Pieces of a member's share in a launch that does not say what it costs. */
const PIECES = 4;

/**
 * How a run may end before its end. The leader says behind which launch, in a word that all members see, before it comes to the barrier there
 * itself: so nobody passes that barrier without knowing. They meet once more, so that nobody has yet to look when the word is set anew.
 */
export interface Ending {
  readonly word: Int32Array;
  /** The leader's: whether to end now. */
  readonly interrupted?: () => boolean;
}
/** What the word says of a run that goes on. */
export const NOWHERE = 2 ** 31 - 1;

interface Prepared {
  readonly kernel: BoundKernel;
  readonly grid: Arg;
  /** Slots whose arguments depend on variables. */
  readonly varying: readonly { readonly slot: number; readonly arg: Arg }[];
  readonly sync: boolean;
  readonly bytes: number;
  readonly operations: number;
}

/** A program whose launches have been looked up and given their constant arguments. */
export class PreparedProgram {
  readonly #launches: readonly Prepared[];
  /** The variables that arguments were last computed for. */
  readonly #seen: Float64Array;

  constructor(program: Program, kernels: KernelTable, variables: Float64Array) {
    this.#seen = new Float64Array(variables.length).fill(Number.NaN);
    let since = 0;
    this.#launches = program.map((launch, i) => {
      const varying = launch.args.flatMap((arg, slot) => (typeof arg === "number" ? [] : [{ slot, arg }]));
      const kernel = bind(
        kernels.get(launch.kernel)!,
        launch.args.map(arg => resolve(arg, variables)),
      );
      const sync = launch.sync || ++since === SECTION || i === program.length - 1;
      if (sync) since = 0;
      return { kernel, grid: launch.grid, varying, sync, bytes: launch.bytes ?? 0, operations: launch.operations ?? 0 };
    });
  }

  /**
   * Does this member's part. `profile` synchronises after every launch; its `times`, if given, get the milliseconds that each launch and the
   * waiting after it took. False: it was ended before its end.
   */
  run(variables: Float64Array, shares: Shares, barrier: Barrier, ending: Ending, profile?: { readonly times?: Float64Array }): boolean {
    this.#settleArguments(variables);
    const times = profile?.times;
    const last = this.#launches.length - 1;
    let mark = times ? performance.now() : 0;
    for (let i = 0; i <= last; i++) {
      const launch = this.#launches[i];
      const grid = resolve(launch.grid, variables);
      if (shares.active === 1) {
        if (grid > 0) launch.kernel.run(0, grid);
        if (i < last && ending.interrupted?.()) return false;
      } else {
        const cost = grid > 0 ? (launch.bytes / BYTES + (launch.operations * variables[0]) / OPERATIONS) / grid : 0;
        const least = cost > 0 ? PIECE / cost : grid / (shares.active * PIECES);
        shares.take(grid, Math.ceil(Math.min(grid, least)), cost, launch.kernel);
        if (launch.sync || profile) {
          if (i < last && ending.interrupted?.()) Atomics.store(ending.word, 0, i);
          barrier.wait();
          shares.passed();
          if (i < last && Atomics.load(ending.word, 0) <= i) {
            barrier.wait();
            return false;
          }
        }
      }
      if (times) {
        const now = performance.now();
        times[i] += now - mark;
        mark = now;
      }
    }
    return true;
  }

  /** Arguments change only with the variables, and steps of one token follow each other with the same ones. */
  #settleArguments(variables: Float64Array): void {
    if (variables.every((v, i) => v === this.#seen[i])) return;
    for (const { kernel, varying } of this.#launches) for (const { slot, arg } of varying) kernel.set(slot, resolve(arg, variables));
    this.#seen.set(variables);
  }
}
