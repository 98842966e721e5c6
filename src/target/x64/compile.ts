/**
 * From kernels to x86-64 machine code: lowers, emits instructions over variables (emit.ts), gives out registers (lower/allocate.ts, checked
 * by lower/check.ts where that is asked for), and encodes. Knows the calling conventions; executable memory belongs to the runtime.
 */
import type { Kernel } from "../../ir/node.ts";
import { type Allocation, allocate } from "../../lower/allocate.ts";
import { checkAllocation } from "../../lower/check.ts";
import { coalesce } from "../../lower/coalesce.ts";
import { Code } from "../../lower/code.ts";
import { liveness } from "../../lower/liveness.ts";
import {
  type Operand as Before,
  type Description,
  type Fixed,
  type Form,
  type Instruction,
  isBracket,
  isFixed,
  isMemory,
  isVariable,
  type Line,
  type Memory,
  type Register,
} from "../../lower/machine.ts";
import { lower, type Machine } from "../../lower/passes.ts";
import { removeUnused } from "../../lower/unused.ts";
import { Emitter } from "./emit.ts";
import { Assembler } from "./encode.ts";
import { instructions, type Level, type Operand, type OperandSpec } from "./instructions.ts";
import { listing } from "./print.ts";
import { keyFor, longNames, wide } from "./program.ts";

export interface Options {
  /** What the machine has; "avx2" is the floor. */
  readonly levels: ReadonlySet<Level>;
  /** Who calls: the System V convention (Linux, macOS) or Windows'. */
  readonly convention: "sysv" | "windows";
  /** Products and sums rounded one after the other. */
  readonly strict?: boolean;
  /** Whether the allocation of registers is checked by the independent checker. Default false. */
  readonly check?: boolean;
}

const RSP = 4;
const RBP = 5;
const conventions = {
  sysv: { argument: 7, savedGp: [3, 12, 13, 14, 15], savedVec: [] as readonly number[] },
  windows: { argument: 1, savedGp: [3, 6, 7, 12, 13, 14, 15], savedVec: [6, 7, 8, 9, 10, 11, 12, 13, 14, 15] },
} as const;

/** Nodes of a loop that is written out: some hundred instructions, which the decoded cache holds. */
const UNROLL = 300;
export const machineOf = (levels: ReadonlySet<Level>): Machine => ({
  width: 32,
  joined: levels.has("avx512vnni") ? 64 : undefined,
  dots: levels.has("avxvnni") || levels.has("avx512vnni") ? "quads" : "pairs",
  unsigned: 255,
  unroll: UNROLL,
});

/** The form of a VEX instruction that reaches registers 16 to 31, if there is one. */
function longForm(key: string): string | undefined {
  const [name, size, ...rest] = key.split(".");
  if (size === "z") return key;
  const long = size?.endsWith("e") ? key : [longNames[name] ?? name, `${size}e`, ...rest].join(".");
  // Comparisons give masks in the longer form; shifts take memory in it as well.
  const fits = (a: OperandSpec, b: OperandSpec): boolean => a.cls === b.cls && (a.kind === b.kind || (a.kind === "reg" && b.kind === "rm"));
  const { operands } = row(key);
  return instructions.has(long) && row(long).operands.every((o, i) => fits(operands[i], o)) ? long : undefined;
}

const accesses = { r: 1, w: 2, rw: 3 } as const;
const moves = new Set(["mov.q", "vmovaps.x", "vmovaps.y", "vmovaps.z"]);

/** What allocation wants to know, by key: asked once for each of a few hundred. */
const forms = new Map<string, Form>();

function formOf(key: string): Form {
  const known = forms.get(key);
  if (known) return known;
  const { operands } = row(key);
  const form: Form = {
    access: operands.map(o => accesses[o.access]),
    memory: operands.map(o => (o.kind === "rm" ? (o.memBits ?? o.bits) / 8 : Number.POSITIVE_INFINITY)),
    reach: longForm(key) === undefined ? 16 : Number.POSITIVE_INFINITY,
    copies: moves.has(key),
  };
  forms.set(key, form);
  return form;
}

/** Registers that need no saving first. rax and rdx are scratch, rsp and rbp the frame. */
function description({ convention, levels }: Options): Description {
  const { savedGp, savedVec } = conventions[convention];
  const order = (all: readonly number[], saved: readonly number[]): number[] => [
    ...all.filter(r => !saved.includes(r)),
    ...all.filter(r => saved.includes(r)),
  ];
  const all = Array.from({ length: 16 }, (_, i) => i);
  const vectors = Array.from({ length: levels.has("avx512") ? 32 : 16 }, (_, i) => i);
  return {
    form: formOf,
    registers: {
      gp: order(
        all.filter(r => ![0, 2, RSP, RBP].includes(r)),
        savedGp,
      ),
      vec: order(vectors, savedVec),
    },
    load: (to, from) => ({ key: to.cls === "gp" ? "mov.q" : keyFor(`vmovdqu.${wide(to.bytes)}`), operands: [to, from] }),
    store: (to, from) => ({ key: from.cls === "gp" ? "mov.q.st" : keyFor(`vmovdqu.${wide(from.bytes)}.st`), operands: [to, from] }),
    slot: offset => ({ base: { fixed: RSP, cls: "gp" }, disp: offset }),
  };
}

function row(key: string) {
  const found = instructions.get(key);
  if (!found) throw new TypeError(`x86-64: no instruction ${key}`);
  return found;
}

/** One kernel with its registers. */
function allocated(kernel: Kernel, options: Options): Allocation & { readonly pool: ReturnType<Emitter["emit"]>["pool"] } {
  const argument: Fixed = { fixed: conventions[options.convention].argument, cls: "gp" };
  const { lines, pool } = new Emitter(
    lower(kernel, { ...machineOf(options.levels), strict: options.strict }),
    options.levels,
    argument,
  ).emit();
  const d = description(options);
  const code = new Code(lines, d);
  removeUnused(code);
  const lifetimes = liveness(code);
  coalesce(code, lifetimes);
  const allocation = allocate(code, lifetimes, options.check === true);
  if (options.check) checkAllocation(allocation, d);
  return { ...allocation, pool };
}

/** Writes one function into an assembly. */
class FunctionWriter {
  readonly #assembler: Assembler;
  readonly #allocation: Allocation;
  readonly #name: string;
  readonly #pool: ReadonlyMap<string, string>;

  constructor(assembler: Assembler, name: string, allocation: Allocation, pool: ReadonlyMap<string, string>) {
    this.#assembler = assembler;
    this.#name = name;
    this.#allocation = allocation;
    this.#pool = pool;
  }

  write(options: Options): void {
    const { savedGp, savedVec } = conventions[options.convention];
    const { used, frameBytes } = this.#allocation;
    const gps = savedGp.filter(r => used.gp.has(r));
    const vecs = savedVec.filter(r => used.vec.has(r));
    const alignment = options.levels.has("avx512") ? 64 : 32;
    const frame = Math.ceil(frameBytes / alignment) * alignment;
    const total = frame + 16 * vecs.length;
    const emit = (key: string, ...operands: Operand[]): void => this.#assembler.emit({ key, operands });
    const saved = (i: number): Operand => ({ base: RSP, disp: frame + 16 * i });
    this.#assembler.align(ALIGNMENT);
    this.#assembler.label(this.#name);
    for (const r of [RBP, ...gps]) emit("push.q", { reg: r });
    emit("mov.q", { reg: RBP }, { reg: RSP });
    if (total) {
      emit("sub.q.i", { reg: RSP }, { imm: total });
      emit("and.q.i", { reg: RSP }, { imm: -alignment });
    }
    for (const [i, r] of vecs.entries()) emit("vmovdqu.x.st", saved(i), { reg: r });
    for (const line of this.#allocation.lines) this.#line(line);
    for (const [i, r] of vecs.entries()) emit("vmovdqu.x", { reg: r }, saved(i));
    emit("vzeroupper");
    emit("mov.q", { reg: RSP }, { reg: RBP });
    for (const r of [RBP, ...gps].reverse()) emit("pop.q", { reg: r });
    emit("ret");
  }

  #line(line: Line): void {
    if (isBracket(line)) {
      if (line.bracket === "begin") this.#assembler.align(32);
      this.#assembler.label(this.#label(`${line.label}.${line.bracket}`));
      return;
    }
    if (moves.has(line.key) && this.#stays(line)) return;
    const high = line.operands.some(o => isVariable(o) && o.cls === "vec" && this.#register(o) >= 16);
    this.#assembler.emit({ key: high ? longForm(line.key)! : line.key, operands: line.operands.map(o => this.#operand(o)) });
  }

  /** Whether a move has the same place on both sides. */
  #stays({ operands: [to, from] }: Instruction): boolean {
    return to === from || (isVariable(to) && isVariable(from) && this.#register(to) === this.#register(from));
  }

  #label = (name: string): string => `${this.#name}:${name}`;

  #operand(o: Before): Operand {
    if (isVariable(o) || isFixed(o)) return { reg: this.#register(o) };
    if (isMemory(o)) return this.#memory(o);
    return "imm" in o ? o : { label: this.#label(o.target) };
  }
  #memory(m: Memory): Operand {
    if (m.label !== undefined) return { label: this.#pool.get(m.label)!, disp: m.disp };
    return {
      base: m.base && this.#register(m.base),
      index: m.index && this.#register(m.index),
      scale: m.scale,
      disp: m.disp,
      broadcast: m.broadcast,
    };
  }
  #register = (r: Register): number => (isFixed(r) ? r.fixed : this.#allocation.registers[r.id]);
}

function assemble(kernel: Kernel, options: Options): ReturnType<Assembler["finish"]> {
  const assembler = new Assembler();
  const allocation = allocated(kernel, options);
  const pool = new Map(allocation.pool.map(p => [p.label, assembler.data(p.bytes, p.bytes.length)]));
  new FunctionWriter(assembler, kernel.name, allocation, pool).write(options);
  return assembler.finish();
}

/** Where code may be placed: at multiples of this many bytes. */
export const ALIGNMENT = 64;

/** One kernel as position-independent code that is entered at its first byte; its constants are behind it. */
export const compileKernel = (kernel: Kernel, options: Options): Uint8Array => assemble(kernel, options).code;

/** One kernel's instructions as text. */
export const listKernel = (kernel: Kernel, options: Options): readonly string[] => listing(assemble(kernel, options)).split("\n");
