/**
 * Takes out of loops what does not change in them when an address is computed: address + (outer + inner) becomes (address + outer) + inner, the
 * first sum made where its parts are known. Inner loops of matrix products then add one number per load.
 */
import { constant, make, offset } from "../ir/build.ts";
import type { Kernel, Node } from "../ir/node.ts";
import { type Rebuild, rebuild } from "./rebuild.ts";

const terms = (index: Node): readonly Node[] => (index.op === "add" ? index.args.flatMap(terms) : [index]);

export function hoistAddresses(kernel: Kernel): Kernel {
  const place = (address: Node, index: Node, to: Rebuild): { address: Node; index: Node } => {
    const all = terms(index);
    const { depth } = to.scope;
    const inner = all.filter(n => n.scope.depth === depth);
    const outer = all.filter(n => n.scope.depth < depth && n.op !== "const");
    if (!outer.length) return { address, index };
    const add = (nodes: readonly Node[]): Node => nodes.reduce((a, b) => make(to.scope, "add", [a, b]));
    // Outermost first, so that each sum is made as far out as its terms allow.
    const sorted = [...outer].sort((a, b) => a.scope.depth - b.scope.depth);
    const base = sorted.reduce((at, n) => offset(to.scope, at, n), address);
    const rest = [...inner, ...all.filter(n => n.op === "const")];
    return { address: base, index: rest.length ? add(rest) : constant(to.scope, "i32", 1, 0) };
  };
  return rebuild(kernel, { visit: () => undefined, place });
}
