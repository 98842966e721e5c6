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
  /** Bytes that a copy in memory takes: 8, 16, 32 or 64. */
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

/** What allocation must know of an instruction. */
export interface Form {
  /** How the operand at each position is used, if it is a register: 1 read, 2 written, 3 both. */
  readonly access: readonly number[];
  /** How many bytes memory must have at least to stand for the register at each position; infinitely many where it cannot. */
  readonly memory: readonly number[];
  /** Vector registers with this number and above cannot be operands. */
  readonly reach: number;
  /** It copies its second operand to its first, where both are variables. */
  readonly copies: boolean;
}

/** What allocation must know of a target. */
export interface Description {
  readonly form: (key: string) => Form;
  /** Registers that may be given out, in the order of preference. */
  readonly registers: Readonly<Record<RegisterClass, readonly number[]>>;
  readonly load: (to: Variable, from: Memory) => Instruction;
  readonly store: (to: Memory, from: Variable) => Instruction;
  /** The frame's slot at this byte offset. */
  readonly slot: (offset: number) => Memory;
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
