/** Answers and stream chunks against OpenAI's own description of them. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeShared } from "../shared.ts";
import { OpenApi } from "./openapi.ts";
import { post, startServer, type TestServer } from "./server.ts";

/** The JSON of each event of a stream. */
async function eventsOf(response: Response): Promise<unknown[]> {
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const lines = (await response.text()).split("\n").filter(l => l.startsWith("data: ") && l !== "data: [DONE]");
  return lines.map(l => JSON.parse(l.slice(6)));
}

describeShared("what OpenAI describes", "openai-openapi/openapi.json", path => {
  let server: TestServer;
  let api: OpenApi;
  beforeAll(async () => {
    server = await startServer();
    api = new OpenApi(path);
  }, 60_000);
  afterAll(() => server.stop());

  const messages = [{ role: "user", content: "A cat." }];
  const bodies: readonly object[] = [
    { max_tokens: 6 },
    { max_tokens: 6, n: 2, seed: 1 },
    { max_tokens: 6, logprobs: true, top_logprobs: 2 },
    { max_tokens: 40, stop: ".", temperature: 0 },
  ];

  it("the checker itself refuses what is wrong", () => {
    expect(api.wrong("CreateChatCompletionResponse", { object: "chat.completion" })).not.toEqual([]);
    expect(api.wrong("ResponseStreamEvent", { type: "response.created" })).not.toEqual([]);
  });

  it.each(bodies)("chat completions with %o", async body => {
    const url = `${server.url}/v1/chat/completions`;
    expect(api.wrong("CreateChatCompletionResponse", await (await post(url, { model: "m", messages, ...body })).json())).toEqual([]);
    const stream = { stream: true, stream_options: { include_usage: true } };
    const chunks = await eventsOf(await post(url, { model: "m", messages, ...body, ...stream }));
    expect(chunks.length).toBeGreaterThan(2);
    for (const chunk of chunks) expect(api.wrong("CreateChatCompletionStreamResponse", chunk)).toEqual([]);
  });

  it("completions", async () => {
    const url = `${server.url}/v1/completions`;
    const body = { model: "m", prompt: ["Once", "A dog"], max_tokens: 6, n: 2, logprobs: 2 };
    expect(api.wrong("CreateCompletionResponse", await (await post(url, body)).json())).toEqual([]);
    const chunks = await eventsOf(await post(url, { ...body, stream: true }));
    // The description has one schema for both and forgets that chunks before the last have no reason to finish.
    const wrong = chunks.flatMap(chunk => api.wrong("CreateCompletionResponse", chunk));
    expect(wrong.filter(w => !/finish_reason: null/.test(w))).toEqual([]);
  });

  it("models", async () => {
    expect(api.wrong("ListModelsResponse", await (await fetch(`${server.url}/v1/models`)).json())).toEqual([]);
    expect(api.wrong("Model", await (await fetch(`${server.url}/v1/models/stories`)).json())).toEqual([]);
  });

  it("responses", async () => {
    const url = `${server.url}/v1/responses`;
    const whole = (await (await post(url, { model: "m", input: "A cat.", max_output_tokens: 6 })).json()) as { id: string };
    expect(api.wrong("Response", whole)).toEqual([]);
    const events = (await eventsOf(
      await post(url, { model: "m", input: "And then?", previous_response_id: whole.id, max_output_tokens: 6, stream: true }),
    )) as { type: string; sequence_number: number }[];
    for (const e of events) expect(api.wrong("ResponseStreamEvent", e)).toEqual([]);
    expect(events.map(e => e.sequence_number)).toEqual(events.map((_, i) => i));
    expect(events.at(-1)!.type).toBe("response.incomplete");
  });

  it("errors", async () => {
    const refused = await post(`${server.url}/v1/chat/completions`, { messages: [] });
    expect(refused.status).toBe(400);
    expect(api.wrong("ErrorResponse", await refused.json())).toEqual([]);
  });
});
