/**
 * The passes between a traced kernel and instruction selection, as a list that can be read, printed and timed. Each is a pure function
 * from kernel to kernel that keeps the meaning; tests run the interpreter after each.
 */
import type { Kernel } from "../ir/node.ts";
import { hoistAddresses } from "./addresses.ts";
import { expandDots } from "./expand.ts";
import { floatProducts } from "./floats.ts";
import { joins, joinTurns } from "./join.ts";
import { legalise } from "./legalise.ts";
import { narrowDots } from "./narrow.ts";
import { separate } from "./strict.ts";
import { unroll } from "./unroll.ts";

/** What a target tells the passes about its machine. */
export interface Machine {
  /** Bytes of a vector register. */
  readonly width: number;
  /** Bytes of the registers in which two turns of a loop are done at once, in kernels that have such loops; absent: none are. */
  readonly joined?: number;
  /** Byte dots in one instruction: none; `pairs` into 16 bits; `quads` into 32 bits. */
  readonly dots: "none" | "pairs" | "quads";
  /** The first operand of those instructions must lie in 0 .. this. */
  readonly unsigned: 127 | 255;
  /** Nodes that a loop of known length may become when it is written out; 0: loops stay. */
  readonly unroll: number;
  /** `mulAdd` is rounded twice everywhere. */
  readonly strict?: boolean;
}

export interface NamedPass {
  readonly name: string;
  readonly run: (kernel: Kernel, machine: Machine) => Kernel;
}

export const passes: readonly NamedPass[] = [
  { name: "separate-products", run: (k, m) => (m.strict ? separate(k) : k) },
  { name: "join-turns", run: (k, m) => (m.joined ? joinTurns(k, m.joined) : k) },
  { name: "unroll", run: (k, m) => (m.unroll ? unroll(k, m.unroll) : k) },
  { name: "narrow-dots", run: (k, m) => (m.dots === "pairs" ? narrowDots(k) : k) },
  { name: "float-products", run: (k, m) => (m.dots === "quads" ? floatProducts(k) : k) },
  { name: "legalise", run: (k, m) => legalise(k, m.width) },
  { name: "expand-dots", run: expandDots },
  { name: "hoist-addresses", run: hoistAddresses },
];

/** Runs all passes; `seen` is told of every step (for printing). */
export function lower(kernel: Kernel, machine: Machine, seen?: (pass: string, kernel: Kernel) => void): Kernel {
  let k = kernel;
  const m = machine.joined && joins(kernel.body, machine.joined) ? { ...machine, width: machine.joined } : machine;
  for (const pass of passes) {
    k = pass.run(k, m);
    seen?.(pass.name, k);
  }
  return k;
}
