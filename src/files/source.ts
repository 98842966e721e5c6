/**
 * Where bytes come from: the one interface through which model files are read, and its two forms that need no platform, bytes in memory
 * and a browser's Blob. Files on disk are in `source.node.ts`. Knows nothing of file formats.
 */
import { LatheError } from "../errors.ts";

/** A sequence of bytes of known size that can be read at any place, in any order, by several readers at once. */
export interface ByteSource {
  /** What to call it in messages: a path, a URL, a file name. */
  readonly name: string;
  /** Bytes. Fixed when the source is opened. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes from byte `offset` on, into the front of `into` where given (which may lie in a SharedArrayBuffer), else
   * into a new array. Returns the `length` bytes read: `into`, cut to that length.
   *
   * Throws `file.changed` where the bytes are no longer there, `file.unreadable` on an I/O error, `model.closed` after `close`, and a
   * RangeError where the range does not lie inside `size` or `into` is too small, which is a mistake of the caller.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Gives back what the source holds. May be called twice. */
  close(): Promise<void>;
}

/** The array that a read fills; checks the caller's range once for every kind of source. */
export function destination(source: ByteSource, offset: number, length: number, into: Uint8Array | undefined): Uint8Array {
  const inside =
    Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= source.size;
  if (!inside) throw new RangeError(`bytes ${offset} to ${offset + length} do not lie in ${source.name} (${source.size} bytes)`);
  if (into === undefined) return new Uint8Array(length);
  if (into.length < length) throw new RangeError(`${length} bytes do not fit into an array of ${into.length}`);
  return into.length === length ? into : into.subarray(0, length);
}

/** The error of every source that is read after `close`. */
export const closedError = (name: string): LatheError =>
  new LatheError("model.closed", `"${name}" was closed; open it again before reading from it.`, { name });

/** A source over what `bytesAt` gives: as many bytes as asked for, or an error. They are copied. */
function sourceOver(name: string, size: number, bytesAt: (offset: number, length: number) => Uint8Array | Promise<Uint8Array>): ByteSource {
  let closed = false;
  const source: ByteSource = {
    name,
    size,
    async read(offset, length, into) {
      if (closed) throw closedError(name);
      const out = destination(source, offset, length, into);
      out.set(await bytesAt(offset, length));
      return out;
    },
    async close() {
      closed = true;
    },
  };
  return source;
}

/** Bytes in memory, which must not change while the source is used. Reads are copies. */
export const bytesSource = (bytes: Uint8Array, name = "memory"): ByteSource =>
  sourceOver(name, bytes.length, (offset, length) => bytes.subarray(offset, offset + length));

/** A Blob or File of the browser (Node has them too). */
export const blobSource = (blob: Blob, name = (blob as { name?: string }).name ?? "blob"): ByteSource =>
  sourceOver(name, blob.size, async (offset, length) => {
    const bytes = await blobBytes(blob.slice(offset, offset + length), name);
    if (bytes.length === length) return bytes;
    const message = `"${name}" became shorter while it was read; choose the file again once nothing writes to it.`;
    throw new LatheError("file.changed", message, { name, offset, length, found: bytes.length });
  });

async function blobBytes(blob: Blob, name: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    // Browsers reject with NotReadableError both where the file changed and where it cannot be read.
    throw new LatheError("file.unreadable", `"${name}" cannot be read; choose the file again.`, { name }, { cause });
  }
}
