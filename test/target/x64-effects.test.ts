/**
 * What the instruction tables say about reading and writing, against the processor: every row that this machine can run is run with random
 * registers and contents. It may change nothing but what its row says it writes, may depend on nothing but what the row says it reads, and must
 * depend on all of that. Register allocation leans on these columns, and no disassembler shows them.
 */
import { describe, expect, it } from "vitest";
import { readFeatures } from "../../src/runtime/native/features.node.ts";
import { openSystem, type System } from "../../src/runtime/native/foreign.node.ts";
import { Assembler } from "../../src/target/x64/encode.ts";
import { type Ins, type Instruction, instructions, type Operand, type OperandSpec } from "../../src/target/x64/instructions.ts";
import { printIns } from "../../src/target/x64/print.ts";

const opened =
  process.arch === "x64" && process.platform !== "win32"
    ? await openSystem()
    : { reason: "the test calls as x86-64 systems but Windows do" };
const reason = "reason" in opened ? opened.reason : undefined;
const system = opened as System;
const levels = reason ? new Set<string>() : readFeatures(system).levels;
const wide = levels.has("avx512");
const draws = 8;

/** Rows that leave the straight line, need special contents, or whose result is no function of the registers. */
const apart =
  /^(j|call|ret|push|pop|syscall|int3|ud2|div|idiv|xgetbv|cpuid|rdtsc|vldmxcsr|vzero|v\w*gather|v\w*scatter|ldtile|sttile|tile|tdp|prefetch)/;

// State in memory, in 32-bit words: general-purpose registers, flags, masks, vectors, and the memory that operands lie in.
const gpAt = (r: number): number => 2 * r;
const flagsAt = 32;
const maskAt = (r: number): number => 34 + 2 * r;
const vecAt = (r: number): number => 64 + 16 * r;
const memAt = 64 + 16 * 32;
const memWords = 32;
const stateWords = memAt + memWords;
/** Carry, parity, adjust, zero, sign, overflow. */
const arithmeticFlags = 0x8d5;
const [rax, rcx, rbx, rsp, rbp, rdi, r9] = [0, 1, 3, 4, 5, 7, 9];
const saved = [rbx, rbp, 12, 13, 14, 15];

let seed = 12345;
const random = (below: number): number => {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
};

/** Words of the state, and for each the bits that count. */
type Part = ReadonlyMap<number, number>;
const words = (at: number, bits: number): [number, number][] =>
  Array.from({ length: Math.ceil(bits / 32) }, (_, i) => [at + i, bits >= 32 ? -1 : 2 ** bits - 1]);

const registerAt = (spec: OperandSpec, reg: number): number =>
  spec.cls === "gp" ? gpAt(reg) : spec.cls === "mask" ? maskAt(reg) : vecAt(reg);

function placeOf(spec: OperandSpec, op: Operand, whole: boolean): [number, number][] {
  if ("reg" in op) return words(registerAt(spec, op.reg), !whole ? spec.bits : spec.cls === "vec" ? 512 : spec.bits < 32 ? spec.bits : 64);
  return "disp" in op ? words(memAt, spec.memBits!) : [];
}

/** What an instruction reads, one named part for each operand, register or flags. */
function reads(row: Instruction, ins: Ins): [string, Part][] {
  const merging = ins.mask !== undefined && !ins.zeroing && row.keeps;
  const found: [string, Part][] = row.operands.flatMap((spec, i): [string, Part][] => {
    if (spec.access !== "w") return [[`operand ${i}`, new Map(placeOf(spec, ins.operands[i], false))]];
    return i === 0 && merging ? [["what the mask keeps", new Map(placeOf(spec, ins.operands[i], false))]] : [];
  });
  if (ins.mask !== undefined) found.push(["mask", new Map(words(maskAt(ins.mask), 64))]);
  for (const r of row.reads ?? []) {
    found.push([`register ${r}`, new Map(words(gpAt(r), row.operands[0]?.bits === 32 || row.key === "cdq" ? 32 : 64))]);
  }
  if (row.readsFlags) found.push(["flags", new Map([[flagsAt, arithmeticFlags]])]);
  return found.filter(([, part]) => part.size > 0);
}

function writes(row: Instruction, ins: Ins): Part {
  return new Map([
    ...row.operands.flatMap((spec, i) => (spec.access === "r" ? [] : placeOf(spec, ins.operands[i], true))),
    ...(row.writes ?? []).flatMap(r => words(gpAt(r), 64)),
    ...(row.setsFlags ? [[flagsAt, arithmeticFlags] as [number, number]] : []),
  ]);
}

/** Random operands: all registers differ, memory lies where r9 points. Without mask, with one, and with zeroing take turns. */
function draw(row: Instruction, turn: number): Ins {
  const used = new Set<string>((row.reads ?? []).concat(row.writes ?? []).map(r => `gp${r}`));
  const fresh = (cls: string, from: readonly number[]): number => {
    const free = from.filter(r => !used.has(cls + r));
    const reg = free[random(free.length)];
    used.add(cls + reg);
    return reg;
  };
  const gps = [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15];
  const vecs = Array.from({ length: row.encoding.kind === "evex" ? 32 : 16 }, (_, i) => i);
  const masks = [1, 2, 3, 4, 5, 6, 7];
  const operands = row.operands.map((spec): Operand => {
    if (spec.kind === "imm") return { imm: random(4) ? random(8) : random(2 ** (Math.min(spec.bits, 32) - 1)) };
    if (spec.kind === "mem") return { base: r9, disp: 0 };
    return { reg: fresh(spec.cls!, spec.cls === "gp" ? gps : spec.cls === "mask" ? masks : vecs) };
  });
  const mask = row.masking !== "none" && turn % 2 ? fresh("mask", masks) : undefined;
  return { key: row.key, operands, mask, zeroing: mask !== undefined && row.masking === "zero" && turn % 4 === 3 };
}

/** Words that begin at a multiple of 64 bytes, as aligned moves want them. */
function aligned(count: number): Int32Array {
  const buffer = new SharedArrayBuffer(4 * count + 64);
  return new Int32Array(buffer, Number(-system.addressOf(buffer) & 63n), count);
}

/** Code that loads all registers from the state that its argument points to, runs one instruction, and stores them behind it. */
class Harness {
  readonly #asm = new Assembler();
  readonly #block = aligned(2 * stateWords);
  readonly #address = system.addressOf(this.#block.buffer as SharedArrayBuffer) + BigInt(this.#block.byteOffset);
  #functions: ((args: number | bigint) => void)[] = [];
  #count = 0;

  constructor() {
    this.#load();
    this.#store();
  }
  #op(key: string, ...operands: Operand[]): void {
    this.#asm.emit({ key, operands });
  }
  #vectors(form: "" | ".st", base: number, from: number): void {
    const key = wide ? `vmovdqu64.z${form}` : `vmovdqu.y${form}`;
    for (let r = 0; r < (wide ? 32 : 16); r++) {
      const memory: Operand = { base, disp: 4 * (from + vecAt(r)) };
      this.#op(key, ...(form ? [memory, { reg: r }] : [{ reg: r }, memory]));
    }
    for (let r = 1; wide && r < 8; r++) {
      const memory: Operand = { base, disp: 4 * (from + maskAt(r)) };
      this.#op(`kmovq${form}`, ...(form ? [memory, { reg: r }] : [{ reg: r }, memory]));
    }
  }
  #load(): void {
    this.#asm.label("load");
    this.#vectors("", rdi, 0);
    this.#op("mov.q", { reg: rax }, { base: rdi, disp: 4 * flagsAt });
    this.#op("push.q", { reg: rax });
    this.#op("popf");
    for (let r = 0; r < 16; r++) if (r !== rsp && r !== rdi) this.#op("mov.q", { reg: r }, { base: rdi, disp: 4 * gpAt(r) });
    this.#op("mov.q", { reg: rdi }, { base: rdi, disp: 4 * gpAt(rdi) });
    this.#op("ret");
  }
  #store(): void {
    const out = (word: number): Operand => ({ base: rax, disp: 4 * (stateWords + word) });
    this.#asm.label("store");
    this.#op("push.q", { reg: rax });
    this.#op("pushf");
    this.#op("mov.q", { reg: rax }, { base: rsp, disp: 16 });
    for (let r = 1; r < 16; r++) if (r !== rsp) this.#op("mov.q.st", out(gpAt(r)), { reg: r });
    this.#vectors(".st", rax, stateWords);
    this.#op("pop.q", { reg: rcx });
    this.#op("mov.q.st", out(flagsAt), { reg: rcx });
    this.#op("pop.q", { reg: rcx });
    this.#op("mov.q.st", out(gpAt(rax)), { reg: rcx });
    this.#op("pop.q", { reg: rdi });
    for (const r of saved.toReversed()) this.#op("pop.q", { reg: r });
    this.#op("vzeroupper");
    this.#op("ret");
  }
  add(ins: Ins): void {
    this.#asm.align(16);
    this.#asm.label(`f${this.#count++}`);
    for (const r of saved) this.#op("push.q", { reg: r });
    this.#op("push.q", { reg: rdi });
    this.#op("call", { label: "load" });
    this.#asm.emit(ins);
    this.#op("jmp", { label: "store" });
  }
  install(): void {
    const { code, labels } = this.#asm.finish();
    const at = system.installCode(code);
    this.#functions = Array.from({ length: this.#count }, (_, i) => system.callable(at + BigInt(labels.get(`f${i}`)!)));
  }
  /** The state after the n-th instruction. Memory is changed in place, so it is taken from there. */
  run(n: number, state: Int32Array): Int32Array {
    this.#block.set(state);
    const pointer = this.#address + BigInt(4 * memAt);
    this.#block.set([Number(BigInt.asIntN(32, pointer)), Number(pointer >> 32n)], gpAt(r9));
    this.#functions[n](this.#address);
    const after = this.#block.slice(stateWords);
    after.set(this.#block.subarray(memAt, memAt + memWords), memAt);
    after[flagsAt] &= arithmeticFlags;
    return after;
  }
}

/** Contents of registers: any bits; numbers near one, as float32 or as float64; small integers, which also serve as counts of shifts. */
const styles: readonly ((w: number) => number)[] = [
  () => random(2 ** 32) | 0,
  () => (random(2) << 31) | (0x3f000000 + random(0x1800000)),
  w => (w % 2 ? (random(2) << 31) | (0x3fd00000 + random(0x400000)) : random(2 ** 32) | 0),
  w => (w % 4 ? 0 : random(20)),
];
const noise = (style: number): Int32Array => {
  const state = Int32Array.from({ length: stateWords }, (_, w) => styles[w < vecAt(0) ? 0 : style](w));
  // Masks in which all bits are equal are what some instructions ask for.
  if (style === 3) for (let w = maskAt(0); w < maskAt(8); w++) state[w] = random(3) - 1;
  state[flagsAt] &= arithmeticFlags;
  state[flagsAt + 1] = 0;
  return state;
};
const mix = (a: Int32Array, b: Int32Array, part: Part): Int32Array => {
  const mixed = a.slice();
  for (const [w, bits] of part) mixed[w] = (a[w] & ~bits) | (b[w] & bits);
  return mixed;
};
/** Words that every run stores: not rsp, not the pointer in r9, not what this machine lacks. */
const compared = Array.from({ length: stateWords }, (_, w) => w).filter(
  w =>
    !(w >= gpAt(rsp) && w < gpAt(rsp) + 2) &&
    !(w >= gpAt(r9) && w < gpAt(r9) + 2) &&
    !(w > flagsAt && w < maskAt(1)) &&
    !(w >= maskAt(8) && w < vecAt(0)) &&
    (wide || w >= memAt || w < maskAt(0) || (w >= vecAt(0) && w < vecAt(16) && (w - vecAt(0)) % 16 < 8)),
);

const isCompared = Uint8Array.from({ length: stateWords }, (_, w) => Number(compared.includes(w)));

/** Did the outcome change? A bit of the flags that both runs left alone does not count. */
const differs = (a: Int32Array, b: Int32Array, beforeA: Int32Array, beforeB: Int32Array, part: Part): boolean =>
  [...part].some(
    ([w, bits]) => isCompared[w] === 1 && ((a[w] ^ b[w]) & bits & (w === flagsAt ? (a[w] ^ beforeA[w]) | (b[w] ^ beforeB[w]) : -1)) !== 0,
  );

/** What matters only for contents that random ones never are: a source that is zero, a comparison that holds; and what never matters. */
const seldom = /^(bs[fr]\.. operand 0|cmpxchg\..\.lock operand 1|nop\.. operand 0)$/;

describe.skipIf(reason)(`what instructions read and write${reason ? ` (${reason})` : ""}`, () => {
  const rows = [...instructions.values()].filter(row => levels.has(row.level) && !apart.test(row.key));
  const plan = rows.flatMap(row => Array.from({ length: draws }, (_, turn) => ({ row, ins: draw(row, turn) })));
  const harness = reason ? undefined! : new Harness();
  for (const { ins } of plan) harness.add(ins);
  if (!reason) harness.install();

  it("changes nothing else and depends on nothing else", () => {
    const wrong = new Set<string>();
    plan.forEach(({ row, ins }, n) => {
      const written = writes(row, ins);
      const before = noise(n % styles.length);
      const other = reads(row, ins).reduce((state, [, part]) => mix(state, before, part), noise(0));
      const after = harness.run(n, before);
      const afterOther = harness.run(n, other);
      const stray = compared.find(w => ((after[w] ^ before[w]) & ~(written.get(w) ?? 0)) !== 0);
      if (stray !== undefined) wrong.add(`${row.key} changes word ${stray}: ${printIns(ins)}`);
      if (differs(after, afterOther, before, other, written)) wrong.add(`${row.key} depends on more than it reads: ${printIns(ins)}`);
    });
    expect([...wrong].slice(0, 40)).toEqual([]);
    expect(rows.length).toBeGreaterThan(wide ? 1500 : 300);
  });

  it("depends on all that it is said to read", () => {
    const idle = new Set(plan.flatMap(({ row, ins }) => reads(row, ins).map(([name]) => `${row.key} ${name}`)));
    for (let round = 0; round < 40; round++) {
      plan.forEach(({ row, ins }, n) => {
        const waiting = reads(row, ins).filter(([name]) => idle.has(`${row.key} ${name}`));
        if (waiting.length === 0) return;
        const style = (n + round) % styles.length;
        const before = noise(style);
        const after = harness.run(n, before);
        for (const [name, part] of waiting) {
          const changed = mix(before, noise(style), part);
          if (differs(harness.run(n, changed), after, changed, before, writes(row, ins))) idle.delete(`${row.key} ${name}`);
        }
      });
    }
    expect([...idle].filter(name => !seldom.test(name))).toEqual([]);
  });

  it("sets flags where it is said to", () => {
    const quiet = new Set(rows.filter(row => row.setsFlags).map(row => row.key));
    for (let round = 0; round < 40; round++) {
      plan.forEach(({ row }, n) => {
        if (!quiet.has(row.key)) return;
        const before = noise((n + round) % styles.length);
        if (harness.run(n, before)[flagsAt] !== before[flagsAt]) quiet.delete(row.key);
      });
    }
    expect([...quiet]).toEqual([]);
  });
});
