/** Ollama's `/api/chat` and `/api/generate`: answers as lines of JSON, durations in nanoseconds. */
import { z } from "zod";
import type { GenerateOptions } from "../../api/options.ts";
import { LatheError } from "../../errors.ts";
import type { ChatMessage } from "../../text/chat.ts";
import type { Failure } from "../failure.ts";
import { fields, limits, longText, optional, samplingFields, samplingOf } from "../fields.ts";
import type { Answer, Ask, AskPrompt, Piece } from "../request.ts";
import { type Call, type Dialect, json, type Setting, type Voice } from "../route.ts";
import { line } from "../stream.ts";

const options = z.object({
  ...samplingFields,
  num_predict: optional(
    z
      .int()
      .min(-2)
      .max(2 ** 30),
  ).describe("most tokens of the answer; negative: to the end of the context"),
  num_ctx: optional(
    z
      .int()
      .min(0)
      .max(2 ** 30),
  ).describe("accepted; the context is set when the server starts, and what exceeds it is refused"),
});
const optionNames = Object.keys(options.shape).join(", ");
const keepAlive = z.union([z.number().min(-1e9).max(1e9), z.string().regex(/^-?\d+(\.\d+)?(ms|s|m|h)?$/)]);

const shared = {
  model: optional(fields.model),
  stream: optional(fields.stream).describe("send the answer in pieces (default: true)"),
  options: optional(options).describe(optionNames),
  format: optional(z.union([z.enum(["", "json"]), z.record(z.string(), z.unknown())])).describe(
    "`json`, or a JSON Schema that the answer is valid by",
  ),
  keep_alive: optional(keepAlive).describe('seconds, or like "5m", that the model stays loaded; 0 unloads it, negative keeps it'),
  think: optional(z.union([z.boolean(), z.string().max(32)])).describe("sets `enable_thinking` for the chat template"),
};

const call = z.looseObject({ function: z.looseObject({ name: z.string().max(256), arguments: z.record(z.string(), z.unknown()) }) });
const ollamaChatSchema = z.object({
  ...shared,
  messages: optional(
    z
      .array(
        z.looseObject({
          role: z.string().min(1).max(64),
          content: optional(longText),
          images: optional(z.array(z.string()).max(64)),
          tool_calls: optional(z.array(call).max(limits.tools)),
        }),
      )
      .max(limits.messages),
  ).describe("the conversation, oldest first; none: load or unload the model"),
  tools: optional(z.array(z.looseObject({ type: z.string().max(64) })).max(limits.tools)).describe("functions that the model may call"),
});
const ollamaGenerateSchema = z.object({
  ...shared,
  prompt: optional(longText).describe(
    "a message, or a text to be continued where `raw` is set or the model has no chat template; none: load or unload",
  ),
  system: optional(longText).describe("what the model is told before the message"),
  raw: optional(z.boolean()).describe("continue the prompt as it is"),
  suffix: optional(z.string().max(0)).describe("refused unless empty"),
  images: optional(z.array(z.string()).max(64)).describe("refused unless empty"),
});
type Shared = z.output<z.ZodObject<typeof shared>>;

export const ollamaError = ({ message, code }: Failure): object => ({ error: message, code });

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Milliseconds; negative means for ever. */
function millisecondsOf(given: string | number | undefined): number | undefined {
  if (given === undefined) return undefined;
  const [, count, unit] = /^(-?[\d.]+)([a-z]*)$/.exec(String(given)) ?? [];
  const ms = Number(count) * units[unit || "s"];
  return ms < 0 ? Number.POSITIVE_INFINITY : ms;
}

function askOf(body: Shared, prompt: AskPrompt): Ask {
  const most = body.options?.num_predict;
  const { format } = body;
  const generate: GenerateOptions & { schema?: unknown } = {
    ...samplingOf(body.options ?? {}),
    ...(format ? { schema: format === "json" ? { type: "object" } : format } : {}),
    maxTokens: most !== undefined && most >= 0 ? most : undefined,
  };
  const keepAlive = millisecondsOf(body.keep_alive);
  return { model: body.model, prompts: [prompt], options: generate, n: 1, bestOf: 1, echo: false, logprobs: false, keepAlive };
}
const thinking = ({ think }: Shared): Record<string, unknown> | undefined =>
  think === undefined ? undefined : { enable_thinking: think !== false };

const refuseImages = (images: readonly unknown[] | undefined): void => {
  if (images?.length) throw new LatheError("request.invalid", "This server takes text only, no images.", { field: "images" });
};

const nanoseconds = (ms: number): number => Math.round(ms * 1e6);

/** Pieces that make a line; calls come when they are whole. */
const told = new Set<Piece["type"]>(["text", "reasoning", "call"]);

/** How an answer is told; `key` holds a piece of text. */
function voiceOf<B extends Shared>({ model, begun, loadMs }: Setting<B>, wrap: (piece: Piece | undefined) => object): Voice {
  const head = (): object => ({ model, created_at: new Date().toISOString() });
  const last = (answer: Answer): object => {
    const { usage, timings, choices } = answer;
    return {
      done: true,
      done_reason: choices[0].finish === "stop" ? "stop" : "length",
      total_duration: nanoseconds(performance.now() - begun),
      load_duration: nanoseconds(loadMs),
      prompt_eval_count: usage.promptTokens,
      prompt_eval_duration: nanoseconds(timings.promptMs),
      cached_tokens: usage.cachedTokens,
      eval_count: usage.completionTokens,
      eval_duration: nanoseconds(timings.completionMs),
    };
  };
  return {
    begin: () => [],
    piece: p => (told.has(p.type) ? [line({ ...head(), ...wrap(p), done: false })] : []),
    end: answer => [line({ ...head(), ...wrap(undefined), ...last(answer) })],
    fail: failure => [line(ollamaError(failure))],
    whole: answer => {
      const [c] = answer.choices;
      const pieces: Piece[] = [
        { type: "text", choice: 0, text: c.text, tokens: [] },
        ...(c.reasoning ? [{ type: "reasoning", choice: 0, text: c.reasoning } as const] : []),
        ...c.calls.map((call, index) => ({ type: "call", choice: 0, index, call }) as const),
      ];
      return { ...head(), ...mergedShapes(pieces.map(wrap)), ...last(answer) };
    },
  };
}

/** Objects as one; what is an object in several is joined, lists are put together, and texts that are empty give way. */
function mergedShapes(shapes: readonly object[]): object {
  const out: Record<string, unknown> = {};
  for (const shape of shapes) {
    for (const [k, v] of Object.entries(shape)) {
      const old = out[k];
      if (Array.isArray(old) && Array.isArray(v)) out[k] = [...old, ...v];
      else if (typeof old === "object" && typeof v === "object" && old && v) out[k] = mergedShapes([old, v]);
      else out[k] = old || v;
    }
  }
  return out;
}

const argumentsOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return { arguments: text };
  }
};

function chatShape(p: Piece | undefined): object {
  const message = (more: object): object => ({ message: { role: "assistant", content: "", ...more } });
  if (p?.type === "text") return message({ content: p.text });
  if (p?.type === "reasoning") return message({ thinking: p.text });
  if (p?.type === "call") return message({ tool_calls: [{ function: { name: p.call.name, arguments: argumentsOf(p.call.arguments) } }] });
  return message({});
}
const generateShape = (p: Piece | undefined): object =>
  p?.type === "reasoning" ? { response: "", thinking: p.text } : { response: p?.type === "text" ? p.text : "" };

/** Without a prompt, a request loads the model, or unloads it. */
async function loadOnly(body: Shared, { service, request }: Call, shape: object): Promise<Response> {
  const ms = millisecondsOf(body.keep_alive);
  const name = service.catalog.resolve(body.model);
  if (ms === 0) await service.catalog.unload(body.model);
  else (await service.catalog.lease(body.model, request.signal, ms))[Symbol.dispose]();
  const reason = ms === 0 ? "unload" : "load";
  return json({ model: name, created_at: new Date().toISOString(), ...shape, done: true, done_reason: reason });
}

export const ollamaChat: Dialect<typeof ollamaChatSchema> = {
  path: "/api/chat",
  about: "answers a conversation (Ollama)",
  schema: ollamaChatSchema,
  framing: "lines",
  ask: body => {
    for (const m of body.messages!) refuseImages(m.images);
    const messages = body.messages!.map(({ images: _, thinking: thought, ...m }): ChatMessage => {
      return { ...m, ...(thought ? { reasoning_content: String(thought) } : {}) };
    });
    return askOf(body, { kind: "chat", messages, tools: body.tools, extra: thinking(body) });
  },
  streams: body => body.stream ?? true,
  voice: setting => voiceOf(setting, chatShape),
  fail: ollamaError,
  instead: async (body, call) => (body.messages?.length ? undefined : loadOnly(body, call, chatShape(undefined))),
};

export const ollamaGenerate: Dialect<typeof ollamaGenerateSchema> = {
  path: "/api/generate",
  about: "answers a message or continues a text (Ollama)",
  schema: ollamaGenerateSchema,
  framing: "lines",
  ask: (body, { service }) => {
    refuseImages(body.images);
    const name = service.catalog.resolve(body.model);
    const chats = service.catalog.list().find(m => m.name === name)?.model?.chats ?? true;
    if (body.raw || !chats) return askOf(body, { kind: "text", text: body.prompt! });
    const system = body.system ? [{ role: "system", content: body.system }] : [];
    return askOf(body, { kind: "chat", messages: [...system, { role: "user", content: body.prompt! }], extra: thinking(body) });
  },
  streams: body => body.stream ?? true,
  voice: setting => voiceOf(setting, generateShape),
  fail: ollamaError,
  instead: async (body, call) => {
    if (!body.prompt) return loadOnly(body, call, generateShape(undefined));
    // Whether the model has a chat template is known when it is loaded.
    (await call.service.catalog.lease(body.model, call.request.signal))[Symbol.dispose]();
    return undefined;
  },
};
