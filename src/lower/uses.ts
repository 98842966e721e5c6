/** How often values are asked for. */
import type { Node, Scope } from "../ir/node.ts";

/** How often each node is asked for: as an operand, by a store, by a loop. */
export function countUses(scope: Scope, uses = new Map<Node, number>()): Map<Node, number> {
  const use = (nodes: readonly Node[]): void => {
    for (const n of nodes) uses.set(n, (uses.get(n) ?? 0) + 1);
  };
  for (const item of scope.items) {
    if (item.kind === "node") use(item.node.args);
    else if (item.kind === "store") use([item.address, item.index, item.value]);
    else if (item.kind === "prefetch") use([item.address, item.index]);
    else {
      use([item.from, item.to, ...item.init, ...item.next]);
      countUses(item.body, uses);
    }
  }
  return uses;
}
