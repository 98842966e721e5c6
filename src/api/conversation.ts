/**
 * A conversation: messages, the tools that the model may call, and the session behind them. It can be forked at any turn, saved and taken up
 * again; what was said stays when the context has no room for it any more, and what the model is not shown is told.
 */
import { numberRule, type OptionRules, resolveOptions } from "../decode/options.ts";
import { createSampler } from "../decode/sampler.ts";
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";
import { type Agent, type AgentOptions, converse, DEFAULT_ROUNDS } from "./agent.ts";
import { type GenerateOptions, resolveGenerate } from "./options.ts";
import type { Run } from "./run.ts";
import type { Session } from "./session.ts";
import type { ChatHost } from "./speech.ts";
import type { ValueOf } from "./standard.ts";
import { type AnyTool, toolSpecs } from "./tools.ts";

/** What holds for every answer unless `send` says otherwise; saved with the conversation. */
export type ConversationSettings = Omit<
  GenerateOptions,
  "schema" | "grammar" | "regex" | "choices" | "propertyOrder" | "whitespace" | "signal" | "special"
>;

/** Options of `model.conversation`. */
export interface ConversationOptions extends ConversationSettings {
  /** What the model is told before everything else. */
  readonly system?: string;
  /** What has been said already. */
  readonly messages?: readonly ChatMessage[];
  readonly tools?: readonly AnyTool[];
  /** How often tools are run for one message before the calls are given back. Default 8. */
  readonly maxRounds?: number;
}

/** Options of one message; they go before those of the conversation. */
export type SendOptions<S = undefined> = Omit<AgentOptions<S>, "tools" | "maxRounds">;

export interface ConversationHost {
  readonly chat: () => ChatHost;
  readonly session: () => Session;
  readonly save: (session: Session, messages: readonly ChatMessage[], settings: Readonly<Record<string, unknown>>) => Promise<Uint8Array>;
}

type Own = Pick<ConversationOptions, "system" | "messages" | "tools" | "maxRounds">;
const isMessage = (m: unknown): boolean => typeof m === "object" && m !== null && typeof (m as ChatMessage).role === "string";
const rules: OptionRules<Own> = {
  system: { default: undefined as never, accepts: "a text", check: v => typeof v === "string" },
  messages: { default: [], accepts: "a list of messages", check: v => Array.isArray(v) && v.every(isMessage) },
  tools: { default: [], accepts: "a list of tools", check: Array.isArray },
  maxRounds: numberRule(DEFAULT_ROUNDS, { from: 0, to: 1000, integer: true }),
};

/** Messages and the session behind them. Close it, or let `using` do so, to free its pages. */
export class Conversation implements Disposable {
  readonly #host: ConversationHost;
  readonly #session: Session;
  readonly #own: Required<Own>;
  readonly #settings: ConversationSettings;
  #messages: readonly ChatMessage[];

  /** Made by `model.conversation`, `model.restore` and `fork`. */
  constructor(host: ConversationHost, options: ConversationOptions, session?: Session) {
    if (typeof options !== "object" || options === null)
      throw new LatheError("option.invalid", "The conversation options must be an object.", { value: options });
    const entries = Object.entries(options);
    this.#own = resolveOptions("conversation option", rules, Object.fromEntries(entries.filter(([k]) => k in rules)) as Own);
    this.#settings = Object.fromEntries(entries.filter(([k, v]) => !(k in rules) && v !== undefined));
    createSampler({ seed: 1, ...resolveGenerate(this.#settings).sampling });
    toolSpecs(this.#own.tools);
    const { system, messages } = this.#own;
    this.#messages = [...(system === undefined ? [] : [{ role: "system", content: system }]), ...messages];
    this.#host = host;
    this.#session = session ?? host.session();
  }

  /** All that was said, oldest first, whether the context still holds it or not. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The tokens that the context holds. */
  get tokens(): Int32Array {
    return this.#session.tokens;
  }

  /**
   * Says something, and gives the answer as a run. Tools are run until the model answers without calling any. Results of tools that the caller
   * runs are sent as messages of role "tool". An answer that failed before it began leaves the conversation as it was.
   * @throws LatheError template.missing, template.failed, option.*, context.overflow, session.busy, model.closed - when consumed.
   */
  send<S = undefined>(said: string | ChatMessage | readonly ChatMessage[], options: SendOptions<S> = {}): Run<ValueOf<S>> {
    const news =
      typeof said === "string" ? [{ role: "user", content: said }] : Array.isArray(said) ? (said as ChatMessage[]) : [said as ChatMessage];
    if (!news.every(isMessage)) throw new LatheError("option.invalid", "Send a text, a message with a role, or a list of messages.", {});
    const agent: Agent = {
      host: this.#host.chat,
      session: this.#session,
      past: () => this.#messages,
      said: news,
      heard: messages => {
        this.#messages = [...this.#messages, ...messages];
      },
    };
    const { tools, maxRounds } = this.#own;
    const schemaAlone = options.schema !== undefined && options.toolChoice === undefined ? { toolChoice: "none" as const } : {};
    return converse<S>(agent, {
      reasoning: "separate",
      ...this.#settings,
      ...schemaAlone,
      ...options,
      tools,
      maxRounds,
    } as AgentOptions<S>);
  }

  /** A second conversation with the same past, which from here on goes its own way. Keys and values are shared. */
  fork(): Conversation {
    const { tools, maxRounds } = this.#own;
    return new Conversation(this.#host, { ...this.#settings, tools, maxRounds, messages: this.#messages }, this.#session.fork());
  }

  /** Everything but the tools, which are functions, as bytes for `model.restore`. */
  save(): Promise<Uint8Array> {
    return this.#host.save(this.#session, this.#messages, { ...this.#settings, maxRounds: this.#own.maxRounds });
  }

  /** Frees the pages; an answer under way is cancelled. */
  close(): void {
    this.#session.close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
