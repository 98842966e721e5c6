/**
 * The float64 references of families beyond Llama's: against llama.cpp's record of small random models, so that they may be trusted, and the engine
 * against them, in all logits and closer than probabilities show.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { decoderLogits, decoders } from "../../reference/decoders.ts";
import { readNumbers } from "../../reference/llama.ts";
import { distance, openEngine } from "../fixtures/engine.ts";
import { shares, throughReference } from "../models/oracle.ts";
import { describeShared } from "../shared.ts";

/** Rounding of llama.cpp's float32 sums; seen: 1.5e-6. */
const RECORD = 5e-6;
/** Rounding of the engine's, as a share of the greatest logit. */
const ENGINE = 1e-5;

/** The greatest distance between own and recorded probabilities. */
function apart(top: readonly (readonly (readonly [id: number, probability: number])[])[], logits: readonly number[][]): number {
  const off = top.flatMap((list, i) => {
    const own = shares(logits[i]);
    return list.map(([id, p]) => Math.abs(own[id] - p));
  });
  return Math.max(...off);
}

describeShared("mixtures of experts and the Gemma models", "arch-oracle", folder => {
  it.each(Object.keys(decoders))("%s", async name => {
    const path = join(folder, `${name}.gguf`);
    const { prompt, greedy, top } = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
    const tokens: number[] = [...prompt, ...greedy];
    const truth = decoderLogits(name, readNumbers(path), tokens);
    if (!throughReference.has(name)) expect(apart(top, truth)).toBeLessThan(RECORD);
    const engine = await openEngine(path);
    const own = engine.feed(engine.stepper.newSequence(), tokens, 7);
    await engine.close();
    expect(
      distance(
        own,
        truth.map(row => Float64Array.from(row)),
      ),
    ).toBeLessThan(ENGINE);
  });
});
