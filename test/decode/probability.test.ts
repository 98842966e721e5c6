/** The table's exponential and the sums over it against Math.exp, and where they end. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expMinus, logSumExp, maximum, weightSum } from "../../src/decode/probability.ts";

describe("expMinus", () => {
  it("is e^-d to 1e-12", () => {
    let worst = 0;
    for (let d = 0; d < 40; d += 1 / 3001) worst = Math.max(worst, Math.abs(expMinus(d) / Math.exp(-d) - 1));
    expect(worst).toBeLessThan(1e-12);
  });

  it("is 1 at 0, 0 from 40 on, NaN for NaN, and never rises", () => {
    expect([0, 40, 1e9, Infinity, Number.NaN].map(expMinus)).toEqual([1, 0, 0, 0, Number.NaN]);
    const falling = Array.from({ length: 40 * 1024 }, (_, i) => expMinus(i / 1024));
    expect(falling.findIndex((w, i) => w > falling[i - 1])).toBe(-1);
  });
});

describe("sums", () => {
  const vector = fc.array(fc.oneof(fc.double({ min: -90, max: 90, noNaN: true }), fc.constant(-Infinity)), { minLength: 1, maxLength: 50 });

  it("are those of float64", () => {
    fc.assert(
      fc.property(vector, values => {
        const logits = Float32Array.from(values);
        const top = Math.max(...logits);
        fc.pre(top > -Infinity);
        const sum = logits.reduce((s, v) => s + Math.exp(v - top), 0);
        expect(maximum(logits, logits.length) === top).toBe(true); // 0 and -0 are equal
        expect(Math.abs(weightSum(logits, logits.length, top) / sum - 1)).toBeLessThan(1e-11);
        expect(Math.abs(logSumExp(logits) - (top + Math.log(sum)))).toBeLessThan(1e-11);
      }),
    );
  });

  it("look at the first values only", () => expect(maximum(Float32Array.of(1, 2, 3, 4, 5, 99), 5)).toBe(5));

  it("end where the logits do", () => {
    expect(logSumExp(Float32Array.of())).toBe(-Infinity);
    expect(logSumExp(Float32Array.of(-Infinity, -Infinity))).toBe(-Infinity);
    expect(logSumExp(Float32Array.of(1, Number.NaN, 3))).toBeNaN();
    expect(logSumExp(Float32Array.of(Number.NaN, 3))).toBeNaN();
    expect(logSumExp(Float32Array.of(1, Infinity, 3))).toBe(Infinity);
    expect(logSumExp(Float32Array.of(-Infinity, -3e38))).toBeCloseTo(Math.fround(-3e38), -25);
  });
});
