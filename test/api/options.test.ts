/** Options: what is unknown, wrong or unavailable is refused by name before anything is done. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { GenerateOptions, LoadOptions } from "../../src/api/options.ts";
import { caught } from "../files/caught.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { autoTarget } from "../fixtures/target.ts";

const folder = new ModelFolder();
let path: string;
let model: Model;
beforeAll(async () => {
  path = await folder.model();
  model = await load(path, { threads: 1 });
}, 60_000);
afterAll(async () => {
  await model.close();
  folder.remove();
});

describe("load options", () => {
  it.each([
    { context: 0 },
    { context: 2.5 },
    { context: "many" },
    { threads: 0 },
    { threads: 1000 },
    { memory: "lots" },
    { memory: -1 },
    { memory: 0 },
    { target: "gpu" },
    { batchTokens: 0 },
    { batchTokens: 5000 },
    { cacheTokens: -4 },
    { onProgress: 7 },
    { signal: {} },
  ])("%j is refused", async wrong => {
    const [option] = Object.keys(wrong);
    const error = await caught("option.invalid", () => load(path, wrong as LoadOptions));
    expect(error.details.option).toBe(option);
  });

  it("an unknown one is refused with the nearest name", async () => {
    const error = await caught("option.unknown", () => load(path, { thread: 2 } as LoadOptions));
    expect(error.details).toMatchObject({ option: "thread", nearest: "threads" });
    await caught("option.invalid", () => load(path, 7 as LoadOptions));
    await caught("option.invalid", () => load(path, null as unknown as LoadOptions));
  });

  it.skipIf(autoTarget === "native")("a target that is not there is refused", async () => {
    await caught("target.unavailable", () => load(path, { target: "native" }));
  });

  it("sizes may be written with units", async () => {
    const error = await caught("memory.insufficient", () => load(path, { memory: "1.5 MiB" }));
    expect(error.details.available).toBe(1.5 * 2 ** 20);
  });

  it("every size of a step and every number of threads gives the same answer", async () => {
    const options = { temperature: 0, maxTokens: 12, ignoreEnd: true };
    const truth = await model.generate("the rain and the hat", options);
    for (const o of [
      { threads: 3, batchTokens: 1 },
      { threads: 2, batchTokens: 1000, context: 32, cacheTokens: 1 },
    ]) {
      const own = await load(path, o);
      expect((await own.generate("the rain and the hat", options)).tokens).toEqual(truth.tokens);
      await own.close();
    }
  });

  it("the interpreter answers too, on one thread", async () => {
    const small = await folder.model({ layers: 1, dim: 32, hidden: 32, heads: 2, kvHeads: 1, vocabulary: 290 });
    const own = await load(small, { target: "interp", batchTokens: 2, context: 32 });
    expect(own.info).toMatchObject({ target: "interp", threads: 1 });
    expect((await own.generate("a", { maxTokens: 1, temperature: 0, ignoreEnd: true })).tokens).toHaveLength(1);
    await own.close();
  });
});

describe("generate options", () => {
  it.each([
    { maxTokens: "all" },
    { stop: 5 },
    { stop: ["a", 5] },
    { special: "yes" },
    { ignoreEnd: 1 },
    { signal: "now" },
    { temperature: -1 },
    { temperature: "hot" },
    { topP: 2 },
    { topK: -1 },
    { seed: 0.5 },
  ])("%j is refused", async wrong => {
    const [option] = Object.keys(wrong);
    const error = await caught("option.invalid", () => model.generate("a", wrong as GenerateOptions));
    expect(error.message).toContain(option);
  });

  it("an unknown one is refused, and the model answers afterwards", async () => {
    const error = await caught("option.unknown", () => model.generate("a", { max_tokens: 5 } as GenerateOptions));
    expect(error.details.option).toBe("max_tokens");
    await caught("option.invalid", () => model.generate("a", null as unknown as GenerateOptions));
    expect((await model.generate("a", { maxTokens: 2, ignoreEnd: true })).tokens).toHaveLength(2);
  });

  it("ids that are no tokens are refused", async () => {
    for (const bad of [[-1], [1, 5000], [1.5], [1, "2"]]) await caught("option.invalid", () => model.generate(bad as number[]));
    await caught("prompt.empty", () => model.generate(new Int32Array(0)));
  });
});
