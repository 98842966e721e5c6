/**
 * Bytes of a WebAssembly module: sections, function bodies, immediates. Knows the binary format (specification chapter 5) and nothing of kernels.
 */
import { type Instruction, instructions, type ValType } from "./instructions.ts";

const valTypes: Readonly<Record<ValType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, v128: 0x7b };

/** A growing byte array. */
export class Bytecode {
  #bytes = new Uint8Array(1024);
  length = 0;

  #room(n: number): void {
    if (this.length + n <= this.#bytes.length) return;
    const bigger = new Uint8Array(2 * (this.length + n));
    bigger.set(this.#bytes);
    this.#bytes = bigger;
  }
  byte(b: number): this {
    this.#room(1);
    this.#bytes[this.length++] = b;
    return this;
  }
  bytes(b: ArrayLike<number>): this {
    this.#room(b.length);
    this.#bytes.set(b, this.length);
    this.length += b.length;
    return this;
  }
  /** Unsigned LEB128. */
  u(n: number): this {
    let x = n;
    while (x >= 128) {
      this.byte((x % 128) | 128);
      x = Math.floor(x / 128);
    }
    return this.byte(x);
  }
  /** Signed LEB128. */
  s(n: number): this {
    let x = n;
    for (;;) {
      const low = ((x % 128) + 128) % 128;
      x = (x - low) / 128;
      if ((x === 0 && low < 64) || (x === -1 && low >= 64)) return this.byte(low);
      this.byte(low | 128);
    }
  }
  f32(x: number): this {
    return this.bytes(new Uint8Array(new Float32Array([x]).buffer));
  }
  text(s: string): this {
    const bytes = new TextEncoder().encode(s);
    return this.u(bytes.length).bytes(bytes);
  }
  /** Another piece with its length in front. */
  sized(piece: Bytecode): this {
    return this.u(piece.length).bytes(piece.done());
  }
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

/** Appends one instruction. For memory instructions `imm[0]` is the constant offset; alignment is only a hint and stays 1. */
export function instruction(code: Bytecode, name: string, imm: readonly number[]): void {
  const row: Instruction | undefined = instructions.get(name);
  if (!row) throw new TypeError(`no WebAssembly instruction ${name}`);
  code.bytes(row.opcode);
  switch (row.immediate) {
    case "none":
      return;
    case "mem":
      code.u(0).u(imm[0]);
      return;
    case "i32":
      code.s(imm[0]);
      return;
    case "f32":
      code.f32(imm[0]);
      return;
    case "bytes":
      code.bytes(imm);
      return;
    case "block":
      code.byte(0x40); // no result
      return;
    case "lane":
    case "label":
    case "local":
      code.u(imm[0]);
  }
}

export interface FunctionBody {
  readonly name: string;
  readonly params: readonly ValType[];
  /** Types of the locals after the parameters. */
  readonly locals: readonly ValType[];
  /** Instructions without the final `end`. */
  readonly code: Bytecode;
}

export interface MemoryImport {
  readonly shared: boolean;
  readonly memory64: boolean;
  /** In pages of 64 KiB: at most what the imported memory has. */
  readonly initialPages: number;
  readonly maximumPages: number;
}

function localRuns(types: readonly ValType[]): Bytecode {
  const runs: { type: ValType; count: number }[] = [];
  for (const type of types) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  const out = new Bytecode().u(runs.length);
  for (const run of runs) out.u(run.count).byte(valTypes[run.type]);
  return out;
}

/** A module that imports `env.memory` and exports every function under its name. */
export function encodeModule(functions: readonly FunctionBody[], memory: MemoryImport): Uint8Array<ArrayBuffer> {
  const section = (out: Bytecode, id: number, body: Bytecode): void => {
    out.byte(id).sized(body);
  };
  const out = new Bytecode().bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const types = new Bytecode().u(functions.length);
  for (const f of functions) {
    types.byte(0x60).u(f.params.length);
    for (const p of f.params) types.byte(valTypes[p]);
    types.u(0);
  }
  section(out, 1, types);
  const flags = 1 | (memory.shared ? 2 : 0) | (memory.memory64 ? 4 : 0);
  const limits = new Bytecode().text("env").text("memory").byte(2).byte(flags).u(memory.initialPages).u(memory.maximumPages);
  section(out, 2, new Bytecode().u(1).bytes(limits.done()));
  const indices = new Bytecode().u(functions.length);
  functions.forEach((_, i) => {
    indices.u(i);
  });
  section(out, 3, indices);
  const exports = new Bytecode().u(functions.length);
  functions.forEach((f, i) => {
    exports.text(f.name).byte(0).u(i);
  });
  section(out, 7, exports);
  const bodies = new Bytecode().u(functions.length);
  for (const f of functions) bodies.sized(localRuns(f.locals).bytes(f.code.done()).byte(0x0b));
  section(out, 10, bodies);
  return out.done().slice() as Uint8Array<ArrayBuffer>;
}
