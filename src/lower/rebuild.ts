/**
 * The walk that every pass shares: copies a kernel item by item, keeping the order, while a pass says what becomes of each node. A node
 * may become several (its parts, lowest lanes first); loops and stores follow their parts.
 */
import { constant, leaf, load, make, newScope } from "../ir/build.ts";
import type { Kernel, Loop, Node, Scope } from "../ir/node.ts";
import { elems } from "../ir/types.ts";

export interface Pass {
  /** What a node becomes; undefined: itself. An empty list: not made yet, `finish` makes it when something asks for it. */
  readonly visit: (node: Node, to: Rebuild) => readonly Node[] | undefined;
  readonly finish?: (node: Node, to: Rebuild) => Node;
}

export class Rebuild {
  scope: Scope;
  readonly #parts = new Map<number, readonly Node[]>();
  readonly #pass: Pass;

  constructor(scope: Scope, pass: Pass) {
    this.scope = scope;
    this.#pass = pass;
  }

  parts(old: Node): readonly Node[] {
    let found = this.#parts.get(old.id);
    if (found?.length === 0) {
      found = [this.#pass.finish!(old, this)];
      this.set(old, found);
    }
    if (!found) throw new Error(`${old.op} %${old.id} is used before it is defined`);
    return found;
  }
  one = (old: Node): Node => this.parts(old)[0];
  set(old: Node, parts: readonly Node[]): void {
    this.#parts.set(old.id, parts);
  }

  /** The node itself in the new kernel, operands replaced by their first parts. */
  copy(node: Node): Node {
    const args = node.args.map(this.one);
    if (node.op === "const") return constant(this.scope, node.type, node.lanes, node.attr);
    if (node.op === "load") return load(this.scope, node, args[0], args[1], node.attr, false, node.range);
    if (!args.length) return leaf(this.scope, node.op, node, node.attr, node.range);
    return make(this.scope, node.op, args, node, node.attr);
  }

  items(from: Scope): void {
    for (const item of from.items) {
      if (item.kind === "node") {
        if (!this.#parts.has(item.node.id)) this.set(item.node, this.#pass.visit(item.node, this) ?? [this.copy(item.node)]);
      } else if (item.kind === "store") {
        const [address, index] = [this.one(item.address), this.one(item.index)];
        let { offset } = item;
        for (const value of this.parts(item.value)) {
          this.scope.items.push({ kind: "store", address, index, offset, value });
          offset += value.lanes * elems[value.type].size;
        }
      } else this.#loop(item);
    }
  }

  #loop(old: Loop): void {
    const outer = this.scope;
    const body = newScope(outer);
    const init = old.init.flatMap(n => this.parts(n));
    const copyLeaf = (n: Node, op: string, scope: Scope, range = n.range) => leaf(scope, op, n, 0, range);
    const index = copyLeaf(old.index, "index", body);
    this.set(old.index, [index]);
    const carries = old.carries.map((c, i) => this.parts(old.init[i]).map(p => copyLeaf(p, "carry", body, c.range)));
    old.carries.forEach((c, i) => {
      this.set(c, carries[i]);
    });
    this.scope = body;
    this.items(old.body);
    const next = old.next.flatMap(n => this.parts(n)); // inside, because a part may only now be made
    this.scope = outer;
    const results: Node[] = [];
    const loop = {
      kind: "loop" as const,
      index,
      from: this.one(old.from),
      to: this.one(old.to),
      init,
      carries: carries.flat(),
      next,
      results,
      body,
    };
    outer.items.push(loop);
    old.results.forEach((r, i) => {
      const parts = this.parts(old.init[i]).map(p => copyLeaf(p, "result", outer, r.range));
      results.push(...parts);
      this.set(r, parts);
    });
  }
}

/** Applies a pass to a kernel. */
export function rebuild(kernel: Kernel, pass: Pass): Kernel {
  const body = newScope(undefined);
  const to = new Rebuild(body, pass);
  to.items(kernel.body);
  return { name: kernel.name, slots: kernel.slots, begin: to.one(kernel.begin), end: to.one(kernel.end), body };
}
