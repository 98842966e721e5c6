/** Norms: over rows, written in the form that the next product wants, and over the heads of queries and keys, in place. */
import type { Form } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type AnyVal, type Bytes, each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { type Chunk, chunkAt, sink } from "./activations.ts";

type Int = Val<"i32", 1>;
type Scalar = Val<"f32", 1>;

/** `center`: the mean is taken off first (LayerNorm). */
export interface NormShape {
  readonly center: boolean;
  readonly weight: boolean;
  readonly bias: boolean;
}

const named = (kind: string, n: NormShape): string =>
  [n.center ? `layer_${kind}` : `rms_${kind}`, ...(n.weight ? [] : ["bare"]), ...(n.bias ? ["bias"] : [])].join("_");

/** x / sqrt(mean(x^2) + eps) * weight + bias, of rows that are padded with zeros; with `center` of x - mean(x). */
interface Row {
  readonly x: Bytes;
  readonly at: Int;
  readonly chunks: Int;
  readonly perColumn: Scalar;
  /** Centering must leave the padding zero: the numbers 0 .. 31, and the columns. */
  readonly lanes?: Val<"i32", 32>;
  readonly columns?: Int;
}

/** Reads a chunk, its mean taken off where that is asked for. */
function reader(row: Row): (c: Int) => Chunk {
  const { x, at, chunks, perColumn, lanes, columns } = row;
  if (!lanes || !columns) return c => chunkAt(x, at, c);
  const [total] = fold(chunks, [konst("f32", 32, 0)], (c, [sum]) => [sum.add(chunkAt(x, at, c))]);
  const mean = total.sum().mul(perColumn).repeat(32);
  return c => lanes.lt(columns.sub(c.mul(32)).repeat(32)).select(chunkAt(x, at, c).sub(mean), konst("f32", 32, 0));
}

/**
 * Slots: x, weight, bias (as the shape says), rows (i32 row number of each token), for centering the numbers 0 .. 31, out; chunks of 32 columns
 * (rows are padded with zeros), for centering the columns, strides in bytes; 1 / columns, eps. Grid: tokens.
 */
export const norm = (n: NormShape, form: Form): Kernel =>
  kernel(`${named("norm", n)}_${form}`, s => {
    const x = s.in("x");
    const [weight, bias] = [n.weight ? s.in("weight") : undefined, n.bias ? s.in("bias") : undefined];
    const rows = s.in("rows");
    const numbers = n.center ? s.in("lanes") : undefined;
    const out = s.out("out");
    const chunks = s.size("chunks", 1 << 20);
    const columns = n.center ? s.size("columns", 1 << 25) : undefined;
    const [xStride, outStride] = [s.size("xStride"), s.size("outStride")];
    const [perColumn, eps] = [s.scalar("perColumn"), s.scalar("eps")];
    return token => {
      const at = rows.load("i32", 1, token.mul(4)).mul(xStride);
      const read = reader({ x, at, chunks, perColumn, lanes: numbers?.load("i32", 32, 0), columns });
      const [squares] = fold(chunks, [konst("f32", 32, 0)], (c, [sum]) => {
        const v = read(c);
        return [v.mulAdd(v, sum)];
      });
      const scale = konst("f32", 1, 1).div(squares.sum().mul(perColumn).add(eps).sqrt()).repeat(32) as Chunk;
      each(0, chunks, c => {
        const scaled = read(c).mul(scale);
        const weighted = weight ? scaled.mul(weight.load("f32", 32, c.mul(128))) : scaled;
        sink(form, out, token.mul(outStride), c, bias ? weighted.add(bias.load("f32", 32, c.mul(128))) : weighted);
      });
    };
  });

export interface HeadNormShape extends NormShape {
  /** Each head has its own weights; else all share one head's. */
  readonly perHead: boolean;
}

/** A head's values in stretches of eight and, at the end, one of four and single ones: calls `visit` with first value and width. */
function stretches(headDim: number, visit: (first: Int | number, lanes: 8 | 4 | 1) => void): void {
  const whole = Math.floor(headDim / 8);
  each(0, whole, i => visit(i.mul(8), 8));
  let at = 8 * whole;
  if (headDim - at >= 4) {
    visit(at, 4);
    at += 4;
  }
  for (; at < headDim; at++) visit(at, 1);
}

/** Sum over a head of f(value), in one order: eight lanes side by side, then what is left. */
function total(x: Bytes, at: Int, headDim: number, f: (v: AnyVal) => AnyVal): Scalar {
  const read = (first: Int | number, lanes: number): AnyVal =>
    f(x.load("f32", lanes, at.add(typeof first === "number" ? 4 * first : first.mul(4))));
  const whole = Math.floor(headDim / 8);
  const [sums] = fold(whole, [konst("f32", 8, 0)], (i, [sum]) => [sum.add(read(i.mul(8), 8))]);
  let result: Scalar = sums.sum();
  let left = 8 * whole;
  if (headDim - left >= 4) {
    result = result.add(read(left, 4).sum());
    left += 4;
  }
  for (; left < headDim; left++) result = result.add(read(left, 1));
  return result;
}

/** In place. Slots: x, weight, bias (as the shape says); tokens, bytes between rows; 1 / headDim, eps. Grid: heads x tokens, heads outermost. */
export function headNorm(n: HeadNormShape, headDim: number): Kernel {
  return kernel(`${named("head_norm", n)}${n.perHead ? "_each" : ""}_d${headDim}`, s => {
    const x = s.out("x");
    const [weight, bias] = [n.weight ? s.in("weight") : undefined, n.bias ? s.in("bias") : undefined];
    const [tokens, stride] = [s.size("tokens"), s.size("stride")];
    const [perColumn, eps] = [s.scalar("perColumn"), s.scalar("eps")];
    return unit => {
      const head = unit.quotient(tokens.max(1));
      const token = unit.sub(head.mul(tokens));
      const at = token.mul(stride).add(head.mul(4 * headDim));
      const mean = n.center ? total(x, at, headDim, v => v).mul(perColumn) : undefined;
      const centred = (v: AnyVal): AnyVal => (mean ? v.sub(mean.repeat(v.node.lanes)) : v);
      const squares = total(x, at, headDim, v => centred(v).mul(centred(v)));
      const scale = konst("f32", 1, 1).div(squares.mul(perColumn).add(eps).sqrt());
      const own = n.perHead ? head.mul(4 * headDim) : undefined;
      stretches(headDim, (first, lanes) => {
        const offset = typeof first === "number" ? first * 4 : first.mul(4);
        const place = at.add(offset);
        const weightAt = own ? own.add(offset) : offset;
        let v: AnyVal = centred(x.load("f32", lanes, place)).mul(scale.repeat(lanes));
        if (weight) v = v.mul(weight.load("f32", lanes, weightAt));
        if (bias) v = v.add(bias.load("f32", lanes, weightAt));
        x.store(place, v);
      });
    };
  });
}
