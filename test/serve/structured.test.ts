/** Answers that are held to a form over HTTP: schemas, grammars, choices, and calls of functions in every dialect. */
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { post, startWithClient, type TestServer } from "./server.ts";

let server: TestServer;
let client: OpenAI;
beforeAll(async () => {
  ({ server, client } = await startWithClient());
}, 60_000);
afterAll(() => server.stop());

const messages = [{ role: "user" as const, content: "Who is it?" }];
const person = {
  type: "object",
  properties: { kind: { enum: ["cat", "dog"] }, age: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["kind", "age"],
  additionalProperties: false,
} as const;
const valid = (value: unknown): void => {
  const { kind, age, ...rest } = value as { kind: string; age: number };
  expect(["cat", "dog"]).toContain(kind);
  expect(age >= 1 && age <= 9 && Number.isInteger(age)).toBe(true);
  expect(rest).toEqual({});
};

describe("a form of the answer", () => {
  it("is a JSON Schema in OpenAI's, Ollama's and the responses' words", async () => {
    const response_format = { type: "json_schema" as const, json_schema: { name: "person", schema: person, strict: true } };
    const chat = await client.chat.completions.create({ model: "m", messages, response_format });
    valid(JSON.parse(chat.choices[0].message.content!));
    expect(chat.choices[0].finish_reason).toBe("stop");
    const ollama = await new Ollama({ host: server.url }).chat({ model: "m", messages, format: person });
    valid(JSON.parse(ollama.message.content));
    const text = { format: { type: "json_schema" as const, name: "person", schema: person } };
    valid(JSON.parse((await client.responses.create({ model: "m", input: "Who?", text })).output_text));
  });

  it("is a grammar, a regular expression or a choice", async () => {
    const answer = async (more: object): Promise<string> => {
      const r = await client.completions.create({ model: "m", prompt: "Once", max_tokens: 20, ...more } as never);
      return (r as OpenAI.Completion).choices[0].text;
    };
    expect(await answer({ grammar: 'root ::= "a" "b"+ "c"' })).toMatch(/^ab+/);
    expect(await answer({ guided_regex: "[0-9]{4}" })).toMatch(/^\d{4}$/);
    expect(["red", "green"]).toContain(await answer({ guided_choice: ["red", "green"] }));
    const both = await post(`${server.url}/v1/completions`, { prompt: "x", grammar: 'root ::= "a"', guided_regex: "b" });
    expect(both.status).toBe(400);
    const broken = await post(`${server.url}/v1/completions`, { prompt: "x", grammar: "root ::= (((" });
    expect(broken.status).toBe(400);
  });
});

describe("a call that must be made", () => {
  const parameters = { ...person, required: [...person.required] };
  const tools = ["meet", "leave"].map(name => ({ type: "function" as const, function: { name, parameters } }));

  it.each([true, false])("comes as OpenAI's tool call, whole and streamed; with others: %s", async parallel_tool_calls => {
    const required = { model: "m", messages, tools, tool_choice: "required" as const, parallel_tool_calls };
    const { message, finish_reason } = (await client.chat.completions.create(required)).choices[0];
    // Several may go on until the context is full.
    expect(["tool_calls", ...(parallel_tool_calls ? ["length"] : [])]).toContain(finish_reason);
    const calls = message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
    if (!parallel_tool_calls) expect([calls.length, message.content]).toEqual([1, null]);
    expect(calls.length).toBeLessThanOrEqual(16);
    for (const call of calls) {
      expect(["meet", "leave"]).toContain(call.function.name);
      valid(JSON.parse(call.function.arguments));
    }
    const tool_choice = { type: "function" as const, function: { name: "leave" } };
    const stream = client.chat.completions.stream({ ...required, tool_choice });
    const final = (await stream.finalChatCompletion()).choices[0].message.tool_calls![0] as (typeof calls)[0];
    expect(final.function.name).toBe("leave");
    valid(JSON.parse(final.function.arguments));
  });

  it("comes as Anthropic's tool use, whole and streamed", async () => {
    const anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    const body = {
      model: "m",
      messages,
      max_tokens: 200,
      tools: [{ name: "meet", input_schema: parameters as never }],
      tool_choice: { type: "tool" as const, name: "meet", disable_parallel_tool_use: true },
    };
    for (const r of [await anthropic.messages.create(body), await anthropic.messages.stream(body).finalMessage()]) {
      expect(r.stop_reason).toBe("tool_use");
      expect(r.content).toMatchObject([{ type: "tool_use", name: "meet" }]);
      valid((r.content[0] as Anthropic.ToolUseBlock).input);
    }
  });

  it("comes as a function call of a response, which its result goes on from", async () => {
    const flat = [{ type: "function" as const, name: "meet", parameters, strict: true }];
    const first = await client.responses.create({ model: "m", input: "Who?", tools: flat, tool_choice: "required" });
    const call = first.output[0] as OpenAI.Responses.ResponseFunctionToolCall;
    expect([call.type, call.name]).toEqual(["function_call", "meet"]);
    valid(JSON.parse(call.arguments));
    const next = await client.responses.create({
      model: "m",
      previous_response_id: first.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output: "met" }],
      max_output_tokens: 3,
    });
    expect(next.output_text).not.toBe("");
  });

  it("that is cut short stays text, and one of an unknown function is refused", async () => {
    const short = await client.chat.completions.create({ model: "m", messages, tools, tool_choice: "required", max_tokens: 3 });
    expect(short.choices[0].finish_reason).toBe("length");
    expect(short.choices[0].message.content).not.toBe("");
    const wrong = client.chat.completions.create({
      model: "m",
      messages,
      tools,
      tool_choice: { type: "function", function: { name: "x" } },
    });
    await expect(wrong).rejects.toMatchObject({ status: 400, param: "tool_choice" });
  });
});
