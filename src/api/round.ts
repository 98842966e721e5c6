/**
 * One answer to a conversation: messages and tools become a prompt, and the answer's text is taken apart into text, reasoning and tool calls while
 * it comes. Runs no tools; agent.ts does.
 */
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";
import { AnswerParser, type Spoken } from "../text/tools/parser.ts";
import { bareSyntax, marksOf, syntaxOf, THINK, type ToolSyntax, taughtSyntax } from "../text/tools/syntaxes.ts";
import { taught } from "../text/tools/teach.ts";
import { type Fitted, fitMessages, promptRoom } from "./context.ts";
import type { GenerateOptions } from "./options.ts";
import type { Token } from "./protocol.ts";
import { type Part, type Result, Run } from "./run.ts";
import type { Session } from "./session.ts";
import type { ValueOf } from "./standard.ts";
import { type AnyTool, callSchema, type ToolCall, type ToolChoice, type ToolSpec, toolSpecs } from "./tools.ts";

export interface ChatOptions<S = unknown> extends GenerateOptions<S> {
  /** What the model may call. Calls come as parts and in the result; only a conversation runs them. */
  readonly tools?: readonly AnyTool[];
  /** Default "auto". */
  readonly toolChoice?: ToolChoice;
  /** `separate`: thoughts between the model's marks are parts of their own. Default: so with tools, otherwise "text", as they come. */
  readonly reasoning?: "separate" | "text";
}

/** What a round needs of the model. */
export interface ChatHost {
  readonly context: number;
  /** Source of the chat template. */
  readonly template: string;
  /** The prompt's text where it ends, and its ids. */
  render(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): { readonly ids: readonly number[]; readonly ending: string };
}

interface Settled {
  readonly specs: readonly ToolSpec[];
  readonly syntax: ToolSyntax | undefined;
  readonly teach: boolean;
  readonly separate: boolean;
  readonly generate: GenerateOptions;
}

/** Splits and checks the options. @throws LatheError option.invalid, template.missing, schema.*. */
function settled(host: ChatHost, options: ChatOptions): Settled {
  const { tools = [], toolChoice = "auto", reasoning, ...generate } = options;
  const forced =
    toolChoice === "required" || (typeof toolChoice === "object" && toolChoice !== null && typeof toolChoice.name === "string");
  if (!forced && toolChoice !== "auto" && toolChoice !== "none")
    throw new LatheError("option.invalid", 'toolChoice must be "auto", "none", "required" or { name }.', { option: "toolChoice" });
  if (reasoning !== undefined && reasoning !== "separate" && reasoning !== "text")
    throw new LatheError("option.invalid", 'reasoning must be "separate" or "text".', { option: "reasoning" });
  const offered = toolSpecs(tools);
  const specs = toolChoice === "none" ? [] : offered;
  const constrained = (["schema", "grammar", "regex", "choices"] as const).find(k => generate[k] !== undefined);
  if (constrained && specs.length) {
    const message = `${constrained} and tools exclude each other in one answer; set toolChoice to "none".`;
    throw new LatheError("option.invalid", message, { option: constrained });
  }
  const own = syntaxOf(host.template);
  return {
    specs,
    syntax: forced ? bareSyntax : specs.length ? (own ?? taughtSyntax) : undefined,
    teach: specs.length > 0 && own === undefined,
    separate: (reasoning ?? (specs.length ? "separate" : "text")) === "separate",
    generate: forced ? { ...generate, schema: callSchema(specs, toolChoice) } : generate,
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
    const { specs, syntax, teach, separate, generate } = settled(own, options);
    let thinking = false;
    const make = (): Fitted => {
      const render = (list: readonly ChatMessage[]): readonly number[] => {
        const { ids, ending } = own.render(teach ? taught(list, specs) : list, teach ? [] : specs);
        thinking = separate && ending.trimEnd().endsWith(THINK.open);
        return ids;
      };
      const room = promptRoom(own.context, generate.maxTokens);
      return fitMessages(messages, render, { context: own.context, room, policy: generate.overflow ?? "error" });
    };
    const run = session.answer<ValueOf<S>>(make, generate as GenerateOptions<never>, separate ? marksOf(syntax) : []);
    const known = messages.reduce((n, m) => n + (m.tool_calls?.length ?? 0), 0);
    const voice = new Voice(known);
    let result: Result<ValueOf<S>> | undefined;
    try {
      let parser: AnswerParser | undefined;
      const parse = (): AnswerParser => (parser ??= new AnswerParser({ syntax, tools: specs.map(s => s.function.name), thinking }));
      for await (const part of run) {
        if (part.type === "finish") {
          if (separate) yield* voice.hear(parse().end());
          result = { ...part, ...(separate ? voice.told() : {}) };
          yield { ...result, type: "finish" };
        } else if (part.type === "text" && separate) yield* voice.hear(parse().push(part.text), part);
        else yield part;
      }
    } finally {
      run.then(
        r => settle(result ?? { ...r, ...(separate ? voice.told() : {}) }),
        () => {},
      );
    }
  });
}

/** What was heard of an answer so far, put together. */
class Voice {
  #text = "";
  #reasoning = "";
  readonly #calls: ToolCall[] = [];
  readonly #known: number;
  readonly #untold: Token[] = [];

  constructor(known: number) {
    this.#known = known;
  }

  /** `heard`: the tokens that completed the parts; those of thoughts and calls are told with the next text. */
  *hear(parts: readonly Spoken[], heard?: Extract<Part, { type: "text" }>): Generator<Exclude<Part<never>, { type: "finish" }>> {
    if (heard) this.#untold.push(...heard.tokens);
    for (const part of parts) {
      if (part.type === "text") {
        this.#text += part.text;
        yield { type: "text", text: part.text, token: heard?.token, tokens: this.#untold.splice(0) };
      } else if (part.type === "reasoning") {
        this.#reasoning += part.text;
        yield part;
      } else {
        const call = { id: callId(this.#known + this.#calls.length), name: part.name, arguments: part.arguments };
        this.#calls.push(call);
        yield { type: "tool-call", ...call };
      }
    }
  }

  told(): Pick<Result, "text" | "reasoning" | "calls"> {
    return { text: this.#text, reasoning: this.#reasoning || undefined, calls: this.#calls };
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
