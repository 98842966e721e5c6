/**
 * Models that read a text before they answer it (T5): the prompt goes to the encoder, the answer begins with the decoder's own first token, and
 * runs that answer the same text share what was read.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import { caught } from "../files/caught.ts";
import { argmax, openEngine } from "../fixtures/engine.ts";
import { describeShared } from "../shared.ts";

const text = "the rain and the sea in an area: 42!";
const other = "and the rain";
const greedy = { temperature: 0, maxTokens: 12, ignoreEnd: true } as const;

describeShared("an encoder and a decoder", "arch-oracle", folder => {
  const path = join(folder, "t5.gguf");
  const expected = new Map<string, number[]>();
  let model: Model;

  beforeAll(async () => {
    model = await load(path, { threads: 1, context: 64 });
    const engine = await openEngine(path);
    for (const each of [text, other]) {
      const s = engine.stepper.newSequence(0, model.tokenizer.encode(each));
      const ids = [0];
      while (ids.length <= greedy.maxTokens) ids.push(argmax(engine.feed(s, ids.slice(-1))[0]));
      expected.set(each, ids.slice(1));
      s.close();
    }
    expect(engine.stepper.store.pool.used, "pages after all is closed").toBe(0);
    await engine.close();
  }, 60_000);
  afterAll(() => model.close());

  const answer = async (prompt: string): Promise<number[]> => (await model.generate(prompt, greedy)).tokens.map(t => t.id);

  it("answers what it has read", async () => {
    expect(model.tokenizer.encode(text).at(-1)).toBe(model.tokenizer.eos);
    expect(await answer(text)).toEqual(expected.get(text));
    expect(expected.get(text)).not.toEqual(expected.get(other));
  });

  it("answers several texts at a time, and each again", async () => {
    const prompts = [text, other, text, other];
    expect(await Promise.all(prompts.map(answer))).toEqual(prompts.map(p => expected.get(p)));
    expect(await answer(other)).toEqual(expected.get(other));
  });

  it("answers each prompt of a session by itself", async () => {
    using session = model.session();
    for (const prompt of [text, other, text]) {
      const { tokens, usage } = await session.generate(prompt, greedy);
      expect(tokens.map(t => t.id)).toEqual(expected.get(prompt));
      expect(usage.promptTokens).toBe(model.tokenizer.encode(prompt).length + 1);
    }
  });

  it("gives back the pages of what was read when others need them", async () => {
    const small = await load(path, { threads: 1, context: 64, cacheTokens: 128 });
    const prompts = Array.from({ length: 12 }, (_, i) => (i % 2 ? text : `${other}${" sea".repeat(i)}`));
    const answers = await Promise.all(prompts.map(async p => (await small.generate(p, greedy)).tokens.map(t => t.id)));
    const alone = await Promise.all(prompts.map(answer));
    await small.close();
    expect(answers).toEqual(alone);
  });

  it("refuses an empty text, one that is too long, and to score one", async () => {
    await caught("prompt.empty", () => model.generate(new Int32Array(), greedy));
    await caught("context.overflow", () => model.generate(new Array(65).fill(3), greedy));
    await caught("option.invalid", () => model.score([3, 4, 5]));
  });
});
