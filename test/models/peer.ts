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

/** The vector, or the scores, of a whole text. */
export function pooled(engine: Engine, rows: readonly Float32Array[]): number[] {
  const { output } = engine.stepper.network;
  if (output.kind !== "embedding") throw new Error("logits where embeddings are expected");
  return Array.from(pool(output, rows));
}
