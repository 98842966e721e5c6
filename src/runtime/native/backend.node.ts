/**
 * Kernels as machine code: compiles for this CPU and puts the code on executable pages. What calls it is in table.node.ts.
 */
import { LatheError } from "../../errors.ts";
import type { Kernel } from "../../ir/node.ts";
import { print } from "../../ir/print.ts";
import type { Machine } from "../../lower/passes.ts";
import { ALIGNMENT, compileKernel, listKernel, machineOf, type Options } from "../../target/x64/compile.ts";
import { CodeCache } from "../code-cache.ts";
import type { Backend, Compiled, NativeKernel, Outside } from "../compile.ts";
import type { KernelTable } from "../launch.ts";
import { unoptimised } from "../platform.node.ts";
import { type CodeFiles, codeFiles } from "./code-files.node.ts";
import type { System } from "./foreign.node.ts";
import type { Unproven } from "./proofs.node.ts";
import { nativeTable } from "./table.node.ts";

/** Machine code of kernels, by options and text. */
const codeCache = new CodeCache<Uint8Array>(code => code.length);
const optionsKey = ({ levels, convention, strict, check }: Options): string =>
  [[...levels].sort(), convention, strict ? "strict" : "", check ? "checked" : ""].join(" ");

let trimming = false;

/** Once in a process that has added something, when it has nothing more urgent to do. */
function trimLater(files: CodeFiles): void {
  if (trimming) return;
  trimming = true;
  setTimeout(() => files.trim(), 2000).unref();
}

export class NativeBackend implements Backend {
  readonly name = "native";
  readonly machine: Machine;
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
    this.machine = machineOf(options.levels);
    this.#memory = memory;
  }

  /** @throws LatheError target.faulty where a kernel does something else than the interpreter. */
  compile = (kernels: readonly Kernel[]): Compiled => {
    const codes = kernels.map(k => this.#codeOf(k));
    const places: number[] = [];
    let bytes = 0;
    for (const code of codes) {
      places.push(bytes);
      bytes += Math.ceil(code.length / ALIGNMENT) * ALIGNMENT;
    }
    const all = new Uint8Array(bytes);
    for (const [i, code] of codes.entries()) all.set(code, places[i]);
    const address = this.#system.installCode(all);
    this.#pages.push({ address, bytes });
    const native = kernels.map((k, i) => ({ name: k.name, entry: Number(address) + places[i], slots: k.slots.map(s => s.kind) }));
    const tableOn = (memory: WebAssembly.Memory, list: readonly NativeKernel[]): KernelTable => nativeTable(this.#system, memory, list);
    this.#prove?.({ code: all, kernels, installed: native, tableOn, fused: !this.#options.strict });
    return { table: tableOn(this.#memory, native), shared: { kind: "native", kernels: native } };
  };

  /** The code of one kernel: from this process, from an earlier one, or new. */
  #codeOf(kernel: Kernel): Uint8Array {
    const key = `${optionsKey(this.#options)}\n${print(kernel)}`;
    return codeCache.get(key, () => {
      const files = this.#options.check ? undefined : codeFiles();
      const known = files?.read(key);
      if (known) return known;
      const code = unoptimised(() => compileKernel(kernel, this.#options));
      if (files) {
        files.write(key, code);
        trimLater(files);
      }
      return code;
    });
  }

  list = (kernel: Kernel): readonly string[] => listKernel(kernel, this.#options);

  outside: Outside = {
    // Huge pages spare the processor most of its look-ups of addresses, where the weights are larger than it can keep track of.
    reserve: bytes => this.#keep(this.#system.reserve(bytes, { huge: true }), bytes),
    mapFile: (path, bytes) => {
      try {
        const address = this.#system.mapFile(path, 0, bytes);
        this.#system.advise(address, bytes, "willneed");
        return this.#keep(address, bytes);
      } catch (e) {
        if (e instanceof LatheError) return undefined;
        throw e;
      }
    },
    read: (address, into) => this.#system.read(BigInt(this.#base() + address), into),
  };

  /** Remembers pages until the end; their address counted from the beginning of the memory. */
  #keep(address: bigint, bytes: number): number {
    this.#pages.push({ address, bytes });
    return Number(address) - this.#base();
  }

  #base(): number {
    return Number(this.#system.addressOf(this.#memory.buffer as unknown as SharedArrayBuffer));
  }

  close = (): void => {
    for (const { address, bytes } of this.#pages) this.#system.release(address, bytes);
    this.#pages = [];
  };
}
