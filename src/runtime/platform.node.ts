/** What only Node can say about the machine: relaxed SIMD behind a flag, memory, cores. */
import { availableParallelism, cpus, totalmem } from "node:os";
import v8 from "node:v8";
import { runInNewContext } from "node:vm";
import { hasRelaxedSimd } from "../target/wasm/features.ts";

/**
 * Node 20 has relaxed SIMD behind a V8 flag that can be set while running; it only allows more modules. Newer versions have it on, and would
 * print an error for the unknown flag, so it is asked for first.
 */
export function enableRelaxedSimd(): void {
  if (!hasRelaxedSimd()) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
}

/**
 * Compiles with V8's optimising compiler at once. By default V8 compiles lazily with its baseline compiler, a fifth as fast here, and the
 * first prompt would run on that. The flags are the process's own and are put back before anything else can compile on this thread.
 */
export function compileOptimised(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  v8.setFlagsFromString("--no-liftoff");
  v8.setFlagsFromString("--no-wasm-lazy-compilation");
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    v8.setFlagsFromString("--liftoff");
    v8.setFlagsFromString("--wasm-lazy-compilation");
  }
}

/** Pieces of work that may still be done without V8's optimising compiler. */
let unoptimisedLeft = 24;

/**
 * Runs `work` on the code of V8's baseline compilers. Tracing a model and compiling its kernels takes a fraction of a second, in which V8 would
 * spend twice that on optimising it, on the cores that the other threads start on. Longer work pays it back, so only the first pieces, each a
 * kernel or so, are done this way. The flag is the process's own and is put back afterwards.
 */
export function unoptimised<T>(work: () => T): T {
  if (unoptimisedLeft <= 0) return work();
  const left = unoptimisedLeft - 1;
  unoptimisedLeft = 0; // inside, there is nothing to be put back
  v8.setFlagsFromString("--no-opt");
  try {
    return work();
  } finally {
    v8.setFlagsFromString("--opt");
    unoptimisedLeft = left;
  }
}

/**
 * Collects this thread's garbage now. Tracing and compiling leave tens of megabytes that V8 would keep for a long time, since afterwards the
 * engine hardly allocates. Best effort: a runtime that does not lend its collector goes on as it is.
 */
export function collectGarbage(): void {
  try {
    v8.setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    v8.setFlagsFromString("--no-expose-gc");
    collect();
  } catch {
    // no collector to be had
  }
}

/** Bytes that this process may still use, containers' limits included. */
export function availableMemory(): number {
  const node = process as NodeJS.Process & { availableMemory?: () => number };
  return node.availableMemory?.() ?? totalmem();
}

export const defaultThreads = (): number => Math.max(1, Math.min(availableParallelism(), 16));
export const cpuName = (): string => cpus()[0]?.model.trim() ?? "unknown CPU";
