/** The text of a few small kernels: as traced, and as WebAssembly. A difference is a change of code generation that somebody should read. */
import { describe, it } from "vitest";
import type { Kernel } from "../../src/ir/node.ts";
import { print } from "../../src/ir/print.ts";
import { dot4, each, fold, kernel, konst, when } from "../../src/ir/trace.ts";
import { compileKernel } from "../../src/target/wasm/compile.ts";
import { expectGolden } from "../golden.ts";

/** y = x * scale, eight at a time. */
const scale = kernel("scale", s => {
  const [x, y, factor] = [s.in("x"), s.out("y"), s.scalar("factor")];
  return unit => y.store(unit.mul(32), x.load("f32", 8, unit.mul(32)).mul(factor.repeat(8)));
});

/** Eight rows of 4-bit weights times quantised activations, a block of eight inputs a turn. */
const nibbles = kernel("nibbles", s => {
  const [w, x, y, blocks] = [s.in("w"), s.in("x"), s.out("y"), s.size("blocks", 4096)];
  return unit => {
    const [sum] = fold(blocks, [konst("f32", 8, 0)], (b, [acc]) => {
      const q = w.load("u8", 32, unit.mul(blocks).add(b).mul(48));
      const quad = (i: number) => x.load("i8", 4, b.mul(8).add(4 * i), { min: -127, max: 127 }).repeat(32);
      const dot = dot4(q.and(15), quad(0), 8).add(dot4(q.shr(4), quad(1), 8));
      const d = w.load("u16", 8, unit.mul(blocks).add(b).mul(48).add(32)).fromHalf();
      return [dot.to("f32").mulAdd(d, acc)];
    });
    y.store(unit.mul(32), sum);
  };
});

/** Loops, conditions, scalars and reductions. */
const largest = kernel("largest", s => {
  const [x, y, rows, columns] = [s.in("x"), s.out("y"), s.size("rows"), s.size("columns")];
  return unit => {
    each(0, rows, r => {
      const [most] = fold(columns, [konst("f32", 4, -Infinity)], (c, [m]) => [m.max(x.load("f32", 4, r.mul(columns).add(c).mul(16)))]);
      when(r.and(1).eq(0), () => y.store(unit.mul(rows).add(r).mul(4), most.greatest()));
    });
  };
});

describe.each([scale, nibbles, largest].map(k => [k.name, k] as [string, Kernel]))("%s", (name, traced) => {
  it("WebAssembly", () => {
    const { listing } = compileKernel(traced, { relaxed: true, memory64: false });
    expectGolden(`${name}.wasm.txt`, `${print(traced)}\n${listing.join("\n")}\n`);
  });
});
