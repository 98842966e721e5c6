/**
 * A loaded model, as the caller holds it: a proxy of the engine's thread with the tokenizer beside it. Everything heavy happens elsewhere; the
 * calling thread only passes messages and turns tokens into text.
 */
import { LatheError } from "../errors.ts";
import {
  type ChatMessage,
  type ChatTemplate,
  chatTemplateFromMetadata,
  type RenderChatOptions,
  renderChat,
  type Segment,
} from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ToolSyntax } from "../text/tools/syntaxes.ts";
import { Conversation, type ConversationHost, type ConversationOptions } from "./conversation.ts";
import { type Answers, answerTexts, type Decision, decided, decisionPrompt } from "./decide.ts";
import { embeddingOf } from "./embed.ts";
import { type EngineClient, fromWire } from "./engine-client.ts";
import {
  compose,
  type DeclaredModule,
  ModuleSchema,
  Modules,
  type ModulesOptions,
  moduleIds,
  type PromptModule,
  requireModules,
} from "./modules.ts";
import { type GenerateOptions, type ProfileOptions, resolveProfile } from "./options.ts";
import type { EngineStatus, LoadedInfo, Profile } from "./protocol.ts";
import { pairIds, scoreOf, unit } from "./rank.ts";
import { answerRound, type ChatOptions, heard } from "./round.ts";
import type { Part, Result, Run } from "./run.ts";
import { Run as RunOf } from "./run.ts";
import { checkId, type Host, type Prompt, Session } from "./session.ts";
import { type ChatHost, type ChatPrompt, Speech, type SpeechOptions } from "./speech.ts";
import { markId } from "./spelling.ts";
import type { ValueOf } from "./standard.ts";
import { decodeState, encodeState, modelIdentity, type SavedState } from "./state.ts";

interface CallOptions {
  readonly signal?: AbortSignal;
  /** Tokens done, and all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What reaches the chat template. */
export type ChatRenderOptions = Omit<RenderChatOptions, "bosText" | "eosText">;

/** What is known of a loaded model. */
export interface ModelInfo extends LoadedInfo {
  /** Of its first file, or of its folder. */
  readonly path: string;
  /** As `general.architecture` in the file. */
  readonly architecture: string;
  /** As `general.name` in the file, else the file's name. */
  readonly name: string;
  /** Bytes of the model's files. */
  readonly fileBytes: number;
}

/** The messages with a mark in front of the first user message's content. @throws LatheError option.invalid where there is none. */
function markedFirst(messages: readonly ChatMessage[], mark: string): ChatMessage[] {
  const at = messages.findIndex(m => m.role === "user");
  if (at < 0)
    throw new LatheError("option.invalid", "Modules stand before the first user message, and there is none.", { option: "modules" });
  return messages.map((m, i) => {
    if (i !== at) return m;
    const content = typeof m.content === "object" && m.content ? [{ type: "text", text: mark }, ...m.content] : mark + (m.content ?? "");
    return { ...m, content };
  });
}

type Answerer = (request: Request) => Promise<Response>;
let server: ((model: Model) => Promise<Answerer>) | undefined;

/** The server stands above this floor; whoever puts both together says here how it is reached. */
export function provideServer(make: (model: Model) => Promise<Answerer>): void {
  server = make;
}
function provided(model: Model): Promise<Answerer> {
  if (server) return server(model);
  throw new LatheError("request.unsupported", "This build has no server; import Lathe by its package name.");
}

/** A loaded model. It has a thread of its own and memory outside of JavaScript: close it, or let `await using` do so. */
export class Model implements AsyncDisposable {
  readonly info: ModelInfo;
  /** Synchronous, on the caller's thread. */
  readonly tokenizer: Tokenizer;
  readonly #client: EngineClient;
  readonly #metadata: ReadonlyMap<string, unknown>;
  #template: ChatTemplate | undefined;
  readonly #syntax: ToolSyntax | undefined;
  #answer: Promise<Answerer> | undefined;
  #identity: Promise<string> | undefined;

  /** Made by `load`. */
  constructor(
    info: ModelInfo,
    tokenizer: Tokenizer,
    metadata: ReadonlyMap<string, unknown>,
    client: EngineClient,
    speaking: { template?: ChatTemplate; syntax?: ToolSyntax } = {},
  ) {
    this.info = info;
    this.tokenizer = tokenizer;
    this.#client = client;
    this.#metadata = metadata;
    this.#template = speaking.template;
    this.#syntax = speaking.syntax;
  }

  /** An empty timeline. Close it, or let `using` do so, to free its pages; closing the model closes all. */
  session(): Session {
    if (this.info.output.kind !== "logits") {
      const message = "This model gives embeddings and no text; use embed or rerank, or load another model.";
      throw new LatheError("option.invalid", message, { output: this.info.output });
    }
    return new Session(this.#host());
  }

  /** A conversation with messages, tools and settings of its own. Close it as a session. @throws LatheError option.*, schema.*. */
  conversation(options: ConversationOptions = {}): Conversation {
    return new Conversation(this.#conversations(), options);
  }

  /**
   * The conversation that `conversation.save` or `session.save` gave, with these tools; other options replace saved ones. Nothing is computed
   * until it goes on.
   * @throws LatheError state.damaged, state.other-model, option.*.
   */
  async restore(saved: Uint8Array, options: Omit<ConversationOptions, "system" | "messages"> = {}): Promise<Conversation> {
    const { tokens, messages, settings } = await this.#state(saved);
    const session = new Session(this.#host(), undefined, tokens);
    try {
      return new Conversation(this.#conversations(), { ...settings, ...options, messages }, session);
    } catch (e) {
      session.close();
      throw e;
    }
  }

  /** The session that `session.save` gave. @throws LatheError state.damaged, state.other-model. */
  async restoreSession(saved: Uint8Array): Promise<Session> {
    return new Session(this.#host(), undefined, (await this.#state(saved)).tokens);
  }

  /** One answer to one prompt, in a session of its own. @throws what `session.generate` throws. */
  generate<S = undefined>(prompt: Prompt, options: GenerateOptions<S> = {}): Run<ValueOf<S>> {
    return this.#alone(session => session.generate(prompt, options));
  }

  /** Whether there is a chat template: of the file, or chosen when it was loaded. */
  get chats(): boolean {
    return this.#template !== undefined || this.#metadata.get("tokenizer.chat_template") !== undefined;
  }

  /**
   * Answers a conversation, rendered by the model's chat template. With `session`, what it shares with the session's past is not computed
   * again. Contents never become control tokens. With tools, calls are parts of the answer and are not run: `conversation` does that.
   * @throws LatheError template.missing, template.failed, and what `session.generate` throws - when consumed.
   */
  chat<S = undefined>(messages: readonly ChatMessage[], options: ChatOptions<S> & { session?: Session } = {}): Run<ValueOf<S>> {
    const { session, ...rest } = options;
    const answer = (s: Session): Run<ValueOf<S>> => answerRound(() => this.#chat({}, rest.modules), s, messages, rest as ChatOptions<S>);
    return session ? answer(session) : this.#alone(answer);
  }

  /** The token ids of a conversation, ready to be answered; `options` reach the chat template. @throws LatheError template.missing, template.failed. */
  render(messages: readonly ChatMessage[], options: ChatRenderOptions = {}): Int32Array {
    return this.#encode(this.#segments(messages, options));
  }

  #segments(messages: readonly ChatMessage[], options: ChatRenderOptions): readonly Segment[] {
    this.#template ??= chatTemplateFromMetadata(this.#metadata);
    const { tokenizer } = this;
    return renderChat(this.#template, messages, {
      ...options,
      bosText: tokenizer.bos === undefined ? "" : tokenizer.text(tokenizer.bos),
      eosText: tokenizer.eos === undefined ? "" : tokenizer.text(tokenizer.eos),
    });
  }

  #encode(segments: readonly Segment[]): Int32Array {
    const parts = segments.map(s => ({ text: s.text, special: s.trusted }));
    return this.tokenizer.encode(parts, { eos: false });
  }

  /** The list of tokens of a prompt after these modules, for `generate`; with them, the option `modules` has no place any more. */
  compose(
    prompt: string | readonly ChatMessage[],
    modules: readonly PromptModule[],
    options: ChatRenderOptions & { readonly special?: boolean } = {},
  ): Int32Array {
    requireModules(this.info.noModules);
    if (typeof prompt !== "string") return this.#composeChat(prompt, modules, options);
    const tail = this.tokenizer.encode(prompt, { special: options.special, bos: false, eos: false });
    return compose(this.tokenizer, this.tokenizer.encode("", { eos: false }), modules, tail);
  }

  /** Modules stand in front of the first user message's content. `closing`: what is said behind the rendered messages. */
  #composeChat(
    messages: readonly ChatMessage[],
    modules: readonly PromptModule[],
    options: ChatRenderOptions,
    closing: (rendered: readonly Segment[]) => readonly Segment[] = s => s,
  ): Int32Array {
    const mark = `\u{e000}${crypto.randomUUID()}\u{e000}`; // nobody's text has it
    const segments = closing(this.#segments(markedFirst(messages, mark), options));
    const at = segments.findIndex(s => s.text.includes(mark));
    if (at < 0) throw new LatheError("template.failed", "The chat template leaves the first user message out, where the modules belong.");
    const [before, after] = segments[at].text.split(mark);
    const side = (text: string): Segment[] => (text ? [{ ...segments[at], text }] : []);
    const head = this.#encode([...segments.slice(0, at), ...side(before)]);
    const tail = [...side(after), ...segments.slice(at + 1)].map(s => ({ text: s.text, special: s.trusted }));
    return compose(this.tokenizer, head, modules, this.tokenizer.encode(tail, { bos: false, eos: false }));
  }

  /**
   * Declares modules, computes each alone, and each scaffold, and keeps them in memory until they are closed.
   * @throws LatheError option.invalid (declarations; a model that cannot use modules), context.overflow, the signal's reason.
   */
  async modules<const N extends string>(
    texts: Readonly<Record<N, DeclaredModule>>,
    options: ModulesOptions<NoInfer<N>> = {},
  ): Promise<Modules<N>> {
    requireModules(this.info.noModules);
    const { joined, oneOf, ...rest } = options;
    const schema = new ModuleSchema(texts, { joined, oneOf });
    const sessions: Session[] = [];
    const close = (): void => {
      for (const s of sessions.splice(0)) s.close();
    };
    try {
      for (const module of schema.beginnings()) {
        sessions.push(this.session());
        await sessions.at(-1)!.generate(moduleIds(this.tokenizer, module), { ...rest, maxTokens: 0 });
      }
      return new Modules(schema, this.tokenizer, close);
    } catch (e) {
      close();
      throw e;
    }
  }

  /** `more`: further options for the template. */
  #chat(more: ChatRenderOptions = {}, modules: readonly PromptModule[] = []): ChatHost {
    this.#template ??= chatTemplateFromMetadata(this.#metadata);
    const { main, variants } = this.#template;
    const { tokenizer } = this;
    return {
      context: this.info.context,
      template: (variants.get("tool_use") ?? main).source,
      syntax: this.#syntax,
      mark: text => markId(tokenizer, text),
      render: (messages, tools, opening) => {
        const options = { ...more, tools };
        const segments = this.#segments(messages, options);
        const ending = segments.at(-1)?.text ?? "";
        const begun = opening(ending);
        const closing = (rendered: readonly Segment[]): readonly Segment[] =>
          begun ? [...rendered, { text: begun, trusted: true }] : rendered;
        const ids = modules.length ? this.#composeChat(messages, modules, options, closing) : this.#encode(closing(segments));
        return { ids: [...ids], ending };
      },
    };
  }

  /** A prompt of messages and how its answer is told apart, for those who answer in the words of another protocol. */
  speech(options: SpeechOptions, render: ChatRenderOptions = {}, modules: readonly PromptModule[] = []): Speech {
    if (modules.length) requireModules(this.info.noModules);
    return new Speech(this.#chat(render, modules), options);
  }

  /** Answers a prompt of `speech`. `id`: of the n-th call where the model gives none. */
  answer<S = undefined>(speech: Speech, prompt: ChatPrompt, options: GenerateOptions<S>, id: (n: number) => string): Run<ValueOf<S>> {
    const { held, stops, markStops } = speech;
    const generate = { ...options, stop: markStops, ...(held && { schema: held }) } as GenerateOptions;
    return this.#alone(session => {
      const run = session.answer<ValueOf<S>>(() => prompt, generate, speech.marks);
      return new RunOf(settle => heard(run, prompt.parser, { id, stops }, settle));
    });
  }

  #conversations(): ConversationHost {
    return {
      chat: () => this.#chat(),
      session: () => this.session(),
      save: async (session, messages, settings) =>
        encodeState({ identity: await this.#identified(), tokens: session.marked, messages, settings }),
    };
  }

  #identified(): Promise<string> {
    const { architecture, name, fileBytes } = this.info;
    this.#identity ??= modelIdentity({ architecture, name, fileBytes }, this.#metadata);
    return this.#identity;
  }

  async #state(saved: Uint8Array): Promise<SavedState> {
    return decodeState(saved, { identity: await this.#identified(), vocabulary: this.tokenizer.size });
  }

  /**
   * Natural log-probability of each token after the first, given all before it.
   * @throws LatheError option.invalid (a token id), context.overflow, model.closed; the signal's reason.
   */
  async score(
    tokens: ArrayLike<number>,
    options: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void } = {},
  ): Promise<Float64Array> {
    const { context } = this.info;
    if (tokens.length > context) {
      const message = `The text has ${tokens.length} tokens and the context holds ${context}; score it in pieces.`;
      throw new LatheError("context.overflow", message, { tokens: tokens.length, context });
    }
    if (tokens.length < 2)
      throw new LatheError("prompt.empty", "Scoring needs at least two tokens; give it more text.", { tokens: tokens.length });
    for (let i = 0; i < tokens.length; i++) checkId(tokens[i], this.tokenizer.size);
    options.signal?.throwIfAborted();
    const event = await this.#call(run => ({ kind: "score", run, tokens: Int32Array.from(tokens) }), options);
    return (event as { logprobs: Float64Array }).logprobs;
  }

  /**
   * How likely the model answers a question about a text by yes, by each of some choices, or by each of a range of scores. A model with a chat
   * template is asked in a conversation.
   * @throws LatheError option.invalid (answers; a model that gives embeddings), prompt.empty, context.overflow
   */
  async decide(text: string, question: string, answers?: undefined, options?: CallOptions): Promise<Decision<boolean>>;
  async decide(
    text: string,
    question: string,
    answers: { readonly score: readonly [number, number] },
    options?: CallOptions,
  ): Promise<Decision<number>>;
  async decide<T extends string>(
    text: string,
    question: string,
    answers: { readonly choices: readonly T[] },
    options?: CallOptions,
  ): Promise<Decision<T>>;
  async decide(text: string, question: string, answers: Answers, options?: CallOptions): Promise<Decision<string | number>>;
  async decide(text: string, question: string, answers?: Answers, options: CallOptions = {}): Promise<Decision<string | number | boolean>> {
    const texts = answerTexts(answers);
    this.session().close(); // refuses models that give no text
    if (!text.trim() && !question.trim())
      throw new LatheError("prompt.empty", "There is nothing to decide about; give a text and a question.");
    const asked = decisionPrompt(text, question, texts);
    const plain = !this.chats;
    const prompt = plain ? this.tokenizer.encode(`${asked}\nAnswer:`, { eos: false }) : this.render([{ role: "user", content: asked }]);
    const logs: number[] = [];
    for (const [i, answer] of texts.entries()) {
      const own = this.tokenizer.encode(plain ? ` ${answer.trim()}` : answer.trim(), { bos: false, eos: false });
      const logprobs = await this.score([...prompt, ...own], { signal: options.signal });
      logs.push(logprobs.subarray(prompt.length - 1).reduce((sum, l) => sum + l, 0));
      options.onProgress?.(i + 1, texts.length);
    }
    return decided(answers, texts, logs);
  }

  /**
   * One vector for each text, pooled as the model's file says; of unit length unless `normalize` is false.
   * @throws LatheError option.invalid where the model gives text; prompt.empty; context.overflow
   */
  async embed(texts: readonly string[], options: CallOptions & { readonly normalize?: boolean } = {}): Promise<Float32Array[]> {
    const { pooling } = embeddingOf(this.info.output);
    if (pooling === "rank")
      throw new LatheError("option.invalid", "This model scores documents and gives no vectors; use rerank.", { pooling });
    const vectors = await this.#embed(
      texts.map(text => this.tokenizer.encode(text)),
      options,
    );
    return options.normalize === false ? vectors : vectors.map(unit);
  }

  /**
   * Documents by the model's score of each with the query, best first. Scores are as the model gives them (models with the labels yes and no:
   * the probability of yes).
   * @throws LatheError option.invalid where the model is no reranker; context.overflow
   */
  async rerank(query: string, documents: readonly string[], options: CallOptions = {}): Promise<{ index: number; score: number }[]> {
    const { pooling } = embeddingOf(this.info.output);
    if (pooling !== "rank")
      throw new LatheError("option.invalid", "This model gives vectors and no scores; use embed, or load a reranker.", { pooling });
    const rows = await this.#embed(
      documents.map(d => pairIds(this.tokenizer, this.#metadata, query, d)),
      options,
    );
    return rows.map((row, index) => ({ index, score: scoreOf(row) })).sort((a, b) => b.score - a.score || a.index - b.index);
  }

  async #embed(texts: readonly Int32Array[], options: CallOptions): Promise<Float32Array[]> {
    const { context } = this.info;
    texts.forEach((ids, i) => {
      if (!ids.length) throw new LatheError("prompt.empty", `Text ${i + 1} has no tokens; give it some words.`, { text: i });
      if (ids.length <= context) return;
      const message = `Text ${i + 1} has ${ids.length} tokens and the context holds ${context}; cut it or load with a larger context.`;
      throw new LatheError("context.overflow", message, { text: i, tokens: ids.length, context });
    });
    if (!texts.length) return [];
    options.signal?.throwIfAborted();
    const event = await this.#call(run => ({ kind: "embed", run, texts }), options);
    return [...(event as { vectors: readonly Float32Array[] }).vectors];
  }

  /** Microseconds, bytes and operations of each kernel launch of a step, with `context` tokens in the past. @throws LatheError option.*, model.closed. */
  async profile(options: ProfileOptions = {}): Promise<Profile> {
    const { context = 128, ...rest } = resolveProfile(options);
    const past = Math.max(1, Math.min(context, this.info.context - 1));
    const event = await this.#call(run => ({ kind: "profile", run, context: past, ...rest }), {});
    return (event as { profile: Profile }).profile;
  }

  /** What the engine says of itself; comes between two steps, however many runs wait. @throws LatheError model.closed, engine.failed: it must be loaded again. */
  async status(): Promise<EngineStatus> {
    const event = await this.#call(run => ({ kind: "ask", run }), {});
    return (event as { status: EngineStatus }).status;
  }

  /** Whether the model was closed or its engine has died. */
  get closed(): boolean {
    return this.#client.closed;
  }

  /**
   * Answers a request of any protocol of `lathe serve` inside this program, without a port: give it to a client as its `fetch`. The host of the
   * address does not matter.
   */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    this.#answer ??= provided(this);
    return (await this.#answer)(new Request(input, init));
  };

  /** Ends all runs and frees all memory. A second call does nothing. */
  async close(): Promise<void> {
    await this.#client.close();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #host(): Host {
    const save = (session: Session): Promise<Uint8Array> => this.#conversations().save(session, [], {});
    const { context, answerStart, noModules } = this.info;
    return { client: this.#client, tokenizer: this.tokenizer, context, answerStart, noModules, save };
  }

  /** A run in a session that lives as long as the run; made when it begins. */
  #alone<T>(start: (session: Session) => Run<T>): Run<T> {
    const open = (): Session => this.session();
    return new RunOf(async function* (settle: (r: Result<T>) => void): AsyncGenerator<Part<T>, void, undefined> {
      using session = open();
      const inner = start(session);
      try {
        yield* { [Symbol.asyncIterator]: () => inner[Symbol.asyncIterator]() } as AsyncIterable<Part<T>>;
      } finally {
        inner.then(settle, () => {});
      }
    });
  }

  async #call(
    message: (run: number) => Parameters<EngineClient["post"]>[0],
    options: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void },
  ): Promise<unknown> {
    const run = this.#client.number();
    const inbox = this.#client.enter(run, message(run));
    try {
      for (;;) {
        const event = await inbox.next(options.signal);
        if (!event) {
          this.#client.post({ kind: "cancel", run });
          throw options.signal!.reason;
        }
        if (event.kind === "failed") throw fromWire(event.error);
        if (event.kind === "prompt") options.onProgress?.(event.done, event.total);
        else return event;
      }
    } finally {
      this.#client.leave(run);
    }
  }
}
