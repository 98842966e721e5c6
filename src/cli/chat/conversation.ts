/**
 * What has been said, and the model's session behind it. With a chat template the turns are messages; without one they are pieces of one
 * text that the model continues. Knows nothing of terminals.
 */
import type { Model } from "../../api/model.ts";
import type { Result, Run } from "../../api/run.ts";
import type { Session } from "../../api/session.ts";
import { LatheError } from "../../errors.ts";
import type { SamplingFlags } from "../options.ts";

export interface Turn {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export class Conversation implements Disposable {
  readonly model: Model;
  /** The model gets messages; otherwise one text. */
  readonly messages: boolean;
  readonly #sampling: SamplingFlags;
  readonly #system: readonly Turn[];
  #turns: Turn[] = [];
  #finish: Result["finish"] | undefined;
  #session: Session;

  constructor(model: Model, options: { sampling: SamplingFlags; system?: string; raw?: boolean }) {
    this.model = model;
    this.messages = model.chats && !options.raw;
    if (options.system !== undefined && !this.messages) {
      throw new LatheError("option.invalid", "--system needs a model with a chat template, and no --raw.");
    }
    this.#sampling = options.sampling;
    this.#system = options.system === undefined ? [] : [{ role: "system", content: options.system }];
    this.#session = model.session();
  }

  get turns(): readonly Turn[] {
    return [...this.#system, ...this.#turns];
  }

  /** Tokens so far, of the context's. */
  get used(): number {
    return this.#session.tokens.length;
  }

  /** The text that `text` adds: what comes after it continues it, and needs a space or a new paragraph to do so. */
  #joined(text: string): string {
    const before = this.#turns.at(-1)?.content ?? "";
    if (!text || !before || /^\s/.test(text) || /\s$/.test(before)) return text;
    return (this.#finish === "stop" ? "\n" : " ") + text;
  }

  /** The model's answer. Tell `heard` what came of it; until then nothing has been said. */
  ask(text: string, signal: AbortSignal): Run {
    const options = { ...this.#sampling, signal };
    if (!this.messages) return this.#session.generate(this.#joined(text), options);
    return this.model.chat([...this.turns, { role: "user", content: text }], { ...options, session: this.#session });
  }

  /** Both sides of an exchange, the answer as far as it came. */
  heard(text: string, answer: string, finish: Result["finish"]): void {
    if (text) this.#turns.push({ role: "user", content: this.messages ? text : this.#joined(text) });
    this.#turns.push({ role: "assistant", content: answer });
    this.#finish = finish;
  }

  clear(): void {
    this.#session.close();
    this.#session = this.model.session();
    this.#turns = [];
    this.#finish = undefined;
  }

  [Symbol.dispose](): void {
    this.#session.close();
  }
}
