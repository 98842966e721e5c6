/**
 * One table for all targets: every operation of the kernel language with every element type and width that the language gives it. A case
 * says how its operands look and what is done with them; `kernelOf` makes the kernel, conformance.test.ts runs it everywhere.
 * What no target is asked to do stands in skips.ts with a reason.
 */
import type { Kernel } from "../../src/ir/node.ts";
import { type AnyVal, dot2, dot4, kernel, konst, table } from "../../src/ir/trace.ts";
import { type Elem, elems, maskOf, type Range } from "../../src/ir/types.ts";
import { edges } from "./values.ts";

export interface Operand {
  readonly type: Elem;
  readonly lanes: number;
  /** Promised to the kernel, kept by the data. */
  readonly range?: Range;
  /** Exactly these values, over and over, instead of edges and random ones. */
  readonly values?: readonly number[];
}

export interface Case {
  readonly name: string;
  readonly op: string;
  readonly operands: readonly Operand[];
  readonly build: (...args: AnyVal[]) => AnyVal;
}

type Shape = { readonly type: Elem; readonly lanes: number };
const bytesOf = (s: Shape): number => s.lanes * elems[s.type].size;
const all: readonly Elem[] = ["i8", "u8", "i16", "u16", "i32", "u32", "f32"];
const ints = all.filter(t => t !== "f32");
const floats: readonly Elem[] = ["f32"];
const widths = [16, 32, 64, 128];
const vectors = (type: Elem): Shape[] => widths.map(w => ({ type, lanes: w / elems[type].size }));
const shapes = (type: Elem): Shape[] => [{ type, lanes: 1 }, ...vectors(type)];
const text = (s: Shape): string => `${s.type}x${s.lanes}`;
const rangeText = (r: Range | undefined): string => (r ? `_${r.min}_${r.max}`.replaceAll("-", "m") : "");

const list: Case[] = [];
const add = (op: string, detail: string, operands: readonly Operand[], build: Case["build"]): void => {
  list.push({ name: `${op}_${detail || operands.map(o => text(o) + rangeText(o.range)).join("_")}`, op, operands, build });
};
/** The same shape for every operand. */
const same = (op: string, types: readonly Elem[], arity: number, build: Case["build"], of = shapes): void => {
  for (const s of types.flatMap(of)) add(op, "", new Array(arity).fill(s), build);
};

// Lane by lane.
same("add", all, 2, (a, b) => a.add(b));
same("sub", all, 2, (a, b) => a.sub(b));
same("mul", ["i16", "u16", "i32", "u32", "f32"], 2, (a, b) => a.mul(b));
same(
  "mul",
  ["i8", "u8"],
  2,
  (a, b) => a.mul(b),
  type => [{ type, lanes: 1 }],
);
same("div", floats, 2, (a, b) => a.div(b));
same("min", all, 2, (a, b) => a.min(b));
same("max", all, 2, (a, b) => a.max(b));
same("and", ints, 2, (a, b) => a.and(b));
same("or", ints, 2, (a, b) => a.or(b));
same("xor", ints, 2, (a, b) => a.xor(b));
same("neg", all, 1, a => a.neg());
same("abs", all, 1, a => a.abs());
same("sqrt", floats, 1, a => a.sqrt());
same("nearest", floats, 1, a => a.nearest());
same("floor", floats, 1, a => a.floor());
same("eq", all, 2, (a, b) => a.eq(b));
same("lt", all, 2, (a, b) => a.lt(b));
same("le", all, 2, (a, b) => a.le(b));
same("mulAdd", floats, 3, (a, b, c) => a.mulAdd(b, c), vectors);
same("load", all, 1, a => a);
for (const s of ints.flatMap(shapes)) {
  const bits = 8 * elems[s.type].size;
  for (const by of [1, 3, bits / 2, bits - 1]) {
    add("shl", `${text(s)}_by${by}`, [s], a => a.shl(by));
    add("shr", `${text(s)}_by${by}`, [s], a => a.shr(by));
  }
}
for (const s of all.flatMap(shapes)) {
  const mask = { type: maskOf(s.type), lanes: s.lanes, range: { min: -1, max: 0 } };
  add("select", "", [mask, s, s], (m, a, b) => m.select(a, b));
}
const natural = { min: 0, max: 2 ** 31 - 1 };
add(
  "quotient",
  "",
  [
    { type: "i32", lanes: 1, range: natural },
    { type: "i32", lanes: 1, range: { min: 1, max: 2 ** 31 - 1 } },
  ],
  (a, b) => a.quotient(b),
);

// Scalars of 8 and 16 bits live in wider registers: what is above their bits must never be seen.
for (const type of ["i8", "u8", "i16", "u16"] as const) {
  const s = { type, lanes: 1 };
  const seen = (op: string, arity: number, build: Case["build"]): void =>
    add(op, `${type}_seen_as_i32`, new Array(arity).fill(s), (...args) => build(...args).to("i32"));
  seen("add", 2, (a, b) => a.add(b));
  seen("sub", 2, (a, b) => a.sub(b));
  seen("mul", 2, (a, b) => a.mul(b));
  seen("neg", 1, a => a.neg());
  seen("abs", 1, a => a.abs());
  seen("shl", 1, a => a.shl(3));
  seen("shr", 2, (a, b) => a.add(b).shr(2));
  seen("lt", 2, (a, b) => a.add(b).lt(b));
  for (const to of ["i8", "u8", "i16", "u16"] as const) {
    if (to === type) continue;
    if (elems[to].size >= elems[type].size) add("convert", `${type}_${to}_seen_as_i32`, [s], a => a.to(to).to("i32"));
    if (elems[to].size === elems[type].size) add("as", `${type}_${to}_seen_as_i32`, [s], a => a.as(to, 1).to("i32"));
  }
}

// Promised ranges: what the compiler then believes of the result must hold, and must not change it.
const promises: readonly Range[] = [
  { min: 0, max: 7 },
  { min: 3, max: 100 },
  { min: -9, max: 4 },
  { min: -128, max: -2 },
  { min: -1, max: 0 },
];
for (const type of all) {
  const fitting = promises.filter(r => r.min >= elems[type].min && r.max <= elems[type].max);
  const lanes = 16 / elems[type].size;
  for (const r of fitting) {
    const a = { type, lanes, range: r };
    add("neg", "", [a], x => x.neg());
    add("abs", "", [a], x => x.abs());
    if (type !== "f32") add("shr", `${type}${rangeText(r)}_by1`, [a], x => x.shr(1));
    if (type !== "f32") add("shl", `${type}${rangeText(r)}_by2`, [a], x => x.shl(2));
    for (const second of fitting) {
      const two = [a, { type, lanes, range: second }];
      add("add", "", two, (x, y) => x.add(y));
      add("sub", "", two, (x, y) => x.sub(y));
      if (elems[type].size > 1) add("mul", "", two, (x, y) => x.mul(y));
      add("min", "", two, (x, y) => x.min(y));
      add("max", "", two, (x, y) => x.max(y));
      if (type === "f32") continue;
      add("and", "", two, (x, y) => x.and(y));
      add("or", "", two, (x, y) => x.or(y));
      add("xor", "", two, (x, y) => x.xor(y));
    }
  }
}
for (const s of shapes("f32")) {
  add("convert", `${text(s)}_clamped`, [s], x => x.max(5).min(10).to("i32"));
  add("min", `${text(s)}_of_clamped`, [s, { ...s, range: { min: 0, max: 1 } }], (x, y) => x.min(y).max(-3));
  add("max", `${text(s)}_unordered`, [{ ...s, range: { min: 0, max: 1 } }, s], (x, y) => x.max(y.min(9)));
}

for (const by of [0.1, 0.3, 0.7, 1.1, 3.3, 1 / 3, 1e-7]) {
  // The ends of the interval are rounded as the values are.
  add("add", `f32_rounded_${list.length}`, [{ type: "f32", lanes: 4 }], x => x.max(-0.7).min(0.9).add(by));
  add("mul", `f32_rounded_${list.length}`, [{ type: "f32", lanes: 4 }], x => x.max(-0.7).min(0.9).mul(by));
}
add(
  "lookup",
  "i8_3_100",
  [
    { type: "i8", lanes: 16, range: { min: 3, max: 100 } },
    { type: "u8", lanes: 16 },
  ],
  (t, i) => t.lookup(i),
);

// Constants: stored as they are, and as the second operand of what simplifies.
for (const s of all.flatMap(t => shapes(t).slice(0, 2))) {
  edges(s.type).forEach((x, i) => {
    add("const", `${text(s)}_edge${i}`, [s], () => konst(s.type, s.lanes, x));
    add("add", `${text(s)}_const${i}`, [s], a => a.add(x).add(1));
    if (s.lanes === 1 || elems[s.type].size > 1) add("mul", `${text(s)}_const${i}`, [s], a => a.mul(x));
    add("min", `${text(s)}_const${i}`, [s], a => a.min(x));
    if (s.type !== "f32") add("and", `${text(s)}_const${i}`, [s], a => a.and(x));
  });
}

// Between types. A vector of 8 bytes exists only as a load that is widened at once.
const widenable = (type: Elem): Shape[] => [{ type, lanes: 1 }, { type, lanes: 8 / elems[type].size }, ...vectors(type)];
for (const from of all) {
  for (const to of all) {
    const ratio = elems[to].size / elems[from].size;
    const ok = to === "f32" ? from === "i32" : from === "f32" ? to === "i32" : ratio >= 1 && from !== to;
    if (!ok) continue;
    const fits = (s: Shape): boolean => s.lanes === 1 || (s.lanes * elems[to].size >= 16 && s.lanes * elems[to].size <= 256);
    for (const s of widenable(from).filter(fits)) add("convert", `${text(s)}_${to}`, [s], a => a.to(to));
  }
}
for (const [from, to] of [
  ["i32", "i16"],
  ["i32", "u16"],
  ["i32", "i8"],
  ["i32", "u8"],
  ["i16", "i8"],
  ["i16", "u8"],
] as [Elem, Elem][]) {
  for (const s of shapes(from).filter(s => s.lanes === 1 || s.lanes * elems[to].size >= 16)) {
    add("saturate", `${text(s)}_${to}`, [s], a => a.saturate(to));
    add("saturate", `${text(s)}_m5_300_${to}`, [{ ...s, range: { min: -5, max: 300 } }], a => a.saturate(to));
  }
}
const finiteHalves = Array.from({ length: 65536 }, (_, i) => i).filter(i => (i & 0x7c00) !== 0x7c00);
for (const s of [...widenable("u16").slice(0, -1)]) {
  add("upper", "", [s], a => a.upper());
  add("fromHalf", "", [{ ...s, values: s.lanes === 8 ? finiteHalves : finiteHalves.filter(i => i % 37 < 3) }], a => a.fromHalf());
}
for (const from of all) {
  for (const to of all) {
    if (from === to) continue;
    if (elems[from].size === elems[to].size) add("as", `${from}_${to}`, [{ type: from, lanes: 1 }], a => a.as(to, 1));
    for (const w of widths)
      add("as", `${text({ type: from, lanes: w / elems[from].size })}_${to}`, [{ type: from, lanes: w / elems[from].size }], a =>
        a.as(to, w / elems[to].size),
      );
  }
}

// Dots, with and without promises about the weights.
const activations = [undefined, { min: -127, max: 127 }];
const weights: readonly [Elem, Range | undefined][] = [
  ["u8", undefined],
  ["i8", undefined],
  ["u8", { min: 0, max: 15 }],
  ["u8", { min: 0, max: 127 }],
  ["u8", { min: 0, max: 128 }],
  ["i8", { min: 0, max: 127 }],
  ["i8", { min: -8, max: 7 }],
  ["i8", { min: -127, max: 127 }],
];
for (const w of widths) {
  for (const [type, range] of weights) {
    for (const promise of activations) {
      const operands = [
        { type, lanes: w, range },
        { type: "i8" as const, lanes: w, range: promise },
      ];
      add("dot2", "", operands, (a, b) => dot2(a, b));
      add("dot4", "", operands, (a, b) => dot4(a, b));
    }
  }
  const words = { type: "i16" as const, lanes: w / 2 };
  add("dot2", "", [words, words], (a, b) => dot2(a, b));
}

// Lanes. The scalars that are repeated come once from memory and once from arithmetic: the machine has a form for each.
for (const type of all) {
  const { size } = elems[type];
  for (const v of vectors(type)) {
    for (const at of new Set([0, 1, v.lanes - 1])) add("slice", `${text(v)}_lane${at}`, [v], a => a.slice(at, 1));
    for (const part of vectors(type).filter(p => p.lanes < v.lanes)) {
      for (const at of new Set([0, v.lanes - part.lanes]))
        add("slice", `${text(v)}_${text(part)}_${at}`, [v], a => a.slice(at, part.lanes));
    }
    add("repeat", `${text(v)}_load`, [{ type, lanes: 1 }], a => a.repeat(v.lanes));
    add("repeat", `${text(v)}_splat`, [{ type, lanes: 1 }], a => a.neg().repeat(v.lanes));
    for (const bytes of [2, 4, 8].filter(b => b > size)) {
      add("repeat", `${text(v)}_bytes${bytes}`, [{ type, lanes: bytes / size }], a => a.repeat(v.lanes));
    }
    if (bytesOf(v) < 128) add("repeat", `${text(v)}_twice`, [v], a => a.repeat(2 * v.lanes));
    if (bytesOf(v) < 128) add("concat", "", [v, v], (a, b) => a.concat(b));
  }
}
for (const [from, to] of [
  ["i8", "i16"],
  ["u8", "u16"],
  ["u8", "i16"],
  ["i16", "i32"],
  ["u16", "u32"],
  ["u16", "i32"],
] as [Elem, Elem][]) {
  const v = vectors(from)[0];
  const half = v.lanes / 2;
  for (const at of [0, half]) add("slice", `${text(v)}_half${at}_${to}`, [v], a => a.slice(at, half).to(to));
}
for (const at of [0, 4]) {
  add("slice", `u16x8_half${at}_upper`, [{ type: "u16", lanes: 8 }], a => a.slice(at, 4).upper());
  add("slice", `u16x8_half${at}_fromHalf`, [{ type: "u16", lanes: 8, values: finiteHalves.slice(0, 4096) }], a =>
    a.slice(at, 4).fromHalf(),
  );
}
for (const type of ["i8", "u8"] as const) {
  for (const w of widths) {
    for (const range of [undefined, { min: 0, max: 15 }, { min: 0, max: 16 }]) {
      add(
        "lookup",
        "",
        [
          { type, lanes: 16 },
          { type: "u8", lanes: w, range },
        ],
        (t, i) => t.lookup(i),
      );
    }
  }
}
for (const bytes of [
  Array.from({ length: 16 }, (_, i) => (i * 37 + 200) & 255),
  Array.from({ length: 16 }, (_, i) => i * 8),
  new Array(16).fill(7),
]) {
  for (const w of widths) add("table", `u8x${w}_of_${bytes[1]}`, [{ type: "u8", lanes: w }], i => table(bytes).lookup(i.and(15)));
}
for (const s of (["i32", "u32", "f32"] as const).flatMap(shapes)) {
  add("sum", "", [s], a => a.sum());
  add("greatest", "", [s], a => a.greatest());
}

export const cases: readonly Case[] = list;

/** Slots: one `in` per operand, then `out`. Grid unit u takes the u-th value of every operand and stores the u-th result. */
export function kernelOf(c: Case): Kernel {
  return kernel(c.name, s => {
    const sources = c.operands.map((_, i) => s.in(`in${i}`));
    const out = s.out("out");
    return unit => {
      const args = c.operands.map((o, i) => sources[i].load(o.type, o.lanes, unit.mul(bytesOf(o)), o.range) as AnyVal);
      const result = c.build(...args);
      out.store(unit.mul(bytesOf(result.node)), result);
    };
  });
}
