/**
 * One kernel at one size: how its operands lie in memory, what the result must be, and what a run costs. The tests run every case on every
 * machine; a benchmark can time the same objects.
 */
import type { Kernel } from "../../src/ir/node.ts";
import type { Image } from "../fixtures/machines.ts";

/** A stretch of results: `at` in memory, the true values, and how far each may be off. */
export interface Expected {
  readonly what: string;
  readonly at: number;
  readonly values: ArrayLike<number>;
  readonly bounds: ArrayLike<number>;
}

export interface Laid {
  readonly grid: number;
  readonly args: readonly number[];
  /** f32 results; everything else in the memory must be as it was, except `scratch`. */
  readonly expected: readonly Expected[];
  readonly scratch?: readonly { readonly at: number; readonly bytes: number }[];
  /** Further checks of the memory after a run. */
  readonly check?: (memory: Uint8Array) => void;
}

export interface KernelCase {
  readonly name: string;
  readonly kernel: Kernel;
  /** Bytes of operands and results that one run must move at least. */
  readonly bytes: number;
  /** Multiplications and additions of one run. */
  readonly operations: number;
  readonly lay: (image: Image) => Laid;
  /** Too large for the interpreter: compared with the truth only. */
  readonly large?: boolean;
}

/** One rounding of f32, relative. */
export const U = 2 ** -24;
