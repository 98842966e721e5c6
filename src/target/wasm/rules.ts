/**
 * Which WebAssembly instructions make which node: tables of rules, first match wins. A rule gives a little stack program: nodes are pushed,
 * instructions run. Value ranges guard the forms that would saturate. Owns no encoding (encode.ts).
 */
import { slotOf } from "../../ir/build.ts";
import type { Kernel, Node } from "../../ir/node.ts";
import { type Elem, elems } from "../../ir/types.ts";
import type { Selected } from "../../lower/select.ts";
import { instructions } from "./instructions.ts";

export interface Features {
  /** Relaxed SIMD: pair dots, fused multiply-add. */
  readonly relaxed: boolean;
  /** 64-bit addresses. */
  readonly memory64: boolean;
  /** Products and sums rounded one after the other. */
  readonly strict?: boolean;
}

/** An instruction with its immediate numbers. */
export interface Ins {
  readonly ins: string;
  readonly imm: readonly number[];
}
/** Pushes the sum of an address and a byte index. */
export interface Place {
  readonly address: Node;
  readonly index: Node;
}
export type Step = Node | Ins | Place;
export interface Program extends Selected {
  readonly steps: readonly Step[];
}

const ins = (name: string, ...imm: number[]): Ins => ({ ins: name, imm });
const shapes: Readonly<Record<Elem, string>> = {
  i8: "i8x16",
  u8: "i8x16",
  i16: "i16x8",
  u16: "i16x8",
  i32: "i32x4",
  u32: "i32x4",
  f32: "f32x4",
};
const isVector = (n: Node): boolean => n.lanes * elems[n.type].size === 16;
const isScalar = (n: Node): boolean => n.lanes === 1;
const sign = (n: Node): string => (elems[n.type].signed ? "_s" : "_u");
const bytesOf = (n: Node): number => n.lanes * elems[n.type].size;

/** Sixteen immediate bytes of a constant in every lane. */
export function constBytes(type: Elem, value: number): number[] {
  const view = new DataView(new ArrayBuffer(16));
  const { size } = elems[type];
  for (let at = 0; at < 16; at += size) {
    if (type === "f32") view.setFloat32(at, value, true);
    else for (let b = 0; b < size; b++) view.setUint8(at + b, value >>> (8 * b));
  }
  return [...new Uint8Array(view.buffer)];
}
const v128 = (type: Elem, value: number): Ins => ins("v128.const", ...constBytes(type, value));

/** A load's place, then the instruction with the constant offset. */
const memory = (load: Node, name: string): Step[] => [{ address: load.args[0], index: load.args[1] }, ins(name, load.attr)];

type Rule = (node: Node, args: readonly Node[], f: Features, kernel: Kernel) => readonly Step[] | undefined;

/** Loads from slots that the kernel does not write can be swallowed by the instruction that uses them. */
const pureLoad = (n: Node, kernel: Kernel): boolean => n.op === "load" && kernel.slots[slotOf(n.args[0])].kind === "in";

/** Lane by lane operations whose instruction is `<shape>.<name>`; `s` adds the sign. Absent rows have no rule. */
const direct: Readonly<Record<string, { name: string; s?: true }>> = {
  add: { name: "add" },
  sub: { name: "sub" },
  mul: { name: "mul" },
  div: { name: "div" },
  neg: { name: "neg" },
  abs: { name: "abs" },
  sqrt: { name: "sqrt" },
  nearest: { name: "nearest" },
  floor: { name: "floor" },
  eq: { name: "eq" },
  lt: { name: "lt", s: true },
  le: { name: "le", s: true },
  min: { name: "min", s: true },
  max: { name: "max", s: true },
};

const vectorDirect: Rule = (n, args) => {
  const row = direct[n.op];
  if (!row || !isVector(args[0])) return undefined;
  const { type } = args[0];
  const suffix = row.s && type !== "f32" ? sign(args[0]) : "";
  const prefix = type === "f32" && (n.op === "min" || n.op === "max") ? "p" : "";
  const name = `${shapes[type]}.${prefix}${row.name}${suffix}`;
  return instructions.has(name) ? [...args, ins(name)] : undefined;
};
/** Scalars of 8 and 16 bits live in an i32 as their value; brings the low bits of any i32 into that form. */
const settle = (type: Elem): readonly Ins[] => {
  const { size, signed, max } = elems[type];
  if (size === 4) return [];
  return signed ? [ins(`i32.extend${8 * size}_s`)] : [ins("i32.const", max), ins("i32.and")];
};
const scalarDirect: Rule = (n, args) => {
  const row = direct[n.op];
  if (!row || !isScalar(n)) return undefined;
  const kind = args[0].type === "f32" ? "f32" : "i32";
  const name = `${kind}.${row.name}${row.s && kind === "i32" ? sign(args[0]) : ""}`;
  if (!instructions.has(name)) return undefined;
  const isMask = n.op === "eq" || n.op === "lt" || n.op === "le"; // the machine says 1, the language says all ones
  return isMask ? [ins("i32.const", 0), ...args, ins(name), ins("i32.sub")] : [...args, ins(name), ...settle(n.type)];
};
/** The integer forms that the machine only has for floats and vectors. */
const scalarNegAbs: Rule = (n, [a]) => {
  if (!isScalar(n) || n.type === "f32") return undefined;
  const negative = [ins("i32.const", 0), a, ins("i32.sub"), ...settle(n.type)];
  if (n.op === "neg") return negative;
  return n.op === "abs" ? [...negative, a, a, ins("i32.const", 0), ins("i32.lt_s"), ins("select")] : undefined;
};
const scalarMinMax: Rule = (n, [a, b]) => {
  if (!isScalar(n) || (n.op !== "min" && n.op !== "max")) return undefined;
  const less = n.type === "f32" ? "f32.lt" : `i32.lt${sign(n)}`;
  return n.op === "max" ? [b, a, a, b, ins(less), ins("select")] : [b, a, b, a, ins(less), ins("select")];
};
const quotient: Rule = (n, args) => (n.op === "quotient" ? [...args, ins("i32.div_u")] : undefined);
const bitwise: Rule = (n, args) => {
  if (n.op !== "and" && n.op !== "or" && n.op !== "xor") return undefined;
  return [...args, ins(`${isScalar(n) ? "i32" : "v128"}.${n.op}`)];
};
const shift: Rule = (n, [a]) => {
  if (n.op !== "shl" && n.op !== "shr") return undefined;
  const name = n.op === "shl" ? "shl" : `shr${sign(n)}`;
  if (isScalar(n)) return [a, ins("i32.const", n.attr), ins(`i32.${name}`), ...(n.op === "shl" ? settle(n.type) : [])];
  if (elems[n.type].size > 1 || name === "shr_s") return [a, ins("i32.const", n.attr), ins(`${shapes[n.type]}.${name}`)];
  // Bytes shift as 16-bit lanes; a mask removes what came over from the neighbour.
  const mask = n.op === "shl" ? (255 << n.attr) & 255 : 255 >> n.attr;
  return [a, ins("i32.const", n.attr), ins(`i16x8.${n.op === "shl" ? "shl" : "shr_u"}`), v128("u8", mask), ins("v128.and")];
};
const choose: Rule = (n, [m, a, b]) => (n.op !== "select" ? undefined : [a, b, m, ins(isScalar(n) ? "select" : "v128.bitselect")]);
const mulAdd: Rule = (n, [a, b, c], f) => {
  if (n.op !== "mulAdd") return undefined;
  return f.relaxed ? [a, b, c, ins("f32x4.relaxed_madd")] : [a, b, ins("f32x4.mul"), c, ins("f32x4.add")];
};

/** A source that is half a register: `low` or `high` of `of`, or a short load. */
const half = (n: Node): { of: Node; part: "low" | "high" } | undefined =>
  n.op === "slice" && isVector(n.args[0]) ? { of: n.args[0], part: n.attr === 0 ? "low" : "high" } : undefined;

const widen: Rule = (n, [a], _, kernel) => {
  if (n.op !== "convert" || !isVector(n) || elems[n.type].size !== 2 * elems[a.type].size) return undefined;
  const from = elems[a.type].size === 1 ? "8x8" : "16x4";
  if (pureLoad(a, kernel) && bytesOf(a) === 8) return memory(a, `${shapes[n.type]}.load${from}${sign(a)}`);
  const h = half(a);
  return h && [h.of, ins(`${shapes[n.type]}.extend_${h.part}_${shapes[a.type]}${sign(a)}`)];
};
const numbers: Rule = (n, [a]) => {
  if (n.op !== "convert") return undefined;
  if (isScalar(n)) {
    if (n.type === "f32") return [a, ins("f32.convert_i32_s")];
    return a.type === "f32" ? [a, ins("i32.trunc_sat_f32_s")] : [a, ...settle(n.type)];
  }
  if (elems[n.type].size !== elems[a.type].size) return undefined;
  if (n.type === "f32") return [a, ins("f32x4.convert_i32x4_s")];
  return a.type === "f32" ? [a, ins("i32x4.trunc_sat_f32x4_s")] : [a];
};
const clamp = (n: Node, a: Node): readonly Step[] => {
  const { min, max } = elems[n.type];
  const below = a.range.max <= max ? [a] : [a, ins("i32.const", max), a, ins("i32.const", max), ins("i32.lt_s"), ins("select")];
  return a.range.min >= min ? below : [ins("i32.const", min), ...below, a, ins("i32.const", min), ins("i32.lt_s"), ins("select")];
};
const narrow: Rule = (n, [a]) => {
  if (n.op !== "saturate") return undefined;
  if (isScalar(n)) return clamp(n, a);
  if (a.op !== "concat") return undefined;
  return [...a.args, ins(`${shapes[n.type]}.narrow_${shapes[a.type]}${sign(n)}`)];
};

/** 16 bits into the upper half of 32. */
function upperSteps(a: Node, kernel: Kernel): readonly Step[] | undefined {
  if (pureLoad(a, kernel) && bytesOf(a) === 8) return [...memory(a, "i32x4.load16x4_u"), ins("i32.const", 16), ins("i32x4.shl")];
  const h = half(a);
  if (!h) return undefined;
  // Zeros and words interleaved, written as the unpack instructions of the machines: both from the same half.
  const first = h.part === "low" ? 0 : 8;
  const order = [0, 1, 2, 3].flatMap(i => [first + 2 * i, first + 2 * i + 1, 16 + first + 2 * i, 16 + first + 2 * i + 1]);
  return [v128("u8", 0), h.of, ins("i8x16.shuffle", ...order)];
}
const upper: Rule = (n, [a], _, kernel) => {
  if (n.op !== "upper") return undefined;
  return isScalar(n) ? [a, ins("i32.const", 16), ins("i32.shl")] : upperSteps(a, kernel);
};
/** The half's exponent and mantissa moved to their places in an f32, then scaled by 2^112: exact for every finite half. */
const fromHalf: Rule = (n, [a], _, kernel) => {
  if (n.op !== "fromHalf") return undefined;
  const keep = 0x8fffe000 | 0;
  const scale = 2 ** 112;
  if (isScalar(n)) {
    const bits = [a, ins("i32.const", 16), ins("i32.shl"), ins("i32.const", 3), ins("i32.shr_s"), ins("i32.const", keep), ins("i32.and")];
    return [...bits, ins("f32.reinterpret_i32"), ins("f32.const", scale), ins("f32.mul")];
  }
  const high = upperSteps(a, kernel);
  return (
    high && [...high, ins("i32.const", 3), ins("i32x4.shr_s"), v128("i32", keep), ins("v128.and"), v128("f32", scale), ins("f32x4.mul")]
  );
};
const dots: Rule = (n, [w, x], f) => {
  if (n.op !== "dot2" || !isVector(w)) return undefined;
  if (elems[w.type].size === 2) return [w, x, ins("i32x4.dot_i16x8_s")];
  return f.relaxed ? [x, w, ins("i16x8.relaxed_dot_i8x16_i7x16_s")] : undefined; // the first operand is the signed one
};
const repeat: Rule = (n, [a], _, kernel) => {
  if (n.op !== "repeat" || !isVector(n)) return undefined;
  if (pureLoad(a, kernel)) return memory(a, `v128.load${8 * bytesOf(a)}_splat`);
  return isScalar(a) ? [a, ins(`${shapes[n.type]}.splat`)] : undefined;
};
const lane: Rule = (n, [a]) => {
  if (n.op !== "slice" || !isScalar(n) || !isVector(a)) return undefined;
  return [a, ins(`${shapes[n.type]}.extract_lane${elems[n.type].size < 4 ? sign(n) : ""}`, n.attr)];
};
const reinterpret: Rule = (n, [a]) => {
  if (n.op !== "as") return undefined;
  if (isScalar(n) !== isScalar(a)) return undefined;
  if (!isScalar(n)) return [a];
  if ((n.type === "f32") === (a.type === "f32")) return [a, ...settle(n.type)];
  return [a, ins(n.type === "f32" ? "f32.reinterpret_i32" : "i32.reinterpret_f32")];
};
const lookup: Rule = (n, [table, index], f) => {
  if (n.op !== "lookup") return undefined;
  return [table, index, ins(f.relaxed && index.range.max < 16 ? "i8x16.relaxed_swizzle" : "i8x16.swizzle")];
};
/** The constants ride in the instruction. */
const table: Rule = n => {
  if (n.op !== "table") return undefined;
  return [ins("v128.const", ...n.args.flatMap(({ attr }) => [attr, attr >> 8, attr >> 16, attr >> 24].map(x => x & 255)))];
};
const load: Rule = n => {
  if (n.op !== "load") return undefined;
  if (isVector(n)) return memory(n, "v128.load");
  if (!isScalar(n)) return undefined;
  const { size } = elems[n.type];
  return memory(n, n.type === "f32" ? "f32.load" : size === 4 ? "i32.load" : `i32.load${8 * size}${sign(n)}`);
};

const offset: Rule = (n, [address, index]) => (n.op === "offset" ? [{ address, index }] : undefined);

const rules: readonly Rule[] = [
  offset,
  vectorDirect,
  scalarDirect,
  scalarNegAbs,
  scalarMinMax,
  quotient,
  bitwise,
  shift,
  choose,
  mulAdd,
  widen,
  numbers,
  narrow,
  upper,
  fromHalf,
  dots,
  repeat,
  lane,
  reinterpret,
  table,
  lookup,
  load,
];

export function program(node: Node, features: Features, kernel: Kernel): Program {
  // Values of another size exist only inside the patterns that swallow them.
  for (const rule of isScalar(node) || isVector(node) ? rules : []) {
    const steps = rule(node, node.args, features, kernel);
    if (steps) return { steps, operands: steps.flatMap(s => ("ins" in s ? [] : "address" in s ? [s.address, s.index] : [s])) };
  }
  const args = node.args.map(a => `${a.type}x${a.lanes}`).join(", ");
  throw new TypeError(`WebAssembly has no rule for ${node.op}(${args}) -> ${node.type}x${node.lanes} in ${kernel.name}`);
}
