/**
 * The operations of the kernel language, one record each: type rule, range rule, and meaning in JavaScript. The interpreter runs the
 * meanings and is the specification; a target adds instructions, never meaning. Loops and stores are statements (node.ts), not operations.
 */
import type { Node } from "./node.ts";
import { type Elem, elems, fullRange, maskOf, type Range } from "./types.ts";

export interface Shape {
  readonly type: Elem;
  readonly lanes: number;
}

export interface OpInfo {
  readonly name: string;
  /** Result of applying the operation; throws a TypeError when the operands or `attr` do not fit. `to` is the asked-for result where there is a choice. */
  readonly shape: (args: readonly Shape[], to: Shape | undefined, attr: number) => Shape;
  /** Interval of the results for operands in these intervals; clipped to the type by the caller. Missing: the whole type. */
  readonly range?: (args: readonly Range[], node: { args: readonly Shape[]; to: Shape; attr: number }) => Range;
  /** One array per operand, one number per lane. Results are wrapped into the result type by the caller. */
  readonly meaning: (args: readonly (readonly number[])[], node: Node, fused: boolean) => number[];
}

const same = (args: readonly Shape[]): Shape => {
  const a = args[0];
  const b = args[1];
  if (b && (a.type !== b.type || a.lanes !== b.lanes)) throw new TypeError(`${a.type}x${a.lanes} does not go with ${b.type}x${b.lanes}`);
  return a;
};
const floatOnly = (args: readonly Shape[]): Shape => {
  if (!elems[args[0].type].float) throw new TypeError(`needs f32, got ${args[0].type}`);
  return same(args);
};
const intOnly = (args: readonly Shape[]): Shape => {
  if (elems[args[0].type].float) throw new TypeError("needs an integer, got f32");
  return same(args);
};
const asked = (_: readonly Shape[], to: Shape | undefined): Shape => {
  if (!to) throw new TypeError("needs a result type");
  return to;
};
const shifted: OpInfo["shape"] = (args, _, distance) => {
  const bits = 8 * elems[args[0].type].size;
  if (!Number.isInteger(distance) || distance < 0 || distance >= bits)
    throw new TypeError(`distance ${distance} is not within 0 .. ${bits - 1}`);
  return intOnly(args);
};

type Lane = (a: number, b: number, c: number) => number;
const lanewise =
  (f: Lane): OpInfo["meaning"] =>
  args =>
    args[0].map((a, i) => f(a, args[1]?.[i], args[2]?.[i]));

const corners = (f: (a: number, b: number) => number) => (r: readonly Range[]) => {
  const [a, b] = [f(r[0].min, r[1].min), f(r[0].min, r[1].max)];
  const [c, d] = [f(r[0].max, r[1].min), f(r[0].max, r[1].max)];
  return { min: Math.min(a, b, c, d), max: Math.max(a, b, c, d) };
};
const isMask = (r: Range): boolean => r.min >= -1 && r.max <= 0;
/** Range of a bitwise result: masks stay masks; of non-negative operands below the next power of two. */
const bits = (r: readonly Range[]): Range | undefined => {
  if (r.every(isMask)) return { min: -1, max: 0 };
  if (r[0].min < 0 || r[1].min < 0) return undefined;
  return { min: 0, max: 2 ** Math.ceil(Math.log2(Math.max(r[0].max, r[1].max) + 1)) - 1 };
};

const binary = (name: string, f: Lane, range?: OpInfo["range"], shape: OpInfo["shape"] = same): OpInfo => ({
  name,
  shape,
  range,
  meaning: lanewise(f),
});
const compare = (name: string, f: (a: number, b: number) => boolean): OpInfo => ({
  name,
  shape: args => ({ type: maskOf(same(args).type), lanes: args[0].lanes }),
  range: () => ({ min: -1, max: 0 }),
  meaning: lanewise((a, b) => (f(a, b) ? -1 : 0)),
});

/** Float products are exact in a double; those of 32-bit integers may lose low bits there. */
const mul: OpInfo["meaning"] = ([a, b], node) => a.map((x, i) => (elems[node.type].float ? x * b[i] : Math.imul(x, b[i])));
// Of equal or unordered operands the first: what the one-instruction forms of the machines do, and Math.min does not.
// biome-ignore lint/complexity/useMathMinMax: see above
const lesser = (a: number, b: number): number => (b < a ? b : a);
// biome-ignore lint/complexity/useMathMinMax: see above
const greater = (a: number, b: number): number => (a < b ? b : a);
/** Of floats the first operand comes back when the second is not a number, so only a constant second operand bounds the result. */
const chosen =
  (f: (...x: number[]) => number): OpInfo["range"] =>
  ([a, b], { to }) =>
    elems[to.type].float && b.min !== b.max
      ? { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) }
      : { min: f(a.min, b.min), max: f(a.max, b.max) };

const f64 = new DataView(new ArrayBuffer(8));
/** a * b + c for f32 operands, rounded once. The product is exact in a double; the sum is rounded to odd so that the second rounding is right. */
function fusedMulAdd(a: number, b: number, c: number): number {
  const p = a * b;
  const s = p + c;
  if (!Number.isFinite(s)) return Math.fround(s);
  const t = s - p;
  const error = p - (s - t) + (c - t);
  if (error === 0) return Math.fround(s);
  f64.setFloat64(0, s);
  const low = f64.getUint32(4);
  if (low & 1) return Math.fround(s);
  const away = error > 0 === s > 0 ? 1 : -1; // towards the exact sum: to the neighbour with an odd last bit
  const bitsOf = f64.getBigUint64(0) + BigInt(away);
  f64.setBigUint64(0, bitsOf);
  return Math.fround(f64.getFloat64(0));
}

const roundEven = (x: number): number => {
  const f = Math.floor(x);
  const d = x - f;
  const up = d > 0.5 || (d === 0.5 && f % 2 !== 0) ? f + 1 : f;
  return up === 0 && x < 0 ? -0 : up;
};

/** `groups` neighbours of the byte or word products are added: an exact integer dot. */
const dot = (name: string, group: 2 | 4): OpInfo => ({
  name,
  shape: ([w, x]) => {
    const bytes = elems[w.type].size;
    const fits = w.lanes === x.lanes && elems[x.type].size === bytes && elems[x.type].signed && !elems[w.type].float;
    const words = bytes === 2 && !elems[w.type].signed; // no machine multiplies u16 by i16
    if (!fits || words || bytes * group > 4 || w.lanes % group)
      throw new TypeError(`${name} of ${w.type}x${w.lanes} and ${x.type}x${x.lanes}`);
    return { type: bytes * group === 2 ? "i16" : "i32", lanes: w.lanes / group };
  },
  range: r => {
    const one = corners((a, b) => a * b)(r);
    return { min: group * one.min, max: group * one.max };
  },
  meaning: ([w, x]) =>
    Array.from({ length: w.length / group }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < group; j++) sum += w[i * group + j] * x[i * group + j];
      return sum;
    }),
});

/** Halves are combined until one lane is left: lane i with lane i + n/2. The order is part of the meaning. */
const reduce = (name: string, f: (a: number, b: number) => number): OpInfo => ({
  name,
  shape: ([a]) => {
    if (a.lanes & (a.lanes - 1) || elems[a.type].size !== 4) throw new TypeError(`${name} needs 2^n lanes of 32 bits`);
    return { type: a.type, lanes: 1 };
  },
  range: ([r], { args }) => (name === "sum" ? { min: r.min * args[0].lanes, max: r.max * args[0].lanes } : r),
  meaning: ([a], node) => {
    let v = [...a];
    const { wrap } = elems[node.type];
    while (v.length > 1) v = v.slice(0, v.length / 2).map((x, i) => wrap(f(x, v[i + v.length / 2])));
    return v;
  },
});

const bytesOf = new DataView(new ArrayBuffer(512));
function reinterpret(lanes: readonly number[], from: Elem, to: Shape): number[] {
  const { size } = elems[from];
  lanes.forEach((x, i) => {
    if (from === "f32") bytesOf.setFloat32(4 * i, x, true);
    else for (let b = 0; b < size; b++) bytesOf.setUint8(size * i + b, x >>> (8 * b));
  });
  return Array.from({ length: to.lanes }, (_, i) => {
    if (to.type === "f32") return bytesOf.getFloat32(4 * i, true);
    let x = 0;
    for (let b = 0; b < elems[to.type].size; b++) x += bytesOf.getUint8(elems[to.type].size * i + b) * 2 ** (8 * b);
    return x;
  });
}

const leaf = (name: string): OpInfo => ({
  name,
  shape: asked,
  meaning: () => {
    throw new TypeError(`${name} has no meaning of its own`);
  },
});

const list: OpInfo[] = [
  leaf("const"), // attr: the value
  leaf("param"), // attr: the slot's position
  leaf("address"), // attr: the slot's position; an operand of loads and stores only
  leaf("offset"), // args: address, i32 bytes; an address again, made by passes
  leaf("index"), // loop counter
  leaf("carry"), // value carried by a fold, inside its body
  leaf("result"), // value carried by a fold, after its end
  leaf("load"), // args: address, byte index; attr: constant byte offset
  binary(
    "add",
    (a, b) => a + b,
    ([a, b]) => ({ min: a.min + b.min, max: a.max + b.max }),
  ),
  binary(
    "sub",
    (a, b) => a - b,
    ([a, b]) => ({ min: a.min - b.max, max: a.max - b.min }),
  ),
  { name: "mul", shape: same, range: corners((a, b) => a * b), meaning: mul },
  binary("div", (a, b) => a / b, undefined, floatOnly),
  {
    name: "quotient", // of i32 scalars that are not negative, rounded down; the divisor is not 0
    shape: args => {
      if (args[0].type !== "i32" || args[0].lanes !== 1) throw new TypeError("quotient needs i32 scalars");
      return same(args);
    },
    range: ([a]) => ({ min: 0, max: a.max }),
    meaning: lanewise((a, b) => Math.floor(a / b)),
  },
  binary("min", lesser, chosen(Math.min)),
  binary("max", greater, chosen(Math.max)),
  binary(
    "and",
    (a, b) => a & b,
    (r, n) => and(r, n.to.type),
    intOnly,
  ),
  binary(
    "or",
    (a, b) => a | b,
    (r, n) => bits(r) ?? fullRange(n.to.type),
    intOnly,
  ),
  binary(
    "xor",
    (a, b) => a ^ b,
    (r, n) => bits(r) ?? fullRange(n.to.type),
    intOnly,
  ),
  { name: "neg", shape: same, range: ([a]) => ({ min: -a.max, max: -a.min }), meaning: lanewise(a => -a) },
  { name: "abs", shape: same, range: ([a]) => ({ min: 0, max: Math.max(Math.abs(a.min), Math.abs(a.max)) }), meaning: lanewise(Math.abs) },
  { name: "sqrt", shape: floatOnly, meaning: lanewise(Math.sqrt) },
  { name: "nearest", shape: floatOnly, range: ([a]) => ({ min: roundEven(a.min), max: roundEven(a.max) }), meaning: lanewise(roundEven) },
  { name: "floor", shape: floatOnly, range: ([a]) => ({ min: Math.floor(a.min), max: Math.floor(a.max) }), meaning: lanewise(Math.floor) },
  // Shifts take their distance from attr. `shr` keeps the sign of signed types.
  {
    name: "shl",
    shape: shifted,
    range: ([a], { attr }) => ({ min: a.min * 2 ** attr, max: a.max * 2 ** attr }),
    meaning: (a, n) => a[0].map(x => x << n.attr),
  },
  {
    name: "shr",
    shape: shifted,
    range: ([a], { attr }) => ({ min: Math.floor(a.min / 2 ** attr), max: Math.floor(a.max / 2 ** attr) }),
    meaning: (a, n) => a[0].map(x => (elems[n.type].signed ? x >> n.attr : x >>> n.attr)),
  },
  compare("eq", (a, b) => a === b),
  compare("lt", (a, b) => a < b),
  compare("le", (a, b) => a <= b),
  {
    name: "select", // args: mask (all ones or zero in each lane; machines differ on others), value where set, value where not
    shape: ([m, a, b]) => {
      if (m.type !== maskOf(a.type) || m.lanes !== a.lanes) throw new TypeError(`mask ${m.type}x${m.lanes} for ${a.type}x${a.lanes}`);
      return same([a, b]);
    },
    range: ([, a, b]) => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) }),
    meaning: lanewise((m, a, b) => (m ? a : b)),
  },
  {
    name: "mulAdd", // a * b + c of vectors; a target rounds it once where it has the instruction (`fused`), else twice
    shape: args => {
      if (args[0].lanes < 4) throw new TypeError("mulAdd needs a vector; write mul and add for scalars");
      return floatOnly(args);
    },
    meaning: ([a, b, c], _, fused) => a.map((x, i) => (fused ? fusedMulAdd(x, b[i], c[i]) : Math.fround(x * b[i]) + c[i])),
  },
  {
    name: "convert", // integer widening, i32 <-> f32 (towards f32 rounds to even; towards i32 truncates and saturates, NaN gives 0)
    shape: ([a], to) => {
      if (!to || to.lanes !== a.lanes) throw new TypeError("convert keeps the lanes");
      const wide = elems[to.type].size >= elems[a.type].size;
      const ok = elems[to.type].float ? a.type === "i32" : elems[a.type].float ? to.type === "i32" : wide;
      if (!ok) throw new TypeError(`no conversion from ${a.type} to ${to.type}; narrow with saturate`);
      return to;
    },
    range: ([a], { args, to }) => {
      if (elems[to.type].float) return fullRange("f32");
      if (!elems[args[0].type].float) return a;
      return { min: Math.min(0, truncate(a.min)), max: Math.max(0, truncate(a.max)) };
    },
    meaning: (a, n) => a[0].map(x => (n.type === "i32" && n.args[0].type === "f32" ? truncate(x) : x)),
  },
  {
    name: "saturate", // narrowing of signed integers by clamping into the result type
    shape: ([a], to) => {
      const ok = to && to.lanes === a.lanes && elems[a.type].signed && !elems[a.type].float && elems[to.type].size < elems[a.type].size;
      if (!ok) throw new TypeError(`no saturation from ${a.type}x${a.lanes} to ${to?.type}x${to?.lanes}`);
      return to;
    },
    range: ([a], { to }) => {
      const clamp = (x: number): number => Math.min(elems[to.type].max, Math.max(elems[to.type].min, x));
      return { min: clamp(a.min), max: clamp(a.max) };
    },
    meaning: (a, n) => a[0].map(x => Math.min(elems[n.type].max, Math.max(elems[n.type].min, x))),
  },
  {
    name: "upper", // u16 into the upper half of a u32: a bfloat16 becomes the bits of its f32
    shape: ([a]) => {
      if (a.type !== "u16") throw new TypeError("upper needs u16");
      return { type: "u32", lanes: a.lanes };
    },
    range: ([a]) => ({ min: a.min * 65536, max: a.max * 65536 }),
    meaning: lanewise(a => a * 65536),
  },
  {
    name: "fromHalf", // IEEE half bits (finite: packing refuses others) to f32, exact
    shape: ([a]) => {
      if (a.type !== "u16") throw new TypeError("fromHalf needs u16");
      return { type: "f32", lanes: a.lanes };
    },
    meaning: lanewise(
      h => (h & 0x8000 ? -1 : 1) * ((h >> 10) & 31 ? (1 + (h & 1023) / 1024) * 2 ** (((h >> 10) & 31) - 15) : (h & 1023) * 2 ** -24),
    ),
  },
  {
    name: "as", // the same bits seen as another type
    shape: ([a], to) => {
      if (!to || a.lanes * elems[a.type].size !== to.lanes * elems[to.type].size) throw new TypeError("as keeps the number of bits");
      return to;
    },
    meaning: (a, n) => reinterpret(a[0], n.args[0].type, n),
  },
  dot("dot2", 2),
  dot("dot4", 4),
  {
    name: "repeat", // the same lanes one time after the other; of one lane: a splat
    shape: ([a], to) => {
      if (!to || to.type !== a.type || to.lanes % a.lanes) throw new TypeError(`${a.lanes} lanes do not repeat to ${to?.lanes}`);
      return to;
    },
    range: ([a]) => a,
    meaning: (a, n) => Array.from({ length: n.lanes }, (_, i) => a[0][i % a[0].length]),
  },
  {
    name: "slice", // lanes from attr on, which is a multiple of their number
    shape: ([a], to, first) => {
      const ok = to && to.type === a.type && Number.isInteger(first / to.lanes) && first >= 0 && first + to.lanes <= a.lanes;
      if (!ok) throw new TypeError(`no ${to?.lanes} lanes from lane ${first} of ${a.lanes}`);
      return to;
    },
    range: ([a]) => a,
    meaning: (a, n) => a[0].slice(n.attr, n.attr + n.lanes),
  },
  {
    name: "concat",
    shape: ([a, b]) => ({ type: same([a, b]).type, lanes: 2 * a.lanes }),
    range: ([a, b]) => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) }),
    meaning: ([a, b]) => [...a, ...b],
  },
  {
    name: "table", // sixteen constant bytes: the bytes of four i32 constants, lowest first; what `lookup` looks into
    shape: args => {
      if (args.length !== 4 || args.some(a => a.type !== "i32" || a.lanes !== 1)) throw new TypeError("table needs four i32 scalars");
      return { type: "u8", lanes: 16 };
    },
    range: words => {
      const bytes = reinterpret(
        words.map(w => w.min),
        "i32",
        { type: "u8", lanes: 16 },
      );
      return words.every(w => w.min === w.max) ? { min: Math.min(...bytes), max: Math.max(...bytes) } : fullRange("u8");
    },
    meaning: words => reinterpret(words.flat(), "i32", { type: "u8", lanes: 16 }),
  },
  {
    name: "lookup", // 16-entry table of bytes and one index a lane; from index 16 on the result is 0
    shape: ([t, i]) => {
      if (t.lanes !== 16 || elems[t.type].size !== 1 || i.type !== "u8") throw new TypeError("lookup needs 16 bytes and u8 indices");
      return { type: t.type, lanes: i.lanes };
    },
    range: ([t, i]) => (i.max < 16 ? t : { min: Math.min(0, t.min), max: Math.max(0, t.max) }),
    meaning: ([t, i]) => i.map(x => (x < 16 ? t[x] : 0)),
  },
  reduce("sum", (a, b) => a + b),
  reduce("greatest", greater),
];

function truncate(x: number): number {
  if (Number.isNaN(x)) return 0;
  return Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), Math.trunc(x)));
}

/** With a number that is not negative the result lies between 0 and that number. */
function and([a, b]: readonly Range[], type: Elem): Range {
  if (isMask(a) && isMask(b)) return { min: -1, max: 0 };
  if (b.min >= 0) return { min: 0, max: a.min >= 0 ? Math.min(a.max, b.max) : b.max };
  if (a.min >= 0) return { min: 0, max: a.max };
  return fullRange(type);
}

export const ops: ReadonlyMap<string, OpInfo> = new Map(list.map(op => [op.name, op]));
