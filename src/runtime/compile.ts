/**
 * From traced kernels to functions on a model's memory. A backend stands for a target on this machine; what other threads need to make the
 * same functions travels to them as `SharedKernels`.
 */
import type { Kernel, SlotKind } from "../ir/node.ts";
import { print } from "../ir/print.ts";
import type { Machine } from "../lower/passes.ts";
import { interpret } from "../target/interp/interp.ts";
import { compileKernel, compileModule } from "../target/wasm/compile.ts";
import { hasRelaxedSimd } from "../target/wasm/features.ts";
import type { Features } from "../target/wasm/rules.ts";
import type { Arena } from "./arena.ts";
import { CodeCache } from "./code-cache.ts";
import type { KernelTable } from "./launch.ts";
import { instantiate } from "./member.ts";

/** What kernels are compiled to. */
export type TargetName = "native" | "wasm" | "interp";

/** Compiled kernels in a form that messages between threads can carry. */
export type SharedKernels =
  | { readonly kind: "wasm"; readonly module: WebAssembly.Module; readonly slots: ReadonlyMap<string, readonly boolean[]> }
  | { readonly kind: "native"; readonly kernels: readonly NativeKernel[] };

/** Machine code at an absolute address. */
export interface NativeKernel {
  readonly name: string;
  readonly entry: number;
  readonly slots: readonly SlotKind[];
}

export interface Compiled {
  /** For the calling thread. */
  readonly table: KernelTable;
  /** For the other members of a team; absent where the target runs on one thread only. */
  readonly shared?: SharedKernels;
}

/** Addresses are such as arguments of kernels are, counted as if the memory were a part of the arena; `Backend.close` gives it back. */
export interface Outside {
  /** Zeroed bytes, which are going to be written once and read many times. Throws "memory.insufficient" where the system refuses. */
  readonly reserve: (bytes: number) => number;
  /** Maps a file, read-only; undefined where that cannot be. */
  readonly mapFile: (path: string, bytes: number) => number | undefined;
  /** Copies bytes at an address into an array. */
  readonly read: (address: number, into: Uint8Array) => void;
}

export interface Backend {
  readonly name: TargetName;
  /** What it tells the passes of its machine, where that depends on the processor. */
  readonly machine?: Machine;
  /** Instructions of a kernel, one a line. */
  readonly list: (kernel: Kernel) => readonly string[];
  readonly compile: (kernels: readonly Kernel[]) => Compiled;
  /** Memory outside of the arena, where kernels reach it. Where it is absent, weights lie in the arena. */
  readonly outside?: Outside;
  /** Gives back all that was taken outside the arena. No kernel may run any more. */
  readonly close: () => void;
}

/** `fast`: products and sums are rounded together where the machine can; `strict`: one after the other, the same bits on every target. */
export type Numerics = "fast" | "strict";

/** How a module's bytes become a module; platforms may know a better way than the default. */
export type CompileModule = (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;

const wasmFeatures = (arena: Arena, numerics: Numerics): Features => ({
  relaxed: hasRelaxedSimd(),
  memory64: arena.memory64,
  strict: numerics === "strict",
});

const nothing = (): void => {};

/** Modules by features, limits and the kernels' texts. How large compiled ones are is not told: some ten times their bytes. */
const moduleCache = new CodeCache<{ readonly module: WebAssembly.Module; readonly bytes: number }>(({ bytes }) => 10 * bytes);

export const interpreter = (arena: Arena): Backend => ({
  name: "interp",
  list: kernel => print(kernel).split("\n"),
  close: nothing,
  compile: kernels => {
    // The buffer is asked for at every call: it changes when the memory grows.
    const run =
      (k: Kernel) =>
      (begin: number, end: number, ...args: number[]): void =>
        interpret(k, arena.memory.buffer, { fused: false })(begin, end, ...args);
    return { table: new Map(kernels.map(k => [k.name, run(k)])) };
  },
});

export const webAssembly = (
  arena: Arena,
  compile: CompileModule = bytes => new WebAssembly.Module(bytes),
  numerics: Numerics = "fast",
): Backend => ({
  name: "wasm",
  list: kernel => compileKernel(kernel, wasmFeatures(arena, numerics)).listing,
  close: nothing,
  compile: kernels => {
    const features = wasmFeatures(arena, numerics);
    const slots = new Map(kernels.map(k => [k.name, k.slots.map(s => s.kind === "in" || s.kind === "out")] as const));
    const { maximumPages } = arena;
    const key = [JSON.stringify({ ...features, maximumPages }), ...kernels.map(print)].join("\n");
    const { module } = moduleCache.get(key, () => {
      const code = compileModule(kernels, features, { shared: true, initialPages: 1, maximumPages });
      return { module: compile(code), bytes: code.length };
    });
    return { table: instantiate(module, arena.memory, slots, arena.memory64), shared: { kind: "wasm", module, slots } };
  },
});
