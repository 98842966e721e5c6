/**
 * y = W x for one packed weight and any number of tokens: matrix times vector and matrix times matrix are the same kernel with different
 * tiles. Whatever the tile of rows and tokens, each (row, token) is summed in the same order (DESIGN idea 4).
 */
import { Activations, activationBytes, type Int, type Packed, type Rows } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, int, kernel, konst } from "../ir/trace.ts";

/** Numbers that change speed and never results. */
export interface MatmulSchedule {
  /** Tokens of a tile of eight rows. Tokens left over go one by one. */
  readonly tokens: number;
  /** Row groups (1, 2 or 4) that a single token is multiplied with at a time: more sums under way hide the latency of additions. */
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
  /** Known while tracing, so that the tokens of a tile differ by constants that ride in the load instructions. */
  readonly xStride: number;
  readonly yStride: Int;
}

interface Tile {
  readonly group: Int;
  readonly groups: number;
  readonly first: Int;
  readonly tokens: number;
}

/** One tile: `groups` x 8 rows from `group` on, `tokens` from `first` on. */
function tile(packed: Packed, o: Operands, epilogue: Epilogue, { group, groups, first, tokens }: Tile): void {
  const groupBytes = o.blocks.mul(packed.bytes);
  const weights = Array.from({ length: groups }, (_, g) => group.add(g).mul(groupBytes));
  const inputs = Array.from({ length: tokens }, (_, t) => first.mul(o.xStride).add(t * o.xStride));
  const perBlock = activationBytes(packed.activation, packed.inputs);
  const zero = konst("f32", 8, 0);
  const sums = fold(
    o.blocks,
    Array.from({ length: groups * tokens }, () => zero),
    (b, flat) => {
      const acts = inputs.map(at => new Activations(o.x, at.add(b.mul(perBlock)), packed.activation));
      return weights.flatMap((w, g) => packed.accumulate(o.w, w.add(b.mul(packed.bytes)), acts, flat.slice(g * tokens, (g + 1) * tokens)));
    },
  );
  weights.forEach((_, g) => {
    inputs.forEach((_, t) => {
      const sum = sums[g * tokens + t];
      const result = packed.finish?.(sum) ?? sum;
      const at = first.add(t).mul(o.yStride).add(group.add(g).mul(32));
      o.y.store(at, epilogue === "add" ? (o.y.load("f32", 8, at) as Rows).add(result) : result);
    });
  });
}

/**
 * For activations whose rows are `xStride` bytes apart. Slots: w, x, y; blocks per row, tokens, bytes between tokens in y. Grid: units of `rowsPerUnit(schedule)` rows. y is f32, and is
 * written for whole units, so its rows are padded.
 */
export function matmul(packed: Packed, schedule: MatmulSchedule, epilogue: Epilogue, xStride: number): Kernel {
  const name = `matmul_${packed.name}_${epilogue}_x${xStride}_t${schedule.tokens}g${schedule.groups}`;
  return kernel(name, s => {
    const [w, x, y] = [s.in("w"), s.in("x"), s.out("y")];
    const blocks = s.size("blocks", Math.floor((2 ** 31 - 1) / packed.bytes));
    const tokens = s.size("tokens", 1 << 16);
    const operands: Operands = { w, x, y, blocks, xStride, yStride: s.size("yStride") };
    return unit => {
      const group = unit.mul(schedule.groups);
      const whole = tokens.quotient(schedule.tokens);
      if (schedule.tokens > 1) {
        each(0, schedule.groups, g => {
          const rows = { group: group.add(g), groups: 1 };
          each(0, whole, i => tile(packed, operands, epilogue, { ...rows, tokens: schedule.tokens, first: i.mul(schedule.tokens) }));
        });
      }
      // What is left over, in tiles of half the size, and half of that ...; the last tokens one by one.
      let done = schedule.tokens > 1 ? whole.mul(schedule.tokens) : int(0);
      for (let size = halfOf(schedule.tokens); size > 1; size = halfOf(size)) {
        const first = done;
        const fits = first.add(size).le(tokens).neg();
        each(0, fits.mul(schedule.groups), g => tile(packed, operands, epilogue, { group: group.add(g), groups: 1, tokens: size, first }));
        done = first.add(fits.mul(size));
      }
      each(done, tokens, first => tile(packed, operands, epilogue, { group, groups: schedule.groups, first, tokens: 1 }));
    };
  });
}

/** The next smaller power of two. */
const halfOf = (n: number): number => 2 ** (Math.ceil(Math.log2(n)) - 1);
