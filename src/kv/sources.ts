/**
 * What a sequence's tokens attend to besides their own past: a text that is read once, whose keys and values are then only read. Sequences that
 * answer the same text share it. It has pages of its own, which may be given back and made again from the tokens.
 */
import { LatheError } from "../errors.ts";
import type { Sequence } from "./pages.ts";

export class SourceText {
  readonly tokens: readonly number[];
  /** Its pages; empty until it is read. */
  readonly sequence: Sequence;
  #users = 1;

  /** @throws LatheError prompt.empty */
  constructor(tokens: readonly number[], sequence: Sequence) {
    if (!tokens.length)
      throw new LatheError("prompt.empty", "The prompt is empty, and this model answers what it has read; give it some text.");
    this.tokens = tokens;
    this.sequence = sequence;
  }

  get read(): boolean {
    return this.sequence.length === this.tokens.length;
  }

  /** Pages that reading it takes from the pool. */
  get needs(): number {
    return this.read ? 0 : this.sequence.needs(this.tokens.length);
  }

  share(): this {
    this.#users++;
    return this;
  }

  /** Gives the pages back where nobody else uses them; they are made again when needed. */
  forget(): void {
    if (this.#users === 1) this.sequence.truncate(0);
  }

  release(): void {
    if (--this.#users === 0) this.sequence.close();
  }
}
