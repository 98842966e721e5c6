/**
 * The one request of the server and its answer, whatever protocol they travel in: dialects translate to an `Ask` and from `Piece`s, and
 * nothing else knows their words. Owns these types and how pieces add up to an answer.
 */
import type { GenerateOptions } from "../api/options.ts";
import type { Finish, Timings, Token, Usage } from "../api/protocol.ts";
import type { ChatMessage } from "../text/chat.ts";

/** What is to be continued or answered. */
export type AskPrompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] }
  | {
      readonly kind: "chat";
      readonly messages: readonly ChatMessage[];
      /** In the shape of the OpenAI protocol. */
      readonly tools?: readonly unknown[];
      /** Variables for the chat template. */
      readonly extra?: Readonly<Record<string, unknown>>;
      /** The last message is the beginning of the answer. */
      readonly continueLast?: boolean;
    };

export interface Ask {
  /** The model's name as the client gave it. */
  readonly model?: string;
  readonly prompts: readonly AskPrompt[];
  readonly options: GenerateOptions;
  /** Answers to each prompt. */
  readonly n: number;
  /** Of so many written; the likeliest are given. */
  readonly bestOf: number;
  /** Put the prompt's text before each answer. */
  readonly echo: boolean;
  /** Whether tokens are told with their log-probabilities; `options.alternatives` says with how many others. */
  readonly logprobs: boolean;
  /** Functions of which the answer must call one or more; it is then held to such calls. */
  readonly mustCall?: readonly { readonly name: string; readonly parameters: unknown }[];
  /** How many calls an answer that must call may make. */
  readonly maxCalls?: number;
  /** Milliseconds that the model stays loaded after the request; undefined: the server's own. */
  readonly keepAlive?: number;
}

/** A token with its text, for log-probabilities. */
export interface NamedToken extends Token {
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly alternatives: readonly { readonly id: number; readonly logprob: number; readonly text: string; readonly bytes: Uint8Array }[];
}

/** A function that the model wants to have called. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text, as the model wrote it. */
  readonly arguments: string;
}

/** A part of the answer on its way; `choice` counts from 0 through all prompts, `index` the calls of an answer. */
export type Piece =
  /** Tokens of the prompt that are read, cached ones included. */
  | { readonly type: "progress"; readonly choice: number; readonly done: number; readonly total: number }
  | { readonly type: "text"; readonly choice: number; readonly text: string; readonly tokens: readonly NamedToken[] }
  /** What the model thinks before it answers. */
  | { readonly type: "reasoning"; readonly choice: number; readonly text: string }
  /** A call begins, with its id and name; its arguments come in pieces. */
  | { readonly type: "call-start"; readonly choice: number; readonly index: number; readonly id: string; readonly name: string }
  | { readonly type: "call-delta"; readonly choice: number; readonly index: number; readonly text: string }
  /** It is complete. */
  | { readonly type: "call"; readonly choice: number; readonly index: number; readonly call: ToolCall }
  /** What had begun is no call; its text comes as text. */
  | { readonly type: "call-broken"; readonly choice: number; readonly index: number }
  | {
      readonly type: "finish";
      readonly choice: number;
      readonly finish: Finish;
      readonly stop?: string;
      readonly usage: Usage;
      readonly timings: Timings;
      readonly seed?: number;
      /** Tokens that were held back, whose text came to nothing. */
      readonly tokens: readonly NamedToken[];
    };

export interface Choice {
  readonly index: number;
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly ToolCall[];
  readonly tokens: readonly NamedToken[];
  readonly finish: Finish;
  readonly stop?: string;
  readonly seed: number;
}

export interface Answer {
  readonly choices: readonly Choice[];
  readonly usage: Usage;
  readonly timings: Timings;
}

const nothing: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };
const noTime: Timings = { promptMs: 0, completionMs: 0, promptTokensPerSecond: 0, tokensPerSecond: 0 };

/** A choice on its way. */
class Growing {
  readonly text: string[] = [];
  readonly reasoning: string[] = [];
  readonly calls: ToolCall[] = [];
  readonly tokens: NamedToken[] = [];
  end: Extract<Piece, { type: "finish" }> | undefined;

  add(piece: Exclude<Piece, { type: "progress" }>, withTokens: boolean): void {
    if (piece.type === "call") this.calls.push(piece.call);
    else if (piece.type === "reasoning") this.reasoning.push(piece.text);
    else if (withTokens && (piece.type === "text" || piece.type === "finish")) this.tokens.push(...piece.tokens);
    if (piece.type === "text") this.text.push(piece.text);
    else if (piece.type === "finish") this.end = piece;
  }

  choice(index: number): Choice {
    const { calls, tokens, end } = this;
    const texts = { text: this.text.join(""), reasoning: this.reasoning.join("") };
    return { index, ...texts, calls, tokens, finish: end?.finish ?? "cancelled", stop: end?.stop, seed: end?.seed ?? 0 };
  }
}

/** Pieces becoming an answer. The usage of a prompt with several answers counts the prompt once. */
export class Collector {
  readonly #choices = new Map<number, Growing>();
  readonly #perPrompt: number;
  readonly #withTokens: boolean;

  /** `withTokens`: choices have them, which take several KiB each where alternatives are told; a stream has sent them before. */
  constructor(perPrompt: number, withTokens: boolean) {
    this.#perPrompt = perPrompt;
    this.#withTokens = withTokens;
  }

  add(piece: Piece): void {
    if (piece.type === "progress") return;
    const choice = this.#choices.get(piece.choice) ?? new Growing();
    this.#choices.set(piece.choice, choice);
    choice.add(piece, this.#withTokens);
  }

  /** Calls of a choice so far. */
  calls = (choice: number): number => this.#choices.get(choice)?.calls.length ?? 0;

  answer(): Answer {
    const ended = [...this.#choices].sort(([a], [b]) => a - b);
    const usages = ended.map(([index, { end }]) => ({ first: index % this.#perPrompt === 0, usage: end?.usage ?? nothing }));
    const sum = (of: (u: Usage) => number, all = false): number =>
      usages.reduce((total, { first, usage }) => total + (first || all ? of(usage) : 0), 0);
    const usage = {
      promptTokens: sum(u => u.promptTokens),
      cachedTokens: sum(u => u.cachedTokens),
      completionTokens: sum(u => u.completionTokens, true),
      reasoningTokens: sum(u => u.reasoningTokens ?? 0, true),
    };
    return { choices: ended.map(([index, c]) => c.choice(index)), usage, timings: ended[0]?.[1].end?.timings ?? noTime };
  }
}
