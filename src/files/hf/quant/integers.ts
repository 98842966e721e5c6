/**
 * Matrices of whole numbers with a scale for each group of inputs, as GPTQ, AWQ and compressed-tensors have them in different arrangements:
 * the choice of a ggml type that holds the same values exactly, and the conversion. Owns streams of packed bits too.
 */
import { fromHalf, toHalf } from "../../../formats/encode/floats.ts";
import { gridBlocks, narrowestGrid } from "../blocks.ts";
import { decodeFloats, type FloatType } from "../floats.ts";
import { cast, computed, type LazyTensor, type StoredTensor, typeNamed } from "../lazy.ts";

/** The number of `bits` bits (at most 8) at bit `at` of a stream whose 32-bit words are `stride` apart from word `start` on, low bits first. */
export function packedBits(words: Int32Array | Uint32Array, start: number, stride: number, at: number, bits: number): number {
  const word = start + (at >>> 5) * stride;
  const shift = at & 31;
  const low = words[word] >>> shift;
  return (shift + bits > 32 ? low | (words[word + stride] << (32 - shift)) : low) & ((1 << bits) - 1);
}

/** All 32-bit words of a tensor. */
export async function wordsOf({ source, offset, bytes }: StoredTensor): Promise<Int32Array<ArrayBuffer>> {
  const out = new Int32Array(bytes / 4);
  await source.read(offset, bytes, new Uint8Array(out.buffer));
  return out;
}

/** A matrix in memory. */
export interface IntegerRows {
  /** Writes the numbers of output `row` into `out`, one for each input. */
  numbers(row: number, out: Int16Array): void;
  /** The scale of output `row` at the group of inputs. */
  scale(row: number, group: number): number;
}

export interface IntegerMatrix {
  readonly outputs: number;
  readonly inputs: number;
  /** The group of each input; undefined where group g holds the inputs from g * groupSize on. */
  readonly groupOf?: ArrayLike<number>;
  readonly groupSize: number;
  /** Limits of the numbers. */
  readonly low: number;
  readonly high: number;
  /** All scales, in any order. */
  readonly scales: Float32Array;
  /** Reads it; called when the matrix is converted, so that only one is in memory at a time. */
  readonly load: () => Promise<IntegerRows>;
}

/** The matrix in the narrowest type of blocks that holds it exactly, else as `inexact`. */
export function integerTensor(matrix: IntegerMatrix, inexact: FloatType, name: string): LazyTensor {
  const { inputs, outputs, groupSize, groupOf, low, high, scales } = matrix;
  const even = groupOf === undefined && groupSize % 32 === 0 && inputs % 32 === 0;
  const exact = even && scales.every(s => fromHalf(toHalf(s)) === s);
  const type = exact ? narrowestGrid(low, high) : undefined;
  const held = heldRows(matrix);
  const rowsOf = async (first: number, count: number, take: (rows: IntegerRows, row: number, at: number) => void): Promise<void> => {
    const rows = await held.rows();
    for (let i = 0; i < count; i++) take(rows, first + i, i);
    if (first + count === outputs) held.release();
  };
  if (type === undefined) {
    const numbers = new Int16Array(inputs);
    const floats = computed([outputs, inputs], (first, out) =>
      rowsOf(first / inputs, out.length / inputs, (rows, row, at) => {
        rows.numbers(row, numbers);
        for (let i = 0; i < inputs; i++) {
          out[at * inputs + i] = numbers[i] * rows.scale(row, groupOf ? groupOf[i] : Math.floor(i / groupSize));
        }
      }),
    );
    return cast(floats, inexact, name);
  }
  return {
    type: typeNamed(type),
    shape: [outputs, inputs],
    async read(first, count) {
      const numbers = new Int16Array(count);
      const scaleBits = new Uint16Array(count / 32);
      await rowsOf(first / inputs, count / inputs, (rows, row, at) => {
        rows.numbers(row, numbers.subarray(at * inputs, (at + 1) * inputs));
        for (let b = 0; b < inputs / 32; b++) {
          scaleBits[(at * inputs) / 32 + b] = toHalf(rows.scale(row, Math.floor((32 * b) / groupSize)));
        }
      });
      return gridBlocks(type, numbers, scaleBits);
    },
  };
}

function heldRows({ load }: IntegerMatrix): { rows: () => Promise<IntegerRows>; release: () => void } {
  let held: Promise<IntegerRows> | undefined;
  return {
    rows: () => (held ??= load()),
    release: () => {
      held = undefined;
    },
  };
}

/** All values of a float tensor that a scheme reads whole. */
export async function allFloats(tensor: StoredTensor): Promise<Float32Array<ArrayBuffer>> {
  return decodeFloats(tensor.dtype, await tensor.source.read(tensor.offset, tensor.bytes));
}
