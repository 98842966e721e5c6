/**
 * Makes nodes: type and range rules, constant folding, the simplification table, hash-consing, and the choice of the scope in which a node
 * lives. Knows nothing of the author's syntax (trace.ts) or of loops beyond their scopes.
 */
import type { Item, Node, Scope } from "./node.ts";
import { type OpInfo, ops, type Shape } from "./ops.ts";
import { type Elem, elems, fullRange, type Range } from "./types.ts";

export const newScope = (parent: Scope | undefined): Scope => ({
  depth: parent ? parent.depth + 1 : 0,
  parent,
  items: [],
  seen: new Map(),
});

let nextId = 0;

/** Whether code in `scope` can use what lives in `home`. */
const sees = (scope: Scope, home: Scope): boolean =>
  scope === home || (scope.depth > home.depth && !!scope.parent && sees(scope.parent, home));
function checkVisible(scope: Scope, nodes: readonly Node[]): void {
  for (const n of nodes) {
    if (!sees(scope, n.scope))
      throw new TypeError(`${n.op} ${n.type}x${n.lanes} is used outside its loop or its kernel; carry it out with fold`);
  }
}
function rootOf(scope: Scope): Scope {
  let s = scope;
  while (s.parent) s = s.parent;
  return s;
}
function deepest(args: readonly Node[], scope: Scope): Scope {
  if (!args.length) return rootOf(scope);
  let found = args[0].scope;
  for (let i = 1; i < args.length; i++) if (args[i].scope.depth > found.depth) found = args[i].scope;
  return found;
}

/** Whether a node stands for a place in memory. */
export const isAddress = (n: Node): boolean => n.op === "address" || n.op === "offset";
/** The slot in which an address lies. */
export const slotOf = (n: Node): number => (n.op === "offset" ? slotOf(n.args[0]) : n.attr);

/** `bytes` further on than an address. */
export const offset = (scope: Scope, address: Node, bytes: Node): Node =>
  shared(deepest([address, bytes], scope), "offset", address, [address, bytes], 0, address.range);

/** A node without rules: parameters, counters, carried values, loads. Never shared. */
export function leaf(
  scope: Scope,
  op: string,
  shape: Shape,
  attr = 0,
  range: Range = fullRange(shape.type),
  args: readonly Node[] = [],
): Node {
  const { lanes } = shape;
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > 128 || lanes & (lanes - 1))
    throw new TypeError(`${lanes} lanes: must be a power of two up to 128`);
  const node: Node = { id: nextId++, op, type: shape.type, lanes: shape.lanes, args, attr, range, scope };
  scope.items.push({ kind: "node", node });
  return node;
}

const numbers = new Map([...ops.keys()].map((op, i) => [op, i + 1] as const));
const float = new Float64Array(1);
const words = new Int32Array(float.buffer);
const mixed = (h: number, x: number): number => {
  const m = Math.imul(h ^ x, 0x9e3779b1);
  return m ^ (m >>> 15);
};

/** A number for what a node is; others may have the same. */
function digest(op: string, lanes: number, args: readonly Node[], attr: number): number {
  float[0] = attr;
  let h = mixed(mixed(mixed(numbers.get(op)!, lanes), words[0]), words[1]);
  for (let i = 0; i < args.length; i++) h = mixed(h, args[i].id);
  return h;
}

function isSame(n: Node, op: string, { type, lanes }: Shape, args: readonly Node[], attr: number): boolean {
  if (n.op !== op || n.type !== type || n.lanes !== lanes || n.args.length !== args.length || !Object.is(n.attr, attr)) return false;
  for (let i = 0; i < args.length; i++) if (n.args[i] !== args[i]) return false;
  return true;
}

function shared(scope: Scope, op: string, shape: Shape, args: readonly Node[], attr: number, range: Range): Node {
  let key = digest(op, shape.lanes, args, attr);
  for (let n = scope.seen.get(key); n; n = scope.seen.get(key)) {
    if (isSame(n, op, shape, args, attr)) return n;
    key = (key + 1) | 0;
  }
  const node = leaf(scope, op, shape, attr, range, args);
  scope.seen.set(key, node);
  return node;
}

/** A constant in every lane, brought into the type. */
export function constant(scope: Scope, type: Elem, lanes: number, value: number): Node {
  const v = elems[type].wrap(value);
  return shared(rootOf(scope), "const", { type, lanes }, [], v, Number.isNaN(v) ? fullRange(type) : { min: v, max: v });
}

/** A load of read-only memory is shared inside its scope and never moved out of a loop; `exact` is a promise about the data. */
export function load(scope: Scope, shape: Shape, address: Node, index: Node, offset: number, pure: boolean, range: Range): Node {
  checkVisible(scope, [address, index]);
  if (!pure) return leaf(scope, "load", shape, offset, range, [address, index]);
  const args = [address, index];
  const key = digest("load", shape.lanes, args, offset);
  for (let s = scope.parent; s; s = s.parent) {
    for (let [k, n] = [key, s.seen.get(key)]; n; n = s.seen.get(k)) {
      if (isSame(n, "load", shape, args, offset)) return n;
      k = (k + 1) | 0;
    }
  }
  return shared(scope, "load", shape, args, offset, range);
}

interface Rule {
  readonly op: string;
  /** The simpler node, or nothing where the rule does not apply. Integer rules only unless the result is exact for floats as well. */
  readonly apply: (a: Node, b: Node, scope: Scope, shape: Shape, attr: number, c: Node) => Node | undefined;
}

const isConst = (n: Node, value?: number): boolean => n.op === "const" && (value === undefined || n.attr === value);
const is32 = (n: Node): boolean => n.type === "i32" || n.type === "u32";
const isInt = (n: Node): boolean => !elems[n.type].float;

const rules: readonly Rule[] = [
  { op: "add", apply: (a, b) => (isInt(a) && isConst(b, 0) ? a : undefined) },
  { op: "add", apply: (a, b, s) => (isInt(a) && isConst(a) && !isConst(b) ? make(s, "add", [b, a]) : undefined) },
  {
    op: "add", // (x + c) + d = x + (c + d)
    apply: (a, b, s) =>
      isInt(a) && isConst(b) && a.op === "add" && isConst(a.args[1])
        ? make(s, "add", [a.args[0], constant(s, a.type, a.lanes, a.args[1].attr + b.attr)])
        : undefined,
  },
  {
    op: "add", // (x + c) + y = (x + y) + c for scalars: constants come outermost, where loads and stores take them into the instruction
    apply: (a, b, s) =>
      isInt(a) && a.lanes === 1 && a.op === "add" && isConst(a.args[1]) && !isConst(b)
        ? make(s, "add", [make(s, "add", [a.args[0], b]), a.args[1]])
        : undefined,
  },
  {
    op: "add",
    apply: (a, b, s) =>
      isInt(a) && a.lanes === 1 && b.op === "add" && isConst(b.args[1])
        ? make(s, "add", [make(s, "add", [a, b.args[0]]), b.args[1]])
        : undefined,
  },
  { op: "sub", apply: (a, b) => (isInt(a) && isConst(b, 0) ? a : undefined) },
  { op: "mul", apply: (a, b, s) => (isConst(a) && !isConst(b) ? make(s, "mul", [b, a]) : undefined) },
  { op: "mul", apply: (a, b) => (isConst(b, 1) ? a : undefined) },
  { op: "mul", apply: (a, b) => (isInt(a) && isConst(b, 0) ? b : undefined) },
  {
    op: "mul", // scalar products with a power of two are shifts
    apply: (a, b, s) => {
      const power = isConst(b) && a.lanes === 1 && isInt(a) ? Math.log2(b.attr) : 0.5;
      return Number.isInteger(power) && power > 0 ? make(s, "shl", [a], undefined, power) : undefined;
    },
  },
  { op: "abs", apply: a => (isInt(a) && a.range.min >= 0 ? a : undefined) },
  { op: "shl", apply: (a, _b, _scope, _shape, attr) => (attr === 0 ? a : undefined) },
  {
    op: "shl", // (x << c) << d = x << (c + d) for scalars
    apply: (a, _b, s, _shape, attr) =>
      a.lanes === 1 && a.op === "shl" && a.attr + attr < 32 && is32(a) ? make(s, "shl", [a.args[0]], undefined, a.attr + attr) : undefined,
  },
  {
    op: "shl", // (x + c) << d = (x << d) + (c << d) for scalars: the constant may end in an instruction
    apply: (a, _b, s, _shape, attr) =>
      a.lanes === 1 && a.op === "add" && isConst(a.args[1]) && is32(a)
        ? make(s, "add", [make(s, "shl", [a.args[0]], undefined, attr), constant(s, a.type, 1, a.args[1].attr << attr)])
        : undefined,
  },
  { op: "shr", apply: (a, _b, _scope, _shape, attr) => (attr === 0 ? a : undefined) },
  {
    op: "and",
    apply: (a, b) => (isConst(b) && a.range.min >= 0 && b.attr >= a.range.max && ((b.attr + 1) & b.attr) === 0 ? a : undefined),
  },
  { op: "convert", apply: (a, _b, _scope, shape) => (a.type === shape.type ? a : undefined) },
  { op: "as", apply: (a, _b, _scope, shape) => (a.type === shape.type && a.lanes === shape.lanes ? a : undefined) },
  { op: "as", apply: (a, _b, s, shape) => (a.op === "as" ? make(s, "as", [a.args[0]], shape) : undefined) },
  { op: "repeat", apply: (a, _b, s, shape) => (isConst(a) ? constant(s, a.type, shape.lanes, a.attr) : undefined) },
  { op: "repeat", apply: (a, _b, _scope, shape) => (a.lanes === shape.lanes ? a : undefined) },
  { op: "slice", apply: (a, _b, _scope, shape) => (a.lanes === shape.lanes ? a : undefined) },
  { op: "select", apply: (_, a, _scope, _shape, _attr, b) => (a === b ? a : undefined) },
];

const byOp = new Map<string, Rule[]>();
for (const rule of rules) byOp.set(rule.op, [...(byOp.get(rule.op) ?? []), rule]);

/** Folds an operation on constants by its meaning, where the result has the same value in every lane. */
function fold(scope: Scope, op: string, shape: Shape, args: readonly Node[], attr: number): Node | undefined {
  if (!args.length || op === "mulAdd") return undefined;
  for (const a of args) if (a.op !== "const") return undefined;
  const { meaning } = ops.get(op)!;
  const probe = { op, ...shape, args, attr, id: -1, range: fullRange(shape.type), scope } satisfies Node;
  const values = meaning(
    args.map(a => new Array<number>(a.lanes).fill(a.attr)),
    probe,
    false,
  ).map(elems[shape.type].wrap);
  return values.every(v => Object.is(v, values[0])) ? constant(scope, shape.type, shape.lanes, values[0]) : undefined;
}

/** The node for an operation: simplified, folded, or shared with an equal one. Throws a TypeError at the author's line if operands do not fit. */
export function make(scope: Scope, op: string, args: readonly Node[], to?: Shape, attr = 0): Node {
  const record = ops.get(op);
  if (!record) throw new TypeError(`no operation ${op}`);
  checkVisible(scope, args);
  let shape: Shape;
  try {
    shape = record.shape(args, to, attr);
  } catch (e) {
    throw new TypeError(`${op}: ${(e as Error).message}`);
  }
  const simplify = byOp.get(op);
  if (simplify) {
    for (const rule of simplify) {
      const simpler = rule.apply(args[0], args[1], scope, shape, attr, args[2]);
      if (simpler) return simpler;
    }
  }
  const folded = fold(scope, op, shape, args, attr);
  if (folded) return folded;
  return shared(deepest(args, scope), op, shape, args, attr, rangeOf(record, shape, args, attr));
}

/** The whole type where the operation says nothing or may wrap. Of floats it covers the values that are numbers, rounded as they are. */
function rangeOf(record: OpInfo, to: Shape, args: readonly Node[], attr: number): Range {
  const whole = fullRange(to.type);
  const found = record.range?.(
    args.map(a => a.range),
    { args, to, attr },
  );
  if (!found || Number.isNaN(found.min) || Number.isNaN(found.max)) return whole;
  if (elems[to.type].float) return { min: Math.fround(found.min), max: Math.fround(found.max) };
  return found.min >= whole.min && found.max <= whole.max ? found : whole;
}

/** A store at the end of the scope. */
export function store(scope: Scope, address: Node, index: Node, offset: number, value: Node): void {
  checkVisible(scope, [address, index, value]);
  scope.items.push({ kind: "store", address, index, offset, value });
}

/** A prefetch at the end of the scope. */
export function prefetch(scope: Scope, address: Node, index: Node, offset: number): void {
  checkVisible(scope, [address, index]);
  scope.items.push({ kind: "prefetch", address, index, offset });
}

/** Every node of the scope and of the loops inside it, in order. */
export function* nodesOf(scope: Scope): Generator<Node> {
  for (const item of scope.items) {
    if (item.kind === "node") yield item.node;
    else if (item.kind === "loop") yield* nodesOf(item.body);
  }
}

/** Whether some node of the scope, or of the loops inside it, is such a one. */
export function hasNode(scope: Scope, such: (node: Node) => boolean): boolean {
  for (const item of scope.items) {
    if (item.kind === "node" ? such(item.node) : item.kind === "loop" && hasNode(item.body, such)) return true;
  }
  return false;
}

export type { Item };
