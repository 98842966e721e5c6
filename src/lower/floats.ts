/**
 * Products of integers that are made into floats at once, where a float holds the factors and the product exactly: the same number comes of making
 * floats of the factors, and machines multiply floats faster. A factor that many products share becomes a float once.
 */
import { hasNode, make } from "../ir/build.ts";
import type { Kernel, Node } from "../ir/node.ts";
import { rebuild } from "./rebuild.ts";
import { countUses } from "./uses.ts";

/** All integers up to here are floats. */
const EXACT = 2 ** 24;
const exact = ({ range }: Node): boolean => range.min >= -EXACT && range.max <= EXACT;
const isProduct = (n: Node): boolean => n.op === "mul" && n.type === "i32" && n.lanes > 1 && exact(n) && n.args.every(exact);
const toFloat = (n: Node): boolean => n.op === "convert" && n.type === "f32" && isProduct(n.args[0]);

export function floatProducts(kernel: Kernel): Kernel {
  if (!hasNode(kernel.body, toFloat)) return kernel;
  const uses = countUses(kernel.body);
  return rebuild(kernel, {
    visit: (node, to) => {
      if (!toFloat(node) || uses.get(node.args[0]) !== 1) return undefined;
      const factors = node.args[0].args.map(f => make(to.scope, "convert", [to.one(f)], { type: "f32", lanes: f.lanes }));
      return [make(to.scope, "mul", factors)];
    },
  });
}
