/**
 * What the float64 references of whole models share: a file's numbers by name, and sums over rows of activations. Written for the eye: every
 * token's row is a plain list of numbers, and nothing is fast.
 */
import type { Row } from "./recurrent.ts";

/** A tensor as GGUF files have it: the fastest dimension first. */
export interface ReferenceTensor {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}
export interface ReferenceFile {
  /** Without the architecture's name in front. */
  readonly metadata: ReadonlyMap<string, number | boolean | string | readonly (number | boolean)[]>;
  readonly tensors: ReadonlyMap<string, ReferenceTensor>;
}

export type Rows = readonly Row[];
export type Layer = (x: Rows) => number[][];

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
export const sum = (x: Row): number => x.reduce((a, b) => a + b, 0);
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const silu = (x: number): number => x * sigmoid(x);
export const softplus = (x: number): number => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
export const part = (rows: Rows, from: number, size: number): number[][] => rows.map(r => r.slice(from, from + size));
export const zip = (a: Rows, b: Rows, f: (x: number, y: number) => number): number[][] =>
  a.map((row, t) => row.map((x, i) => f(x, b[t][i])));
export const plus = (a: Rows, b: Rows): number[][] => zip(a, b, (x, y) => x + y);
export const unit = (x: Row): number[] => x.map(v => v / Math.hypot(...x));

/** Reads a file's numbers by name. */
export class File {
  readonly #file: ReferenceFile;
  constructor(file: ReferenceFile) {
    this.#file = file;
  }

  has = (name: string): boolean => this.#file.tensors.has(name);
  values(name: string): number[] {
    const found = this.#file.tensors.get(name) ?? this.#file.tensors.get(`${name}.weight`);
    if (!found) throw new Error(`${name} is missing`);
    return Array.from(found.data);
  }
  shape = (name: string): readonly number[] => this.#file.tensors.get(`${name}.weight`)?.shape ?? [];
  /** One number, or that of layer i. */
  number(key: string, fallback?: number, i = 0): number {
    const value = this.#file.metadata.get(key) ?? fallback;
    const own = typeof value === "object" ? value[i] : value;
    if (own === undefined) throw new Error(`${key} is missing`);
    return Number(own);
  }
  text = (key: string): string | undefined => this.#file.metadata.get(key)?.toString();
  /** What a matrix, or one of several in one tensor, is multiplied with. */
  scale(name: string, expert = 0): number {
    if (!this.has(`${name}.scale`)) return 1;
    const scales = this.values(`${name}.scale`);
    return scales[scales.length === 1 ? 0 : expert];
  }
  /** y = s W x + b for each row; `expert` picks a slice of a three-dimensional weight. */
  linear(name: string, x: Rows, expert = 0): number[][] {
    const w = this.values(`${name}.weight`);
    const [inputs, outputs = 1] = this.shape(name);
    const bias = this.has(`${name}.bias`) ? this.values(`${name}.bias`) : undefined;
    const first = expert * inputs * outputs;
    const s = this.scale(name, expert);
    return x.map(row =>
      range(outputs).map(o => s * sum(row.map((v, i) => v * w[first + o * inputs + i])) + (bias?.[expert * outputs + o] ?? 0)),
    );
  }
  /** Over stretches of the weight's own length. */
  rmsNorm(name: string, x: Rows): number[][] {
    const weight = this.values(name);
    const eps = this.number("attention.layer_norm_rms_epsilon");
    return x.map(row =>
      row.map((v, i) => {
        const from = i - (i % weight.length);
        const stretch = row.slice(from, from + weight.length);
        return (v / Math.sqrt(sum(stretch.map(u => u * u)) / weight.length + eps)) * weight[i % weight.length];
      }),
    );
  }
  /** Rows, or heads as long as they are `size`, without their mean and by their own spread; the weight may be each head's own. */
  layerNorm(name: string, x: Rows, eps: number, size = x[0].length): number[][] {
    const weight = this.values(`${name}.weight`);
    const bias = this.has(`${name}.bias`) ? this.values(`${name}.bias`) : undefined;
    return x.map(row =>
      heads(row, size).flatMap((head, h) => {
        const mean = sum(head) / size;
        const spread = Math.sqrt(sum(head.map(v => (v - mean) ** 2)) / size + eps);
        return head.map((v, i) => {
          const own = (h * size + i) % weight.length;
          return ((v - mean) / spread) * weight[own] + (bias?.[own] ?? 0);
        });
      }),
    );
  }
  /** Filters [channel][kernel] of a convolution. */
  filters(name: string): number[][] {
    const w = this.values(`${name}.weight`);
    const [size] = this.shape(name);
    return range(w.length / size).map(c => w.slice(c * size, (c + 1) * size));
  }
}

export const heads = (row: Row, size: number): number[][] =>
  range(row.length / size).map(h => row.slice(h * size, (h + 1) * size) as number[]);
