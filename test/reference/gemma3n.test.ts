/**
 * Gemma 3n's float64 reference: against llama.cpp's record of a toy, with llama.cpp's GELU in half precision and deviations, so that it may be trusted (as
 * it is, it gives the makers' numbers: test/models/makers.json); and the engine against it. The toys magnify what is rounded, more with every layer: how much is measured in the reference itself, whose products are then
 * rounded to single precision, and the engine, which rounds more than products, is held to a multiple of that.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { gemma3nLogits } from "../../reference/gemma3n.ts";
import { readNumbers } from "../../reference/llama.ts";
import { distance, openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { half } from "../models/oracle.ts";
import { CONTEXT, offBy, peerTokens, probabilities } from "../models/peer.ts";
import { toy } from "../models/toy.ts";
import { toys } from "../models/toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

/** Roundings of a layer, as a multiple of those of its products. Seen: 7 to 19. */
const ROUNDINGS = 32;
/** Halves that tip over where llama.cpp's sums are others. Seen: 1.4e-4, and 9.5e-4 with GELU unrounded. */
const RECORD = 2e-4;

/** More than see one window, and few enough for a slow reference. */
const TOKENS = 20;

const variations = Object.keys(toys.gemma3n);

it.each(variations)("%s", async variation => {
  const path = await folder.write(toy("gemma3n", toys.gemma3n[variation]));
  const file = readNumbers(path);
  const ids = peerTokens().slice(0, TOKENS);
  const truth = gemma3nLogits(file, ids).map(row => Float64Array.from(row));
  const rounded = gemma3nLogits(file, ids, { product: Math.fround }).map(row => Float32Array.from(row));
  const engine = await openEngine(path, { context: CONTEXT, maxTokens: 64 });
  const own = engine.feed(engine.stepper.newSequence(), ids, 7);
  await engine.close();
  expect(distance(own, truth)).toBeLessThan(ROUNDINGS * distance(rounded, truth));
  expect(distance(own, truth)).toBeLessThan(1e-3);
});

it("gives llama.cpp's probabilities where GELU is rounded and deviations divided as there", async () => {
  const excerpts = JSON.parse(readFileSync(join(import.meta.dirname, "..", "models", "peer-excerpts.json"), "utf8"));
  const { variation, ...recorded } = excerpts.gemma3n;
  const file = readNumbers(await folder.write(toy("gemma3n", toys.gemma3n[variation])));
  expect(offBy(recorded, gemma3nLogits(file, peerTokens(), { gelu: half, deviation: n => n - 1 }).map(probabilities))).toBeLessThan(RECORD);
});
