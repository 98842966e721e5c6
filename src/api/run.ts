/**
 * A run: one answer on its way. It can be iterated for its parts while they come, awaited for the whole, or both. Nothing is computed before
 * one of the two begins; leaving the iteration early cancels quietly.
 */
import type { Finish, Timings, Token, Usage } from "./protocol.ts";

export interface Result {
  readonly text: string;
  /** Ids and log-probabilities of the answer's tokens. */
  readonly tokens: readonly Token[];
  /** `stop`: the model ended or a stop text came; `length`: maxTokens; `context`: the context is full; `cancelled`: the caller left. */
  readonly finish: Finish;
  /** The stop text that ended the answer. */
  readonly stop?: string;
  readonly usage: Usage;
  readonly timings: Timings;
  /** What a repetition needs: the seed that was used. */
  readonly settings: { readonly seed: number };
}

export type Part =
  /** Tokens of the prompt that are done, cached ones included. */
  | { readonly type: "prompt"; readonly done: number; readonly total: number }
  /**
   * Whole characters only. `token` is the one that completed them; absent in what is flushed at the end. `tokens` are all that have come since
   * the text before.
   */
  | { readonly type: "text"; readonly text: string; readonly token?: Token; readonly tokens: readonly Token[] }
  | ({ readonly type: "finish" } & Result);

/** The same parts; an error is also told to `fail`. */
async function* guarded(
  parts: AsyncGenerator<Part, void, undefined>,
  fail: (reason: unknown) => void,
): AsyncGenerator<Part, void, undefined> {
  try {
    yield* parts;
  } catch (e) {
    fail(e);
    throw e;
  }
}

export class Run implements AsyncIterable<Part>, PromiseLike<Result> {
  readonly #parts: AsyncGenerator<Part, void, undefined>;
  readonly #result: Promise<Result>;
  #taken = false;

  /** `produce` yields the parts, the finish part last, and calls `settle` with the result however it is left. */
  constructor(produce: (settle: (result: Result) => void) => AsyncGenerator<Part, void, undefined>) {
    let settle!: (result: Result) => void;
    let fail!: (reason: unknown) => void;
    this.#result = new Promise((resolve, reject) => {
      settle = resolve;
      fail = reject;
    });
    this.#result.catch(() => {}); // whoever iterates sees the error there
    this.#parts = guarded(produce(settle), fail);
  }

  /** The parts, once: a second iteration finds nothing. */
  [Symbol.asyncIterator](): AsyncIterator<Part> {
    this.#taken = true;
    return this.#parts;
  }

  /** The answer's text as it comes. */
  get text(): AsyncIterable<string> {
    const parts = this;
    return {
      async *[Symbol.asyncIterator]() {
        for await (const part of parts) if (part.type === "text") yield part.text;
      },
    };
  }

  // biome-ignore lint/suspicious/noThenProperty: a run is awaitable on purpose
  then<A = Result, B = never>(
    done?: ((result: Result) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.#taken ? this.#result : this.#whole()).then(done, failed);
  }

  async #whole(): Promise<Result> {
    this.#taken = true;
    for await (const _ of this.#parts) {
      // parts are dropped; the result has everything
    }
    return this.#result;
  }
}
