/**
 * A run: one answer on its way. It can be iterated for its parts while they come, awaited for the whole, or both. Nothing is computed before
 * one of the two begins; leaving the iteration early cancels quietly.
 */
import type { ChatMessage } from "../text/chat.ts";
import type { Dropped } from "./context.ts";
import type { Finish, Timings, Token, Usage } from "./protocol.ts";
import type { ToolCall } from "./tools.ts";

/** An answer that has ended. `T`: the type of its value, where a schema gives it one. */
export interface Result<T = unknown> {
  readonly text: string;
  /** Under a schema: the answer's value, where it ended by itself. */
  readonly value?: T;
  /** What the model thought before it answered, where that is told apart. */
  readonly reasoning?: string;
  /** Tools that the model wants called and nobody has. */
  readonly calls?: readonly ToolCall[];
  /** Of a conversation: what it has more than before, the answer last. */
  readonly messages?: readonly ChatMessage[];
  /** What the prompt would have had, and the context had no room for. */
  readonly dropped?: Dropped;
  /** Ids and log-probabilities of the answer's tokens. */
  readonly tokens: readonly Token[];
  /** `stop`: the model ended or a stop text came; `length`: maxTokens; `context`: the context is full; `tools`: the model waits for
   * the results of `calls`; `cancelled`: the caller left. */
  readonly finish: Finish | "tools";
  /** The stop text that ended the answer. */
  readonly stop?: string;
  readonly usage: Usage;
  readonly timings: Timings;
  /** What a repetition needs: the seed that was used; none where nothing was computed. */
  readonly settings: { readonly seed?: number };
}

/** What happens while an answer comes, in order. Texts are pieces: all of a kind together are the whole. */
export type Part<T = unknown> =
  /** Something does not fit and the caller allowed to drop it; comes first. */
  | ({ readonly type: "dropped" } & Dropped)
  /** Tokens of the prompt that are done, cached ones included. */
  | { readonly type: "prompt"; readonly done: number; readonly total: number }
  /**
   * Whole characters only. `token` is the one that completed them; absent in what is flushed at the end. `tokens` are all that have come since
   * the text before.
   */
  | { readonly type: "text"; readonly text: string; readonly token?: Token; readonly tokens: readonly Token[] }
  | { readonly type: "reasoning"; readonly text: string }
  /** A call on its way: its name, then its arguments' JSON text in pieces, then all of it as a `tool-call`. */
  | { readonly type: "tool-call-start"; readonly id: string; readonly name: string }
  | { readonly type: "tool-call-delta"; readonly id: string; readonly text: string }
  | ({ readonly type: "tool-call" } & ToolCall)
  /** What had begun as a call is none; it comes as text. */
  | { readonly type: "tool-call-broken"; readonly id: string }
  /** What the tool gave, or why it did not. */
  | { readonly type: "tool-result"; readonly id: string; readonly name: string; readonly result?: unknown; readonly error?: string }
  | ({ readonly type: "finish" } & Result<T>);

/** The result of a run that was left before it began. */
const unbegun: Result<never> = {
  text: "",
  tokens: [],
  finish: "cancelled",
  usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
  timings: { promptMs: 0, completionMs: 0, promptTokensPerSecond: 0, tokensPerSecond: 0 },
  settings: {},
};

/** The same parts; an error is also told to `fail`. */
async function* guarded<T>(
  parts: AsyncGenerator<Part<T>, void, undefined>,
  fail: (reason: unknown) => void,
): AsyncGenerator<Part<T>, void, undefined> {
  try {
    yield* parts;
  } catch (e) {
    fail(e);
    throw e;
  }
}

export class Run<T = unknown> implements AsyncIterable<Part<T>>, PromiseLike<Result<T>> {
  readonly #parts: AsyncGenerator<Part<T>, void, undefined>;
  readonly #result: Promise<Result<T>>;
  readonly #leave: () => void;
  #taken = false;

  /** `produce` yields the parts, the finish part last, and calls `settle` with the result however it is left. */
  constructor(produce: (settle: (result: Result<T>) => void) => AsyncGenerator<Part<T>, void, undefined>) {
    let settle!: (result: Result<T>) => void;
    let fail!: (reason: unknown) => void;
    this.#result = new Promise((resolve, reject) => {
      settle = resolve;
      fail = reject;
    });
    this.#leave = () => settle(unbegun);
    this.#result.catch(() => {}); // whoever iterates sees the error there
    this.#parts = guarded(produce(settle), fail);
  }

  /** The parts, once: a second iteration finds nothing. */
  [Symbol.asyncIterator](): AsyncIterator<Part<T>> {
    this.#taken = true;
    const parts = this.#parts;
    let begun = false;
    return {
      next: () => {
        begun = true;
        return parts.next();
      },
      return: () => {
        if (!begun) this.#leave(); // a generator that never began has nobody inside who would
        begun = true;
        return parts.return();
      },
    };
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
    done?: ((result: Result<T>) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.#taken ? this.#result : this.#whole()).then(done, failed);
  }

  async #whole(): Promise<Result<T>> {
    this.#taken = true;
    for await (const _ of this.#parts) {
      // parts are dropped; the result has everything
    }
    return this.#result;
  }
}
