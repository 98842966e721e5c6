/**
 * The bytes of one instruction: prefixes, opcode, ModRM, SIB, displacement, immediate. Knows the formats of x86-64 (legacy, VEX, EVEX) and no
 * single instruction; what an instruction is stands in its row.
 */
import { type Ins, type Instruction, instructions, type Mem, type Operand, type OperandSpec } from "./instructions.ts";
import { printIns } from "./print.ts";

/** Four (or, in a short jump, one) bytes to be filled with the distance from the end of the instruction to `label` plus `disp`. */
export interface Fixup {
  readonly at: number;
  readonly label: string;
  readonly disp: number;
}

/** Complains about an instruction that cannot be encoded: a mistake in the code that emits it. */
export function fail(ins: Ins, why: string): never {
  throw new TypeError(`${ins.key}: ${why} in "${printIns(ins)}"`);
}

/** The table row of an instruction. */
export function row(ins: Ins): Instruction {
  const found = instructions.get(ins.key);
  if (!found) throw new TypeError(`there is no x86-64 instruction ${ins.key}`);
  return found;
}

/** Registers of each class that a prefix can reach. */
const reach = { gp: 16, mask: 8, tile: 8 };

function checkRegister(reg: number, spec: OperandSpec, form: Instruction, ins: Ins): void {
  const count = spec.cls === "vec" ? (form.encoding.kind === "evex" ? 32 : 16) : reach[spec.cls!];
  if (!Number.isInteger(reg) || reg < 0 || reg >= count) fail(ins, `register ${reg} is not one of ${count}`);
}

function checkMemory(mem: Mem, spec: OperandSpec, form: Instruction, ins: Ins): void {
  const { base, index, scale = 1, disp, label } = mem;
  if (!Number.isInteger(disp) || disp !== (disp | 0)) fail(ins, `displacement ${disp} does not fit 32 bits`);
  if (base !== undefined && !(Number.isInteger(base) && base >= 0 && base < 16)) fail(ins, `base ${base}`);
  if (label !== undefined && (base !== undefined || index !== undefined)) fail(ins, "a label stands without base and index");
  if (![1, 2, 4, 8].includes(scale)) fail(ins, `scale ${scale}`);
  const vectors = form.encoding.kind === "evex" ? 32 : 16;
  const count = spec.indexBits ? vectors : 16;
  if (index !== undefined && !(Number.isInteger(index) && index >= 0 && index < count)) fail(ins, `index ${index}`);
  if (!spec.indexBits && index === 4) fail(ins, "rsp cannot be an index");
  if (spec.indexBits && index === undefined) fail(ins, "a vector index is needed");
  if (spec.sib && (base === undefined || index === undefined)) fail(ins, "base and index are needed");
  if (mem.broadcast && !form.broadcast) fail(ins, "no broadcast");
}

function checkImmediate(imm: number | bigint, spec: OperandSpec, ins: Ins): void {
  const low = -(2 ** (spec.bits - 1));
  const high = spec.signed ? -low - 1 : 2 ** spec.bits - 1;
  const whole = typeof imm === "bigint" || Number.isSafeInteger(imm);
  const fits = spec.bits === 64 ? whole && BigInt(imm) >= -(1n << 63n) && BigInt(imm) < 1n << 64n : imm >= low && imm <= high;
  if (!whole || !fits) fail(ins, `immediate ${imm} does not fit ${spec.bits} bits`);
}

function checkOperand(op: Operand, spec: OperandSpec, form: Instruction, ins: Ins): void {
  const kind = "reg" in op ? "reg" : "imm" in op ? "imm" : "disp" in op ? "mem" : "rel";
  if (kind !== spec.kind && !(spec.kind === "rm" && (kind === "reg" || kind === "mem")))
    fail(ins, `operand ${spec.place} is no ${spec.kind}`);
  if ("reg" in op) checkRegister(op.reg, spec, form, ins);
  else if ("imm" in op) checkImmediate(op.imm, spec, ins);
  else if ("disp" in op) checkMemory(op, spec, form, ins);
}

function checkMask(form: Instruction, ins: Ins): void {
  const { mask, zeroing } = ins;
  if (form.masking === "needed" && mask === undefined) fail(ins, "a mask is needed");
  if (mask !== undefined && (form.masking === "none" || !(Number.isInteger(mask) && mask >= 1 && mask < 8))) fail(ins, `mask ${mask}`);
  const first = ins.operands[0];
  if (zeroing && (mask === undefined || form.masking !== "zero" || "disp" in first)) fail(ins, "no zeroing");
}

function checkDistinct(form: Instruction, ins: Ins): void {
  const used = ins.operands.map(op => ("reg" in op ? op.reg : "disp" in op ? op.index : undefined));
  if (form.distinct && new Set(used).size < used.length) fail(ins, "registers must differ");
}

/** Operands sorted to their places in the encoding. */
interface Slots {
  reg: number;
  rm: number | Mem;
  rmSpec: OperandSpec | undefined;
  v: number;
  low: number;
  imm: { readonly value: number | bigint; readonly bits: number } | undefined;
  rel: { readonly label: string; readonly bits: number } | undefined;
  /** A REX prefix is needed to name spl, bpl, sil, dil. */
  rex: boolean;
}

function slotsOf(form: Instruction, ins: Ins): Slots {
  const slots: Slots = { reg: form.encoding.digit, rm: 0, rmSpec: undefined, v: 0, low: 0, imm: undefined, rel: undefined, rex: false };
  form.operands.forEach((spec, i) => {
    const op = ins.operands[i];
    if ("imm" in op) slots.imm = { value: op.imm, bits: spec.bits };
    else if ("disp" in op) [slots.rm, slots.rmSpec] = [op, spec];
    else if ("label" in op) slots.rel = { label: op.label, bits: spec.bits };
    else {
      if (spec.bits === 8 && spec.cls === "gp" && op.reg >= 4) slots.rex = true;
      if (spec.place === "R") slots.reg = op.reg;
      else if (spec.place === "M") [slots.rm, slots.rmSpec] = [op.reg, spec];
      else if (spec.place === "V") slots.v = op.reg;
      else if (spec.place === "O") slots.low = op.reg;
      else slots.imm = { value: op.reg << 4, bits: 8 };
    }
  });
  return slots;
}

/** Bit `n` of a register number. */
const bit = (reg: number, n: number): number => (reg >> n) & 1;

/** The bits that lie outside ModRM and SIB: of the index (or of a register's fifth bit, in EVEX), of base, rm or opcode register. */
function outerBits({ rm, low }: Slots): { readonly x: number; readonly b: number; readonly index4: number } {
  if (typeof rm === "number") return { x: bit(rm, 4), b: bit(rm | low, 3), index4: 0 };
  const index = rm.index ?? 0;
  return { x: bit(index, 3), b: bit(rm.base ?? 0, 3), index4: bit(index, 4) };
}

const prefixCode = { 0: 0, 102: 1, 243: 2, 242: 3 };

function legacyPrefix(out: number[], form: Instruction, slots: Slots): void {
  const { lock, prefix, map, w } = form.encoding;
  const { x, b } = outerBits(slots);
  if (lock) out.push(0xf0);
  if (prefix) out.push(prefix);
  const rex = (w << 3) | (bit(slots.reg, 3) << 2) | (x << 1) | b;
  if (rex || slots.rex) out.push(0x40 | rex);
  if (map > 0) out.push(0x0f);
}

function vexPrefix(out: number[], form: Instruction, slots: Slots): void {
  const { prefix, map, w, l } = form.encoding;
  const { x, b } = outerBits(slots);
  const notR = (1 - bit(slots.reg, 3)) << 7;
  const tail = ((~slots.v & 15) << 3) | (l << 2) | prefixCode[prefix];
  if (map === 1 && !w && !x && !b) out.push(0xc5, notR | tail);
  else out.push(0xc4, notR | ((1 - x) << 6) | ((1 - b) << 5) | map, (w << 7) | tail);
}

function evexPrefix(out: number[], form: Instruction, slots: Slots, ins: Ins): void {
  const { prefix, map, w, l } = form.encoding;
  const { x, b, index4 } = outerBits(slots);
  const broadcast = typeof slots.rm === "object" && slots.rm.broadcast ? 1 : 0;
  const v4 = slots.rmSpec?.indexBits ? index4 : bit(slots.v, 4);
  out.push(0x62);
  out.push(((1 - bit(slots.reg, 3)) << 7) | ((1 - x) << 6) | ((1 - b) << 5) | ((1 - bit(slots.reg, 4)) << 4) | map);
  out.push((w << 7) | ((~slots.v & 15) << 3) | 4 | prefixCode[prefix]);
  out.push(((ins.zeroing ? 1 : 0) << 7) | (l << 5) | (broadcast << 4) | ((1 - v4) << 3) | (ins.mask ?? 0));
}

/**
 * Bytes that one step of an 8-bit displacement stands for. EVEX scales it by what the memory operand holds, which for every row of the tables
 * is its size, or one element where that is broadcast.
 */
function dispStep(form: Instruction, slots: Slots, mem: Mem): number {
  return form.encoding.kind === "evex" ? (mem.broadcast ? form.broadcast! : slots.rmSpec!.memBits!) / 8 : 1;
}

function modrm(out: number[], form: Instruction, slots: Slots): Fixup | undefined {
  const reg = (slots.reg & 7) << 3;
  const { rm } = slots;
  if (typeof rm === "number") {
    out.push(0xc0 | reg | (rm & 7));
    return undefined;
  }
  if (rm.label !== undefined) {
    out.push(reg | 5, 0, 0, 0, 0);
    return { at: out.length - 4, label: rm.label, disp: rm.disp };
  }
  const { base, index, disp } = rm;
  const step = dispStep(form, slots, rm);
  const small = disp % step === 0 && disp / step >= -128 && disp / step <= 127;
  const mod = base === undefined || (disp === 0 && (base & 7) !== 5) ? 0 : small ? 1 : 2;
  if (base === undefined || index !== undefined || (base & 7) === 4 || slots.rmSpec?.sib) {
    const scale = Math.log2(rm.scale ?? 1);
    out.push(
      (mod << 6) | reg | 4,
      ((index === undefined ? 0 : scale) << 6) | (((index ?? 4) & 7) << 3) | (base === undefined ? 5 : base & 7),
    );
  } else out.push((mod << 6) | reg | (base & 7));
  if (mod === 1) out.push((disp / step) & 255);
  else if (mod === 2 || base === undefined) pushInt(out, disp, 32);
  return undefined;
}

function pushInt(out: number[], value: number | bigint, bits: number): void {
  if (bits === 64) {
    const whole = BigInt.asUintN(64, BigInt(value));
    for (let i = 0n; i < 64n; i += 8n) out.push(Number((whole >> i) & 255n));
    return;
  }
  for (let i = 0; i < bits; i += 8) out.push((Number(value) >> i) & 255);
}

/** Checks an instruction against its row and encodes it. Where a label is part of it, `fixup` says what is to be filled in. */
export function encodeIns(ins: Ins): { readonly bytes: readonly number[]; readonly fixup?: Fixup } {
  const form = row(ins);
  if (ins.operands.length !== form.operands.length) fail(ins, `${form.operands.length} operands expected`);
  for (const [i, spec] of form.operands.entries()) checkOperand(ins.operands[i], spec, form, ins);
  checkMask(form, ins);
  checkDistinct(form, ins);
  const slots = slotsOf(form, ins);
  const { kind, map, opcode } = form.encoding;
  const out: number[] = [];
  if (kind === "legacy") legacyPrefix(out, form, slots);
  else if (kind === "vex") vexPrefix(out, form, slots);
  else evexPrefix(out, form, slots, ins);
  out.push(opcode[0] + (slots.low & 7), ...opcode.slice(1));
  if (kind === "legacy" && map > 1) throw new TypeError(`${ins.key}: legacy maps beyond 0F are not encoded`);
  let fixup = form.encoding.modrm ? modrm(out, form, slots) : undefined;
  if (slots.imm) pushInt(out, slots.imm.value, slots.imm.bits);
  if (slots.rel) {
    fixup = { at: out.length, label: slots.rel.label, disp: 0 };
    pushInt(out, 0, slots.rel.bits);
  }
  return { bytes: out, fixup };
}
