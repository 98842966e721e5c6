/**
 * No machine code touches a model before each of its kernels has agreed, bit for bit, with the interpreter on made-up operands (trial.ts). That
 * takes about a tenth of a second for the kernels of a model; code that has passed on this processor is remembered by its SHA-256.
 */
import { createHash } from "node:crypto";
import { debuglog } from "node:util";
import { LatheError } from "../../errors.ts";
import type { Kernel } from "../../ir/node.ts";
import type { NativeKernel } from "../compile.ts";
import { keep, keptPath, readKept } from "../kept.node.ts";
import type { KernelTable } from "../launch.ts";
import { Trials } from "../trial.ts";

/** Seen with NODE_DEBUG=lathe. */
const debug = debuglog("lathe");
/** Counts up when trials find more than they did. */
const VERSION = 1;
/** Of pieces of code that have passed; the oldest are forgotten. */
const MOST_KEPT = 1000;

/** Code as it was compiled, the same kernels where they lie, and how a thread makes functions of them that work on another memory. */
export interface Unproven {
  readonly code: Uint8Array;
  readonly kernels: readonly Kernel[];
  readonly installed: readonly NativeKernel[];
  readonly tableOn: (memory: WebAssembly.Memory, kernels: readonly NativeKernel[]) => KernelTable;
  /** `mulAdd` is rounded once. */
  readonly fused: boolean;
}

/** Hashes that the file holds, if it has the right form. */
function passedBefore(path: string): Set<string> {
  const found = readKept(path);
  return new Set(Array.isArray(found) ? found.filter(key => typeof key === "string" && /^[0-9a-f]{64}$/.test(key)).slice(-MOST_KEPT) : []);
}

/** @throws LatheError target.faulty, which names the kernel, where code does something else than the interpreter. */
export function prove({ code, kernels, installed, tableOn, fused }: Unproven): void {
  if (!kernels.length) return;
  const key = createHash("sha256").update(code).update(String(fused)).digest("hex");
  const path = keptPath("proofs", VERSION);
  const passed = passedBefore(path);
  if (passed.has(key)) return;
  const begun = performance.now();
  const trials = new Trials(Math.max(...kernels.map(k => k.slots.length)));
  const table = tableOn(trials.memory, installed);
  for (const kernel of kernels) {
    const { difference, accesses, seen } = trials.judge(kernel, fused, table.get(kernel.name)!);
    if (difference) throw faulty(kernel, difference);
    if (seen < accesses) debug("%s: %d of %d accesses tried", kernel.name, seen, accesses);
  }
  debug("%d kernels tried in %d ms", kernels.length, performance.now() - begun);
  keep(path, [...passed, key].slice(-MOST_KEPT));
}

function faulty({ name }: Kernel, difference: object): LatheError {
  const message = `The machine code of kernel "${name}" does not compute what it should on this processor; use the target "wasm", and report this as a fault in Lathe.`;
  return new LatheError("target.faulty", message, { kernel: name, ...difference });
}
