/**
 * Cuts values into parts of the machine's vector width. Kernels use the width of the data (8 rows, 32 inputs); here each value becomes
 * parts of `width` bytes, lowest lanes first. What may stay odd afterwards, as patterns for instruction selection: short vectors that are
 * loaded and at once repeated or widened, `slice` of half a register under a widening, `concat` of two registers under a `saturate`.
 */
import { make, slotOf } from "../ir/build.ts";
import type { Kernel, Node } from "../ir/node.ts";
import { type Elem, elems } from "../ir/types.ts";
import { type Rebuild, rebuild } from "./rebuild.ts";

type Parts = readonly Node[];
type Handler = (cut: Cutter, node: Node, source: Parts) => Parts;

const wider: Partial<Record<Elem, Elem>> = { i8: "i16", u8: "u16" };
const narrower: Partial<Record<Elem, Elem>> = { i32: "i16", i16: "i8" };
/** Bytes of the narrowest vector register of any machine. */
const NARROWEST = 16;
const bytes = (n: { type: Elem; lanes: number }): number => n.lanes * elems[n.type].size;

/** What every handler needs: the machine's width and the kernel being made. */
class Cutter {
  readonly to: Rebuild;
  readonly width: number;
  readonly #kernel: Kernel;

  constructor(to: Rebuild, width: number, kernel: Kernel) {
    this.to = to;
    this.width = width;
    this.#kernel = kernel;
  }

  readOnly = (load: Node): boolean => this.#kernel.slots[slotOf(load.args[0])].kind === "in";

  count = (n: Node): number => Math.max(1, bytes(n) / this.width);
  fullLanes = (type: Elem): number => this.width / elems[type].size;
  make = (op: string, args: Parts, shape?: { type: Elem; lanes: number }, attr = 0): Node => make(this.to.scope, op, args, shape, attr);

  /** Part j of a widening takes the j-th stretch of `lanes` source lanes. */
  stretch(source: Parts, lanes: number, j: number): Node {
    const perPart = source[0].lanes;
    const first = j * lanes;
    return this.make("slice", [source[Math.floor(first / perPart)]], { type: source[0].type, lanes }, first % perPart);
  }

  /** One doubling of the element size (convert, upper, fromHalf). */
  widen(op: string, source: Parts, type: Elem): Parts {
    const total = source.length * source[0].lanes;
    const lanes = Math.min(total, this.fullLanes(type));
    return Array.from({ length: total / lanes }, (_, j) => this.make(op, [this.stretch(source, lanes, j)], { type, lanes }));
  }
}

/** A load that is widened at once is loaded in the stretches that the parts need: machines widen while they load. */
const widenedLoad: Handler = (cut, node) => {
  const [source] = node.args;
  const lanes = Math.min(node.lanes, cut.fullLanes(node.type));
  return Array.from({ length: node.lanes / lanes }, (_, j) => {
    const part = cut.to.copy({ ...source, lanes, attr: source.attr + j * lanes * elems[source.type].size });
    return cut.make("convert", [part], { type: node.type, lanes });
  });
};

const convert: Handler = (cut, node, source) => {
  const [from, into] = [source[0].type, node.type];
  const [of] = node.args;
  if (node.lanes > 1 && of.op === "load" && elems[into].size === 2 * elems[of.type].size && cut.readOnly(of))
    return widenedLoad(cut, node, source);
  if (node.lanes === 1) return [cut.make("convert", source, node)];
  if (elems[from].size === elems[into].size) return source.map(p => cut.make("convert", [p], { type: into, lanes: p.lanes }));
  if (elems[into].size === 2 * elems[from].size) return cut.widen("convert", source, into);
  return convert(cut, node, cut.widen("convert", source, wider[from]!));
};

const saturate: Handler = (cut, node, source) => {
  if (node.lanes === 1) return [cut.make("saturate", source, node)];
  const from = source[0].type;
  const into = elems[from].size === 2 * elems[node.type].size ? node.type : narrower[from]!;
  // A single register is narrowed into half of one, by machines that can.
  const whole = source.length === 1 ? source : pairsOf(source).map(([a, b]) => cut.make("concat", [a, b]));
  const narrow = whole.map(p => cut.make("saturate", [p], { type: into, lanes: p.lanes }));
  return into === node.type ? narrow : saturate(cut, node, narrow);
};

/**
 * Halves are combined until one lane is left, in the order that the meaning prescribes: registers first, then halves of the last one while
 * they fill the narrowest register, then lanes.
 */
const reduce: Handler = (cut, node, source) => {
  const op = node.op === "sum" ? "add" : "max";
  const halve = (values: Parts): Parts => {
    const half = values.length / 2;
    return values.slice(0, half).map((v, i) => cut.make(op, [v, values[i + half]]));
  };
  const pieces = (v: Node, lanes: number): Parts =>
    Array.from({ length: v.lanes / lanes }, (_, i) => cut.make("slice", [v], { type: node.type, lanes }, i * lanes));
  let parts = source;
  while (parts.length > 1) parts = halve(parts);
  while (bytes(parts[0]) > NARROWEST) parts = halve(pieces(parts[0], parts[0].lanes / 2));
  let lanes = pieces(parts[0], 1);
  while (lanes.length > 1) lanes = halve(lanes);
  return lanes;
};

const slice: Handler = (cut, node, source) => {
  const perPart = source[0].lanes;
  if (cut.count(node) > 1 || node.lanes === perPart) return source.slice(node.attr / perPart, (node.attr + node.lanes) / perPart);
  return [cut.stretch(source, node.lanes, node.attr / node.lanes)];
};

const repeat: Handler = (cut, node, source) => {
  const parts = cut.count(node);
  if (source.length > 1 || bytes(source[0]) === cut.width) return Array.from({ length: parts }, (_, i) => source[i % source.length]);
  const one = cut.make("repeat", source, { type: node.type, lanes: Math.min(node.lanes, cut.fullLanes(node.type)) });
  return Array.from({ length: parts }, () => one);
};

const split: Handler = (cut, node) => {
  const lanes = Math.min(node.lanes, cut.fullLanes(node.type));
  const place = (i: number): number => (node.op === "load" ? node.attr + i * cut.width : node.attr); // not -0 + 0
  return Array.from({ length: cut.count(node) }, (_, i) => cut.to.copy({ ...node, lanes, attr: place(i) }));
};

/** Lane by lane: part i of the result from part i of every operand. */
const lanewise: Handler = (cut, node, source) => {
  if (source.length === 1) return [cut.make(node.op, node.args.map(cut.to.one), { type: node.type, lanes: node.lanes }, node.attr)];
  const args = node.args.map(a => cut.to.parts(a));
  const lanes = node.lanes / source.length;
  return source.map((_, i) =>
    cut.make(
      node.op,
      args.map(p => p[i]),
      { type: node.type, lanes },
      node.attr,
    ),
  );
};

const handlers: Readonly<Record<string, Handler>> = {
  convert,
  saturate,
  slice,
  repeat,
  sum: reduce,
  greatest: reduce,
  load: split,
  const: split,
  upper: (cut, node, source) => (node.lanes === 1 ? [cut.to.copy(node)] : cut.widen("upper", source, "u32")),
  fromHalf: (cut, node, source) => (node.lanes === 1 ? [cut.to.copy(node)] : cut.widen("fromHalf", source, "f32")),
  concat: (cut, node, source) =>
    bytes(source[0]) < cut.width ? [cut.make("concat", node.args.map(cut.to.one))] : node.args.flatMap(a => cut.to.parts(a)),
  table: (cut, node) => [cut.to.copy(node)],
  lookup: (cut, node) => cut.to.parts(node.args[1]).map(i => cut.make("lookup", [cut.to.one(node.args[0]), i])),
};

export function legalise(kernel: Kernel, width: number): Kernel {
  let cutter: Cutter | undefined;
  return rebuild(kernel, {
    visit: (node, to) => {
      cutter ??= new Cutter(to, width, kernel);
      const handle = handlers[node.op] ?? (node.args.length ? lanewise : undefined);
      return handle?.(cutter, node, node.args.length ? to.parts(node.args[0]) : []);
    },
  });
}

function pairsOf(parts: Parts): [Node, Node][] {
  return Array.from({ length: parts.length / 2 }, (_, i) => [parts[2 * i], parts[2 * i + 1]]);
}
