/**
 * A file on a server: what is known about it after one small request, and its bytes as a `ByteSource` through range requests, so that the
 * header of a model can be read without the model. Owns the meaning of ranges and validators in answers; `http.node.ts` makes the requests.
 */
import { LatheError } from "../../errors.ts";
import type { ByteSource } from "../source.ts";
import { closedError, destination } from "../source.ts";
import { isSha256 } from "./address.ts";
import { type ByteRange, type HttpClient, type Reply, shown, Transient } from "./http.node.ts";

/** What one request tells about a file. */
export interface RemoteFile {
  readonly url: string;
  readonly bytes: number;
  /** Whether the server serves ranges. */
  readonly ranges: boolean;
  /** Changes when the content does: a strong ETag, or a date of change. */
  readonly validator: string | undefined;
  /** What the server says the content's SHA-256 is (the Hub does, in its redirect). */
  readonly sha256: string | undefined;
  /** The first bytes, at most `headBytes`. */
  readonly head: Uint8Array;
}

const headBytes = 4;
/** From a server without ranges, bytes behind this are not asked for, because all before them would have to come too. */
const farthestUnranged = 2 ** 26;

/** Asks for the first bytes of a file. @throws LatheError remote.*, file.changed; the signal's reason */
export function probe(client: HttpClient, url: string): Promise<RemoteFile> {
  return client.retrying(url, async () => {
    const reply = await client.request(url, rangeHeader({ first: 0, last: headBytes - 1 }));
    const bytes = sizeOf(reply);
    if (bytes === undefined) {
      reply.cancel();
      const message = `The server does not say how long ${shown(url)} is, so it cannot be read safely; download it by other means.`;
      throw new LatheError("remote.failed", message, { url: shown(url) });
    }
    const head = new Uint8Array(Math.min(headBytes, bytes));
    if (reply.status !== 416) await fill(reply, head, 0);
    else reply.cancel();
    const linked = reply.firstHeaders.get("x-linked-etag")?.replaceAll('"', "").toLowerCase();
    const sha256 = isSha256(linked) ? linked : undefined;
    return { url, bytes, ranges: reply.status !== 200, validator: validatorOf(reply), sha256, head };
  });
}

export function rangeHeader({ first, last }: ByteRange, validator?: string): Record<string, string> {
  return { range: `bytes=${first}-${last}`, ...(validator === undefined ? {} : { "if-range": validator }) };
}

/** Weak ETags promise only that contents mean the same, not that their bytes are equal. */
function validatorOf({ headers }: Reply): string | undefined {
  const etag = headers.get("etag");
  if (etag !== null && /^"[^"]*"$/.test(etag)) return etag;
  return headers.get("last-modified") ?? undefined;
}

const contentRange = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+)$/;

/** The size of the whole file, from the answer to a request for a range; undefined where it is not told. */
function sizeOf({ status, headers }: Reply): number | undefined {
  const text = status === 200 ? headers.get("content-length") : contentRange.exec(headers.get("content-range") ?? "")?.[3];
  if (text === null || text === undefined || !/^\d+$/.test(text)) return undefined;
  const bytes = Number(text);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Thrown where a server that served ranges answers with the whole file: it has changed, or no longer serves ranges. */
export class RangeRefused extends Error {}

/**
 * Checks that an answer holds the bytes asked for, of the file that was probed. @throws Transient for a wrong range, RangeRefused for the
 * whole file, LatheError file.changed where size or validator are others.
 */
export function checkRange(reply: Reply, file: RemoteFile, { first, last }: ByteRange): void {
  try {
    const bytes = sizeOf(reply);
    const validator = validatorOf(reply);
    const other = file.validator !== undefined && validator !== undefined && validator !== file.validator;
    // Caches of one content differ in their validators; where its SHA-256 is known, that decides in the end.
    if ((bytes !== undefined && bytes !== file.bytes) || (other && file.sha256 === undefined)) throw changed(file.url);
    if (reply.status === 200) throw new RangeRefused();
    const [, from, to] = contentRange.exec(reply.headers.get("content-range") ?? "") ?? [];
    if (reply.status !== 206 || Number(from) !== first || Number(to) !== last)
      throw new Transient("it sent another range than was asked for");
  } catch (problem) {
    reply.cancel();
    throw problem;
  }
}

export const changed = (url: string): LatheError =>
  new LatheError("file.changed", `${shown(url)} changed while it was being read; try again.`, { url: shown(url) });

/** Fills `out` from a body after leaving out `skip` bytes, then closes it. @throws Transient where the body ends too early */
async function fill(reply: Reply, out: Uint8Array, skip: number): Promise<void> {
  let done = -skip;
  for await (const piece of reply.pieces()) {
    const useful = piece.subarray(Math.max(0, -done), Math.max(0, out.length - done));
    out.set(useful, Math.max(0, done));
    done += piece.length;
    if (done >= out.length) return;
  }
  if (done < out.length) throw new Transient("the answer ended early");
}

/**
 * A file on a server as a source of bytes. Reads are requests, and go on when the connection breaks.
 * @throws LatheError remote.*; the signal's reason
 */
export async function openRemote(client: HttpClient, url: string): Promise<ByteSource> {
  const file = await probe(client, url);
  let closed = false;
  const source: ByteSource = {
    name: shown(url),
    size: file.bytes,
    async read(offset, length, into) {
      if (closed) throw closedError(source.name);
      const out = destination(source, offset, length, into);
      if (length > 0) await client.retrying(url, () => readRange(client, file, offset, out));
      return out;
    },
    async close() {
      closed = true;
    },
  };
  return source;
}

async function readRange(client: HttpClient, file: RemoteFile, offset: number, out: Uint8Array): Promise<void> {
  const range = { first: offset, last: offset + out.length - 1 };
  const reply = await client.request(file.url, rangeHeader(range));
  try {
    checkRange(reply, file, range);
  } catch (problem) {
    if (!(problem instanceof RangeRefused)) throw problem;
    if (offset + out.length > farthestUnranged) throw noRanges(file.url);
    return fill(await client.request(file.url), out, offset);
  }
  await fill(reply, out, 0);
}

const noRanges = (url: string): LatheError =>
  new LatheError("remote.failed", `The server of ${shown(url)} does not serve parts of a file; pull the model to look at it.`, {
    url: shown(url),
  });
