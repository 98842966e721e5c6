/** Which instructions change the shape of values: loads, widening and narrowing, splats, parts of vectors, reinterpretation, table lookup. */
import type { Node } from "../../ir/node.ts";
import { type Elem, elems } from "../../ir/types.ts";
import {
  type Arg,
  bytesOf,
  COPY,
  type Context,
  D,
  fold,
  gp,
  imm,
  inVector,
  isScalar,
  pool,
  program,
  pureLoad,
  type Rule,
  type Step,
  vec,
  wide,
  width,
} from "./program.ts";

const letter: Readonly<Record<number, string>> = { 1: "b", 2: "w", 4: "d", 8: "q" };
const sign = (type: Elem): "s" | "z" => (elems[type].signed ? "s" : "z");

/** The instruction that brings `bytes` bytes from memory into a register. */
const vectorLoads: Readonly<Record<number, string>> = { 64: "vmovdqu.z", 32: "vmovdqu.y", 16: "vmovdqu.x", 8: "vmovq.x", 4: "vmovd.x" };
const scalarLoads: Readonly<Record<Elem, string>> = {
  i8: "movsx.d.8",
  u8: "movzx.d.8",
  i16: "movsx.d.16",
  u16: "movzx.d.16",
  i32: "mov.d",
  u32: "mov.d",
  f32: "vmovss.x",
};
const load: Rule = n => {
  if (n.op !== "load") return undefined;
  if (isScalar(n)) return program([scalarLoads[n.type], D, { fold: n }]);
  const name = vectorLoads[bytesOf(n)];
  if (name) return program([name, D, { fold: n }]);
  return bytesOf(n) === 2 ? program(["movzx.d.16", gp(0), { fold: n }], ["vmovd.x", D, gp(0)]) : undefined;
};

/** A source in memory of any size, where the instruction reads exactly that. */
const part = (a: Node, user: Node, c: Context): Arg => (bytesOf(a) >= 4 && pureLoad(a, user, c) ? { fold: a } : a);

/** Integer widening in one instruction, over two steps as well. */
const widen: Rule = (n, [a], c) => {
  if (n.op !== "convert" || isScalar(n) || n.type === "f32" || a.type === "f32" || bytesOf(n) === bytesOf(a)) return undefined;
  const twice =
    a.op === "convert" && c.uses.get(a) === 1 && a.scope === n.scope && elems[a.args[0].type].size === 1 && elems[n.type].size === 4;
  // A signed value widened as unsigned, or the other way round, must take both steps.
  const source = twice && elems[a.type].signed === elems[a.args[0].type].signed ? a.args[0] : a;
  const name = `vpmov${sign(source.type)}x${letter[elems[source.type].size]}${letter[elems[n.type].size]}.${wide(bytesOf(n))}`;
  return program([name, D, part(source, source === a ? n : a, c)]);
};
const sameSize: Rule = (n, [a]) =>
  n.op === "convert" && !isScalar(n) && elems[n.type].size === elems[a.type].size ? program([COPY, D, a]) : undefined;

const upper: Rule = (n, [a], c) => {
  if (n.op !== "upper" || isScalar(n)) return undefined;
  const w = wide(bytesOf(n));
  const t = vec(0, width(bytesOf(n)));
  return program([`vpmovzxwd.${w}`, t, part(a, n, c)], [`vpslld.${w}.i`, D, t, imm(16)]);
};
const fromHalf: Rule = (n, [a], c) => {
  if (n.op !== "fromHalf") return undefined;
  if (isScalar(n)) return program(["vmovd.x", vec(0, 16), a], ["vcvtph2ps.x", D, vec(0, 16)]);
  return program([`vcvtph2ps.${wide(bytesOf(n))}`, D, bytesOf(a) >= 8 ? part(a, n, c) : a]);
};

const repeat: Rule = (n, [a], c) => {
  if (n.op !== "repeat") return undefined;
  const [w, from] = [wide(bytesOf(n)), bytesOf(a)];
  const fromMemory: Arg | undefined = pureLoad(a, n, c) ? { fold: a } : undefined;
  if (w === "z" && from >= 16) {
    // Quarters 0 0 0 0, or 0 1 0 1.
    if (!fromMemory) return program(["vshufi32x4.z", D, a, a, imm(from === 16 ? 0 : 0x44)]);
    return program([from === 16 ? "vbroadcasti32x4.z" : "vbroadcasti64x4.z", D, fromMemory]);
  }
  if (from === 16) return program(fromMemory ? ["vbroadcasti128.y", D, fromMemory] : ["vinserti128.y", D, a, a, imm(1)]);
  const name = a.type === "f32" && isScalar(a) ? `vbroadcastss.${w}` : `vpbroadcast${letter[from]}.${w}`;
  if (fromMemory) return program([name, D, fromMemory]);
  if (inVector(a)) return program([name, D, a]);
  return program(["vmovd.x", vec(0, 16), a], [name, D, vec(0, 16)]);
};

/** Leaves the low 16 bytes from byte `at` on in a register; gives where they are and the byte in it. */
function towards(a: Node, at: number, steps: Step[]): { from: Arg; at: number } {
  if (at < 16) return { from: a, at };
  steps.push([bytesOf(a) === 64 ? "vextracti32x4.z" : "vextracti128.y", vec(0, 16), a, imm(at >> 4)]);
  return { from: vec(0, 16), at: at & 15 };
}
const slice: Rule = (n, [a]) => {
  if (n.op !== "slice") return undefined;
  const { size } = elems[n.type];
  if (bytesOf(n) === 32) return program(n.attr ? ["vextracti64x4.z", D, a, imm(1)] : [COPY, D, a]);
  const steps: Step[] = [];
  const { from, at } = towards(a, n.attr * size, steps);
  if (inVector(n)) {
    if (at === 0) return program(...steps, [COPY, D, from]);
    return program(...steps, isScalar(n) ? ["vpshufd.x", D, from, imm(at / 4)] : ["vpsrldq.x", D, from, imm(at)]);
  }
  if (size === 4) return program(...steps, at === 0 ? ["vmovd.x.st", D, from] : ["vpextrd.x", D, from, imm(at / 4)]);
  const out = `vpextr${letter[size]}.x`;
  if (!elems[n.type].signed) return program(...steps, [out, D, from, imm(at / size)]);
  return program(...steps, [out, gp(1), from, imm(at / size)], [`movsx.d.${8 * size}`, D, gp(1)]);
};

/** Both operands one after the other: by their size. */
const concat: Rule = (n, [a, b], c) => {
  if (n.op !== "concat") return undefined;
  const from = bytesOf(a);
  if (isScalar(a) && !inVector(a)) {
    const size = elems[a.type].size;
    return program(["vmovd.x", vec(0, 16), a], [`vpinsr${letter[size]}.x`, D, vec(0, 16), b, imm(1)]);
  }
  if (from === 32) return program(["vinserti64x4.z", D, a, fold(b, n, c), imm(1)]);
  if (from === 16) return program(["vinserti128.y", D, a, fold(b, n, c), imm(1)]);
  const names: Readonly<Record<number, string>> = { 8: "vpunpcklqdq.x", 4: "vpunpckldq.x", 2: "vpunpcklwd.x" };
  return names[from] ? program([names[from], D, a, b]) : undefined;
};

/** Signed lanes clamped into half the size: from two registers, or from the halves of one. */
const saturate: Rule = (n, [a]) => {
  if (n.op !== "saturate" || isScalar(n) || elems[a.type].size !== 2 * elems[n.type].size) return undefined;
  const name = `vpack${elems[n.type].signed ? "ss" : "us"}${elems[a.type].size === 4 ? "dw" : "wb"}`;
  const [low, high] = a.op === "concat" && bytesOf(a.args[0]) >= 16 ? a.args : [];
  if (low && high && bytesOf(low) === 32) return program([`${name}.y`, vec(0, 32), low, high], ["vpermq.y.i", D, vec(0, 32), imm(0xd8)]);
  if (low && high) return program([`${name}.x`, D, low, high]);
  if (bytesOf(a) === 32) return program(["vextracti128.y", vec(0, 16), a, imm(1)], [`${name}.x`, D, a, vec(0, 16)]);
  return bytesOf(a) <= 16 ? program([`${name}.x`, D, a, a]) : undefined;
};

const reinterpret: Rule = (n, [a]) => {
  if (n.op !== "as") return undefined;
  if (inVector(n) === inVector(a) && inVector(n)) return program([COPY, D, a]);
  if (inVector(n) && !inVector(a)) return program(["vmovd.x", D, a]);
  if (!inVector(n) && inVector(a)) {
    if (bytesOf(n) === 4) return program(["vmovd.x.st", D, a]);
    return program(["vmovd.x.st", gp(0), a], [`mov${sign(n.type)}x.d.${8 * bytesOf(n)}`, D, gp(0)]);
  }
  return undefined;
};

/** Sixteen constant bytes; every quarter of a register gets them where a longer shuffle wants them. */
const tableBytes = (n: Node, bytes: number): Arg => {
  const words = new Int32Array(n.args.map(a => a.attr));
  const sixteen = [...new Uint8Array(words.buffer)];
  return { bytes: Array.from({ length: bytes / 16 }, () => sixteen).flat() };
};
const constantTable = (n: Node): boolean => n.op === "table" && n.args.every(a => a.op === "const");
const sixteen: Rule = n => {
  if (n.op !== "table") return undefined;
  if (constantTable(n)) return program([COPY, D, tableBytes(n, 16)]);
  const [a, b, c, d] = n.args;
  return program(
    ["vmovd.x", vec(0, 16), a],
    ["vpinsrd.x", vec(1, 16), vec(0, 16), b, imm(1)],
    ["vpinsrd.x", vec(2, 16), vec(1, 16), c, imm(2)],
    ["vpinsrd.x", D, vec(2, 16), d, imm(3)],
  );
};

/** The machine's shuffle gives 0 for indices with the top bit; adding 112 with saturation sets it from 16 on. */
const lookup: Rule = (n, [table, index], c) => {
  if (n.op !== "lookup") return undefined;
  const bytes = width(bytesOf(n));
  const w = wide(bytes);
  const steps: Step[] = [];
  let from: Arg = table;
  if (constantTable(table)) from = tableBytes(table, bytes);
  else if (bytes > 16) {
    const memory = fold(table, n, c);
    const known = memory === table;
    const [inserted, loaded] = bytes === 64 ? ["vshufi32x4.z", "vbroadcasti32x4.z"] : ["vinserti128.y", "vbroadcasti128.y"];
    steps.push(known ? [inserted, vec(0, bytes), table, table, imm(bytes === 64 ? 0 : 1)] : [loaded, vec(0, bytes), memory]);
    from = vec(0, bytes);
  }
  if (index.range.max < 16) return program(...steps, [`vpshufb.${w}`, D, from, index]);
  return program(...steps, [`vpaddusb.${w}`, vec(1, bytes), index, pool("u8", 112, bytes)], [`vpshufb.${w}`, D, from, vec(1, bytes)]);
};

export const shapeRules: readonly Rule[] = [
  load,
  widen,
  sameSize,
  upper,
  fromHalf,
  repeat,
  slice,
  concat,
  saturate,
  reinterpret,
  sixteen,
  lookup,
];
