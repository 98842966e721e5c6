/**
 * The caller's side of the engine: posts requests, hands events to whoever asked, and turns the engine's death into errors. Works over any
 * two-way channel; load.node.ts makes one from a worker thread.
 */
import { LatheError } from "../errors.ts";
import type { FromEngine, LoadedInfo, ToEngine, WireError, WireVocabulary } from "./protocol.ts";
import { Signals } from "./signals.ts";

export interface Channel {
  post(message: ToEngine): void;
  onMessage(listener: (message: FromEngine) => void): void;
  /** The engine's thread died. */
  onDeath(listener: (cause: unknown) => void): void;
  terminate(): Promise<unknown>;
  /** Whether waiting for the engine keeps the process alive. */
  hold(alive: boolean): void;
}

/** What the engine gets to keep its pasts and to give back its memory when the model is closed. */
const ENDING_MS = 20_000;

type RunEvent = Extract<FromEngine, { run?: number }>;

export const fromWire = (e: WireError): LatheError => new LatheError(e.code, e.message, { ...e.details });

/** Events of one run, in order, to be awaited one after the other. */
export class Inbox {
  readonly #events: RunEvent[] = [];
  #wake: (() => void) | undefined;

  push(event: RunEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  /** The next event; undefined once `signal` has fired, whatever has come before. */
  async next(signal?: AbortSignal): Promise<RunEvent | undefined> {
    for (;;) {
      if (signal?.aborted) return undefined;
      if (this.#events.length) return this.#events.shift();
      await new Promise<void>(resolve => {
        const done = (): void => {
          signal?.removeEventListener("abort", done);
          resolve();
        };
        this.#wake = done;
        signal?.addEventListener("abort", done, { once: true });
      });
    }
  }
}

export class EngineClient {
  readonly #channel: Channel;
  readonly #inboxes = new Map<number, Inbox>();
  #next = 1;
  #closed = false;
  #knowsVocabulary = false;
  #death: LatheError | undefined;
  #onProgress: ((done: number, total: number) => void) | undefined;
  readonly #signals = new Signals();
  /** Whether the engine may have something to keep or to give back when it ends. */
  #begun = false;
  #ended: (() => void) | undefined;
  #loaded: { resolve: (info: LoadedInfo) => void; reject: (e: unknown) => void } | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onMessage(m => this.#receive(m));
    channel.onDeath(cause => this.#die(cause));
    channel.hold(false);
  }

  /** Whether nothing can be posted any more. */
  get closed(): boolean {
    return this.#closed || this.#death !== undefined;
  }

  /** Loads the model; rejects with the engine's error, or with the signal's reason (the engine is then gone). */
  async load(
    spec: Extract<ToEngine, { kind: "load" }>["spec"],
    progress: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<LoadedInfo> {
    this.#onProgress = progress;
    this.#channel.hold(true);
    const abort = (): void => {
      this.#loaded?.reject(signal!.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new Promise<LoadedInfo>((resolve, reject) => {
        this.#loaded = { resolve, reject };
        if (signal?.aborted) reject(signal.reason);
        else {
          this.#begun = true;
          this.#channel.post({ kind: "load", spec, signals: this.#signals.block });
        }
      });
    } catch (e) {
      await this.close();
      throw e;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#loaded = undefined;
      this.#channel.hold(this.#inboxes.size > 0);
    }
  }

  number = (): number => this.#next++;

  post(message: ToEngine): void {
    if (this.#death) throw this.#death;
    if (this.#closed) throw new LatheError("model.closed", "The model is closed; load it again.");
    this.#channel.post(message);
    this.#signals.sent(message);
  }

  /** Tells the engine the tokens' bytes, the first time it needs them. */
  sendVocabulary(make: () => WireVocabulary): void {
    if (this.#knowsVocabulary) return;
    this.post({ kind: "vocabulary", vocabulary: make() });
    this.#knowsVocabulary = true;
  }

  /** Posts a request that is answered by events, and gives their inbox; `leave` when done with it. */
  enter(run: number, message: ToEngine): Inbox {
    const inbox = new Inbox();
    this.post(message);
    this.#inboxes.set(run, inbox);
    this.#channel.hold(true);
    return inbox;
  }
  leave(run: number): void {
    this.#inboxes.delete(run);
    if (!this.#inboxes.size) this.#channel.hold(false);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const error = new LatheError("model.closed", "The model was closed while it was answering.").toJSON();
    for (const [run, inbox] of this.#inboxes) inbox.push({ kind: "failed", run, error });
    if (this.#begun && !this.#death) await this.#end();
    await this.#channel.terminate();
  }

  /** Lets the engine come to its end; one that hangs is not waited for. A terminated thread would leave behind what it has mapped. */
  async #end(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.#signals.stop();
    this.#channel.hold(true);
    await new Promise<void>(resolve => {
      this.#ended = resolve;
      timer = setTimeout(resolve, ENDING_MS);
      this.#channel.post({ kind: "close" });
    });
    clearTimeout(timer);
  }

  #receive(message: FromEngine): void {
    if (message.kind === "progress") this.#onProgress?.(message.done, message.total);
    else if (message.kind === "loaded") this.#loaded?.resolve(message.info);
    else if (message.kind === "closed") this.#ended?.();
    else if (message.run !== undefined) this.#inboxes.get(message.run)?.push(message);
    else if (message.kind === "failed") this.#loaded?.reject(fromWire(message.error));
  }

  #die(cause: unknown): void {
    this.#ended?.();
    if (this.#closed) return;
    this.#death = new LatheError("engine.failed", "The engine's thread died; load the model again.", {}, { cause });
    this.#loaded?.reject(this.#death);
    for (const [run, inbox] of this.#inboxes) inbox.push({ kind: "failed", run, error: this.#death.toJSON() });
  }
}
