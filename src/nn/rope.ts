/** Angles of rotary position embeddings and the row order that turns neighbouring pairs into split halves (ARCHITECTURES 1.2). */
import type { Rotation } from "./layers.ts";

export interface RopeOptions {
  /** Values of a head that are rotated. */
  readonly dim: number;
  readonly base: number;
  /** Frequencies are divided by these, one a pair (tensor rope_freqs). */
  readonly factors?: Float32Array;
  /** Positions are divided by this (linear scaling). */
  readonly linear?: number;
}

/** frequency[i] = base^(-2i / dim) / factor[i] / linear. */
export function rotation({ dim, base, factors, linear = 1 }: RopeOptions): Rotation {
  const frequencies = Float64Array.from({ length: dim / 2 }, (_, i) => base ** ((-2 * i) / dim) / (factors?.[i] ?? 1) / linear);
  return { frequencies, magnitude: 1 };
}

/**
 * For heads whose pairs are neighbours (2i, 2i + 1): the order of a head's rows that puts all first members in front. Applied to the rows of
 * the query and key weights at load; scores are sums over a head, so they do not change, and kernels only know split halves.
 */
export function splitPairs(headDim: number, dim: number): readonly number[] {
  return Array.from({ length: headDim }, (_, i) => (i >= dim ? i : i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1));
}
