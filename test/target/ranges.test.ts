/**
 * Ranges decide legality: whatever the promised ranges of weights and activations, and however many dots are summed, the code for the machine
 * that multiplies bytes in pairs gives the exact 32-bit sum. Weights and activations sit at the ends of their ranges, where lanes overflow.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { dot4, kernel } from "../../src/ir/trace.ts";
import type { Elem } from "../../src/ir/types.ts";
import { elems } from "../../src/ir/types.ts";
import { targets } from "./targets.ts";
import { pick, randomValue, read, seeded, write } from "./values.ts";

const rangeOf = (type: Elem) =>
  fc
    .tuple(fc.integer({ min: elems[type].min, max: elems[type].max }), fc.integer({ min: elems[type].min, max: elems[type].max }))
    .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

const weights = fc.oneof(
  fc.record({ type: fc.constant<Elem>("u8"), range: rangeOf("u8") }),
  fc.record({ type: fc.constant<Elem>("i8"), range: rangeOf("i8") }),
  fc.record({ type: fc.constant<Elem>("u8"), range: fc.constantFrom({ min: 0, max: 15 }, { min: 0, max: 63 }, { min: 0, max: 127 }) }),
);
const activations = fc.oneof(rangeOf("i8"), fc.constant({ min: -127, max: 127 }), fc.constant({ min: -128, max: 127 }));
const lanes = 16;
const bytes = 4 * lanes; // of the i32 sums of `lanes` values, for each accumulator

it.skipIf(targets[0].missing)("sums of dots never overflow", () => {
  fc.assert(
    fc.property(weights, activations, fc.integer({ min: 1, max: 10 }), fc.integer(), (w, x, n, seed) => {
      const random = seeded(seed);
      const k = kernel("sums", s => {
        const [ws, xs, out] = [s.in("w"), s.in("x"), s.out("out")];
        return () => {
          const dot = (i: number) => dot4(ws.load(w.type, lanes, i * lanes, w.range), xs.load("i8", lanes, i * lanes, x));
          let sum = dot(0);
          for (let i = 1; i < n; i++) sum = sum.add(dot(i));
          out.store(0, sum);
        };
      });
      const memory = new Uint8Array(2 * n * lanes + bytes);
      const at = { w: 0, x: n * lanes, out: 2 * n * lanes };
      const ends = (type: Elem, r: { min: number; max: number }): number =>
        pick(random, [r.min, r.max, r.max, randomValue(random, type, r)]);
      // Whole runs at one end, so that the worst sum is really reached.
      for (let i = 0; i < n * lanes; i += 4) {
        const [a, b] = [ends(w.type, w.range), ends("i8", x)];
        write(memory, at.w + i, w.type, new Array(4).fill(a));
        write(memory, at.x + i, "i8", new Array(4).fill(b));
      }
      const want = new Array<number>(lanes / 4).fill(0);
      const [wv, xv] = [read(memory, at.w, w.type, n * lanes), read(memory, at.x, "i8", n * lanes)];
      wv.forEach((value, i) => {
        want[Math.floor((i % lanes) / 4)] += value * xv[i];
      });
      targets[0].compile([k])(k.name, memory, 0, 1, [at.w, at.x, at.out]);
      expect(read(memory, at.out, "i32", lanes / 4)).toEqual(want);
    }),
    { numRuns: 400, seed: 20 },
  );
});
