/** Options: what is unknown, wrong or unavailable is refused by name before anything is done. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspect, load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { GenerateOptions, InspectOptions, LoadOptions, ProfileOptions } from "../../src/api/options.ts";
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
    { chatTemplate: "chatmll" },
    { chatTemplate: 5 },
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

describe("inspect and profile options", () => {
  it.each([{ context: 0 }, { context: 1.5 }, { offline: "no" }, { home: 5 }, { retries: -1 }])("%j is refused by inspect", async wrong => {
    const error = await caught("option.invalid", () => inspect(path, wrong as InspectOptions));
    expect(error.details.option).toBe(Object.keys(wrong)[0]);
  });

  it.each([{ context: 0 }, { context: "8" }, { steps: 0 }, { steps: 1e9 }, { code: 1 }])("%j is refused by profile", async wrong => {
    const error = await caught("option.invalid", () => model.profile(wrong as ProfileOptions));
    expect(error.details.option).toBe(Object.keys(wrong)[0]);
  });

  it("unknown ones are refused", async () => {
    await caught("option.unknown", () => inspect(path, { contxt: 5 } as InspectOptions));
    await caught("option.invalid", () => inspect(path, null as unknown as InspectOptions));
    await caught("option.unknown", () => model.profile({ step: 5 } as ProfileOptions));
    expect((await inspect(path, { context: 64 })).memory?.context).toBe(64);
  });
});

describe("a chat template by hand", () => {
  const messages = [{ role: "user", content: "the hat" }];
  it("stands in for the file's, by name or as a text", async () => {
    expect(model.chats).toBe(false);
    await caught("template.missing", () => model.chat(messages));
    for (const [chatTemplate, expected] of [
      ["chatml", "<|im_start|>user\nthe hat<|im_end|>\n<|im_start|>assistant\n"],
      ["{% for m in messages %}[{{ m.content }}]{% endfor %}", "[the hat]"],
    ]) {
      const own = await load(path, { threads: 1, chatTemplate });
      expect(own.chats).toBe(true);
      expect(own.tokenizer.decode(own.render(messages))).toBe(expected);
      await own.close();
    }
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
