/**
 * What this processor can do, asked with CPUID and XGETBV through a few instructions of our own, and the request that Linux wants before the
 * tiles of AMX may be used.
 */
import { LatheError } from "../../errors.ts";
import { Assembler } from "../../target/x64/encode.ts";
import type { Level, Operand } from "../../target/x64/instructions.ts";
import type { System } from "./system.node.ts";

export interface Cache {
  readonly level: number;
  readonly kind: "data" | "instruction" | "unified";
  readonly bytes: number;
  /** Bytes of a line. */
  readonly line: number;
  /** Logical processors that share it at most. */
  readonly sharedBy: number;
}

export interface CpuFeatures {
  /** What processor and operating system both support. `amx` must be asked for with `requestTiles` before the first use. */
  readonly levels: ReadonlySet<Level>;
  readonly vendor: string;
  readonly brand: string;
  readonly family: number;
  readonly model: number;
  readonly caches: readonly Cache[];
}

type Register = "eax" | "ebx" | "ecx" | "edx";
type Leaf = Readonly<Record<Register, number>>;
/** Bit of a register of a CPUID leaf. */
type Bit = readonly [leaf: number, subleaf: number, register: Register, bit: number];

/** State that the operating system must save for the registers of a level (bits of XCR0): ymm; opmask and zmm; tiles. */
const ymm = 0x6;
const zmm = 0xe6;
const tile = 0x60000;

const avx2: readonly Bit[] = [
  [1, 0, "ecx", 12], // FMA
  [1, 0, "ecx", 23], // POPCNT
  [1, 0, "ecx", 28], // AVX
  [1, 0, "ecx", 29], // F16C
  [7, 0, "ebx", 3], // BMI1
  [7, 0, "ebx", 5], // AVX2
  [7, 0, "ebx", 8], // BMI2
  [0x80000001, 0, "ecx", 5], // LZCNT
];
const avx512: readonly Bit[] = [16, 17, 30, 31].map(bit => [7, 0, "ebx", bit] as const); // F, DQ, BW, VL

/** What each level needs: state saved by the system, a level below it, bits of CPUID. A level stands behind the one that it needs. */
const needs: readonly { readonly level: Level; readonly state: number; readonly on?: Level; readonly bits: readonly Bit[] }[] = [
  { level: "avx2", state: ymm, bits: avx2 },
  { level: "avxvnni", state: ymm, on: "avx2", bits: [[7, 1, "eax", 4]] },
  { level: "avx512", state: zmm, on: "avx2", bits: avx512 },
  { level: "avx512vnni", state: zmm, on: "avx512", bits: [[7, 0, "ecx", 11]] },
  { level: "avx512vbmi", state: zmm, on: "avx512", bits: [[7, 0, "ecx", 1]] },
  // BITALG and VPOPCNTDQ
  { level: "avx512bitalg", state: zmm, on: "avx512", bits: [12, 14].map(bit => [7, 0, "ecx", bit] as const) },
  { level: "avx512bf16", state: zmm, on: "avx512", bits: [[7, 1, "eax", 5]] },
  // BF16, TILE, INT8
  { level: "amx", state: tile, on: "avx512", bits: [22, 24, 25].map(bit => [7, 0, "edx", bit] as const) },
];

const [rax, rcx, rdx, rbx, rsi, rdi, r8] = [0, 1, 2, 3, 6, 7, 8];
const reg = (n: number): Operand => ({ reg: n });
/** The n-th 64-bit word of the block that r8 points to. */
const word = (n: number): Operand => ({ base: r8, disp: 8 * n });

/** Three functions that take their operands from a block of 64-bit words and leave their results there. */
function assemble(windows: boolean): { readonly code: Uint8Array; readonly labels: ReadonlyMap<string, number> } {
  const asm = new Assembler();
  const op = (key: string, ...operands: Operand[]): void => asm.emit({ key, operands });
  const begin = (name: string): void => {
    asm.align(16);
    asm.label(name);
    op("mov.q", reg(r8), reg(windows ? rcx : rdi));
  };
  begin("cpuid");
  op("push.q", reg(rbx));
  op("mov.q", reg(rax), word(0));
  op("mov.q", reg(rcx), word(1));
  op("cpuid");
  [rax, rbx, rcx, rdx].forEach((r, i) => {
    op("mov.q.st", word(i), reg(r));
  });
  op("pop.q", reg(rbx));
  op("ret");

  begin("xgetbv");
  op("mov.d.i", reg(rcx), { imm: 0 });
  op("xgetbv");
  op("mov.q.st", word(0), reg(rax));
  op("ret");

  begin("syscall");
  op("mov.q", reg(rax), word(0));
  op("mov.q", reg(rdi), word(1));
  op("mov.q", reg(rsi), word(2));
  op("syscall");
  op("mov.q.st", word(0), reg(rax));
  op("ret");
  return asm.finish();
}

/** Runs `use` with the functions installed, and removes them afterwards. A call takes words and returns the block afterwards. */
function withStubs<T>(system: System, use: (call: (name: string, ...words: number[]) => BigInt64Array) => T): T {
  if (process.arch !== "x64") throw new LatheError("target.unavailable", "CPUID is asked on x86-64 only.", { arch: process.arch });
  const { code, labels } = assemble(system.name === "win32");
  const at = system.installCode(code);
  try {
    const block = new BigInt64Array(new SharedArrayBuffer(64));
    const address = system.addressOf(block.buffer);
    return use((name, ...words) => {
      words.forEach((w, i) => {
        block[i] = BigInt(w);
      });
      system.callable(at + BigInt(labels.get(name)!))(address);
      return block;
    });
  } finally {
    system.release(at, code.length);
  }
}

/** Text in registers, four bytes each. */
const text = (...words: readonly number[]): string =>
  String.fromCharCode(...new Uint8Array(Uint32Array.from(words).buffer))
    .split("\0")[0]
    .trim();

/** Leaf 4 of Intel, or leaf 0x8000001D of AMD, which has the same layout. */
function cachesOf(leaf: (n: number, sub: number) => Leaf, number: number): Cache[] {
  const found: Cache[] = [];
  const kinds = [undefined, "data", "instruction", "unified"] as const;
  for (let i = 0; i < 16; i++) {
    const { eax, ebx, ecx } = leaf(number, i);
    const kind = kinds[eax & 31];
    if (!kind) break;
    const line = (ebx & 0xfff) + 1;
    const bytes = line * (((ebx >>> 12) & 0x3ff) + 1) * ((ebx >>> 22) + 1) * (ecx + 1);
    found.push({ level: (eax >>> 5) & 7, kind, bytes, line, sharedBy: ((eax >>> 14) & 0xfff) + 1 });
  }
  return found;
}

/** Family and model from their parts, which are added as the manual says. */
function identity(eax: number): { readonly family: number; readonly model: number } {
  const family = (eax >>> 8) & 15;
  const model = (eax >>> 4) & 15;
  const extended = family === 6 || family === 15;
  return { family: family === 15 ? family + ((eax >>> 20) & 255) : family, model: extended ? model + ((eax >>> 12) & 0xf0) : model };
}

/** Asks the processor. Throws `target.unavailable` where it is no x86-64, or where no code can be installed. */
export function readFeatures(system: System): CpuFeatures {
  return withStubs(system, call => {
    const leaf = (n: number, sub: number): Leaf => {
      const [eax, ebx, ecx, edx] = [...call("cpuid", n, sub).subarray(0, 4)].map(w => Number(BigInt.asUintN(32, w)));
      return { eax, ebx, ecx, edx };
    };
    const zero = leaf(0, 0);
    const extended = leaf(0x80000000, 0).eax;
    const exists = (n: number): boolean => n <= (n >= 0x80000000 ? extended : zero.eax);
    const has = ([n, sub, register, bit]: Bit): boolean =>
      exists(n) && (sub === 0 || sub <= leaf(n, 0).eax) && ((leaf(n, sub)[register] >>> bit) & 1) === 1;
    const state = has([1, 0, "ecx", 27]) ? Number(BigInt.asUintN(32, call("xgetbv")[0])) : 0;
    const levels = new Set<Level>(["base"]);
    for (const { level, state: saved, on, bits } of needs) {
      if ((state & saved) === saved && (!on || levels.has(on)) && bits.every(has)) levels.add(level);
    }
    const brand = exists(0x80000004) ? [2, 3, 4].flatMap(i => Object.values(leaf(0x80000000 + i, 0))) : [];
    const topology = [0x8000001d, 4].filter(exists).map(n => cachesOf(leaf, n));
    return {
      levels,
      vendor: text(zero.ebx, zero.edx, zero.ecx),
      brand: text(...brand),
      ...identity(leaf(1, 0).eax),
      caches: topology.find(list => list.length > 0) ?? [],
    };
  });
}

/** arch_prctl, and its request for a part of the processor's state: the data of tiles. */
const archPrctl = 158;
const requestPermission = 0x1023;
const tileData = 18;

/**
 * Asks Linux for the right to use tiles, for all threads of the process. Elsewhere there is nothing to ask. Says whether they may be used now;
 * call it only where the levels contain `amx`.
 */
export function requestTiles(system: System): boolean {
  if (system.name !== "linux") return true;
  return withStubs(system, call => call("syscall", archPrctl, requestPermission, tileData)[0] === 0n);
}
