/**
 * `/v1/responses`, as OpenAI's newer clients speak it. A response is kept, with the conversation that led to it, so that the next request can go
 * on from it by `previous_response_id`; what is kept belongs to the key that made it.
 */
import { z } from "zod";
import { LatheError } from "../../errors.ts";
import type { ChatMessage, ChatPart, ChatToolCall } from "../../text/chat.ts";
import { fields, limits, longText, maxCallsOf, optional, samplingOf } from "../fields.ts";
import type { Ask, Choice } from "../request.ts";
import { type Call, type Dialect, json, type Route } from "../route.ts";
import { formatOptions, toolsOf } from "./openai-chat.ts";
import { responsesVoice } from "./openai-responses-voice.ts";
import { openaiError } from "./openai-shapes.ts";

const part = z.looseObject({ type: z.string().max(64), text: optional(longText) });
const item = z.looseObject({
  type: optional(z.string().max(64)),
  role: optional(z.string().max(64)),
  content: optional(z.union([longText, z.array(part).max(limits.messages)])),
});
type Item = z.output<typeof item>;
const tool = z.looseObject({
  type: z.string().max(64),
  name: optional(z.string().max(256)),
  description: optional(longText),
  parameters: z.unknown(),
});
const format = z.looseObject({ type: z.enum(["text", "json_object", "json_schema"]), schema: z.unknown() });

const responsesSchema = z.object({
  input: z
    .union([longText, z.array(item).max(limits.messages)])
    .describe("a message, or a list of items: messages, calls and their results"),
  model: optional(fields.model),
  instructions: optional(longText).describe("what the model is told before the conversation; not carried over to the next response"),
  previous_response_id: optional(z.string().max(256)).describe("go on from this response"),
  store: optional(z.boolean()).describe("keep the response, so that it can be gone on from (default: true)"),
  stream: optional(fields.stream),
  max_output_tokens: optional(fields.maxTokens),
  temperature: optional(fields.temperature),
  top_p: optional(fields.topP),
  text: optional(z.looseObject({ format: optional(format) })).describe("`format`: as `response_format` of chats"),
  tools: optional(z.array(tool).max(limits.tools)).describe("functions that the model may call; tools of other types are left out"),
  tool_choice: optional(z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string().max(64) })])).describe(
    "whether it may, or must",
  ),
  parallel_tool_calls: optional(fields.parallelCalls),
  truncation: optional(z.enum(["disabled"])).describe("`disabled`: what does not fit is refused; nothing else is done here"),
  background: optional(z.literal(false)).describe("only false"),
  metadata: optional(z.record(z.string().max(64), z.string().max(512))).describe("given back with the response"),
  user: optional(fields.user),
});
export type ResponsesBody = z.output<typeof responsesSchema>;

/** What is kept of a response. */
export interface StoredResponse {
  readonly response: Readonly<Record<string, unknown>>;
  /** The conversation with its answer, without instructions. */
  readonly messages: readonly ChatMessage[];
}
export const storeKey = (tenant: string, id: string): string => `${tenant}/${id}`;

function stored({ service, caller }: Call, id: string): StoredResponse {
  const found = service.responses.get(storeKey(caller.tenant, id)) as StoredResponse | undefined;
  if (found) return found;
  throw new LatheError("server.not-found", `There is no response "${id.slice(0, 64)}" here; it was not stored, or has been forgotten.`);
}

const textTypes = new Set(["input_text", "output_text", "text", "summary_text", "reasoning_text"]);
const contentOf = (given: Item["content"]): string | ChatPart[] => {
  if (!Array.isArray(given)) return given ?? "";
  const known = given.every(p => textTypes.has(p.type));
  return known ? given.map(p => p.text ?? "").join("") : given.map(p => ({ ...p }));
};

/** Items become messages; calls that follow each other belong to one message. */
function messagesOf(items: readonly Item[]): ChatMessage[] {
  const out: ChatMessage[] = [];
  for (const each of items) {
    const type = each.type ?? "message";
    if (type === "message") out.push({ role: each.role ?? "user", content: contentOf(each.content) });
    else if (type === "function_call_output") {
      const output = each["output"];
      const content = typeof output === "string" ? output : contentOf(item.shape.content.parse(output));
      out.push({ role: "tool", tool_call_id: String(each["call_id"] ?? ""), content });
    } else if (type === "function_call") {
      const called: ChatToolCall = {
        id: String(each["call_id"] ?? ""),
        type: "function",
        function: { name: String(each["name"] ?? ""), arguments: String(each["arguments"] ?? "{}") },
      };
      const last = out.at(-1);
      if (last?.role === "assistant") out[out.length - 1] = { ...last, tool_calls: [...(last.tool_calls ?? []), called] };
      else out.push({ role: "assistant", content: "", tool_calls: [called] });
    } else if (type !== "reasoning") {
      throw new LatheError("request.unsupported", `This server does not know items of type "${type}".`, { field: "input", status: 400 });
    }
  }
  return out;
}

/** The conversation that is answered, without instructions. */
export function conversationOf(body: ResponsesBody, call: Call): ChatMessage[] {
  const past = body.previous_response_id === undefined ? [] : stored(call, body.previous_response_id).messages;
  const given = typeof body.input === "string" ? [{ role: "user", content: body.input }] : messagesOf(body.input);
  return [...past, ...given];
}

function ask(body: ResponsesBody, call: Call): Ask {
  const functions = body.tools
    ?.filter(t => t.type === "function")
    .map(t => {
      return { type: "function", function: { name: t.name ?? "", description: t.description, parameters: t.parameters } };
    });
  const given = body.text?.format;
  const form = given?.type === "json_schema" ? { type: given.type, json_schema: { name: undefined, schema: given.schema } } : given;
  const options = { ...samplingOf(body), ...formatOptions(form as Parameters<typeof formatOptions>[0]), maxTokens: body.max_output_tokens };
  const system = body.instructions ? [{ role: "system", content: body.instructions }] : [];
  const messages = [...system, ...conversationOf(body, call)];
  const { tools, mustCall } = toolsOf(functions, body.tool_choice);
  const prompt = { kind: "chat", messages, tools } as const;
  const maxCalls = maxCallsOf(body.parallel_tool_calls);
  return { model: body.model, prompts: [prompt], options, n: 1, bestOf: 1, echo: false, logprobs: false, mustCall, maxCalls };
}

/** The answer as the message that the next request's conversation has. */
export function answerMessage(c: Choice): ChatMessage {
  const tool_calls = c.calls.map(({ id, name, arguments: args }) => ({ id, type: "function", function: { name, arguments: args } }));
  const reasoning = c.reasoning ? { reasoning_content: c.reasoning } : {};
  return { role: "assistant", content: c.text, ...reasoning, ...(tool_calls.length ? { tool_calls } : {}) };
}

export const openaiResponses: Dialect<typeof responsesSchema> = {
  path: "/v1/responses",
  about: "answers a conversation that can be gone on from (OpenAI)",
  schema: responsesSchema,
  framing: "events",
  ask,
  streams: body => body.stream ?? false,
  voice: responsesVoice,
  fail: openaiError,
};

export const responseRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/responses/:id",
    scope: "user",
    about: "a response that was stored",
    fail: openaiError,
    handle: call => json(stored(call, call.params["id"]).response),
  },
  {
    method: "DELETE",
    path: "/v1/responses/:id",
    scope: "user",
    about: "forget it",
    fail: openaiError,
    handle: call => {
      stored(call, call.params["id"]);
      call.service.responses.delete(storeKey(call.caller.tenant, call.params["id"]));
      return json({ id: call.params["id"], object: "response", deleted: true });
    },
  },
];
