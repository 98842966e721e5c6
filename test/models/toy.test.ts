/**
 * Architectures of which there is no recorded file: toy models of them give what llama.cpp gave (peer-excerpts.json, made by bench/peers/agree.mjs), and
 * a prompt whole, in pieces, token by token and beside another sequence gives the same logits in every bit.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openEngine, sameRows } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { besideAnother, fed } from "./feeding.ts";
import { CONTEXT, type Excerpt, offBy, peerTokens, pooled, probabilities } from "./peer.ts";
import { toy } from "./toy.ts";
import { apartFromPeer, toys, unknownToPeer } from "./toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

const excerpts: Record<string, Excerpt & { variation: string }> = JSON.parse(
  readFileSync(join(import.meta.dirname, "peer-excerpts.json"), "utf8"),
);
/**
 * llama.cpp looks GELU up in a table of half precision. The error grows with the number of layers; agree.mjs compares with the same rounding on
 * both sides, and then finds a tenth of this.
 */
const GELU = /^(t5|gemma|gpt|starcoder|bloom|grok|mpt|jina|modern|nomic-bert-moe|spark)/;
const tolerance = (name: string): number => (GELU.test(name) ? 2e-3 : 2e-5);

it.each([...Object.keys(excerpts), ...unknownToPeer])("%s", async name => {
  const recorded = excerpts[name];
  const path = await folder.write(toy(name, toys[name][recorded?.variation ?? Object.keys(toys[name])[0]]));
  const engine = await openEngine(path, { context: CONTEXT, maxTokens: 64 });
  try {
    const ids = peerTokens();
    const whole = fed(engine, ids, ids.length);
    const { network } = engine.stepper;
    const rows = network.output.kind === "embedding" ? [pooled(engine, whole)] : whole.map(probabilities);
    if (recorded && !apartFromPeer.includes(name)) expect(offBy(recorded, rows)).toBeLessThan(tolerance(name));
    expect(rows.flat().every(Number.isFinite)).toBe(true);
    expect(sameRows(whole.slice(0, 1), whole.slice(1, 2))).toBe(false);
    if (network.bidirectional) return;
    for (const chunk of [10, 1]) expect(sameRows(fed(engine, ids, chunk), whole), `in pieces of ${chunk}`).toBe(true);
    expect(sameRows(besideAnother(engine, ids), whole), "beside another sequence").toBe(true);
  } finally {
    await engine.close();
  }
});
