/** From traced kernels to functions on a model's memory, on the chosen target. */
import type { Kernel } from "../ir/node.ts";
import { interpret } from "../target/interp/interp.ts";
import { compileModule } from "../target/wasm/compile.ts";
import { hasRelaxedSimd } from "../target/wasm/features.ts";
import type { Arena } from "./arena.ts";
import type { KernelTable } from "./launch.ts";
import { instantiate } from "./member.ts";

export type TargetName = "wasm" | "interp";

export interface Compiled {
  /** For the calling thread. */
  readonly table: KernelTable;
  /** For the other members of a team; absent where the target runs on one thread only. */
  readonly module?: WebAssembly.Module;
  /** Which slots of each kernel are addresses. */
  readonly slots: ReadonlyMap<string, readonly boolean[]>;
}

/** How a module's bytes become a module; platforms may know a better way than the default. */
export type CompileModule = (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;

export function compileKernels(
  target: TargetName,
  kernels: readonly Kernel[],
  arena: Arena,
  compile: CompileModule = bytes => new WebAssembly.Module(bytes),
): Compiled {
  const slots = new Map(kernels.map(k => [k.name, k.slots.map(s => s.kind === "in" || s.kind === "out")] as const));
  if (target === "interp") {
    // The buffer is asked for at every call: it changes when the memory grows.
    const table = new Map(
      kernels.map(
        k =>
          [
            k.name,
            (begin: number, end: number, ...args: number[]) => interpret(k, arena.memory.buffer, { fused: false })(begin, end, ...args),
          ] as const,
      ),
    );
    return { table, slots };
  }
  const features = { relaxed: hasRelaxedSimd(), memory64: arena.memory64 };
  const bytes = compileModule(kernels, features, { shared: true, initialPages: 1, maximumPages: arena.maximumPages });
  const module = compile(bytes);
  return { table: instantiate(module, arena.memory, slots, arena.memory64), module, slots };
}
