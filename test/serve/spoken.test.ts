/** Thoughts and calls that a model makes of its own accord, in every dialect's own fields and by the dialects' own clients; what it says is scripted. */
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/api/model.ts";
import type { Token } from "../../src/api/protocol.ts";
import { heard } from "../../src/api/round.ts";
import { type Part, type Result, Run } from "../../src/api/run.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { coded } from "../../src/text/tools/marks.ts";
import { loadChatModel, openAiOf } from "./server.ts";

const template =
  "{% if tools %}{{ tools | tojson }}<tool_call></tool_call>{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false } as const;
const tools = ["weather", "now"].map(name => ({ type: "function" as const, function: { name, parameters: weather } }));
const messages = [{ role: "user" as const, content: "What is it like?" }];

const thought = "<think>\nI must look.\n</think>\n\n";
const calls =
  '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>';
let script = "";
/** What the last answer was held to. */
let asked: { readonly most?: number } = {};
let server: Listening;
let done: () => Promise<void>;

/** The script in pieces of three letters, each a token, as a run says them. */
function scripted(text: string): Run {
  return new Run(async function* (settle): AsyncGenerator<Part, void, undefined> {
    const tokens: Token[] = [];
    let finish: Result["finish"] = "cancelled";
    const result = (): Result => {
      const usage = { promptTokens: 5, cachedTokens: 0, completionTokens: tokens.length };
      const timings = { promptMs: 1, completionMs: 1, promptTokensPerSecond: 1, tokensPerSecond: 1 };
      return { text, tokens, finish, usage, timings, settings: { seed: 1 } };
    };
    try {
      for (let at = 0; at < text.length; at += 3) {
        const token = { id: 1, logprob: -1 };
        tokens.push(token);
        yield { type: "text", text: text.slice(at, at + 3), token, tokens: [token] };
      }
      finish = "stop";
      yield { type: "finish", ...result() };
    } finally {
      settle(result());
    }
  });
}

beforeAll(async () => {
  const { model, remove } = await loadChatModel({ chatTemplate: template });
  const answer: Model["answer"] = (speech, prompt, _, id) => {
    asked = (speech.held?.source as { most?: number } | undefined) ?? {};
    return new Run(settle =>
      heard(scripted(coded(script, speech.marks)), prompt.parser, { id, stops: speech.stops }, settle as never),
    ) as never;
  };
  const speaking = new Proxy(model, {
    get: (target, key) => {
      if (key === "answer") return answer;
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const catalog = new Catalog([{ name: "m", aliases: [], created: 1, load: async () => speaking, bytes: async () => 0 }]);
  await catalog.warm(["m"]);
  server = await listen({ port: 0, log: () => {}, catalog });
  done = async () => {
    await server.close(0);
    await model.close();
    remove();
  };
}, 60_000);
afterAll(() => done());

const both = [
  { name: "weather", input: { city: "Oslo" } },
  { name: "now", input: {} },
];

describe("thoughts and calls", () => {
  it("are reasoning_content and tool_calls in OpenAI's chats, whole and streamed", async () => {
    script = thought + calls;
    const client = openAiOf(server);
    const { choices } = await client.chat.completions.create({ model: "m", messages, tools });
    const message = choices[0].message as OpenAI.ChatCompletionMessage & { reasoning_content?: string };
    expect([choices[0].finish_reason, message.content, message.reasoning_content]).toEqual(["tool_calls", null, "I must look."]);
    const made = (list: OpenAI.ChatCompletionMessageToolCall[]) =>
      (list as OpenAI.ChatCompletionMessageFunctionToolCall[]).map(c => ({
        name: c.function.name,
        input: JSON.parse(c.function.arguments),
      }));
    expect(made(message.tool_calls!)).toEqual(both);
    expect(new Set(message.tool_calls!.map(c => c.id)).size).toBe(2);
    const stream = client.chat.completions.stream({ model: "m", messages, tools });
    const deltas: OpenAI.ChatCompletionChunk.Choice.Delta[] = [];
    for await (const chunk of stream) deltas.push(...chunk.choices.map(c => c.delta));
    expect(made((await stream.finalChatCompletion()).choices[0].message.tool_calls!)).toEqual(both);
    const parts = deltas.flatMap(d => d.tool_calls ?? []);
    expect(parts.filter(p => p.id).map(p => [p.index, p.function?.name, p.function?.arguments])).toEqual([
      [0, "weather", ""],
      [1, "now", ""],
    ]);
    expect(parts.filter(p => p.index === 0 && !p.id).length).toBeGreaterThan(2); // the arguments came in pieces
    const thoughts = deltas.map(d => (d as { reasoning_content?: string }).reasoning_content ?? "");
    expect([thoughts.join(""), deltas.map(d => d.content ?? "").join("")]).toEqual(["I must look.", ""]);
  });

  it("are thinking and tool_use blocks in Anthropic's messages, whole and streamed", async () => {
    script = `${thought}I will ask. ${calls}`;
    const client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    const own = tools.map(t => ({ name: t.function.name, input_schema: weather as never }));
    const body = { model: "m", messages, max_tokens: 50, tools: own };
    for (const r of [await client.messages.create(body), await client.messages.stream(body).finalMessage()]) {
      expect(r.stop_reason).toBe("tool_use");
      expect(r.content).toMatchObject([
        { type: "thinking", thinking: "I must look." },
        { type: "text", text: "I will ask. " },
        { type: "tool_use", ...both[0] },
        { type: "tool_use", ...both[1] },
      ]);
    }
  });

  it("are reasoning and function_call items in OpenAI's responses, whole and streamed", async () => {
    script = thought + calls;
    const client = openAiOf(server);
    const own = tools.map(t => ({ type: "function" as const, name: t.function.name, parameters: weather, strict: true }));
    const request = { model: "m", input: "What?", tools: own };
    const streamed = await client.responses.stream(request).finalResponse();
    for (const r of [await client.responses.create(request), streamed]) {
      expect(r.output.map(o => o.type)).toEqual(["reasoning", "function_call", "function_call"]);
      expect(r.output[0]).toMatchObject({ content: [{ type: "reasoning_text", text: "I must look." }] });
      const made = r.output.slice(1) as OpenAI.Responses.ResponseFunctionToolCall[];
      expect(made.map(c => ({ name: c.name, input: JSON.parse(c.arguments) }))).toEqual(both);
    }
  });

  it("are thinking and tool_calls in Ollama's chats, whole and streamed", async () => {
    script = thought + calls;
    const client = new Ollama({ host: server.url });
    const expected = both.map(({ name, input }) => ({ function: { name, arguments: input } }));
    const { message } = await client.chat({ model: "m", messages, tools: tools as never });
    expect([message.thinking, message.content, message.tool_calls]).toEqual(["I must look.", "", expected]);
    const lines: (typeof message)[] = [];
    for await (const line of await client.chat({ model: "m", messages, tools: tools as never, stream: true })) lines.push(line.message);
    expect(lines.flatMap(m => m.tool_calls ?? [])).toEqual(expected);
    expect(lines.map(m => m.thinking ?? "").join("")).toBe("I must look.");
  });
});

describe("thoughts", () => {
  const told = "Say STOP, not Hello.";
  const stop = ["STOP"];

  it("hold stop texts that end the words behind them", async () => {
    script = `<think>\n${told}\n</think>\n\nHello STOP there.`;
    const openai = openAiOf(server);
    const { choices } = await openai.chat.completions.create({ model: "m", messages, stop });
    const said = { content: "Hello ", reasoning_content: told };
    expect(choices[0]).toMatchObject({ finish_reason: "stop", message: said });
    const heard = { content: "", reasoning_content: "" };
    for await (const { choices } of await openai.chat.completions.create({ model: "m", messages, stop, stream: true })) {
      const delta = choices[0].delta as Partial<typeof heard>;
      heard.content += delta.content ?? "";
      heard.reasoning_content += delta.reasoning_content ?? "";
    }
    expect(heard).toEqual(said);
    const anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    const body = { model: "m", messages, max_tokens: 50, stop_sequences: stop };
    for (const r of [await anthropic.messages.create(body), await anthropic.messages.stream(body).finalMessage()]) {
      expect([r.stop_reason, r.stop_sequence]).toEqual(["stop_sequence", "STOP"]);
      expect(r.content).toMatchObject([
        { type: "thinking", thinking: told },
        { type: "text", text: "Hello " },
      ]);
    }
  });

  it("end where a stop text is their own mark", async () => {
    script = `<think>\n${told}`; // a run ends before its stop text
    const openai = openAiOf(server);
    const { choices } = await openai.chat.completions.create({ model: "m", messages, stop: ["</think>", "Hello"] });
    expect(choices[0].message).toMatchObject({ reasoning_content: told });
  });

  it("are counted in the usage", async () => {
    script = `<think>\n${told}\n</think>\n\nHello there.`;
    const thoughts = Math.ceil((script.indexOf("</think>") + "</think>".length) / 3);
    const all = Math.ceil(script.length / 3);
    const openai = openAiOf(server);
    const chat = await openai.chat.completions.create({ model: "m", messages });
    expect(chat.usage).toMatchObject({ completion_tokens: all, completion_tokens_details: { reasoning_tokens: thoughts } });
    const response = await openai.responses.create({ model: "m", input: "What?" });
    expect(response.usage).toMatchObject({ output_tokens: all, output_tokens_details: { reasoning_tokens: thoughts } });
    script = "Hello there.";
    const plain = await openai.chat.completions.create({ model: "m", messages });
    expect(plain.usage?.completion_tokens_details?.reasoning_tokens).toBe(0);
  });
});

it("a call that is none is text, and without tools nothing is a call", async () => {
  const client = openAiOf(server);
  script = '<tool_call>{"name": "weather", "arguments": {"city": Oslo}}</tool_call>';
  const broken = await client.chat.completions.create({ model: "m", messages, tools });
  expect([broken.choices[0].finish_reason, broken.choices[0].message.content]).toEqual(["stop", script]);
  expect(broken.choices[0].message.tool_calls).toBeUndefined();
  script = thought + calls;
  for (const more of [{}, { tools, tool_choice: "none" as const }]) {
    const { choices } = await client.chat.completions.create({ model: "m", messages, ...more });
    expect([choices[0].finish_reason, choices[0].message.content]).toEqual(["stop", calls]);
  }
});

describe("calls that must be made", () => {
  const written = '\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>';

  it("are heard in the syntax of the template", async () => {
    script = `<tool_call>${written}`;
    const client = openAiOf(server);
    const { choices } = await client.chat.completions.create({ model: "m", messages, tools, tool_choice: "required" });
    expect(choices[0].message.tool_calls).toMatchObject([{ function: { name: "weather", arguments: '{"city":"Oslo"}' } }]);
    expect(choices[0].message.content).toBeNull();
  });

  it("are as many as the request allows, in each dialect", async () => {
    script = `<tool_call>${written}\n<tool_call>${written}`;
    const openai = openAiOf(server);
    const anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    const own = tools.map(t => ({ name: t.function.name, input_schema: weather as never }));
    const functions = tools.map(t => ({ type: "function" as const, name: t.function.name, parameters: weather, strict: true }));
    for (const [parallel, most] of [
      [undefined, 16],
      [true, 16],
      [false, 1],
    ] as const) {
      const chat = { model: "m", messages, tools, tool_choice: "required" as const, parallel_tool_calls: parallel };
      const { choices } = await openai.chat.completions.create(chat);
      expect([choices[0].message.tool_calls?.length, asked.most]).toEqual([2, most]);
      const response = { model: "m", input: "What?", tools: functions, tool_choice: "required" as const, parallel_tool_calls: parallel };
      const { output, parallel_tool_calls } = await openai.responses.create(response);
      expect([output.length, asked.most, parallel_tool_calls]).toEqual([2, most, parallel ?? true]);
      const disable = parallel === undefined ? {} : { disable_parallel_tool_use: !parallel };
      const message = { model: "m", messages, max_tokens: 50, tools: own, tool_choice: { type: "any" as const, ...disable } };
      const { content } = await anthropic.messages.create(message);
      expect([content.length, asked.most]).toEqual([2, most]);
    }
  });
});
