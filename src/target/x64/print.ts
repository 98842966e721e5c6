/**
 * Instructions as text, in the Intel syntax that disassemblers use, and the listing of a finished assembly.
 */
import type { Assembled } from "./encode.ts";
import { gpNames, type Ins, type Instruction, instructions, type Mem, type Operand, type OperandSpec } from "./instructions.ts";

const low = "al cl dl bl spl bpl sil dil".split(" ");
const sizes: Readonly<Record<number, string>> = {
  8: "BYTE",
  16: "WORD",
  32: "DWORD",
  64: "QWORD",
  128: "XMMWORD",
  256: "YMMWORD",
  512: "ZMMWORD",
};

function gpName(reg: number, bits: number): string {
  if (bits === 64) return gpNames[reg] ?? `r${reg}`;
  if (reg >= 8) return `r${reg}${{ 8: "b", 16: "w", 32: "d" }[bits]}`;
  if (bits === 8) return low[reg];
  return bits === 32 ? `e${gpNames[reg].slice(1)}` : gpNames[reg].slice(1);
}

const vectorName = (reg: number, bits: number): string => `${{ 128: "xmm", 256: "ymm", 512: "zmm" }[bits]}${reg}`;

/** A register by number, as an operand of this kind. */
function registerName(reg: number, spec: Pick<OperandSpec, "cls" | "bits">): string {
  if (spec.cls === "mask") return `k${reg}`;
  if (spec.cls === "tile") return `tmm${reg}`;
  return spec.cls === "vec" ? vectorName(reg, spec.bits) : gpName(reg, spec.bits);
}

/** As the unsigned number of so many bits that it is stored as. */
const unsigned = (n: number | bigint, bits: number): string =>
  typeof n === "bigint" || Number.isInteger(n) ? `0x${BigInt.asUintN(bits, BigInt(n)).toString(16)}` : `${n}`;
const signed = (n: number): string => (n < 0 ? `-0x${(-n).toString(16)}` : `+0x${n.toString(16)}`);

function address(mem: Mem, spec: OperandSpec): string {
  const parts: string[] = [];
  if (mem.label !== undefined) parts.push(`rip+${mem.label}`);
  if (mem.base !== undefined) parts.push(gpName(mem.base, 64));
  if (mem.index !== undefined) {
    parts.push(`${spec.indexBits ? vectorName(mem.index, spec.indexBits) : gpName(mem.index, 64)}*${mem.scale ?? 1}`);
  }
  if (parts.length === 0) return `ds:${unsigned(mem.disp, 64)}`;
  return `[${parts.join("+")}${mem.disp === 0 ? "" : signed(mem.disp)}]`;
}

function memory(mem: Mem, spec: OperandSpec, row: Instruction): string {
  if (mem.broadcast) return `${sizes[row.broadcast!]} BCST ${address(mem, spec)}{1to${spec.memBits! / row.broadcast!}}`;
  const size = sizes[spec.memBits!];
  return `${size ? `${size} PTR ` : ""}${address(mem, spec)}`;
}

/** Immediates are shown as the unsigned number of the width that the instruction computes with. */
function immediate(value: number | bigint, spec: OperandSpec, row: Instruction): string {
  return unsigned(value, spec.signed ? row.operands[0].bits : spec.bits);
}

function operandText(op: Operand, spec: OperandSpec, row: Instruction): string {
  if ("reg" in op) return registerName(op.reg, spec);
  if ("imm" in op) return immediate(op.imm, spec, row);
  return "disp" in op ? memory(op, spec, row) : op.label;
}

/** One instruction in Intel syntax, for example `vpaddd ymm1,ymm2,YMMWORD PTR [rax+rcx*4+0x20]`. */
export function printIns(ins: Ins): string {
  const row = instructions.get(ins.key);
  const shown = ins.operands.map((op, i) => (row?.operands[i] ? operandText(op, row.operands[i], row) : JSON.stringify(op)));
  if (ins.mask !== undefined && shown.length > 0) shown[0] += `{k${ins.mask}}${ins.zeroing ? "{z}" : ""}`;
  return `${row?.encoding.lock ? "lock " : ""}${row?.mnemonic ?? ins.key} ${shown.join(",")}`.trim();
}

const hexBytes = (bytes: Uint8Array): string => [...bytes].map(b => b.toString(16).padStart(2, "0")).join(" ");

/** All instructions with their addresses and labels; `bytes` also shows the encoding. Constants follow the code as `.byte` lines. */
export function listing(assembled: Assembled, options: { readonly bytes?: boolean } = {}): string {
  const { code, labels, lines, codeBytes } = assembled;
  const named = [...labels].sort((a, b) => a[1] - b[1]);
  const out: string[] = [];
  let next = 0;
  const namesUpTo = (at: number): void => {
    for (; next < named.length && named[next][1] <= at; next++) out.push(`${named[next][0]}:`);
  };
  for (const { at, bytes, ins } of lines) {
    namesUpTo(at);
    const encoding = options.bytes ? `${hexBytes(code.subarray(at, at + bytes)).padEnd(36)}` : "";
    out.push(`  ${at.toString(16).padStart(5)}  ${encoding}${printIns(ins)}`);
  }
  namesUpTo(codeBytes);
  while (next < named.length) {
    const [name, at] = named[next++];
    out.push(`${name}:`, `  ${at.toString(16).padStart(5)}  .byte ${hexBytes(code.subarray(at, named[next]?.[1] ?? code.length))}`);
  }
  return out.join("\n");
}
