/** What a comparison with llama.cpp feeds to both, and what it compares. */
import { pool } from "../../src/engine/pool.ts";
import type { Engine } from "../fixtures/engine.ts";
import { Random } from "../fixtures/random.ts";
import { VOCABULARY } from "./toy.ts";

/** Tokens of context: picks the frequency factors of longrope. */
export const CONTEXT = 256;
/** Tokens, and how many of them are fed at once. */
const TOKENS = 40;
export const PROMPT = 32;

export function peerTokens(): number[] {
  const random = new Random(3);
  return Array.from({ length: TOKENS }, () => 3 + random.below(VOCABULARY - 3));
}

/** The softmax of logits. */
export function probabilities(row: ArrayLike<number>): number[] {
  const logits = Array.from(row);
  const most = Math.max(...logits);
  const weights = logits.map(x => Math.exp(x - most));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map(w => w / total);
}

/** The vector of a whole text, or its scores; of the labels yes and no the probabilities. */
export function pooled(engine: Engine, rows: readonly Float32Array[]): number[] {
  const { output } = engine.stepper.network;
  if (output.kind !== "embedding") throw new Error("logits where embeddings are expected");
  const all = Array.from(pool(output, rows));
  return output.pooling === "rank" && all.length === 2 ? probabilities(all) : all;
}

/** What is kept of the rows of a comparison: the likeliest tokens after some positions, or the beginning of a vector. */
export interface Excerpt {
  readonly top?: Readonly<Record<number, readonly (readonly [id: number, probability: number])[]>>;
  readonly vector?: readonly number[];
}

const POSITIONS = [8, PROMPT - 1, TOKENS - 1];
const KEPT = 6;
const short = (x: number): number => Number(x.toPrecision(6));

/** One row: an embedding; several: probabilities after each token. */
export function excerpt(rows: readonly (readonly number[])[]): Excerpt {
  if (rows.length === 1) return { vector: rows[0].slice(0, 2 * KEPT).map(short) };
  const likeliest = (row: readonly number[]): [number, number][] =>
    row
      .map((p, id): [number, number] => [id, short(p)])
      .sort((a, b) => b[1] - a[1])
      .slice(0, KEPT);
  return { top: Object.fromEntries(POSITIONS.map(at => [at, likeliest(rows[at])])) };
}

/** The greatest difference from an excerpt. */
export function offBy({ top = {}, vector = [] }: Excerpt, rows: readonly (readonly number[])[]): number {
  const fromTop = Object.entries(top).flatMap(([at, list]) => list.map(([id, p]) => Math.abs(rows[Number(at)][id] - p)));
  const fromVector = vector.map((v, i) => Math.abs(rows[0][i] - v));
  return Math.max(...fromTop, ...fromVector);
}
