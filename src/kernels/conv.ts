/**
 * Causal convolutions along a sequence, one filter a channel, and the shift by one token that RWKV mixes with. The state of a sequence is its
 * last inputs: [unit][kernel - 1][lanes] f32, oldest first.
 */
import type { Kernel } from "../ir/node.ts";
import { fold, kernel, type Val } from "../ir/trace.ts";
import { silu } from "./math.ts";
import { eachSegment, lanesOf, segmentSlots } from "./segments.ts";

export interface ConvShape {
  readonly channels: number;
  /** Tokens under the filter, the newest last. */
  readonly kernel: number;
  readonly bias: boolean;
  readonly silu: boolean;
}

type Lanes = Val<"f32", number>;

/** Bytes of a sequence's state: the last kernel - 1 inputs. */
export const convState = (c: Pick<ConvShape, "channels" | "kernel">): number => 4 * c.channels * (c.kernel - 1);
/** Grid of `conv` and `shift`. */
export const convUnits = (channels: number): number => channels / lanesOf(channels);

/**
 * y[t] = sum over k of weight[k] * x[t - kernel + 1 + k] (+ bias), then SiLU where asked for. Slots: x, weight ([kernel][channels] f32), bias if
 * any, out, then those of segmentSlots; bytes between rows of x and of out. Grid: convUnits.
 */
export function conv(c: ConvShape): Kernel {
  const lanes = lanesOf(c.channels);
  return kernel(`conv_${c.channels}k${c.kernel}${c.bias ? "b" : ""}${c.silu ? "s" : ""}`, s => {
    const [x, weight] = [s.in("x"), s.in("weight")];
    const bias = c.bias ? s.in("bias") : undefined;
    const out = s.out("out");
    const segments = segmentSlots(s);
    const [xStride, outStride] = [s.size("xStride"), s.size("outStride")];
    return unit => {
      const at = unit.mul(4 * lanes);
      const weights = Array.from({ length: c.kernel }, (_, k) => weight.load("f32", lanes, at.add(4 * c.channels * k)));
      eachSegment(segments, unit.mul(4 * lanes * (c.kernel - 1)), seg => {
        const past: Lanes[] = weights.slice(1).map((_, k) => segments.states.load("f32", lanes, seg.from.add(4 * lanes * k)));
        const last = fold(seg.count, past, (i, window) => {
          const row = seg.row(i);
          const newest = x.load("f32", lanes, row.mul(xStride).add(at));
          const inputs: Lanes[] = [...window, newest];
          const first = bias ? weights[0].mulAdd(inputs[0], bias.load("f32", lanes, at)) : weights[0].mul(inputs[0]);
          const sum = inputs.slice(1).reduce((acc, v, k) => weights[k + 1].mulAdd(v, acc), first);
          out.store(row.mul(outStride).add(at), c.silu ? silu(sum) : sum);
          return inputs.slice(1);
        });
        last.forEach((v, k) => {
          segments.states.store(seg.to.add(4 * lanes * k), v);
        });
      });
    };
  });
}

/** y[t] = x[t - 1]. Slots: x, out, then those of segmentSlots; bytes between rows of x and of out. Grid: convUnits. */
export function shift(channels: number): Kernel {
  const lanes = lanesOf(channels);
  return kernel(`shift_${channels}`, s => {
    const [x, out] = [s.in("x"), s.out("out")];
    const segments = segmentSlots(s);
    const [xStride, outStride] = [s.size("xStride"), s.size("outStride")];
    return unit => {
      const at = unit.mul(4 * lanes);
      eachSegment(segments, at, seg => {
        const [last] = fold(seg.count, [segments.states.load("f32", lanes, seg.from)], (i, [before]) => {
          const row = seg.row(i);
          out.store(row.mul(outStride).add(at), before);
          return [x.load("f32", lanes, row.mul(xStride).add(at))];
        });
        segments.states.store(seg.to, last);
      });
    };
  });
}
