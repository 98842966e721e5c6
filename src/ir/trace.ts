/**
 * How kernels are written: the author's function is called once with symbolic values, and what it does is recorded. Plain JavaScript `for`,
 * closures and numbers are the macro language. `Val` is a typed view of a node; its lane count is invariant, so mixed widths do not compile.
 */
import { constant, leaf, load, make, newScope, prefetch, store } from "./build.ts";
import type { Kernel, Node, Scope, Slot, SlotKind } from "./node.ts";
import { type Elem, elems, fullRange, maskOf, type Range } from "./types.ts";

type Int = Val<"i32", 1>;
/** A scalar integer expression, or a number known while tracing. */
export type IntLike = Int | number;
type Operand<T extends Elem, L extends number> = Val<T, L> | number;
type Mask<T extends Elem> = T extends "f32" | "i32" | "u32" ? "i32" : T extends "i16" | "u16" ? "i16" : "i8";
// biome-ignore lint/suspicious/noExplicitAny: a list of values of any type and width
export type AnyVal = Val<any, any>;

let current: Scope | undefined;
const here = (): Scope => {
  if (!current) throw new TypeError("kernel values exist only while a kernel is being traced");
  return current;
};

export class Val<T extends Elem, L extends number> {
  readonly node: Node;
  /** Only for the compiler: makes T and L invariant. */
  declare readonly exact: (x: [T, L]) => [T, L];

  constructor(node: Node) {
    this.node = node;
  }

  [Symbol.toPrimitive](): never {
    throw new TypeError("a kernel value has no JavaScript value; write a.add(b), not a + b");
  }

  #operand(x: Operand<T, L>): Node {
    return typeof x === "number" ? constant(here(), this.node.type, this.node.lanes, x) : x.node;
  }
  #binary<R extends Elem = T>(op: string, x: Operand<T, L>): Val<R, L> {
    return new Val(make(here(), op, [this.node, this.#operand(x)]));
  }
  #unary(op: string, attr = 0): Val<T, L> {
    return new Val(make(here(), op, [this.node], undefined, attr));
  }
  #to<R extends Elem, M extends number>(op: string, type: R, lanes: M, attr = 0): Val<R, M> {
    return new Val(make(here(), op, [this.node], { type, lanes }, attr));
  }

  add(x: Operand<T, L>): Val<T, L> {
    return this.#binary("add", x);
  }
  sub(x: Operand<T, L>): Val<T, L> {
    return this.#binary("sub", x);
  }
  mul(x: Operand<T, L>): Val<T, L> {
    return this.#binary("mul", x);
  }
  div(x: Operand<T, L>): Val<T, L> {
    return this.#binary("div", x);
  }
  /** Of i32 scalars that are not negative, rounded down. */
  quotient(x: Operand<T, L>): Val<T, L> {
    return this.#binary("quotient", x);
  }
  min(x: Operand<T, L>): Val<T, L> {
    return this.#binary("min", x);
  }
  max(x: Operand<T, L>): Val<T, L> {
    return this.#binary("max", x);
  }
  and(x: Operand<T, L>): Val<T, L> {
    return this.#binary("and", x);
  }
  or(x: Operand<T, L>): Val<T, L> {
    return this.#binary("or", x);
  }
  xor(x: Operand<T, L>): Val<T, L> {
    return this.#binary("xor", x);
  }
  eq(x: Operand<T, L>): Val<Mask<T>, L> {
    return this.#binary("eq", x);
  }
  lt(x: Operand<T, L>): Val<Mask<T>, L> {
    return this.#binary("lt", x);
  }
  le(x: Operand<T, L>): Val<Mask<T>, L> {
    return this.#binary("le", x);
  }
  neg(): Val<T, L> {
    return this.#unary("neg");
  }
  abs(): Val<T, L> {
    return this.#unary("abs");
  }
  sqrt(): Val<T, L> {
    return this.#unary("sqrt");
  }
  nearest(): Val<T, L> {
    return this.#unary("nearest");
  }
  floor(): Val<T, L> {
    return this.#unary("floor");
  }
  shl(distance: number): Val<T, L> {
    return this.#unary("shl", distance);
  }
  shr(distance: number): Val<T, L> {
    return this.#unary("shr", distance);
  }
  /** this * x + y; rounded once where the target has the instruction. */
  mulAdd(x: Operand<T, L>, y: Operand<T, L>): Val<T, L> {
    return new Val(make(here(), "mulAdd", [this.node, this.#operand(x), this.#operand(y)]));
  }
  /** Of a mask: `a` where set, `b` where not. */
  select<R extends Elem>(a: Val<R, L>, b: Val<R, L>): Val<R, L> {
    return new Val(make(here(), "select", [this.node, a.node, b.node]));
  }
  to<R extends Elem>(type: R): Val<R, L> {
    return this.#to("convert", type, this.node.lanes as L);
  }
  saturate<R extends Elem>(type: R): Val<R, L> {
    return this.#to("saturate", type, this.node.lanes as L);
  }
  /** u16 bits into the upper half of a u32. */
  upper(): Val<"u32", L> {
    return new Val(make(here(), "upper", [this.node]));
  }
  /** IEEE half bits to f32; the half must be finite. */
  fromHalf(): Val<"f32", L> {
    return new Val(make(here(), "fromHalf", [this.node]));
  }
  /** The same bits as another type; the lanes follow from the sizes. */
  as<R extends Elem, M extends number>(type: R, lanes: M): Val<R, M> {
    return this.#to("as", type, lanes);
  }
  /** `times` copies one after the other; of a scalar: a splat. */
  repeat<M extends number>(lanes: M): Val<T, M> {
    return this.#to("repeat", this.node.type as T, lanes);
  }
  slice<M extends number>(from: number, lanes: M): Val<T, M> {
    return this.#to("slice", this.node.type as T, lanes, from);
  }
  concat<M extends number>(x: Val<T, L>, _lanes?: M): Val<T, M> {
    return new Val(make(here(), "concat", [this.node, x.node]));
  }
  lookup<M extends number>(index: Val<"u8", M>): Val<T, M> {
    return new Val(make(here(), "lookup", [this.node, index.node]));
  }
  sum(): Val<T, 1> {
    return new Val(make(here(), "sum", [this.node]));
  }
  greatest(): Val<T, 1> {
    return new Val(make(here(), "greatest", [this.node]));
  }
}

/** Pairs of neighbours multiplied and added: bytes to i16, 16-bit to i32. Exact: the range must fit. */
export const dot2 = (w: AnyVal, x: AnyVal): AnyVal => new Val(make(here(), "dot2", [w.node, x.node]));
/** Four neighbouring bytes multiplied and added into i32: `M` is a quarter of the operands' lanes. Exact. */
export const dot4 = <M extends number>(w: AnyVal, x: AnyVal, _lanes?: M): Val<"i32", M> => new Val(make(here(), "dot4", [w.node, x.node]));

export const konst = <T extends Elem, L extends number>(type: T, lanes: L, value: number): Val<T, L> =>
  new Val(constant(here(), type, lanes, value));
export const int = (x: IntLike): Int => (typeof x === "number" ? konst("i32", 1, x) : x);

/** Sixteen bytes 0 .. 255 as a vector: a codebook for `lookup`. */
export function table(bytes: readonly number[]): Val<"u8", 16> {
  const words = Array.from({ length: 4 }, (_, w) => bytes.slice(4 * w, 4 * w + 4).reduce((word, x, i) => word | (x << (8 * i)), 0));
  const args = words.map(w => constant(here(), "i32", 1, w));
  return new Val(make(here(), "table", args));
}

/** Bytes of a line of the cache. */
export const LINE = 64;

/** Memory that a kernel reads or writes; indices count bytes from the address that the launch gives. */
export class Bytes {
  readonly #address: Node;
  readonly #pure: boolean;
  readonly #ahead: IntLike;

  constructor(address: Node, pure: boolean, ahead: IntLike = 0) {
    this.#address = address;
    this.#pure = pure;
    this.#ahead = ahead;
  }

  /** The same memory, fetched that many bytes ahead of what is said to be read next; 0: not. */
  ahead = (bytes: IntLike = 0): Bytes => new Bytes(this.#address, this.#pure, bytes);

  /** `range` is a promise about what lies there (for example quantised activations of -127 .. 127). */
  load<T extends Elem, L extends number>(type: T, lanes: L, index: IntLike, range: Range = fullRange(type)): Val<T, L> {
    const { base, offset } = split(index);
    return new Val(load(here(), { type, lanes }, this.#address, base, offset, this.#pure, range));
  }

  store(index: IntLike, value: AnyVal): void {
    if (this.#pure) throw new TypeError("this slot is only read; declare it with out()");
    const { base, offset } = split(index);
    store(here(), this.#address, base, offset, value.node);
  }

  /** Says that `bytes` at `index` are read soon. They may lie outside of memory. */
  soon(index: Int, bytes: number): void {
    for (let line = 0; line < bytes; line += LINE) {
      const { base, offset } = split(index.add(line));
      prefetch(here(), this.#address, base, offset);
    }
  }

  /** Says that `bytes` at `index` are read now, one of a row of such stretches: what comes later is fetched. */
  reading(index: Int, bytes: number): void {
    if (this.#ahead !== 0) this.soon(index.add(this.#ahead), bytes);
  }
}

/** Takes a constant part out of an index, so that it can ride in the instruction. */
function split(index: IntLike): { base: Node; offset: number } {
  const { node } = int(index);
  if (node.op === "const" && node.attr >= 0) return { base: constant(here(), "i32", 1, 0), offset: node.attr };
  const constantPart = node.op === "add" && node.args[1].op === "const" && node.args[1].attr >= 0;
  return constantPart ? { base: node.args[0], offset: node.args[1].attr } : { base: node, offset: 0 };
}

/** Runs `body` for from <= i < to. */
export function each(from: IntLike, to: IntLike, body: (i: Int) => void): void {
  loop(from, to, [], i => {
    body(i);
    return [];
  });
}

/** The same for 0 <= i < count, where no turn reads what another writes: a machine may do two at once. */
export function eachApart(count: IntLike, body: (i: Int) => void): void {
  const bodyOnly = (i: Int): [] => {
    body(i);
    return [];
  };
  loop(0, count, [], bodyOnly, true);
}

/** Runs `body` for 0 <= i < count, carrying values; gives the values after the last turn. */
export function fold<const A extends readonly AnyVal[]>(count: IntLike, init: A, body: (i: Int, carried: A) => readonly AnyVal[]): A {
  return loop(0, count, init, (i, carried) => body(i, carried as unknown as A)) as unknown as A;
}

/** Runs `body` where the scalar condition (a mask or a number that is not negative) is not zero. */
export function when(condition: Int, body: () => void): void {
  each(0, condition.eq(0).add(1), body);
}

function loop(
  from: IntLike,
  to: IntLike,
  init: readonly AnyVal[],
  body: (i: Int, carried: AnyVal[]) => readonly AnyVal[],
  apart?: true,
): AnyVal[] {
  const outer = here();
  const scope = newScope(outer);
  const [first, end] = [int(from).node, int(to).node];
  const index = leaf(scope, "index", { type: "i32", lanes: 1 }, 0, {
    min: first.range.min,
    max: Math.max(first.range.min, end.range.max - 1),
  });
  const carries = init.map(v => leaf(scope, "carry", v.node));
  current = scope;
  let next: readonly Node[];
  try {
    next = body(
      new Val(index),
      carries.map(n => new Val(n)),
    ).map(v => v.node);
  } finally {
    current = outer;
  }
  const bad = next.findIndex((n, i) => n.type !== carries[i]?.type || n.lanes !== carries[i].lanes);
  if (next.length !== carries.length || bad >= 0) throw new TypeError(`fold: carried value ${bad} changes its type or is missing`);
  const results: Node[] = [];
  const statement = {
    kind: "loop" as const,
    index,
    from: first,
    to: end,
    init: init.map(v => v.node),
    carries,
    next,
    results,
    body: scope,
    ...(apart && { apart }),
  };
  outer.items.push(statement);
  for (const v of init) results.push(leaf(outer, "result", v.node));
  return results.map(n => new Val(n));
}

/** Declares the slots of a kernel, in the order of its arguments. */
export class Slots {
  readonly list: Slot[] = [];

  #slot(name: string, kind: SlotKind, type: Elem, range?: Range): Node {
    this.list.push({ name, kind });
    const op = kind === "in" || kind === "out" ? "address" : "param";
    return leaf(here(), op, { type, lanes: 1 }, this.list.length - 1, range);
  }
  in = (name: string): Bytes => new Bytes(this.#slot(name, "in", "i32"), true);
  /** Written, and read back in order where the kernel loads from it. */
  out = (name: string): Bytes => new Bytes(this.#slot(name, "out", "i32"), false);
  size = (name: string, max = 2 ** 31 - 1): Int => new Val(this.#slot(name, "size", "i32", { min: 0, max }));
  scalar = (name: string): Val<"f32", 1> => new Val(this.#slot(name, "scalar", "f32"));
}

/** Traces a kernel. `define` declares the slots and returns the body, which is run for each grid unit. */
export function kernel(name: string, define: (slots: Slots) => (unit: Int) => void): Kernel {
  if (current) throw new TypeError("a kernel cannot be traced inside another");
  const body = newScope(undefined);
  current = body;
  try {
    const begin = leaf(body, "param", { type: "i32", lanes: 1 }, -2, { min: 0, max: 2 ** 31 - 1 });
    const end = leaf(body, "param", { type: "i32", lanes: 1 }, -1, { min: 0, max: 2 ** 31 - 1 });
    const slots = new Slots();
    const unit = define(slots);
    each(new Val(begin), new Val(end), unit);
    return { name, slots: slots.list, begin, end, body };
  } finally {
    current = undefined;
  }
}

export { elems, maskOf };
