/**
 * Where variables are live, as segments of positions. Line i reads at position 2i and writes at 2i + 1, so a value that dies in an instruction
 * and one that is born there may share a register. Loops are brackets in the list: what a body reads before it writes is live all through it.
 */
import { type Description, type Effects, effects, isBracket, type Line, type Variable } from "./machine.ts";

/** Both ends belong to the segment. */
export interface Segment {
  readonly from: number;
  readonly to: number;
}

export interface Lifetime {
  readonly variable: Variable;
  /** In order, without overlaps. */
  segments: Segment[];
  /** Reads and writes, each counted ten times for every loop around it. */
  weight: number;
}

/** For each opening bracket, by its line: the variables that the body reads before it writes them. */
function carriedIn(lines: readonly Line[], all: readonly (Effects | undefined)[]): Map<number, Set<Variable>> {
  const found = new Map<number, Set<Variable>>();
  const open: { at: number; written: Set<Variable>; read: Set<Variable> }[] = [];
  lines.forEach((line, i) => {
    if (isBracket(line)) {
      if (line.bracket === "begin") open.push({ at: i, written: new Set(), read: new Set() });
      else {
        const { at, read } = open.pop()!;
        found.set(at, read);
      }
      return;
    }
    const { reads, writes } = all[i]!;
    for (const v of reads) for (const loop of open) if (!loop.written.has(v)) loop.read.add(v);
    for (const v of writes) for (const loop of open) loop.written.add(v);
  });
  return found;
}

class Backwards {
  readonly lifetimes = new Map<Variable, Lifetime>();
  /** Last position of the segment that is being walked through. */
  readonly #open = new Map<Variable, number>();

  of(variable: Variable): Lifetime {
    let l = this.lifetimes.get(variable);
    if (!l) {
      l = { variable, segments: [], weight: 0 };
      this.lifetimes.set(variable, l);
    }
    return l;
  }
  live(v: Variable, at: number): void {
    if (!this.#open.has(v)) this.#open.set(v, at);
  }
  /** Begins v's segment at `at`; a value that nobody reads has one position. */
  born(v: Variable, at: number): void {
    this.of(v).segments.push({ from: at, to: this.#open.get(v) ?? at });
    this.#open.delete(v);
  }
  get now(): readonly Variable[] {
    return [...this.#open.keys()];
  }
  finish(): void {
    for (const v of this.now) this.born(v, 0);
    for (const l of this.lifetimes.values()) l.segments.reverse();
  }
}

/** The lifetimes of all variables. */
export function liveness(lines: readonly Line[], d: Pick<Description, "access">): ReadonlyMap<Variable, Lifetime> {
  const all = lines.map(l => (isBracket(l) ? undefined : effects(l, d)));
  const into = carriedIn(lines, all);
  const begins: number[] = [];
  const endOf = new Map<number, number>();
  lines.forEach((l, i) => {
    if (!isBracket(l)) return;
    if (l.bracket === "begin") begins.push(i);
    else endOf.set(i, begins.pop()!);
  });
  const walk = new Backwards();
  const after: Variable[][] = [];
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i];
    if (isBracket(line)) {
      if (line.bracket === "end") {
        after.push([...walk.now]);
        for (const v of into.get(endOf.get(i)!)!) walk.live(v, 2 * i);
      } else {
        // A loop may be left out, so what is wanted after it must be there before it.
        for (const v of after.pop()!) walk.live(v, 2 * i);
        for (const v of into.get(i)!) walk.live(v, 2 * i);
      }
      continue;
    }
    const { reads, writes } = all[i]!;
    const weight = 10 ** after.length;
    for (const v of writes) if (!reads.includes(v)) walk.born(v, 2 * i + 1);
    for (const v of reads) walk.live(v, writes.includes(v) ? 2 * i + 1 : 2 * i);
    for (const v of [...reads, ...writes]) walk.of(v).weight += weight;
  }
  walk.finish();
  return walk.lifetimes;
}

/** Whether two lists of segments, each in order, have a position in common. */
export function meet(a: readonly Segment[], b: readonly Segment[]): boolean {
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i].to < b[j].from) i++;
    else if (b[j].to < a[i].from) j++;
    else return true;
  }
  return false;
}

/** Both lists in one, in order. */
export function join(a: readonly Segment[], b: readonly Segment[]): Segment[] {
  const out: Segment[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) out.push(j >= b.length || (i < a.length && a[i].from < b[j].from) ? a[i++] : b[j++]);
  return out;
}
