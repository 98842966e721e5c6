/**
 * Sums of exact byte dots in the narrowest lanes that provably hold them. `dot4(w, x) + dot4(v, y) + ...` in i32 becomes pair products
 * added in i16 and widened once per group, wherever the value ranges show that no 16-bit lane can overflow. A number of 16 bits
 * that multiplies such a sum does so while it is widened. Targets whose machine sums four bytes into 32 bits in one instruction do not run this
 * pass.
 */
import { constant, hasNode, make, nodesOf } from "../ir/build.ts";
import type { Kernel, Loop, Node } from "../ir/node.ts";
import { elems, type Range } from "../ir/types.ts";
import { type CarryForm, type Rebuild, rebuild } from "./rebuild.ts";
import { countUses } from "./uses.ts";

/** An i32 sum that is still kept as 16-bit pair sums, plus what has already been widened. */
interface Pending {
  readonly pairs: Node;
  readonly rest: Node | undefined;
  /** What both are multiplied with at the end: an old node. In `rest` it is in already. */
  readonly factor?: Node;
}

const fits = (min: number, max: number): boolean => min >= elems.i16.min && max <= elems.i16.max;

export function narrowDots(kernel: Kernel): Kernel {
  if (!hasNode(kernel.body, n => n.op === "dot4")) return kernel;
  const uses = countUses(kernel.body);
  const sums = new NarrowSums(uses, factorsOf(kernel, uses));
  return rebuild(kernel, {
    visit: (node, to) => sums.visit(node, to),
    carry: (loop, i, to) => sums.carry(loop, i, to),
    finish: (node, to) => sums.widen(sums.pending.get(node.id)!, to),
  });
}

class NarrowSums {
  /** By the id of the old node: sums that nothing has asked for in 32 bits yet. */
  readonly pending = new Map<number, Pending>();
  readonly #uses: ReadonlyMap<Node, number>;
  readonly #factors: ReadonlyMap<Node, Node>;

  /** `factors`: what the sum that a dot is part of is multiplied with. */
  constructor(uses: ReadonlyMap<Node, number>, factors: ReadonlyMap<Node, Node>) {
    this.#uses = uses;
    this.#factors = factors;
  }

  widen({ pairs, rest, factor }: Pending, to: Rebuild): Node {
    const by = factor ? twice(to.one(factor), to) : constant(to.scope, "i16", pairs.lanes, 1);
    const wide = make(to.scope, "dot2", [pairs, by]);
    return rest ? make(to.scope, "add", [rest, wide]) : wide;
  }

  visit(node: Node, to: Rebuild): Node[] | undefined {
    if (node.op === "dot4") {
      const [w, x] = node.args.map(to.one);
      const products = corners(w, x);
      if (!fits(2 * Math.min(...products), 2 * Math.max(...products))) return undefined;
      return this.#keep(node, { pairs: make(to.scope, "dot2", [w, x]), rest: undefined, factor: this.#factors.get(node) });
    }
    if (node.op === "mul") return this.#product(node, to);
    if (node.op !== "add") return undefined;
    const [a, b] = node.args.map(n => this.pending.get(n.id));
    if (a && b) return this.#keep(node, this.#join(a, b, to));
    if (!a && !b) return undefined;
    const { pairs, rest, factor } = a ?? b!;
    const other = to.one(node.args[a ? 1 : 0]);
    return this.#keep(node, { pairs, rest: rest ? make(to.scope, "add", [rest, other]) : other, factor });
  }

  #product(node: Node, to: Rebuild): Node[] | undefined {
    for (const [sum, factor] of [node.args, node.args.toReversed()]) {
      const found = this.pending.get(sum.id);
      if (found?.factor && found.factor === factor) return [this.widen(found, to)];
      if (found && !found.factor && !found.rest && isFactor(factor) && !isWidest(found.pairs))
        return [this.widen({ ...found, factor }, to)];
    }
    return undefined;
  }

  /** A sum that a loop of known length carries stays narrow throughout, if all its turns together fit. */
  carry(loop: Loop, i: number, to: Rebuild): CarryForm | undefined {
    const turn = turnRange(loop, i, this.#uses);
    if (!turn) return undefined;
    const before = this.pending.get(loop.init[i].id);
    const start: Range = before?.pairs.range ?? { min: 0, max: 0 };
    const turns = loop.to.attr - loop.from.attr;
    const after = (n: number): Range => ({ min: start.min + n * Math.min(0, turn.min), max: start.max + n * Math.max(0, turn.max) });
    const range = { carry: after(Math.max(0, turns - 1)), result: after(Math.max(0, turns)) };
    if (!fits(range.result.min, range.result.max)) return undefined;
    const rest = before ? before.rest : isZero(loop.init[i]) ? undefined : to.one(loop.init[i]);
    const announce = (old: Node, pairs: Node, more: Node | undefined): void => to.set(old, this.#keep(old, { pairs, rest: more }));
    return {
      init: before?.pairs ?? constant(to.scope, "i16", 2 * loop.carries[i].lanes, 0),
      range,
      begin: node => announce(loop.carries[i], node, undefined),
      next: () => this.pending.get(loop.next[i].id)!.pairs,
      end: node => announce(loop.results[i], node, rest),
    };
  }

  #keep(node: Node, p: Pending): Node[] {
    this.pending.set(node.id, p);
    return [];
  }

  #join(a: Pending, b: Pending, to: Rebuild): Pending {
    const rests = [a.rest, b.rest].filter(n => n !== undefined);
    const rest = rests.length === 2 ? make(to.scope, "add", rests) : rests[0];
    const [p, q] = [a.pairs.range, b.pairs.range];
    const { factor } = a;
    if (fits(p.min + q.min, p.max + q.max)) return { pairs: make(to.scope, "add", [a.pairs, b.pairs]), rest, factor };
    return { pairs: b.pairs, rest: this.widen({ pairs: a.pairs, rest, factor }, to), factor };
  }
}

const isFactor = (n: Node): boolean => n.type === "i32" && fits(n.range.min, n.range.max);
/** The one number whose products could pass 32 bits. */
const isWidest = (pairs: Node): boolean => pairs.range.min === elems.i16.min;

/** The same number in both halves of each lane. */
function twice(n: Node, to: Rebuild): Node {
  const low = n.range.min >= 0 ? n : make(to.scope, "and", [n, constant(to.scope, "i32", n.lanes, 0xffff)]);
  const high = make(to.scope, "shl", [n], undefined, 16);
  return make(to.scope, "as", [make(to.scope, "or", [low, high])], { type: "i16", lanes: 2 * n.lanes });
}

/** For each dot of a sum that nothing but one product looks at: the other factor, if it is there before the dots are. */
function factorsOf(kernel: Kernel, uses: ReadonlyMap<Node, number>): ReadonlyMap<Node, Node> {
  const factors = new Map<Node, Node>();
  const dotsOf = (n: Node): Node[] | undefined => {
    if (uses.get(n) !== 1) return undefined;
    if (n.op === "dot4") return [n];
    const parts = n.op === "add" ? n.args.map(dotsOf) : [];
    return parts.length && parts.every(p => p !== undefined) ? parts.flat() : undefined;
  };
  for (const node of nodesOf(kernel.body)) {
    if (node.op !== "mul") continue;
    for (const [sum, factor] of [node.args, node.args.toReversed()]) {
      const dots = isFactor(factor) ? dotsOf(sum) : undefined;
      if (dots?.every(d => factor.id < d.id && factor.scope.depth <= d.scope.depth)) for (const d of dots) factors.set(d, factor);
    }
  }
  return factors;
}

const isZero = (n: Node): boolean => n.op === "const" && n.attr === 0;

/**
 * What one turn adds to carried value `i`, if it is a sum of byte dots and nothing else looks at it: the interval of a 16-bit lane. Needs a loop
 * whose length is known.
 */
function turnRange(loop: Loop, i: number, uses: ReadonlyMap<Node, number>): Range | undefined {
  const carry = loop.carries[i];
  if (carry.type !== "i32" || loop.from.op !== "const" || loop.to.op !== "const" || uses.get(carry) !== 1) return undefined;
  const sum = { min: 0, max: 0 };
  let carries = 0;
  const add = (n: Node): boolean => {
    if (n === carry) return ++carries === 1;
    if (uses.get(n) !== 1) return false;
    if (n.op === "add") return n.args.every(add);
    if (n.op !== "dot4") return false;
    const products = corners(n.args[0], n.args[1]);
    sum.min += 2 * Math.min(...products);
    sum.max += 2 * Math.max(...products);
    return true;
  };
  return add(loop.next[i]) && carries === 1 && fits(sum.min, sum.max) ? sum : undefined;
}

const corners = ({ range: w }: Node, { range: x }: Node): number[] => [w.min * x.min, w.min * x.max, w.max * x.min, w.max * x.max];
