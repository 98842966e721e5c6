/** `/v1/completions`: text that is continued, as OpenAI's clients speak it, with the sampling fields of llama.cpp's server. */
import { z } from "zod";
import { LatheError } from "../../errors.ts";
import { constraintFields, constraintOf, fields, limits, longText, optional, samplingFields, samplingOf, tokenIds } from "../fields.ts";
import type { Ask, AskPrompt, NamedToken } from "../request.ts";
import type { Dialect, Setting, Voice } from "../route.ts";
import { event } from "../stream.ts";
import { errorFrames, finishOf, openaiError, textLogprobs, timingsOfAnswer, usageOf } from "./openai-shapes.ts";

const tokens = tokenIds(1, 2 ** 22);

const completionSchema = z.object({
  prompt: z
    .union([longText, tokens, z.array(longText).min(1).max(limits.prompts), z.array(tokens).min(1).max(limits.prompts)])
    .describe(`a text, a list of token ids, or up to ${limits.prompts} of either`),
  model: optional(fields.model),
  stream: optional(fields.stream),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })).describe(
    "`include_usage`: the last chunk tells the usage",
  ),
  max_tokens: optional(
    z
      .int()
      .min(0)
      .max(2 ** 30),
  ).describe("most tokens of the answer (default: 16, as OpenAI has it)"),
  n: optional(fields.n),
  best_of: optional(fields.n).describe("write so many answers and give the `n` likeliest; not with `stream`"),
  echo: optional(z.boolean()).describe("put the prompt before the answer"),
  logprobs: optional(z.int().min(0).max(limits.alternatives)).describe("tell each token's log-probability, and so many alternatives"),
  ...samplingFields,
  ...constraintFields,
  logit_bias: optional(fields.logitBias),
  suffix: optional(longText).describe("refused: this server does not fill in the middle yet"),
  user: optional(fields.user),
});
type Body = z.output<typeof completionSchema>;

function promptsOf(prompt: Body["prompt"]): AskPrompt[] {
  const one = (p: string | number[]): AskPrompt => (typeof p === "string" ? { kind: "text", text: p } : { kind: "tokens", tokens: p });
  if (typeof prompt === "string" || typeof prompt[0] === "number") return [one(prompt as string | number[])];
  return (prompt as (string | number[])[]).map(one);
}

function ask(body: Body): Ask {
  const n = body.n ?? 1;
  const bestOf = Math.max(n, body.best_of ?? n);
  const refuse = (field: string, message: string): never => {
    throw new LatheError("request.invalid", message, { field });
  };
  if (body.suffix) refuse("suffix", "This server does not fill in the middle; leave suffix out.");
  if (body.best_of !== undefined && body.best_of < n) refuse("best_of", "best_of must not be less than n.");
  if (body.stream && bestOf > n) refuse("best_of", "best_of cannot be streamed: which answer is best is known at the end.");
  const options = {
    ...samplingOf(body),
    ...constraintOf(body),
    ...(body.logit_bias ? { logitBias: body.logit_bias } : {}),
    maxTokens: body.max_tokens ?? 16,
    alternatives: body.logprobs,
  };
  const logprobs = body.logprobs !== undefined;
  return { model: body.model, prompts: promptsOf(body.prompt), options, n, bestOf, echo: body.echo ?? false, logprobs };
}

function voice({ body, ask: asked, model, id, created }: Setting<Body>): Voice {
  const head = { id: `cmpl-${id}`, object: "text_completion", created, model, system_fingerprint: "lathe" };
  const offsets = new Map<number, number>();
  const choice = (index: number, text: string, tokens: readonly NamedToken[], finish: string | null): object => {
    if (!asked.logprobs) return { index, text, logprobs: null, finish_reason: finish };
    const { value, end } = textLogprobs(tokens, offsets.get(index) ?? 0);
    offsets.set(index, end);
    return { index, text, logprobs: value, finish_reason: finish };
  };
  return {
    begin: () => [],
    piece: p => {
      if (p.type !== "text" && p.type !== "finish") return [];
      const [text, finish] = p.type === "text" ? [p.text, null] : ["", finishOf(p.finish)];
      return [event({ ...head, choices: [choice(p.choice, text, p.tokens, finish)] })];
    },
    end: answer => [
      ...(body.stream_options?.include_usage
        ? [event({ ...head, choices: [], usage: usageOf(answer.usage), timings: timingsOfAnswer(answer) })]
        : []),
      event("[DONE]"),
    ],
    fail: errorFrames,
    whole: answer => ({
      ...head,
      choices: answer.choices.map(c => choice(c.index, c.text, c.tokens, finishOf(c.finish))),
      usage: usageOf(answer.usage),
      timings: timingsOfAnswer(answer),
    }),
  };
}

export const openaiCompletions: Dialect<typeof completionSchema> = {
  path: "/v1/completions",
  about: "continues a text (OpenAI)",
  schema: completionSchema,
  framing: "events",
  ask,
  streams: body => body.stream ?? false,
  voice,
  fail: openaiError,
};
