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

  const letter = {
    text: "Once upon a time there was a girl. Her name was {{name}}. She had a {{colour}} hat and no {{braces}}.\n",
    parameters: { name: { maxTokens: 4 }, colour: { maxTokens: 2, default: "red" } },
  } as const;

  it("with parameters are the filled text in every bit, and what stands before them is computed once", async () => {
    const client = "parameters";
    using modules = await model.modules({ letter, dog: texts.dog }, { client });
    const filled = "Once upon a time there was a girl. Her name was Lucy. She had a red hat and no {{braces}}.\n";
    expect(modules.pick("dog", ["letter", { name: "Lucy" }])).toEqual([{ text: texts.dog }, { text: filled }]);
    const own = { ...greedy, modules: modules.pick("dog", ["letter", { name: "Lucy" }]) };
    const one = await model.generate(question, { ...own, client });
    const plain = await model.generate(question, { ...greedy, modules: [{ text: texts.dog }, { text: filled }], salt: "other" });
    expect(one.tokens).toEqual(plain.tokens);
    const before = length("Once upon a time there was a girl. Her name was");
    const inPrompt = await model.generate(question, {
      ...greedy,
      client,
      modules: [
        { text: texts.dog },
        { text: letter.text, parameters: { name: { value: "Tom", maxTokens: 4 }, colour: { value: "blue" } } },
      ],
    });
    expect(inPrompt.usage.cachedTokens).toBeGreaterThanOrEqual(length(texts.dog) + before - 1);
    expect(plain.usage.cachedTokens).toBe(0);
    const again = await model.generate(question, { ...own, client });
    expect([again.text, again.usage.cachedTokens]).toEqual([one.text, one.usage.promptTokens - 1]);
  });

  it("of a union exclude each other, and take each other's place", async () => {
    const client = "union";
    const all = { ...texts, letter };
    using modules = await model.modules(all, { oneOf: [["cat", "letter"]], joined: [["dog", "letter"]], client });
    await caught("option.invalid", () => modules.pick("cat", "dog", ["letter", { name: "Lucy" }]));
    const filled = letter.text.replace("{{name}}", "Lucy").replace("{{colour}}", "pink");
    const joined = modules.pick("dog", ["letter", { name: "Lucy", colour: "pink" }]);
    expect(joined).toEqual([{ text: texts.dog + filled }]);
    const other = { ...greedy, client, modules: modules.pick("cat", "dog") };
    const cached = (await model.generate(question, other)).usage.cachedTokens;
    expect(cached).toBeGreaterThanOrEqual(length(texts.dog));
  });

  it("whose parameters or unions are wrong are told", async () => {
    const declare = (more: object, options: object = {}) =>
      caught("option.invalid", () => model.modules({ ...texts, letter, ...more } as never, options as never));
    await declare({ x: { text: "no place", parameters: { name: { maxTokens: 1 } } } });
    await declare({ x: { text: "{{name}}", parameters: { name: {} } } });
    await declare({ x: { text: "{{name}}", parameters: { name: null } } });
    await declare({ x: { text: "{{name}}" } });
    await declare({ x: null });
    await declare({}, { oneOf: [["cat"]] });
    await declare({}, { oneOf: [["cat", "bird"]] });
    await declare({}, { oneOf: [["cat", "cat"]] });
    await declare(
      {},
      {
        oneOf: [
          ["cat", "dog"],
          ["dog", "letter"],
        ],
      },
    );
    await declare({}, { oneOf: [["cat", "dog"]], joined: [["dog", "cat"]] });
    using modules = await model.modules({ letter });
    const pick = (values: object) => caught("option.invalid", () => modules.pick(["letter", values as never]));
    for (const values of [{}, { name: 1 }, { name: "Lucy", age: "3" }, { name: "one two three four five six" }]) await pick(values);
    const ask = (parameters: unknown) =>
      caught("option.invalid", async () => void (await model.generate("x", { modules: [{ text: "{{a}}", parameters } as never] })));
    for (const wrong of [[], { a: "x" }, { a: { value: 1 } }, { a: { value: "x", maxTokens: -1 } }, { b: { value: "x" } }])
      await ask(wrong);
    const flood = { text: "{{a}}".repeat(10_000), parameters: { a: { value: "x".repeat(10_000) } } };
    await caught("option.invalid", async () => void (await model.generate("x", { modules: [flood] })));
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

  it("carry parameters and choose from unions", async () => {
    const filled = [{ text: texts.dog }, { text: "A cat called Tom." }];
    const own = await model.generate(question, { ...greedy, modules: filled });
    const name = { text: "A cat called {{name}}.", parameters: { name: { value: "Tom", max_tokens: 3 } } };
    const modules = [{ one_of: [{ text: texts.cat }, { text: texts.dog }], use: 1 }, name];
    const asked = await post(`${server.url}/v1/completions`, { ...body, prompt: question, modules });
    const { choices, usage } = (await asked.json()) as Answered;
    expect(choices[0].text).toBe(own.text);
    expect(usage.prompt_tokens).toBe(own.usage.promptTokens);
    const long = { ...name, parameters: { name: { value: "Tom and Tim and Tam", max_tokens: 3 } } };
    for (const wrong of [{ one_of: [name], use: 1 }, { one_of: [], use: 0 }, { one_of: [name] }, long]) {
      const refused = await post(`${server.url}/v1/completions`, { ...body, prompt: "x", modules: [wrong] });
      expect(refused.status).toBe(400);
      await refused.body?.cancel();
    }
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
