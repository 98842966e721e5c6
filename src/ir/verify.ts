/**
 * Checks what every kernel must satisfy, traced or lowered: definitions before uses and inside their scopes, the type rules of ops.ts, loops
 * whose carried values keep their types, memory used as the slots say, ranges within types. Independent of build.ts on purpose: tests run it
 * after every pass, so that a pass that breaks a rule is found where it happened.
 */
import { LatheError } from "../errors.ts";
import { isAddress, slotOf } from "./build.ts";
import type { Kernel, Loop, Node, Prefetch, Scope, Slot, SlotKind, Store } from "./node.ts";
import { ops } from "./ops.ts";
import { namesOf, printNode } from "./print.ts";
import { elems } from "./types.ts";

const leaves = new Set(["const", "param", "address", "index", "carry", "result"]);
const maxOffset = 2 ** 31 - 1;

const shapeName = (n: { type: string; lanes: number }): string => `${n.type}x${n.lanes}`;
const sameShape = (a: Node, b: Node): boolean => a.type === b.type && a.lanes === b.lanes;
const isIndex = (n: Node): boolean => n.type === "i32" && n.lanes === 1;

class Verifier {
  readonly #kernel: Kernel;
  readonly #name: (n: Node) => string;
  /** Nodes that can be used at this point. */
  readonly #visible = new Set<Node>();
  /** Leaves that a loop has announced and whose definition is still to come. */
  readonly #announced = new Set<Node>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#name = namesOf(kernel);
  }

  #fail(what: string, rule: string, node?: Node): never {
    const message = `Kernel ${this.#kernel.name} is not valid: ${what}: ${rule}`;
    throw new LatheError("kernel.invalid", message, { kernel: this.#kernel.name, node: node && this.#name(node), what, rule });
  }
  #bad(node: Node, rule: string): never {
    return this.#fail(printNode(node, this.#kernel.slots, this.#name), rule, node);
  }

  run(): void {
    const { body, begin, end, slots } = this.#kernel;
    const names = slots.map(s => s.name);
    const twice = names.find((n, i) => names.indexOf(n) < i);
    if (twice !== undefined) this.#fail(`slot ${twice}`, "two slots have one name");
    this.#scope(body);
    for (const [node, attr] of [
      [begin, -2],
      [end, -1],
    ] as const) {
      if (node.op !== "param" || node.attr !== attr || node.scope !== body)
        this.#bad(node, "begin and end are parameters -2 and -1 of the body");
    }
    for (const node of this.#announced) this.#bad(node, "announced by a loop and defined nowhere");
  }

  #scope(scope: Scope): void {
    const mine: Node[] = [];
    for (const item of scope.items) {
      if (item.kind === "store") this.#store(item);
      else if (item.kind === "prefetch") this.#prefetch(item);
      else if (item.kind === "loop") this.#loop(item, scope);
      else {
        const { node } = item;
        if (this.#visible.has(node)) this.#bad(node, "defined twice");
        if (node.scope !== scope) this.#bad(node, "stands in a scope that is not its own");
        this.#node(node);
        this.#visible.add(node);
        mine.push(node);
      }
    }
    this.#closing.get(scope)?.();
    for (const n of mine) this.#visible.delete(n);
  }
  /** What is checked at the end of a scope, while its nodes are still visible. */
  readonly #closing = new Map<Scope, () => void>();

  #use(node: Node, where: string): void {
    if (!this.#visible.has(node))
      this.#fail(where, `${this.#name(node)} (${node.op}) is used before it is defined or outside its scope`, node);
  }

  #node(node: Node): void {
    const info = ops.get(node.op);
    if (!info) this.#bad(node, `no operation ${node.op}`);
    for (const a of node.args) {
      if (!this.#visible.has(a)) this.#use(a, printNode(node, this.#kernel.slots, this.#name));
      if (isAddress(a) && !((node.op === "load" || node.op === "offset") && a === node.args[0]))
        this.#bad(node, "an address is only for loads and stores");
    }
    const { lanes } = node;
    if (!Number.isInteger(lanes) || lanes < 1 || lanes & (lanes - 1)) this.#bad(node, "lanes are a power of two");
    if (leaves.has(node.op)) this.#leaf(node);
    else if (node.op === "load") this.#load(node);
    else this.#operation(node);
    this.#range(node);
  }

  #operation(node: Node): void {
    let shape: { type: string; lanes: number };
    try {
      shape = ops.get(node.op)!.shape(node.args, node, node.attr);
    } catch (e) {
      this.#bad(node, (e as Error).message);
    }
    if (shape.type !== node.type || shape.lanes !== node.lanes) this.#bad(node, `the type rule gives ${shapeName(shape)}`);
    const [first, second] = node.args;
    if (node.op === "select" && (first.range.min < -1 || first.range.max > 0)) this.#bad(node, "a mask has the range -1 .. 0");
    if (node.op === "table" && node.args.some(a => a.op !== "const")) this.#bad(node, "a table is made of constants");
    if (node.op === "quotient") {
      if (first.range.min < 0 || second.range.min < 0) this.#bad(node, "operands of quotient are not negative");
      // Machines trap on it, and a division may be moved out of a loop that does not run.
      if (second.range.min === 0) this.#bad(node, "the divisor is not 0: show it with max(1)");
    }
  }

  #leaf(node: Node): void {
    if (node.args.length) this.#bad(node, `${node.op} has no operands`);
    const { type, attr } = node;
    if (node.op === "const" && !Object.is(elems[type].wrap(attr), attr)) this.#bad(node, `${attr} is not a value of ${type}`);
    if (node.op === "param") this.#param(node);
    if (node.op === "address") {
      this.#slot(node, ["in", "out"]);
      if (!isIndex(node)) this.#bad(node, "an address is written as an i32 scalar");
    }
    if (["index", "carry", "result"].includes(node.op) && !this.#announced.delete(node)) this.#bad(node, "belongs to no loop here");
  }

  #param(node: Node): void {
    if (node.attr === -2 || node.attr === -1) {
      if (!isIndex(node)) this.#bad(node, "begin and end are i32 scalars");
      return;
    }
    const kind = this.#slot(node, ["size", "scalar"]);
    if (node.lanes !== 1 || node.type !== (kind === "size" ? "i32" : "f32"))
      this.#bad(node, `a ${kind} is one ${kind === "size" ? "i32" : "f32"}`);
  }

  #slot(node: Node, kinds: readonly SlotKind[]): SlotKind {
    const slot = this.#kernel.slots[node.attr];
    if (!slot) this.#bad(node, `there is no slot ${node.attr}`);
    if (!kinds.includes(slot.kind)) this.#bad(node, `slot ${slot.name} is of kind ${slot.kind}, not ${kinds.join(" or ")}`);
    return slot.kind;
  }

  #load(node: Node): void {
    const [address, index] = node.args;
    if (node.args.length !== 2 || !isAddress(address)) this.#bad(node, "a load has an address and an index");
    if (!isIndex(index)) this.#bad(node, "the index is an i32 scalar");
    if (!Number.isInteger(node.attr) || node.attr < 0 || node.attr > maxOffset)
      this.#bad(node, "the offset is an integer within 0 .. 2^31 - 1");
  }

  #store(item: Store): void {
    const where = `store of ${this.#name(item.value)} (${shapeName(item.value)})`;
    this.#use(item.value, where);
    const slot = this.#place(item, where, item.value);
    if (slot.kind !== "out") this.#fail(where, `slot ${slot.name} is only read`, item.value);
    if (isAddress(item.value)) this.#fail(where, "an address is only for loads and stores", item.value);
  }

  #prefetch(item: Prefetch): void {
    this.#place(item, "prefetch", item.index);
  }

  /** Checks where a statement goes; gives the slot. */
  #place(item: Store | Prefetch, where: string, node: Node): Slot {
    for (const n of [item.address, item.index]) this.#use(n, where);
    const slot = isAddress(item.address) ? this.#kernel.slots[slotOf(item.address)] : undefined;
    if (!slot) this.#fail(where, `a ${item.kind} has the address of a slot`, node);
    if (!isIndex(item.index)) this.#fail(where, "the index is an i32 scalar", node);
    const ok = Number.isInteger(item.offset) && item.offset >= 0 && item.offset <= maxOffset;
    if (!ok) this.#fail(where, "the offset is an integer within 0 .. 2^31 - 1", node);
    return slot;
  }

  #loop(loop: Loop, scope: Scope): void {
    const where = `loop ${this.#name(loop.index)}`;
    for (const n of [loop.from, loop.to, ...loop.init]) this.#use(n, where);
    if (![loop.from, loop.to, loop.index].every(isIndex)) this.#fail(where, "bounds and counter are i32 scalars", loop.index);
    if (loop.body.parent !== scope || loop.body.depth !== scope.depth + 1)
      this.#fail(where, "the body's parent is the scope around it", loop.index);
    if (loop.index.op !== "index") this.#fail(where, "the counter is an index", loop.index);
    const n = loop.carries.length;
    const lists = [loop.init, loop.next, loop.results];
    if (lists.some(l => l.length !== n)) this.#fail(where, "as many initial, carried, next and resulting values", loop.index);
    loop.carries.forEach((c, i) => {
      if (c.op !== "carry" || loop.results[i].op !== "result") this.#fail(where, "carried values are carry and result nodes", c);
      for (const list of lists) {
        if (!sameShape(c, list[i])) this.#fail(where, `carried value ${i} is ${shapeName(c)} and becomes ${shapeName(list[i])}`, c);
      }
    });
    for (const leaf of [loop.index, ...loop.carries]) this.#announced.add(leaf);
    this.#closing.set(loop.body, () => {
      for (const next of loop.next) this.#use(next, where);
      const missing = [loop.index, ...loop.carries].find(leaf => this.#announced.has(leaf));
      if (missing) this.#fail(where, "counter and carried values are defined in the body", missing);
    });
    this.#scope(loop.body);
    for (const r of loop.results) this.#announced.add(r);
  }

  #range(node: Node): void {
    const { min, max } = node.range;
    const whole = elems[node.type];
    if (!(min <= max)) this.#bad(node, `the range ${min} .. ${max} is empty`);
    if (min < whole.min || max > whole.max) this.#bad(node, `the range ${min} .. ${max} is not within ${node.type}`);
  }
}

/** Throws `kernel.invalid`, naming the node and the rule, where a kernel breaks one. */
export function verify(kernel: Kernel): void {
  new Verifier(kernel).run();
}
