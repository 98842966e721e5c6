/**
 * Kernels as machine code: compiles for this CPU, puts the code on executable pages, and makes JavaScript functions that call it. Arguments
 * travel through blocks of 64-bit words of the calling thread's own.
 */
import { LatheError } from "../../errors.ts";
import type { Kernel, SlotKind } from "../../ir/node.ts";
import { compileCode, listKernel, type Options } from "../../target/x64/compile.ts";
import type { Backend, Compiled, NativeKernel } from "../compile.ts";
import type { BoundKernel, KernelFunction, KernelTable } from "../launch.ts";
import type { System } from "./foreign.node.ts";
import type { Unproven } from "./proofs.node.ts";

const HIGH = 2 ** 32;

/** Machine code knows memories by address only; this says so to the collector. */
const keptAlive = new WeakMap<KernelTable, WebAssembly.Memory>();

/** The arguments of calls of one kernel, in memory of their own: a 64-bit word each, the stretch of the grid first. */
class Arguments implements BoundKernel {
  readonly #slots: readonly SlotKind[];
  readonly #base: number;
  readonly #call: (at: number) => void;
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  readonly #at: number;

  /** `base`: what addresses count from; `call`: the kernel. */
  constructor(system: System, slots: readonly SlotKind[], base: number, call: (at: number) => void) {
    const block = new SharedArrayBuffer(8 * (2 + slots.length));
    this.#slots = slots;
    this.#base = base;
    this.#call = call;
    this.#words = new Int32Array(block);
    this.#floats = new Float32Array(block);
    this.#at = Number(system.addressOf(block));
  }

  set(slot: number, value: number): void {
    const word = 2 * (slot + 2);
    const kind = this.#slots[slot];
    if (kind === "scalar") this.#floats[word] = value;
    else if (kind === "in" || kind === "out") {
      const address = this.#base + value;
      this.#words[word] = address | 0;
      this.#words[word + 1] = Math.floor(address / HIGH);
    } else this.#words[word] = value;
  }

  run(begin: number, end: number): void {
    this.#words[0] = begin;
    this.#words[2] = end;
    this.#call(this.#at);
  }
}

/** Functions of this thread for kernels whose addresses count in `memory`, which they keep alive. */
export function nativeTable(system: System, memory: WebAssembly.Memory, kernels: readonly NativeKernel[]): KernelTable {
  const base = Number(system.addressOf(memory.buffer as unknown as SharedArrayBuffer));
  const callable = ({ entry, slots }: NativeKernel): KernelFunction => {
    const call = system.callable(BigInt(entry));
    const withArguments = (args: readonly number[]): Arguments => {
      const own = new Arguments(system, slots, base, call);
      for (let i = 0; i < args.length; i++) own.set(i, args[i]);
      return own;
    };
    const own = withArguments([]);
    const direct = (begin: number, end: number, ...args: number[]): void => {
      for (let i = 0; i < args.length; i++) own.set(i, args[i]);
      own.run(begin, end);
    };
    return Object.assign(direct, { withArguments });
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
  readonly #prove: ((code: Unproven) => void) | undefined;
  #pages: { readonly address: bigint; readonly bytes: number }[] = [];

  /** `memory`: what kernels' addresses count in. `prove` is shown all code before it is handed out, and throws where it is wrong. */
  constructor(system: System, options: Options, memory: WebAssembly.Memory, prove?: (code: Unproven) => void) {
    this.#prove = prove;
    this.#system = system;
    this.#options = options;
    this.#memory = memory;
  }

  /** @throws LatheError target.faulty where a kernel does something else than the interpreter. */
  compile = (kernels: readonly Kernel[]): Compiled => {
    const code = compileCode(kernels, this.#options);
    const address = this.#system.installCode(code.bytes);
    this.#pages.push({ address, bytes: code.bytes.length });
    const native = kernels.map(k => ({
      name: k.name,
      entry: Number(address) + code.entries.get(k.name)!,
      slots: k.slots.map(s => s.kind),
    }));
    const tableOn = (memory: WebAssembly.Memory, list: readonly NativeKernel[]): KernelTable => nativeTable(this.#system, memory, list);
    this.#prove?.({ code: code.bytes, kernels, installed: native, tableOn, fused: !this.#options.strict });
    return { table: tableOn(this.#memory, native), shared: { kind: "native", kernels: native } };
  };

  list = (kernel: Kernel): readonly string[] => listKernel(kernel, this.#options);

  /** Huge pages spare the processor most of its look-ups of addresses, where the weights are larger than it can keep track of. */
  settle = (address: number, bytes: number): void => {
    this.#system.advise(BigInt(this.#base() + address), bytes, "huge");
  };

  mapFile = (path: string, bytes: number): number | undefined => {
    try {
      const address = this.#system.mapFile(path, 0, bytes);
      this.#pages.push({ address, bytes });
      this.#system.advise(address, bytes, "willneed");
      return Number(address) - this.#base();
    } catch (e) {
      if (e instanceof LatheError) return undefined;
      throw e;
    }
  };

  #base(): number {
    return Number(this.#system.addressOf(this.#memory.buffer as unknown as SharedArrayBuffer));
  }

  close = (): void => {
    for (const { address, bytes } of this.#pages) this.#system.release(address, bytes);
    this.#pages = [];
  };
}
