/**
 * Sums of exact byte dots in the narrowest lanes that provably hold them. `dot4(w, x) + dot4(v, y) + ...` in i32 becomes pair products
 * added in i16 and widened once per group, wherever the value ranges show that no 16-bit lane can overflow (DESIGN idea 2). Targets whose
 * machine sums four bytes into 32 bits in one instruction do not run this pass.
 */
import { constant, make } from "../ir/build.ts";
import type { Kernel, Node } from "../ir/node.ts";
import { elems } from "../ir/types.ts";
import { type Rebuild, rebuild } from "./rebuild.ts";

/** An i32 sum that is still kept as 16-bit pair sums, plus what has already been widened. */
interface Pending {
  readonly pairs: Node;
  readonly rest: Node | undefined;
}

const fits = (min: number, max: number): boolean => min >= elems.i16.min && max <= elems.i16.max;

export function narrowDots(kernel: Kernel): Kernel {
  const pending = new Map<number, Pending>();

  const widen = ({ pairs, rest }: Pending, to: Rebuild): Node => {
    const wide = make(to.scope, "dot2", [pairs, constant(to.scope, "i16", pairs.lanes, 1)]);
    return rest ? make(to.scope, "add", [rest, wide]) : wide;
  };
  const join = (a: Pending, b: Pending, to: Rebuild): Pending => {
    const rests = [a.rest, b.rest].filter(n => n !== undefined);
    const rest = rests.length === 2 ? make(to.scope, "add", rests) : rests[0];
    const [p, q] = [a.pairs.range, b.pairs.range];
    if (fits(p.min + q.min, p.max + q.max)) return { pairs: make(to.scope, "add", [a.pairs, b.pairs]), rest };
    return { pairs: b.pairs, rest: widen({ pairs: a.pairs, rest }, to) };
  };
  const keep = (node: Node, p: Pending): Node[] => {
    pending.set(node.id, p);
    return [];
  };

  const visit = (node: Node, to: Rebuild): Node[] | undefined => {
    if (node.op === "dot4") {
      const [w, x] = node.args.map(to.one);
      const products = corners(w, x);
      if (!fits(2 * Math.min(...products), 2 * Math.max(...products))) return undefined;
      return keep(node, { pairs: make(to.scope, "dot2", [w, x]), rest: undefined });
    }
    if (node.op !== "add") return undefined;
    const [a, b] = node.args.map(n => pending.get(n.id));
    if (a && b) return keep(node, join(a, b, to));
    if (!a && !b) return undefined;
    const { pairs, rest } = a ?? b!;
    const other = to.one(node.args[a ? 1 : 0]);
    return keep(node, { pairs, rest: rest ? make(to.scope, "add", [rest, other]) : other });
  };
  return rebuild(kernel, { visit, finish: (node, to) => widen(pending.get(node.id)!, to) });
}

const corners = ({ range: w }: Node, { range: x }: Node): number[] => [w.min * x.min, w.min * x.max, w.max * x.min, w.max * x.max];
