/**
 * y = W x for one packed weight and any number of tokens: matrix times vector and matrix times matrix are the same kernel with different
 * tiles. A tile is `groups` x 8 rows by `tokens`; whatever the tile, each (row, token) is summed in the same order (DESIGN idea 4).
 */
import { Activations, type Int, type Packed, type Rows } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, kernel, konst } from "../ir/trace.ts";

/** Numbers that change speed and never results. */
export interface MatmulSchedule {
  /** Tokens of a tile; a power of two. Tokens left over go one by one. */
  readonly tokens: number;
  /** Row groups of a tile, 1 or 2. */
  readonly groups: number;
}

export const rowsPerUnit = (s: MatmulSchedule): number => 8 * s.groups;

/** Stores the rows of one token: `set` overwrites, `add` adds to what is there (the residual stream). */
export type Epilogue = "set" | "add";

interface Operands {
  readonly w: Bytes;
  readonly x: Bytes;
  readonly y: Bytes;
  readonly blocks: Int;
  readonly xStride: Int;
  readonly yStride: Int;
}

/** One tile: rows from group `unit * groups`, tokens from `first`. */
function tile(packed: Packed, o: Operands, epilogue: Epilogue, unit: Int, groups: number, first: Int, tokens: number): void {
  const groupBytes = o.blocks.mul(packed.bytes);
  const weights = Array.from({ length: groups }, (_, g) => unit.mul(groups).add(g).mul(groupBytes));
  const inputs = Array.from({ length: tokens }, (_, t) => first.add(t).mul(o.xStride));
  const perBlock = packed.activation === "q8" ? 48 * (packed.inputs / 32) : 4 * packed.inputs;
  const n = packed.accumulators;
  const zero = konst("f32", 8, 0);
  const sums = fold(
    o.blocks,
    Array.from({ length: groups * tokens * n }, () => zero),
    (b, flat) => {
      const acts = inputs.map(at => new Activations(o.x, at.add(b.mul(perBlock))));
      return weights.flatMap((w, g) => {
        const acc = inputs.map((_, t) => flat.slice((g * tokens + t) * n, (g * tokens + t + 1) * n));
        return packed.accumulate(o.w, w.add(b.mul(packed.bytes)), acts, acc).flat();
      });
    },
  );
  weights.forEach((_, g) => {
    inputs.forEach((_, t) => {
      const result = packed.finish(sums.slice((g * tokens + t) * n, (g * tokens + t + 1) * n));
      const at = first.add(t).mul(o.yStride).add(unit.mul(groups).add(g).mul(32));
      o.y.store(at, epilogue === "add" ? (o.y.load("f32", 8, at) as Rows).add(result) : result);
    });
  });
}

/**
 * Slots: w, x, y; blocks per row, tokens, bytes between tokens in x and in y. Grid: units of `rowsPerUnit(schedule)` rows. y is f32, and is
 * written for whole units, so its rows are padded.
 */
export function matmul(packed: Packed, schedule: MatmulSchedule, epilogue: Epilogue): Kernel {
  const name = `matmul_${packed.name}_${epilogue}_t${schedule.tokens}g${schedule.groups}`;
  return kernel(name, s => {
    const [w, x, y] = [s.in("w"), s.in("x"), s.out("y")];
    const [blocks, tokens] = [s.size("blocks", 1 << 24), s.size("tokens", 1 << 16)];
    const operands: Operands = { w, x, y, blocks, xStride: s.size("xStride"), yStride: s.size("yStride") };
    const shift = Math.log2(schedule.tokens);
    return unit => {
      const whole = tokens.shr(shift);
      each(0, whole, i => tile(packed, operands, epilogue, unit, schedule.groups, i.mul(schedule.tokens), schedule.tokens));
      if (shift) each(whole.mul(schedule.tokens), tokens, i => tile(packed, operands, epilogue, unit, schedule.groups, i, 1));
    };
  });
}
