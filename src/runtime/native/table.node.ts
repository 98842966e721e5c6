/** JavaScript functions that call machine code. Arguments travel through blocks of 64-bit words of the calling thread's own. */
import type { SlotKind } from "../../ir/node.ts";
import type { NativeKernel } from "../compile.ts";
import type { BoundKernel, KernelFunction, KernelTable } from "../launch.ts";
import type { System } from "./foreign.node.ts";

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
