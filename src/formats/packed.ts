/**
 * What a packed weight format is: how weights lie for the kernels, "rows in lanes". Eight output rows form a group; one vector register holds
 * four consecutive inputs of each (or one input of each), so a broadcast of activations feeds all rows and no horizontal sum is needed. The
 * file formats (one file each, see index.ts) map without loss onto a handful of these. Owns the activation record that integer formats share.
 */
import { type AnyVal, type Bytes, fold, type IntLike, type Val } from "../ir/trace.ts";

/** Rows in a group: the lanes of the kernels' accumulators. */
export const GROUP = 8;
/** Packed tensors are padded with zero rows to a multiple of this. */
export const ROW_PADDING = 32;

export type Int = Val<"i32", 1>;
export type Rows = Val<"f32", 8>;

/**
 * How activations are handed to a weight: plain f32, or quantised records of 32 inputs as bytes or as 16-bit integers; `q8fit` are bytes with the
 * scale that fits them best, for weights so exact and so few in bits that rounding activations is all that is off.
 */
export type Form = "f32" | "q8" | "q8fit" | "q16";
/** Whether multiplies take bytes. */
export const inBytes = (form: Form): boolean => form === "q8" || form === "q8fit";

/**
 * A quantised record: f32 scale at 0; f32 scale * sum at 4; i32 8 * sum at 8 (what codes of four bits
 * are off by); i16 sums of the first and the last sixteen at 12; then 32 values
 * -127 .. 127.
 */
export const record = {
  inputs: 32,
  scale: 0,
  scaledSum: 4,
  eightfold: 8,
  halfSums: 12,
  values: 16,
  bytes: { q8: 48, q8fit: 48, q16: 80 },
} as const;
const quantised = { min: -127, max: 127 };

/** Bytes of `n` activations (for quantised forms a multiple of 32). */
export const activationBytes = (form: Form, n: number): number => (form === "f32" ? 4 * n : (n / record.inputs) * record.bytes[form]);

const times = (x: IntLike, factor: number): IntLike => (typeof x === "number" ? x * factor : x.mul(factor));

/** One token's activations, seen from one block of weights. `of` is the number of a record in the block. */
export class Activations {
  readonly #x: Bytes;
  readonly #at: Int;
  readonly #form: Form;

  /** `at`: byte offset of the block's first record or value. */
  constructor(x: Bytes, at: Int, form: Form) {
    this.#x = x;
    this.#at = at;
    this.#form = form;
  }

  /** Inputs 4 `quad` .. 4 `quad` + 3 of a q8 record, once for each row. */
  quad = (of: IntLike, quad: IntLike): Val<"i8", 32> =>
    this.#x.load("i8", 4, this.#record(of).add(times(quad, 4)).add(record.values), quantised).repeat(32);
  /** Inputs 2 `pair` and 2 `pair` + 1 of a q16 record, once for each row. */
  pair = (of: IntLike, pair: IntLike): Val<"i16", 16> =>
    this.#x.load("i16", 2, this.#record(of).add(times(pair, 4)).add(record.values), quantised).repeat(16);
  scale = (of: IntLike): Rows => this.#x.load("f32", 1, this.#record(of).add(record.scale)).repeat(8);
  scaledSum = (of: IntLike): Rows => this.#x.load("f32", 1, this.#record(of).add(record.scaledSum)).repeat(8);
  /** A power of two times the sum, once for each row. */
  sumTimes(of: IntLike, factor: number): Val<"i32", 8> {
    const eightfold = this.#x.load("i32", 1, this.#record(of).add(record.eightfold), { min: -32512, max: 32512 }).repeat(8);
    const distance = Math.log2(factor) - 3;
    return distance < 0 ? eightfold.shr(-distance) : distance ? eightfold.shl(distance) : eightfold;
  }
  /** The sums of the first and of the last sixteen, once for each row. */
  halfSums = (of: IntLike): Val<"i16", 16> =>
    this.#x.load("i16", 2, this.#record(of).add(record.halfSums), { min: -2032, max: 2032 }).repeat(16);
  /** An f32 input, once for each row. */
  value = (input: IntLike): Rows => this.#x.load("f32", 1, this.#at.add(times(input, 4))).repeat(8);

  #record(of: IntLike): Int {
    return this.#at.add(times(of, activationBytes(this.#form, record.inputs)));
  }
}

/**
 * Carries values over `count` short steps: a loop where several tokens share the weights, so that few values live at a time and stay in
 * registers; written out for a single token, whose few values fit anyway. The same operations in the same order. (Formats with more work a
 * step use `fold` itself.)
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
  readonly activation: Form;
  /**
   * Adds the block at byte offset `at` to the sums of each token, which start as zero. The order of the sums is the same for any number of
   * tokens (docs/architecture.md, "one order of sums").
   */
  readonly accumulate: (w: Bytes, at: Int, tokens: readonly Activations[], sums: readonly Rows[]) => readonly Rows[];
  /** The rows' results from the sums over all blocks; absent: the sums themselves. */
  readonly finish?: (sum: Rows) => Rows;
  /** Calls `emit` for every input of the block with the eight rows' values. */
  readonly decode: (w: Bytes, at: Int, emit: (input: IntLike, rows: Rows) => void) => void;
}

/** One row's block as it lies in the file, and the packed block of eight rows where it goes. */
export interface PackBlock {
  readonly source: Bytes;
  /** Byte offset of the row's block. */
  readonly from: Int;
  readonly target: Bytes;
  /** Byte offset of the packed block. */
  readonly at: Int;
  /** Which of the eight rows. */
  readonly row: Int;
  /** The format's `constants` or the tensor's `trailer`; present where there is one. */
  readonly constants?: Bytes;
  /** Told every 16-bit float (its bits without sign) that decides whether the block is finite and in range. */
  readonly check: (magnitude: Int) => void;
}

export interface WeightFormat {
  /** ggml's name of the type. */
  readonly name: string;
  readonly packed: Packed;
  readonly pack: (block: PackBlock) => void;
  /** Bytes that packing looks into, such as a codebook; the same for all tensors. */
  readonly constants?: () => Uint8Array;
  /** Bytes behind the rows of a tensor in the file, which are its constants. */
  readonly trailer?: number;
  /** What rows that pad a tensor are filled with to decode to zeros; absent: 0. */
  readonly padding?: number;
  /** Magnitudes from here on are infinite or not a number. */
  readonly infinite: number;
  /** Magnitudes from here on do not fit the packed form; the tensor is packed as `fallback` instead. */
  readonly limit?: number;
  readonly fallback?: WeightFormat;
  /** The same tensors packed for machines that sum four products of bytes at once: another form of the same size. */
  readonly quads?: WeightFormat;
}

const magnitude = 0x7fff;

/** Copies the row's 16-bit float at `from` to its place at `to`, where the eight rows' lie side by side, and has it checked. */
export function packHalf(b: PackBlock, from: number, to: number): void {
  const bits = b.source.load("u16", 1, b.from.add(from));
  b.check(bits.to("i32").and(magnitude));
  b.target.store(b.at.add(b.row.mul(2)).add(to), bits);
}

/** The row's 32-bit word at `from`, with no demands on alignment. */
export const wordAt = (b: PackBlock, from: IntLike): Int => b.source.load("i32", 1, b.from.add(from));

/** Byte `i` (0 .. 3) of a word, 0 .. 255. */
export const byteOf = (word: Int, i: number): Int => word.shr(8 * i).and(255);

/** Puts a number that fits `type` into its place at `to`, where the eight rows' bytes lie side by side. */
export function packByte(b: PackBlock, type: "i8" | "u8", value: Int, to: IntLike): void {
  b.target.store(b.at.add(b.row).add(to), value.saturate(type));
}
