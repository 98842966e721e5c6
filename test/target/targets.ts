/**
 * The machines that the conformance cases and the fuzzer run on, each behind one small adapter: compile kernels, then run them on bytes. A new
 * target (x64, a64) becomes one more adapter here and is then held to the interpreter by every test of this folder.
 */
import v8 from "node:v8";
import type { Kernel } from "../../src/ir/node.ts";
import { kernel } from "../../src/ir/trace.ts";
import type { Machine } from "../../src/lower/passes.ts";
import { NativeBackend } from "../../src/runtime/native/backend.node.ts";
import { readFeatures } from "../../src/runtime/native/features.node.ts";
import { openSystem } from "../../src/runtime/native/foreign.node.ts";
import { compileKernel, compileModule, machineOf } from "../../src/target/wasm/compile.ts";
import { hasMemory64, hasRelaxedSimd } from "../../src/target/wasm/features.ts";
import type { Features } from "../../src/target/wasm/rules.ts";
import { listKernel, machineOf as machineOfX64, type Options } from "../../src/target/x64/compile.ts";
import type { Level } from "../../src/target/x64/instructions.ts";

/** Runs a compiled kernel on `memory`, in which `addresses` and sizes are counted; what it writes is in `memory` afterwards. */
export type Launch = (name: string, memory: Uint8Array, begin: number, end: number, args: readonly number[]) => void;

export interface Target {
  readonly name: string;
  /** What the passes are told. */
  readonly machine: Machine;
  /** Whether this machine rounds `mulAdd` once; found by running it. */
  readonly fused: boolean;
  /** Why this machine cannot run the target; tests are then skipped with that reason. */
  readonly missing: string | undefined;
  /** Instructions of one kernel, one a line. */
  readonly listing: (kernel: Kernel) => readonly string[];
  readonly compile: (kernels: readonly Kernel[]) => Launch;
}

// Node 20 has these behind flags, which count until the first module is compiled; newer versions reject the flags and need none.
if (!hasRelaxedSimd()) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
if (!hasMemory64()) v8.setFlagsFromString("--experimental-wasm-memory64");

const pages = 16;

/** A shared memory with 64-bit addresses; the name of the option changed between versions of V8. */
function memory64(): WebAssembly.Memory {
  const variants = [
    { initial: BigInt(pages), maximum: BigInt(pages), shared: true, address: "i64" },
    { initial: pages, maximum: pages, shared: true, index: "i64" },
  ];
  for (const v of variants) {
    try {
      return new WebAssembly.Memory(v as unknown as WebAssembly.MemoryDescriptor);
    } catch {
      // the other spelling
    }
  }
  throw new Error("no 64-bit memory");
}

function wasmCompile(features: Features): (kernels: readonly Kernel[]) => Launch {
  return kernels => {
    const bytes = compileModule(kernels, features, { shared: true, initialPages: pages, maximumPages: pages });
    if (!WebAssembly.validate(bytes)) new WebAssembly.Module(bytes); // throws with the reason
    const memory = features.memory64 ? memory64() : new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const byName = new Map(kernels.map(k => [k.name, k]));
    const view = new Uint8Array(memory.buffer);
    return (name, data, begin, end, args) => {
      if (data.length > view.length) throw new RangeError(`${name}: ${data.length} bytes do not fit the test memory`);
      view.set(data);
      const isAddress = (i: number): boolean => byName.get(name)!.slots[i].kind === "in" || byName.get(name)!.slots[i].kind === "out";
      const converted = args.map((a, i) => (features.memory64 && isAddress(i) ? BigInt(a) : a));
      (instance.exports[name] as (...a: (number | bigint)[]) => void)(begin, end, ...converted);
      data.set(view.subarray(0, data.length));
    };
  };
}

/** Whether a * b + c is rounded once: (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 then, and 0 otherwise. */
function roundsOnce(compile: Target["compile"]): boolean {
  const memory = new Uint8Array(64);
  const floats = new Float32Array(memory.buffer);
  floats.fill(1 + 2 ** -12, 0, 4);
  floats.fill(-(1 + 2 ** -11), 4, 8);
  compile([probe])(probe.name, memory, 0, 1, [0, 16, 32]);
  return floats[8] !== 0;
}

/** Slots a, c, out: a * a + c of four floats. */
const probe: Kernel = kernel("probe", s => {
  const [a, c, out] = [s.in("a"), s.in("c"), s.out("out")];
  return () => {
    const x = a.load("f32", 4, 0);
    out.store(0, x.mulAdd(x, c.load("f32", 4, 0)));
  };
});

function wasm(name: string, features: Features, missing: string | undefined): Target {
  const compile = wasmCompile(features);
  const fused = !missing && features.relaxed && roundsOnce(compile);
  return { name, machine: machineOf(features), fused, missing, listing: k => compileKernel(k, features).listing, compile };
}

const system = await openSystem();

/** Machine code of one feature level, in memory of its own. */
function x64(name: string, levels: readonly Level[]): Target {
  const have = "reason" in system ? system.reason : readFeatures(system).levels;
  const lacking = typeof have === "string" ? have : levels.find(l => !have.has(l)) && `this processor lacks ${levels.join(", ")}`;
  const options: Options = { levels: new Set(levels), convention: "sysv", check: true };
  const compile: Target["compile"] = kernels => {
    if ("reason" in system) throw new Error(system.reason);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const { table } = new NativeBackend(system, options, memory).compile(kernels);
    const view = new Uint8Array(memory.buffer);
    return (kernelName, data, begin, end, args) => {
      if (data.length > view.length) throw new RangeError(`${kernelName}: ${data.length} bytes do not fit the test memory`);
      view.set(data);
      table.get(kernelName)!(begin, end, ...args);
      data.set(view.subarray(0, data.length));
    };
  };
  return { name, machine: machineOfX64(options.levels), fused: true, missing: lacking, listing: k => listKernel(k, options), compile };
}

const noRelaxed = hasRelaxedSimd() ? undefined : "this Node has no relaxed SIMD";
const noMemory64 = hasMemory64() ? undefined : "this Node has no 64-bit memory";

export const targets: readonly Target[] = [
  wasm("wasm relaxed", { relaxed: true, memory64: false }, noRelaxed),
  wasm("wasm plain", { relaxed: false, memory64: false }, undefined),
  wasm("wasm relaxed memory64", { relaxed: true, memory64: true }, noRelaxed ?? noMemory64),
  wasm("wasm plain memory64", { relaxed: false, memory64: true }, noMemory64),
  x64("x64 avx2", ["base", "avx2"]),
  x64("x64 avx-vnni", ["base", "avx2", "avxvnni"]),
  x64("x64 avx-512", ["base", "avx2", "avx512", "avx512vnni"]),
];
