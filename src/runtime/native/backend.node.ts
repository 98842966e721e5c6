/**
 * Kernels as machine code: compiles for this CPU, puts the code on executable pages, and makes JavaScript functions that call it. Arguments
 * travel through a block of 64-bit words of the calling thread's own.
 */
import type { Kernel, SlotKind } from "../../ir/node.ts";
import { compileCode, listKernel, type Options } from "../../target/x64/compile.ts";
import type { Backend, Compiled, NativeKernel } from "../compile.ts";
import type { KernelFunction, KernelTable } from "../launch.ts";
import type { System } from "./foreign.node.ts";

/** Words of a thread's argument block: more than any kernel has slots. */
const WORDS = 64;
const HIGH = 2 ** 32;

/** Machine code knows memories by address only; this says so to the collector. */
const keptAlive = new WeakMap<KernelTable, WebAssembly.Memory>();

/** Functions of this thread for kernels whose addresses count in `memory`, which they keep alive. */
export function nativeTable(system: System, memory: WebAssembly.Memory, kernels: readonly NativeKernel[]): KernelTable {
  const base = Number(system.addressOf(memory.buffer as unknown as SharedArrayBuffer));
  const block = new SharedArrayBuffer(8 * WORDS);
  const at = Number(system.addressOf(block));
  const [words, floats] = [new Int32Array(block), new Float32Array(block)];
  const put = (word: number, kind: SlotKind | "grid", value: number): void => {
    if (kind === "scalar") floats[2 * word] = value;
    else if (kind === "in" || kind === "out") {
      const address = base + value;
      words[2 * word] = address | 0;
      words[2 * word + 1] = Math.floor(address / HIGH);
    } else words[2 * word] = value;
  };
  const callable = (k: NativeKernel): KernelFunction => {
    const call = system.callable(BigInt(k.entry));
    return (begin, end, ...args) => {
      words[0] = begin;
      words[2] = end;
      for (let i = 0; i < args.length; i++) put(i + 2, k.slots[i], args[i]);
      call(at);
    };
  };
  const table = new Map(kernels.map(k => [k.name, callable(k)]));
  keptAlive.set(table, memory);
  return table;
}

export class NativeBackend implements Backend {
  readonly name = "native";
  readonly #system: System;
  readonly #options: Options;
  readonly #memory: WebAssembly.Memory;
  #pages: { readonly address: bigint; readonly bytes: number }[] = [];

  /** `memory`: what kernels' addresses count in. */
  constructor(system: System, options: Options, memory: WebAssembly.Memory) {
    this.#system = system;
    this.#options = options;
    this.#memory = memory;
  }

  compile = (kernels: readonly Kernel[]): Compiled => {
    const code = compileCode(kernels, this.#options);
    const address = this.#system.installCode(code.bytes);
    this.#pages.push({ address, bytes: code.bytes.length });
    const native = kernels.map(k => ({
      name: k.name,
      entry: Number(address) + code.entries.get(k.name)!,
      slots: k.slots.map(s => s.kind),
    }));
    return { table: nativeTable(this.#system, this.#memory, native), shared: { kind: "native", kernels: native } };
  };

  list = (kernel: Kernel): readonly string[] => listKernel(kernel, this.#options);

  close = (): void => {
    for (const { address, bytes } of this.#pages) this.#system.release(address, bytes);
    this.#pages = [];
  };
}
