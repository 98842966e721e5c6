/**
 * Expressions that must become certain instructions, and others that must not: the reason why ranges and patterns exist. Each is also run,
 * and must give what the interpreter gives.
 */
import { describe, expect, it } from "vitest";
import { type AnyVal, dot4 } from "../../src/ir/trace.ts";
import type { Elem, Range } from "../../src/ir/types.ts";
import { type Case, kernelOf, type Operand } from "./cases.ts";
import { expected, prepare } from "./data.ts";
import { targets } from "./targets.ts";
import { firstDifference, read, shown } from "./values.ts";

/** How often each instruction occurs in the listing: exactly, or `some` for at least once; 0 forbids it. */
type Required = Readonly<Record<string, number | "some">>;

interface Row {
  readonly says: string;
  readonly operands: readonly Operand[];
  readonly build: Case["build"];
  readonly relaxed: Required;
  /** Without relaxed SIMD; missing: the same. */
  readonly plain?: Required;
}

const v = (type: Elem, lanes: number, min?: number, max?: number): Operand => ({
  type,
  lanes,
  range: min === undefined ? undefined : ({ min, max } as Range),
});
const activations = v("i8", 16, -127, 127);
const relaxedDot = "i16x8.relaxed_dot_i8x16_i7x16_s";
const wideDot = "i32x4.dot_i16x8_s";
/** Neighbouring operands multiplied and summed. */
const sumOfDots = (...args: AnyVal[]): AnyVal => {
  const dots: AnyVal[] = [];
  for (let i = 0; i < args.length; i += 2) dots.push(dot4(args[i], args[i + 1]));
  return dots.reduce((a, b) => a.add(b));
};
const times = <T>(n: number, ...list: T[]): T[] => Array.from({ length: n }, () => list).flat();

const dots: Row[] = [
  {
    says: "nibbles by activations: pair dots, added in 16 bits, widened once",
    operands: [v("u8", 16), activations, v("u8", 16), activations],
    build: (w, x, u, y) =>
      dot4(w.and(15), x)
        .add(dot4(w.shr(4), y))
        .add(dot4(u.and(15), x))
        .add(dot4(u.shr(4), y)),
    relaxed: { [relaxedDot]: 4, [wideDot]: 1, "i16x8.add": 3, "i16x8.mul": 0 },
    plain: { [relaxedDot]: 0, [wideDot]: "some" },
  },
  {
    says: "eight nibble dots still fit 16 bits",
    operands: times(8, v("u8", 16, 0, 15), activations),
    build: sumOfDots,
    relaxed: { [relaxedDot]: 8, [wideDot]: 1 },
  },
  {
    says: "the ninth begins a new sum",
    operands: times(9, v("u8", 16, 0, 15), activations),
    build: sumOfDots,
    relaxed: { [relaxedDot]: 9, [wideDot]: 2, "i32x4.add": 1 },
  },
  {
    says: "an accumulator is added to once",
    operands: [v("i32", 4), ...times(2, v("u8", 16, 0, 15), activations)],
    build: (acc, ...rest) => acc.add(sumOfDots(...rest)),
    relaxed: { [relaxedDot]: 2, [wideDot]: 1, "i32x4.add": 1 },
  },
  {
    says: "weights up to 127 fit one pair and no sum",
    operands: times(2, v("u8", 16, 0, 127), activations),
    build: sumOfDots,
    relaxed: { [relaxedDot]: 2, [wideDot]: 2, "i16x8.add": 0 },
  },
  {
    says: "weights of 0 .. 255 never use the pair dot",
    operands: [v("u8", 16), activations],
    build: (w, x) => dot4(w, x),
    relaxed: { [relaxedDot]: 0, [wideDot]: "some" },
  },
  {
    says: "nor do weights that may be 128",
    operands: [v("u8", 16, 0, 128), v("i8", 16, -3, 3)], // though no sum overflows: the machine may take them as signed
    build: (w, x) => dot4(w, x),
    relaxed: { [relaxedDot]: 0 },
  },
  {
    says: "nor signed weights",
    operands: [v("i8", 16, -8, 7), activations],
    build: (w, x) => dot4(w, x),
    relaxed: { [relaxedDot]: 0 },
  },
];

const loads: Row[] = [
  ...([1, 2, 4, 8] as const).map(n => ({
    says: `a repeated load of ${n} bytes is a splat`,
    operands: [v("u8", n)],
    build: (a: AnyVal) => a.repeat(32),
    relaxed: { [`v128.load${8 * n}_splat`]: 1, "v128.load": 0, "i8x16.splat": 0, "v128.store": 2 },
  })),
  {
    says: "so is a repeated float",
    operands: [v("f32", 1)],
    build: a => a.repeat(8),
    relaxed: { "v128.load32_splat": 1, "f32x4.splat": 0 },
  },
  {
    says: "eight signed bytes widen in the load",
    operands: [v("i8", 8)],
    build: a => a.to("i16"),
    relaxed: { "i16x8.load8x8_s": 1, "v128.load": 0 },
  },
  {
    says: "and go on to 32 bits in halves",
    operands: [v("u8", 8)],
    build: a => a.to("i32"),
    relaxed: { "i16x8.load8x8_u": 1, "i32x4.extend_low_i16x8_u": 1, "i32x4.extend_high_i16x8_u": 1 },
  },
  { says: "four words widen in the load", operands: [v("u16", 4)], build: a => a.to("u32"), relaxed: { "i32x4.load16x4_u": 1 } },
  { says: "bfloat16 loads and shifts", operands: [v("u16", 4)], build: a => a.upper(), relaxed: { "i32x4.load16x4_u": 1, "i32x4.shl": 1 } },
  {
    says: "the constant part of an index rides in the instruction",
    operands: [v("u8", 16)],
    build: a => a.add(a),
    relaxed: { "v128.load 0": 1, "i32.add": "some" },
  },
];

const rest: Row[] = [
  {
    says: "mulAdd is one instruction where it is fused",
    operands: times(3, v("f32", 4)),
    build: (a, b, c) => a.mulAdd(b, c),
    relaxed: { "f32x4.relaxed_madd": 1, "f32x4.mul": 0 },
    plain: { "f32x4.relaxed_madd": 0, "f32x4.mul": 1, "f32x4.add": 1 },
  },
  {
    says: "lookups with indices known to be small need no clamping",
    operands: [v("i8", 16), v("u8", 16)],
    build: (t, i) => t.lookup(i.and(15)),
    relaxed: { "i8x16.relaxed_swizzle": 1 },
    plain: { "i8x16.swizzle": 1 },
  },
  {
    says: "others keep it",
    operands: [v("i8", 16), v("u8", 16)],
    build: (t, i) => t.lookup(i),
    relaxed: { "i8x16.swizzle": 1, "i8x16.relaxed_swizzle": 0 },
  },
  {
    says: "a mask that keeps every bit vanishes",
    operands: [v("u8", 16)],
    build: a => a.shr(4).and(15),
    relaxed: { "v128.and": 1 }, // the one inside the byte shift
  },
  {
    says: "nothing is added",
    operands: [v("i32", 4)],
    build: a => a.add(0).shl(0).sub(0).mul(1),
    relaxed: { "i32x4.add": 0, "i32x4.mul": 0, "i32x4.shl": 0 },
  },
  {
    says: "scalar products with powers of two are shifts",
    operands: [v("i32", 1)],
    build: a => a.mul(64),
    relaxed: { "i32.mul": 0, "i32.shl": "some" },
  },
  {
    says: "saturation packs two registers",
    operands: [v("i16", 16)],
    build: a => a.saturate("i8"),
    relaxed: { "i8x16.narrow_i16x8_s": 1 },
  },
  {
    says: "float maximum takes the first of equals",
    operands: times(2, v("f32", 4)),
    build: (a, b) => a.max(b),
    relaxed: { "f32x4.pmax": 1 },
  },
  {
    says: "equal expressions are computed once",
    operands: times(2, v("f32", 4)),
    build: (a, b) => a.mul(b).add(a.mul(b)),
    relaxed: { "f32x4.mul": 1, "f32x4.add": 1 },
  },
  {
    says: "results that nobody uses are not computed",
    operands: times(2, v("f32", 4)),
    build: (a, b) => {
      a.div(b);
      return a;
    },
    relaxed: { "f32x4.div": 0, "v128.load": 1 },
  },
];

const count = (listing: readonly string[], what: string): number =>
  listing.filter(line => (what.includes(" ") ? line.trim() === what : line.trim().split(" ")[0] === what)).length;

describe.each(targets.filter(t => !t.missing && t.name.startsWith("wasm")).map(t => [t.name, t] as const))("%s", (name, target) => {
  it.each([...dots, ...loads, ...rest].map(row => [row.says, row] as const))("%s", (says, row) => {
    const c: Case = { name: "become", op: "become", operands: row.operands, build: row.build };
    const kernel = kernelOf(c);
    const listing = target.listing(kernel);
    const required = name.includes("relaxed") ? row.relaxed : (row.plain ?? row.relaxed);
    for (const [what, often] of Object.entries(required)) {
      const found = count(listing, what);
      // Without pair dots a row about them only says that they do not appear.
      if (!name.includes("relaxed") && !row.plain && dots.includes(row)) expect(count(listing, relaxedDot), says).toBe(0);
      else if (often === "some") expect(found, `${what} in\n${listing.join("\n")}`).toBeGreaterThan(0);
      else expect(found, `${what} in\n${listing.join("\n")}`).toBe(often);
    }
    const launched = prepare(c, kernel);
    const memory = launched.memory.slice();
    target.compile([kernel])(kernel.name, memory, 0, launched.units, launched.args);
    const got = read(memory, launched.out.at, launched.out.type, launched.out.count);
    const want = expected(kernel, launched, target.fused);
    const at = firstDifference(want, got);
    if (at >= 0) expect.fail(`value ${at} is ${shown(got[at])}, must be ${shown(want[at])}`);
  });
});
