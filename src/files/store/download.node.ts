/**
 * Downloads one file: ranged parts in parallel into a partial file, checked as a whole before it gets its name. Owns the policy of fetching:
 * which chunk comes next, what happens when a server has no ranges, when the content changes meanwhile, and when its hash is wrong.
 */
import { dirname } from "node:path";
import { LatheError } from "../../errors.ts";
import { ChunkWriter } from "./chunk-writer.node.ts";
import { type HttpClient, shown, Transient } from "./http.node.ts";
import { Partial, removePartial } from "./partial.node.ts";
import { changed, checkRange, probe, RangeRefused, type RemoteFile, rangeHeader } from "./remote.node.ts";
import { requireSpace } from "./system.node.ts";

export interface DownloadOptions {
  /** What the content must hash to, if it is known. */
  readonly sha256?: string;
  /** Connections at once. Default 4. */
  readonly parallel?: number;
  /** Bytes that are verified together, and lost together when a process is killed. Default 1 MiB. */
  readonly chunkBytes?: number;
  /** Bytes that must have room besides this file, because they come later. Default 0. */
  readonly laterBytes?: number;
  /** Asked before the file gets its name: whether the caller still holds the lock. Default: it does. */
  readonly holds?: () => Promise<boolean>;
  readonly signal?: AbortSignal;
  /** Bytes of the file that are here, verified or on the way; falls where bytes are thrown away. */
  readonly onProgress?: (stage: "fetch" | "check", done: number, total: number) => void;
}

const defaultParallel = 4;
/** Each connection may lose two when its process is killed: the one under way and the one being flushed. That is 8 MiB with the above. */
const defaultChunk = 2 ** 20;
/** Chunks that one request asks for: enough that the time of a round trip does not matter. */
const spanChunks = 32;
/** Bytes; ten times what the largest model has. */
const largestFile = 2 ** 45;
/** Bytes after which a broken connection counts as a working one. */
const someProgress = 2 ** 16;
/** After these errors nothing that has come can be used. */
const useless: ReadonlySet<string> = new Set(["remote.corrupt", "file.changed"]);
/** How often a disputed chunk is fetched until two deliveries in a row agree. */
const maxDeliveries = 6;

/**
 * Downloads `file` to `path`, going on with what an earlier call left there. `path` appears only whole, flushed and, where a SHA-256 is known,
 * with that hash. The caller holds the lock of `path`. Returns the SHA-256 of the content.
 *
 * @throws LatheError remote.*, file.changed, store.disk-full, file.write-failed; the signal's reason. All but `remote.corrupt` and
 * `file.changed` leave what has come so far to be gone on with.
 */
export function download(client: HttpClient, file: RemoteFile, path: string, options: DownloadOptions = {}): Promise<string> {
  return new Download(client, file, path, options).run();
}

/** Consecutive chunks, both ends included. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/** Consecutive ones of ascending `indices` together, at most `most` and `spanChunks`. */
function spansOf(indices: readonly number[], most: number): Span[] {
  const limit = Math.min(most, spanChunks);
  const spans: Span[] = [];
  for (const index of indices) {
    const open = spans.at(-1);
    if (open !== undefined && index === open.last + 1 && index - open.first < limit) spans[spans.length - 1] = { ...open, last: index };
    else spans.push({ first: index, last: index });
  }
  return spans;
}

class Download {
  readonly #client: HttpClient;
  readonly #file: RemoteFile;
  readonly #path: string;
  readonly #options: DownloadOptions;
  readonly #expected: string | undefined;
  readonly #parallel: number;
  #partial!: Partial;
  #done = 0;

  constructor(client: HttpClient, file: RemoteFile, path: string, options: DownloadOptions) {
    this.#client = client;
    this.#file = file;
    this.#path = path;
    this.#options = options;
    this.#parallel = options.parallel ?? defaultParallel;
    this.#expected = options.sha256 ?? file.sha256;
  }

  async run(): Promise<string> {
    const { bytes, validator } = this.#file;
    // Without hash and validator nobody can say whether what is here belongs to what is there.
    const content = this.#expected ?? validator;
    if (content === undefined) await removePartial(this.#path);
    const chunkBytes = this.#options.chunkBytes ?? defaultChunk;
    if (bytes > largestFile) throw tooLarge(this.#file);
    this.#partial = await Partial.open(this.#path, { bytes, chunkBytes, content: content ?? "unknown" });
    try {
      this.#done = this.#partial.held;
      await requireSpace(dirname(this.#path), bytes - this.#done + (this.#options.laterBytes ?? 0));
      await this.#partial.grow();
      await this.#fetchMissing();
      const sha256 = await this.#checked();
      if (this.#options.holds && !(await this.#options.holds())) throw overtaken(this.#path);
      await this.#partial.finish();
      return sha256;
    } catch (problem) {
      if (problem instanceof LatheError && useless.has(problem.code)) await this.#partial.discard();
      else await this.#partial.close();
      throw problem;
    }
  }

  async #fetchMissing(): Promise<void> {
    const missing = this.#partial.missing();
    if (missing.length === 0) return;
    this.#report(0);
    if (!this.#file.ranges) return this.#fetchInOrder();
    try {
      const spans = spansOf(missing, Math.ceil(missing.length / this.#parallel));
      await this.#inParallel(spans, (client, span) => this.#fetchSpan(client, span));
    } catch (problem) {
      if (!(problem instanceof RangeRefused)) throw problem;
      // Either the content is another one, or the server has stopped to serve ranges.
      const now = await probe(this.#client, this.#file.url);
      if (now.bytes !== this.#file.bytes || now.validator !== this.#file.validator) throw changed(this.#file.url);
      await this.#fetchInOrder();
    }
  }

  /** Several loops take the next span each; the first failure ends the others. */
  async #inParallel(spans: readonly Span[], work: (client: HttpClient, span: Span) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    const abort = (): void => stop.abort(this.#options.signal?.reason);
    this.#options.signal?.addEventListener("abort", abort, { once: true });
    const client = this.#client.with(stop.signal);
    let next = 0;
    let problem: { cause: unknown } | undefined;
    const loop = async (): Promise<void> => {
      try {
        while (next < spans.length) {
          stop.signal.throwIfAborted();
          await work(client, spans[next++]);
        }
      } catch (cause) {
        problem ??= { cause };
        stop.abort();
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#parallel, spans.length) }, loop));
    this.#options.signal?.removeEventListener("abort", abort);
    this.#options.signal?.throwIfAborted();
    if (problem) throw problem.cause;
  }

  /** Writes a span of chunks from however many answers it takes. */
  async #fetchSpan(client: HttpClient, { first, last }: Span): Promise<void> {
    const writer = new ChunkWriter(this.#partial, first, last);
    const { url, validator } = this.#file;
    await client.retrying(url, async progressed => {
      const begun = writer.at;
      const range = { first: writer.at, last: writer.at + writer.left - 1 };
      const reply = await client.request(url, rangeHeader(range, this.#expected === undefined ? validator : undefined));
      checkRange(reply, this.#file, range);
      for await (const piece of reply.pieces()) {
        if (piece.length > writer.left) {
          // Nothing of an answer that is longer than it says can be believed.
          this.#report(-writer.forget());
          throw new Transient("it sent more than was asked for");
        }
        this.#report((await writer.take(piece)) ?? 0);
        if (writer.at - begun >= someProgress) progressed();
      }
      if (writer.left > 0) throw new Transient("the answer ended early");
    });
    await writer.committed();
  }

  /**
   * From a server without ranges: all bytes from the first, in one answer. After a break all of them come again, and those of chunks that are
   * here are compared with their hash instead of being written.
   */
  async #fetchInOrder(): Promise<void> {
    const { url, bytes } = this.#file;
    await this.#client.retrying(url, async progressed => {
      this.#done = this.#partial.held;
      const before = this.#done;
      const reply = await this.#client.request(url);
      const writer = new ChunkWriter(this.#partial, 0, this.#partial.count - 1);
      try {
        const length = Number(reply.headers.get("content-length") ?? bytes);
        if (reply.status !== 200 || length !== bytes) throw changed(url);
        for await (const piece of reply.pieces()) {
          const fresh = piece.length > writer.left ? undefined : await writer.take(piece);
          if (fresh === undefined) throw changed(url);
          this.#report(fresh);
        }
      } finally {
        reply.cancel();
        await writer.committed();
      }
      if (writer.left === 0) return;
      if (this.#partial.held > before) progressed();
      throw new Transient("the answer ended early");
    });
  }

  /** Reads the file back and mends what is wrong, as far as it can be mended. */
  async #checked(): Promise<string> {
    let result = await this.#check();
    if (result.bad.length > 0) {
      // The disk has lost bytes: those chunks alone come again.
      await this.#partial.drop(result.bad);
      this.#done = this.#partial.held;
      await this.#fetchMissing();
      result = await this.#check();
    }
    if (this.#right(result)) return result.sha256;
    // The bytes are those that came, so wrong ones were sent. Which they are only a second delivery can tell.
    if (this.#expected !== undefined && this.#file.ranges && result.bad.length === 0) {
      await this.#fetchUntilAgreed();
      result = await this.#check();
      if (this.#right(result)) return result.sha256;
    }
    const message = `${shown(this.#file.url)} does not have the expected SHA-256, so what came was thrown away; pull again, or from elsewhere.`;
    throw new LatheError("remote.corrupt", message, { url: shown(this.#file.url), expected: this.#expected, found: result.sha256 });
  }

  #right({ sha256, bad }: { sha256: string; bad: readonly number[] }): boolean {
    return bad.length === 0 && (this.#expected === undefined || this.#expected === sha256);
  }

  async #check() {
    const { onProgress, signal } = this.#options;
    let done = 0;
    return this.#partial.check(signal, bytes => {
      done += bytes;
      onProgress?.("check", done, this.#file.bytes);
    });
  }

  /** Fetches every chunk until two deliveries in a row agree on it. */
  #fetchUntilAgreed(): Promise<void> {
    const all = Array.from({ length: this.#partial.count }, (_, i) => ({ first: i, last: i }));
    this.#done = 0;
    return this.#inParallel(all, async (client, span) => {
      for (let deliveries = 1; ; deliveries++) {
        const before = this.#partial.hash(span.first);
        await this.#partial.drop([span.first]);
        await this.#fetchSpan(client, span);
        if (this.#partial.hash(span.first) === before || deliveries === maxDeliveries) return;
        const { from, to } = this.#partial.range(span.first);
        this.#report(from - to);
      }
    });
  }

  #report(bytes: number): void {
    this.#done += bytes;
    this.#options.onProgress?.("fetch", this.#done, this.#file.bytes);
  }
}

function overtaken(path: string): LatheError {
  const message = `Another process has taken over the download of "${path}" while this one was asleep; pull again when it is done.`;
  return new LatheError("store.busy", message, { path });
}

function tooLarge({ url, bytes }: RemoteFile): LatheError {
  const message = `${shown(url)} says that it has ${bytes} bytes, more than any model; check the address.`;
  return new LatheError("remote.failed", message, { url: shown(url), bytes });
}
