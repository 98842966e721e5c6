/**
 * The walk that every pass shares: copies a kernel item by item, keeping the order, while a pass says what becomes of each node. A node
 * may become several (its parts, lowest lanes first); loops and stores follow their parts.
 */
import { constant, leaf, load, make, newScope } from "../ir/build.ts";
import type { Kernel, Loop, Node, Prefetch, Scope, Store } from "../ir/node.ts";
import { elems, type Range } from "../ir/types.ts";

export interface Pass {
  /** What a node becomes; undefined: itself. An empty list: not made yet, `finish` makes it when something asks for it. */
  readonly visit: (node: Node, to: Rebuild) => readonly Node[] | undefined;
  readonly finish?: (node: Node, to: Rebuild) => Node;
  /** Another way to the same place in memory. */
  readonly place?: (address: Node, index: Node, to: Rebuild) => { readonly address: Node; readonly index: Node };
  /** Whether a loop of known length is written out turn by turn. */
  readonly unroll?: (loop: Loop) => boolean;
  /** Told of every loop and store that is to be copied; true: the pass has done it itself. */
  readonly loop?: (loop: Loop, to: Rebuild) => boolean;
  readonly store?: (store: Store | Prefetch, to: Rebuild) => boolean;
  /** Another form for carried value `i` of a loop. */
  readonly carry?: (loop: Loop, i: number, to: Rebuild) => CarryForm | undefined;
}

/** A carried value in another form inside its loop. */
export interface CarryForm {
  readonly init: Node;
  /** Told the new carried node; values of it are in the old one's stead from here on. */
  readonly begin: (carry: Node) => void;
  /** What the carried value can be at the beginning of a turn, and after the last. */
  readonly range: { readonly carry: Range; readonly result: Range };
  /** The value for the next turn. */
  readonly next: () => Node;
  /** Told the new result. */
  readonly end: (result: Node) => void;
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
    if (!node.args.length && node.op !== "const") return leaf(this.scope, node.op, node, node.attr, node.range);
    const args = node.args.map(this.one);
    if (node.op === "const") return constant(this.scope, node.type, node.lanes, node.attr);
    if (node.op === "load") {
      const { address, index, offset } = this.#place(args[0], args[1], node.attr);
      return load(this.scope, node, address, index, offset, false, node.range);
    }
    return make(this.scope, node.op, args, node, node.attr);
  }

  /** Where an access goes; constants that passes have brought into the index ride in the instruction. */
  #place(address: Node, index: Node, offset: number): { readonly address: Node; readonly index: Node; readonly offset: number } {
    const at = this.#pass.place?.(address, index, this) ?? { address, index };
    const [rest, constantPart] = at.index.op === "add" ? at.index.args : [];
    if (!rest || constantPart?.op !== "const" || constantPart.attr < 0) return { ...at, offset };
    return { address: at.address, index: rest, offset: offset + constantPart.attr };
  }

  items(from: Scope): void {
    for (const item of from.items) {
      if (item.kind === "node") {
        if (!this.#parts.has(item.node.id)) this.set(item.node, this.#pass.visit(item.node, this) ?? [this.copy(item.node)]);
      } else if (item.kind !== "loop" && this.#pass.store?.(item, this)) continue;
      else if (item.kind === "store") {
        const place = this.#place(this.one(item.address), this.one(item.index), item.offset);
        const { address, index } = place;
        let { offset } = place;
        for (const value of this.parts(item.value)) {
          this.scope.items.push({ kind: "store", address, index, offset, value });
          offset += value.lanes * elems[value.type].size;
        }
      } else if (item.kind === "prefetch") {
        this.scope.items.push({ kind: "prefetch", ...this.#place(this.one(item.address), this.one(item.index), item.offset) });
      } else if (this.#pass.unroll?.(item)) this.#unrolled(item);
      else if (!this.#pass.loop?.(item, this)) this.#loop(item);
    }
  }

  /** Every turn makes the body's nodes anew, with the counter as a constant. */
  #unrolled(loop: Loop): void {
    let values = loop.init.map(n => this.parts(n));
    for (let turn = loop.from.attr; turn < loop.to.attr; turn++) {
      this.#forget(loop.body);
      this.set(loop.index, [constant(this.scope, "i32", 1, turn)]);
      for (const [i, c] of loop.carries.entries()) this.set(c, values[i]);
      this.items(loop.body);
      values = loop.next.map(n => this.parts(n));
    }
    for (const [i, r] of loop.results.entries()) this.set(r, values[i]);
  }

  #forget(scope: Scope): void {
    for (const item of scope.items) {
      if (item.kind === "node") this.#parts.delete(item.node.id);
      else if (item.kind === "loop") {
        this.#forget(item.body);
        for (const r of item.results) this.#parts.delete(r.id);
      }
    }
  }

  #loop(old: Loop): void {
    const outer = this.scope;
    const body = newScope(outer);
    const copyLeaf = (n: Node, op: string, scope: Scope, range = n.range) => leaf(scope, op, n, 0, range);
    const forms = old.carries.map((_, i) => this.#pass.carry?.(old, i, this));
    const init = old.init.map((n, i) => (forms[i] ? [forms[i].init] : this.parts(n)));
    const index = copyLeaf(old.index, "index", body);
    this.set(old.index, [index]);
    const carries = old.carries.map((c, i) => {
      const parts = init[i].map(p => copyLeaf(p, "carry", body, forms[i]?.range.carry ?? c.range));
      if (forms[i]) forms[i].begin(parts[0]);
      else this.set(c, parts);
      return parts;
    });
    this.scope = body;
    this.items(old.body);
    // inside, because a part may only now be made
    const next = old.next.flatMap((n, i) => forms[i]?.next() ?? this.parts(n));
    this.scope = outer;
    const results: Node[] = [];
    const [from, to] = [this.one(old.from), this.one(old.to)];
    outer.items.push({ kind: "loop", index, from, to, init: init.flat(), carries: carries.flat(), next, results, body, apart: old.apart });
    old.results.forEach((r, i) => {
      const parts = init[i].map(p => copyLeaf(p, "result", outer, forms[i]?.range.result ?? r.range));
      results.push(...parts);
      if (forms[i]) forms[i].end(parts[0]);
      else this.set(r, parts);
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
