/**
 * What becomes of code whose variables do not all have registers: those that live in the frame are read by instructions straight from there where
 * that can be, and else through short variables that are loaded before and stored behind one line.
 */
import type { Allocation } from "./allocate.ts";
import { type Code, READ, WRITE } from "./code.ts";
import { loadAt, readAt, storeAt, writeAt } from "./liveness.ts";
import { type Instruction, isBracket, isMemory, isVariable, type Line, type Memory, replaceRegisters, type Variable } from "./machine.ts";

/** A variable that stands for variable `of` around one line. */
export interface Short {
  readonly of: number;
  readonly line: number;
  /** READ: loaded before; WRITE: stored behind. */
  readonly access: number;
  readonly from: number;
  readonly to: number;
  /** Registers with this number and above cannot be had. */
  readonly reach: number;
}

/** Which variables live in the frame, and what that means for each line. */
export class Spills {
  /** By id: 1 for those in the frame. */
  readonly away: Uint8Array;
  readonly #code: Code;

  constructor(code: Code) {
    this.#code = code;
    this.away = new Uint8Array(code.variables.length);
  }

  add(variables: readonly number[]): void {
    for (const v of variables) this.away[v] = 1;
  }

  /** Whether line i has to do with the frame. */
  concerns(i: number): boolean {
    const { starts, users } = this.#code;
    for (let u = starts[i]; u < starts[i + 1]; u++) if (this.away[users[u]]) return true;
    return false;
  }

  /** The variable that an operand is part of, if that lives in the frame. */
  home(o: Instruction["operands"][number]): Variable | undefined {
    if (!isVariable(o)) return undefined;
    const v = this.#code.stands[o.id];
    return this.away[v] ? this.#code.variables[v] : undefined;
  }

  /** A copy of which one side lives in the frame is a load or a store. */
  moves(i: number): boolean {
    const at = this.#code.starts[i];
    return this.#code.isCopy(i) && this.away[this.#code.users[at]] !== this.away[this.#code.users[at + 1]];
  }

  /** An instruction that makes a constant is not needed where the constant is read again. */
  needless(i: number): boolean {
    const { starts, users, accesses, variables } = this.#code;
    for (let u = starts[i]; u < starts[i + 1]; u++)
      if (accesses[u] & WRITE && this.away[users[u]] && variables[users[u]]!.again) return true;
    return false;
  }

  /** The operand that line i can use straight from the frame, or -1. */
  folded(i: number): number {
    const { operands } = this.#code.lines[i] as Instruction;
    if (operands.some(isMemory)) return -1;
    const { access, memory } = this.#code.forms[i]!;
    return operands.findIndex((o, k) => {
      const v = this.home(o);
      return v && access[k] === READ && memory[k] <= v.bytes && operands.filter(other => this.home(other) === v).length === 1;
    });
  }

  /** What stands for spilled variables, line by line. */
  shorts(): Short[] {
    const found: Short[] = [];
    for (let i = 0; i < this.#code.lines.length; i++) {
      if (this.#code.dead[i] || !this.concerns(i) || this.moves(i) || this.needless(i)) continue;
      this.#around(i, found);
    }
    return found;
  }

  #around(i: number, found: Short[]): void {
    const { starts, users, forms, lines } = this.#code;
    const { operands } = lines[i] as Instruction;
    const folded = this.folded(i);
    const straight = folded < 0 ? undefined : this.home(operands[folded])!.id;
    const before = found.length;
    for (let u = starts[i]; u < starts[i + 1]; u++) {
      const of = users[u];
      let known = !this.away[of] || of === straight;
      for (let k = before; k < found.length; k++) if (found[k].of === of) known = true;
      if (known) continue;
      const access = this.#code.access(i, of);
      const from = access & READ ? loadAt(i) : writeAt(i);
      const to = access & WRITE ? storeAt(i) : readAt(i);
      const { cls } = this.#code.variables[of]!;
      found.push({ of, line: i, access, from, to, reach: cls === "vec" ? forms[i]!.reach : Number.POSITIVE_INFINITY });
    }
  }
}

/** Writes the code with its loads and stores. */
class Rewriter {
  readonly lines: Line[] = [];
  frameBytes = 0;
  readonly #code: Code;
  readonly #spills: Spills;
  readonly #shorts: readonly Short[];
  readonly #origins: boolean;
  readonly #homes: (Memory | undefined)[] = [];
  /** The next short variable that has not been used. */
  #next = 0;

  constructor(code: Code, spills: Spills, shorts: readonly Short[], origins: boolean) {
    this.#code = code;
    this.#spills = spills;
    this.#shorts = shorts;
    this.#origins = origins;
  }

  run(): void {
    for (let i = 0; i < this.#code.lines.length; i++) {
      const line = this.#code.lines[i];
      if (isBracket(line)) this.lines.push(line);
      else if (this.#code.joined[i]) {
        if (this.#origins) this.#put(this.#straight(line), line);
      } else if (this.#code.dead[i]) continue;
      else if (!this.#spills.concerns(i)) this.#put(line, line);
      else if (!this.#spills.needless(i)) this.#line(i, line);
    }
  }

  #put(line: Instruction, origin: Instruction): void {
    this.lines.push(this.#origins ? { ...line, origin } : line);
  }

  #home(v: Variable): Memory {
    const known = v.again ?? this.#homes[v.id];
    if (known) return known;
    this.frameBytes = Math.ceil(this.frameBytes / v.bytes) * v.bytes;
    const slot = this.#code.d.slot(this.frameBytes);
    this.frameBytes += v.bytes;
    this.#homes[v.id] = slot;
    return slot;
  }

  /** All operands that live in the frame as memory. */
  #straight(line: Instruction): Instruction {
    const change = (o: Instruction["operands"][number]): Instruction["operands"][number] => {
      const v = this.#spills.home(o);
      return v ? this.#home(v) : o;
    };
    return { key: line.key, operands: line.operands.map(change) };
  }

  #line(i: number, line: Instruction): void {
    const { d, variables, stands } = this.#code;
    if (this.#spills.moves(i)) {
      const [to, from] = line.operands.map(o => variables[stands[(o as Variable).id]]!);
      this.#put(this.#spills.away[to.id] ? d.store(this.#home(to), from) : d.load(to, this.#home(from)), line);
      return;
    }
    const own = new Map<number, Variable>();
    const first = this.#next;
    for (; this.#next < this.#shorts.length && this.#shorts[this.#next].line === i; this.#next++) {
      const { of } = this.#shorts[this.#next];
      const { cls, bytes } = variables[of]!;
      own.set(of, { id: variables.length + this.#next, cls, bytes });
    }
    const mine = this.#shorts.slice(first, this.#next);
    for (const { of, access } of mine) if (access & READ) this.lines.push(d.load(own.get(of)!, this.#home(variables[of]!)));
    const folded = this.#spills.folded(i);
    const changed = replaceRegisters(line, (r, position) => {
      if (!isVariable(r)) return r;
      const v = variables[stands[r.id]]!;
      return own.get(v.id) ?? (position === folded ? this.#home(v) : r);
    });
    this.#put(changed, line);
    for (const { of, access } of mine) if (access & WRITE) this.lines.push(d.store(this.#home(variables[of]!), own.get(of)!));
  }
}

/** The code with registers for everything in it; `registers`: of variables and of the short ones behind them. */
export function rewrite(code: Code, spills: Spills, shorts: readonly Short[], registers: Int32Array, origins: boolean): Allocation {
  const rewriter = new Rewriter(code, spills, shorts, origins);
  rewriter.run();
  const all = registers.slice();
  for (let v = 0; v < code.variables.length; v++) all[v] = registers[code.stands[v]];
  const used = { gp: new Set<number>(), vec: new Set<number>() };
  for (let e = 0; e < registers.length; e++) {
    const v = e < code.variables.length ? e : shorts[e - code.variables.length].of;
    if (registers[e] >= 0) used[code.variables[v]!.cls].add(registers[e]);
  }
  return { lines: rewriter.lines, registers: all, used, frameBytes: rewriter.frameBytes };
}
