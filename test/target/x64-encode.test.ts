/**
 * Every row of the instruction tables, with random operands, against objdump: what it reads from our bytes must be what our printer writes, and
 * every instruction must have the length that objdump sees. Our tables and encoder know nothing of objdump, so a wrong opcode, prefix, operand
 * place or displacement shows as another text.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Assembler } from "../../src/target/x64/encode.ts";
import { type Ins, type Instruction, instructions, type Operand, type OperandSpec } from "../../src/target/x64/instructions.ts";
import { listing, printIns } from "../../src/target/x64/print.ts";

const present = spawnSync("objdump", ["--version"]).status === 0;
const draws = 60;

/** Numbers from a seed (xorshift). */
function random(seed: number): (below: number) => number {
  let x = seed;
  return below => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}
type Random = ReturnType<typeof random>;
const pick = <T>(r: Random, list: readonly T[]): T => list[r(list.length)];

const registersOf = (row: Instruction, spec: OperandSpec): number =>
  spec.cls === "vec" ? (row.encoding.kind === "evex" ? 32 : 16) : spec.cls === "gp" ? 16 : 8;

/** Around the borders of 8-bit displacements, plain and in steps of the operand, and of 32-bit ones. */
function displacement(r: Random, step: number): number {
  const edges = [0, 1, -1, 127, -128, 128, -129, 0x7fffffff, -0x80000000];
  return r(2) ? pick(r, [0, ...edges, ...edges.map(e => e * step).filter(d => d === (d | 0))]) : r(2 ** 32) | 0;
}

function memory(r: Random, row: Instruction, spec: OperandSpec, labels: readonly string[]): Operand {
  const broadcast = row.broadcast !== undefined && r(2) === 1;
  const disp = displacement(r, Math.max(1, (broadcast ? row.broadcast! : spec.memBits!) / 8));
  const index = spec.indexBits ? r(row.encoding.kind === "evex" ? 32 : 16) : pick(r, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  const scale = pick(r, [1, 2, 4, 8] as const);
  const base = r(16);
  if (spec.sib) return { base, index, scale, disp };
  if (spec.indexBits) return { base: r(4) ? base : undefined, index, scale, disp };
  const shape = r(8);
  if (shape === 0) return { label: pick(r, labels), disp: disp >> 8, broadcast };
  if (shape === 1) return { disp, broadcast };
  if (shape === 2) return { index, scale, disp, broadcast };
  return shape < 5 ? { base, disp, broadcast } : { base, index, scale, disp, broadcast };
}

function immediate(r: Random, spec: OperandSpec): Operand {
  if (spec.bits === 64) {
    const random = (BigInt(r(2 ** 32)) << 32n) | BigInt(r(2 ** 32));
    return { imm: pick(r, [0n, -1n, 1n << 63n, -(1n << 63n), (1n << 64n) - 1n, random]) };
  }
  const low = -(2 ** (spec.bits - 1));
  const high = spec.signed ? -low - 1 : 2 ** spec.bits - 1;
  return {
    imm: r(2)
      ? pick(
          r,
          [0, 1, -1, 127, -128, low, high, -low - 1].filter(n => n >= low && n <= high),
        )
      : low + r(high - low + 1),
  };
}

function operand(r: Random, row: Instruction, spec: OperandSpec, labels: readonly string[]): Operand {
  if (spec.kind === "imm") return immediate(r, spec);
  if (spec.kind === "rel") return { label: spec.bits === 8 ? "here" : pick(r, labels) };
  if (spec.kind === "mem" || (spec.kind === "rm" && r(2))) return memory(r, row, spec, labels);
  return { reg: r(registersOf(row, spec)) };
}

/** Registers that must differ are drawn until they do. */
function draw(r: Random, row: Instruction, labels: readonly string[]): Ins {
  for (;;) {
    const operands = row.operands.map(spec => operand(r, row, spec, labels));
    const used = operands.map(op => ("reg" in op ? op.reg : "disp" in op ? op.index : undefined));
    if (row.distinct && new Set(used).size < used.length) continue;
    const masked = row.masking === "needed" || (row.masking !== "none" && r(2) === 1);
    const zeroing = masked && row.masking === "zero" && !("disp" in operands[0]) && r(2) === 1;
    return { key: row.key, operands, ...(masked ? { mask: 1 + r(7), zeroing } : {}) };
  }
}

/** Comparisons that objdump writes as a mnemonic of their own, by the immediate that they stand for. */
const floatPredicates = (
  "eq lt le unord neq nlt nle ord eq_uq nge ngt false neq_oq ge gt true " +
  "eq_os lt_oq le_oq unord_s neq_us nlt_uq nle_uq ord_s eq_us nge_uq ngt_uq false_os neq_os ge_oq gt_oq true_us"
).split(" ");
const intPredicates = "eq lt le - neq nlt nle".split(" ");

/** What objdump writes otherwise than we do. Each line: pattern, replacement. */
const spelling: readonly (readonly [RegExp, string | ((...found: string[]) => string)])[] = [
  [/^\{e?vex\} /, ""],
  [/^movabs /, "mov "],
  [/\s*#.*$/, ""],
  [/^vcmp(\w+?)([sp][sd]) (.*)$/, (_, name, type, ops) => `vcmp${type} ${ops},0x${floatPredicates.indexOf(name).toString(16)}`],
  [/^vpcmp(eq|lt|le|neq|nlt|nle)(u?[bwdq]) (k.*)$/, (_, name, type, ops) => `vpcmp${type} ${ops},0x${intPredicates.indexOf(name)}`],
  [/\+0x0\]/, "]"],
];

interface Line {
  readonly at: number;
  readonly bytes: number;
  readonly text: string;
}

function disassemble(code: Uint8Array): Line[] {
  const folder = mkdtempSync(join(tmpdir(), "lathe-"));
  try {
    const file = join(folder, "code.bin");
    writeFileSync(file, code);
    const args = ["-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--insn-width=16", file];
    const { stdout } = spawnSync("objdump", args, { encoding: "utf8", maxBuffer: 1 << 28 });
    return [...stdout.matchAll(/^ *([0-9a-f]+):\t([0-9a-f ]+?) *\t(.*)$/gm)].map(([, at, bytes, text]) => {
      const target = /# (0x[0-9a-f]+)$/.exec(text)?.[1];
      const plain = text.replace(/\s+/g, " ").trim();
      const named = target ? plain.replace(/\[rip[^\]]*\]/, `[${target}]`) : plain;
      return { at: Number.parseInt(at, 16), bytes: bytes.split(" ").length, text: named };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Comparisons whose predicate is part of objdump's mnemonic, unless our own row is an equality with a mnemonic of its own. */
const respell = (text: string, key: string): string =>
  spelling
    .filter(([pattern]) => !(/^vpcmp(eq|gt)/.test(key) && pattern.source.startsWith("^vpcmp")))
    .reduce((t, [pattern, by]) => t.replace(pattern, by as string), text);

const hex = (n: number): string => `0x${BigInt.asUintN(64, BigInt(n)).toString(16)}`;

/** `-0x10` and `+0x10` as numbers; absent is 0. */
const signed = (text: string | undefined): number => (text ? (text[0] === "-" ? -1 : 1) * Number(text.slice(1)) : 0);

/** Our text with labels as the addresses that objdump shows. */
const resolved = (ins: Ins, labels: ReadonlyMap<string, number>): string =>
  printIns(ins)
    .replace(/\[rip\+([a-z]+\d*)([+-]0x[0-9a-f]+)?\]/, (_, name, disp) => `[${hex(labels.get(name)! + signed(disp))}]`)
    .replace(/^(j\w+|call) ([a-z]+\d*)$/, (all, name, label) => (labels.has(label) ? `${name} ${hex(labels.get(label)!)}` : all));

describe("x86-64 encoder", () => {
  it.skipIf(!present)("every row means to objdump what it means to us (needs objdump, from binutils)", () => {
    const r = random(20240607);
    const assembler = new Assembler();
    const labels = ["start", "end"];
    assembler.label("start");
    for (const row of instructions.values()) {
      if (row.operands[0]?.kind === "rel" && row.operands[0].bits === 8) {
        const name = `near${row.key.replace(/\W/g, "")}`;
        assembler.label(name);
        assembler.emit({ key: row.key, operands: [{ label: name }] });
        continue;
      }
      const count = row.operands.length === 0 ? 1 : draws;
      for (let i = 0; i < count; i++) assembler.emit(draw(r, row, labels));
    }
    assembler.label("end");
    const done = assembler.finish();
    const seen = disassemble(done.code);
    const wrong: string[] = [];
    for (let i = 0; i < done.lines.length && wrong.length < 40; i++) {
      const { at, bytes, ins } = done.lines[i];
      const theirs = seen[i] ? respell(seen[i].text, ins.key) : "nothing";
      const shown = resolved(ins, done.labels);
      const ours = theirs.includes("{1to") ? shown : shown.replace(/\{1to\d+\}/, "");
      if (at === seen[i]?.at && bytes === seen[i].bytes && ours === theirs) continue;
      if (wrong.some(w => w.startsWith(`${ins.key}:`))) continue;
      wrong.push(
        `${ins.key}: ${ours} | ${theirs} (${bytes} bytes, objdump ${seen[i]?.bytes}) ${Buffer.from(done.code.subarray(at, at + bytes)).toString("hex")}`,
      );
      if (at !== seen[i]?.at || bytes !== seen[i]?.bytes) break;
    }
    expect(wrong).toEqual([]);
    expect(seen.length).toBe(done.lines.length);
    expect(listing(done).split("\n").length).toBeGreaterThan(done.lines.length);
  });

  it.skipIf(!present)("jumps of every distance reach their labels, as short as they can be", () => {
    const r = random(77);
    const assembler = new Assembler();
    const count = 300;
    for (let i = 0; i < count; i++) {
      if (r(8) === 0) assembler.align(pick(r, [2, 8, 32]));
      assembler.label(`l${i}`);
      const jump = pick(r, ["jmp", "jne", "jb", "call"]);
      assembler.emit({ key: jump, operands: [{ label: `l${Math.min(count - 1, Math.max(0, i + r(60) - 30))}` }] });
      for (let n = r(6); n > 0; n--) assembler.emit({ key: "nop.d", operands: [{ base: 0, disp: pick(r, [0, 1, 1000]) }] });
    }
    const { code, labels, lines } = assembler.finish();
    const seen = new Map(disassemble(code).map(line => [line.at, line]));
    for (const { at, bytes, ins } of lines) {
      expect([at, bytes, respell(seen.get(at)!.text, ins.key)]).toEqual([at, seen.get(at)!.bytes, resolved(ins, labels)]);
      if (!/^j/.test(ins.key)) continue;
      const near = labels.get((ins.operands[0] as { label: string }).label)! - (at + 2);
      // Distance as a jump of two bytes would have it: a long one must not have been able to be short.
      expect(bytes === 2 ? near >= -128 && near <= 127 : near < -128 || near > 127).toBe(true);
    }
    const lengths = new Set(lines.filter(l => /^j/.test(l.ins.key)).map(l => l.bytes));
    expect([...lengths].sort()).toEqual([2, 5, 6]);
  });

  it("takes the short form of an immediate that fits", () => {
    const length = (key: string, imm: number): number => {
      const assembler = new Assembler();
      assembler.emit({ key, operands: [{ reg: 1 }, { imm }] });
      return assembler.finish().code.length;
    };
    expect([127, -128, 128, -129].map(imm => length("add.q.i", imm))).toEqual([4, 4, 7, 7]);
    expect([0xffffff80, 0xffffff7f].map(imm => length("add.d.i", imm))).toEqual([3, 6]);
  });

  it("keeps equal constants once, aligned as the strictest wants", () => {
    const assembler = new Assembler();
    const a = assembler.data(Uint8Array.of(1, 2, 3, 4), 4);
    const b = assembler.data(Uint8Array.of(9), 1);
    expect(assembler.data(Uint8Array.of(1, 2, 3, 4), 64)).toBe(a);
    assembler.emit({ key: "vmovd.x", operands: [{ reg: 0 }, { label: a, disp: 0 }] });
    const { code, codeBytes, alignment, labels } = assembler.finish();
    expect([labels.get(a), labels.get(b), alignment, codeBytes]).toEqual([64, 68, 64, 8]);
    expect([...code.subarray(64)]).toEqual([1, 2, 3, 4, 9]);
  });

  it("refuses what its rows do not allow, and shows it", () => {
    const refused: readonly (readonly [Ins, string])[] = [
      [{ key: "vpaddd.y", operands: [{ reg: 16 }, { reg: 0 }, { reg: 0 }] }, "vpaddd ymm16,ymm0,ymm0"],
      [{ key: "vpaddd.y", operands: [{ reg: 0 }, { reg: 0 }] }, "3 operands"],
      [{ key: "vpaddd.y", operands: [{ reg: 0 }, { base: 0, disp: 0 }, { reg: 0 }] }, "operand V is no reg"],
      [{ key: "vpaddd.y", operands: [{ reg: 0 }, { reg: 0 }, { reg: 0 }], mask: 1 }, "mask 1"],
      [{ key: "vpaddd.z", operands: [{ reg: 0 }, { reg: 0 }, { reg: 0 }], mask: 0 }, "mask 0"],
      [{ key: "vpaddb.z", operands: [{ reg: 0 }, { reg: 0 }, { base: 0, disp: 0, broadcast: true }] }, "no broadcast"],
      [{ key: "vmovups.z.st", operands: [{ base: 0, disp: 0 }, { reg: 0 }], mask: 1, zeroing: true }, "no zeroing"],
      [{ key: "vgatherdps.z", operands: [{ reg: 0 }, { base: 0, index: 1, disp: 0 }] }, "a mask is needed"],
      [{ key: "vgatherdps.y", operands: [{ reg: 1 }, { base: 0, index: 1, disp: 0 }, { reg: 2 }] }, "must differ"],
      [{ key: "mov.q", operands: [{ reg: 0 }, { base: 1, index: 4, disp: 0 }] }, "rsp cannot be an index"],
      [{ key: "mov.q", operands: [{ reg: 0 }, { base: 1, disp: 2 ** 31 }] }, "does not fit 32 bits"],
      [{ key: "mov.q", operands: [{ reg: 0 }, { base: 1, disp: 0, label: "a" }] }, "without base and index"],
      [{ key: "add.q.i", operands: [{ reg: 0 }, { imm: 2 ** 31 }] }, "does not fit 32 bits"],
      [{ key: "add.q.i", operands: [{ reg: 0 }, { imm: Number.NaN }] }, "does not fit 32 bits"],
      [{ key: "mov.q.i64", operands: [{ reg: 0 }, { imm: 1n << 64n }] }, "does not fit 64 bits"],
      [{ key: "tileloadd", operands: [{ reg: 0 }, { base: 0, disp: 0 }] }, "base and index"],
      [{ key: "jmp", operands: [{ label: "nowhere" }] }, "no label nowhere"],
      [{ key: "mov.q", operands: [{ reg: 0 }, { label: "nowhere", disp: 0 }] }, "no label nowhere"],
      [{ key: "vpaddd.w", operands: [] }, "no x86-64 instruction vpaddd.w"],
    ];
    for (const [ins, why] of refused) {
      const attempt = (): void => {
        const assembler = new Assembler();
        assembler.emit(ins);
        assembler.finish();
      };
      expect(attempt).toThrow(TypeError);
      expect(attempt).toThrow(why);
    }
    const twice = new Assembler();
    twice.label("a");
    expect(() => twice.label("a")).toThrow(TypeError);
    expect(() => twice.align(3)).toThrow(TypeError);
  });
});
