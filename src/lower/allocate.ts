/**
 * Linear-scan register allocation over lifetimes with holes. Where no register is free, the least wanted variable goes to the frame: what is
 * used in inner loops is wanted most, constants that can be read again least. Code is then rewritten with short variables around each use and
 * allocation starts over. Poletto and Sarkar, "Linear Scan Register Allocation", TOPLAS 21(5), 1999; holes after Traub and others, PLDI 1998.
 */
import { type Lifetime, liveness, meet, type Segment } from "./liveness.ts";
import {
  type Description,
  effects,
  type Instruction,
  isBracket,
  isMemory,
  isVariable,
  type Line,
  type Memory,
  type Operand,
  replaceRegisters,
  type Variable,
} from "./machine.ts";

export interface Allocation {
  /** With the loads and stores of what lives in the frame; still in variables. */
  readonly lines: readonly Line[];
  readonly registers: ReadonlyMap<Variable, number>;
  readonly frameBytes: number;
}

/** Cost of keeping a constant is a tenth: reading it again needs no store, and often no instruction. */
const AGAIN = 0.1;

interface Wanted extends Lifetime {
  readonly urgency: number;
}

/** What holds one register, as segments of several variables. Those that ended before where the scan has come to are forgotten. */
class Occupied {
  #held: Wanted[] = [];

  clash = (segments: readonly Segment[]): Wanted[] => this.#held.filter(h => meet(h.segments, segments));
  free(segments: readonly Segment[]): boolean {
    const { from } = segments[0];
    this.#held = this.#held.filter(h => h.segments[h.segments.length - 1].to >= from);
    return !this.#held.some(h => meet(h.segments, segments));
  }
  take(l: Wanted): void {
    this.#held.push(l);
  }
  drop(l: Wanted): void {
    this.#held.splice(this.#held.indexOf(l), 1);
  }
}

const spanOf = (s: readonly Segment[]): number => s.reduce((sum, x) => sum + x.to - x.from + 1, 0);

/** For variables that some instruction cannot have in every register: the first that it cannot. */
function reaches(lines: readonly Line[], d: Description): ReadonlyMap<Variable, number> {
  const found = new Map<Variable, number>();
  for (const line of lines) {
    if (isBracket(line)) continue;
    const most = d.reach(line.key);
    if (most === Number.POSITIVE_INFINITY) continue;
    for (const o of line.operands) if (isVariable(o) && o.cls === "vec") found.set(o, Math.min(most, found.get(o) ?? most));
  }
  return found;
}

/** One try: registers for all variables, or the variables that must go to the frame. `short` are those made by rewriting. */
function scan(
  lines: readonly Line[],
  d: Description,
  short: ReadonlySet<Variable>,
  hints: ReadonlyMap<Variable, readonly Variable[]>,
): { readonly registers: Map<Variable, number>; readonly spilled: Set<Variable> } {
  const wanted: Wanted[] = [...liveness(lines, d).values()].map(l => {
    const urgency = short.has(l.variable) ? Number.POSITIVE_INFINITY : (l.weight / spanOf(l.segments)) * (l.variable.again ? AGAIN : 1);
    return { ...l, urgency };
  });
  wanted.sort((a, b) => a.segments[0].from - b.segments[0].from || a.variable.id - b.variable.id);
  const reach = reaches(lines, d);
  const registers = new Map<Variable, number>();
  const spilled = new Set<Variable>();
  const files = { gp: new Map<number, Occupied>(), vec: new Map<number, Occupied>() };
  for (const cls of ["gp", "vec"] as const) for (const r of d.registers[cls]) files[cls].set(r, new Occupied());
  for (const l of wanted) {
    const file = files[l.variable.cls];
    const give = (r: number): void => {
      file.get(r)!.take(l);
      registers.set(l.variable, r);
    };
    const near = (hints.get(l.variable) ?? []).map(v => registers.get(v)).filter(r => r !== undefined);
    const most = reach.get(l.variable) ?? Number.POSITIVE_INFINITY;
    const possible = [...file.keys()].filter(r => r < most);
    const free = [...near.filter(r => r < most), ...possible].find(r => file.get(r)!.free(l.segments));
    if (free !== undefined) {
      give(free);
      continue;
    }
    const cost = (r: number): number =>
      file
        .get(r)!
        .clash(l.segments)
        .reduce((sum, x) => sum + x.urgency, 0);
    const best = possible.reduce((a, b) => (cost(b) < cost(a) ? b : a));
    if (cost(best) >= l.urgency) {
      if (l.urgency === Number.POSITIVE_INFINITY)
        throw new Error("register allocation: an instruction needs more registers than there are");
      spilled.add(l.variable);
      continue;
    }
    for (const loser of file.get(best)!.clash(l.segments)) {
      file.get(best)!.drop(loser);
      registers.delete(loser.variable);
      spilled.add(loser.variable);
    }
    give(best);
  }
  return { registers, spilled };
}

const mentions = (o: Operand, some: ReadonlySet<Variable>): boolean =>
  isMemory(o) ? some.has(o.base as Variable) || some.has(o.index as Variable) : some.has(o as Variable);

/** Rewrites the uses of variables that live in memory. */
class Rewriter {
  readonly short = new Set<Variable>();
  frameBytes = 0;
  readonly #d: Description;
  readonly #homes = new Map<Variable, Memory>();
  #nextId: number;

  constructor(d: Description, nextId: number) {
    this.#d = d;
    this.#nextId = nextId;
  }

  home(v: Variable): Memory {
    const known = v.again ?? this.#homes.get(v);
    if (known) return known;
    this.frameBytes = Math.ceil(this.frameBytes / v.bytes) * v.bytes;
    const slot = this.#d.slot(this.frameBytes);
    this.frameBytes += v.bytes;
    this.#homes.set(v, slot);
    return slot;
  }

  rewrite(lines: readonly Line[], spilled: ReadonlySet<Variable>): Line[] {
    return lines.flatMap(l => (isBracket(l) ? [l] : this.#line(l, spilled)));
  }

  #line(line: Instruction, spilled: ReadonlySet<Variable>): readonly Line[] {
    if (!line.operands.some(o => mentions(o, spilled))) return [line];
    const { origin } = line;
    if (this.#d.isCopy(line)) {
      const [to, from] = line.operands as readonly Variable[];
      if (spilled.has(to) && !spilled.has(from) && isVariable(from)) return [{ ...this.#d.store(this.home(to), from), origin }];
      if (spilled.has(from) && !spilled.has(to)) return [{ ...this.#d.load(to, this.home(from)), origin }];
    }
    const folded = this.#fold(line, spilled);
    const { reads, writes } = effects(folded, this.#d);
    // The instruction that makes a constant is not needed where the constant is read again.
    if (writes.some(v => v.again && spilled.has(v))) return [];
    const stand = new Map<Variable, Variable>();
    for (const v of [...reads, ...writes]) {
      if (!spilled.has(v) || stand.has(v)) continue;
      const made: Variable = { id: this.#nextId++, cls: v.cls, bytes: v.bytes };
      stand.set(v, made);
      this.short.add(made);
    }
    const from = [...stand].filter(([v]) => reads.includes(v)).map(([v, s]) => this.#d.load(s, this.home(v)));
    const to = [...stand].filter(([v]) => writes.includes(v)).map(([v, s]) => this.#d.store(this.home(v), s));
    const changed = replaceRegisters(folded, r => (isVariable(r) ? (stand.get(r) ?? r) : r));
    return [...from, { ...changed, origin }, ...to];
  }

  /** Uses one spilled operand straight from memory where the instruction can. */
  #fold(line: Instruction, spilled: ReadonlySet<Variable>): Instruction {
    if (line.operands.some(isMemory)) return line;
    const uses = (v: Operand): number => line.operands.filter(o => o === v).length;
    const at = line.operands.findIndex((o, i) => {
      if (!isVariable(o) || !spilled.has(o) || uses(o) > 1) return false;
      return this.#d.access(line.key, i) === "r" && this.#d.takesMemory(line.key, i, o.bytes);
    });
    if (at < 0) return line;
    return { key: line.key, operands: line.operands.map((o, i) => (i === at ? this.home(o as Variable) : o)) };
  }
}

/** Which variables would save a copy if they shared a register. */
function hintsOf(lines: readonly Line[], d: Description): Map<Variable, Variable[]> {
  const hints = new Map<Variable, Variable[]>();
  const note = (a: Variable, b: Variable): void => {
    hints.set(a, [...(hints.get(a) ?? []), b]);
  };
  for (const l of lines) {
    if (isBracket(l) || !d.isCopy(l)) continue;
    const [to, from] = l.operands;
    if (!isVariable(to) || !isVariable(from)) continue;
    note(to, from);
    note(from, to);
  }
  return hints;
}

/** Gives every variable a register, or throws if an instruction alone needs too many. */
export function allocate(code: readonly Line[], d: Description): Allocation {
  let lines: readonly Line[] = code.map(l => (isBracket(l) ? l : { ...l, origin: l }));
  const ids = code.flatMap(l => (isBracket(l) ? [] : l.operands.filter(isVariable).map(v => v.id)));
  const rewriter = new Rewriter(d, ids.reduce((m, x) => Math.max(m, x), 0) + 1);
  for (;;) {
    const { registers, spilled } = scan(lines, d, rewriter.short, hintsOf(lines, d));
    if (!spilled.size) return { lines, registers, frameBytes: rewriter.frameBytes };
    lines = rewriter.rewrite(lines, spilled);
  }
}
