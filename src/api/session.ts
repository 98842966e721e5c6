/**
 * Sessions: one timeline of tokens each. The caller gives text; the session knows everything before it, and the engine computes only what is
 * new. `answer` is the path of every generated token from the engine to the caller.
 */

import { createSampler } from "../decode/sampler.ts";
import { createStopMatcher } from "../decode/stops.ts";
import { LatheError } from "../errors.ts";
import type { TextPart, Tokenizer } from "../text/tokenizer.ts";
import { spelled } from "../text/tools/marks.ts";
import { type Dropped, type Fitted, fitText, overflowed, promptRoom } from "./context.ts";
import { type EngineClient, fromWire, type Inbox } from "./engine-client.ts";
import { HeldCall } from "./held-call.ts";
import { compose, isComposed, type PromptModule, plainIds, requireModules } from "./modules.ts";
import { type GenerateOptions, type ResolvedGenerate, resolveGenerate } from "./options.ts";
import type { Finished, Token } from "./protocol.ts";
import { type Part, type Result, Run } from "./run.ts";
import { dropsFirstSpace, endIds, spelling, wireVocabulary } from "./spelling.ts";
import { type ValueOf, validated } from "./standard.ts";

/** A text, its parts with their right to spell control tokens, or token ids. */
export type Prompt = string | readonly TextPart[] | Int32Array | readonly number[];

/** Texts of special tokens, and what stands for each in an answer. */
export type Marks = ReadonlyMap<string, string>;

/** What sessions need of their model. */
export interface Host {
  readonly client: EngineClient;
  readonly tokenizer: Tokenizer;
  readonly context: number;
  /** In models that read a text before they answer: the token that answers begin with. */
  readonly answerStart?: number;
  /** Why modules cannot be used with this model, if so. */
  readonly noModules: string | undefined;
  readonly save: (session: Session) => Promise<Uint8Array>;
}

/** @throws LatheError option.invalid for what is no token of a vocabulary of that size. */
export function checkId(id: number, size: number): void {
  if (Number.isInteger(id) && id >= 0 && id < size) return;
  throw new LatheError("option.invalid", `Token id ${id} is not in the vocabulary of ${size}; encode text with model.tokenizer.`, { id });
}

const isIds = (p: Prompt): p is Int32Array | readonly number[] =>
  typeof p !== "string" && (ArrayBuffer.isView(p) || typeof p[0] === "number");

/**
 * One timeline of tokens. Prompts and answers are appended to it, and what it holds is not computed again. Close it, or let `using` do so, to free
 * its pages.
 */
export class Session implements Disposable {
  readonly #host: Host;
  readonly #id: number;
  #tokens: number[];
  #running = false;
  #closed = false;

  /** Made by `model.session()` and `session.fork()`, and by restoring with the `tokens` of a past that is computed when it is needed. */
  constructor(host: Host, from?: Session, tokens: ArrayLike<number> = []) {
    this.#host = host;
    this.#id = host.client.number();
    this.#tokens = from ? [...from.#tokens] : Array.from(tokens);
    host.client.post({ kind: "open", session: this.#id, from: from ? from.#id : undefined });
  }

  /** Everything so far: prompts and answers. */
  get tokens(): Int32Array {
    return plainIds(this.#tokens);
  }
  /** The same with the marks of modules. */
  get marked(): Int32Array {
    return Int32Array.from(this.#tokens);
  }

  /** A second session with the same past. Keys and values are shared until one of them writes. */
  fork(): Session {
    this.#check();
    return new Session(this.#host, this);
  }

  /** The session's tokens as bytes for `model.restoreSession`. */
  save(): Promise<Uint8Array> {
    return this.#host.save(this);
  }

  /**
   * Continues the session's text with `prompt` and answers it. A model that reads first (T5) answers `prompt` alone, whatever was before.
   * @throws LatheError prompt.empty, context.overflow, option.unknown, option.invalid, session.busy, model.closed - when consumed.
   */
  generate<S = undefined>(prompt: Prompt, options: GenerateOptions<S> = {}): Run<ValueOf<S>> {
    const { context, tokenizer, answerStart } = this.#host;
    return this.answer<ValueOf<S>>(() => {
      if (answerStart !== undefined) {
        const { ids: source, dropped } = fitText([...this.#encode(prompt, options)], context, options.overflow ?? "error", 0);
        return { ids: [answerStart], source, dropped };
      }
      if (options.modules?.length) return { ids: this.#composed(prompt, options.modules, options) };
      const ids = [...this.#tokens, ...this.#encode(prompt, options)];
      const head = ids[0] === tokenizer.bos ? 1 : 0;
      return fitText(ids, promptRoom(context, options.maxTokens), options.overflow ?? "error", head);
    }, options as GenerateOptions);
  }

  /**
   * Answers the tokens that `make` gives when the run begins; they replace the session's past, of which the common beginning is reused.
   * @param shown special tokens, by their texts, and what stands for each in the text of the parts (text/tools/marks.ts).
   */
  answer<T>(make: () => Fitted, options: GenerateOptions, shown: Marks = new Map()): Run<T> {
    return new Run(settle => this.#produce(make, options, shown, settle));
  }

  /** Frees the session's pages. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#host.client.closed) this.#host.client.post({ kind: "drop", session: this.#id });
  }
  [Symbol.dispose](): void {
    this.close();
  }

  #check(): void {
    if (this.#closed) throw new LatheError("model.closed", "The session is closed; open a new one.");
    if (this.#running) throw new LatheError("session.busy", "The session is still answering; await its run or fork the session.");
  }

  #encode(prompt: Prompt, options: GenerateOptions): ArrayLike<number> & Iterable<number> {
    const { tokenizer } = this.#host;
    if (!isIds(prompt)) {
      const reads = this.#host.answerStart !== undefined;
      const first = reads || this.#tokens.length === 0;
      return tokenizer.encode(prompt, { special: options.special, bos: first ? undefined : false, eos: reads ? undefined : false });
    }
    if (isComposed(prompt)) requireModules(this.#host.noModules);
    else for (const id of prompt) checkId(id, tokenizer.size);
    return prompt;
  }

  /** Past, modules, prompt. */
  #composed(prompt: Prompt, modules: readonly PromptModule[], options: GenerateOptions): number[] {
    const { tokenizer, noModules } = this.#host;
    requireModules(noModules);
    const first = this.#tokens.length === 0;
    const head = first ? tokenizer.encode("", { eos: false }) : this.#tokens;
    const tail = isIds(prompt)
      ? this.#encode(prompt, options)
      : tokenizer.encode(prompt, { special: options.special, bos: false, eos: false });
    return [...compose(tokenizer, head, modules, tail)];
  }

  /** Asks the engine for the run; it is told of the tokens' bytes first if it will need them. */
  #enter({ ids: tokens, source, until }: Fitted, { own, sampling, constraint, gate }: ResolvedGenerate): { run: number; inbox: Inbox } {
    const { client, context, tokenizer } = this.#host;
    const run = client.number();
    if (!tokens.length || source?.length === 0)
      throw new LatheError("prompt.empty", "The prompt is empty and this model has no beginning-of-text token; give it some text.");
    const most = Math.max(tokens.length, source?.length ?? 0);
    if (most > context) throw overflowed(most, context);
    const maxTokens = own.maxTokens ?? Number.MAX_SAFE_INTEGER; // the engine ends the answer where the context is full
    const stopIds = own.ignoreEnd ? [] : endIds(tokenizer);
    const { alternatives, client: whose, salt, priority } = own;
    const request = {
      run,
      session: this.#id,
      tokens: Int32Array.from(tokens),
      source: source && Int32Array.from(source),
      sampling,
      maxTokens,
      stopIds,
      alternatives,
    };
    if (constraint) client.sendVocabulary(() => wireVocabulary(tokenizer));
    const held = gate && { gate: { ...gate, until } };
    const form = constraint && { constraint, ...held, leadingSpace: tokens.length === 1 && dropsFirstSpace(tokenizer) };
    return { run, inbox: client.enter(run, { kind: "run", ...request, ...form, client: whose, salt, priority }) };
  }

  async *#produce<T>(
    make: () => Fitted,
    options: GenerateOptions,
    shown: Marks,
    settle: (r: Result<T>) => void,
  ): AsyncGenerator<Part<T>, void, undefined> {
    this.#check();
    const resolved = resolveGenerate(options);
    const { own, sampling, stops } = resolved;
    createSampler({ seed: 1, ...sampling }); // refuses wrong options before anything runs
    const matcher = createStopMatcher(stops);
    own.signal?.throwIfAborted();
    const fitted = make();
    const { ids: tokens, dropped } = fitted;
    const { client, tokenizer } = this.#host;
    const { run, inbox } = this.#enter(fitted, resolved);
    this.#running = true;
    const answer = new Answer<T>(tokenizer, matcher, { continued: tokens.length > 1, shown, dropped, forgetful: own.forgetTold });
    let finished: Finished | undefined;
    let [failed, refused] = [false, true]; // refused until the engine says something else of it
    try {
      if (dropped) yield { type: "dropped", ...dropped };
      for (;;) {
        const event = await inbox.next(answer.stopped === undefined ? own.signal : undefined);
        if (!event) throw withPartial(own.signal!.reason, answer.text);
        if (event.kind === "failed") {
          finished = ended;
          throw fromWire(event.error);
        }
        refused = false;
        if (event.kind === "forced") client.post({ kind: "jump", run, ids: spelling(tokenizer, event.bytes) });
        else if (event.kind === "prompt") yield { type: "prompt", done: event.done, total: event.total };
        else if (event.kind === "token" && answer.stopped === undefined) {
          const text = answer.push(event.token);
          if (answer.stopped !== undefined) client.post({ kind: "cancel", run });
          else client.post({ kind: "taken", run, count: 1 });
          if (text) yield { type: "text", text, token: event.token, tokens: answer.told() };
        } else if (event.kind === "finished") {
          finished = event;
          const text = answer.end();
          if (text) yield { type: "text", text, tokens: answer.told() };
          await answer.evaluate(own.schema, finished);
          yield { type: "finish", ...answer.result(finished) };
          return;
        }
      }
    } catch (e) {
      failed = true;
      throw e;
    } finally {
      this.#running = false;
      if (!(refused && finished)) this.#tokens = [...tokens, ...answer.tokens.map(t => t.id)];
      if (!finished) {
        if (!client.closed) client.post({ kind: "cancel", run });
        finished = { ...(await cancelled(inbox)), finish: "cancelled" }; // even if the engine, which runs ahead, was at its end
      }
      client.leave(run);
      if (!failed) settle(answer.result(finished));
    }
  }
}

/** What is known of a run that failed: the engine says no more of it. */
const ended: Finished = {
  finish: "cancelled",
  usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
  timings: { promptMs: 0, completionMs: 0, promptTokensPerSecond: 0, tokensPerSecond: 0 },
  seed: 0,
};

/** What the engine says of a run that was cancelled. */
async function cancelled(inbox: { next: () => Promise<unknown> }): Promise<Finished> {
  for (;;) {
    const event = (await inbox.next()) as { kind: string };
    if (event.kind === "finished") return event as unknown as Finished;
    if (event.kind === "failed") return ended;
  }
}

/** The reason of an abort, carrying the text so far where it can. */
function withPartial(reason: unknown, partial: string): unknown {
  if (typeof reason === "object" && reason !== null && Object.isExtensible(reason))
    Object.defineProperty(reason, "partial", { value: partial, configurable: true });
  return reason;
}

/** Tokens becoming text: whole characters, held back while a stop text may be coming. */
class Answer<T> {
  readonly tokens: Token[] = [];
  text = "";
  stopped: string | undefined;
  #told = 0;
  readonly #forgetful: boolean;
  #value: T | undefined;
  readonly #detokenizer: ReturnType<Tokenizer["detokenizer"]>;
  readonly #matcher: ReturnType<typeof createStopMatcher>;
  readonly #dropped: Dropped | undefined;
  readonly #marks: Marks;
  /** Special tokens that are text, and that text. */
  readonly #shown: ReadonlyMap<number, string>;

  constructor(
    tokenizer: Tokenizer,
    matcher: ReturnType<typeof createStopMatcher>,
    options: { continued: boolean; shown: Marks; dropped?: Dropped; forgetful: boolean },
  ) {
    this.#forgetful = options.forgetful;
    this.#detokenizer = tokenizer.detokenizer({ continued: options.continued });
    this.#matcher = matcher;
    this.#dropped = options.dropped;
    this.#marks = options.shown;
    this.#shown = new Map([...options.shown].map(([text, code]) => [tokenizer.id(text) ?? -1, code]));
  }

  /** The tokens since the last call. */
  told(): readonly Token[] {
    const fresh = this.tokens.slice(this.#told);
    if (this.#forgetful) this.tokens.splice(this.#told, fresh.length, ...fresh.map(({ id, logprob }) => ({ id, logprob })));
    this.#told = this.tokens.length;
    return fresh;
  }

  #emit(text: string): string {
    const { emit, stopped } = this.#matcher.push(text);
    this.stopped = stopped;
    this.text += spelled(emit, this.#marks);
    return emit;
  }

  push(token: Token): string {
    this.tokens.push(token);
    const shown = this.#shown.get(token.id);
    return this.#emit(shown === undefined ? this.#detokenizer.push(token.id) : this.#detokenizer.end() + shown);
  }

  end(): string {
    if (this.stopped !== undefined) return "";
    const last = this.#emit(this.#detokenizer.end());
    if (this.stopped !== undefined) return last;
    const held = this.#matcher.end();
    this.text += spelled(held, this.#marks);
    return last + held;
  }

  /** Under a schema, the value of an answer that is whole. @throws LatheError answer.refused. */
  async evaluate(schema: unknown, { finish }: Finished): Promise<void> {
    if (schema === undefined || schema instanceof HeldCall || finish !== "stop" || this.stopped !== undefined) return;
    const verdict = await validated(schema, JSON.parse(this.text));
    if ("value" in verdict) this.#value = verdict.value as T;
    else {
      const message = `The schema's own checks refuse the answer: ${verdict.refused.replace(/\s+/g, " ").replace(/\.$/, "").slice(0, 400)}.`;
      throw withPartial(new LatheError("answer.refused", message, { text: this.text }), this.text);
    }
  }

  result({ finish, usage, timings, seed }: Finished): Result<T> {
    const ended = this.stopped === undefined ? finish : "stop";
    const own = { ...usage, completionTokens: this.tokens.length };
    const rest = { finish: ended, stop: this.stopped, usage: own, timings, settings: { seed } };
    return { text: this.text, value: this.#value, dropped: this.#dropped, tokens: this.tokens, ...rest };
  }
}
