/**
 * A loaded model as a language model of the Vercel AI SDK (specification v3, AI SDK 6): `generateText({ model: lathe(model), ... })`. Only the
 * SDK's types are used; nothing of it is needed when this file runs.
 */
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { Model } from "../api/model.ts";
import type { GenerateOptions } from "../api/options.ts";
import type { ChatOptions } from "../api/round.ts";
import type { Part, Result, Run } from "../api/run.ts";
import type { Tool, ToolChoice } from "../api/tools.ts";
import { messagesOf } from "./prompt.ts";

/** Options of every call that the SDK has no name for, such as `minP`, or that it leaves out. */
export type LatheSettings = Omit<GenerateOptions, "schema" | "grammar" | "regex" | "choices" | "signal" | "stop">;

type StreamPart = LanguageModelV3StreamPart;

const reasons: Readonly<Record<Result["finish"], LanguageModelV3FinishReason["unified"]>> = {
  stop: "stop",
  length: "length",
  context: "length",
  tools: "tool-calls",
  cancelled: "other",
};

function finishOf({ finish, calls = [] }: Result): LanguageModelV3FinishReason {
  return { unified: calls.length ? "tool-calls" : reasons[finish], raw: finish };
}

function usageOf({ usage: { promptTokens, cachedTokens, completionTokens, reasoningTokens } }: Result): LanguageModelV3Usage {
  return {
    inputTokens: { total: promptTokens, noCache: promptTokens - cachedTokens, cacheRead: cachedTokens, cacheWrite: undefined },
    outputTokens: {
      total: completionTokens,
      text: reasoningTokens === undefined ? undefined : completionTokens - reasoningTokens,
      reasoning: reasoningTokens,
    },
  };
}

function choiceOf(choice: LanguageModelV3CallOptions["toolChoice"]): ToolChoice {
  return choice?.type === "tool" ? { name: choice.toolName } : (choice?.type ?? "auto");
}

interface Asked {
  readonly options: ChatOptions;
  readonly warnings: SharedV3Warning[];
}

/** The call's options in this library's words, and what is not heeded. */
function askedOf(o: LanguageModelV3CallOptions, settings: LatheSettings): Asked {
  const warnings: SharedV3Warning[] = [];
  const tools: Tool[] = [];
  for (const t of o.tools ?? []) {
    if (t.type === "function") tools.push({ name: t.name, description: t.description, input: t.inputSchema });
    else warnings.push({ type: "unsupported", feature: `tool ${t.id}`, details: "Tools of other providers do not run here." });
  }
  const json = o.responseFormat?.type === "json" ? (o.responseFormat.schema ?? { type: "object" }) : undefined;
  if (json && tools.length)
    warnings.push({ type: "compatibility", feature: "responseFormat", details: "With a schema, tools are not called." });
  const own = {
    maxTokens: o.maxOutputTokens,
    temperature: o.temperature,
    topP: o.topP,
    topK: o.topK,
    presencePenalty: o.presencePenalty,
    frequencyPenalty: o.frequencyPenalty,
    seed: o.seed,
    stop: o.stopSequences,
    signal: o.abortSignal,
    schema: json,
  };
  const given = Object.fromEntries(Object.entries(own).filter(([, v]) => v !== undefined));
  const calls = { tools, toolChoice: json ? "none" : tools.length ? choiceOf(o.toolChoice) : "auto" } as const;
  return { options: { ...settings, ...given, ...calls, reasoning: "separate" }, warnings };
}

/** Opens and closes the stretches of text and reasoning that the SDK wants named. */
class Stretches {
  #open: "text" | "reasoning" | undefined;
  #count = 0;

  *to(type: "text" | "reasoning" | undefined): Generator<StreamPart> {
    if (type === this.#open) return;
    if (this.#open) yield { type: `${this.#open}-end`, id: this.#id };
    this.#open = type;
    if (!type) return;
    this.#count++;
    yield { type: `${type}-start`, id: this.#id };
  }
  *say(type: "text" | "reasoning", delta: string): Generator<StreamPart> {
    yield* this.to(type);
    yield { type: `${type}-delta`, id: this.#id, delta };
  }
  get #id(): string {
    return String(this.#count);
  }
}

function* streamParts(part: Part, stretches: Stretches): Generator<StreamPart> {
  if (part.type === "text" || part.type === "reasoning") yield* stretches.say(part.type, part.text);
  else if (part.type === "tool-call") {
    const { id, name } = part;
    const input = JSON.stringify(part.arguments);
    yield* stretches.to(undefined);
    yield { type: "tool-input-start", id, toolName: name };
    yield { type: "tool-input-delta", id, delta: input };
    yield { type: "tool-input-end", id };
    yield { type: "tool-call", toolCallId: id, toolName: name, input };
  } else if (part.type === "finish") {
    yield* stretches.to(undefined);
    yield { type: "finish", finishReason: finishOf(part), usage: usageOf(part) };
  }
}

async function* streamed(run: Run, warnings: SharedV3Warning[]): AsyncGenerator<StreamPart, void, undefined> {
  yield { type: "stream-start", warnings };
  const stretches = new Stretches();
  for await (const part of run) {
    if (part.type === "dropped") continue; // told with the result, where the SDK has a place for it
    yield* streamParts(part, stretches);
  }
}

/** A web stream that computes as it is read, and cancels what it was made of. */
function streamOf(parts: AsyncGenerator<StreamPart, void, undefined>): ReadableStream<StreamPart> {
  return new ReadableStream<StreamPart>(
    {
      async pull(controller) {
        try {
          const { done, value } = await parts.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.enqueue({ type: "error", error });
          controller.close();
        }
      },
      async cancel() {
        await parts.return();
      },
    },
    { highWaterMark: 0 },
  );
}

function contentOf({ text, reasoning, calls = [] }: Result): LanguageModelV3Content[] {
  return [
    ...(reasoning ? [{ type: "reasoning", text: reasoning } as const] : []),
    ...(text ? [{ type: "text", text } as const] : []),
    ...calls.map(c => ({ type: "tool-call", toolCallId: c.id, toolName: c.name, input: JSON.stringify(c.arguments) }) as const),
  ];
}

/**
 * The model for `generateText`, `streamText`, `generateObject` and the rest of the SDK.
 * @param settings what holds for every call unless the SDK's own option says otherwise.
 */
export function lathe(model: Model, settings: LatheSettings = {}): LanguageModelV3 {
  const ask = (o: LanguageModelV3CallOptions): { run: Run; warnings: SharedV3Warning[] } => {
    const { options, warnings } = askedOf(o, settings);
    return { run: model.chat(messagesOf(o.prompt), options) as Run, warnings };
  };
  return {
    specificationVersion: "v3",
    provider: "lathe",
    modelId: model.info.name,
    supportedUrls: {},
    async doGenerate(o) {
      const { run, warnings } = ask(o);
      const result = await run;
      const lost = result.dropped;
      const told: SharedV3Warning[] = lost ? [{ type: "other", message: `${lost.tokens} tokens of the prompt were dropped.` }] : [];
      return { content: contentOf(result), finishReason: finishOf(result), usage: usageOf(result), warnings: [...warnings, ...told] };
    },
    async doStream(o) {
      const { run, warnings } = ask(o);
      return { stream: streamOf(streamed(run, warnings)) };
    },
  };
}
