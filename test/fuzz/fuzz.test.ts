/**
 * Damaged inputs of every kind end in a typed error or do no harm: some of them here in every run, seeded, and those that were once found to
 * fail (`corpus/`). `npm run fuzz -- --minutes 10` tries more.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Random } from "../fixtures/random.ts";
import { attempted, knownCodes } from "./attempt.ts";
import { inputOf, targets } from "./targets.ts";

const codes = knownCodes(new URL("../../src/errors.ts", import.meta.url));
const CASES = 100;
const corpus = join(import.meta.dirname, "corpus");

describe.each(targets().map(target => [target.name, target] as const))("%s", (name, target) => {
  afterAll(() => target.close?.());

  it("whole inputs are taken", async () => {
    const outcomes = [];
    for (const input of await target.samples()) outcomes.push(await attempted(target, input, codes));
    expect(outcomes.filter(o => "failure" in o)).toEqual([]);
    if (!target.generate) expect(outcomes.filter(o => "code" in o && o.code === "ok").length).toBeGreaterThanOrEqual(outcomes.length / 2);
  });

  it("damaged inputs are refused, or do no harm", async () => {
    const samples = await target.samples();
    const seen = new Map<string, number>();
    for (let seed = 0; seed < CASES; seed++) {
      const outcome = await attempted(target, inputOf(target, samples, new Random(1000 + seed)), codes);
      if ("failure" in outcome) expect.fail(`seed ${1000 + seed}: ${outcome.failure}`);
      seen.set(outcome.code, (seen.get(outcome.code) ?? 0) + 1);
    }
    // Damage that always hits, or never, would say nothing; of what is made from nothing, some must be taken.
    if (target.generate) expect(seen.get("ok") ?? 0, [...seen].join("; ")).toBeGreaterThan(CASES / 10);
    else expect(seen.size, [...seen.keys()].join(", ")).toBeGreaterThan(1);
  });

  const folder = join(corpus, name);
  const found = existsSync(folder) ? readdirSync(folder) : [];
  it.each(found)("found before: %s", async file => {
    const outcome = await attempted(target, readFileSync(join(folder, file)), codes);
    if ("failure" in outcome) expect.fail(outcome.failure);
  });
});
