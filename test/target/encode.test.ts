/** Bytes of WebAssembly: LEB128 against a BigInt reference, the shape of modules, and the instruction table itself. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kernel } from "../../src/ir/trace.ts";
import { compileModule } from "../../src/target/wasm/compile.ts";
import { Bytecode, encodeModule, instruction } from "../../src/target/wasm/encode.ts";
import { instructions } from "../../src/target/wasm/instructions.ts";

/** LEB128 as the specification words it, on integers of any size. */
function reference(x: number, signed: boolean): number[] {
  const out: number[] = [];
  let rest = BigInt(x);
  for (;;) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    const done = signed ? (rest === 0n && low < 64) || (rest === -1n && low >= 64) : rest === 0n;
    out.push(done ? low : low | 128);
    if (done) return out;
  }
}
const u = (n: number): number[] => [...new Bytecode().u(n).done()];
const s = (n: number): number[] => [...new Bytecode().s(n).done()];

const turning = [0, 1, 63, 64, 65, 127, 128, 129, 8191, 8192, 16383, 16384, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48];

const same = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();

describe("LEB128", () => {
  it.each(turning)("%i", n => {
    expect(u(n)).toEqual(reference(n, false));
    expect(s(n)).toEqual(reference(n, true));
    expect(s(-n)).toEqual(reference(-n, true));
  });
  it("any number that is exact", () => {
    fc.assert(fc.property(fc.maxSafeNat(), n => same(u(n), reference(n, false))));
    fc.assert(fc.property(fc.maxSafeInteger(), n => same(s(n), reference(n, true))));
    fc.assert(fc.property(fc.integer(), n => same(s(n), reference(n, true))));
  });
});

describe("Bytecode", () => {
  it("grows", () => {
    const code = new Bytecode();
    for (let i = 0; i < 5000; i++) code.byte(i & 255);
    expect([...code.done()]).toEqual(Array.from({ length: 5000 }, (_, i) => i & 255));
    expect(new Bytecode().bytes(new Uint8Array(4000).fill(7)).length).toBe(4000);
  });
  it("puts the length in front", () => expect([...new Bytecode().sized(new Bytecode().bytes([1, 2, 3])).done()]).toEqual([3, 1, 2, 3]));
  it("writes names as UTF-8", () => expect([...new Bytecode().text("é").done()]).toEqual([2, 0xc3, 0xa9]));
  it("writes floats little end first", () => expect([...new Bytecode().f32(-2).done()]).toEqual([0, 0, 0, 0xc0]));
  it("does not know every instruction", () =>
    expect(() => instruction(new Bytecode(), "i8x16.mul", [])).toThrow("no WebAssembly instruction i8x16.mul"));
});

describe("the instruction table", () => {
  it("has one opcode for each name", () => {
    const codes = [...instructions.values()].map(row => row.opcode.join(" "));
    expect(new Set(codes).size).toBe(codes.length);
  });
  it("agrees with an engine about every row without control flow", () => {
    const zeros: Record<string, [string, ...number[]]> = {
      i32: ["i32.const", 0],
      f32: ["f32.const", 0],
      v128: ["v128.const", ...new Array<number>(16).fill(0)],
    };
    const wrong: string[] = [];
    for (const row of instructions.values()) {
      const control = ["block", "label", "local"].includes(row.immediate) || row.name === "end" || row.name === "select";
      if (control || row.relaxed || row.operands.includes("i64") || row.result === "i64") continue;
      const code = new Bytecode();
      for (const type of row.operands) {
        const [name, ...imm] = zeros[type];
        instruction(code, name, imm);
      }
      instruction(code, row.name, row.immediate === "bytes" ? new Array<number>(16).fill(0) : row.immediate === "none" ? [] : [0]);
      if (row.result) instruction(code, "local.set", [0]);
      const locals = row.result ? [row.result] : [];
      const memory = { shared: false, memory64: false, initialPages: 1, maximumPages: 1 };
      if (!WebAssembly.validate(encodeModule([{ name: "f", params: [], locals, code }], memory))) wrong.push(row.name);
    }
    expect(wrong).toEqual([]);
  });
});

describe("modules", () => {
  const many = Array.from({ length: 300 }, (_, i) =>
    kernel(`store_${i}`, slots => {
      const out = slots.out("out");
      return unit => out.store(unit.mul(4).add(1000 * i), unit.add(i));
    }),
  );
  it("export every kernel under its name", () => {
    const bytes = compileModule(many, { relaxed: false, memory64: false }, { shared: true, initialPages: 5, maximumPages: 5 });
    const memory = new WebAssembly.Memory({ initial: 5, maximum: 5, shared: true });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    expect(Object.keys(exports)).toEqual(many.map(k => k.name));
    for (const k of many) (exports[k.name] as (...a: number[]) => void)(0, 2, 64);
    const words = new Int32Array(memory.buffer, 64);
    expect([words[0], words[1], words[250 * 299], words[250 * 299 + 1]]).toEqual([0, 1, 299, 300]);
  });
  it.each([
    [false, false],
    [true, false],
  ])("say whether the memory is shared: %s", (shared, memory64) => {
    const bytes = encodeModule([], { shared, memory64, initialPages: 1, maximumPages: 70000 & 0xffff });
    const memory = (s: boolean) => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: s });
    expect(() => new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: memory(shared) } })).not.toThrow();
    expect(() => new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: memory(!shared) } })).toThrow(
      WebAssembly.LinkError,
    );
  });
});
