/**
 * The x86-64 instructions that Lathe emits, read from tables in the notation of the processor manual. Encoder, printer and tests are made
 * from these rows; nothing else in this folder knows an opcode.
 *
 * A line of a table has columns parted by `|`:
 *
 *     key  place-of-each-operand  operands          | opcode        | one column per encoding
 *     vpaddd.*  RVM  w:v r:v r:v/m                  | 66.0F FE /r   | VEX.WIG avx2 | EVEX.W0 b32 avx512
 *     add.*.i   MI   rw:g/m i32g                    | 81 /0         | dq >flags
 *
 * **Key.** `<mnemonic>.<width>.<form>`; a part that says nothing is left out (`ret`, `vzeroupper`, `kandw`). `*` stands for the width. Widths:
 * `d` `q` general-purpose of 32 and 64 bits; `x` `y` `z` vectors of 128, 256, 512 bits in their shortest encoding (x, y: VEX, z: EVEX); `xe`
 * `ye` the EVEX forms of 128 and 256 bits, which reach registers 16 to 31 and take masks. Instructions on the lowest element are `x` and `xe`.
 * Forms: `st` memory is the destination; `i` an immediate where a register form exists too (`vpslld.y` takes its count from a register,
 * `vpslld.y.i` from the instruction; `vpermq.z` and `vpermq.y.i`); `i8` its short form, which the assembler picks by itself; `sti` store of an
 * immediate; `reg` register to register; `8` `16` bits of the source; `q` a 64-bit general-purpose source; `gp` from a general-purpose
 * register; `from` `to` between mask and general-purpose register; `short` 8-bit displacement; `lock` atomic.
 *
 * **Places.** R: ModRM.reg, M: ModRM.rm, V: VEX.vvvv, O: low bits of the opcode, I: immediate, L: register in the high half of an immediate
 * byte, D: displacement relative to the next instruction.
 *
 * **Operands.** `r:` read, `w:` written, `rw:` both; then the register and, after a slash, the memory that may stand for it. `v` vector of the
 * width, `v2` `v4` `v8` a half, quarter, eighth of it (in a register at least 128 bits), `x` `y` fixed; `g` general-purpose of the width, `r8`
 * to `r64` fixed; `k` mask; `t` tile. `m`: memory of the width of the register, `m32` of 32 bits, `m0` of no stated size, `vm32` elements of 32
 * bits at addresses in a vector, `sib` rows of a tile. Immediates: `i8` any 8 bits, `i8s` sign-extended, `i32g` 32 bits sign-extended to the
 * width.
 *
 * **Encodings.** VEX or EVEX with width (`128`, `256`, `512`, `256+` for 256 and 512, `LIG` any, `L0` `L1` for those that are no vectors) and W;
 * without width all that there are. `b32` `b64`: memory may be one element for all lanes. `nomask` `needsmask`: EVEX without, or only with a
 * mask (which the instruction clears). `chooses`: the mask chooses between sources. `distinct`: the registers must differ. `<a,b` `>a,b`:
 * registers and flags read and written without being operands. Then the level.
 */
import { avx512Table } from "./table-avx512.ts";
import { scalarTable } from "./table-scalar.ts";
import { vectorTable } from "./table-vector.ts";

export type RegClass = "gp" | "vec" | "mask" | "tile";
export type Place = "R" | "M" | "V" | "O" | "I" | "L" | "D";
/**
 * Sets of instructions that processors have or have not. `avx2` is the floor for native code: AVX2, FMA, F16C, BMI1, BMI2, LZCNT, POPCNT.
 * `avx512` is F, BW, VL, DQ; `avx512bitalg` BITALG and VPOPCNTDQ; `amx` tiles with int8 and bf16.
 */
export type Level = "base" | "avx2" | "avxvnni" | "avx512" | "avx512vnni" | "avx512vbmi" | "avx512bitalg" | "avx512bf16" | "amx";

export interface OperandSpec {
  readonly kind: "reg" | "rm" | "mem" | "imm" | "rel";
  readonly place: Place;
  readonly access: "r" | "w" | "rw";
  /** Class of the register, for `reg` and `rm`. */
  readonly cls?: RegClass;
  /** Width of the register, or bits of the immediate, displacement or memory operand. */
  readonly bits: number;
  /** Bits of memory, for `rm` and `mem`; 0 where the instruction names no size. Elements of a gather or scatter: bits of one. */
  readonly memBits?: number;
  /** Gather and scatter: bits of the vector register that is the index. */
  readonly indexBits?: number;
  /** Tile memory: base and index (the stride) are both needed. */
  readonly sib?: boolean;
  /** Immediates that are extended by their sign to something wider. */
  readonly signed?: boolean;
}

export interface Encoding {
  readonly kind: "legacy" | "vex" | "evex";
  readonly lock: boolean;
  /** Mandatory prefix byte, or 0. */
  readonly prefix: 0 | 0x66 | 0xf2 | 0xf3;
  /** Opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A. */
  readonly map: 0 | 1 | 2 | 3;
  /** The opcode, and any fixed bytes after it. */
  readonly opcode: readonly number[];
  readonly modrm: boolean;
  /** What stands in ModRM.reg where no operand does. */
  readonly digit: number;
  readonly w: 0 | 1;
  /** Vector length: 0, 1, 2 for 128, 256, 512 bits. */
  readonly l: 0 | 1 | 2;
}

/** May an instruction have a mask; if so, may the lanes outside it become zero; or must it have one. */
export type Masking = "none" | "merge" | "zero" | "needed";

export interface Instruction {
  readonly key: string;
  readonly mnemonic: string;
  readonly operands: readonly OperandSpec[];
  readonly level: Level;
  readonly encoding: Encoding;
  /** Bits of the element that memory may hold once for all lanes. */
  readonly broadcast?: 32 | 64;
  readonly masking: Masking;
  /**
   * With a mask and without zeroing, lanes outside it stay as they are, so that the destination is read too. Not so where the destination is a
   * mask (bits outside become zero) and where the mask chooses between sources.
   */
  readonly keeps: boolean;
  /** All vector or tile registers must differ. */
  readonly distinct: boolean;
  /** General-purpose registers read and written without being operands. */
  readonly reads?: readonly number[];
  readonly writes?: readonly number[];
  readonly setsFlags: boolean;
  readonly readsFlags: boolean;
}

export type Mem = {
  readonly base?: number;
  readonly index?: number;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly disp: number;
  /** Relative to the next instruction: address of the label plus `disp`, without base and index. */
  readonly label?: string;
  readonly broadcast?: boolean;
};
export type Operand = { readonly reg: number } | Mem | { readonly imm: number | bigint } | { readonly label: string };

export interface Ins {
  readonly key: string;
  readonly operands: readonly Operand[];
  readonly mask?: number;
  readonly zeroing?: boolean;
}

/** Names of the general-purpose registers by number. */
export const gpNames = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
/** Names of the conditions by their number in opcodes. */
const conditions = "o no b ae e ne be a s ns p np l ge le g".split(" ");

const levels = new Set("base avx2 avxvnni avx512 avx512vnni avx512vbmi avx512bitalg avx512bf16 amx".split(" "));
const registers: Readonly<Record<string, readonly [RegClass, number]>> = {
  x: ["vec", 128],
  y: ["vec", 256],
  r8: ["gp", 8],
  r16: ["gp", 16],
  r32: ["gp", 32],
  r64: ["gp", 64],
  k: ["mask", 64],
  t: ["tile", 8192],
};

/** One encoding of a line: its width, and what its letters mean at that width. */
interface Variant {
  readonly suffix: string;
  readonly bits: number;
  readonly l: 0 | 1 | 2;
  readonly w: 0 | 1;
}

function register(name: string, width: number): readonly [RegClass, number] | undefined {
  if (name === "g") return ["gp", width];
  const part = /^v(\d?)$/.exec(name);
  return part ? ["vec", Math.max(128, width / Number(part[1] || 1))] : registers[name];
}

function immediate(text: string, place: Place, width: number): OperandSpec | undefined {
  const [, kind, bits, ending] = /^(i|rel)(\d+)([sg]?)$/.exec(text) ?? [];
  if (!kind) return undefined;
  const signed = ending === "s" || (ending === "g" && width === 64);
  return { kind: kind === "i" ? "imm" : "rel", place, access: "r", bits: Number(bits), signed };
}

function memory(text: string, place: Place, access: OperandSpec["access"], width: number): OperandSpec | undefined {
  if (text === "sib") return { kind: "mem", place, access, bits: 0, memBits: 0, sib: true };
  const [, vector, bits] = /^(v?)m(\d*)$/.exec(text) ?? [];
  if (bits === undefined) return undefined;
  const memBits = bits === "" ? width : Number(bits);
  return { kind: "mem", place, access, bits: memBits, memBits, indexBits: vector ? width : undefined };
}

/** Operands that were read already: two thousand forms have some two hundred different ones. */
const known = new Map<string, OperandSpec>();

function operand(text: string, place: Place, width: number): OperandSpec {
  const key = `${place} ${text} ${width}`;
  const spec = known.get(key) ?? parseOperand(text, place, width);
  known.set(key, spec);
  return spec;
}

function parseOperand(text: string, place: Place, width: number): OperandSpec {
  const colon = text.indexOf(":");
  const access = text.slice(0, Math.max(0, colon)) as OperandSpec["access"];
  const [first, second] = text.slice(colon + 1).split("/");
  const plain = immediate(text, place, width) ?? memory(first, place, access, width);
  if (plain) return plain;
  const found = register(first, width);
  if (!found) throw new TypeError(`instruction table: operand ${text}`);
  const [cls, bits] = found;
  if (second === undefined) return { kind: "reg", place, access, cls, bits };
  const part = Number(/^v(\d)$/.exec(first)?.[1] ?? 1);
  const memBits = second === "m" ? width / part : Number(second.slice(1));
  return { kind: "rm", place, access, cls, bits, memBits };
}

const prefixes: Readonly<Record<string, Encoding["prefix"]>> = { "66": 0x66, F2: 0xf2, F3: 0xf3, NP: 0 };
const maps: Readonly<Record<string, Encoding["map"]>> = { "0F": 1, "0F38": 2, "0F3A": 3 };

/** The opcode column, without what the variant adds. `condition` is added where the table says `+cc`. */
function opcode(text: string, condition: number): Omit<Encoding, "kind" | "l"> {
  const words = text.trim().split(/\s+/);
  const found = { lock: false, prefix: 0 as Encoding["prefix"], map: 0 as Encoding["map"], modrm: false, digit: 0, w: 0 as 0 | 1 };
  const bytes: number[] = [];
  for (const word of words) {
    const [head, map] = word.split(".");
    if (word === "REX.W") found.w = 1;
    else if (map) [found.prefix, found.map] = [prefixes[head], maps[map]];
    else if (word.startsWith("/")) [found.modrm, found.digit] = [true, word === "/r" ? 0 : Number(word[1])];
    else if (bytes.length > 0) bytes.push(Number.parseInt(word, 16));
    else if (word === "F0" && found.map === 0) found.lock = true;
    else if (word === "0F" && found.map === 0) found.map = 1;
    else if (found.map === 0 && found.prefix === 0 && words.length > 1 && prefixes[word] !== undefined) found.prefix = prefixes[word];
    else bytes.push(Number.parseInt(word, 16) + (word.endsWith("+cc") ? condition : 0));
  }
  return { ...found, opcode: bytes };
}

/** The widths that an encoding column asks for. */
function variants(words: readonly string[], w: 0 | 1): Variant[] {
  const [kind, ...rest] = words[0]?.split(".") ?? [];
  const gp: Variant[] = [];
  if (words.includes("dq")) gp.push({ suffix: "d", bits: 32, l: 0, w: 0 });
  if (words.includes("dq") || words.includes("q")) gp.push({ suffix: "q", bits: 64, l: 0, w: 1 });
  if (gp.length > 0) return gp;
  if (kind !== "VEX" && kind !== "EVEX") return [{ suffix: "", bits: 0, l: 0, w }];
  const bit = rest.includes("W1") ? 1 : 0;
  const evex = kind === "EVEX";
  const all: Variant[] = [
    { suffix: evex ? "xe" : "x", bits: 128, l: 0, w: bit },
    { suffix: evex ? "ye" : "y", bits: 256, l: 1, w: bit },
    { suffix: "z", bits: 512, l: 2, w: bit },
  ];
  const size = rest[0].replace(/^W.*/, "");
  if (size === "L0" || size === "L1") return [{ suffix: "", bits: 0, l: size === "L1" ? 1 : 0, w: bit }];
  if (size === "LIG") return [all[0]];
  return all.filter(
    v => (size === "" || v.bits === Number.parseInt(size, 10) || (size === "256+" && v.bits > 256)) && (evex || v.bits < 512),
  );
}

/** Names after `<` or `>`: registers by number, and whether the flags are among them. */
function implicit(words: readonly string[], sign: "<" | ">"): { registers: number[] | undefined; flags: boolean } {
  const names =
    words
      .find(w => w.startsWith(sign))
      ?.slice(1)
      .split(",") ?? [];
  const gp = names.filter(n => n !== "flags").map(n => gpNames.indexOf(n));
  return { registers: gp.length > 0 ? gp : undefined, flags: names.includes("flags") };
}

function masking(words: readonly string[], operands: readonly OperandSpec[]): Masking {
  if (!words[0]?.startsWith("EVEX") || words.includes("nomask")) return "none";
  if (words.includes("needsmask")) return "needed";
  return operands[0].kind === "mem" || operands[0].cls === "mask" ? "merge" : "zero";
}

function expand(line: string, condition: number): Instruction[] {
  const [head, code, ...columns] = line.split("|");
  const [template, places, ...texts] = head.trim().split(/\s+/);
  const base = opcode(code, condition);
  return columns.flatMap(column => {
    const words = column.trim().split(/\s+/).filter(Boolean);
    const kind = words[0]?.startsWith("VEX") ? "vex" : words[0]?.startsWith("EVEX") ? "evex" : "legacy";
    const reads = implicit(words, "<");
    const writes = implicit(words, ">");
    return variants(words, base.w).map(variant => {
      const operands = texts.map((text, i) => operand(text, places[i] as Place, variant.bits));
      return {
        key: template.replace("*", variant.suffix),
        mnemonic: template.split(".")[0],
        operands,
        level: (words.find(w => levels.has(w)) ?? "base") as Level,
        encoding: { ...base, kind, l: variant.l, w: variant.w },
        broadcast: words.includes("b32") ? 32 : words.includes("b64") ? 64 : undefined,
        masking: masking(words, operands),
        keeps: kind === "evex" && operands[0].cls !== "mask" && !words.includes("nomask") && !words.includes("chooses"),
        distinct: words.includes("distinct"),
        reads: reads.registers,
        writes: writes.registers,
        setsFlags: writes.flags,
        readsFlags: reads.flags,
      } satisfies Instruction;
    });
  });
}

/**
 * Forms by key. A line is read when something of its mnemonic is first asked for: a model's kernels need some two hundred of two thousand forms,
 * and reading all of them would be felt at start.
 */
class Forms {
  readonly #waiting = new Map<string, { readonly line: string; readonly condition: number }[]>();
  readonly #found = new Map<string, Instruction>();

  constructor(lines: readonly string[]) {
    for (const line of lines) {
      const [name] = /^[^\s.]+/.exec(line.trimStart()) ?? [];
      if (name === undefined) continue;
      if (!name.endsWith("CC")) this.#wait(name, line, 0);
      else for (const [i, cc] of conditions.entries()) this.#wait(name.replace("CC", cc), line.replace("CC", cc), i);
    }
  }

  #wait(mnemonic: string, line: string, condition: number): void {
    const list = this.#waiting.get(mnemonic);
    if (list) list.push({ line, condition });
    else this.#waiting.set(mnemonic, [{ line, condition }]);
  }

  #read(mnemonic: string): void {
    const list = this.#waiting.get(mnemonic);
    if (!list) return;
    this.#waiting.delete(mnemonic);
    for (const { line, condition } of list) {
      for (const row of expand(line, condition)) {
        if (this.#found.has(row.key)) throw new TypeError(`instruction table: ${row.key} stands there twice`);
        this.#found.set(row.key, row);
      }
    }
  }

  get(key: string): Instruction | undefined {
    const found = this.#found.get(key);
    if (found || !this.#waiting.size) return found;
    const dot = key.indexOf(".");
    this.#read(dot < 0 ? key : key.slice(0, dot));
    return this.#found.get(key);
  }

  has = (key: string): boolean => this.get(key) !== undefined;

  /** All of them. */
  values(): IterableIterator<Instruction> {
    for (const mnemonic of [...this.#waiting.keys()]) this.#read(mnemonic);
    return this.#found.values();
  }
}

/** Every form by its key. */
export const instructions = new Forms([...scalarTable, ...vectorTable, ...avx512Table]);
