/** OpenAI's own client against the server: chats, completions, models, streams, log-probabilities, several answers, errors. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Model } from "../../src/index.ts";
import { startWithClient, type TestServer } from "./server.ts";

let server: TestServer;
let client: OpenAI;
beforeAll(async () => {
  ({ server, client } = await startWithClient());
}, 60_000);
afterAll(() => server.stop());

const messages = [{ role: "user" as const, content: "Tell me of a cat." }];
const greedy = { temperature: 0, max_tokens: 12 };

describe("chat completions", () => {
  it("answers what the library answers", async () => {
    const r = await client.chat.completions.create({ model: "stories", messages, ...greedy });
    const own = await server.model.chat(messages, { temperature: 0, maxTokens: 12 });
    expect(r.choices[0].message).toMatchObject({ role: "assistant", content: own.text });
    expect(r.choices[0].finish_reason).toBe("length");
    expect(r.usage).toMatchObject({ prompt_tokens: own.usage.promptTokens, completion_tokens: 12 });
    expect(r.usage!.total_tokens).toBe(own.usage.promptTokens + 12);
    expect(r.model).toBe("stories");
  });

  it("streams the same text, with usage at the end where it is asked for", async () => {
    const whole = await client.chat.completions.create({ model: "stories", messages, ...greedy });
    const stream = await client.chat.completions.create({
      model: "stories",
      messages,
      ...greedy,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    const reasons: unknown[] = [];
    let usage: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
      if (chunk.usage) usage = chunk.usage;
    }
    expect(text).toBe(whole.choices[0].message.content);
    expect(reasons).toEqual(["length"]);
    expect(usage).toMatchObject({ completion_tokens: 12 });
  });

  it("tells log-probabilities with alternatives", async () => {
    const r = await client.chat.completions.create({ model: "stories", messages, ...greedy, logprobs: true, top_logprobs: 3 });
    const content = r.choices[0].logprobs!.content!;
    expect(content).toHaveLength(12);
    for (const t of content) {
      expect(t.top_logprobs).toHaveLength(3);
      expect(t.top_logprobs[0]).toMatchObject({ token: t.token, logprob: t.logprob }); // greedy: the likeliest
      expect(t.logprob).toBeLessThanOrEqual(0);
    }
    expect(Buffer.from(content.flatMap(t => t.bytes!)).toString()).toBe(r.choices[0].message.content);
  });

  it("gives several answers, repeatable by the seed", async () => {
    const ask = { model: "stories", messages, max_tokens: 10, n: 3, seed: 5 };
    const [a, b] = [await client.chat.completions.create(ask), await client.chat.completions.create(ask)];
    const texts = a.choices.map(c => c.message.content);
    expect(a.choices.map(c => c.index)).toEqual([0, 1, 2]);
    expect(new Set(texts).size).toBeGreaterThan(1);
    expect(b.choices.map(c => c.message.content)).toEqual(texts);
    expect(a.usage!.completion_tokens).toBe(30);
  });

  it("streams several answers at once", async () => {
    const ask = { model: "stories", messages, max_tokens: 10, n: 2, seed: 5 };
    const whole = await client.chat.completions.create(ask);
    const texts = ["", ""];
    for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
      for (const c of chunk.choices) texts[c.index] += c.delta.content ?? "";
    }
    expect(texts).toEqual(whole.choices.map(c => c.message.content));
  });

  it("stops at stop texts", async () => {
    const free = await client.chat.completions.create({ model: "stories", messages, temperature: 0, max_tokens: 40 });
    const r = await client.chat.completions.create({ model: "stories", messages, temperature: 0, max_tokens: 40, stop: ["."] });
    expect(r.choices[0].finish_reason).toBe("stop");
    expect(r.choices[0].message.content).toBe(free.choices[0].message.content!.split(".")[0]);
  });
});

describe("completions", () => {
  const prompt = "Once upon a time";

  it("continues a text, and echoes it", async () => {
    const r = await client.completions.create({ model: "stories", prompt, ...greedy });
    const echoed = await client.completions.create({ model: "stories", prompt, ...greedy, echo: true });
    const own = await server.model.generate(prompt, { temperature: 0, maxTokens: 12 });
    expect(r.choices[0].text).toBe(own.text);
    expect(echoed.choices[0].text).toBe(prompt + own.text);
  });

  it("takes token ids and several prompts", async () => {
    const ids = [...server.model.tokenizer.encode("The dog", { eos: false })];
    const r = await client.completions.create({ model: "stories", prompt: [ids, ids] as never, ...greedy });
    const single = await client.completions.create({ model: "stories", prompt: "The dog", ...greedy });
    expect(r.choices.map(c => c.text)).toEqual([single.choices[0].text, single.choices[0].text]);
    expect(r.usage!.prompt_tokens).toBe(2 * single.usage!.prompt_tokens);
  });

  it("streams, with log-probabilities whose offsets go on", async () => {
    let text = "";
    const offsets: number[] = [];
    const tokens: string[] = [];
    for await (const chunk of await client.completions.create({ model: "stories", prompt, ...greedy, logprobs: 2, stream: true })) {
      text += chunk.choices[0].text;
      offsets.push(...(chunk.choices[0].logprobs?.text_offset ?? []));
      tokens.push(...(chunk.choices[0].logprobs?.tokens ?? []));
    }
    expect(tokens.join("")).toBe(text);
    expect(offsets).toEqual(tokens.map((_, i) => tokens.slice(0, i).join("").length));
  });

  it("gives the likeliest of best_of answers and counts what all cost", async () => {
    const ask = { model: "stories", prompt, max_tokens: 8, seed: 1 };
    const all = await client.completions.create({ ...ask, n: 4, logprobs: 0 });
    const one = await client.completions.create({ ...ask, n: 1, best_of: 4 });
    const mean = (c: (typeof all.choices)[number]): number =>
      c.logprobs!.token_logprobs!.reduce((a, b) => a + b, 0) / c.logprobs!.token_logprobs!.length;
    const best = all.choices.reduce((a, b) => (mean(b) > mean(a) ? b : a));
    expect(one.choices.map(c => c.text)).toEqual([best.text]);
    expect(one.usage!.completion_tokens).toBe(32);
  });
});

describe("models", () => {
  it("are listed and found", async () => {
    const list = await client.models.list();
    expect(list.data.map(m => m.id)).toEqual(["stories"]);
    expect(await client.models.retrieve("stories")).toMatchObject({ id: "stories", object: "model" });
  });
});

describe("errors are those that the client knows", () => {
  const failing = (body: object): Promise<InstanceType<typeof OpenAI.APIError>> =>
    client.chat.completions.create({ model: "stories", messages, ...body } as never).then(
      () => expect.fail("it was taken"),
      e => e,
    );

  it("for a wrong field, which it names", async () => {
    const e = await failing({ temperature: -1 });
    expect(e).toBeInstanceOf(OpenAI.BadRequestError);
    expect(e).toMatchObject({ status: 400, param: "temperature", type: "invalid_request_error" });
  });

  it("for a prompt that does not fit: nothing is cut off", async () => {
    const e = await failing({ messages: [{ role: "user", content: "word ".repeat(2000) }] });
    expect(e).toMatchObject({ status: 413, code: "context_length_exceeded" });
    expect(e.message).toContain("512");
  });

  it("for a text that could never fit, before it is read", async () => {
    const e = await failing({ messages: [{ role: "user", content: "x".repeat(4_000_000) }] });
    expect(e).toMatchObject({ status: 413, code: "context_length_exceeded" });
    expect(e.message).toContain("at least");
  });
});

describe("model.fetch", () => {
  it("serves the same clients without a port", async () => {
    expect(server.model).toBeInstanceOf(Model);
    const inside = new OpenAI({ baseURL: "http://lathe/v1", apiKey: "none", fetch: server.model.fetch });
    const outside = await client.chat.completions.create({ model: "stories", messages, ...greedy });
    const r = await inside.chat.completions.create({ model: "any", messages, ...greedy });
    expect(r.choices[0].message.content).toBe(outside.choices[0].message.content);
    let text = "";
    for await (const c of await inside.chat.completions.create({ model: "any", messages, ...greedy, stream: true })) {
      text += c.choices[0]?.delta.content ?? "";
    }
    expect(text).toBe(outside.choices[0].message.content);
  });
});
