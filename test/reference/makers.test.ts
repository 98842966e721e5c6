/** Toys of families of which llama.cpp is no truth: all logits against float64, and what a model never answers with. */
import { afterAll, expect, it } from "vitest";
import { readNumbers } from "../../reference/llama.ts";
import { makersLogits } from "../../reference/makers.ts";
import { openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { CONTEXT, peerTokens } from "../models/peer.ts";
import { toy } from "../models/toy.ts";
import { toys } from "../models/toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

/** Rounding of the engine's sums, as a share of the greatest logit. */
const ENGINE = 1e-5;
const LOWEST = -3.4028234663852886e38;
const pictures = (id: number): boolean => id >= 4 && id < 8196;

const cases = ["gptj", "bitnet-b1.58", "bitnet-25", "chameleon"].flatMap(name => Object.keys(toys[name]).map(v => [name, v] as const));

it.each(cases)("%s, %s", async (name, variation) => {
  const path = await folder.write(toy(name, toys[name][variation]));
  const ids = peerTokens();
  const truth = makersLogits(name, readNumbers(path), ids);
  const engine = await openEngine(path, { context: CONTEXT, maxTokens: 64 });
  const own = engine.feed(engine.stepper.newSequence(), ids, 7);
  await engine.close();
  const hidden = (id: number): boolean => name === "chameleon" && pictures(id);
  const most = Math.max(...truth.map(row => row.reduce((m, x) => Math.max(m, Math.abs(x)))));
  own.forEach((row, t) => {
    expect(row.length).toBe(truth[t].length);
    const off = row.reduce((m, x, id) => (hidden(id) ? m : Math.max(m, Math.abs(x - truth[t][id]))), 0);
    expect(off / most, `token ${t}`).toBeLessThan(ENGINE);
    expect(row.every((x, id) => !hidden(id) || x === LOWEST)).toBe(true);
  });
});
