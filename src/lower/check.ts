/**
 * Checks an allocation without trusting it: runs the rewritten code over places (registers, frame slots), each with the set of variables whose
 * present value it holds, and compares every operand with the instruction that it was made from. Copies that were joined
 * away are among the lines, so it checks that too. Shares nothing with allocate.ts.
 */
import {
  type Description,
  type Instruction,
  isBracket,
  isMemory,
  isVariable,
  type Line,
  type Memory,
  type Operand,
  type Variable,
} from "./machine.ts";

/** Bits of an access. */
const [READ, WRITE] = [1, 2];

/** Variables of the original code by the place that holds their value. */
type Holds = Map<string, ReadonlySet<Variable>>;

export interface Allocated {
  readonly lines: readonly Line[];
  /** By ids of variables. */
  readonly registers: Int32Array;
}

const placeOfMemory = (m: Memory): string => `[${m.label ?? ""} ${m.base && "fixed" in m.base ? m.base.fixed : "?"} ${m.disp}]`;

const intersect = (a: Holds, b: Holds): Holds => {
  const out: Holds = new Map();
  for (const [place, held] of a) {
    const other = b.get(place);
    const both = new Set([...held].filter(v => other?.has(v)));
    if (both.size) out.set(place, both);
  }
  return out;
};
const equal = (a: Holds, b: Holds): boolean =>
  a.size === b.size && [...a].every(([p, held]) => held.size === b.get(p)?.size && [...held].every(v => b.get(p)!.has(v)));

class Checker {
  readonly #d: Description;
  readonly #code: Allocated;
  #holds: Holds = new Map();

  constructor(code: Allocated, d: Description) {
    this.#code = code;
    this.#d = d;
  }

  #place(o: Operand): string {
    if (isMemory(o)) return placeOfMemory(o);
    if (!isVariable(o)) throw new Error("check: neither a variable nor memory");
    const register = this.#code.registers[o.id];
    if (!(register >= 0)) throw new Error(`check: variable ${o.id} has no register`);
    return `${o.cls}${register}`;
  }

  #expect(v: Variable, where: Operand, line: Instruction): void {
    const place = this.#place(where);
    const constant = v.again !== undefined && isMemory(where) && placeOfMemory(v.again) === place;
    if (constant || this.#holds.get(place)?.has(v)) return;
    throw new Error(`check: ${line.key} reads variable ${v.id} from ${place}, which does not hold it`);
  }

  #write(place: string, held: ReadonlySet<Variable>, gone?: Variable): void {
    if (gone) {
      for (const [p, vs] of this.#holds) {
        if (!vs.has(gone)) continue;
        if (vs.size === 1) this.#holds.delete(p);
        else this.#holds.set(p, new Set([...vs].filter(v => v !== gone)));
      }
    }
    if (held.size) this.#holds.set(place, held);
    else this.#holds.delete(place);
  }

  /** A load or store that the allocator put in: the value moves, whoever it belongs to. */
  #inserted(line: Instruction): void {
    const [to, from] = line.operands;
    const source = this.#place(from);
    const again = isMemory(from) ? this.#constants.filter(v => placeOfMemory(v.again!) === source) : [];
    this.#write(this.#place(to), new Set([...(this.#holds.get(source) ?? []), ...again]));
  }

  #original(line: Instruction): void {
    const origin = line.origin ?? line;
    const form = this.#d.form(origin.key);
    const written: [Variable, string][] = [];
    origin.operands.forEach((o, i) => {
      const now = line.operands[i];
      if (isMemory(o)) {
        const m = now as Memory;
        if (o.base && isVariable(o.base)) this.#expect(o.base, m.base as Variable, line);
        if (o.index && isVariable(o.index)) this.#expect(o.index, m.index as Variable, line);
      } else if (isVariable(o)) {
        const access = form.access[i];
        if (access & READ) this.#expect(o, now, line);
        if (access & WRITE) written.push([o, this.#place(now)]);
      }
    });
    const copies = form.copies && origin.operands.every(isVariable);
    const value = copies ? (this.#holds.get(this.#place(line.operands[1])) ?? new Set<Variable>()) : new Set<Variable>();
    for (const [v, place] of written) this.#write(place, new Set([...[...value].filter(x => x !== v), v]), v);
  }

  #constants: readonly Variable[] = [];
  /** What holds at the beginning of each loop's body, by label. */
  readonly #begins = new Map<string, Holds>();
  /** Lines of the closing brackets, by label. */
  readonly #ends = new Map<string, number>();

  check(): void {
    const { lines } = this.#code;
    const originals = lines.flatMap(l => (isBracket(l) ? [] : (l.origin ?? l).operands.filter(isVariable)));
    this.#constants = [...new Set(originals)].filter(v => v.again);
    for (const [i, l] of lines.entries()) if (isBracket(l) && l.bracket === "end") this.#ends.set(l.label, i);
    this.#stretch(0, lines.length);
  }

  /** Runs lines [from, to); a loop is repeated until what holds at its beginning no longer changes. */
  #stretch(from: number, to: number): void {
    const { lines } = this.#code;
    for (let i = from; i < to; i++) {
      const line = lines[i];
      if (!isBracket(line)) {
        if (line.origin) this.#original(line);
        else this.#inserted(line);
        continue;
      }
      const end = this.#ends.get(line.label)!;
      const skipped = new Map(this.#holds);
      // Run again as part of an outer loop, it can only hold less than it did before.
      const before = this.#begins.get(line.label);
      let begin: Holds = before ? intersect(before, skipped) : new Map(skipped);
      for (;;) {
        this.#holds = new Map(begin);
        this.#stretch(i + 1, end);
        const again = intersect(begin, this.#holds);
        if (equal(again, begin)) break;
        begin = again;
      }
      this.#begins.set(line.label, begin);
      this.#holds = intersect(skipped, this.#holds);
      i = end;
    }
  }
}

/** Throws an Error if some instruction would read a register or slot that does not hold what it should. */
export function checkAllocation(code: Allocated, d: Description): void {
  new Checker(code, d).check();
}
