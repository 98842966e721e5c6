/**
 * Instruction selection shared by all targets: walks a lowered kernel backwards, asks the target's rules how each needed node is made, and
 * marks the operands of the answer as needed. What no rule asks for (dead code, nodes swallowed by a pattern) gets no instruction.
 */
import type { Kernel, Node, Scope } from "../ir/node.ts";

/** How a target makes one node. `operands` must be available before; the rest is the target's own. */
export interface Selected {
  readonly operands: readonly Node[];
}

export type Chosen<S extends Selected> = ReadonlyMap<Node, S>;

/** `rule` answers for values, `free` says which nodes need no instruction (constants, parameters); `prefetches`: whether the target has them. */
export function select<S extends Selected>(
  kernel: Kernel,
  rule: (node: Node) => S,
  free: (node: Node) => boolean,
  prefetches = false,
): Chosen<S> {
  const needed = new Set<Node>();
  const chosen = new Map<Node, S>();
  const need = (nodes: readonly Node[]): void => {
    for (const n of nodes) needed.add(n);
  };
  const walk = (scope: Scope): void => {
    for (let i = scope.items.length - 1; i >= 0; i--) {
      const item = scope.items[i];
      if (item.kind === "store") need([item.address, item.index, item.value]);
      else if (item.kind === "prefetch") {
        if (prefetches) need([item.address, item.index]);
      } else if (item.kind === "loop") {
        need([item.from, item.to, ...item.init, ...item.next]);
        walk(item.body);
      } else if (needed.has(item.node) && !free(item.node)) {
        const how = rule(item.node);
        chosen.set(item.node, how);
        need(how.operands);
      }
    }
  };
  walk(kernel.body);
  return chosen;
}
