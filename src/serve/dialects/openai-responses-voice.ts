/** The words of `/v1/responses`: the response object and the events of its stream, numbered in order. */
import { newId } from "../generation.ts";
import type { Answer, Choice, Piece, ToolCall } from "../request.ts";
import type { Setting, Voice } from "../route.ts";
import { event } from "../stream.ts";
import { answerMessage, conversationOf, type ResponsesBody, type StoredResponse, storeKey } from "./openai-responses.ts";

type Json = Record<string, unknown>;

const textPart = (text: string): Json => ({ type: "output_text", text, annotations: [], logprobs: [] });
const thoughtPart = (text: string): Json => ({ type: "reasoning_text", text });
const messageItem = (id: string, status: string, content: readonly Json[]): Json => ({
  id,
  type: "message",
  role: "assistant",
  status,
  content,
});
const partOf = { text: textPart, reasoning: thoughtPart };
const reasoningItem = (id: string, text: string | undefined): Json => ({
  id,
  type: "reasoning",
  summary: [],
  content: text === undefined ? [] : [thoughtPart(text)],
});
const callItem = (id: string, call: ToolCall, status: string): Json => {
  return { id, type: "function_call", call_id: call.id, name: call.name, arguments: call.arguments, status };
};

const usageOf = ({ usage }: Answer): Json => ({
  input_tokens: usage.promptTokens,
  input_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: 0 },
  output_tokens: usage.completionTokens,
  output_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0 },
  total_tokens: usage.promptTokens + usage.completionTokens,
});

/** The response around its output. */
function envelope({ body, model, id, created }: Setting<ResponsesBody>): Json {
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: created,
    status: "in_progress",
    completed_at: null,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    store: body.store ?? true,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: "text" } },
    tool_choice: body.tool_choice ?? "auto",
    tools: body.tools ?? [],
    top_p: body.top_p ?? null,
    truncation: "disabled",
    metadata: body.metadata ?? {},
  };
}

/** Items of the output as they open, grow and close. */
class Output {
  readonly items: Json[] = [];
  readonly #event: (type: string, data: Json) => string;
  #open: { kind: "text" | "reasoning" | "call"; id: string; text: string; call?: ToolCall } | undefined;

  constructor(event: (type: string, data: Json) => string) {
    this.#event = event;
  }

  #at = (id: string): Json => ({ item_id: id, output_index: this.items.length });

  close(): string[] {
    if (!this.#open) return [];
    const { kind, id, text, call } = this.#open;
    const at = { ...this.#at(id), content_index: 0 };
    this.#open = undefined;
    if (call) return this.#closeCall(id, { ...call, arguments: text }, "incomplete");
    const item = kind === "text" ? messageItem(id, "completed", [textPart(text)]) : reasoningItem(id, text);
    const done = [
      kind === "text"
        ? this.#event("response.output_text.done", { ...at, text, logprobs: [] })
        : this.#event("response.reasoning_text.done", { ...at, text }),
      this.#event("response.content_part.done", { ...at, part: partOf[kind === "text" ? kind : "reasoning"](text) }),
    ];
    const closed = this.#event("response.output_item.done", { output_index: this.items.length, item });
    this.items.push(item);
    return [...done, closed];
  }

  #start(kind: "text" | "reasoning"): string[] {
    if (this.#open?.kind === kind) return [];
    const closed = this.close();
    const id = newId(kind === "text" ? "msg_" : "rs_");
    this.#open = { kind, id, text: "" };
    const item = kind === "text" ? messageItem(id, "in_progress", []) : reasoningItem(id, undefined);
    const added = this.#event("response.output_item.added", { output_index: this.items.length, item });
    const part = this.#event("response.content_part.added", { ...this.#at(id), content_index: 0, part: partOf[kind]("") });
    return [...closed, added, part];
  }

  add(piece: Exclude<Piece, { type: "progress" | "finish" }>): string[] {
    if (piece.type === "call-start") return this.#startCall(piece);
    if (piece.type === "call-delta") return this.#growCall(piece.text);
    if (piece.type === "call") return this.#endCall(piece.call);
    if (piece.type === "call-broken") return this.close();
    const begun = this.#start(piece.type);
    const open = this.#open!;
    open.text += piece.text;
    const at = { ...this.#at(open.id), content_index: 0, delta: piece.text };
    const grown =
      piece.type === "text"
        ? this.#event("response.output_text.delta", { ...at, logprobs: [] })
        : this.#event("response.reasoning_text.delta", at);
    return [...begun, grown];
  }

  #startCall({ id: call_id, name }: Extract<Piece, { type: "call-start" }>): string[] {
    const closed = this.close();
    const id = newId("fc_");
    const call = { id: call_id, name, arguments: "" };
    this.#open = { kind: "call", id, text: "", call };
    const item = callItem(id, call, "in_progress");
    return [...closed, this.#event("response.output_item.added", { output_index: this.items.length, item })];
  }

  #growCall(text: string): string[] {
    const open = this.#open!;
    open.text += text;
    return [this.#event("response.function_call_arguments.delta", { ...this.#at(open.id), delta: text })];
  }

  #endCall(call: ToolCall): string[] {
    const { id, text } = this.#open!;
    this.#open = undefined;
    return this.#closeCall(id, { ...call, arguments: text }, "completed");
  }

  #closeCall(id: string, call: ToolCall, status: string): string[] {
    const at = this.#at(id);
    const item = callItem(id, call, status);
    const frames = [
      this.#event("response.function_call_arguments.done", { ...at, name: call.name, arguments: call.arguments }),
      this.#event("response.output_item.done", { output_index: this.items.length, item }),
    ];
    this.items.push(item);
    return frames;
  }
}

/** The output of an answer in one piece. */
function outputOf(c: Choice): Json[] {
  return [
    ...(c.reasoning ? [reasoningItem(newId("rs_"), c.reasoning)] : []),
    ...(c.text || !c.calls.length ? [messageItem(newId("msg_"), "completed", [textPart(c.text)])] : []),
    ...c.calls.map(call => callItem(newId("fc_"), call, "completed")),
  ];
}

export function responsesVoice(setting: Setting<ResponsesBody>): Voice {
  const { body, service, caller } = setting;
  const begun = envelope(setting);
  // Read now: what it goes on from may be forgotten while the answer is written.
  const conversation = conversationOf(body, { ...setting.call });
  let number = 0;
  const tell = (type: string, data: Json): string => event({ type, sequence_number: number++, ...data }, type);
  const output = new Output(tell);
  const ended = (answer: Answer, items: readonly Json[]): Json => {
    const [c] = answer.choices;
    const complete = c.finish === "stop";
    const response = {
      ...begun,
      status: complete ? "completed" : "incomplete",
      completed_at: complete ? Math.floor(Date.now() / 1000) : null,
      incomplete_details: complete ? null : { reason: "max_output_tokens" },
      output: items,
      usage: usageOf(answer),
    };
    const kept: StoredResponse = { response, messages: [...conversation, answerMessage(c)] };
    if (body.store ?? true) service.responses.set(storeKey(caller.tenant, String(begun["id"])), kept);
    return response;
  };
  return {
    begin: () => [tell("response.created", { response: begun }), tell("response.in_progress", { response: begun })],
    piece: p => (p.type === "progress" || p.type === "finish" ? [] : output.add(p)),
    end: answer => {
      const closed = output.close();
      const response = ended(answer, output.items);
      return [...closed, tell(response["status"] === "completed" ? "response.completed" : "response.incomplete", { response })];
    },
    fail: ({ code, message }) => {
      const error = { code: "server_error", message: `${message} (${code})` };
      return [...output.close(), tell("response.failed", { response: { ...begun, status: "failed", output: output.items, error } })];
    },
    whole: answer => ended(answer, outputOf(answer.choices[0])),
  };
}
