/** Rows of random numbers as kernels take them: a number of columns and, between the rows, padding that nothing may depend on. */
import type { Image } from "../fixtures/machines.ts";
import type { Random } from "../fixtures/random.ts";

const PADDING = 4;

export interface Table {
  readonly rows: readonly (readonly number[])[];
  /** Bytes between rows. */
  readonly stride: number;
  readonly put: (image: Image) => number;
}

/** Rows of a normal distribution, unless `fill` says otherwise. */
export function table(random: Random, rows: number, columns: number, fill: () => number = random.normal): Table {
  const values = Array.from({ length: rows }, () => Array.from({ length: columns }, () => Math.fround(fill())));
  return {
    rows: values,
    stride: 4 * (columns + PADDING),
    put: image => image.f32(...values.map(row => [...row, ...Array.from({ length: PADDING }, () => 7)])),
  };
}

/** Sum of products, and the sum of their sizes, which bounds are multiples of. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): { sum: number; size: number } {
  let [sum, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    sum += a[i] * b[i];
    size += Math.abs(a[i] * b[i]);
  }
  return { sum, size };
}

export const transposed = (m: readonly (readonly number[])[]): number[][] => m[0].map((_, k) => m.map(row => row[k]));
