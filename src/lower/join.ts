/**
 * Two turns of a loop at once, in registers of twice the width: kernels are written for eight rows, and where a loop over groups of rows says that its
 * turns stand apart, a machine with longer registers does sixteen. What differs between the turns and has lanes becomes one value, the lanes of
 * the first turn before those of the second; scalars that differ (addresses) are made twice; what is the same in both stays one.
 */
import { constant, hasNode, leaf, load, make, newScope } from "../ir/build.ts";
import type { Kernel, Loop, Node, Prefetch, Scope, Store } from "../ir/node.ts";
import { elems } from "../ir/types.ts";
import { type CarryForm, type Rebuild, rebuild } from "./rebuild.ts";

/**
 * Operations that give each lane, or each few neighbours, from the same lanes of their operands, and that all registers have. (Of the longest of
 * x86-64, comparisons are bits in registers of another kind.)
 */
const lanewise = new Set("add sub mul div min max and or xor neg abs sqrt shl shr mulAdd convert upper fromHalf dot2 dot4 as".split(" "));
const isLanewise = ({ op, type, args }: Node): boolean =>
  lanewise.has(op) && args.every(a => a.lanes > 1) && (op !== "convert" || elems[type].float || !elems[args[0].type].float);

/** Loops that can be joined: a known, even number of turns, whose values fit the longer registers, and no scalars carried inside. */
function fits(loop: Loop, bytes: number): boolean {
  const turns = loop.from.op === "const" && loop.to.op === "const" ? loop.to.attr - loop.from.attr : 1;
  if (!loop.apart || turns < 2 || turns % 2) return false;
  const wide = (n: Node): boolean => n.lanes > 1 && 2 * n.lanes * elems[n.type].size > bytes;
  return !hasNode(loop.body, n => wide(n) || (n.op === "carry" && n.lanes === 1));
}

/** Whether some loop can be joined. */
export const joins = (scope: Scope, bytes: number): boolean =>
  scope.items.some(item => item.kind === "loop" && (fits(item, bytes) || joins(item.body, bytes)));

/** `bytes`: of the longer registers. */
export function joinTurns(kernel: Kernel, bytes: number): Kernel {
  if (!joins(kernel.body, bytes)) return kernel;
  const joiner = new Joiner(bytes);
  return rebuild(kernel, {
    visit: (node, to) => joiner.visit(node, to),
    loop: (loop, to) => joiner.loop(loop, to),
    store: (store, to) => joiner.store(store, to),
    carry: (loop, i, to) => joiner.carry(loop, i, to),
    finish: (node, to) => to.copy(node),
  });
}

class Joiner {
  readonly #bytes: number;
  /** Whether the loop that is being copied is inside a joined one. */
  #inside = false;
  /** Old nodes that are the same in both turns and not made yet: most are asked for with the lanes of both. */
  readonly #waiting = new Set<Node>();

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  loop(loop: Loop, to: Rebuild): boolean {
    if (this.#inside || !fits(loop, this.#bytes)) return false;
    const outer = to.scope;
    const body = newScope(outer);
    const [first, turns] = [loop.from.attr, (loop.to.attr - loop.from.attr) / 2];
    const index = leaf(body, "index", loop.index, 0, { min: 0, max: turns - 1 });
    to.scope = body;
    const even = make(body, "add", [make(body, "shl", [index], undefined, 1), constant(body, "i32", 1, first)]);
    to.set(loop.index, [even, make(body, "add", [even, constant(body, "i32", 1, 1)])]);
    this.#inside = true;
    to.items(loop.body);
    this.#inside = false;
    to.scope = outer;
    const [from, end] = [constant(outer, "i32", 1, 0), constant(outer, "i32", 1, turns)];
    outer.items.push({ kind: "loop", index, from, to: end, init: [], carries: [], next: [], results: [], body, apart: true });
    return true;
  }

  visit(node: Node, to: Rebuild): Node[] | undefined {
    if (!this.#inside) return undefined;
    if (!node.args.some(a => this.#differs(a, to))) {
      if (node.lanes === 1 || node.op === "load" || !node.args.length) return undefined;
      this.#waiting.add(node);
      return [];
    }
    if (node.lanes > 1 && isLanewise(node)) return [this.#wide(node, to)];
    if (node.op === "lookup" && !this.#differs(node.args[0], to)) {
      const [table, index] = node.args;
      return [make(to.scope, "lookup", [to.one(table), this.#joined(index, to)])];
    }
    const both = ([0, 1] as const).map(turn => {
      const args = node.args.map(a => this.#ofTurn(a, turn, to));
      return node.op === "load"
        ? load(to.scope, node, args[0], args[1], node.attr, false, node.range)
        : make(to.scope, node.op, args, node, node.attr);
    });
    return node.lanes > 1 ? [make(to.scope, "concat", both)] : both;
  }

  #wide = (node: Node, to: Rebuild): Node =>
    make(
      to.scope,
      node.op,
      node.args.map(a => this.#joined(a, to)),
      { type: node.type, lanes: 2 * node.lanes },
      node.attr,
    );

  /** Whether the value of an old node is not the same in both turns. */
  #differs = (old: Node, to: Rebuild): boolean => !this.#waiting.has(old) && (to.parts(old).length > 1 || to.one(old).lanes !== old.lanes);

  /** One value with the lanes of both turns. */
  #joined(old: Node, to: Rebuild): Node {
    if (this.#differs(old, to)) return to.one(old);
    const shape = { type: old.type, lanes: 2 * old.lanes };
    if (old.op === "const") return constant(to.scope, old.type, shape.lanes, old.attr);
    if (old.op === "repeat") return make(to.scope, "repeat", [to.one(old.args[0])], shape);
    return isLanewise(old) && old.args.length ? this.#wide(old, to) : make(to.scope, "repeat", [to.one(old)], shape);
  }

  /** What an old node is in one of the two turns. */
  #ofTurn(old: Node, turn: 0 | 1, to: Rebuild): Node {
    if (!this.#differs(old, to)) return to.one(old);
    const parts = to.parts(old);
    if (parts.length > 1) return parts[turn];
    return make(to.scope, "slice", [parts[0]], { type: old.type, lanes: old.lanes }, turn * old.lanes);
  }

  /** What a turn stores, it stores where it would have; the first turn's before the second's. */
  store(item: Store | Prefetch, to: Rebuild): boolean {
    if (!this.#inside) return false;
    for (const turn of [0, 1] as const) {
      const at = { address: to.one(item.address), index: this.#ofTurn(item.index, turn, to), offset: item.offset };
      if (item.kind === "store") to.scope.items.push({ kind: "store", ...at, value: this.#ofTurn(item.value, turn, to) });
      else to.scope.items.push({ kind: "prefetch", ...at });
    }
    return true;
  }

  /** Carried values are taken to differ. */
  carry(loop: Loop, i: number, to: Rebuild): CarryForm | undefined {
    if (!this.#inside) return undefined;
    const [carry, result, next] = [loop.carries[i], loop.results[i], loop.next[i]];
    return {
      init: this.#joined(loop.init[i], to),
      begin: node => to.set(carry, [node]),
      range: { carry: carry.range, result: result.range },
      next: () => this.#joined(next, to),
      end: node => to.set(result, [node]),
    };
  }
}
