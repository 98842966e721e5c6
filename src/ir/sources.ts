/** Looking through a kernel: all its items, and what values are made of. */
import type { Item, Node, Scope } from "./node.ts";

/** The items of a scope and of the loops inside it, in order. */
export function* itemsOf(scope: Scope): Generator<Item> {
  for (const item of scope.items) {
    yield item;
    if (item.kind === "loop") yield* itemsOf(item.body);
  }
}

/** What nodes are made of, themselves included; `more`: what a node stands for besides its operands, such as a loop's counter for the loop's ends. */
export function sourcesOf(nodes: readonly Node[], more: (n: Node) => readonly Node[] = () => []): ReadonlySet<Node> {
  const found = new Set<Node>();
  const todo = [...nodes];
  for (let n = todo.pop(); n; n = todo.pop()) {
    if (found.has(n)) continue;
    found.add(n);
    todo.push(...n.args, ...more(n));
  }
  return found;
}
