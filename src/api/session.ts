/**
 * Sessions: one timeline of tokens each. The caller gives text; the session knows everything before it, and the engine computes only what is
 * new. `answer` is the path of every generated token from the engine to the caller.
 */

import { createSampler } from "../decode/sampler.ts";
import { createStopMatcher } from "../decode/stops.ts";
import { LatheError } from "../errors.ts";
import type { TextPart, Tokenizer } from "../text/tokenizer.ts";
import { type EngineClient, fromWire } from "./engine-client.ts";
import { type GenerateOptions, type ResolvedGenerate, resolveGenerate } from "./options.ts";
import type { Finished, RunRequest, Token, WireVocabulary } from "./protocol.ts";
import { type Part, type Result, Run } from "./run.ts";

/** A text, its parts with their right to spell control tokens, or token ids. */
export type Prompt = string | readonly TextPart[] | Int32Array | readonly number[];

/** What sessions need of their model. */
export interface Host {
  readonly client: EngineClient;
  readonly tokenizer: Tokenizer;
  readonly context: number;
}

/** @throws LatheError option.invalid for what is no token of a vocabulary of that size. */
export function checkId(id: number, size: number): void {
  if (Number.isInteger(id) && id >= 0 && id < size) return;
  throw new LatheError("option.invalid", `Token id ${id} is not in the vocabulary of ${size}; encode text with model.tokenizer.`, { id });
}

const isIds = (p: Prompt): p is Int32Array | readonly number[] =>
  typeof p !== "string" && (ArrayBuffer.isView(p) || typeof p[0] === "number");

export class Session implements Disposable {
  readonly #host: Host;
  readonly #id: number;
  #tokens: number[];
  #running = false;
  #closed = false;

  /** Made by `model.session()` and `session.fork()`. */
  constructor(host: Host, from?: Session) {
    this.#host = host;
    this.#id = host.client.number();
    this.#tokens = from ? [...from.#tokens] : [];
    host.client.post({ kind: "open", session: this.#id, from: from ? from.#id : undefined });
  }

  /** Everything so far: prompts and answers. */
  get tokens(): Int32Array {
    return Int32Array.from(this.#tokens);
  }

  /** A second session with the same past. Keys and values are shared until one of them writes. */
  fork(): Session {
    this.#check();
    return new Session(this.#host, this);
  }

  /**
   * Continues the session's text with `prompt` and answers it.
   * @throws LatheError prompt.empty, context.overflow, option.unknown, option.invalid, session.busy, model.closed - when consumed.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Run {
    return this.answer(() => [...this.#tokens, ...this.#encode(prompt, options)], options);
  }

  /** Answers the token list that `tokens` gives when the run begins; it replaces the session's past, of which the common beginning is reused. */
  answer(tokens: () => readonly number[], options: GenerateOptions): Run {
    return new Run(settle => this.#produce(tokens, options, settle));
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
      const first = this.#tokens.length === 0;
      return tokenizer.encode(prompt, { special: options.special, bos: first ? undefined : false, eos: false });
    }
    for (const id of prompt) checkId(id, tokenizer.size);
    return prompt;
  }

  #admit(tokens: readonly number[], { own }: ResolvedGenerate): number {
    const { context } = this.#host;
    if (!tokens.length)
      throw new LatheError("prompt.empty", "The prompt is empty and this model has no beginning-of-text token; give it some text.");
    if (tokens.length > context) {
      const message = `The prompt has ${tokens.length} tokens and the context holds ${context}; shorten it or load with a larger context.`;
      throw new LatheError("context.overflow", message, { tokens: tokens.length, context });
    }
    return own.maxTokens ?? Number.MAX_SAFE_INTEGER; // the engine ends the answer where the context is full
  }

  /** The request for a run; the engine is told of the tokens' bytes if it will need them. */
  #request(run: number, tokens: readonly number[], maxTokens: number, { own, sampling, constraint }: ResolvedGenerate): RunRequest {
    const { client, tokenizer } = this.#host;
    const stopIds = own.ignoreEnd ? [] : endIds(tokenizer);
    const { alternatives, client: whose, salt, priority } = own;
    const what = { run, session: this.#id, tokens: Int32Array.from(tokens), sampling, maxTokens, stopIds, alternatives };
    const request = { ...what, client: whose, salt, priority };
    if (!constraint) return request;
    client.sendVocabulary(() => wireVocabulary(tokenizer));
    return { ...request, constraint, leadingSpace: tokens.length <= 1 && dropsFirstSpace(tokenizer) };
  }

  async *#produce(
    make: () => readonly number[],
    options: GenerateOptions,
    settle: (r: Result) => void,
  ): AsyncGenerator<Part, void, undefined> {
    this.#check();
    const resolved = resolveGenerate(options);
    const { own, sampling, stops } = resolved;
    createSampler({ seed: 1, ...sampling }); // refuses wrong options before anything runs
    const matcher = createStopMatcher(stops);
    own.signal?.throwIfAborted();
    const tokens = make();
    const maxTokens = this.#admit(tokens, resolved);
    const { client, tokenizer } = this.#host;
    const run = client.number();
    const inbox = client.enter(run, { kind: "run", ...this.#request(run, tokens, maxTokens, resolved) });
    this.#running = true;
    const answer = new Answer(tokenizer, matcher, tokens.length > 1);
    let finished: Finished | undefined;
    let failed = false;
    let refused = true; // until the engine says something else of it
    try {
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
        finished = await cancelled(inbox);
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

const ends = new WeakMap<Tokenizer, readonly number[]>();
function endIds(tokenizer: Tokenizer): readonly number[] {
  const known = ends.get(tokenizer) ?? Array.from({ length: tokenizer.size }, (_, i) => i).filter(id => tokenizer.isEndOfGeneration(id));
  ends.set(tokenizer, known);
  return known;
}

/** Whether a text that begins with a space loses it: such a tokenizer puts one in front of every text. */
function dropsFirstSpace(tokenizer: Tokenizer): boolean {
  for (let id = 0; id < tokenizer.size; id++) if (tokenizer.bytes(id)[0] === 0x20) return !tokenizer.decode([id]).startsWith(" ");
  return false;
}

/** The tokens of what must come, without the last, which might be longer if it saw what follows. */
function spelling(tokenizer: Tokenizer, bytes: Uint8Array): readonly number[] {
  const ids = tokenizer.encode(new TextDecoder().decode(bytes), { bos: false, eos: false });
  return [...ids.subarray(0, -1)];
}

/** What a constraint needs to know of the tokens. */
function wireVocabulary(tokenizer: Tokenizer): WireVocabulary {
  const each = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.bytes(id));
  const offsets = new Uint32Array(each.length);
  const bytes = new Uint8Array(each.reduce((sum, b) => sum + b.length, 0));
  let at = 0;
  each.forEach((own, id) => {
    bytes.set(own, at);
    offsets[id] = at += own.length;
  });
  return { bytes, offsets, ends: endIds(tokenizer) };
}

/** Tokens becoming text: whole characters, held back while a stop text may be coming. */
class Answer {
  readonly tokens: Token[] = [];
  text = "";
  stopped: string | undefined;
  #told = 0;
  readonly #detokenizer: ReturnType<Tokenizer["detokenizer"]>;
  readonly #matcher: ReturnType<typeof createStopMatcher>;

  constructor(tokenizer: Tokenizer, matcher: ReturnType<typeof createStopMatcher>, continued: boolean) {
    this.#detokenizer = tokenizer.detokenizer({ continued });
    this.#matcher = matcher;
  }

  /** The tokens since the last call. */
  told(): readonly Token[] {
    const fresh = this.tokens.slice(this.#told);
    this.#told = this.tokens.length;
    return fresh;
  }

  #emit(text: string): string {
    const { emit, stopped } = this.#matcher.push(text);
    this.stopped = stopped;
    this.text += emit;
    return emit;
  }

  push(token: Token): string {
    this.tokens.push(token);
    return this.#emit(this.#detokenizer.push(token.id));
  }

  end(): string {
    if (this.stopped !== undefined) return "";
    const last = this.#emit(this.#detokenizer.end());
    if (this.stopped !== undefined) return last;
    const held = this.#matcher.end();
    this.text += held;
    return last + held;
  }

  result({ finish, usage, timings, seed }: Finished): Result {
    const ended = this.stopped === undefined ? finish : "stop";
    const own = { ...usage, completionTokens: this.tokens.length };
    return { text: this.text, tokens: this.tokens, finish: ended, stop: this.stopped, usage: own, timings, settings: { seed } };
  }
}
