/**
 * Two turns of a loop at once: what such kernels write is what they wrote before, byte for byte, on the interpreter and as machine code, whatever
 * operations stand in the loop; and loops that may not be joined are left alone.
 */
import { describe, expect, it } from "vitest";
import { nodesOf } from "../../src/ir/build.ts";
import type { Kernel, Loop, Scope } from "../../src/ir/node.ts";
import { dot4, each, eachApart, fold, kernel, konst, table } from "../../src/ir/trace.ts";
import { elems } from "../../src/ir/types.ts";
import { verify } from "../../src/ir/verify.ts";
import { joinTurns } from "../../src/lower/join.ts";
import { interpret } from "../../src/target/interp/interp.ts";
import { Random } from "../fixtures/random.ts";
import { targets } from "../target/targets.ts";

const loopsOf = (scope: Scope): Loop[] => scope.items.flatMap(i => (i.kind === "loop" ? [i, ...loopsOf(i.body)] : []));
/** Of the longest value. */
const widest = (k: Kernel): number => Math.max(...[...nodesOf(k.body)].map(n => n.lanes * elems[n.type].size));

/** A product of `groups` groups of rows with two tokens, with a scalar, a table, a mask and a lane taken out on the way. */
const product = (groups: number, apart: boolean): Kernel =>
  kernel(`product_${groups}_${apart}`, s => {
    const [ws, xs, out] = [s.in("w"), s.in("x"), s.out("out")];
    const steps = s.size("steps", 8);
    return unit => {
      const body = (g: ReturnType<typeof unit.add>): void => {
        const group = unit.mul(groups).add(g);
        const at = group.mul(512);
        const scale = xs.load("f32", 1, group.mul(4).add(1024)).repeat(8);
        const both = xs.load("f32", 1, 2048).repeat(8);
        const zero = konst("f32", 8, 0);
        const sums = fold(steps, [zero, zero], (i, acc) => {
          const codes = ws.load("u8", 32, at.add(i.mul(32)));
          ws.ahead(64).reading(at.add(i.mul(32)), 32);
          const w = table([1, 3, 5, 7, 9, 11, 13, 15, 2, 4, 6, 8, 10, 12, 14, 0]).lookup(codes.and(15)).or(codes.shr(4).and(64));
          const d = ws.load("u16", 8, at.add(256)).and(0x3bff).fromHalf();
          return acc.map((a, t) => {
            const x = xs.load("i8", 4, i.mul(4).add(64 * t), { min: -127, max: 127 });
            const dot = dot4(w, x.repeat(32), 8).sub(xs.load("i32", 1, 4 * t, { min: -9, max: 9 }).repeat(8));
            return dot.to("f32").mul(both).mulAdd(d.mul(scale), a);
          });
        });
        sums.forEach((sum, t) => {
          const positive = zero.lt(sum).select(sum, sum.mul(0.5));
          const first = positive.slice(0, 4).concat<8>(positive.slice(4, 4).add(positive.slice(0, 4)));
          const y = group.mul(32).add(1024 * t);
          out.store(y, out.load("f32", 8, y).add(first));
          out.store(group.mul(4).add(4096 + 64 * t), sum.abs().greatest());
        });
      };
      if (apart) eachApart(groups, body);
      else each(0, groups, body);
    };
  });

const UNITS = 2;
const OUT = 16384;
const memory = (): Uint8Array => {
  const bytes = new Uint8Array(65536);
  const random = new Random(77);
  const floats = random.floats(4096);
  for (let i = 0; i < 8192; i++) bytes[i] = Math.floor(Math.abs(floats[i % 4096] * 1e4)) & 255;
  new Float32Array(bytes.buffer, 8192, 1024).set(floats.subarray(0, 1024));
  new Int32Array(bytes.buffer, 8192, 2).set([3, -7]);
  return bytes;
};
const args = [0, 8192, OUT, 7];

function meant(k: Kernel, fused: boolean): Uint8Array {
  const bytes = memory();
  interpret(k, bytes.buffer as ArrayBuffer, { fused })(0, UNITS, ...args);
  return bytes;
}
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(Buffer.from(b));

describe("joined turns", () => {
  it("write what the turns wrote", () => {
    for (const groups of [2, 4]) {
      const k = product(groups, true);
      verify(k);
      const joined = joinTurns(k, 64);
      verify(joined);
      expect(widest(joined)).toBe(64);
      expect(
        loopsOf(joined.body)
          .filter(l => l.apart)
          .map(l => l.to.attr),
      ).toEqual([groups / 2]);
      expect(same(meant(joined, true), meant(k, true))).toBe(true);
      expect(same(meant(k, true), memory())).toBe(false);
    }
  });

  it("are left alone where turns are odd in number, may meet, or have values that are long already", () => {
    for (const k of [product(3, true), product(1, true), product(2, false)]) expect(joinTurns(k, 64)).toBe(k);
    const long = product(2, true);
    expect(joinTurns(long, 32)).toBe(long);
  });

  it.each(targets.filter(t => !t.missing).map(t => [t.name, t] as const))("are the same on %s", (_, target) => {
    for (const groups of [2, 3, 4]) {
      const k = product(groups, true);
      const bytes = memory();
      target.compile([k])(k.name, bytes, 0, UNITS, args);
      expect(same(bytes, meant(k, target.fused)), `${groups} groups`).toBe(true);
      const listing = target.listing(k).join("\n");
      expect(listing.includes("zmm"), listing).toBe(target.machine.joined === 64 && groups % 2 === 0);
    }
  });
});
