/**
 * One answer to a conversation: messages and tools become a prompt, and the answer's text is taken apart into text, reasoning and tool calls while
 * it comes. Runs no tools; agent.ts does.
 */
import { createStopMatcher, type StopMatcher } from "../decode/stops.ts";
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";
import type { Spoken } from "../text/tools/events.ts";
import type { AnswerParser } from "../text/tools/parser.ts";
import { type Fitted, fitMessages, promptRoom } from "./context.ts";
import type { GenerateOptions } from "./options.ts";
import type { Token } from "./protocol.ts";
import { type Part, type Result, Run } from "./run.ts";
import type { Session } from "./session.ts";
import { type ChatHost, type ChatPrompt, Speech } from "./speech.ts";
import type { ValueOf } from "./standard.ts";
import { type AnyTool, forcedSpecs, type ToolCall, type ToolChoice, toolSpecs } from "./tools.ts";

/** Options of `model.chat`. */
export interface ChatOptions<S = unknown> extends GenerateOptions<S> {
  /** What the model may call. Calls come as parts and in the result; only a conversation runs them. */
  readonly tools?: readonly AnyTool[];
  /** Default "auto". */
  readonly toolChoice?: ToolChoice;
  /** How many calls an answer that must call may make; 1 also ends an answer that may call behind its call. Default 16. */
  readonly maxCalls?: number;
  /** `separate`: thoughts between the model's marks are parts of their own. Default: so with tools, otherwise "text", as they come. */
  readonly reasoning?: "separate" | "text";
}

interface Settled {
  readonly speech: Speech;
  readonly separate: boolean;
  readonly generate: GenerateOptions;
}

/** Most calls of one answer. */
const MOST_CALLS = 128;

const constraints = ["schema", "grammar", "regex", "choices"] as const;

/** Splits and checks the options. @throws LatheError option.invalid, template.missing, schema.*. */
function settled(host: ChatHost, options: ChatOptions): Settled {
  const { tools = [], toolChoice = "auto", maxCalls, reasoning, ...generate } = options;
  const forced =
    toolChoice === "required" || (typeof toolChoice === "object" && toolChoice !== null && typeof toolChoice.name === "string");
  if (!forced && toolChoice !== "auto" && toolChoice !== "none")
    throw new LatheError("option.invalid", 'toolChoice must be "auto", "none", "required" or { name }.', { option: "toolChoice" });
  if (reasoning !== undefined && reasoning !== "separate" && reasoning !== "text")
    throw new LatheError("option.invalid", 'reasoning must be "separate" or "text".', { option: "reasoning" });
  if (maxCalls !== undefined && !(Number.isInteger(maxCalls) && maxCalls >= 1 && maxCalls <= MOST_CALLS))
    throw new LatheError("option.invalid", `maxCalls must be an integer from 1 to ${MOST_CALLS}.`, { option: "maxCalls" });
  const offered = toolSpecs(tools);
  const specs = toolChoice === "none" ? [] : offered;
  const constrained = constraints.find(k => generate[k] !== undefined);
  if (constrained && specs.length) {
    const message = `${constrained} and tools exclude each other in one answer; set toolChoice to "none".`;
    throw new LatheError("option.invalid", message, { option: constrained });
  }
  const { stop } = generate;
  const stops = typeof stop === "string" ? [stop] : (stop ?? []);
  createStopMatcher(stops); // refuses what is none
  const speech = new Speech(host, { specs, forced: forced ? forcedSpecs(specs, toolChoice) : undefined, maxCalls, stops });
  return {
    speech,
    separate: (reasoning ?? (specs.length ? "separate" : "text")) === "separate",
    generate: speech.held ? { ...generate, schema: speech.held } : generate,
  };
}

/** Ids of calls: nine letters and digits, as the strictest templates want them, counted through the conversation. */
const callId = (n: number): string => `call${String(n).padStart(5, "0")}`;

export function answerRound<S>(
  host: () => ChatHost,
  session: Session,
  messages: readonly ChatMessage[],
  options: ChatOptions<S>,
): Run<ValueOf<S>> {
  return new Run(async function* (settle): AsyncGenerator<Part<ValueOf<S>>, void, undefined> {
    const own = host();
    const { speech, separate, generate } = settled(own, options);
    let prompt: ChatPrompt | undefined;
    const make = (): Fitted => {
      const render = (list: readonly ChatMessage[]): readonly number[] => {
        prompt = speech.prompt(list);
        return prompt.ids;
      };
      const room = promptRoom(own.context, generate.maxTokens);
      const fitted = fitMessages(messages, render, { context: own.context, room, policy: generate.overflow ?? "error" });
      return { ...fitted, until: prompt?.until };
    };
    const asked = separate ? { ...generate, stop: speech.markStops } : generate;
    const run = session.answer<ValueOf<S>>(make, asked as GenerateOptions<never>, separate ? speech.marks : undefined);
    const known = messages.reduce((n, m) => n + (m.tool_calls?.length ?? 0), 0);
    if (!separate) yield* passed(run, settle);
    else yield* heard(run, () => prompt!.parser(), { id: n => callId(known + n), stops: speech.stops }, settle);
  });
}

/** The parts of a run as they are. */
async function* passed<T>(run: Run<T>, settle: (r: Result<T>) => void): AsyncGenerator<Part<T>, void, undefined> {
  try {
    for await (const part of run) yield part;
  } finally {
    run.then(settle, () => {});
  }
}

export interface Hearing {
  /** The id of the n-th call, where the model gives none. */
  readonly id: (n: number) => string;
  /** Texts that end the answer where they come in its words; thoughts and calls may hold them. */
  readonly stops?: readonly string[];
}

/** The parts of a run, its text taken apart by the parser, which is asked for when the prompt has been made. */
export async function* heard<T>(
  run: Run<T>,
  parser: () => AnswerParser,
  hearing: Hearing,
  settle: (r: Result<T>) => void,
): AsyncGenerator<Part<T>, void, undefined> {
  let voice: Voice | undefined;
  let result: Result<T> | undefined;
  try {
    for await (const part of run) {
      if (part.type === "text" || part.type === "finish") voice ??= new Voice(parser(), hearing);
      if (part.type === "finish") {
        yield* voice!.end();
        result = voice!.told(part);
      } else if (part.type === "text") {
        yield* voice!.hear(part);
        if (voice!.stopped !== undefined) break;
      } else yield part;
    }
    if (voice?.stopped !== undefined) result ??= voice.told(await run);
    if (result) yield { ...result, type: "finish" };
  } finally {
    run.then(
      r => settle(result ?? voice?.told(r) ?? r),
      () => {},
    );
  }
}

/** What is said to whoever listens. */
type Said = Exclude<Part<never>, { type: "finish" }>;
type TextPart = Extract<Part, { type: "text" }>;

/** What was heard of an answer so far, put together. */
class Voice {
  /** The stop text that ended the answer. */
  stopped: string | undefined;
  #text = "";
  #reasoning = "";
  readonly #parser: AnswerParser;
  readonly #matcher: StopMatcher;
  readonly #calls: ToolCall[] = [];
  readonly #id: (n: number) => string;
  /** Ids of the calls that began, by their index. */
  readonly #ids: string[] = [];
  #untold: Token[] = [];
  /** Tokens of thoughts, and those whose text nothing has come of yet. */
  #thought = 0;
  #unclear = 0;

  constructor(parser: AnswerParser, { id, stops = [] }: Hearing) {
    this.#parser = parser;
    this.#matcher = createStopMatcher(stops);
    this.#id = id;
  }

  /** Tokens of thoughts and calls are told with the next text. */
  *hear(part: TextPart): Generator<Said> {
    const before = this.#parser.thinking;
    const parts = this.#parser.push(part.text);
    this.#untold.push(...part.tokens);
    this.#unclear += part.tokens.length;
    if (before || this.#parser.thinking || parts.some(p => p.type === "reasoning")) this.#thought += this.#unclear;
    else if (!parts.length) return;
    this.#unclear = 0;
    yield* this.#say(parts, part.token);
  }

  /** The rest, when the answer has ended. */
  *end(): Generator<Said> {
    yield* this.#say(this.#parser.end());
    if (this.stopped === undefined) yield* this.#words(this.#matcher.end());
  }

  *#say(parts: readonly Spoken[], token?: Token): Generator<Said> {
    for (const part of parts) {
      if (part.type === "text") {
        const { emit, stopped } = this.#matcher.push(part.text);
        yield* this.#words(emit, token);
        this.stopped = stopped;
        if (stopped !== undefined) return;
        continue;
      }
      yield* this.#words(this.#matcher.end()); // a stop text goes on in words only
      if (part.type === "reasoning") {
        this.#reasoning += part.text;
        yield part;
      } else yield this.#call(part);
    }
  }

  *#words(text: string, token?: Token): Generator<Said> {
    if (text === "") return;
    this.#text += text;
    const tokens = this.#untold;
    this.#untold = [];
    yield { type: "text", text, token, tokens };
  }

  #call(part: Exclude<Spoken, { type: "text" | "reasoning" }>): Said {
    const { index } = part;
    this.#ids[index] ??= (part.type === "call-start" ? part.id : undefined) ?? this.#id(this.#calls.length);
    const id = this.#ids[index];
    switch (part.type) {
      case "call-start":
        return { type: "tool-call-start", id, name: part.name };
      case "call-delta":
        return { type: "tool-call-delta", id, text: part.text };
      case "call-broken":
        return { type: "tool-call-broken", id };
    }
    const call = { id, name: part.name, arguments: part.arguments };
    this.#calls.push(call);
    return { type: "tool-call", ...call };
  }

  /** The run's result with what was heard in it. A run that was left because of a stop text has ended by it. */
  told<T>(result: Result<T>): Result<T> {
    const stopped = this.stopped === undefined ? {} : { finish: "stop" as const, stop: this.stopped };
    const usage = { ...result.usage, reasoningTokens: this.#thought };
    return { ...result, text: this.#text, reasoning: this.#reasoning || undefined, calls: this.#calls, usage, ...stopped };
  }
}

/** The message that an answer adds to its conversation. */
export function messageOf({ text, reasoning, calls = [] }: Pick<Result, "text" | "reasoning" | "calls">): ChatMessage {
  const tool_calls = calls.map(c => ({ id: c.id, type: "function", function: { name: c.name, arguments: c.arguments } }));
  return {
    role: "assistant",
    content: calls.length ? text.trim() : text,
    ...(reasoning && { reasoning_content: reasoning }),
    ...(tool_calls.length && { tool_calls }),
  };
}
