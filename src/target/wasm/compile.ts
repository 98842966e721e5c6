/**
 * From kernels to a WebAssembly module: lowers, selects, gives every value a local, and writes the loops. Each kernel becomes one exported
 * function (begin, end, ...slots); addresses are i64 with memory64.
 */
import type { Kernel, Loop, Node, Scope } from "../../ir/node.ts";
import { elems } from "../../ir/types.ts";
import { lower, type Machine } from "../../lower/passes.ts";
import { type Chosen, select } from "../../lower/select.ts";
import { Bytecode, encodeModule, type FunctionBody, instruction, type MemoryImport } from "./encode.ts";
import type { ValType } from "./instructions.ts";
import { constBytes, type Features, type Program, program, type Step } from "./rules.ts";

export const machineOf = (features: Features): Machine => ({
  width: 16,
  dots: features.relaxed ? "pairs" : "none",
  unsigned: 127,
  unroll: 0,
  strict: features.strict,
});

/** The code of one kernel as text lines and as bytes. */
export interface CompiledKernel {
  readonly body: FunctionBody;
  readonly listing: readonly string[];
}

function valType(n: Node, features: Features): ValType {
  if (n.op === "offset" && features.memory64) return "i64";
  return n.lanes > 1 ? "v128" : n.type === "f32" ? "f32" : "i32";
}
const isFree = (n: Node): boolean => ["const", "param", "address", "index", "carry", "result"].includes(n.op);

class FunctionWriter {
  readonly #code = new Bytecode();
  /** Text is only made where somebody will read it. */
  readonly #listing: string[] | undefined;
  readonly #locals: ValType[] = [];
  readonly #local = new Map<Node, number>();
  readonly #kernel: Kernel;
  readonly #features: Features;
  readonly #chosen: Chosen<Program>;
  readonly #params: readonly ValType[];
  #indent = "";

  constructor(kernel: Kernel, features: Features, listed: boolean) {
    this.#kernel = kernel;
    this.#listing = listed ? [] : undefined;
    this.#features = features;
    this.#chosen = select(kernel, n => program(n, features, kernel), isFree);
    const address: ValType = features.memory64 ? "i64" : "i32";
    const slot: Record<string, ValType> = { in: address, out: address, size: "i32", scalar: "f32" };
    this.#params = ["i32", "i32", ...kernel.slots.map(s => slot[s.kind])];
  }

  write(): CompiledKernel {
    this.#scope(this.#kernel.body);
    const body = { name: this.#kernel.name, params: this.#params, locals: this.#locals, code: this.#code };
    return { body, listing: this.#listing ?? [] };
  }

  #emit(name: string, ...imm: number[]): void {
    instruction(this.#code, name, imm);
    this.#listing?.push(`${this.#indent}${name}${imm.length ? ` ${imm.join(" ")}` : ""}`);
  }

  #newLocal(type: ValType): number {
    this.#locals.push(type);
    return this.#params.length + this.#locals.length - 1;
  }

  #push(node: Node): void {
    if (node.op === "const") {
      if (node.lanes > 1) this.#emit("v128.const", ...constBytes(node.type, node.attr));
      else this.#emit(node.type === "f32" ? "f32.const" : "i32.const", node.type === "f32" ? node.attr : node.attr | 0);
    } else if (node.op === "param" || node.op === "address") this.#emit("local.get", node.attr + 2);
    else {
      const local = this.#local.get(node);
      if (local === undefined) throw new Error(`%${node.id} ${node.op} has no local in ${this.#kernel.name}`);
      this.#emit("local.get", local);
    }
  }

  /** Pushes address + index as one address; a zero index adds nothing. */
  #address(address: Node, index: Node): void {
    this.#push(address);
    if (index.op === "const" && index.attr === 0) return;
    this.#push(index);
    if (this.#features.memory64) this.#emit("i64.extend_i32_s");
    this.#emit(this.#features.memory64 ? "i64.add" : "i32.add");
  }

  #steps(steps: readonly Step[]): void {
    for (const step of steps) {
      if ("ins" in step) this.#emit(step.ins, ...step.imm);
      else if ("address" in step) this.#address(step.address, step.index);
      else this.#push(step);
    }
  }

  #scope(scope: Scope): void {
    for (const item of scope.items) {
      if (item.kind === "node") {
        const how = this.#chosen.get(item.node);
        if (!how) continue;
        this.#steps(how.steps);
        const local = this.#newLocal(valType(item.node, this.#features));
        this.#local.set(item.node, local);
        this.#emit("local.set", local);
      } else if (item.kind === "store") {
        this.#address(item.address, item.index);
        this.#push(item.value);
        this.#emit(storeName(item.value), item.offset);
      } else if (item.kind === "loop") this.#loop(item);
    }
  }

  #loop(loop: Loop): void {
    const carried = loop.carries.map(c => this.#newLocal(valType(c, this.#features)));
    loop.init.forEach((n, i) => {
      this.#push(n);
      this.#emit("local.set", carried[i]);
    });
    loop.carries.forEach((c, i) => {
      this.#local.set(c, carried[i]);
      this.#local.set(loop.results[i], carried[i]);
    });
    const counter = this.#newLocal("i32");
    this.#local.set(loop.index, counter);
    this.#push(loop.from);
    this.#emit("local.set", counter);
    this.#emit("block");
    this.#emit("local.get", counter);
    this.#push(loop.to);
    this.#emit("i32.ge_s");
    this.#emit("br_if", 0);
    this.#emit("loop");
    this.#indent += "  ";
    this.#scope(loop.body);
    for (const n of loop.next) this.#push(n);
    for (const c of [...carried].reverse()) this.#emit("local.set", c);
    this.#emit("local.get", counter);
    this.#emit("i32.const", 1);
    this.#emit("i32.add");
    this.#emit("local.set", counter);
    this.#emit("local.get", counter);
    this.#push(loop.to);
    this.#emit("i32.lt_s");
    this.#emit("br_if", 0);
    this.#indent = this.#indent.slice(2);
    this.#emit("end");
    this.#emit("end");
  }
}

function storeName(value: Node): string {
  if (value.lanes > 1) {
    if (value.lanes * elems[value.type].size !== 16) throw new TypeError(`cannot store ${value.type}x${value.lanes}`);
    return "v128.store";
  }
  if (value.type === "f32") return "f32.store";
  return { 1: "i32.store8", 2: "i32.store16", 4: "i32.store" }[elems[value.type].size];
}

const write = (kernel: Kernel, features: Features, listed: boolean): CompiledKernel =>
  new FunctionWriter(lower(kernel, machineOf(features)), features, listed).write();

/** One kernel with its listing. */
export const compileKernel = (kernel: Kernel, features: Features): CompiledKernel => write(kernel, features, true);

/** The bytes of a module with all kernels. */
export function compileModule(
  kernels: readonly Kernel[],
  features: Features,
  memory: Omit<MemoryImport, "memory64">,
): Uint8Array<ArrayBuffer> {
  const bodies = kernels.map(k => write(k, features, false).body);
  return encodeModule(bodies, { ...memory, memory64: features.memory64 });
}
