/**
 * y = W x for one packed weight and any number of tokens: matrix times vector and matrix times matrix are the same kernel with different
 * tiles. Whatever the tile of rows and tokens, each (row, token) is summed in the same order (docs/architecture.md, "one order of sums").
 */
import { Activations, activationBytes, type Int, type Packed, type Rows } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, eachApart, fold, type IntLike, int, kernel, konst, type Slots, type Val } from "../ir/trace.ts";

/** Numbers that change speed and never results. */
export interface MatmulSchedule {
  /** Tokens of a tile of eight rows. Tokens left over go one by one. */
  readonly tokens: number;
  /** Row groups (1, 2 or 4) that a single token is multiplied with at a time: more sums under way hide the latency of additions. */
  readonly groups: number;
  /** Bytes that weights are fetched ahead of their use; absent: the processor does as it sees fit. */
  readonly prefetch?: number;
}

const tiles = ({ tokens, groups, prefetch }: MatmulSchedule): string => `_t${tokens}g${groups}${prefetch ? `p${prefetch}` : ""}`;
export const rowsPerUnit = (s: MatmulSchedule): number => 8 * s.groups;

/** Stores the rows of one token: `set` overwrites, `add` adds to what is there (the residual stream). */
export type Epilogue = "set" | "add";

/** What is done to a sum before it is stored: times a number (of several matrices each its own), plus a bias for each row. */
export interface After {
  readonly scale?: boolean;
  readonly bias?: boolean;
}

const suffixOf = ({ scale, bias }: After): string => `${scale ? "_scale" : ""}${bias ? "_bias" : ""}`;

interface Operands {
  readonly w: Bytes;
  readonly x: Bytes;
  readonly y: Bytes;
  readonly blocks: Int;
  /** Known while tracing, so that the tokens of a tile differ by constants that ride in the load instructions. */
  readonly xStride: number;
  readonly yStride: Int;
  readonly scale?: Val<"f32", 1>;
  readonly bias?: Bytes;
  readonly prefetch: number | undefined;
}

interface Tile {
  readonly group: Int;
  /** Where the rows' results go, and their biases lie, if not at the rows' own place. */
  readonly place?: { readonly result: Int; readonly bias: Int };
  readonly groups: number;
  /** Bytes in front of what a token's input begins with. */
  readonly from?: Int;
  readonly first: Int;
  readonly tokens: number;
}

/** The numbers that the sums of several matrices are multiplied with. Slots: the numbers, bytes between them (0: one for all). */
function scalesOf(s: Slots): (matrix: Int) => Val<"f32", 1> {
  const [scales, stride] = [s.in("scales"), s.size("scaleStride")];
  return matrix => scales.load("f32", 1, matrix.mul(stride));
}

/** How far ahead block `b` is fetched: what comes after the last blocks of a row group is that of the unit after it, if it has several. */
function aheadOf(packed: Packed, { prefetch = 0, blocks }: Operands, b: Int, groups: number): IntLike {
  if (prefetch === 0 || groups === 1) return prefetch;
  const last = blocks.sub(Math.ceil(prefetch / packed.bytes)).le(b);
  return last.and(blocks.mul(packed.bytes * (groups - 1))).add(prefetch);
}

/** One tile: `groups` x 8 rows from `group` on, `tokens` from `first` on. */
function tile(packed: Packed, o: Operands, epilogue: Epilogue, { group, place, groups, from, first, tokens }: Tile): void {
  const groupBytes = o.blocks.mul(packed.bytes);
  const weights = Array.from({ length: groups }, (_, g) => group.add(g).mul(groupBytes));
  const row = from ? first.mul(o.xStride).add(from) : first.mul(o.xStride);
  const inputs = Array.from({ length: tokens }, (_, t) => row.add(t * o.xStride));
  const perBlock = activationBytes(packed.activation, packed.inputs);
  const zero = konst("f32", 8, 0);
  const sums = fold(
    o.blocks,
    Array.from({ length: groups * tokens }, () => zero),
    (b, flat) => {
      const matrix = o.w.ahead(aheadOf(packed, o, b, groups));
      const acts = inputs.map(at => new Activations(o.x, at.add(b.mul(perBlock)), packed.activation));
      return weights.flatMap((w, g) =>
        packed.accumulate(matrix, w.add(b.mul(packed.bytes)), acts, flat.slice(g * tokens, (g + 1) * tokens)),
      );
    },
  );
  weights.forEach((_, g) => {
    inputs.forEach((_, t) => {
      const sum = sums[g * tokens + t];
      const finished = packed.finish?.(sum) ?? sum;
      const scaled = o.scale ? finished.mul(o.scale.repeat(8)) : finished;
      const result = o.bias ? scaled.add(o.bias.load("f32", 8, (place?.bias ?? group).add(g).mul(32))) : scaled;
      const at = first
        .add(t)
        .mul(o.yStride)
        .add((place?.result ?? group).add(g).mul(32));
      o.y.store(at, epilogue === "add" ? (o.y.load("f32", 8, at) as Rows).add(result) : result);
    });
  });
}

/** A stretch of tokens, and the row groups of a unit that it is multiplied with, from `group` on (counted from the unit's first). */
interface Stretch {
  readonly first: Int;
  readonly tokens: number;
  readonly group: Int;
  readonly groups: number;
}

/** Covers the tokens from `begin` to `end`: tiles of the schedule's size, one of half the size, of half of that ..., the last one by one. */
function cover({ tokens, groups }: MatmulSchedule, begin: Int, end: Int, visit: (s: Stretch) => void): void {
  let done = begin;
  if (tokens > 1) {
    const whole = end.sub(begin).max(0).quotient(tokens);
    // Tokens outside: the inputs of a tile, which are many, stay near while the unit's groups pass by.
    each(0, whole, i => eachApart(groups, group => visit({ first: begin.add(i.mul(tokens)), tokens, group, groups: 1 })));
    done = begin.add(whole.mul(tokens));
  }
  for (let size = halfOf(tokens); size > 1; size = halfOf(size)) {
    const first = done;
    const fits = first.add(size).le(end).neg();
    each(0, fits, () => eachApart(groups, group => visit({ first, tokens: size, group, groups: 1 })));
    done = first.add(fits.mul(size));
  }
  each(done, end, first => visit({ first, tokens: 1, group: int(0), groups }));
}

/** The next smaller power of two. */
const halfOf = (n: number): number => 2 ** (Math.ceil(Math.log2(n)) - 1);

/** Blocks of a row: so many that a group's bytes still have an index. */
const mostBlocks = (packed: Packed): number => Math.floor((2 ** 31 - 1) / packed.bytes);
const MOST_TOKENS = 1 << 16;

/**
 * For activations whose rows are `xStride` bytes apart. Slots: w, x, y; blocks per row, tokens, bytes between tokens in y; then scale and bias,
 * as `after` says. Grid: units of `rowsPerUnit(schedule)` rows. y is f32, and is written for whole units, so its rows are padded.
 */
export function matmul(packed: Packed, schedule: MatmulSchedule, epilogue: Epilogue, xStride: number, after: After = {}): Kernel {
  const name = `matmul_${packed.name}_${epilogue}_x${xStride}${tiles(schedule)}${suffixOf(after)}`;
  return kernel(name, s => {
    const [w, x, y] = [s.in("w"), s.in("x"), s.out("y")];
    const [blocks, tokens, yStride] = [s.size("blocks", mostBlocks(packed)), s.size("tokens", MOST_TOKENS), s.size("yStride")];
    const scale = after.scale ? s.scalar("scale") : undefined;
    const operands: Operands = {
      w,
      x,
      y,
      blocks,
      xStride,
      yStride,
      prefetch: schedule.prefetch,
      scale,
      bias: after.bias ? s.in("bias") : undefined,
    };
    return unit =>
      cover(schedule, int(0), tokens, ({ group, ...rest }) =>
        tile(packed, operands, epilogue, { ...rest, group: unit.mul(schedule.groups).add(group) }),
      );
  });
}

/**
 * The same with one of several matrices for each stretch of rows of x, which are sorted by matrix (kernels/route.ts). Slots: w (the matrices one
 * after the other), x, y, starts (i32: first row of each matrix), active (i32: how many matrices have rows, then which); blocks per row, groups
 * of eight rows of one matrix, bytes between rows of y; then scales (`scalesOf`) and biases, matrix after matrix, as `after` says. Grid: units of
 * rows of one matrix. Only the matrices that have rows are read.
 */
export function routedMatmul(packed: Packed, schedule: MatmulSchedule, xStride: number, after: After = {}): Kernel {
  const name = `routed_matmul_${packed.name}_x${xStride}${tiles(schedule)}${suffixOf(after)}`;
  return kernel(name, s => {
    const [w, x, y, starts, active] = [s.in("w"), s.in("x"), s.out("y"), s.in("starts"), s.in("active")];
    const [blocks, matrixGroups, yStride] = [s.size("blocks", mostBlocks(packed)), s.size("matrixGroups", 1 << 24), s.size("yStride")];
    const scales = after.scale ? scalesOf(s) : undefined;
    const bias = after.bias ? s.in("bias") : undefined;
    return unit =>
      each(0, active.load("i32", 1, 0), i => {
        const matrix = active.load("i32", 1, i.add(1).mul(4));
        const [begin, end] = [starts.load("i32", 1, matrix.mul(4)), starts.load("i32", 1, matrix.add(1).mul(4))];
        const operands: Operands = { w, x, y, blocks, xStride, yStride, prefetch: schedule.prefetch, scale: scales?.(matrix), bias };
        cover(schedule, begin, end, ({ group, ...rest }) => {
          const result = unit.mul(schedule.groups).add(group);
          const own = matrix.mul(matrixGroups).add(result);
          tile(packed, operands, "set", { ...rest, group: own, place: { result, bias: own } });
        });
      });
  });
}

/**
 * Every head of x times a matrix of its own: y[head] = W[head] x[head]. Slots: w (the matrices one after the other), x, y; blocks per row, groups
 * of eight rows of one matrix, bytes of one head in x, tokens, bytes between rows of y; with `scale` scales (`scalesOf`). Grid: heads x units of
 * rows, heads outermost.
 */
export function headMatmul(packed: Packed, schedule: MatmulSchedule, xStride: number, scale = false): Kernel {
  return kernel(`head_matmul_${packed.name}_x${xStride}${tiles(schedule)}${suffixOf({ scale })}`, s => {
    const [w, x, y] = [s.in("w"), s.in("x"), s.out("y")];
    const [blocks, matrixGroups, headBytes] = [s.size("blocks", mostBlocks(packed)), s.size("matrixGroups", 1 << 24), s.size("headBytes")];
    const [tokens, yStride] = [s.size("tokens", MOST_TOKENS), s.size("yStride")];
    const scales = scale ? scalesOf(s) : undefined;
    return unit => {
      const begin = unit.mul(schedule.groups); // rows of all heads lie one after the other, in w and in y
      const head = begin.quotient(matrixGroups.max(1));
      const from = head.mul(headBytes);
      const operands: Operands = { w, x, y, blocks, xStride, yStride, prefetch: schedule.prefetch, scale: scales?.(head) };
      cover(schedule, int(0), tokens, ({ group, ...rest }) => tile(packed, operands, "set", { ...rest, from, group: begin.add(group) }));
    };
  });
}
