/** What is learnt of the time of steps, held against made-up machines whose times are known. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type StepSize, StepTime } from "../../src/api/step-time.ts";

/** Milliseconds on a machine: a constant, each token, each row, each 1,000 tokens looked back at. */
const machine =
  ([base, token, row, past]: readonly number[]) =>
  ({ tokens, rows, context }: StepSize): number =>
    base + token * tokens + row * rows + (past * context) / 1000;

const answers = (n: number, past: number): StepSize => ({ tokens: n, rows: n, context: n * past });
const prompt = (n: number, past: number): StepSize => ({ tokens: n, rows: 1, context: n * past + (n * n) / 2 });

const rates = fc.tuple(
  fc.double({ min: 1, max: 50, noNaN: true }),
  fc.double({ min: 0.1, max: 10, noNaN: true }),
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.double({ min: 0.01, max: 1, noNaN: true }),
);

describe("the time of a step", () => {
  it("is 0, and a prompt goes whole, before anything is known", () => {
    const time = new StepTime();
    expect(time.predict(prompt(64, 0))).toBe(0);
    expect(time.tokensWithin(1, answers(4, 0), 0, 4, 64)).toBe(64);
  });

  it("is learnt on any machine, and prompts are cut by it", () => {
    fc.assert(
      fc.property(rates, of => {
        const ms = machine(of);
        const time = new StepTime();
        for (let i = 0; i < 40; i++) {
          for (const size of [prompt(64, 64 * i), prompt(8 + i, 20 * i), answers(1 + (i % 8), 100 + i)]) time.observe(size, ms(size));
        }
        for (const size of [prompt(32, 500), answers(6, 300), prompt(64, 2000)]) {
          expect(time.predict(size) / ms(size)).toBeGreaterThan(0.9);
          expect(time.predict(size) / ms(size)).toBeLessThan(1.1);
        }
        const around = answers(4, 200);
        const limit = 2 * ms(around);
        const n = time.tokensWithin(limit, around, 400, 1, 64);
        const whole = { tokens: 4 + n, rows: 5, context: around.context + n * 400 + (n * n) / 2 };
        if (n > 1) expect(ms(whole)).toBeLessThan(1.1 * limit);
        if (n < 62) expect(ms({ ...whole, tokens: 6 + n, context: whole.context + 2 * (401 + n) })).toBeGreaterThan(0.9 * limit);
      }),
    );
  });

  it("of long prompts is still known after thousands of steps without one", () => {
    const ms = machine([35, 5, 0.5, 0.05]);
    const time = new StepTime();
    for (let i = 0; i < 20; i++) time.observe(prompt(64, 64 * i), ms(prompt(64, 64 * i)));
    for (let i = 0; i < 5000; i++) time.observe(answers(1 + (i % 4), i % 900), ms(answers(1 + (i % 4), i % 900)));
    expect(time.predict(prompt(64, 500)) / ms(prompt(64, 500))).toBeCloseTo(1, 1);
  });

  it("is never negative, and one step that was held up changes little", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 64 }), fc.double({ min: 0, max: 1e6, noNaN: true })), { maxLength: 60 }),
        steps => {
          const time = new StepTime();
          for (const [n, taken] of steps) time.observe(prompt(n, 10 * n), taken);
          for (const n of [1, 8, 64]) expect(time.predict(answers(n, 100))).toBeGreaterThanOrEqual(0);
        },
      ),
    );
    const ms = machine([30, 5, 0.5, 0.05]);
    const time = new StepTime();
    for (let i = 0; i < 200; i++) time.observe(answers(1 + (i % 8), 100), ms(answers(1 + (i % 8), 100)));
    time.observe(answers(4, 100), 60_000);
    expect(time.predict(answers(4, 100)) / ms(answers(4, 100))).toBeLessThan(1.5);
  });

  it("follows a machine that becomes slower", () => {
    const time = new StepTime();
    for (let i = 0; i < 200; i++) time.observe(answers(1 + (i % 8), 100), machine([30, 5, 0, 0])(answers(1 + (i % 8), 100)));
    for (let i = 0; i < 300; i++) time.observe(answers(1 + (i % 8), 100), machine([90, 15, 0, 0])(answers(1 + (i % 8), 100)));
    expect(time.predict(answers(4, 100)) / 150).toBeCloseTo(1, 1);
  });
});
