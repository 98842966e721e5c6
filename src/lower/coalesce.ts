/**
 * Joins the two sides of copies into one variable where their lifetimes do not meet, innermost loops first. Carried values, two-address
 * instructions and reinterpretations are written as copies by the targets; most of them vanish here.
 */
import { join, liveness, meet, type Segment } from "./liveness.ts";
import { type Description, type Instruction, isBracket, isVariable, type Line, replaceRegisters, type Variable } from "./machine.ts";

interface Copy {
  readonly to: Variable;
  readonly from: Variable;
  readonly depth: number;
}

function copiesOf(lines: readonly Line[], d: Description): Copy[] {
  const copies: Copy[] = [];
  let depth = 0;
  for (const line of lines) {
    if (isBracket(line)) depth += line.bracket === "begin" ? 1 : -1;
    else if (d.isCopy(line)) {
      const [to, from] = line.operands;
      if (isVariable(to) && isVariable(from)) copies.push({ to, from, depth });
    }
  }
  return copies.sort((a, b) => b.depth - a.depth);
}

export function coalesce(lines: readonly Line[], d: Description): Line[] {
  const lifetimes = liveness(lines, d);
  const segments = new Map<Variable, readonly Segment[]>([...lifetimes].map(([v, l]) => [v, l.segments]));
  const stands = new Map<Variable, Variable>();
  const root = (v: Variable): Variable => {
    const next = stands.get(v);
    return next ? root(next) : v;
  };
  for (const copy of copiesOf(lines, d)) {
    const [to, from] = [root(copy.to), root(copy.from)];
    // A constant that can be read again stays a variable of its own.
    if (to === from || to.cls !== from.cls || to.again || from.again) continue;
    const [a, b] = [segments.get(to)!, segments.get(from)!];
    if (meet(a, b)) continue;
    const [keep, drop] = to.bytes >= from.bytes ? [to, from] : [from, to];
    stands.set(drop, keep);
    segments.set(keep, join(a, b));
  }
  const joined = lines.map(l => (isBracket(l) ? l : replaceRegisters(l, r => (isVariable(r) ? root(r) : r))));
  return joined.filter(l => isBracket(l) || !(d.isCopy(l) && same(l)));
}

const same = (l: Instruction): boolean => l.operands[0] === l.operands[1];
