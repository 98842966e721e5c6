/** Kernels that go over heads: joining two parts into one head, gating whole heads, and products in which every head has a matrix of its own. */
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, kernel, type Val } from "../ir/trace.ts";
import type { Activation } from "./elementwise.ts";

type Int = Val<"i32", 1>;

function copy(from: Bytes, fromAt: Int, to: Bytes, toAt: Int, count: number): void {
  const lanes = count % 4 ? 1 : 4;
  each(0, count / lanes, i => to.store(toAt.add(i.mul(4 * lanes)), from.load("f32", lanes, fromAt.add(i.mul(4 * lanes)))));
}

export interface Joined {
  readonly heads: number;
  /** Values of a head's first and second part. */
  readonly first: number;
  readonly second: number;
  /** All heads have the same first part. */
  readonly shared: boolean;
}

/** out[head] = [first | second]. Slots: first, second, out; tokens, strides in bytes. Grid: tokens. */
export const joinHeads = (j: Joined): Kernel =>
  kernel(`join_heads_${j.heads}_${j.first}_${j.second}${j.shared ? "_shared" : ""}`, s => {
    const [first, second, out] = [s.in("first"), s.in("second"), s.out("out")];
    const [firstStride, secondStride, outStride] = [s.size("firstStride"), s.size("secondStride"), s.size("outStride")];
    const size = 4 * (j.first + j.second);
    return t =>
      each(0, j.heads, head => {
        const at = t.mul(outStride).add(head.mul(size));
        const firstAt = t.mul(firstStride);
        copy(first, j.shared ? firstAt : firstAt.add(head.mul(4 * j.first)), out, at, j.first);
        copy(second, t.mul(secondStride).add(head.mul(4 * j.second)), out, at.add(4 * j.first), j.second);
      });
  });

/** out[head] = the first `size` values of each head of x. Slots: x, out; strides in bytes. Grid: tokens. */
export const headBeginnings = (heads: number, headDim: number, size: number): Kernel =>
  kernel(`head_beginnings_${heads}_${headDim}_${size}`, s => {
    const [x, out, xStride, outStride] = [s.in("x"), s.out("out"), s.size("xStride"), s.size("outStride")];
    return t =>
      each(0, heads, head => {
        copy(x, t.mul(xStride).add(head.mul(4 * headDim)), out, t.mul(outStride).add(head.mul(4 * size)), size);
      });
  });

/** Each head of x times activation(its number of gate), in place. Slots: x, gate; strides in bytes. Grid: tokens. */
export const gateHeads = (activation: Activation, heads: number, headDim: number): Kernel =>
  kernel(`gate_heads_${activation.name}_${heads}_${headDim}`, s => {
    const [x, gate, xStride, gateStride] = [s.out("x"), s.in("gate"), s.size("xStride"), s.size("gateStride")];
    return t =>
      each(0, heads, head => {
        const factor = activation.of(gate.load("f32", 1, t.mul(gateStride).add(head.mul(4))).repeat(32)).slice(0, 4);
        const at = t.mul(xStride).add(head.mul(4 * headDim));
        each(0, headDim / 4, i => {
          const place = at.add(i.mul(16));
          x.store(place, x.load("f32", 4, place).mul(factor));
        });
      });
  });
