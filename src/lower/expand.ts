/**
 * Byte dots that the machine has no instruction for, in 16-bit arithmetic: the even and the odd bytes of each operand become two registers
 * of 16-bit lanes, and `dot2` of those gives 32 bits. Runs after legalise; the halves of an operand are shared between all its dots.
 */
import { hasNode, make } from "../ir/build.ts";
import type { Kernel, Node, Scope } from "../ir/node.ts";
import { elems } from "../ir/types.ts";
import type { Machine } from "./passes.ts";
import { rebuild } from "./rebuild.ts";

/** Whether the machine has an instruction for a dot of these bytes. */
function direct(node: Node, w: Node, machine: Machine): boolean {
  if (w.range.min < 0 || w.range.max > machine.unsigned) return false;
  if (node.op === "dot4") return machine.dots === "quads";
  return machine.dots !== "none" && node.range.min > elems.i16.min && node.range.max < elems.i16.max;
}

export function expandDots(kernel: Kernel, machine: Machine): Kernel {
  const halves = (scope: Scope, v: Node): [Node, Node] => {
    const type = elems[v.type].signed ? "i16" : "u16";
    const wide = make(scope, "as", [v], { type, lanes: v.lanes / 2 });
    const even = make(scope, "shr", [make(scope, "shl", [wide], undefined, 8)], undefined, 8);
    const odd = make(scope, "shr", [wide], undefined, 8);
    return [even, odd].map(n => make(scope, "as", [n], { type: "i16", lanes: n.lanes })) as [Node, Node];
  };
  const ofBytes = (n: Node): boolean => (n.op === "dot2" || n.op === "dot4") && elems[n.args[0].type].size === 1;
  if (!hasNode(kernel.body, n => ofBytes(n) && !direct(n, n.args[0], machine))) return kernel;
  return rebuild(kernel, {
    visit: (node, to) => {
      if (!ofBytes(node)) return undefined;
      const [w, x] = node.args.map(to.one);
      if (direct(node, w, machine)) return undefined;
      const [we, wo] = halves(to.scope, w);
      const [xe, xo] = halves(to.scope, x);
      const op = node.op === "dot2" ? "mul" : "dot2";
      return [make(to.scope, "add", [make(to.scope, op, [we, xe]), make(to.scope, op, [wo, xo])])];
    },
  });
}
