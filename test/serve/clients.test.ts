/** Other people's clients: Anthropic's, Ollama's, the AI SDK with its OpenAI-compatible provider, and OpenAI's for stateful responses. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, streamText } from "ai";
import { Ollama } from "ollama";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Model } from "../../src/index.ts";
import { openAiOf, post, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(() => server.stop());

const messages = [{ role: "user" as const, content: "Tell me of a cat." }];
/** What the library itself says. */
const own = async (maxTokens = 12): Promise<string> => (await server.model.chat(messages, { temperature: 0, maxTokens })).text;

describe("@anthropic-ai/sdk", () => {
  const client = (): Anthropic => new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  const ask = { model: "claude", messages, max_tokens: 12, temperature: 0 };

  it("gets a message", async () => {
    const r = await client().messages.create(ask);
    expect(r).toMatchObject({ type: "message", role: "assistant", stop_reason: "max_tokens", model: "stories" });
    expect(r.content).toMatchObject([{ type: "text", text: await own() }]);
    expect(r.usage.output_tokens).toBe(12);
  });

  it("streams one, in events that its own accumulator understands", async () => {
    const stream = client().messages.stream(ask);
    let text = "";
    stream.on("text", t => (text += t));
    const final = await stream.finalMessage();
    expect(text).toBe(await own());
    expect(final.content).toMatchObject([{ type: "text", text }]);
    expect(final.stop_reason).toBe("max_tokens");
    expect(final.usage.output_tokens).toBe(12);
  });

  it("counts tokens as the answer's usage does", async () => {
    const counted = await client().messages.countTokens({ model: "claude", messages });
    const r = await client().messages.create(ask);
    expect(counted.input_tokens).toBe(r.usage.input_tokens + r.usage.cache_read_input_tokens!);
  });

  it("names the stop text", async () => {
    const r = await client().messages.create({ ...ask, max_tokens: 60, stop_sequences: ["."] });
    expect(r).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: "." });
  });

  it("a system text in blocks loses the line that changes with every request", async () => {
    const body = (volatile: string) => ({
      ...ask,
      system: [
        { type: "text" as const, text: `x-anthropic-billing-header: ${volatile}` },
        { type: "text" as const, text: "Be kind." },
      ],
    });
    const [a, b] = [await client().messages.create(body("1")), await client().messages.create(body("22 33"))];
    const plain = await client().messages.create({ ...ask, system: "Be kind." });
    const total = (m: typeof a): number => m.usage.input_tokens + m.usage.cache_read_input_tokens!;
    expect([total(a), total(b)]).toEqual([total(plain), total(plain)]);
  });

  it("gets its own kind of errors", async () => {
    await expect(client().messages.create({ ...ask, max_tokens: 0 })).rejects.toBeInstanceOf(Anthropic.BadRequestError);
    const long = [{ role: "user" as const, content: "word ".repeat(3000) }];
    await expect(client().messages.create({ ...ask, messages: long })).rejects.toMatchObject({ status: 413 });
  });
});

describe("ollama", () => {
  const client = (): Ollama => new Ollama({ host: server.url });
  const options = { temperature: 0, num_predict: 12 };

  it("chats, whole and streamed", async () => {
    const r = await client().chat({ model: "stories:latest", messages, options });
    expect(r).toMatchObject({ done: true, done_reason: "length", eval_count: 12, message: { role: "assistant", content: await own() } });
    expect(r.total_duration).toBeGreaterThan(0);
    let text = "";
    let ended = 0;
    for await (const part of await client().chat({ model: "stories", messages, options, stream: true })) {
      text += part.message.content;
      if (part.done) ended++;
    }
    expect([text, ended]).toEqual([await own(), 1]);
  });

  it("generates, as a message and raw", async () => {
    const chat = await client().generate({ model: "stories", prompt: messages[0].content, options });
    expect(chat.response).toBe(await own());
    const raw = await client().generate({ model: "stories", prompt: "Once upon", raw: true, options });
    expect(raw.response).toBe((await server.model.generate("Once upon", { temperature: 0, maxTokens: 12 })).text);
  });

  it("lists, shows, and tells what is loaded", async () => {
    expect((await client().list()).models.map(m => m.name)).toEqual(["stories"]);
    expect((await client().ps()).models.map(m => m.name)).toEqual(["stories"]);
    const shown = await client().show({ model: "stories" });
    expect(shown.capabilities).toContain("completion");
    expect(shown.details.family).toBe("llama");
  });

  it("gets its own kind of errors", async () => {
    await expect(client().chat({ model: "stories", messages, options: { temperature: -3 } })).rejects.toThrow(/options.temperature/);
    await expect(client().embed({ model: "stories", input: "x" })).rejects.toThrow(/no embeddings/);
  });
});

describe("ai with its OpenAI-compatible provider", () => {
  const model = (fetch?: typeof globalThis.fetch) =>
    createOpenAICompatible({ name: "lathe", baseURL: fetch ? "http://lathe/v1" : `${server.url}/v1`, fetch })("stories");

  it("generates and streams", async () => {
    const r = await generateText({ model: model(), messages, temperature: 0, maxOutputTokens: 12 });
    expect(r.text).toBe(await own());
    expect(r.finishReason).toBe("length");
    expect(r.usage.outputTokens).toBe(12);
    let text = "";
    for await (const t of streamText({ model: model(), messages, temperature: 0, maxOutputTokens: 12 }).textStream) text += t;
    expect(text).toBe(r.text);
  });

  it("works inside the program too", async () => {
    expect(server.model).toBeInstanceOf(Model); // which index.ts gives its server
    const r = await generateText({ model: model(server.model.fetch as never), messages, temperature: 0, maxOutputTokens: 12 });
    expect(r.text).toBe(await own());
  });
});

describe("openai's responses", () => {
  const client = (): OpenAI => openAiOf(server);
  const ask = { model: "stories", temperature: 0, max_output_tokens: 12 };

  it("go on from the one before, as the whole conversation would", async () => {
    const first = await client().responses.create({ ...ask, input: "Tell me of a cat." });
    expect(first.output_text).toBe(await own());
    const second = await client().responses.create({ ...ask, input: "And a dog?", previous_response_id: first.id });
    const conversation = [...messages, { role: "assistant", content: first.output_text }, { role: "user", content: "And a dog?" }];
    expect(second.output_text).toBe((await server.model.chat(conversation, { temperature: 0, maxTokens: 12 })).text);
    expect((await client().responses.retrieve(second.id)).output_text).toBe(second.output_text);
  });

  it("stream events that add up to the response", async () => {
    let text = "";
    let final: OpenAI.Responses.Response | undefined;
    for await (const e of await client().responses.create({ ...ask, input: "Tell me of a cat.", stream: true })) {
      if (e.type === "response.output_text.delta") text += e.delta;
      if (e.type === "response.incomplete" || e.type === "response.completed") final = e.response;
    }
    expect(text).toBe(await own());
    expect(final!.output).toMatchObject([{ type: "message", content: [{ type: "output_text", text }] }]);
    expect((await client().responses.retrieve(final!.id)).id).toBe(final!.id);
  });

  it("are forgotten when asked to, and not kept when told so", async () => {
    const kept = await client().responses.create({ ...ask, input: "A." });
    await client().responses.delete(kept.id);
    await expect(client().responses.retrieve(kept.id)).rejects.toMatchObject({ status: 404 });
    const passing = await client().responses.create({ ...ask, input: "A.", store: false });
    await expect(client().responses.create({ ...ask, input: "B", previous_response_id: passing.id })).rejects.toMatchObject({
      status: 404,
    });
  });

  it("refuse what would drop text in silence", async () => {
    const wish = { ...ask, input: "A.", truncation: "auto" as const };
    await expect(client().responses.create(wish)).rejects.toMatchObject({ status: 400, param: "truncation" });
  });
});

describe("tokens", () => {
  it("go there and back", async () => {
    const text = "Once upon a time, café 猫.";
    const there = (await (await post(`${server.url}/tokenize`, { content: text, with_pieces: true })).json()) as {
      tokens: { id: number }[];
    };
    expect(there.tokens.map(t => t.id)).toEqual([...server.model.tokenizer.encode(text, { bos: false, eos: false })]);
    const back = (await (await post(`${server.url}/detokenize`, { tokens: there.tokens.map(t => t.id) })).json()) as { content: string };
    expect(back.content).toBe(text);
  });
});
