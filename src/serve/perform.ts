/**
 * Performs an `Ask` on a loaded model: prompts become tokens and are checked before anything is computed, every answer is a run of its own,
 * and their pieces are merged as they come. Nothing runs ahead of whoever takes the pieces.
 */
import type { Model } from "../api/model.ts";
import { plainIds } from "../api/modules.ts";
import type { Finish, Token } from "../api/protocol.ts";
import type { Part, Result, Run } from "../api/run.ts";
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";
import { callId, conversed, type Prepared } from "./calls.ts";
import type { Ask, AskPrompt, NamedToken, Piece } from "./request.ts";

/** Bytes of the longest token of each vocabulary. */
const longest = new WeakMap<object, number>();
function longestToken({ tokenizer }: Model): number {
  let found = longest.get(tokenizer);
  if (found === undefined) {
    found = 1;
    for (let id = 0; id < tokenizer.size; id++) found = Math.max(found, tokenizer.text(id).length, tokenizer.bytes(id).length);
    longest.set(tokenizer, found);
  }
  return found;
}

const overflow = (tokens: number, context: number, least = false): LatheError => {
  const message = `The prompt has ${least ? "at least " : ""}${tokens} tokens and the context of this model holds ${context}; shorten the prompt or serve with a larger context.`;
  return new LatheError("context.overflow", message, { tokens, context });
};

/** UTF-16 units of all texts in a value. */
const textUnits = (value: unknown): number => {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce((sum: number, v) => sum + textUnits(v), 0);
};

/** Refuses what cannot fit before it is read: no token of a text is longer than the longest. */
function checkSize(model: Model, prompt: AskPrompt): void {
  if (prompt.kind === "tokens") {
    const { length } = prompt.tokens;
    if (length > model.info.context) throw overflow(length, model.info.context);
    return;
  }
  const units = prompt.kind === "text" ? prompt.text.length : textUnits(prompt.messages.map(m => m.content));
  const least = Math.ceil(units / longestToken(model));
  if (least > model.info.context) throw overflow(least, model.info.context, true);
}

/** The prompt's tokens, and how its answer is read. @throws LatheError context.overflow, prompt.empty, template.*, option.invalid */
export function prepared(model: Model, prompt: AskPrompt, ask?: Ask): Prepared {
  checkSize(model, prompt);
  const found = encoded(model, prompt, ask);
  const { length } = found.tokens;
  if (length > model.info.context) throw overflow(length, model.info.context);
  return found;
}

function encoded(model: Model, prompt: AskPrompt, ask: Ask | undefined): Prepared {
  const { tokenizer } = model;
  const { modules = [], special } = ask?.options ?? {};
  for (const { text, parameters = {} } of modules)
    for (const own of [text, ...Object.values(parameters).map(p => p.value)]) checkSize(model, { kind: "text", text: own });
  if (prompt.kind === "text" && modules.length) return { tokens: model.compose(prompt.text, modules, { special }) };
  if (prompt.kind === "text") return { tokens: tokenizer.encode(prompt.text, { special, eos: false }) };
  if (prompt.kind === "chat") {
    checkParts(prompt.messages);
    return conversed(model, prompt, ask);
  }
  if (modules.length)
    throw new LatheError("request.invalid", "Modules go with a text or with messages, not with tokens.", { field: "modules" });
  const wrong = prompt.tokens.find(id => id >= tokenizer.size);
  if (wrong === undefined) return { tokens: Int32Array.from(prompt.tokens) };
  throw new LatheError("option.invalid", `Token ${wrong} is not in the vocabulary of ${tokenizer.size}.`, { field: "prompt" });
}

/** A template may have a place for what is no text; a model that cannot see must not be shown an empty one. */
function checkParts(messages: readonly ChatMessage[]): void {
  for (const { content } of messages) {
    if (typeof content === "object" && content?.some(p => p.type !== "text"))
      throw new LatheError("request.invalid", "This server takes text only, no images or other parts of messages.", { field: "messages" });
  }
}

/** Tokens whose texts are kept. */
const MOST_NAMED = 8192;
const namers = new WeakMap<Model, Namer>();

/** A token with its text: that of its bytes, or its name where it has none. */
export class Namer {
  readonly #model: Model;
  readonly #decoder = new TextDecoder();
  readonly #known = new Map<number, { readonly bytes: Uint8Array; readonly text: string }>();
  private constructor(model: Model) {
    this.#model = model;
  }

  static of(model: Model): Namer {
    const found = namers.get(model) ?? new Namer(model);
    namers.set(model, found);
    return found;
  }

  #of = (id: number) => {
    let found = this.#known.get(id);
    if (!found) {
      const bytes = this.#model.tokenizer.bytes(id);
      found = { bytes, text: bytes.length ? this.#decoder.decode(bytes) : this.#model.tokenizer.text(id) };
      if (this.#known.size >= MOST_NAMED) this.#known.clear();
      this.#known.set(id, found);
    }
    return found;
  };
  name = (t: Token): NamedToken => {
    const alternatives = (t.alternatives ?? []).map(a => ({ ...a, ...this.#of(a.id) }));
    return { id: t.id, logprob: t.logprob, ...this.#of(t.id), alternatives };
  };
}

/** One run as pieces. `logprobs`: tokens are told. */
async function* piecesOf(parts: AsyncIterable<Part>, choice: number, name: ((t: Token) => NamedToken) | undefined): AsyncGenerator<Piece> {
  let told = 0;
  const calls: string[] = [];
  const named = (tokens: readonly Token[]): NamedToken[] => (name ? tokens.map(name) : []);
  for await (const part of parts) {
    if (part.type === "prompt") yield { type: "progress", choice, done: part.done, total: part.total };
    else if (part.type === "text") {
      told += part.tokens.length;
      yield { type: "text", choice, text: part.text, tokens: named(part.tokens) };
    } else if (part.type === "reasoning") yield { type: "reasoning", choice, text: part.text };
    else if (part.type.startsWith("tool-call")) yield callPiece(part as CallPart, choice, calls);
    else if (part.type === "finish") {
      const { finish, stop, usage, timings, settings, tokens } = part;
      yield { type: "finish", choice, finish: endOf(finish), stop, usage, timings, seed: settings.seed, tokens: named(tokens.slice(told)) };
    }
  }
}

type CallPart = Extract<Part, { type: `tool-call${string}` }>;

/** `begun`: the ids of the answer's calls so far. */
function callPiece(part: CallPart, choice: number, begun: string[]): Piece {
  if (part.type === "tool-call-start") {
    begun.push(part.id);
    return { type: "call-start", choice, index: begun.length - 1, id: part.id, name: part.name };
  }
  const index = begun.length - 1;
  if (part.type === "tool-call-delta") return { type: "call-delta", choice, index, text: part.text };
  if (part.type === "tool-call-broken") return { type: "call-broken", choice, index };
  const { id, name } = part;
  return { type: "call", choice, index, call: { id, name, arguments: JSON.stringify(part.arguments) } };
}

/** Pieces of several runs in the order in which they come. Leaving ends all of them. */
async function* merged(sources: readonly AsyncGenerator<Piece>[]): AsyncGenerator<Piece> {
  if (sources.length === 1) return yield* sources[0];
  const waiting = new Map(sources.map(s => [s, s.next().then(r => ({ s, r }))]));
  try {
    while (waiting.size) {
      const { s, r } = await Promise.race(waiting.values());
      if (r.done) waiting.delete(s);
      else {
        yield r.value;
        waiting.set(
          s,
          s.next().then(next => ({ s, r: next })),
        );
      }
    }
  } finally {
    for (const rest of waiting.values()) rest.catch(() => {});
    await Promise.all(sources.map(s => s.return(undefined).catch(() => {})));
  }
}

/** As protocols say it: a model that waits for its tools has stopped. */
const endOf = (finish: Result["finish"]): Finish => (finish === "tools" ? "stop" : finish);

/** Starts nothing before the first piece is taken. */
export function perform(model: Model, ask: Ask, prompts: readonly Prepared[], signal: AbortSignal): AsyncGenerator<Piece> {
  const name = ask.logprobs ? Namer.of(model).name : undefined;
  // The i-th answer to a prompt has the seed given plus i: different from the others, and the same again next time.
  const options = (i: number) => ({
    ...ask.options,
    modules: undefined, // they are in the tokens
    forgetTold: ask.bestOf <= ask.n, // pieces have them
    signal,
    ...(ask.options.seed === undefined ? {} : { seed: ask.options.seed + i }),
  });
  const run = ({ tokens, reading }: Prepared, i: number): Run =>
    reading ? model.answer(reading.speech, reading.prompt, options(i), callId) : model.generate(tokens, options(i));
  const group = (tokens: Prepared, p: number): AsyncGenerator<Piece>[] =>
    ask.bestOf > ask.n
      ? [
          best(
            Array.from({ length: ask.bestOf }, (_, i) => run(tokens, i)),
            p * ask.n,
            ask.n,
            name,
          ),
        ]
      : Array.from({ length: ask.n }, (_, i) => piecesOf(run(tokens, i), p * ask.n + i, name));
  const all = merged(prompts.flatMap(group));
  return ask.echo ? echoed(all, model, prompts, ask.n) : all;
}

/** The likeliest answers, by mean log-probability of a token. */
async function* best(
  runs: readonly PromiseLike<Result>[],
  first: number,
  n: number,
  name: ((t: Token) => NamedToken) | undefined,
): AsyncGenerator<Piece> {
  const results = await Promise.all(runs);
  const mean = ({ tokens }: Result): number => tokens.reduce((sum, t) => sum + t.logprob, 0) / Math.max(1, tokens.length);
  const written = results.reduce((sum, r) => sum + r.tokens.length, 0);
  const chosen = [...results].sort((a, b) => mean(b) - mean(a)).slice(0, n);
  for (const [i, { text, finish, stop, usage, timings, settings, tokens }] of chosen.entries()) {
    const choice = first + i;
    yield { type: "text", choice, text, tokens: name ? tokens.map(name) : [] };
    // What was written and not chosen was computed too: the first answer's usage has it all.
    const completionTokens = i === 0 ? written - chosen.slice(1).reduce((sum, r) => sum + r.tokens.length, 0) : tokens.length;
    yield {
      type: "finish",
      choice,
      finish: endOf(finish),
      stop,
      usage: { ...usage, completionTokens },
      timings,
      seed: settings.seed,
      tokens: [],
    };
  }
}

async function* echoed(
  pieces: AsyncGenerator<Piece>,
  model: Model,
  prompts: readonly Prepared[],
  perPrompt: number,
): AsyncGenerator<Piece> {
  const begun = new Set<number>();
  for await (const piece of pieces) {
    if (piece.type !== "progress" && !begun.has(piece.choice)) {
      begun.add(piece.choice);
      const text = model.tokenizer.decode(plainIds(prompts[Math.floor(piece.choice / perPrompt)].tokens));
      yield { type: "text", choice: piece.choice, text, tokens: [] };
    }
    yield piece;
  }
}
