/**
 * Kernels over rows of activations that models put together themselves: any expression of neighbouring columns, and norms of the stretches
 * (heads, groups) that a row is made of.
 */
import type { Form } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { type Chunk, sink } from "./activations.ts";
import { lanesOf } from "./segments.ts";

/** `rows` has a row for each token, `vector` one row for all. */
export type Operand = "rows" | "vector";

/**
 * out = f(operands), 32 columns at a time. Slots: the operands, out; tokens, bytes between rows of each operand that has rows, of out. Grid:
 * chunks of 32 columns.
 */
export const mapRows = (name: string, form: Form, operands: readonly Operand[], f: (...x: Chunk[]) => Chunk): Kernel =>
  kernel(`${name}_${form}`, s => {
    const inputs = operands.map((_, i) => s.in(`x${i}`));
    const out = s.out("out");
    const tokens = s.size("tokens");
    const strides = operands.map((o, i) => (o === "rows" ? s.size(`stride${i}`) : undefined));
    const outStride = s.size("outStride");
    return chunk =>
      each(0, tokens, t => {
        const values = inputs.map((x, i) => {
          const stride = strides[i];
          return x.load("f32", 32, stride ? t.mul(stride).add(chunk.mul(128)) : chunk.mul(128));
        });
        sink(form, out, t.mul(outStride), chunk, f(...values));
      });
  });

/** rms: x / sqrt(mean(x^2) + eps). layer: the same of x - mean(x). l2: x / max(sqrt(sum(x^2)), eps). sum: the sum, everywhere. */
export type GroupNorm = "rms" | "layer" | "l2" | "sum";

export interface GroupNormShape {
  readonly kind: GroupNorm;
  /** Columns of a group: a multiple of 4. */
  readonly width: number;
  readonly weight: boolean;
  readonly bias: boolean;
}

/**
 * Norms each group of columns by itself. Slots: x, weight and bias if any (a value a column), out; groups in a row, bytes between rows of x and
 * of out, eps. Grid: groups x tokens, the tokens outermost. out may be x.
 */
export function groupNorm(c: GroupNormShape): Kernel {
  const lanes = lanesOf(c.width);
  const parts = c.width / lanes;
  return kernel(`group_norm_${c.kind}_${c.width}${c.weight ? "w" : ""}${c.bias ? "b" : ""}`, s => {
    const x = s.in("x");
    const weight = c.weight ? s.in("weight") : undefined;
    const bias = c.bias ? s.in("bias") : undefined;
    const out = s.out("out");
    const [groups, xStride, outStride] = [s.size("groups", 1 << 20), s.size("xStride"), s.size("outStride")];
    const eps = s.scalar("eps");
    return unit => {
      const token = unit.quotient(groups.max(1));
      const column = unit.sub(token.mul(groups)).mul(4 * c.width);
      const at = token.mul(xStride).add(column);
      const load = (p: Val<"i32", 1>): Val<"f32", number> => x.load("f32", lanes, at.add(p.mul(4 * lanes)));
      const total = (term: (v: Val<"f32", number>, acc: Val<"f32", number>) => Val<"f32", number>): Val<"f32", 1> =>
        fold(parts, [konst("f32", lanes, 0) as Val<"f32", number>], (p, [acc]) => [term(load(p), acc)])[0].sum();
      const mean =
        c.kind === "layer"
          ? total((v, acc) => acc.add(v))
              .mul(1 / c.width)
              .repeat(lanes)
          : undefined;
      const centred = (v: Val<"f32", number>): Val<"f32", number> => (mean ? v.sub(mean) : v);
      const squares = (): Val<"f32", 1> => total((v, acc) => centred(v).mulAdd(centred(v), acc));
      const size = (): Val<"f32", 1> =>
        c.kind === "l2"
          ? squares().sqrt().max(eps)
          : squares()
              .mul(1 / c.width)
              .add(eps)
              .sqrt();
      const scale = (c.kind === "sum" ? total((v, acc) => acc.add(v)) : konst("f32", 1, 1).div(size())).repeat(lanes);
      each(0, parts, p => {
        const place = column.add(p.mul(4 * lanes));
        const normed = c.kind === "sum" ? scale : centred(load(p)).mul(scale);
        const scaled = weight ? normed.mul(weight.load("f32", lanes, place)) : normed;
        const value = bias ? scaled.add(bias.load("f32", lanes, place)) : scaled;
        out.store(token.mul(outStride).add(place), value);
      });
    };
  });
}
