/** The text of kernels: readable, complete, and the same whatever was traced before. */
import { expect, it } from "vitest";
import { namesOf, print } from "../../src/ir/print.ts";
import { fold, kernel, konst } from "../../src/ir/trace.ts";

const sample = () =>
  kernel("axpy_sum", s => {
    const [x, out, blocks, scale] = [s.in("x"), s.out("out"), s.size("blocks", 1000), s.scalar("scale")];
    return unit => {
      const [sum] = fold(blocks, [konst("f32", 8, -0)], (b, [acc]) => [
        x.load("i8", 8, unit.add(b).mul(8).add(16), { min: -127, max: 127 }).to("i32").to("f32").mulAdd(scale.repeat(8), acc),
      ]);
      out.store(unit.mul(4), sum.slice(0, 4).sum());
      out.store(0, unit.shr(3));
    };
  });

it("shows nodes, ranges, loops and slots", () => {
  expect(print(sample())).toMatchInlineSnapshot(`
    "kernel axpy_sum(x: in, out: out, blocks: size, scale: scalar)
      %0 i32 = param begin   [0, 2147483647]
      %1 i32 = param end   [0, 2147483647]
      %2 i32 = address x
      %3 i32 = address out
      %4 i32 = param blocks   [0, 1000]
      %5 f32 = param scale
      %6 f32x8 = const -0
      %7 i32 = const 0
      %8 i32 = const 8
      %9 i32 = const 16
      %10 f32x8 = repeat %5
      %11 i32 = const 4
      loop %12 = %0 .. %1
        %12 i32 = index   [0, 2147483646]
        loop %13 = %7 .. %4 carrying %14 = %6
          %13 i32 = index   [0, 999]
          %14 f32x8 = carry
          %15 i32 = add %12, %13
          %16 i32 = shl %15 by 3
          %17 i32 = add %16, %9
          %18 i8x8 = load x[%16 + 16]   [-127, 127]
          %19 i32x8 = convert %18   [-127, 127]
          %20 f32x8 = convert %19
          %21 f32x8 = mulAdd %20, %10, %14
          next %21
        end giving %22
        %22 f32x8 = result
        %23 i32 = shl %12 by 2
        %24 f32x4 = slice %22 from 0
        %25 f32 = sum %24
        store out[%23] = %25
        %26 i32 = shr %12 by 3   [0, 268435455]
        store out[0] = %26
    "
  `);
});

it("does not depend on earlier kernels", () => {
  const first = print(sample());
  sample();
  expect(print(sample())).toBe(first);
});

it("names a node from elsewhere %?", () => {
  const [a, b] = [sample(), sample()];
  expect(namesOf(a)(a.begin)).toBe("%0");
  expect(namesOf(a)(b.begin)).toBe("%?");
});
