/**
 * Bodies on their way in. Each is gathered into one buffer that grows with what has come, and that is all there is of a body that is waited for.
 * Owns how much a body may be, alone and with all others, and how slowly it may come.
 */
import type { Readable } from "node:stream";
import { LatheError } from "../errors.ts";
import { Waiting } from "./waiting.ts";

/** Milliseconds in which a body may come as slowly as it likes, and bytes a second, on average, that it must have after them. */
const GRACE_MS = 10_000;
const LEAST_RATE = 1024;
const LOOK_MS = 2000;
/** Milliseconds for a whole body. */
const LONGEST_MS = 120_000;

/** Bytes that the buffers of all bodies may take. */
const ROOM = 256 * 2 ** 20;
/** Short buffers lie inside the objects that they belong to. */
const FIRST_BYTES = 64;

/** Those of no great age, and those that have been found to come fast enough. */
const fresh = new Waiting<Arriving>(GRACE_MS, body => body.look());
const steady = new Waiting<Arriving>(LOOK_MS, body => body.look());
let held = 0;

const nothing = new Uint8Array();

/** A body that is there as a whole. Its bytes are counted among those that all bodies may take until it is disposed of. */
export interface Body extends Disposable {
  readonly bytes: Uint8Array;
}

class Arriving {
  readonly #most: number;
  readonly #begun = performance.now();
  readonly #end: (outcome: Body | Error) => void;
  #bytes = new Uint8Array(FIRST_BYTES);
  #total = 0;

  /** `end` is called once: with the body, or with what was wrong with it. A body is counted until it is given back. */
  constructor(most: number, end: (outcome: Body | Error) => void) {
    this.#most = most;
    this.#end = end;
    held += this.size;
    fresh.enter(this);
  }

  /** Bytes of its buffer. */
  get size(): number {
    return this.#bytes.length;
  }

  take(chunk: Uint8Array): void {
    const total = this.#total + chunk.length;
    if (total > this.#most) {
      this.end(tooLarge(this.#most));
      return;
    }
    // One buffer that grows: pieces of single bytes, kept as they come, would take a thousand times their size.
    if (total > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.#most, 2 * total));
      larger.set(this.#bytes);
      held += larger.length - this.size;
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#total);
    this.#total = total;
    while (held > ROOM) largest().end(crowded());
  }

  /** Nothing more comes, or nothing more is taken. */
  end(error?: Error): void {
    if (!fresh.leave(this) && !steady.leave(this)) return;
    if (error) this.#fail(error);
    else this.#end({ bytes: this.#bytes.subarray(0, this.#total), [Symbol.dispose]: () => this.#giveBack() });
  }

  /** Its time is up, for now or for good. */
  look(): void {
    const age = performance.now() - this.#begun;
    const slow = this.#total < (LEAST_RATE / 1000) * (age - GRACE_MS);
    if (slow || age > LONGEST_MS) this.#fail(tooSlow());
    else steady.enter(this);
  }

  #fail(error: Error): void {
    this.#giveBack();
    this.#end(error);
  }

  #giveBack(): void {
    held -= this.size;
    this.#bytes = nothing;
  }
}

const tooLarge = (most: number): LatheError =>
  new LatheError("request.too-large", `The body is larger than ${most} bytes; send less.`, { most });
const crowded = (): LatheError =>
  new LatheError("server.busy", "Too much of other bodies is on its way to this server; try again in a few seconds.", { retryAfter: 5 });
const tooSlow = (): LatheError =>
  new LatheError(
    "request.invalid",
    `The body comes slower than ${LEAST_RATE} bytes a second, or takes longer than ${LONGEST_MS / 1000} seconds.`,
    {
      status: 408,
    },
  );

/** Who makes way for the others, so that many large bodies are no hindrance to a small one. */
function largest(): Arriving {
  let found: Arriving | undefined;
  for (const bodies of [steady, fresh]) for (const body of bodies) if (!found || body.size > found.size) found = body;
  return found!;
}

/**
 * A request's body. `source`: where they come from, if that is known; a stream of the web's kind takes a hundred times the work for
 * each piece, and several times the memory.
 * @throws LatheError request.too-large, request.invalid, server.busy
 */
export function bodyOf(request: Request, source: Readable | undefined, most: number): Promise<Body> {
  if (Number(request.headers.get("content-length") ?? 0) > most) return Promise.reject(tooLarge(most));
  return source ? fromNode(source, most) : fromWeb(request.body, most);
}

function fromNode(source: Readable, most: number): Promise<Body> {
  return new Promise((resolve, reject) => {
    const data = (chunk: Uint8Array): void => body.take(chunk);
    const ended = (): void => body.end();
    const closed = (): void => body.end(new LatheError("request.invalid", "The connection ended before the body."));
    const body = new Arriving(most, outcome => {
      source.off("data", data).off("end", ended).off("close", closed);
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    });
    source.on("data", data).on("end", ended).on("close", closed);
    if (source.destroyed) closed();
  });
}

async function fromWeb(stream: ReadableStream<Uint8Array> | null, most: number): Promise<Body> {
  const reader = stream?.getReader();
  if (!reader) return { bytes: nothing, [Symbol.dispose]: () => {} };
  let outcome: Body | Error | undefined;
  const body = new Arriving(most, what => {
    outcome = what;
    if (what instanceof Error) reader.cancel().catch(() => {});
  });
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) body.take(next.value);
  } catch (e) {
    body.end(e as Error);
  }
  body.end();
  if (!outcome || outcome instanceof Error) throw outcome;
  return outcome;
}
