/** Which target this machine and this runtime allow: machine code where the processor and the system permit, else WebAssembly. */
import { debuglog } from "node:util";
import { LatheError } from "../errors.ts";
import type { Level } from "../target/x64/instructions.ts";
import type { Arena } from "./arena.ts";
import type { Backend, Numerics, TargetName } from "./compile.ts";
import { NativeBackend } from "./native/backend.node.ts";
import { type CpuFeatures, readFeatures } from "./native/features.node.ts";
import { openSystem, type System } from "./native/foreign.node.ts";
import { prove } from "./native/proofs.node.ts";
import { compileOptimised } from "./platform.node.ts";

/** Seen with NODE_DEBUG=lathe. */
const debug = debuglog("lathe");
let told = false;

/** LATHE_CPU=avx2 keeps code to that level and those below it: for comparisons and for finding faults. */
function limited({ levels }: CpuFeatures): { readonly levels: ReadonlySet<Level> } {
  const names = process.env.LATHE_CPU?.split(",");
  return { levels: names ? new Set([...levels].filter(l => l === "base" || names.includes(l))) : levels };
}

/** What was asked for: where nobody has said, the environment's LATHE_TARGET decides. */
export function askedTarget(asked: TargetName | "auto"): TargetName | "auto" {
  const name = asked === "auto" ? process.env.LATHE_TARGET : asked;
  return name === "native" || name === "wasm" || name === "interp" ? name : "auto";
}

interface Machine {
  readonly system: System;
  readonly levels: ReadonlySet<Level>;
}

/** What runs machine code here, or why nothing does. */
async function machine(): Promise<Machine | { readonly reason: string }> {
  const system = await openSystem();
  if ("reason" in system) return system;
  const { levels } = limited(readFeatures(system));
  return levels.has("avx2") ? { system, levels } : { reason: "this processor has no AVX2" };
}

/** The target that `backendFor` would give. */
export async function targetHere(asked: TargetName | "auto"): Promise<TargetName> {
  const target = askedTarget(asked);
  if (target !== "auto") return target;
  return "reason" in (await machine()) ? "wasm" : "native";
}

/** Machine code for this processor, or why there is none. LATHE_CHECK=on has its registers checked, as the tests do. */
async function openNative(arena: Arena, numerics: Numerics = "fast"): Promise<NativeBackend | { readonly reason: string }> {
  const found = await machine();
  if ("reason" in found) return found;
  const { system, levels } = found;
  const convention = system.name === "win32" ? "windows" : "sysv";
  const check = process.env.LATHE_CHECK === "on";
  return new NativeBackend(system, { levels, convention, strict: numerics === "strict", check }, arena.memory, prove);
}

/** The compiler to WebAssembly is loaded where it is used. */
const webAssembly = async (arena: Arena, numerics: Numerics): Promise<Backend> =>
  (await import("./compile.ts")).webAssembly(arena, compileOptimised, numerics);

/** @throws LatheError target.unavailable where machine code was asked for and cannot be had. */
export async function backendFor(asked: TargetName | "auto", arena: Arena, numerics: Numerics = "fast"): Promise<Backend> {
  const target = askedTarget(asked);
  if (target === "interp") return (await import("./compile.ts")).interpreter(arena);
  if (target === "wasm") return webAssembly(arena, numerics);
  const native = await openNative(arena, numerics);
  if (!("reason" in native)) return native;
  if (target === "native") {
    const message = `Machine code cannot be run here: ${native.reason}; use "wasm" or leave target at "auto".`;
    throw new LatheError("target.unavailable", message, { target, reason: native.reason });
  }
  if (!told) debug("no machine code (%s): running WebAssembly", native.reason);
  told = true;
  return webAssembly(arena, numerics);
}
