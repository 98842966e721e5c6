/**
 * The parts that every tokenizer is made of, whatever file it came from: a model that turns pieces into ids, steps that cut a text into
 * pieces, a way back from ids to text. `Pipeline` joins the first two; special tokens around and inside a text are tokenizer business.
 */
import type { Ids } from "./pieces.ts";
import type { Trusted } from "./special.ts";
import type { Sink, Step } from "./split/steps.ts";

/** Turns a piece of text into ids. */
export interface PieceModel {
  /** Appends the ids of `text[start..end)`; positions in UTF-16 units. */
  encode(text: string, start: number, end: number, into: Ids): void;
}

/** Turns a stretch of text that holds no special token into ids. */
export interface Encoder {
  /** Appends the ids of `text[start..end)`. `trusted`: which parts of `text` may spell control tokens. */
  encode(text: string, start: number, end: number, into: Ids, trusted: Trusted): void;
}

/** Steps and a model, joined once so that no list is made per text. */
export class Pipeline implements Encoder {
  readonly #first: Sink;
  #into: Ids | undefined;

  constructor(steps: readonly Step[], model: PieceModel) {
    const last: Sink = (text, start, end) => {
      if (start < end) model.encode(text, start, end, this.#into!);
    };
    this.#first = steps.reduceRight((next, step) => step(next), last);
  }

  encode(text: string, start: number, end: number, into: Ids): void {
    this.begin(text, start, end, into, start === 0);
  }

  /** `first`: the piece begins the whole text, which some tokenizers mark. */
  begin(text: string, start: number, end: number, into: Ids, first: boolean): void {
    this.#into = into;
    this.#first(text, start, end, first);
    this.#into = undefined;
  }
}
