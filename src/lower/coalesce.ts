/**
 * Joins the two sides of copies into one variable where their lifetimes do not meet, innermost loops first. Carried values, two-address
 * instructions and reinterpretations are written as copies by the targets; most of them vanish here.
 */
import type { Code } from "./code.ts";
import type { Lifetimes } from "./liveness.ts";
import { isBracket } from "./machine.ts";

/** Lines of copies with the number of loops around them, innermost first. */
function copiesOf(code: Code): { readonly line: number; readonly depth: number }[] {
  const copies: { line: number; depth: number }[] = [];
  let depth = 0;
  for (let i = 0; i < code.lines.length; i++) {
    const line = code.lines[i];
    if (isBracket(line)) depth += line.bracket === "begin" ? 1 : -1;
    else if (!code.dead[i] && code.isCopy(i)) copies.push({ line: i, depth });
  }
  return copies.sort((a, b) => b.depth - a.depth);
}

/** Copies that vanished are marked as joined in `code`, the uses of joined variables become those of one, and `lifetimes` is its. */
export function coalesce(code: Code, lifetimes: Lifetimes): void {
  const { starts, users, variables } = code;
  const { stands } = code;
  const root = (v: number): number => {
    let at = v;
    while (stands[at] !== at) at = stands[at];
    return at;
  };
  for (const { line, depth } of copiesOf(code)) {
    const [to, from] = [root(users[starts[line]]), root(users[starts[line] + 1])];
    if (to !== from) {
      const [a, b] = [variables[to]!, variables[from]!];
      // A constant that can be read again stays a variable of its own.
      if (a.cls !== b.cls || a.again || b.again || lifetimes.meet(to, from)) continue;
      const [keep, drop] = a.bytes >= b.bytes ? [to, from] : [from, to];
      stands[drop] = keep;
      lifetimes.join(keep, drop);
    }
    code.join(line);
    lifetimes.weight[root(to)] -= 2 * 10 ** depth;
  }
  for (let v = 0; v < stands.length; v++) stands[v] = root(v);
  for (let u = 0; u < users.length; u++) users[u] = stands[users[u]];
}
