/** `/v1/messages` and `/v1/messages/count_tokens`, as Anthropic's clients speak them. */
import { z } from "zod";
import { LatheError } from "../../errors.ts";
import type { ChatMessage, ChatToolCall } from "../../text/chat.ts";
import { checked, readJson } from "../body.ts";
import type { Failure } from "../failure.ts";
import { fields, limits, longText, maxCallsOf, optional, samplingOf } from "../fields.ts";
import { prepared } from "../perform.ts";
import type { Answer, Ask, AskPrompt, Piece } from "../request.ts";
import { type Dialect, json, type Route, type Setting, type Voice } from "../route.ts";
import { event } from "../stream.ts";

const block = z.looseObject({ type: z.string().max(64), text: optional(longText) });
const content = z.union([longText, z.array(block).max(limits.messages)]);
type Block = z.output<typeof block>;

const promptFields = {
  model: optional(fields.model),
  messages: z
    .array(z.object({ role: z.enum(["user", "assistant", "system"]), content }))
    .min(1)
    .max(limits.messages)
    .describe("the conversation, oldest first; a last message of the assistant is continued"),
  system: optional(content).describe("what the model is told before the conversation"),
  tools: optional(
    z
      .array(
        z.looseObject({
          name: z.string().max(256),
          type: optional(z.string().max(64)),
          description: optional(longText),
          input_schema: z.unknown(),
        }),
      )
      .max(limits.tools),
  ).describe("functions that the model may call; tools that the client's provider runs are left out"),
  tool_choice: optional(z.looseObject({ type: z.enum(["auto", "any", "tool", "none"]) })).describe(
    "whether it may, or must; with `disable_parallel_tool_use` it makes one call then",
  ),
  thinking: optional(z.looseObject({ type: z.string().max(64) })).describe(
    "`disabled` sets `enable_thinking` to false for the chat template",
  ),
};

const messagesSchema = z.object({
  ...promptFields,
  max_tokens: fields.maxTokens,
  stream: optional(fields.stream),
  temperature: optional(fields.temperature),
  top_p: optional(fields.topP),
  top_k: optional(fields.topK),
  stop_sequences: optional(z.array(z.string().min(1).max(4096)).max(limits.stops)).describe(
    `texts that end the answer; at most ${limits.stops}`,
  ),
  metadata: optional(z.looseObject({})).describe("accepted; no effect"),
});
type Body = z.output<typeof messagesSchema>;
const countSchema = z.object(promptFields);
type PromptBody = z.output<typeof countSchema>;

function anthropicError({ status, code, message }: Failure): object {
  const known: Record<number, string> = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
  };
  const type = known[status] ?? (status < 500 || status === 501 ? "invalid_request_error" : "api_error");
  return { type: "error", error: { type, message, code } };
}

/** Text of blocks; those of other kinds are passed on as they are, to be refused by name. */
const parts = (given: string | readonly Block[]): ChatMessage["content"] => {
  if (typeof given === "string") return given;
  return given.every(b => b.type === "text") ? given.map(b => b.text ?? "").join("\n") : given.map(b => ({ ...b }));
};

/** Some clients put a line that changes with every request first, which would make every prompt a new one; it says nothing to a model. */
const volatile = (b: Block): boolean => b.type === "text" && /^x-anthropic-billing-header:/i.test(b.text ?? "");

function systemOf(system: PromptBody["system"]): ChatMessage[] {
  const lasting = typeof system === "string" ? system : system?.filter(b => !volatile(b));
  return lasting?.length ? [{ role: "system", content: parts(lasting) }] : [];
}

/** A message of one role becomes several where it brings results of tools. */
function messagesOf({ role, content: given }: PromptBody["messages"][number]): ChatMessage[] {
  if (typeof given === "string") return [{ role, content: given }];
  const results = given.filter(b => b.type === "tool_result");
  const rest = given.filter(b => !["tool_result", "tool_use", "thinking", "redacted_thinking"].includes(b.type));
  const calls = given
    .filter(b => b.type === "tool_use")
    .map((b): ChatToolCall => {
      return {
        id: String(b["id"] ?? ""),
        type: "function",
        function: { name: String(b["name"] ?? ""), arguments: (b["input"] ?? {}) as never },
      };
    });
  const thoughts = given.filter(b => b.type === "thinking").map(b => String(b["thinking"] ?? ""));
  const tools = results.map((b): ChatMessage => {
    const result = checked(optional(content), b["content"]);
    return { role: "tool", tool_call_id: String(b["tool_use_id"] ?? ""), content: parts(result ?? "") };
  });
  if (!rest.length && !calls.length && !thoughts.length) return tools;
  const own: ChatMessage = {
    role,
    content: parts(rest),
    ...(calls.length ? { tool_calls: calls } : {}),
    ...(thoughts.length ? { reasoning_content: thoughts.join("\n") } : {}),
  };
  return [...tools, own];
}

function promptOf(body: PromptBody): AskPrompt {
  const tools = body.tool_choice?.type === "none" ? [] : (body.tools ?? []).filter(t => t.input_schema !== undefined);
  const functions = tools.map(t => ({
    type: "function",
    function: { name: t.name, description: t.description ?? "", parameters: t.input_schema },
  }));
  return {
    kind: "chat",
    messages: [...systemOf(body.system), ...body.messages.flatMap(messagesOf)],
    tools: functions.length ? functions : undefined,
    extra: body.thinking?.type === "disabled" ? { enable_thinking: false } : undefined,
    continueLast: body.messages.at(-1)!.role === "assistant",
  };
}

/** The functions of which one must be called. */
function mustCallOf({ tool_choice: choice, tools = [] }: PromptBody): Ask["mustCall"] {
  if (choice?.type !== "any" && choice?.type !== "tool") return undefined;
  const named = tools.filter(t => choice.type === "any" || t.name === choice["name"]);
  if (!named.length) throw new LatheError("request.invalid", "tool_choice names no function of tools.", { field: "tool_choice" });
  return named.map(t => ({ name: t.name, parameters: t.input_schema }));
}

function ask(body: Body): Ask {
  const options = { ...samplingOf({ ...body, stop: body.stop_sequences }), maxTokens: body.max_tokens };
  return {
    model: body.model,
    prompts: [promptOf(body)],
    options,
    n: 1,
    bestOf: 1,
    echo: false,
    logprobs: false,
    mustCall: mustCallOf(body),
    maxCalls: maxCallsOf(body.tool_choice?.["disable_parallel_tool_use"] !== true),
  };
}

function stopReason(finish: string, stop: string | undefined, calls: number): string {
  if (finish === "context") return "model_context_window_exceeded";
  if (finish !== "stop") return "max_tokens";
  return stop !== undefined ? "stop_sequence" : calls > 0 ? "tool_use" : "end_turn";
}

const usageOf = ({ usage }: Answer): object => ({
  input_tokens: usage.promptTokens - usage.cachedTokens,
  cache_read_input_tokens: usage.cachedTokens,
  cache_creation_input_tokens: 0,
  output_tokens: usage.completionTokens,
});

const inputOf = (json: string): unknown => {
  try {
    return JSON.parse(json);
  } catch {
    return { arguments: json };
  }
};

/** Content blocks as they open, grow and close. */
class Blocks {
  #index = -1;
  #open: string | undefined;

  close(): string[] {
    if (this.#open === undefined) return [];
    this.#open = undefined;
    return [event({ type: "content_block_stop", index: this.#index }, "content_block_stop")];
  }
  #start(kind: string, block: object): string[] {
    if (this.#open === kind && kind !== "tool_use") return [];
    const closed = this.close();
    this.#open = kind;
    this.#index++;
    return [...closed, event({ type: "content_block_start", index: this.#index, content_block: block }, "content_block_start")];
  }
  #delta = (delta: object): string => event({ type: "content_block_delta", index: this.#index, delta }, "content_block_delta");

  add(piece: Exclude<Piece, { type: "progress" | "finish" }>): string[] {
    if (piece.type === "text")
      return [...this.#start("text", { type: "text", text: "" }), this.#delta({ type: "text_delta", text: piece.text })];
    if (piece.type === "reasoning") {
      const begun = this.#start("thinking", { type: "thinking", thinking: "", signature: "" });
      return [...begun, this.#delta({ type: "thinking_delta", thinking: piece.text })];
    }
    if (piece.type === "call-start") return this.#start("tool_use", { type: "tool_use", id: piece.id, name: piece.name, input: {} });
    if (piece.type === "call-delta") return [this.#delta({ type: "input_json_delta", partial_json: piece.text })];
    return this.close();
  }
}

function voice({ model, id, promptTokens }: Setting<Body>): Voice {
  const blocks = new Blocks();
  const head = { id: `msg_${id}`, type: "message", role: "assistant", model };
  const ending = ({ choices: [c] }: Answer): object => ({
    stop_reason: stopReason(c.finish, c.stop, c.calls.length),
    stop_sequence: c.stop ?? null,
  });
  return {
    begin: () => {
      const usage = { input_tokens: promptTokens, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, output_tokens: 0 };
      const message = { ...head, content: [], stop_reason: null, stop_sequence: null, usage };
      return [event({ type: "message_start", message }, "message_start")];
    },
    piece: p => (p.type === "progress" || p.type === "finish" ? [] : blocks.add(p)),
    end: answer => [
      ...blocks.close(),
      event({ type: "message_delta", delta: ending(answer), usage: usageOf(answer) }, "message_delta"),
      event({ type: "message_stop" }, "message_stop"),
    ],
    fail: failure => [...blocks.close(), event(anthropicError(failure), "error")],
    whole: answer => {
      const [c] = answer.choices;
      const content = [
        ...(c.reasoning ? [{ type: "thinking", thinking: c.reasoning, signature: "" }] : []),
        ...(c.text || !c.calls.length ? [{ type: "text", text: c.text, citations: null }] : []),
        ...c.calls.map(call => ({ type: "tool_use", id: call.id, name: call.name, input: inputOf(call.arguments) })),
      ];
      return { ...head, content, ...ending(answer), usage: usageOf(answer) };
    },
  };
}

export const anthropicMessages: Dialect<typeof messagesSchema> = {
  path: "/v1/messages",
  about: "answers a conversation (Anthropic)",
  schema: messagesSchema,
  framing: "events",
  ask,
  streams: body => body.stream ?? false,
  voice,
  fail: anthropicError,
};

export const anthropicCount: Route = {
  method: "POST",
  path: "/v1/messages/count_tokens",
  scope: "user",
  about: "tokens of a conversation, without an answer (Anthropic)",
  schema: countSchema,
  fail: anthropicError,
  handle: async call => {
    const { service, request } = call;
    const body = checked(countSchema, await readJson(call));
    const prompt = promptOf(body);
    using lease = await service.catalog.lease(body.model, request.signal);
    return json({ input_tokens: prepared(lease.model, prompt).tokens.length });
  },
};
