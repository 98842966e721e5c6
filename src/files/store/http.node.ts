/**
 * Requests to servers that may be slow, busy, wrong or hostile. Owns one try of a request (redirects, the token, silence, the translation of
 * statuses into errors) and the loop around tries (back-off with jitter, Retry-After). Knows nothing of models and keeps no bytes.
 *
 * The token goes to one origin only. Redirects are followed here and not by `fetch`, so that this holds on every hop; where a URL led is
 * remembered, because hubs redirect each file to a signed URL that stays valid for a while. No redirect leads from elsewhere into this machine's
 * own network.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { LatheError } from "../../errors.ts";
import { isOwnNetwork } from "./hosts.node.ts";

export interface HttpOptions {
  /** Sent as a bearer token to `tokenOrigin` alone. */
  readonly token?: string;
  readonly tokenOrigin?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds without a byte after which a connection counts as dead. Default 30,000. */
  readonly stallMs?: number;
  /** Failures in a row, without progress between them, that are survived. Default 8. */
  readonly retries?: number;
  /** Milliseconds of the first pause; doubled with each failure up to 30 s. Default 500. */
  readonly backoffMs?: number;
}

/** A range of bytes, both ends included, as the protocol writes it. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Headers of the first answer on the way, which for files of the Hub tells their SHA-256. */
  readonly firstHeaders: Headers;
  /** The body as it comes. Ends early, without an error, when the iteration is left; then the connection is closed. */
  pieces(): AsyncGenerator<Uint8Array>;
  /** Closes the connection without reading on. */
  cancel(): void;
}

/** A failure that another try may mend. Never leaves this folder: after the last try it becomes `remote.failed`. */
export class Transient extends Error {
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs?: number, cause?: unknown) {
    super(message, { cause });
    this.waitMs = waitMs;
  }
}

const maxRedirects = 10;
const longestPauseMs = 30_000;
/** A server that asks for a longer pause than this is not waited for. */
const longestRetryAfterMs = 300_000;

/** What requests tell each other. */
interface Learnt {
  /** Where each URL led, by the URL asked for. */
  readonly led: Map<string, string>;
  /** Until when the server wants to be left alone, in milliseconds of `Date.now()`. */
  quietUntil: number;
}

export class HttpClient {
  readonly #options: HttpOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #stallMs: number;
  readonly #learnt: Learnt;

  constructor(options: HttpOptions = {}, learnt: Learnt = { led: new Map(), quietUntil: 0 }) {
    this.#options = options;
    this.#signal = options.signal;
    this.#stallMs = options.stallMs ?? 30_000;
    this.#learnt = learnt;
  }

  /** The same client for work that another signal ends. */
  with(signal: AbortSignal): HttpClient {
    return new HttpClient({ ...this.#options, signal }, this.#learnt);
  }

  /**
   * One try. Resolves with any answer below 400, and with 416. @throws Transient where another try may help; LatheError remote.not-found,
   * remote.denied, remote.failed; the signal's reason.
   */
  async request(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    const remembered = this.#learnt.led.get(url);
    if (remembered !== undefined) {
      // A signed URL that has expired is refused; then the way is asked for anew.
      const reply = await this.#follow(remembered, headers);
      if (![401, 403, 404, 410].includes(reply.status)) return this.#accepted(url, reply);
      reply.cancel();
      this.#learnt.led.delete(url);
    }
    return this.#accepted(url, await this.#follow(url, headers, url));
  }

  /**
   * Calls `work` until it succeeds or fails for good. `work` calls `progressed` when it has come further, which starts the counting of
   * failures anew. @throws LatheError remote.failed after the last try, and whatever else `work` throws.
   */
  async retrying<T>(url: string, work: (progressed: () => void) => Promise<T>): Promise<T> {
    const { retries = 8, backoffMs = 500 } = this.#options;
    for (let failures = 0; ; ) {
      await this.#pause(this.#learnt.quietUntil - Date.now());
      try {
        return await work(() => {
          failures = 0;
        });
      } catch (cause) {
        this.#signal?.throwIfAborted();
        if (!(cause instanceof Transient)) throw cause;
        if (++failures > retries || (cause.waitMs ?? 0) > longestRetryAfterMs) throw failed(url, cause, failures);
        // Full jitter: parts that failed together do not come back together.
        const step = Math.min(longestPauseMs, backoffMs * 2 ** (failures - 1));
        if (cause.waitMs !== undefined) this.#learnt.quietUntil = Math.max(this.#learnt.quietUntil, Date.now() + cause.waitMs);
        await this.#pause(step * (0.5 + Math.random() / 2));
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    this.#signal?.throwIfAborted();
    if (ms <= 0) return;
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => this.#signal?.throwIfAborted());
  }

  /** Goes where redirects lead. With `learn`, remembers the end of a way under that name. */
  async #follow(start: string, headers: Readonly<Record<string, string>>, learn?: string): Promise<Reply> {
    let at = start;
    let first: Headers | undefined;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const reply = await this.#once(at, headers, first);
      first ??= reply.headers;
      const location = [301, 302, 303, 307, 308].includes(reply.status) ? reply.headers.get("location") : null;
      if (location === null) {
        if (learn !== undefined && at !== learn && reply.status < 400) this.#learnt.led.set(learn, at);
        return reply;
      }
      reply.cancel();
      at = target(location, at);
    }
    throw new LatheError("remote.failed", `${shown(start)} redirects more than ${maxRedirects} times; check the address.`, {
      url: shown(start),
    });
  }

  async #once(url: string, headers: Readonly<Record<string, string>>, first: Headers | undefined): Promise<Reply> {
    const watch = new Watch(this.#signal, this.#stallMs);
    try {
      // Compression would make ranges and lengths mean other bytes than those of the file.
      const own: Record<string, string> = { ...headers, "accept-encoding": "identity", "user-agent": "lathe" };
      const { token, tokenOrigin } = this.#options;
      if (token !== undefined && new URL(url).origin === tokenOrigin) own["authorization"] = `Bearer ${token}`;
      const response = await watch.over(fetch(url, { headers: own, redirect: "manual", signal: watch.signal }));
      watch.alive();
      const encoding = response.headers.get("content-encoding");
      if (encoding !== null && encoding !== "identity" && response.status < 300)
        throw new LatheError(
          "remote.failed",
          `${shown(url)} is sent compressed (${encoding.slice(0, 20)}), which cannot be read in parts.`,
          { url: shown(url) },
        );
      return {
        status: response.status,
        headers: response.headers,
        firstHeaders: first ?? response.headers,
        pieces: () => pieces(response, watch, url),
        cancel: () => watch.end(),
      };
    } catch (cause) {
      watch.end();
      throw watch.meaning(cause, url);
    }
  }

  #accepted(url: string, reply: Reply): Reply {
    const { status, headers } = reply;
    if (status < 400 || status === 416) return reply;
    reply.cancel();
    const details = { url: shown(url), status };
    if (status === 408 || status === 425 || status === 429 || status >= 500) throw new Transient(`status ${status}`, retryAfter(headers));
    if (status === 401 || status === 403) {
      const message = `${shown(url)} is not open to everybody (status ${status}); set HF_TOKEN to a token that may read it, and accept its licence where it has one.`;
      throw new LatheError("remote.denied", message, details);
    }
    if (status === 404 || status === 410)
      throw new LatheError("remote.not-found", `There is no ${shown(url)} (status ${status}); check the name.`, details);
    throw new LatheError("remote.failed", `${shown(url)} answers with status ${status}; check the address.`, details);
  }
}

/**
 * Ends a request on the caller's signal or after silence, and afterwards knows which of them it was. It does so itself: Node 20's `fetch` now and
 * then never tells those who wait that it was aborted.
 */
class Watch {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #stallMs: number;
  readonly #abort = (): void => {
    this.#controller.abort();
    this.#giveUp?.(this.#controller.signal.reason);
  };
  #giveUp: ((reason: unknown) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stalled = false;

  constructor(outer: AbortSignal | undefined, stallMs: number) {
    this.#outer = outer;
    this.#stallMs = stallMs;
    outer?.throwIfAborted();
    outer?.addEventListener("abort", this.#abort, { once: true });
    this.alive();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What `work` gives, or a rejection as soon as the request is ended. One at a time. */
  over<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      work.then(resolve, reject);
      if (this.signal.aborted) reject(this.signal.reason);
    });
  }

  alive(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#stalled = true;
      this.#abort();
    }, this.#stallMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
    this.#abort();
  }

  /** What a failure of `fetch` or of its body was. */
  meaning(cause: unknown, url: string): unknown {
    if (this.#outer?.aborted) return this.#outer.reason;
    if (cause instanceof LatheError || cause instanceof Transient) return cause;
    if (this.#stalled) return new Transient(`nothing came for ${this.#stallMs} ms`, undefined, cause);
    const inner = (cause as { cause?: { code?: unknown; message?: unknown } }).cause;
    const why = String(inner?.code ?? inner?.message ?? (cause as Error).message);
    return new Transient(`the connection to ${new URL(url).host} failed: ${why}`, undefined, cause);
  }
}

async function* pieces(response: Response, watch: Watch, url: string): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    while (reader) {
      const { done, value } = await watch.over(reader.read());
      if (done) return;
      watch.alive();
      yield value;
    }
  } catch (cause) {
    throw watch.meaning(cause, url);
  } finally {
    watch.end();
    reader?.releaseLock();
  }
}

function target(location: string, from: string): string {
  let to: URL | undefined;
  try {
    to = new URL(location, from);
  } catch {} // named below
  const safe = to !== undefined && (to.protocol === "https:" || (to.protocol === "http:" && from.startsWith("http:")));
  // What may be asked for by name from here, a server elsewhere may not make this machine ask for.
  const inward = to !== undefined && isOwnNetwork(to) && !isOwnNetwork(new URL(from));
  if (to !== undefined && safe && !inward && to.username === "" && to.password === "") return to.href;
  const message = `${shown(from)} redirects to an address that is not followed; give the final https address instead.`;
  throw new LatheError("remote.failed", message, { url: shown(from), location: location.slice(0, 300) });
}

/** Milliseconds of a Retry-After header, which counts seconds or names a date (RFC 9110, 10.2.3). */
export function retryAfter(headers: Headers, now: number = Date.now()): number | undefined {
  const text = headers.get("retry-after")?.trim();
  if (text === undefined || text === "") return undefined;
  const ms = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** A URL as messages show it: without its query, which may hold a signature. */
export function shown(url: string): string {
  return url.replace(/[?#].*$/s, "").slice(0, 300);
}

function failed(url: string, cause: Transient, failures: number): LatheError {
  const wait =
    cause.waitMs !== undefined && cause.waitMs > longestRetryAfterMs ? ` and wants ${Math.round(cause.waitMs / 1000)} s of pause` : "";
  const message = `${shown(url)} could not be read after ${failures} ${failures === 1 ? "try" : "tries"} (${cause.message}${wait}); what has come so far is kept, try again later.`;
  return new LatheError("remote.failed", message, { url: shown(url), failures, cause: cause.message }, { cause });
}

/** A whole small body as text. @throws Transient, LatheError remote.failed where it is longer than `most` bytes. */
export async function bodyText(reply: Reply, url: string, most: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of reply.pieces()) {
    length += piece.length;
    if (length > most)
      throw new LatheError("remote.failed", `${shown(url)} answers with more than ${most} bytes; check the address.`, {
        url: shown(url),
        most,
      });
    parts.push(piece);
  }
  return Buffer.concat(parts).toString("utf8");
}
