/** Finds instructions whose only effect is a value that nobody reads: sums that became part of an address, for example. */
import { type Code, READ, WRITE } from "./code.ts";
import { isBracket, isMemory } from "./machine.ts";

/** Whether an instruction writes memory. */
function stores(code: Code, i: number): boolean {
  const line = code.lines[i];
  if (isBracket(line)) return false;
  const { access } = code.forms[i]!;
  return line.operands.some((o, k) => isMemory(o) && access[k] !== READ);
}

/** Uses that read a variable, those left out by which an instruction changes its own variable; `sign`: counted or taken back. */
function count(code: Code, i: number, reads: Int32Array, sign: 1 | -1): void {
  for (let u = code.starts[i]; u < code.starts[i + 1]; u++) if (code.access(i, code.users[u]) === READ) reads[code.users[u]] += sign;
}

/** Whether line i writes variables, and only such as nobody reads. */
function idle(code: Code, i: number, reads: Int32Array): boolean {
  let writes = false;
  for (let u = code.starts[i]; u < code.starts[i + 1]; u++) {
    if (!(code.accesses[u] & WRITE)) continue;
    if (reads[code.users[u]]) return false;
    writes = true;
  }
  return writes && !stores(code, i);
}

/** Marks them as dead. Backwards, so that what only a dead one read goes at once; again for values that loops carry. */
export function removeUnused(code: Code): void {
  const reads = new Int32Array(code.variables.length);
  for (let i = 0; i < code.lines.length; i++) count(code, i, reads, 1);
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = code.lines.length - 1; i >= 0; i--) {
      if (code.dead[i] || !idle(code, i, reads)) continue;
      code.dead[i] = 1;
      count(code, i, reads, -1);
      changed = true;
    }
  }
}
