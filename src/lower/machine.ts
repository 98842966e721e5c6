/**
 * Machine instructions before registers are given out: a flat list whose operands are variables, with loops marked by a pair of brackets.
 * A variable may be written several times (a carried value is). Targets make such lists (x64: emit.ts); liveness, allocation and its checker
 * work on them and know a target only through `Description`.
 */

/** General-purpose and vector registers. */
export type RegisterClass = "gp" | "vec";

export interface Variable {
  readonly id: number;
  readonly cls: RegisterClass;
  /** Bytes that a copy in memory takes: 8, 16 or 32. */
  readonly bytes: number;
  /** Where the value, a constant, can be read again at any time instead of being kept. */
  readonly again?: Memory;
}

/** A register of its own right (the argument pointer, a scratch register); never given out. */
export interface Fixed {
  readonly fixed: number;
  readonly cls: RegisterClass;
}

export type Register = Variable | Fixed;

/** [base + index * scale + disp], or a label's address + disp. */
export interface Memory {
  readonly base?: Register;
  readonly index?: Register;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly disp: number;
  readonly label?: string;
  /** One element for all lanes. */
  readonly broadcast?: true;
}

export type Operand = Register | Memory | { readonly imm: number } | { readonly target: string };

export interface Instruction {
  readonly key: string;
  readonly operands: readonly Operand[];
  /** What the allocator made it from; absent in loads and stores that it put in. */
  readonly origin?: Instruction;
}

/** The limits of a loop's body; both bear the loop's label. The jump back stands before the end. */
export interface Bracket {
  readonly bracket: "begin" | "end";
  readonly label: string;
}

export type Line = Instruction | Bracket;

export const isVariable = (o: Operand): o is Variable => "id" in o;
export const isFixed = (o: Operand): o is Fixed => "fixed" in o;
export const isMemory = (o: Operand): o is Memory => "disp" in o;
export const isBracket = (l: Line): l is Bracket => "bracket" in l;

export type Access = "r" | "w" | "rw";

/** What allocation must know of a target's instructions. */
export interface Description {
  /** How the operand at `position` is used, if it is a register. */
  readonly access: (key: string, position: number) => Access;
  /** Whether the operand at `position` may be memory of `bytes` bytes instead of a register. */
  readonly takesMemory: (key: string, position: number, bytes: number) => boolean;
  /** Registers that may be given out, in the order of preference. */
  readonly registers: Readonly<Record<RegisterClass, readonly number[]>>;
  /** Registers with this number and above cannot be operands of the instruction. */
  readonly reach: (key: string) => number;
  readonly copy: (to: Variable, from: Variable) => Instruction;
  readonly isCopy: (line: Instruction) => boolean;
  readonly load: (to: Variable, from: Memory) => Instruction;
  readonly store: (to: Memory, from: Variable) => Instruction;
  /** The frame's slot at this byte offset. */
  readonly slot: (offset: number) => Memory;
}

export interface Effects {
  readonly reads: readonly Variable[];
  readonly writes: readonly Variable[];
}

const inMemory = (m: Memory): Variable[] => [m.base, m.index].filter((r): r is Variable => r !== undefined && isVariable(r));

/** Variables that an instruction reads and writes. */
export function effects(line: Instruction, d: Pick<Description, "access">): Effects {
  const reads: Variable[] = [];
  const writes: Variable[] = [];
  line.operands.forEach((o, i) => {
    if (isMemory(o)) reads.push(...inMemory(o));
    else if (isVariable(o)) {
      const access = d.access(line.key, i);
      if (access !== "w") reads.push(o);
      if (access !== "r") writes.push(o);
    }
  });
  return { reads, writes };
}

/** The same instruction with other registers; memory operands are rebuilt with theirs. */
export function replaceRegisters(line: Instruction, change: (r: Register, position: number) => Operand): Instruction {
  const register = (r: Register | undefined, i: number): Register | undefined => r && (change(r, i) as Register);
  const operands = line.operands.map((o, i) => {
    if (isMemory(o)) return { ...o, base: register(o.base, i), index: register(o.index, i) };
    return isVariable(o) || isFixed(o) ? change(o, i) : o;
  });
  return { ...line, operands };
}
