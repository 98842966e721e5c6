/** The kernel language's own exponential function: its error over a dense sweep, its ends, and what becomes of strange operands. */
import { describe, expect, it } from "vitest";
import { kernel } from "../../src/ir/trace.ts";
import { exp, silu } from "../../src/kernels/math.ts";
import { compiled, everywhere, floatsAt, Image, runOn } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";

/** Slots: x, out. Grid: stretches of 16 values. */
const unary = (name: string, f: typeof exp) =>
  kernel(name, s => {
    const [x, out] = [s.in("x"), s.out("out")];
    return unit => out.store(unit.mul(64), f(x.load("f32", 16, unit.mul(64))));
  });
const [expKernel, siluKernel] = [unary("exp", exp), unary("silu", silu)];

function apply(k: typeof expKernel, values: Float32Array): { machine: string; fused: boolean; y: Float32Array }[] {
  const image = new Image();
  const args = [image.put(values), image.space(values.byteLength)];
  return compiled.map(m => {
    const { machine, memory } = runOn(m, k, image, values.length / 16, args);
    return { machine, fused: m.fused, y: floatsAt(memory, args[1], values.length) };
  });
}

/** Distance of f32 numbers around x. */
const ulp = (x: number): number => 2 ** Math.max(-149, Math.floor(Math.log2(Math.abs(x))) - 23);

/** The interval in even steps, both ends in, and everything near the places where the reduction changes its multiple of ln 2. */
function sweep(): Float32Array {
  const values: number[] = [];
  for (let i = 0; i < 2 ** 19; i++) values.push(-87 + (175 * i) / (2 ** 19 - 1));
  for (let n = -126; n < 127; n++) for (let i = -40; i < 40; i++) values.push((n + 0.5) * Math.LN2 + i * 2 ** -22);
  const random = new Random(51);
  for (let i = 0; i < 2 ** 17; i++) values.push((random.bits() & 1 ? -1 : 1) * 2 ** (-26 * random.unit() + 4));
  const inside = values.filter(x => x >= -87 && x <= 88);
  return Float32Array.from(inside.slice(0, inside.length - (inside.length % 16)));
}

describe("exp", () => {
  it("is within one unit in the last place from -87 to 88, or one and a quarter where mulAdd rounds twice", () => {
    const x = sweep();
    for (const { machine, fused, y } of apply(expKernel, x)) {
      let worst = 0;
      let at = 0;
      x.forEach((v, i) => {
        const true_ = Math.exp(v);
        const off = Math.abs(y[i] - true_) / ulp(true_);
        if (off > worst) [worst, at] = [off, v];
      });
      expect(worst, `${machine}: ${worst} units at ${at}`).toBeLessThanOrEqual(fused ? 1 : 1.25);
      expect(worst).toBeGreaterThan(0.5); // nothing that rounds is exact; else the sweep would see nothing
    }
  });

  it("is exactly 1 at 0 and grows with its operand, but for its error", () => {
    const x = Float32Array.from({ length: 4096 }, (_, i) => (i - 2048) / 32);
    for (const { y } of apply(expKernel, x)) {
      expect(y[2048]).toBe(1);
      expect([...y].slice(1).every((v, i) => v > y[i])).toBe(true);
    }
  });

  it("stands still beyond its ends", () => {
    const x = Float32Array.from({ length: 16 }, (_, i) => [-87, -87.5, -1e30, -Infinity, 88, 88.1, 1e30, Infinity][i % 8]);
    for (const { y } of apply(expKernel, x)) {
      for (const v of y.subarray(0, 4)) expect(v).toBe(y[0]);
      for (const v of y.subarray(4, 8)) expect(v).toBe(y[4]);
      expect(Math.abs(y[0] / Math.exp(-87) - 1)).toBeLessThan(2 ** -22);
      expect(Math.abs(y[4] / Math.exp(88) - 1)).toBeLessThan(2 ** -22);
    }
  });

  it("is what the interpreter does", () => {
    const image = new Image();
    const x = Float32Array.from(sweep().filter((_, i) => i % 401 === 0)).subarray(0, 1024);
    everywhere(expKernel, image, 64, [image.put(x), image.space(4096)]);
    everywhere(siluKernel, image, 64, [image.put(x), image.space(4096)]);
  });
});

describe("silu", () => {
  it("keeps not-a-number and infinity visible, so that a broken model cannot look whole", () => {
    const x = new Float32Array(16).fill(Number.NaN);
    x[1] = Number.POSITIVE_INFINITY;
    for (const { y } of apply(siluKernel, x)) {
      expect(y[0]).toBeNaN();
      expect(y[1]).toBe(Number.POSITIVE_INFINITY);
    }
  });
});
