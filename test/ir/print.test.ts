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
      x.ahead(64).reading(unit.shr(3), 64);
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
      %12 i32 = const 64
      loop %13 = %0 .. %1
        %13 i32 = index   [0, 2147483646]
        loop %14 = %7 .. %4 carrying %15 = %6
          %14 i32 = index   [0, 999]
          %15 f32x8 = carry
          %16 i32 = add %13, %14
          %17 i32 = shl %16 by 3
          %18 i32 = add %17, %9
          %19 i8x8 = load x[%17 + 16]   [-127, 127]
          %20 i32x8 = convert %19   [-127, 127]
          %21 f32x8 = convert %20
          %22 f32x8 = mulAdd %21, %10, %15
          next %22
        end giving %23
        %23 f32x8 = result
        %24 i32 = shl %13 by 2
        %25 f32x4 = slice %23 from 0
        %26 f32 = sum %25
        store out[%24] = %26
        %27 i32 = shr %13 by 3   [0, 268435455]
        store out[0] = %27
        %28 i32 = add %27, %12   [64, 268435519]
        prefetch x[%27 + 64]
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
