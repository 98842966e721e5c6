/** What must fail while a kernel is traced, with an error at the author's line; and small programs that show what tracing promises. */
import { describe, expect, it } from "vitest";
import { newScope } from "../../src/ir/build.ts";
import { type AnyVal, type Bytes, dot2, dot4, each, fold, int, kernel, konst, type Val, when } from "../../src/ir/trace.ts";
import { interpret } from "../../src/target/interp/interp.ts";

/** Traces a body that has a slot to read and one to write. */
const traced = (body: (input: Bytes, out: Bytes, unit: Val<"i32", 1>) => void) =>
  kernel("must_fail", s => {
    const [input, out] = [s.in("input"), s.out("out")];
    return unit => body(input, out, unit);
  });
const v = (type: "u8" | "i8" | "i16" | "u16" | "i32" | "f32", lanes: number): AnyVal => konst(type, lanes, 1);
/** Not a constant, so that nothing is folded. */
const loaded = (input: Bytes, type: "u8" | "i8" | "i16" | "u16" | "i32" | "f32", lanes: number): AnyVal => input.load(type, lanes, 0);

const failing: readonly (readonly [string, (input: Bytes, out: Bytes, unit: Val<"i32", 1>) => void, RegExp])[] = [
  ["mixed lanes", () => v("f32", 4).add(v("f32", 8)), /add: f32x4 does not go with f32x8/],
  ["mixed types", () => v("i8", 16).max(v("u8", 16)), /max: i8x16 does not go with u8x16/],
  ["a bitwise operation on floats", () => v("f32", 4).and(v("f32", 4)), /and: needs an integer/],
  ["a division of integers", () => v("i32", 4).div(v("i32", 4)), /div: needs f32/],
  ["a scalar mulAdd", () => v("f32", 1).mulAdd(v("f32", 1), v("f32", 1)), /mulAdd needs a vector/],
  ["a shift by the whole width", i => loaded(i, "i32", 4).shl(32), /shl: distance 32/],
  ["a shift by a fraction", i => loaded(i, "i32", 4).shr(0.5), /shr: distance 0.5/],
  ["a shift of floats", i => loaded(i, "f32", 4).shl(1), /shl: needs an integer/],
  ["a mask of the wrong type", i => v("i8", 4).select(loaded(i, "f32", 4), v("f32", 4)), /select: mask i8x4 for f32x4/],
  ["a narrowing conversion", () => v("i32", 4).to("i16"), /convert: no conversion from i32 to i16; narrow with saturate/],
  ["bytes straight to floats", () => v("u8", 4).to("f32"), /no conversion from u8 to f32/],
  ["saturation of unsigned words", i => loaded(i, "u16", 16).saturate("u8"), /no saturation from u16x16 to u8x16/],
  ["saturation to a wider type", i => loaded(i, "i16", 8).saturate("i32"), /no saturation/],
  ["as with another number of bits", i => loaded(i, "u8", 16).as("u16", 16), /as keeps the number of bits/],
  ["a lookup in eight entries", i => loaded(i, "u8", 8).lookup(loaded(i, "u8", 16)), /lookup needs 16 bytes/],
  ["a dot with unsigned activations", i => dot4(loaded(i, "u8", 16), loaded(i, "u8", 16)), /dot4 of u8x16 and u8x16/],
  ["a dot of unsigned words", i => dot2(loaded(i, "u16", 8), loaded(i, "i16", 8)), /dot2 of u16x8/],
  ["a dot of four words", i => dot4(loaded(i, "i16", 8), loaded(i, "i16", 8)), /dot4 of i16x8/],
  ["a half of bytes", i => loaded(i, "u8", 8).fromHalf(), /fromHalf needs u16/],
  ["a sum of bytes", i => loaded(i, "u8", 16).sum(), /sum needs 2\^n lanes of 32 bits/],
  ["a slice that is not aligned", i => loaded(i, "f32", 8).slice(2, 4), /slice: no 4 lanes from lane 2 of 8/],
  ["a slice beyond the end", i => loaded(i, "f32", 8).slice(8, 4), /slice: no 4 lanes from lane 8/],
  ["a repeat to fewer lanes", i => loaded(i, "f32", 8).repeat(4), /repeat: 8 lanes do not repeat to 4/],
  ["three lanes", i => loaded(i, "f32", 3), /3 lanes: must be a power of two/],
  ["a store to a slot that is read", i => i.store(0, v("f32", 4)), /only read; declare it with out\(\)/],
  ["JavaScript +", (_, __, unit) => `${unit}` + 1, /no JavaScript value; write a\.add\(b\)/],
  ["JavaScript <", (_, __, unit) => (unit as unknown as number) < 3, /no JavaScript value/],
  ["a carried value that changes its lanes", () => fold(3, [v("f32", 4)], () => [v("f32", 8)]), /carried value 0 changes its type/],
  ["a carried value that changes its type", () => fold(3, [v("f32", 4)], () => [v("i32", 4)]), /carried value 0 changes its type/],
  ["a carried value that is missing", () => fold(3, [v("f32", 4), v("f32", 4)], (_, [a]) => [a]), /is missing/],
  ["a carried value too many", () => fold(3, [v("f32", 4)], (_, [a]) => [a, a]), /changes its type or is missing/],
  ["a kernel inside a kernel", () => kernel("inner", () => () => {}), /cannot be traced inside another/],
];

describe("must fail", () => {
  it.each(failing)("%s", (_, body, message) => {
    const attempt = () => traced(body);
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
    // A failed trace leaves nothing behind.
    expect(() => traced(() => {})).not.toThrow();
  });

  it("a value of a loop that has ended", () => {
    const leak = (use: (leaked: AnyVal, out: Bytes) => void) => () =>
      traced((input, out) => {
        let leaked: AnyVal = int(0);
        each(0, 4, i => {
          leaked = input.load("f32", 4, i.mul(16));
        });
        use(leaked, out);
      });
    expect(leak(x => x.neg())).toThrow(/used outside its loop/);
    expect(leak((x, out) => out.store(0, x))).toThrow(/used outside its loop/);
    expect(leak((x, out) => out.load("i32", 1, x.as("i32", 4).slice(0, 1)))).toThrow(/used outside its loop/);
  });

  it("a value outside tracing, or of another kernel", () => {
    let kept: AnyVal | undefined;
    traced((_, __, unit) => {
      kept = unit;
    });
    expect(() => kept!.add(1)).toThrow("kernel values exist only while a kernel is being traced");
    expect(() => konst("i32", 1, 0)).toThrow("only while a kernel is being traced");
    expect(() => each(0, 1, () => {})).toThrow("only while a kernel is being traced");
    expect(() => traced((_, out) => out.store(0, kept!))).toThrow(/outside its loop or its kernel/);
    expect(() => traced(() => kept!.add(kept!))).toThrow(/outside its loop or its kernel/);
  });
});

describe("tracing", () => {
  const run = (k: ReturnType<typeof traced>, bytes: number, ...args: number[]): Int32Array => {
    const memory = new ArrayBuffer(bytes);
    new Int32Array(memory).forEach((_, i, all) => {
      all[i] = i;
    });
    interpret(k, memory, { fused: false })(0, 1, ...args);
    return new Int32Array(memory);
  };
  it("`when` takes masks and counts", () => {
    const k = traced((input, out) => {
      for (let i = 0; i < 4; i++) when(input.load("i32", 1, 4 * i), () => out.store(4 * i, konst("i32", 1, 100)));
      when(input.load("i32", 1, 8).lt(3), () => out.store(16, konst("i32", 1, 100)));
      when(input.load("i32", 1, 8).lt(2), () => out.store(20, konst("i32", 1, 100)));
    });
    expect([...run(k, 64, 0, 32).slice(8, 14)]).toEqual([8, 100, 100, 100, 100, 13]);
  });
  it("indices may be negative", () => {
    const k = traced((input, out) => out.store(int(-4), input.load("i32", 1, int(-8))));
    expect(run(k, 64, 32, 16)[3]).toBe(6);
  });
  it("memory that is written is read again, other memory once", () => {
    const k = traced((input, out) => {
      const before = out.load("i32", 1, 0);
      out.store(0, before.add(5));
      out.store(4, out.load("i32", 1, 0));
      expect(input.load("i32", 1, 0).node).toBe(input.load("i32", 1, 0).node);
    });
    expect([...run(k, 64, 0, 32).slice(8, 10)]).toEqual([13, 13]);
  });
  it("fold carries several values at once", () => {
    const k = traced((_, out) => {
      const [a, b] = fold(10, [int(0), int(1)], (_i, [x, y]) => [y, x.add(y)]);
      out.store(0, a);
      out.store(4, b);
    });
    expect([...run(k, 16, 0, 0).slice(0, 2)]).toEqual([55, 89]);
  });
  it("scopes see outwards only", () => expect(newScope(newScope(undefined)).depth).toBe(1));
});
