/**
 * Which instructions make vectors lane by lane, and scalars of f32, which live in the same registers. Tables where the machine has the operation;
 * the rest as short sequences.
 */
import type { Node } from "../../ir/node.ts";
import { elems } from "../../ir/types.ts";
import {
  type Arg,
  bytesOf,
  COPY,
  type Context,
  D,
  fold,
  hasQuads,
  imm,
  inVector,
  isConst,
  isScalar,
  type Program,
  pool,
  program,
  pureLoad,
  type Rule,
  type Step,
  vec,
  wide,
  width,
} from "./program.ts";

type Names = Readonly<Partial<Record<Node["type"], string>>>;
const sized = (prefix: string, suffixes = ["b", "w", "d"]): Names => {
  const [b, w, d] = suffixes.map(s => (s ? prefix + s : undefined));
  return { i8: b, u8: b, i16: w, u16: w, i32: d, u32: d };
};
/** With sign: signed types and unsigned ones have their own instruction. */
const signed = (prefix: string): Names => ({
  i8: `${prefix}sb`,
  u8: `${prefix}ub`,
  i16: `${prefix}sw`,
  u16: `${prefix}uw`,
  i32: `${prefix}sd`,
  u32: `${prefix}ud`,
});

/** Two operands. `swap`: the machine's second operand is the one that comes back when they are equal or unordered. */
const two: Readonly<Record<string, { names: Names; commutes?: true; swap?: true }>> = {
  add: { names: { ...sized("vpadd"), f32: "vaddps" }, commutes: true },
  sub: { names: { ...sized("vpsub"), f32: "vsubps" } },
  mul: { names: { i16: "vpmullw", u16: "vpmullw", i32: "vpmulld", u32: "vpmulld", f32: "vmulps" }, commutes: true },
  div: { names: { f32: "vdivps" } },
  min: { names: { ...signed("vpmin"), f32: "vminps" }, swap: true },
  max: { names: { ...signed("vpmax"), f32: "vmaxps" }, swap: true },
  eq: { names: sized("vpcmpeq") },
};
const bitNames: Readonly<Record<string, string>> = { and: "vpand", or: "vpor", xor: "vpxor" };

/** f32 scalars have instructions of their own, which leave the other lanes alone. */
const key = (name: string, n: { readonly type: Node["type"]; readonly lanes: number }): string =>
  n.lanes === 1 ? `${name.replace(/ps$/, "ss")}.x` : `${name}.${wide(bytesOf(n))}`;

const lanewise: Rule = (n, [a, b], c) => {
  if (!inVector(n) || !inVector(a)) return undefined;
  const bitwise = bitNames[n.op];
  const row = bitwise ? { names: {}, commutes: true as const, swap: undefined } : two[n.op];
  const name = bitwise ?? row?.names[a.type];
  if (!row || !name) return undefined;
  const [first, second] = row.swap || (row.commutes && isFoldable(a, n, c) && !isFoldable(b, n, c)) ? [b, a] : [a, b];
  return program([key(name, a), D, first, fold(second, n, c)]);
};
const isFoldable = (n: Node, user: Node, c: Context): boolean => fold(n, user, c) !== n;

const one: Readonly<Record<string, Names>> = {
  sqrt: { f32: "vsqrtps" },
  abs: { i8: "vpabsb", i16: "vpabsw", i32: "vpabsd" },
};
const single: Rule = (n, [a], c) => {
  const name = inVector(n) ? one[n.op]?.[n.type] : undefined;
  if (!name) return undefined;
  return isScalar(n) ? program([key(name, n), D, a, a]) : program([key(name, n), D, fold(a, n, c)]);
};

/** Rounding modes of the instruction: to even and down, both without a raised flag. */
const modes: Readonly<Record<string, number>> = { nearest: 8, floor: 9 };
const rounding: Rule = (n, [a]) => {
  const mode = modes[n.op];
  if (mode === undefined) return undefined;
  return isScalar(n) ? program(["vroundss.x", D, a, a, imm(mode)]) : program([key("vroundps", n), D, a, imm(mode)]);
};

/** A register's worth of a constant, also for scalars. */
const same = (n: Node, type: Node["type"], value: number) => pool(type, value, width(bytesOf(n)));

const signs: Rule = (n, [a]) => {
  if (!inVector(n) || (n.op !== "neg" && n.op !== "abs")) return undefined;
  const w = wide(bytesOf(n));
  if (n.type === "f32") {
    if (n.op === "neg") return program([`vxorps.${w}`, D, a, same(n, "u32", 0x80000000)]);
    return program([`vandps.${w}`, D, a, same(n, "u32", 0x7fffffff)]);
  }
  if (n.op === "abs") return program([COPY, D, a]); // unsigned
  return program([`${two.sub.names[n.type]}.${w}`, D, same(n, n.type, 0), a]);
};

/** Comparisons of integers: there are only `equal` and signed `greater`. */
const compare: Rule = (n, [a, b], c) => {
  if (!inVector(a) || (n.op !== "lt" && n.op !== "le" && n.op !== "eq")) return undefined;
  const w = wide(bytesOf(a));
  if (a.type === "f32") {
    const predicate = imm({ eq: 0, lt: 0x11, le: 0x12 }[n.op]);
    if (!isScalar(a)) return program([`vcmpps.${w}`, D, a, fold(b, n, c), predicate]);
    return program(["vcmpss.x", vec(0, 16), a, b, predicate], ["vmovd.x.st", D, vec(0, 16)]);
  }
  const size = { 1: "b", 2: "w", 4: "d" }[elems[a.type].size];
  const [t, ones] = [vec(0, width(bytesOf(a))), same(a, "i8", -1)];
  if (elems[a.type].signed) {
    if (n.op === "lt") return program([`vpcmpgt${size}.${w}`, D, b, a]);
    return program([`vpcmpgt${size}.${w}`, t, a, b], [`vpxor.${w}`, D, t, ones]);
  }
  const least = `vpminu${size}.${w}`;
  if (n.op === "le") return program([least, t, a, b], [`vpcmpeq${size}.${w}`, D, t, a]);
  return program([least, t, a, b], [`vpcmpeq${size}.${w}`, t, t, b], [`vpxor.${w}`, D, t, ones]);
};

const shiftNames: Readonly<Record<string, string>> = { shl: "vpsll", shr_s: "vpsra", shr_u: "vpsrl" };
const shift: Rule = (n, [a]) => {
  if (!inVector(n) || (n.op !== "shl" && n.op !== "shr")) return undefined;
  const w = wide(bytesOf(n));
  const kind = n.op === "shl" ? "shl" : elems[n.type].signed ? "shr_s" : "shr_u";
  const { size } = elems[n.type];
  if (size > 1) return program([`${shiftNames[kind]}${size === 2 ? "w" : "d"}.${w}.i`, D, a, imm(n.attr)]);
  // Bytes shift as 16-bit lanes; a mask removes what came over from the neighbour.
  const t = vec(0, width(bytesOf(n)));
  const mask = kind === "shl" ? (255 << n.attr) & 255 : 255 >> n.attr;
  const moved: Step = [`${kind === "shl" ? "vpsllw" : "vpsrlw"}.${w}.i`, t, a, imm(n.attr)];
  if (kind !== "shr_s") return program(moved, [`vpand.${w}`, D, t, same(n, "u8", mask)]);
  // The sign, now at a lower bit, is carried up by (x ^ s) - s.
  const sign = same(n, "u8", 0x80 >> n.attr);
  const u = vec(1, width(bytesOf(n)));
  return program(moved, [`vpand.${w}`, u, t, same(n, "u8", mask)], [`vpxor.${w}`, u, u, sign], [`vpsubb.${w}`, D, u, sign]);
};

const choose: Rule = (n, [m, a, b]) => {
  if (n.op !== "select" || !inVector(n)) return undefined;
  if (!isScalar(n)) return program([`vpblendvb.${wide(bytesOf(n))}`, D, b, a, m]);
  return program(["vmovd.x", vec(0, 16), m], ["vblendvps.x", D, b, a, vec(0, 16)]);
};

/** a * b + c: into the register of c, or of a where c is a constant that the instruction can read. */
const mulAdd: Rule = (n, [a, b, c], ctx) => {
  if (n.op !== "mulAdd") return undefined;
  const w = wide(bytesOf(n));
  if (isConst(c) || (ctx.uses.get(c) ?? 0) > 1) return program([COPY, D, a], [`vfmadd213ps.${w}`, D, b, c]);
  const [x, y] = isFoldable(a, n, ctx) ? [b, a] : [a, b];
  return program([COPY, D, c], [`vfmadd231ps.${w}`, D, x, fold(y, n, ctx)]);
};

/** i32 to f32 and back. Towards i32 the machine gives 2^31 for what does not fit. */
const numbers: Rule = (n, [a], c) => {
  if (n.op !== "convert" || (n.type === "f32") === (a.type === "f32")) return undefined;
  const bytes = width(bytesOf(n));
  const w = wide(bytes);
  if (n.type === "f32") {
    if (!isScalar(n)) return program([`vcvtdq2ps.${w}`, D, fold(a, n, c)]);
    return program(["vmovd.x", vec(0, 16), a], ["vcvtdq2ps.x", D, vec(0, 16)]);
  }
  const steps: Step[] = [
    [`vcvttps2dq.${w}`, vec(0, bytes), a],
    [`vcmpps.${w}`, vec(1, bytes), a, a, imm(7)], // ordered
    [`vpand.${w}`, vec(2, bytes), vec(0, bytes), vec(1, bytes)],
  ];
  let last = vec(2, bytes);
  if (a.range.max >= 2 ** 31) {
    // 2^31 and above became the smallest number; its complement is the largest
    steps.push(
      [`vcmpps.${w}`, vec(3, bytes), a, pool("f32", 2 ** 31, bytes), imm(0x1d)],
      [`vpxor.${w}`, vec(4, bytes), last, vec(3, bytes)],
    );
    last = vec(4, bytes);
  }
  steps.push(isScalar(n) ? ["vmovd.x.st", D, last] : [COPY, D, last]);
  return program(...steps);
};

/** These instructions exist in a shorter and a longer encoding, and a machine may have only one of them. */
function dotKey(name: string, size: "x" | "y" | "z", c: Context, repeated: boolean): string {
  const long = size !== "z" && (repeated || !c.levels.has("avxvnni"));
  return `${name}.${size}${long ? "e" : ""}`;
}

/** The second operand: the longer encoding repeats four bytes of memory by itself. */
function dotOperand(x: Node, dot: Node, c: Context): Arg {
  const four = x.op === "repeat" && bytesOf(x.args[0]) === 4 && c.uses.get(x) === 1 && x.scope === dot.scope ? x.args[0] : undefined;
  if (four && c.levels.has("avx512vnni") && pureLoad(four, x, c)) return { fold: four, broadcast: true };
  return fold(x, dot, c);
}

/** The sum that is under way, and what is added to it. */
function addDot(name: string, start: Arg, [w, x]: readonly Node[], dot: Node, c: Context): Program {
  const operand = dotOperand(x, dot, c);
  const repeated = typeof operand === "object" && "broadcast" in operand;
  return program([COPY, D, start], [dotKey(name, wide(bytesOf(w)), c, repeated), D, w, operand]);
}

/** Byte and 16-bit pairs, and quads where the machine has them. The first operand of byte forms is the unsigned one. */
const dots: Rule = (n, [w, x], c): Program | undefined => {
  if (n.op === "dot2") return program([`${elems[w.type].size === 2 ? "vpmaddwd" : "vpmaddubsw"}.${wide(bytesOf(w))}`, D, w, fold(x, n, c)]);
  if (n.op !== "dot4" || !hasQuads(c)) return undefined;
  return addDot("vpdpbusd", pool("i32", 0, width(bytesOf(w))), [w, x], n, c);
};
/** sum + dot in one instruction. */
const dotAdd: Rule = (n, [a, b], c) => {
  if (n.op !== "add" || n.type !== "i32" || !hasQuads(c)) return undefined;
  const fits = (d: Node): boolean => (d.op === "dot4" || d.op === "dot2") && c.uses.get(d) === 1 && d.scope === n.scope;
  const [dot, sum] = fits(b) ? [b, a] : fits(a) ? [a, b] : [];
  if (!dot || !sum) return undefined;
  return addDot(dot.op === "dot4" ? "vpdpbusd" : "vpdpwssd", sum, dot.args, dot, c);
};

/** (x and constant) or y in one instruction. */
const masked: Rule = (n, [a, b], c) => {
  if (n.op !== "or" || !inVector(n) || !c.levels.has("avx512")) return undefined;
  const fits = (m: Node): boolean => m.op === "and" && isConst(m.args[1]) && c.uses.get(m) === 1 && m.scope === n.scope;
  const [and, other] = fits(a) ? [a, b] : fits(b) ? [b, a] : [];
  if (!and || !other) return undefined;
  const size = wide(bytesOf(n));
  return program([COPY, D, and.args[0]], [`vpternlogd.${size === "z" ? "z" : `${size}e`}`, D, and.args[1], other, imm(0xea)]);
};

export const vectorRules: readonly Rule[] = [
  dotAdd,
  masked,
  lanewise,
  single,
  rounding,
  signs,
  compare,
  shift,
  choose,
  mulAdd,
  numbers,
  dots,
];
