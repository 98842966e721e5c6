/**
 * The fields that requests share: type, limits and one line of meaning, each declared once. Dialects build their schemas from them, and the
 * tables of docs/server.md are made from those schemas. Every number has a least and a greatest value, every list and text a length.
 */
import { z } from "zod";

/** Limits that are not those of one field. */
export const limits = {
  bodyBytes: 32 * 2 ** 20,
  headerBytes: 16 * 2 ** 10,
  depth: 96,
  choices: 8,
  stops: 16,
  biases: 1024,
  prompts: 64,
  inputs: 2048,
  messages: 4096,
  tools: 256,
  /** Calls of one answer that must call. */
  calls: 16,
  alternatives: 20,
  modules: 64,
} as const;

const text = (most: number, about: string) => z.string().max(most).describe(about);
const whole = (from: number, to: number, about: string) => z.int().min(from).max(to).describe(about);
const real = (from: number, to: number, about: string) => z.number().min(from).max(to).describe(about);

export const longText = z.string().max(limits.bodyBytes);
const MOST_ID = 2 ** 31 - 1;
const tokenId = z.int().min(0).max(MOST_ID);
/** A list of token ids: looked through here, as zod takes a quarter of a microsecond for each and there may be millions. */
export const tokenIds = (least: number, most: number) =>
  z
    .custom<number[]>(Array.isArray, "expected a list of token ids")
    .check(({ value, issues }) => {
      const fault = (list: { safeParse(v: unknown): z.ZodSafeParseResult<unknown> }, input: unknown, path: number[]): void => {
        for (const issue of list.safeParse(input).error?.issues ?? []) issues.push({ ...issue, path, input } as never);
      };
      if (value.length < least || value.length > most) return fault(z.array(z.any()).min(least).max(most), value, []);
      const wrong = value.findIndex(id => !Number.isInteger(id) || id < 0 || id > MOST_ID);
      if (wrong >= 0) fault(tokenId, value[wrong], [wrong]);
    })
    .meta({ type: "array", maxItems: most });

/** Fields may be null where clients write null for "not given"; they are then absent. */
export const optional = <T extends z.ZodType>(field: T) => field.nullish().transform(v => v ?? undefined);

/** A text, and values for its places `{{name}}`. */
const moduleText = z
  .looseObject({
    text: z.string().min(1).max(limits.bodyBytes),
    parameters: optional(
      z.record(z.string().max(64), z.looseObject({ value: z.string().max(limits.bodyBytes), max_tokens: optional(whole(0, 2 ** 30, "")) })),
    ),
  })
  .transform(({ text, parameters = {} }) => {
    const given = Object.entries(parameters).map(([name, p]) => [name, { value: p.value, maxTokens: p.max_tokens }] as const);
    return given.length ? { text, parameters: Object.fromEntries(given) } : { text };
  });
/** One of several, by its place in the list. */
const moduleUnion = z
  .looseObject({ one_of: z.array(moduleText).min(1).max(limits.modules), use: z.int().min(0).max(limits.modules) })
  .refine(({ one_of, use }) => use < one_of.length, "use is the place of one of the modules")
  .transform(({ one_of, use }) => one_of[use]);

export const fields = {
  model: text(512, "the model's name, as `/v1/models` lists it; a server of one model answers to any name"),
  stream: z.boolean().describe("send the answer in pieces as it is written"),
  maxTokens: whole(1, 2 ** 30, "most tokens of the answer; without it, the answer may fill the context"),
  temperature: real(0, 10, "how much chance decides; 0: always the likeliest token"),
  topP: real(0, 1, "choose among the likeliest tokens that add up to p; 1: all"),
  topK: whole(0, 2 ** 30, "choose among the k likeliest tokens; 0: all"),
  minP: real(0, 1, "leave out tokens below p times the likeliest"),
  repeatPenalty: real(0.01, 1e6, "divides the logits of recent tokens"),
  frequencyPenalty: real(-10, 10, "lowers recent tokens by this for each occurrence"),
  presencePenalty: real(-10, 10, "lowers recent tokens by this once"),
  penaltyWindow: whole(-1, 2 ** 24, "how many tokens are recent; -1: all"),
  seed: whole(-1, Number.MAX_SAFE_INTEGER, "makes the choices repeatable; -1: drawn at random"),
  logitBias: z
    .record(z.string().regex(/^\d{1,10}$/), z.number().min(-100).max(100))
    .refine(v => Object.keys(v).length <= limits.biases, `at most ${limits.biases} tokens`)
    .describe(`adds to the logits of token ids; at most ${limits.biases}`),
  stop: z
    .union([z.string().min(1).max(4096), z.array(z.string().min(1).max(4096)).max(limits.stops)])
    .describe(`texts that end the answer and are no part of it; at most ${limits.stops}`),
  parallelCalls: z
    .boolean()
    .describe(
      `whether an answer may make several calls, at most ${limits.calls} where it must call; without it, it may; \`false\`: one call`,
    ),
  n: whole(1, limits.choices, "how many answers; they share the prompt's keys and values"),
  modules: z
    .array(z.union([moduleUnion, moduleText]))
    .max(limits.modules)
    .describe(
      "texts, with or without parameters, before the prompt, or before the first user message, that are computed once and see themselves alone (prompt-cache.md)",
    ),
  cacheSalt: text(256, "requests with different salts share no cached prompts"),
  priority: whole(-100, 100, "requests with a higher number go first"),
  user: text(512, "accepted; no effect"),
} as const;

/** Sampling fields by the names that OpenAI's protocol and llama.cpp's server give them. */
export const samplingFields = {
  temperature: optional(fields.temperature),
  top_p: optional(fields.topP),
  top_k: optional(fields.topK),
  min_p: optional(fields.minP),
  repeat_penalty: optional(fields.repeatPenalty),
  frequency_penalty: optional(fields.frequencyPenalty),
  presence_penalty: optional(fields.presencePenalty),
  repeat_last_n: optional(fields.penaltyWindow),
  seed: optional(fields.seed),
  stop: optional(fields.stop),
  modules: optional(fields.modules),
  cache_salt: optional(fields.cacheSalt),
  priority: optional(fields.priority),
};
type Sampling = { [K in keyof typeof samplingFields]?: z.output<(typeof samplingFields)[K]> };

/** What the answer must be like, by the names of llama.cpp's server and of vLLM; at most one of them. */
export const constraintFields = {
  grammar: optional(z.string().max(2 ** 18)).describe("the answer is a text of this grammar (GBNF)"),
  guided_regex: optional(z.string().max(2 ** 14)).describe("the answer matches this regular expression as a whole"),
  guided_choice: optional(z.array(z.string().min(1).max(4096)).min(1).max(1024)).describe("the answer is one of these texts"),
};
type Constraint = { [K in keyof typeof constraintFields]?: z.output<(typeof constraintFields)[K]> };

/** The library's options for them. */
export const constraintOf = (body: Constraint) => ({ grammar: body.grammar, regex: body.guided_regex, choices: body.guided_choice });

/** The library's options for them; absent stays absent, so that the library's defaults hold. */
export function samplingOf(body: Sampling) {
  const seed = body.seed === -1 ? undefined : body.seed;
  const options = {
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    minP: body.min_p,
    repeatPenalty: body.repeat_penalty,
    frequencyPenalty: body.frequency_penalty,
    presencePenalty: body.presence_penalty,
    penaltyWindow: body.repeat_last_n,
    seed,
    stop: body.stop,
    modules: body.modules,
    salt: body.cache_salt,
    priority: body.priority,
  };
  return Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as typeof options;
}

/** How many calls an answer that must call may make. */
export const maxCallsOf = (parallel: boolean | undefined): number => (parallel === false ? 1 : limits.calls);
