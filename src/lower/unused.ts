/** Removes instructions whose only effect is a value that nobody reads: sums that became part of an address, for example. */
import { type Description, effects, isBracket, isMemory, type Line, type Variable } from "./machine.ts";

/** One round; what only a removed instruction read goes in the next. */
function round(lines: readonly Line[], d: Pick<Description, "access">): Line[] {
  const read = new Set<Variable>();
  for (const line of lines) {
    if (isBracket(line)) continue;
    const { reads, writes } = effects(line, d);
    for (const v of reads) if (!writes.includes(v)) read.add(v);
  }
  return lines.filter(line => {
    if (isBracket(line) || line.operands.some((o, i) => isMemory(o) && d.access(line.key, i) !== "r")) return true;
    const { writes } = effects(line, d);
    return !writes.length || writes.some(v => read.has(v));
  });
}

export function removeUnused(lines: readonly Line[], d: Pick<Description, "access">): Line[] {
  const after = round(lines, d);
  return after.length === lines.length ? after : removeUnused(after, d);
}
