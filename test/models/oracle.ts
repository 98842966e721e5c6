/** What the oracle's test must know about single files: what does not run yet and why, and how exact the record is. */
import { decoderLogits } from "../../reference/decoders.ts";
import { deepseek4Logits } from "../../reference/deepseek4.ts";
import type { ReferenceFile } from "../../reference/rows.ts";
import { heapBest } from "../../reference/top.ts";

/** File name -> what is missing. Shrinks; the test fails when a name here is not among the files. */
export const todo: ReadonlyMap<string, string> = new Map();

/**
 * A sound engine stays below 2e-5 (the record's own statement). Wider: angles at far positions are coarse in f32; where the makers' GELU is
 * the normal distribution's, llama.cpp's tanh form differs by up to 4e-4.
 */
const wider: ReadonlyMap<string, number> = new Map([
  ["deepseek2-lite", 2e-4],
  ["llama4-far", 2e-4],
  ["falcon", 1e-3],
  ["falcon-40b", 1e-3],
  ["gptneox", 1e-3],
  ["gptneox-seq", 1e-3],
  ["mpt", 1e-3],
]);
export const tolerance = (name: string): number => wider.get(name) ?? 2e-5;

/** Logits of a model's float64 reference after each token. */
type Logits = (file: ReferenceFile, ids: readonly number[]) => number[][];

/**
 * Records that depend on a choice which is llama.cpp's own. The float64 reference that chooses alike must give the record, within `record`, and the
 * engine is compared with the reference that does not. minimax-m3: made with flash attention, whose first layer (the one that sees all keys) then
 * computed in half precision: queries, keys, values and running sums. deepseek32 and deepseek4: many index scores are 0, and among equal ones its partial sort keeps
 * others than the first (reference/top.ts).
 */
export const throughReference: ReadonlyMap<string, { readonly recorded: Logits; readonly record: number; readonly own: Logits }> = new Map([
  [
    "minimax-m3",
    {
      recorded: (file, ids) => decoderLogits("minimax-m3", file, ids, { round: half }),
      record: 1e-3,
      own: (file, ids) => decoderLogits("minimax-m3", file, ids),
    },
  ],
  [
    "deepseek32",
    {
      recorded: (file, ids) => decoderLogits("deepseek32", file, ids, { best: heapBest }),
      record: 5e-6,
      own: (file, ids) => decoderLogits("deepseek32", file, ids),
    },
  ],
  ["deepseek4", { recorded: (file, ids) => deepseek4Logits(file, ids, heapBest), record: 5e-6, own: deepseek4Logits }],
]);

/** The probabilities that logits stand for. */
export function shares(row: ArrayLike<number>): number[] {
  const logits = Array.from(row);
  const most = logits.reduce((m, x) => Math.max(m, x), Number.NEGATIVE_INFINITY);
  const weights = logits.map(x => Math.exp(x - most));
  const total = weights.reduce((sum, x) => sum + x, 0);
  return weights.map(w => w / total);
}

/** All of them, in the form of a record. */
export const probabilities = (rows: readonly ArrayLike<number>[]): [number, number][][] =>
  rows.map(row => shares(row).map((p, id): [number, number] => [id, p]));

/** The nearest number of half precision. */
export function half(x: number): number {
  if (x === 0) return x;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
  return Math.round(x / unit) * unit;
}

export const kinds = {
  /** Tokens of context where the record says "the file's": it picks the frequency factors of longrope. */
  context: (name: string): number => (name === "bert" || name === "bert-rank" || name === "gpt2" ? 128 : 512),
} as const;
