/**
 * What a packed weight format is: how weights lie for the kernels, "rows in lanes". Eight output rows form a group; one vector register holds
 * four consecutive inputs of each (or one input of each), so a broadcast of activations feeds all rows and no horizontal sum is needed. The
 * file formats (one file each, see index.ts) map without loss onto a handful of these. Owns the activation record that integer formats share.
 */
import { type AnyVal, type Bytes, fold, type IntLike, type Val } from "../ir/trace.ts";

/** Rows in a group: the lanes of the kernels' accumulators. */
export const GROUP = 8;
/** Packed tensors are padded with zero rows to a multiple of this. */
export const ROW_PADDING = 16;

export type Int = Val<"i32", 1>;
export type Rows = Val<"f32", 8>;

/**
 * Quantised activations: records of 32 inputs. Bytes -127 .. 127 at 0; f32 scale at 32; f32 scale * sum at 36; i32 sum at 40; i32 sum of the
 * first sixteen at 44.
 */
export const q8 = { inputs: 32, bytes: 48, scale: 32, scaledSum: 36, sum: 40, firstSum: 44 } as const;
const q8Range = { min: -127, max: 127 };

/** One token's activations, seen from one block of weights. */
export class Activations {
  readonly #x: Bytes;
  readonly #at: Int;

  /** `at`: byte offset of the block's first activation record (q8) or value (f32). */
  constructor(x: Bytes, at: Int) {
    this.#x = x;
    this.#at = at;
  }

  /** Quantised inputs 4 `quad` .. 4 `quad` + 3 of 32-input record `record`, once for each row. */
  quads(record: IntLike, quad: IntLike): Val<"i8", 32> {
    const at = typeof quad === "number" ? this.#record(record).add(4 * quad) : this.#record(record).add(quad.mul(4));
    return this.#x.load("i8", 4, at, q8Range).repeat(32);
  }
  scale = (record: IntLike): Rows => this.#x.load("f32", 1, this.#record(record).add(q8.scale)).repeat(8);
  scaledSum = (record: IntLike): Rows => this.#x.load("f32", 1, this.#record(record).add(q8.scaledSum)).repeat(8);
  sum = (record: IntLike): Val<"i32", 8> => this.#x.load("i32", 1, this.#record(record).add(q8.sum), { min: -4064, max: 4064 }).repeat(8);
  firstSum = (record: IntLike): Val<"i32", 8> =>
    this.#x.load("i32", 1, this.#record(record).add(q8.firstSum), { min: -2032, max: 2032 }).repeat(8);
  /** An f32 input, once for each row. */
  value = (input: IntLike): Rows => this.#x.load("f32", 1, this.#at.add(typeof input === "number" ? 4 * input : input.mul(4))).repeat(8);

  #record(record: IntLike): Int {
    return typeof record === "number" ? this.#at.add(record * q8.bytes) : this.#at.add(record.mul(q8.bytes));
  }
}

/**
 * Carries values over `count` short steps: a loop where several tokens share the weights, so that few values live at a time and stay in
 * registers; written out for a single token, whose few values fit anyway. The same operations in the same order.
 */
export function steps<const A extends readonly AnyVal[]>(
  tokens: readonly unknown[],
  count: number,
  init: A,
  body: (i: IntLike, carried: A) => A,
): A {
  if (tokens.length > 1) return fold(count, init, body);
  let carried = init;
  for (let i = 0; i < count; i++) carried = body(i, carried);
  return carried;
}

export interface Packed {
  readonly name: string;
  /** Inputs of one block. */
  readonly inputs: number;
  /** Bytes of one block of eight rows. */
  readonly bytes: number;
  /** The form of the activations that the block multiplies with. */
  readonly activation: "q8" | "f32";
  /**
   * Adds the block at byte offset `at` to the sums of each token, which start as zero. The order of the sums is the same for any number of
   * tokens (DESIGN idea 4).
   */
  readonly accumulate: (w: Bytes, at: Int, tokens: readonly Activations[], sums: readonly Rows[]) => readonly Rows[];
  /** The rows' results from the sums over all blocks; absent: the sums themselves. */
  readonly finish?: (sum: Rows) => Rows;
  /** Calls `emit` for every input of the block with the eight rows' values. */
  readonly decode: (w: Bytes, at: Int, emit: (input: IntLike, rows: Rows) => void) => void;
}

/** Reads the blocks of eight consecutive rows as they lie in the file, and writes one packed block. */
export interface PackBlock {
  readonly source: Bytes;
  /** Byte offset of the block in each of the eight rows. */
  readonly rows: readonly Int[];
  readonly target: Bytes;
  /** Byte offset of the packed block. */
  readonly at: Int;
  /** Told every 16-bit float (its bits without sign) that decides whether the block is finite and in range. */
  readonly check: (magnitude: Int) => void;
}

export interface WeightFormat {
  /** ggml's name of the type. */
  readonly name: string;
  readonly packed: Packed;
  readonly pack: (block: PackBlock) => void;
  /** Magnitudes from here on are infinite or not a number. */
  readonly infinite: number;
  /** Magnitudes from here on do not fit the packed form; the tensor is packed as `fallback` instead. */
  readonly limit?: number;
  readonly fallback?: WeightFormat;
}

const magnitude = 0x7fff;

/** Copies the 16-bit float at `from` of every row to consecutive places at `to`, and has it checked. */
export function packHalves(b: PackBlock, from: number, to: number): void {
  b.rows.forEach((row, r) => {
    const bits = b.source.load("u16", 1, row.add(from));
    b.check(bits.to("i32").and(magnitude));
    b.target.store(b.at.add(to + 2 * r), bits);
  });
}

/** Copies 32-bit word `from` of every row to consecutive places at `to`. */
export function packWords(b: PackBlock, from: IntLike, to: IntLike): void {
  b.rows.forEach((row, r) => {
    b.target.store(b.at.add(to).add(4 * r), b.source.load("i32", 1, row.add(from)));
  });
}
