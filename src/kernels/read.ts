/** Reads memory and does next to nothing with it: what the ceiling of all kernels that wait for memory is measured with. */
import type { Kernel } from "../ir/node.ts";
import { fold, kernel, konst } from "../ir/trace.ts";

/** Bytes of a grid unit. */
export const READ_UNIT = 1 << 16;
const SUMS = 8;
const TURN = 32 * SUMS;

/** Slots: x, sums (32 bytes a unit, so that nothing is left out). Grid: units of READ_UNIT bytes. */
export const readMemory = (): Kernel =>
  kernel("read_memory", s => {
    const [x, sums] = [s.in("x"), s.out("sums")];
    return unit => {
      const start = Array.from({ length: SUMS }, () => konst("i32", 8, 0));
      const all = fold(READ_UNIT / TURN, start, (i, carried) => {
        const at = unit.mul(READ_UNIT).add(i.mul(TURN));
        return carried.map((sum, k) => sum.add(x.load("i32", 8, at.add(32 * k))));
      });
      sums.store(
        unit.mul(32),
        all.reduce((a, b) => a.add(b)),
      );
    };
  });
