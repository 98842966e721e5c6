/**
 * Programs that must not compile. `npm run check` reads this file; nothing runs it. A line under `@ts-expect-error` that begins to compile is
 * an error there.
 */
import { expectTypeOf } from "vitest";
import { fold, type Val } from "../../src/ir/trace.ts";

export function lanesAreInvariant(a: Val<"f32", 4>, b: Val<"f32", 8>, c: Val<"i32", 4>, either: Val<"f32", 4> | Val<"f32", 8>): void {
  a.add(a);
  // @ts-expect-error lanes differ
  a.add(b);
  // @ts-expect-error types differ
  a.add(c);
  // @ts-expect-error a union of widths is not a width
  a.add(either);
  // @ts-expect-error lanes differ
  a.mulAdd(a, b);
  // @ts-expect-error masks of four lanes do not choose between eight
  c.select(b, b);
  expectTypeOf(a.lt(a)).toEqualTypeOf<Val<"i32", 4>>();
  expectTypeOf(c.to("f32")).toEqualTypeOf<Val<"f32", 4>>();
  expectTypeOf(b.slice(4, 4)).toEqualTypeOf<Val<"f32", 4>>();
  expectTypeOf(b.sum()).toEqualTypeOf<Val<"f32", 1>>();
  expectTypeOf(fold(2, [a, b], (_, [x, y]) => [x, y])).toEqualTypeOf<readonly [Val<"f32", 4>, Val<"f32", 8>]>();
  // @ts-expect-error a kernel value is not a number
  const n: number = a;
  void n;
}
