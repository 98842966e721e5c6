/** `/v1/chat/completions`, as OpenAI's clients speak it, with the sampling fields of llama.cpp's server. */
import { z } from "zod";
import { LatheError } from "../../errors.ts";
import type { ChatMessage } from "../../text/chat.ts";
import { constraintFields, constraintOf, fields, limits, longText, maxCallsOf, optional, samplingFields, samplingOf } from "../fields.ts";
import type { Ask, NamedToken, Piece } from "../request.ts";
import type { Dialect, Setting, Voice } from "../route.ts";
import { event } from "../stream.ts";
import { callOf, chatLogprobs, errorFrames, finishOf, openaiError, timingsOfAnswer, usageOf } from "./openai-shapes.ts";

const part = z.looseObject({ type: z.string().max(64), text: optional(longText) });
const call = z.looseObject({
  id: optional(z.string().max(256)),
  type: optional(z.string().max(64)),
  function: z.looseObject({ name: z.string().max(256), arguments: z.union([longText, z.record(z.string(), z.unknown())]) }),
});
const message = z.looseObject({
  role: z.string().min(1).max(64),
  content: optional(z.union([longText, z.array(part).max(limits.messages)])),
  name: optional(z.string().max(256)),
  tool_calls: optional(z.array(call).max(limits.tools)),
  tool_call_id: optional(z.string().max(256)),
});
const messagesField = z.array(message).min(1).max(limits.messages).describe("the conversation, oldest first");

const tool = z.looseObject({
  type: z.string().max(64),
  function: optional(z.looseObject({ name: z.string().min(1).max(256), description: optional(longText), parameters: z.unknown() })),
});
const format = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object"), schema: z.unknown() }),
  z.object({ type: z.literal("json_schema"), json_schema: z.looseObject({ name: optional(z.string().max(256)), schema: z.unknown() }) }),
]);

const chatSchema = z.object({
  messages: messagesField,
  model: optional(fields.model),
  stream: optional(fields.stream),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })).describe(
    "`include_usage`: the last chunk tells the usage",
  ),
  max_completion_tokens: optional(fields.maxTokens),
  max_tokens: optional(fields.maxTokens),
  n: optional(fields.n),
  ...samplingFields,
  ...constraintFields,
  logit_bias: optional(fields.logitBias),
  logprobs: optional(z.boolean()).describe("tell each token's log-probability"),
  top_logprobs: optional(z.int().min(0).max(limits.alternatives)).describe("and those of so many of the likeliest tokens"),
  response_format: optional(format).describe("`json_schema`: the answer is valid by that JSON Schema; `json_object`: it is JSON"),
  tools: optional(z.array(tool).max(limits.tools)).describe(
    "functions that the model may call; where its chat template shows none, they are told in the system message",
  ),
  tool_choice: optional(z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string().max(64) })])).describe(
    "whether it may, or must",
  ),
  parallel_tool_calls: optional(fields.parallelCalls),
  chat_template_kwargs: optional(z.record(z.string().max(64), z.unknown())).describe("more variables for the chat template"),
  user: optional(fields.user),
});
type Body = z.output<typeof chatSchema>;

/** Options that constrain the answer. Absent where nothing does. */
export function formatOptions(given: Body["response_format"]): Record<string, unknown> {
  if (!given || given.type === "text") return {};
  const schema = given.type === "json_schema" ? given.json_schema.schema : given.schema;
  if (given.type === "json_object") return { schema: schema ?? { type: "object" } };
  if (schema === undefined)
    throw new LatheError("request.invalid", 'The field "response_format" has no schema.', { field: "response_format" });
  return { schema };
}

/** Tools for the template, and whether one must be called: any of them, or the one that is named. */
export function toolsOf(tools: Body["tools"], choice: Body["tool_choice"]): Pick<Ask, "mustCall"> & { readonly tools: Body["tools"] } {
  if (choice === "none" || !tools?.length) return { tools: undefined };
  if (choice === undefined || choice === "auto") return { tools };
  const functions = tools.flatMap(t => (t.function ? [{ name: t.function.name, parameters: t.function.parameters }] : []));
  if (choice === "required") return { tools, mustCall: functions };
  const wanted = (choice["function"] as { name?: unknown } | undefined)?.name ?? choice["name"];
  const mustCall = functions.filter(f => f.name === wanted);
  if (mustCall.length) return { tools, mustCall };
  throw new LatheError("request.invalid", "tool_choice names no function of tools.", { field: "tool_choice" });
}

function ask(body: Body): Ask {
  const logprobs = body.logprobs ?? false;
  const options = {
    ...samplingOf(body),
    ...constraintOf(body),
    ...(body.logit_bias ? { logitBias: body.logit_bias } : {}),
    ...formatOptions(body.response_format),
    maxTokens: body.max_completion_tokens ?? body.max_tokens,
    alternatives: logprobs ? (body.top_logprobs ?? 0) : undefined,
  };
  const { tools, mustCall } = toolsOf(body.tools, body.tool_choice);
  const prompt = { kind: "chat", messages: body.messages as ChatMessage[], tools, extra: body.chat_template_kwargs } as const;
  const maxCalls = maxCallsOf(body.parallel_tool_calls);
  return { model: body.model, prompts: [prompt], options, n: body.n ?? 1, bestOf: body.n ?? 1, echo: false, logprobs, mustCall, maxCalls };
}

/** What a piece adds to the message; nothing where that was told already. */
function deltaOf(p: Exclude<Piece, { type: "progress" | "finish" }>): object | undefined {
  switch (p.type) {
    case "text":
      return { content: p.text };
    case "reasoning":
      return { reasoning_content: p.text };
    case "call-start":
      return { tool_calls: [{ index: p.index, ...callOf({ id: p.id, name: p.name, arguments: "" }) }] };
    case "call-delta":
      return { tool_calls: [{ index: p.index, function: { arguments: p.text } }] };
    default:
      return undefined;
  }
}

function voice({ body, ask: asked, model, id, created }: Setting<Body>): Voice {
  const head = (object: string): object => ({ id: `chatcmpl-${id}`, object, created, model, system_fingerprint: "lathe" });
  const called = new Map<number, number>();
  const chunk = (choices: readonly object[], more: object = {}): string => event({ ...head("chat.completion.chunk"), choices, ...more });
  const choice = (index: number, delta: object, tokens: readonly NamedToken[] = [], finish: string | null = null): object => ({
    index,
    delta,
    logprobs: asked.logprobs && tokens.length ? chatLogprobs(tokens) : null,
    finish_reason: finish,
  });
  return {
    begin: () => Array.from({ length: asked.n }, (_, i) => chunk([choice(i, { role: "assistant", content: "", refusal: null })])),
    piece: p => {
      if (p.type === "progress") return [];
      if (p.type === "finish") return [chunk([choice(p.choice, {}, p.tokens, finishOf(p.finish, called.get(p.choice)))])];
      if (p.type === "call") called.set(p.choice, (called.get(p.choice) ?? 0) + 1);
      const delta = deltaOf(p);
      return delta ? [chunk([choice(p.choice, delta, p.type === "text" ? p.tokens : [])])] : [];
    },
    end: answer => [
      ...(body.stream_options?.include_usage ? [chunk([], { usage: usageOf(answer.usage), timings: timingsOfAnswer(answer) })] : []),
      event("[DONE]"),
    ],
    fail: errorFrames,
    whole: answer => ({
      ...head("chat.completion"),
      choices: answer.choices.map(c => ({
        index: c.index,
        message: {
          role: "assistant",
          content: c.text || !c.calls.length ? c.text : null,
          ...(c.reasoning ? { reasoning_content: c.reasoning } : {}),
          ...(c.calls.length ? { tool_calls: c.calls.map(callOf) } : {}),
          refusal: null,
          annotations: [],
        },
        logprobs: asked.logprobs ? chatLogprobs(c.tokens) : null,
        finish_reason: finishOf(c.finish, c.calls.length),
      })),
      usage: usageOf(answer.usage),
      timings: timingsOfAnswer(answer),
    }),
  };
}

export const openaiChat: Dialect<typeof chatSchema> = {
  path: "/v1/chat/completions",
  about: "answers a conversation (OpenAI)",
  schema: chatSchema,
  framing: "events",
  ask,
  streams: body => body.stream ?? false,
  voice,
  fail: openaiError,
};
