/** What the routes of OpenAI's protocol share: errors, usage, timings, log-probabilities, reasons to end. */
import type { Finish, Timings, Usage } from "../../api/protocol.ts";
import type { Failure } from "../failure.ts";
import type { Answer, NamedToken, ToolCall } from "../request.ts";
import { event } from "../stream.ts";

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "invalid_request_error",
  429: "rate_limit_error",
  501: "invalid_request_error",
  503: "overloaded_error",
};
/** Names that clients look for. */
const codes: Readonly<Record<string, string>> = {
  "context.overflow": "context_length_exceeded",
  "server.not-found": "model_not_found",
};

export function openaiError({ status, code, message, field }: Failure): object {
  const type = types[status] ?? (status < 500 ? "invalid_request_error" : "server_error");
  return { error: { message, type, param: field ?? null, code: codes[code] ?? code } };
}

export const errorFrames = (failure: Failure): string[] => [event(openaiError(failure))];

export const usageOf = ({ promptTokens, completionTokens, cachedTokens, reasoningTokens = 0 }: Usage): object => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: reasoningTokens,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
});

/** By the names of llama.cpp's server. */
const timingsOf = (usage: Usage, t: Timings): object => ({
  cache_n: usage.cachedTokens,
  prompt_n: usage.promptTokens - usage.cachedTokens,
  prompt_ms: t.promptMs,
  prompt_per_second: t.promptTokensPerSecond,
  predicted_n: usage.completionTokens,
  predicted_ms: t.completionMs,
  predicted_per_second: t.tokensPerSecond,
});
export const timingsOfAnswer = ({ usage, timings }: Answer): object => timingsOf(usage, timings);

/** `calls`: how many functions the answer wants to have called. */
export const finishOf = (finish: Finish, calls = 0): string => (finish !== "stop" ? "length" : calls > 0 ? "tool_calls" : "stop");

export const callOf = ({ id, name, arguments: args }: ToolCall): object => ({ id, type: "function", function: { name, arguments: args } });

const oneToken = ({ text, logprob, bytes }: { text: string; logprob: number; bytes: Uint8Array }): object => ({
  token: text,
  logprob: Math.max(logprob, -9999),
  bytes: [...bytes],
});

/** In the form of chats. */
export const chatLogprobs = (tokens: readonly NamedToken[]): object => ({
  content: tokens.map(t => ({ ...oneToken(t), top_logprobs: t.alternatives.map(oneToken) })),
  refusal: null,
});

/** By their texts. An object without a prototype is a dictionary from the start: one more shape for each set of texts would take three times as long. */
function byText(alternatives: NamedToken["alternatives"]): Record<string, number> {
  const all: Record<string, number> = Object.create(null);
  for (const { text, logprob } of alternatives) all[text] = Math.max(logprob, -9999);
  return all;
}

/** In the form of completions. `offset`: UTF-16 units of the text before. */
export function textLogprobs(tokens: readonly NamedToken[], offset: number): { value: object; end: number } {
  const offsets: number[] = [];
  for (const t of tokens) {
    offsets.push(offset);
    offset += t.text.length;
  }
  const value = {
    tokens: tokens.map(t => t.text),
    token_logprobs: tokens.map(t => Math.max(t.logprob, -9999)),
    top_logprobs: tokens.map(t => byText(t.alternatives)),
    text_offset: offsets,
  };
  return { value, end: offset };
}
