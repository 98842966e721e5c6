/** Memory, machine code and processor features through the operating system. What the system says about itself (/proc) is the reference. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import { readFeatures, requestTiles } from "../../src/runtime/native/features.node.ts";
import { openSystem, type System } from "../../src/runtime/native/foreign.node.ts";
import { Assembler } from "../../src/target/x64/encode.ts";
import { instructions, type Operand } from "../../src/target/x64/instructions.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";

const opened = await openSystem();
const reason = "reason" in opened ? opened.reason : undefined;
const system = opened as System;
const linux = !reason && system.name === "linux";
const x64 = !reason && process.arch === "x64";
const folder = temporaryFolder("test");

/** The code of a function f(address). */
function assemble(build: (op: (key: string, ...operands: Operand[]) => void, argument: number, asm: Assembler) => void): Uint8Array {
  const asm = new Assembler();
  build((key, ...operands) => asm.emit({ key, operands }), system.name === "win32" ? 1 : 7, asm);
  asm.emit({ key: "ret", operands: [] });
  return asm.finish().code;
}

/** Doubles the 64-bit number at its argument. */
const doubling = (): Uint8Array =>
  assemble((op, arg) => {
    op("mov.q", { reg: 0 }, { base: arg, disp: 0 });
    op("add.q", { reg: 0 }, { reg: 0 });
    op("mov.q.st", { base: arg, disp: 0 }, { reg: 0 });
  });

/** Permissions and file of the mapping that an address lies in, or undefined. */
function mapping(address: bigint): string | undefined {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.find(line => {
    const [from, to] = (/^(\w+)-(\w+)/.exec(line)?.slice(1) ?? ["0", "0"]).map(n => BigInt(`0x${n}`));
    return address >= from && address < to;
  });
}

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof LatheError ? error.code : String(error);
  }
};

describe("a machine without koffi", () => {
  it("says why", async () => {
    const absent = await openSystem(() => Promise.reject(new Error("Cannot find package 'koffi'")));
    expect(absent).toEqual({ reason: "the optional package koffi is not usable: Cannot find package 'koffi'" });
  });
  it("and one whose koffi is something else", async () => {
    expect(await openSystem(async () => ({}))).toHaveProperty("reason");
  });
});

describe.skipIf(reason)(`memory${reason ? ` (${reason})` : ""}`, () => {
  it("is zero, takes what is written, and is gone after release", () => {
    const bytes = 3 * system.pageSize + 5;
    const at = system.reserve(bytes);
    const seen = new Uint8Array(bytes).fill(7);
    system.read(at, seen);
    expect(seen.every(b => b === 0)).toBe(true);
    const sent = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
    system.write(at, sent);
    system.read(at, seen);
    expect(seen).toEqual(sent);
    if (linux) expect(mapping(at)).toMatch(/ rw-p /);
    system.release(at, bytes);
    if (linux) expect(mapping(at)).toBeUndefined();
  });

  it("for huge pages begins where one does", () => {
    const at = system.reserve(5_000_000, { huge: true });
    if (linux) expect(at % (2n << 20n)).toBe(0n);
    system.write(at + 4_999_999n, Uint8Array.of(9));
    if (linux) expect(mapping(at + 4_999_999n)).toMatch(/ rw-p /);
    system.release(at, 5_000_000);
    if (linux) expect(mapping(at)).toBeUndefined();
  });

  it("forgets pages that are not needed, and only whole ones", () => {
    const bytes = 4 * system.pageSize;
    const at = system.reserve(bytes);
    system.write(at, new Uint8Array(bytes).fill(1));
    system.advise(at + 1n, bytes - 1, "dontneed");
    const seen = new Uint8Array(bytes);
    system.read(at, seen);
    expect(seen.subarray(0, system.pageSize).every(b => b === 1)).toBe(true);
    if (linux) expect(seen.subarray(system.pageSize).every(b => b === 0)).toBe(true);
    system.release(at, bytes);
  });

  it("that cannot be had is an error, as are sizes that are none", () => {
    expect(codeOf(() => system.reserve(2 ** 52))).toBe("memory.insufficient");
    for (const bytes of [0, -1, 0.5, Number.NaN, 2 ** 60]) expect(() => system.reserve(bytes)).toThrow(TypeError);
  });

  it("of a shared buffer is the same memory", () => {
    const shared = new SharedArrayBuffer(64);
    const numbers = new Uint8Array(shared);
    system.write(system.addressOf(shared) + 3n, Uint8Array.of(1, 2, 3));
    expect([...numbers.subarray(2, 7)]).toEqual([0, 1, 2, 3, 0]);
    const wasm = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    system.write(system.addressOf(wasm.buffer) + 65535n, Uint8Array.of(5));
    expect(new Uint8Array(wasm.buffer)[65535]).toBe(5);
  });
});

describe.skipIf(reason)("mapped files", () => {
  const path = join(folder, "file.bin");
  const content = Uint8Array.from({ length: 200_000 }, (_, i) => (i * i) % 253);
  writeFileSync(path, content);

  it("hold the file's bytes from any offset, and are read-only", () => {
    for (const [offset, bytes] of [
      [0, 200_000],
      [1, 4096],
      [70_001, 129_999],
      [199_999, 1],
    ]) {
      const at = system.mapFile(path, offset, bytes);
      system.advise(at, bytes, "willneed");
      const seen = new Uint8Array(bytes);
      system.read(at, seen);
      expect(seen).toEqual(content.subarray(offset, offset + bytes));
      if (linux) expect(mapping(at)).toMatch(/ r--s .*file\.bin/);
      system.release(at, bytes);
      if (linux) expect(mapping(at)).toBeUndefined();
    }
  });

  it("never reach beyond the file", () => {
    expect(codeOf(() => system.mapFile(path, 199_999, 2))).toBe("file.changed");
    expect(codeOf(() => system.mapFile(path, 2 ** 50, 1))).toBe("file.changed");
    expect(codeOf(() => system.mapFile(join(folder, "none"), 0, 1))).toBe("file.not-found");
    expect(codeOf(() => system.mapFile(folder, 0, 1))).toBe("file.unreadable");
    expect(() => system.mapFile(path, -1, 10)).toThrow(TypeError);
    expect(() => system.mapFile(path, 0, 0)).toThrow(TypeError);
  });
});

describe.skipIf(!x64)("machine code on x86-64", () => {
  it("runs, and its pages are executable and not writable", () => {
    const code = doubling();
    const at = system.installCode(code);
    if (linux) expect(mapping(at)).toMatch(/ r-xp /);
    const number = new BigInt64Array(new SharedArrayBuffer(8)).fill(21n);
    const double = system.callable(at);
    const argument = system.addressOf(number.buffer);
    double(argument);
    double(Number(argument));
    expect(number[0]).toBe(84n);
    system.release(at, code.length);
    if (linux) expect(mapping(at)).toBeUndefined();
  });

  it("runs on a worker thread that opens its own system", async () => {
    const code = doubling();
    const at = system.installCode(code);
    const number = new BigInt64Array(new SharedArrayBuffer(8)).fill(4n);
    const foreign = new URL("../../dist/runtime/native/foreign.node.js", import.meta.url).href;
    const source = `const { workerData: { at, argument } } = require("node:worker_threads");
      import(${JSON.stringify(foreign)}).then(async m => (await m.openSystem()).callable(at)(argument));`;
    const worker = new Worker(source, { eval: true, workerData: { at, argument: system.addressOf(number.buffer) } });
    const status = await new Promise(resolve => worker.once("exit", resolve));
    expect([status, number[0]]).toEqual([0, 8n]);
    system.release(at, code.length);
  });

  it("finds its constants wherever it is placed, and jumps short and far", () => {
    const code = assemble((op, arg, asm) => {
      const table = asm.data(new Uint8Array(new Int32Array([5, 7, 11, 13]).buffer), 16);
      op("vmovups.x", { reg: 1 }, { label: table, disp: 0 });
      op("mov.d.i", { reg: 0 }, { imm: 3 });
      op("vpxor.x", { reg: 0 }, { reg: 0 }, { reg: 0 });
      asm.align(16);
      asm.label("again");
      op("vpaddd.x", { reg: 0 }, { reg: 0 }, { reg: 1 });
      op("dec.d", { reg: 0 });
      op("je", { label: "done" });
      for (let i = 0; i < 100; i++) op("nop.d", { base: 0, disp: 1000 });
      op("jmp", { label: "again" });
      asm.label("done");
      op("vmovups.x.st", { base: arg, disp: 0 }, { reg: 0 });
    });
    const at = system.installCode(code);
    const result = new Int32Array(new SharedArrayBuffer(16));
    system.callable(at)(system.addressOf(result.buffer));
    expect([...result]).toEqual([15, 21, 33, 39]);
    system.release(at, code.length);
  });
});

describe.skipIf(!x64)("processor features", () => {
  const features = x64 ? readFeatures(system) : undefined!;

  it.skipIf(!linux)("are those that the kernel lists", () => {
    const info = readFileSync("/proc/cpuinfo", "utf8");
    const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(info)![1];
    const flags = new Set(field("flags").split(" "));
    const all = (names: string): boolean => names.split(" ").every(n => flags.has(n));
    const kernel = Object.entries({
      base: "lm",
      avx2: "avx2 fma f16c bmi1 bmi2 popcnt abm",
      avxvnni: "avx2 avx_vnni",
      avx512: "avx512f avx512bw avx512vl avx512dq",
      avx512vnni: "avx512f avx512bw avx512vl avx512dq avx512_vnni",
      avx512vbmi: "avx512f avx512bw avx512vl avx512dq avx512vbmi",
      avx512bitalg: "avx512f avx512bw avx512vl avx512dq avx512_bitalg avx512_vpopcntdq",
      avx512bf16: "avx512f avx512bw avx512vl avx512dq avx512_bf16",
      amx: "amx_tile amx_int8 amx_bf16",
    }).filter(([, names]) => all(names));
    expect([...features.levels].sort()).toEqual(kernel.map(([level]) => level).sort());
    expect(features.vendor).toBe(field("vendor_id"));
    expect(features.brand).toBe(field("model name"));
    expect([features.family, features.model]).toEqual([field("cpu family"), field("model")].map(Number));
  });

  it("name levels that the tables know, and caches that can be", () => {
    const known = new Set([...instructions.values()].map(row => row.level));
    expect([...features.levels].filter(level => !known.has(level))).toEqual([]);
    for (const cache of features.caches) {
      expect(cache.line).toBeGreaterThanOrEqual(16);
      expect(cache.bytes % cache.line).toBe(0);
    }
  });

  it.skipIf(!x64 || !features?.levels.has("amx"))("tiles multiply once they are asked for (needs AMX)", () => {
    expect(requestTiles(system)).toBe(true);
    // Palette 1; tiles 0 to 2 with one row of 16, 4 and 64 bytes: 4 sums, 4 bytes of a, and 4 by 4 bytes of b.
    const block = new Uint8Array(new SharedArrayBuffer(64 * 4));
    block[0] = 1;
    const shape = new DataView(block.buffer);
    for (const [tile, bytes] of [16, 4, 16].entries()) {
      shape.setUint16(16 + 2 * tile, bytes, true);
      block[48 + tile] = 1;
    }
    block.set([1, 2, 3, 250], 64);
    const b = Array.from({ length: 16 }, (_, i) => 3 * i - 20);
    block.set(new Uint8Array(Int8Array.from(b).buffer), 128);
    const code = assemble((op, arg) => {
      const row = (disp: number): Operand => ({ base: arg, index: 0, scale: 1, disp });
      op("mov.d.i", { reg: 0 }, { imm: 64 });
      op("ldtilecfg", { base: arg, disp: 0 });
      op("tilezero", { reg: 0 });
      op("tileloadd", { reg: 1 }, row(64));
      op("tileloadd", { reg: 2 }, row(128));
      op("tdpbusd", { reg: 0 }, { reg: 1 }, { reg: 2 });
      op("tilestored", row(192), { reg: 0 });
      op("tilerelease");
    });
    const at = system.installCode(code);
    system.callable(at)(system.addressOf(block.buffer as SharedArrayBuffer));
    const sums = [0, 1, 2, 3].map(n => [1, 2, 3, 250].reduce((sum, a, i) => sum + a * b[4 * n + i], 0));
    expect([...new Int32Array(block.buffer, 192, 4)]).toEqual(sums);
    system.release(at, code.length);
  });
});
