/**
 * Cuts values into parts of the machine's vector width. Kernels use the width of the data (8 rows, 32 inputs); here each value becomes
 * parts of `width` bytes, lowest lanes first. What may stay odd afterwards, as patterns for instruction selection: short vectors that are
 * loaded and at once repeated or widened, `slice` of half a register under a widening, `concat` of two registers under a `saturate`.
 */
import { make } from "../ir/build.ts";
import type { Kernel, Node } from "../ir/node.ts";
import { type Elem, elems } from "../ir/types.ts";
import { type Rebuild, rebuild } from "./rebuild.ts";

type Parts = readonly Node[];

export function legalise(kernel: Kernel, width: number): Kernel {
  const bytes = (n: { type: Elem; lanes: number }): number => n.lanes * elems[n.type].size;
  const count = (n: Node): number => Math.max(1, bytes(n) / width);
  const fullLanes = (type: Elem): number => width / elems[type].size;

  /** Part j of a widening takes the j-th stretch of source lanes. */
  const stretch = (to: Rebuild, source: Parts, lanes: number, j: number): Node => {
    const perPart = source[0].lanes;
    const first = j * lanes;
    return make(to.scope, "slice", [source[Math.floor(first / perPart)]], { type: source[0].type, lanes }, first % perPart);
  };
  /** One doubling of the element size (convert, upper, fromHalf). */
  const widen = (to: Rebuild, op: string, source: Parts, type: Elem): Parts => {
    const total = source.length * source[0].lanes;
    const lanes = Math.min(total, fullLanes(type));
    return Array.from({ length: total / lanes }, (_, j) => make(to.scope, op, [stretch(to, source, lanes, j)], { type, lanes }));
  };
  const wider: Partial<Record<Elem, Elem>> = { i8: "i16", u8: "u16" };
  const narrower: Partial<Record<Elem, Elem>> = { i32: "i16", u32: "i16", i16: "i8" };

  const convert = (to: Rebuild, node: Node, source: Parts): Parts => {
    const [from, into] = [source[0].type, node.type];
    if (node.lanes === 1) return [make(to.scope, "convert", source, node)];
    if (elems[from].size === elems[into].size) return source.map(p => make(to.scope, "convert", [p], { type: into, lanes: p.lanes }));
    if (elems[into].size === 2 * elems[from].size) return widen(to, "convert", source, into);
    return convert(to, node, widen(to, "convert", source, wider[from]!));
  };
  const saturate = (to: Rebuild, node: Node, source: Parts): Parts => {
    if (node.lanes === 1) return [make(to.scope, "saturate", source, node)];
    const from = source[0].type;
    const into = elems[from].size === 2 * elems[node.type].size ? node.type : narrower[from]!;
    const narrow = pairsOf(source).map(([a, b]) =>
      make(to.scope, "saturate", [make(to.scope, "concat", [a, b])], { type: into, lanes: 2 * a.lanes }),
    );
    return into === node.type ? narrow : saturate(to, node, narrow);
  };
  const reduce = (to: Rebuild, node: Node, source: Parts): Parts => {
    let parts = source;
    while (parts.length > 1) {
      const half = parts.length / 2;
      parts = parts.slice(0, half).map((p, i) => make(to.scope, node.op === "sum" ? "add" : "max", [p, parts[i + half]]));
    }
    // The last register lane by lane, in the order that the meaning of a reduction prescribes.
    const op = node.op === "sum" ? "add" : "max";
    let lanes = Array.from({ length: parts[0].lanes }, (_, i) => make(to.scope, "slice", [parts[0]], { type: node.type, lanes: 1 }, i));
    while (lanes.length > 1) lanes = lanes.slice(0, lanes.length / 2).map((a, i) => make(to.scope, op, [a, lanes[i + lanes.length / 2]]));
    return lanes;
  };
  const slice = (to: Rebuild, node: Node, source: Parts): Parts => {
    if (count(node) > 1 || node.lanes === source[0].lanes)
      return source.slice(node.attr / source[0].lanes, (node.attr + node.lanes) / source[0].lanes);
    return [stretch(to, source, node.lanes, node.attr / node.lanes)];
  };
  const repeat = (to: Rebuild, node: Node, source: Parts): Parts => {
    const parts = count(node);
    if (source.length > 1 || bytes(source[0]) === width) return Array.from({ length: parts }, (_, i) => source[i % source.length]);
    const one = make(to.scope, "repeat", source, { type: node.type, lanes: Math.min(node.lanes, fullLanes(node.type)) });
    return Array.from({ length: parts }, () => one);
  };
  const loadParts = (to: Rebuild, node: Node): Parts => {
    const lanes = Math.min(node.lanes, fullLanes(node.type));
    return Array.from({ length: count(node) }, (_, i) => to.copy({ ...node, lanes, attr: node.attr + i * width }));
  };

  const special: Record<string, (to: Rebuild, node: Node, source: Parts) => Parts> = {
    convert,
    saturate,
    slice,
    repeat,
    sum: reduce,
    greatest: reduce,
    upper: (to, node, source) => (node.lanes === 1 ? [to.copy(node)] : widen(to, "upper", source, "u32")),
    fromHalf: (to, node, source) => (node.lanes === 1 ? [to.copy(node)] : widen(to, "fromHalf", source, "f32")),
    concat: (to, node) => node.args.flatMap(a => to.parts(a)),
    lookup: (to, node) => to.parts(node.args[1]).map(i => make(to.scope, "lookup", [to.one(node.args[0]), i])),
    load: loadParts,
    const: (to, node) => Array.from({ length: count(node) }, () => to.copy({ ...node, lanes: Math.min(node.lanes, fullLanes(node.type)) })),
  };

  /** Lane by lane: part i of the result from part i of every operand. */
  const lanewise = (to: Rebuild, node: Node): Parts => {
    const args = node.args.map(a => to.parts(a));
    return args[0].map((_, i) => {
      const operands = args.map(p => p[i]);
      const lanes = node.lanes / args[0].length;
      return make(to.scope, node.op, operands, { type: node.type, lanes }, node.attr);
    });
  };

  return rebuild(kernel, {
    visit: (node, to) => {
      const handle = special[node.op];
      if (handle) return handle(to, node, node.args.length ? to.parts(node.args[0]) : []);
      return node.args.length ? lanewise(to, node) : undefined;
    },
  });
}

function pairsOf(parts: Parts): [Node, Node][] {
  if (parts.length % 2) throw new TypeError("saturate needs at least two registers of source lanes");
  return Array.from({ length: parts.length / 2 }, (_, i) => [parts[2 * i], parts[2 * i + 1]]);
}
