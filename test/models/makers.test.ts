/** Toys of families whose makers' models were run in Hugging Face's transformers (makers.json, made by bench/peers/makers.mjs): their probabilities. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { CONTEXT, type Excerpt, offBy, peerTokens, probabilities } from "./peer.ts";
import { toy } from "./toy.ts";
import { toys } from "./toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

type Records = Readonly<Record<string, Readonly<Record<string, Excerpt>>>>;
const records: Records = JSON.parse(readFileSync(join(import.meta.dirname, "makers.json"), "utf8")).architectures;
/** Their norms and angles are in single precision. The toys of Gemma 3n magnify what is rounded (test/reference/gemma3n.test.ts). */
const tolerance = (name: string): number => (name === "gemma3n" ? 5e-4 : 1e-5);

const all = Object.entries(records).flatMap(([name, own]) =>
  Object.entries(own).map(([variation, record]) => ({ name, variation, record })),
);

it.each(all)("$name, $variation", async ({ name, variation, record }) => {
  const path = await folder.write(toy(name, toys[name][variation]));
  const engine = await openEngine(path, { context: CONTEXT, maxTokens: 64 });
  const rows = engine.feed(engine.stepper.newSequence(), peerTokens()).map(probabilities);
  await engine.close();
  expect(offBy(record, rows)).toBeLessThan(tolerance(name));
});
