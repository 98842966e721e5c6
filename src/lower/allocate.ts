/**
 * Linear-scan register allocation over lifetimes with holes. Where no register is free, the least wanted variable goes to the frame: what is
 * used in inner loops is wanted most, constants that can be read again least. Around each use of such a variable a short one takes its place
 * (spill.ts), and the scan starts over. Poletto and Sarkar, "Linear Scan Register Allocation", TOPLAS 21(5), 1999; holes after Traub and others,
 * PLDI 1998.
 */
import type { Code } from "./code.ts";
import type { Lifetimes } from "./liveness.ts";
import { isBracket, isVariable, type Line, type RegisterClass } from "./machine.ts";
import { rewrite, type Short, Spills } from "./spill.ts";

export interface Allocation {
  /** With the loads and stores of what lives in the frame; still in variables. */
  readonly lines: readonly Line[];
  /** Registers by ids of variables; -1 for those that have none. */
  readonly registers: Int32Array;
  /** Registers that are given to something. */
  readonly used: Readonly<Record<RegisterClass, ReadonlySet<number>>>;
  readonly frameBytes: number;
}

/** Cost of keeping a constant is a tenth: reading it again needs no store, and often no instruction. */
const AGAIN = 0.1;

/** For variables that some instruction cannot have in every register: the first that it cannot. */
function reaches(code: Code): Float64Array {
  const found = new Float64Array(code.variables.length).fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < code.lines.length; i++) {
    const line = code.lines[i];
    if (code.dead[i] || isBracket(line)) continue;
    const { reach } = code.forms[i]!;
    if (reach === Number.POSITIVE_INFINITY) continue;
    for (const o of line.operands) {
      if (isVariable(o) && o.cls === "vec") found[code.stands[o.id]] = Math.min(reach, found[code.stands[o.id]]);
    }
  }
  return found;
}

/** Which variables would save a copy if they shared a register. */
function hintsOf(code: Code): ReadonlyMap<number, readonly number[]> {
  const hints = new Map<number, number[]>();
  const note = (a: number, b: number): void => {
    const known = hints.get(a);
    if (known) known.push(b);
    else hints.set(a, [b]);
  };
  for (let i = 0; i < code.lines.length; i++) {
    if (code.dead[i] || !code.isCopy(i)) continue;
    const at = code.starts[i];
    note(code.users[at], code.users[at + 1]);
    note(code.users[at + 1], code.users[at]);
  }
  return hints;
}

const none: readonly number[] = [];

/** One try at registers for all that want one: variables, and the short ones behind them in number. */
class Scan {
  readonly registers: Int32Array;
  /** Variables that must go to the frame. */
  readonly spilled: number[] = [];
  readonly #code: Code;
  readonly #lifetimes: Lifetimes;
  readonly #shorts: readonly Short[];
  readonly #ends: Int32Array;
  readonly #urgency: Float64Array;
  readonly #limits: Float64Array;
  /** What holds each register, by class; those that ended before where the scan has come to are forgotten. */
  readonly #held: Readonly<Record<RegisterClass, number[][]>> = { gp: [], vec: [] };
  /** Up to where each register is certainly taken, by class. */
  readonly #taken: Readonly<Record<RegisterClass, number[]>> = { gp: [], vec: [] };

  constructor(code: Code, lifetimes: Lifetimes, shorts: readonly Short[], limits: Float64Array) {
    this.#code = code;
    this.#lifetimes = lifetimes;
    this.#shorts = shorts;
    this.#limits = limits;
    const all = code.variables.length + shorts.length;
    this.registers = new Int32Array(all).fill(-1);
    this.#ends = new Int32Array(all);
    this.#urgency = new Float64Array(all).fill(Number.POSITIVE_INFINITY);
    for (const cls of ["gp", "vec"] as const) {
      for (const r of code.d.registers[cls]) {
        this.#held[cls][r] = [];
        this.#taken[cls][r] = -1;
      }
    }
  }

  /** All that want a register, by where they begin. */
  #order(away: Uint8Array): Float64Array {
    const n = this.#code.variables.length;
    const { first, from, weight } = this.#lifetimes;
    const keys: number[] = [];
    const all = this.registers.length;
    for (let v = 0; v < n; v++) {
      if (first[v] < 0 || away[v]) continue;
      this.#ends[v] = this.#lifetimes.end(v);
      this.#urgency[v] = (weight[v] / this.#lifetimes.span(v)) * (this.#code.variables[v]!.again ? AGAIN : 1);
      keys.push(from[first[v]] * all + v);
    }
    for (let s = 0; s < this.#shorts.length; s++) {
      this.#ends[n + s] = this.#shorts[s].to;
      keys.push(this.#shorts[s].from * all + n + s);
    }
    return Float64Array.from(keys).sort();
  }

  #begin(e: number): number {
    const short = this.#shorts[e - this.#code.variables.length];
    return short ? short.from : this.#lifetimes.from[this.#lifetimes.first[e]];
  }

  /** Whether two are live at one position. */
  #meet(a: number, b: number): boolean {
    const n = this.#code.variables.length;
    if (a < n && b < n) return this.#lifetimes.meet(a, b);
    if (a < n) return this.#inside(a, this.#shorts[b - n]);
    if (b < n) return this.#inside(b, this.#shorts[a - n]);
    const [s, t] = [this.#shorts[a - n], this.#shorts[b - n]];
    return s.from <= t.to && t.from <= s.to;
  }

  #inside(v: number, { from, to }: Short): boolean {
    const l = this.#lifetimes;
    for (let s = l.first[v]; s >= 0 && l.from[s] <= to; s = l.next[s]) if (l.to[s] >= from) return true;
    return false;
  }

  #free(held: number[], e: number, begin: number): boolean {
    let kept = 0;
    let free = true;
    for (let i = 0; i < held.length; i++) {
      const h = held[i];
      if (this.#ends[h] < begin) continue;
      held[kept++] = h;
      if (free && this.#meet(h, e)) free = false;
    }
    held.length = kept;
    return free;
  }

  run(away: Uint8Array, hints: ReadonlyMap<number, readonly number[]>): void {
    const all = this.registers.length;
    for (const key of this.#order(away)) this.#place(key % all, hints);
  }

  #place(e: number, hints: ReadonlyMap<number, readonly number[]>): void {
    const n = this.#code.variables.length;
    const v = e < n ? e : this.#shorts[e - n].of;
    const { cls } = this.#code.variables[v]!;
    const files = this.#held[cls];
    const taken = this.#taken[cls];
    const begin = this.#begin(e);
    const most = e < n ? this.#limits[e] : this.#shorts[e - n].reach;
    for (const h of e < n ? (hints.get(e) ?? none) : none) {
      const r = this.registers[h];
      if (r < 0 || r >= most || taken[r] >= begin || !this.#free(files[r], e, begin)) continue;
      this.#give(e, r, cls);
      return;
    }
    const possible = this.#code.d.registers[cls];
    for (const r of possible) {
      if (r >= most || taken[r] >= begin || !this.#free(files[r], e, begin)) continue;
      this.#give(e, r, cls);
      return;
    }
    const usable = possible.filter(r => r < most);
    this.#fight(e, cls, usable);
  }

  #give(e: number, r: number, cls: RegisterClass): void {
    const n = this.#code.variables.length;
    this.#held[cls][r].push(e);
    this.#taken[cls][r] = e < n ? this.#lifetimes.to[this.#lifetimes.first[e]] : this.#shorts[e - n].to;
    this.registers[e] = r;
  }

  /** No register is free: whoever is wanted least goes to the frame, the new one or those that hold a register. */
  #fight(e: number, cls: RegisterClass, possible: readonly number[]): void {
    const files = this.#held[cls];
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const r of possible) {
      let cost = 0;
      for (const h of files[r]) if (this.#meet(h, e)) cost += this.#urgency[h];
      if (cost < least) [best, least] = [r, cost];
    }
    if (least >= this.#urgency[e]) {
      if (this.#urgency[e] === Number.POSITIVE_INFINITY)
        throw new Error("register allocation: an instruction needs more registers than there are");
      this.spilled.push(e);
      return;
    }
    const losers = files[best].filter(h => this.#meet(h, e));
    files[best] = files[best].filter(h => !losers.includes(h));
    for (const loser of losers) {
      this.registers[loser] = -1;
      this.spilled.push(loser);
    }
    this.#give(e, best, cls);
  }
}

/**
 * Gives every variable a register, or throws if an instruction alone needs too many. `origins`: whether each line says what it was made from, as
 * the checker wants it.
 */
export function allocate(code: Code, lifetimes: Lifetimes, origins: boolean): Allocation {
  const limits = reaches(code);
  const hints = hintsOf(code);
  const spills = new Spills(code);
  for (;;) {
    const shorts = spills.shorts();
    const scan = new Scan(code, lifetimes, shorts, limits);
    scan.run(spills.away, hints);
    if (!scan.spilled.length) return rewrite(code, spills, shorts, scan.registers, origins);
    spills.add(scan.spilled);
  }
}
