/**
 * Where variables are live, as segments of positions. A line reads and then writes, so a value that dies in an instruction and one that is born
 * there may share a register; around that lie the positions of loads and stores that allocation may put before and behind it. Loops are brackets
 * in the list: what a body reads before it writes is live all through it.
 */
import { type Code, READ, WRITE } from "./code.ts";
import { isBracket } from "./machine.ts";

/** Positions of line i: what is loaded for it is written, it reads, it writes, what is stored after it is read. */
export const loadAt = (i: number): number => 4 * i + 1;
export const readAt = (i: number): number => 4 * i + 2;
export const writeAt = (i: number): number => 4 * i + 3;
export const storeAt = (i: number): number => 4 * i + 4;

/** Reads and writes as lines count, two positions a line: how far apart two positions are does not depend on what is put between. */
const span = (from: number, to: number): number => 2 * ((to >> 2) - (from >> 2)) + (to & 1) - (from & 1) + 1;

/** Segments of all variables, by id, as lists in order and without overlaps. Both ends of a segment belong to it. */
export class Lifetimes {
  /** First segment of a variable, or -1; the next of a segment, or -1. */
  readonly first: Int32Array;
  readonly next: number[] = [];
  readonly from: number[] = [];
  readonly to: number[] = [];
  /** Reads and writes, each counted ten times for every loop around it. */
  readonly weight: Float64Array;

  constructor(variables: number) {
    this.first = new Int32Array(variables).fill(-1);
    this.weight = new Float64Array(variables);
  }

  /** Puts a segment before those that the variable has. */
  precede(v: number, from: number, to: number): void {
    this.next.push(this.first[v]);
    this.from.push(from);
    this.to.push(to);
    this.first[v] = this.next.length - 1;
  }

  /** Whether two variables are live at one position. */
  meet(v: number, w: number): boolean {
    let [a, b] = [this.first[v], this.first[w]];
    while (a >= 0 && b >= 0) {
      if (this.to[a] < this.from[b]) a = this.next[a];
      else if (this.to[b] < this.from[a]) b = this.next[b];
      else return true;
    }
    return false;
  }

  /** Gives `keep` the segments of `drop` as well; the two do not meet. */
  join(keep: number, drop: number): void {
    let [a, b] = [this.first[keep], this.first[drop]];
    let last = -1;
    while (a >= 0 || b >= 0) {
      let s = a;
      if (a < 0 || (b >= 0 && this.from[b] < this.from[a])) {
        s = b;
        b = this.next[b];
      } else a = this.next[a];
      if (last >= 0 && this.from[s] === this.to[last] + 1) this.to[last] = this.to[s];
      else {
        if (last < 0) this.first[keep] = s;
        else this.next[last] = s;
        last = s;
      }
    }
    if (last >= 0) this.next[last] = -1;
    this.first[drop] = -1;
    this.weight[keep] += this.weight[drop];
  }

  /** Last position at which a variable is live. */
  end(v: number): number {
    let s = this.first[v];
    while (this.next[s] >= 0) s = this.next[s];
    return this.to[s];
  }

  /** How long a variable is live, two a line. */
  span(v: number): number {
    let sum = 0;
    for (let s = this.first[v]; s >= 0; s = this.next[s]) sum += span(this.from[s], this.to[s]);
    return sum;
  }
}

/** For each opening bracket, by its line: the variables that the body reads before it writes them, some of them more than once. */
function carriedIn(code: Code): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>();
  const written = new Int32Array(code.variables.length).fill(-1);
  const open: number[] = [];
  for (let i = 0; i < code.lines.length; i++) {
    if (code.dead[i]) continue;
    const line = code.lines[i];
    if (isBracket(line)) {
      if (line.bracket === "begin") {
        open.push(i);
        found.set(i, []);
      } else open.pop();
      continue;
    }
    if (!open.length) continue;
    for (let u = code.starts[i]; u < code.starts[i + 1]; u++) {
      if (!(code.accesses[u] & READ)) continue;
      const v = code.users[u];
      for (let l = open.length - 1; l >= 0 && written[v] < open[l]; l--) found.get(open[l])!.push(v);
    }
    for (let u = code.starts[i]; u < code.starts[i + 1]; u++) if (code.accesses[u] & WRITE) written[code.users[u]] = i;
  }
  return found;
}

/** The walk from the last line to the first. */
class Backwards {
  readonly lifetimes: Lifetimes;
  readonly #code: Code;
  /** Last position of the segment that is being walked through, or -1. */
  readonly #open: Int32Array;

  constructor(code: Code) {
    this.#code = code;
    this.lifetimes = new Lifetimes(code.variables.length);
    this.#open = new Int32Array(code.variables.length).fill(-1);
  }

  /** Live at the latest at `at`. */
  live(v: number, at: number): void {
    if (this.#open[v] < 0) this.#open[v] = at;
  }

  /** What is live here. */
  now(): number[] {
    const found: number[] = [];
    for (let v = 0; v < this.#open.length; v++) if (this.#open[v] >= 0) found.push(v);
    return found;
  }

  /** `weight`: of one use. */
  line(i: number, weight: number): void {
    const { starts, users } = this.#code;
    for (let u = starts[i]; u < starts[i + 1]; u++) {
      const v = users[u];
      const access = this.#code.access(i, v);
      // A value that nobody reads has one position.
      if (access === WRITE) this.#born(v, writeAt(i));
      else if (access & WRITE) this.live(v, writeAt(i));
      this.lifetimes.weight[v] += this.#code.accesses[u] === (READ | WRITE) ? 2 * weight : weight;
    }
    for (let u = starts[i]; u < starts[i + 1]; u++) if (this.#code.access(i, users[u]) === READ) this.live(users[u], readAt(i));
  }

  #born(v: number, at: number): void {
    this.lifetimes.precede(v, at, this.#open[v] < 0 ? at : this.#open[v]);
    this.#open[v] = -1;
  }

  finish(): Lifetimes {
    for (const v of this.now()) this.#born(v, 0);
    return this.lifetimes;
  }
}

/** The lifetimes of all variables of lines that are not dead. */
export function liveness(code: Code): Lifetimes {
  const into = carriedIn(code);
  const walk = new Backwards(code);
  const after: number[][] = [];
  let weight = 1;
  for (let i = code.lines.length - 1; i >= 0; i--) {
    if (code.dead[i]) continue;
    const line = code.lines[i];
    if (!isBracket(line)) walk.line(i, weight);
    else if (line.bracket === "end") {
      after.push(walk.now());
      weight *= 10;
      for (const v of into.get(code.other[i])!) walk.live(v, readAt(i));
    } else {
      // A loop may be left out, so what is wanted after it must be there before it.
      for (const v of after.pop()!) walk.live(v, readAt(i));
      for (const v of into.get(i)!) walk.live(v, readAt(i));
      weight /= 10;
    }
  }
  return walk.finish();
}
