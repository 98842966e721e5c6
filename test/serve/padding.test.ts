/** Padded pieces of streamed answers: few lengths, the same meaning to every client. */
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { event, line, padded } from "../../src/serve/stream.ts";
import { Random } from "../fixtures/random.ts";
import { openAiOf, startServer, type TestServer } from "./server.ts";

const bytes = (text: string): number => new TextEncoder().encode(text).length;

describe("ten thousand pieces", () => {
  const random = new Random(12);
  const letters = ["a", "Z", " ", "\n", '"', "é", "日", "😀", "\\"];
  const texts = Array.from({ length: 10_000 }, () =>
    Array.from({ length: random.below(random.below(40) ? 30 : 3000) }, () => letters[random.below(9)]).join(""),
  );

  it("of events have at most four lengths, and the same data", () => {
    const frames = texts.map(text => event({ choices: [{ index: 0, delta: { content: text } }] }));
    const all = frames.map(f => padded(f, "events"));
    expect(new Set(frames.map(bytes)).size).toBeGreaterThan(100);
    expect(new Set(all.map(bytes)).size).toBeLessThanOrEqual(4);
    all.forEach((f, i) => {
      const [comment, ...rest] = f.split("\n");
      expect(comment).toMatch(/^:\.*$/);
      expect(rest.join("\n")).toBe(frames[i]);
    });
  });

  it("of lines have at most four lengths, and the same values", () => {
    const all = texts.map(text => padded(line({ message: { content: text } }), "lines"));
    expect(new Set(all.map(bytes)).size).toBeLessThanOrEqual(4);
    all.forEach((f, i) => {
      expect(f.indexOf("\n")).toBe(f.length - 1);
      expect(JSON.parse(f).message.content).toBe(texts[i]);
    });
  });
});

describe("a server that pads", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ padEvents: true });
  }, 60_000);
  afterAll(() => server.stop());
  const messages = [{ role: "user" as const, content: "Tell me of a cat." }];
  const own = async (): Promise<string> => (await server.model.chat(messages, { temperature: 0, maxTokens: 24 })).text;

  it("is understood by OpenAI's client, Anthropic's and Ollama's", async () => {
    const chat = { model: "stories", messages, max_tokens: 24, temperature: 0, stream: true as const };
    let text = "";
    for await (const chunk of await openAiOf(server).chat.completions.create(chat)) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe(await own());
    const anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    const message = await anthropic.messages.stream({ model: "stories", messages, max_tokens: 24, temperature: 0 }).finalMessage();
    expect(message.content).toMatchObject([{ type: "text", text }]);
    const ollama = new Ollama({ host: server.url });
    let said = "";
    for await (const part of await ollama.chat({ model: "stories", messages, stream: true, options: { temperature: 0, num_predict: 24 } }))
      said += part.message.content;
    expect(said).toBe(text);
  });

  it.each([
    ["/v1/chat/completions", { model: "stories", messages, max_tokens: 48, stream: true, logprobs: true, top_logprobs: 3 }],
    ["/v1/responses", { model: "stories", input: "A cat", max_output_tokens: 48, stream: true }],
    ["/api/generate", { model: "stories", prompt: "A cat", options: { num_predict: 48 } }],
  ])("sends pieces of few lengths from %s", async (path, body) => {
    const headers = { "content-type": "application/json", host: "127.0.0.1" };
    const response = await server.app.fetch(new Request(`${server.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
    expect(response.status).toBe(200);
    const sizes: number[] = [];
    for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) sizes.push(piece.length);
    expect(sizes.length).toBeGreaterThan(20);
    expect(new Set(sizes).size).toBeLessThanOrEqual(4);
    expect(sizes.every(n => [512, 2048, 8192, 65536].includes(n))).toBe(true);
  });
});
