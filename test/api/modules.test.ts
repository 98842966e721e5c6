/**
 * Modules through the library and the server: a single one in front is plain text in every bit; joined ones are one; what was declared is not
 * computed again; conversations, sessions and what is saved of them keep them apart; requests carry them; and wrong ones are told.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/api/model.ts";
import { caught } from "../files/caught.ts";
import { post, startServer, type TestServer } from "../serve/server.ts";

let server: TestServer;
let model: Model;
beforeAll(async () => {
  server = await startServer();
  model = server.model;
}, 60_000);
afterAll(() => server.stop());

const texts = {
  cat: "Once upon a time there was a black cat. The cat liked milk.\n",
  dog: "There was also a big dog. The dog was very sad.\n",
} as const;
const greedy = { temperature: 0, maxTokens: 12 } as const;
const question = "The cat said to the dog";
const length = (text: string): number => model.tokenizer.encode(text, { bos: false, eos: false }).length;

describe("modules", () => {
  it("are computed when they are declared, and reused in any order", async () => {
    using modules = await model.modules(texts, { client: "declared" });
    expect(modules.names).toEqual(["cat", "dog"]);
    const ask = (...names: ("cat" | "dog")[]) =>
      model.generate(question, { ...greedy, modules: modules.pick(...names), client: "declared" });
    const [one, two] = [await ask("cat", "dog"), await ask("dog", "cat")];
    // The first sees the token that begins every text, and is computed with it the first time.
    expect(one.usage.cachedTokens).toBeGreaterThanOrEqual(length(texts.dog));
    expect(two.usage.cachedTokens).toBeGreaterThanOrEqual(length(texts.cat));
    expect(one.usage.promptTokens).toBe(1 + length(texts.cat) + length(texts.dog) + length(question));
    const again = await ask("cat", "dog");
    expect(again.text).toBe(one.text);
    expect(again.usage.cachedTokens).toBe(one.usage.promptTokens - 1);
    await caught("option.invalid", () => modules.pick("bird" as "cat"));
  });

  it("alone in front are plain text, and apart they are not", async () => {
    const ids = (text: string): number[] => [...model.tokenizer.encode(text, { bos: false, eos: false })];
    const plain = [model.tokenizer.bos!, ...ids(texts.cat), ...ids(question)];
    const logprobs = (r: { tokens: readonly { logprob: number }[] }): number[] => r.tokens.map(t => t.logprob);
    const one = await model.generate(question, { ...greedy, modules: [{ text: texts.cat }], salt: "1" });
    expect(logprobs(one)).toEqual(logprobs(await model.generate(plain, { ...greedy, salt: "2" })));
    const apart = await model.generate(question, { ...greedy, modules: [{ text: texts.cat }, { text: texts.dog }] });
    const joined = await model.generate(question, { ...greedy, modules: [{ text: texts.cat + texts.dog }] });
    expect(logprobs(apart)).not.toEqual(logprobs(joined));
    using scaffold = await model.modules(texts, { joined: [["cat", "dog"]] });
    expect(scaffold.pick("cat", "dog")).toEqual([{ text: texts.cat + texts.dog }]);
    expect(scaffold.pick("dog", "cat")).toEqual([{ text: texts.dog }, { text: texts.cat }]);
  });

  it("stay apart in sessions, their forks, and what is saved of them", async () => {
    using session = model.session();
    await session.generate("Tom went out.", { ...greedy, salt: "s" });
    const before = session.tokens.length;
    await session.generate(question, { ...greedy, modules: [{ text: texts.cat }], salt: "s" });
    expect(session.tokens.length).toBeGreaterThan(before + length(texts.cat));
    expect(Math.max(...session.tokens)).toBeLessThan(model.tokenizer.size);
    using restored = await model.restoreSession(await session.save());
    using fork = session.fork();
    const go = { ...greedy, salt: "t" }; // nothing cached is shared: what is restored is computed again
    const [here, there] = [await fork.generate(" And", { ...greedy, salt: "s" }), await restored.generate(" And", go)];
    expect(there.tokens).toEqual(here.tokens);
    expect(there.usage.cachedTokens).toBe(0);
    using plain = model.session();
    const flat = await plain.generate([...session.tokens, ...model.tokenizer.encode(" And", { bos: false, eos: false })], {
      ...greedy,
      salt: "p",
    });
    expect(flat.tokens.map(t => t.logprob)).not.toEqual(here.tokens.map(t => t.logprob));
  });

  it("stand before the first user message of a conversation", async () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Who likes milk?" },
    ];
    const modules = [{ text: texts.cat }, { text: texts.dog }];
    const plain = model.render(messages).length;
    const answer = await model.chat(messages, { ...greedy, modules });
    expect(Math.abs(answer.usage.promptTokens - plain - length(texts.cat) - length(texts.dog))).toBeLessThanOrEqual(2);
    const again = await model.chat(messages, { ...greedy, modules });
    expect(again.text).toBe(answer.text);
    expect(again.usage.cachedTokens).toBe(answer.usage.promptTokens - 1);
    await caught("option.invalid", async () => void (await model.chat([messages[0]], { modules })));
  });

  it("that are wrong are told", async () => {
    await caught("option.invalid", () => model.modules({}));
    await caught("option.invalid", () => model.modules({ a: "" }));
    await caught("option.invalid", () => model.modules({ a: "x", b: "y" }, { joined: [["a"]] }));
    await caught("option.invalid", async () => void (await model.generate("x", { modules: ["cat"] as never })));
    await caught("option.invalid", async () => void (await model.generate("x", { modules: [{ text: "a" }], overflow: "shift" })));
    await caught("prompt.empty", async () => void (await model.generate("x", { modules: [{ text: "" }] })));
    await caught("prompt.empty", async () => void (await model.generate("", { modules: [{ text: "a" }] })));
    await caught("context.overflow", async () => void (await model.generate("x", { modules: [{ text: texts.cat.repeat(500) }] })));
  });
});

describe("requests", () => {
  const body = { model: "stories", temperature: 0, max_tokens: 12, modules: [{ text: texts.cat }, { text: texts.dog }] };
  interface Answered {
    readonly choices: readonly { readonly text?: string; readonly message?: { readonly content: string } }[];
    readonly usage: { readonly prompt_tokens: number; readonly prompt_tokens_details: { readonly cached_tokens: number } };
  }
  const asked = async (path: string, more: object): Promise<Answered> =>
    (await (await post(`${server.url}${path}`, { ...body, ...more })).json()) as Answered;

  it("carry modules, in chats and completions, and say what was cached", async () => {
    const messages = [{ role: "user", content: "Who likes milk?" }];
    const own = await model.chat(messages, { ...greedy, modules: body.modules });
    const chat = await asked("/v1/chat/completions", { messages, cache_salt: "c" });
    expect(chat.choices[0].message?.content).toBe(own.text);
    expect(chat.usage.prompt_tokens).toBe(own.usage.promptTokens);
    const again = await asked("/v1/chat/completions", { messages, cache_salt: "c" });
    expect(again.usage.prompt_tokens_details.cached_tokens).toBe(own.usage.promptTokens - 1);
    const text = await model.generate(question, { ...greedy, modules: body.modules });
    const completion = await asked("/v1/completions", { prompt: question, echo: true, n: 2 });
    expect(completion.choices.map(c => c.text!.endsWith(text.text))).toEqual([true, true]);
    expect(completion.choices[0].text).toContain("The dog was very sad.");
  });

  it("with modules that are none, too many or that do not go with token ids are refused", async () => {
    const status = async (more: object): Promise<number> =>
      (await post(`${server.url}/v1/completions`, { ...body, prompt: "x", ...more })).status;
    expect(await status({ modules: [{}] })).toBe(400);
    expect(await status({ modules: "cat" })).toBe(400);
    expect(await status({ modules: Array.from({ length: 65 }, () => ({ text: "a" })) })).toBe(400);
    expect(await status({ prompt: [1, 2, 3] })).toBe(400);
    expect(await status({ modules: null })).toBe(200);
  });
});
