/**
 * Writes answers: sends the messages up to a question, shows pieces as they come, and keeps the result with what is known of it. One answer
 * may be under way in each conversation. Text that is still growing lives in a signal of its own, which changes once a frame at most.
 */
import { type Signal, signal } from "@preact/signals";
import { type AnswerPiece, ServerError, streamAnswer } from "./client.ts";
import { contentOf, plainText } from "./content.ts";
import { limits } from "./portable.ts";
import { requestFields } from "./settings.ts";
import { conversations, ensureConversation, key, model, notify, panel, path, refreshModels, save, settings } from "./store.ts";
import {
  type AnswerFacts,
  type Attachment,
  type Conversation,
  type Message,
  newId,
  pathTo,
  sizeOf,
  withChange,
  withMessage,
} from "./tree.ts";

export interface Live {
  readonly conversation: string;
  readonly message: string;
  readonly text: Signal<string>;
  /** Pieces so far, which are nearly tokens, and their speed. */
  readonly pieces: Signal<number>;
  readonly perSecond: Signal<number>;
  readonly stop: () => void;
}

/** Answers that are being written, by conversation. */
export const live = signal<ReadonlyMap<string, Live>>(new Map());

/** Models that turned out to have no chat template: they continue text. */
export const plainModels = signal<ReadonlySet<string>>(new Set());

/** Milliseconds between copies that are kept while an answer grows. */
const KEEP_EVERY_MS = 1500;

/** A growing text is drawn the less often the longer it is, as one block without end is parsed anew each time: every 100 ms at 20,000 units. */
const UNITS_PER_MS = 200;

/** Adds a user's message after `parent` and has it answered. False, with a notice, where that cannot be. */
export function send(text: string, files: readonly Attachment[], parent = path.value.at(-1)?.id ?? ""): boolean {
  if (!model.value) {
    notify("There is no model to answer; look whether the server has one.");
    return false;
  }
  const c = ensureConversation();
  if (!c || live.value.has(c.id)) return false;
  const adding = text.length + files.reduce((sum, f) => sum + f.text.length, 0);
  if (sizeOf(c) + adding > limits.textPerConversation || c.messages.length + 2 > limits.messages) {
    notify("This conversation has become too long to be kept; begin a new one.");
    return false;
  }
  const message: Message = { id: newId(), parent, role: "user", text, at: Date.now(), ...(files.length ? { files } : {}) };
  void answer(withMessage(c, message), message.id);
  return true;
}

/** Answers the question before this answer once more, as another branch. */
export function regenerate(c: Conversation, m: Message): void {
  if (!live.value.has(c.id)) void answer(c, m.parent);
}

export const stop = (conversation: string): void => live.value.get(conversation)?.stop();

/** The answer to message `to`, added and filled. */
async function answer(before: Conversation, to: string): Promise<void> {
  const facts: AnswerFacts = { model: model.value };
  const message: Message = { id: newId(), parent: to, role: "assistant", text: "", at: Date.now(), answer: facts };
  const c = withMessage(before, message);
  save(c);
  const stopping = new AbortController();
  const growing = new Growing(c.id, message.id, () => stopping.abort());
  live.value = new Map(live.value).set(c.id, growing);
  let result: AnswerFacts;
  try {
    for await (const piece of piecesOf(pathTo(c, to), facts.model, stopping.signal)) growing.add(piece);
    result = { ...facts, ...growing.facts() };
  } catch (e) {
    const ended: AnswerFacts = stopping.signal.aborted
      ? { ...facts, finish: "stopped" }
      : { ...facts, finish: "error", error: sentenceOf(e) };
    result = { ...growing.facts(), ...ended };
    if (e instanceof ServerError && e.status === 401) panel.value = "key";
  }
  growing.end(result);
  const rest = new Map(live.value);
  rest.delete(c.id);
  live.value = rest;
  void refreshModels(); // a model that was loaded for this tells its context now
}

function sentenceOf(e: unknown): string {
  return e instanceof ServerError ? e.message : "The page failed on this answer; reload it and try again.";
}

/** Asks in the form that the model takes: as a chat, or as text to be continued where the model file has no chat template. */
async function* piecesOf(messages: readonly Message[], name: string, signal: AbortSignal): AsyncGenerator<AnswerPiece> {
  const { system } = settings.value;
  const fields = { model: name, ...requestFields(settings.value) };
  if (!plainModels.value.has(name)) {
    const chat = messages.map(m => ({ role: m.role, content: contentOf(m) }));
    const all = system ? [{ role: "system", content: system }, ...chat] : chat;
    try {
      return yield* streamAnswer("/v1/chat/completions", { ...fields, messages: all }, key.value, signal);
    } catch (e) {
      if (!(e instanceof ServerError) || e.code !== "template.missing") throw e;
      plainModels.value = new Set(plainModels.value).add(name);
    }
  }
  // This route would stop after 16 tokens where nothing is said; here answers fill the context, as those of chats do.
  const body = { max_tokens: 2 ** 30, ...fields, prompt: plainText(system, messages) };
  yield* streamAnswer("/v1/completions", body, key.value, signal);
}

/** An answer while it grows. */
class Growing implements Live {
  readonly conversation: string;
  readonly message: string;
  readonly text = signal("");
  readonly pieces = signal(0);
  readonly perSecond = signal(0);
  readonly stop: () => void;
  readonly #begun = performance.now();
  #written = "";
  #count = 0;
  #firstMs: number | undefined;
  #finish: AnswerFacts["finish"];
  #usage: AnswerPiece["usage"];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #frame = 0;
  #kept = performance.now();

  constructor(conversation: string, message: string, stop: () => void) {
    this.conversation = conversation;
    this.message = message;
    this.stop = stop;
  }

  add({ text, finish, usage }: AnswerPiece): void {
    if (text) {
      this.#firstMs ??= performance.now() - this.#begun;
      this.#written += text.replaceAll("\r", "");
      this.#count++;
      if (this.#written.length > limits.textPerConversation) this.stop();
    }
    if (finish) this.#finish = finish === "stop" ? "stop" : "length";
    if (usage) this.#usage = usage;
    this.#timer ??= setTimeout(() => (this.#frame = requestAnimationFrame(() => this.#show())), this.#written.length / UNITS_PER_MS);
    if (performance.now() - this.#kept > KEEP_EVERY_MS) this.#keep();
  }

  #show(): void {
    this.#timer = undefined;
    this.text.value = this.#written;
    this.pieces.value = this.#count;
    this.perSecond.value = this.#speed() ?? 0;
  }

  /** By the page's clock, from the first piece on. */
  #speed(): number | undefined {
    const seconds = (performance.now() - this.#begun - (this.#firstMs ?? 0)) / 1000;
    return this.#count > 1 && seconds > 0.05 ? (this.#count - 1) / seconds : undefined;
  }

  facts(): Partial<AnswerFacts> {
    const u = this.#usage;
    const counted = { tokens: this.#count, counted: true, tokensPerSecond: this.#speed() };
    const told = u && { promptTokens: u.prompt, cachedTokens: u.cached, tokens: u.tokens, counted: false, tokensPerSecond: u.perSecond };
    return { finish: this.#finish, firstMs: this.#firstMs, ...(told ?? counted) };
  }

  #keep(answer?: AnswerFacts): void {
    this.#kept = performance.now();
    const c = conversations.value.get(this.conversation);
    // Deleted meanwhile, here or in another tab: then it stays deleted.
    if (c) save({ ...withChange(c, this.message, { text: this.#written, ...(answer ? { answer } : {}) }), updated: Date.now() });
    else this.stop();
  }

  end(answer: AnswerFacts): void {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#show();
    this.#keep(answer);
  }
}
