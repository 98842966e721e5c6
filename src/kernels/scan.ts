/**
 * The selective scan of Mamba-1: every channel has `states` numbers that decay at rates of their own (Gu 2023). Tokens go one after the other,
 * whatever the batch; channels go side by side in lanes. State of a sequence: [unit][states][lanes] f32.
 */
import type { Kernel } from "../ir/node.ts";
import { each, fold, kernel, konst } from "../ir/trace.ts";
import { exp } from "./math.ts";
import { eachSegment, lanesOf, segmentSlots } from "./segments.ts";

export interface ScanShape {
  readonly channels: number;
  readonly states: number;
}

export const scanState = (s: ScanShape): number => 4 * s.channels * s.states;
/** Eight channels at a time: the exponentials fill the registers. */
const MOST = 8;
/** Grid of `scan`. */
export const scanUnits = (s: ScanShape): number => s.channels / lanesOf(s.channels, MOST);

/**
 * h[n] = exp(dt * a[n]) * h[n] + dt * x * b[n]; y = sum over n of c[n] * h[n]. Slots: x, dt (a value a channel), b, c (a value a state), a
 * ([states][channels] f32), y, then those of segmentSlots; bytes between rows of x, dt, b, c and y. Grid: scanUnits.
 */
export function scan(shape: ScanShape): Kernel {
  const lanes = lanesOf(shape.channels, MOST);
  return kernel(`scan_${shape.channels}n${shape.states}`, s => {
    const [x, dt, b, c, a, y] = [s.in("x"), s.in("dt"), s.in("b"), s.in("c"), s.in("a"), s.out("y")];
    const segments = segmentSlots(s);
    const [xs, dts, bs, cs, ys] = ["x", "dt", "b", "c", "y"].map(name => s.size(`${name}Stride`));
    return unit => {
      const at = unit.mul(4 * lanes);
      eachSegment(segments, unit.mul(4 * lanes * shape.states), seg => {
        each(0, seg.count, i => {
          const row = seg.row(i);
          const before = seg.before(i);
          const step = dt.load("f32", lanes, row.mul(dts).add(at));
          const input = step.mul(x.load("f32", lanes, row.mul(xs).add(at)));
          const [bAt, cAt] = [row.mul(bs), row.mul(cs)];
          const [sum] = fold(shape.states, [konst("f32", lanes, 0)], (n, [acc]) => {
            const decay = exp(step.mul(a.load("f32", lanes, n.mul(4 * shape.channels).add(at))));
            const old = segments.states.load("f32", lanes, before.add(n.mul(4 * lanes)));
            const next = input.mulAdd(b.load("f32", 1, bAt.add(n.mul(4))).repeat(lanes), old.mul(decay));
            segments.states.store(seg.to.add(n.mul(4 * lanes)), next);
            return [next.mulAdd(c.load("f32", 1, cAt.add(n.mul(4))).repeat(lanes), acc)];
          });
          y.store(row.mul(ys).add(at), sum);
        });
      });
    };
  });
}
