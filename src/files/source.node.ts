/**
 * Files on disk as byte sources, over `node:fs`. Owns the file descriptor and the translation of the system's errors. Reads may also be
 * synchronous, because worker threads load weights that way, and may go straight into a SharedArrayBuffer.
 */
import { closeSync, fstatSync, openSync, read, readSync, statSync } from "node:fs";
import { LatheError } from "../errors.ts";
import type { ByteSource } from "./source.ts";
import { closedError, destination } from "./source.ts";

/** The most bytes that one system call is asked for: Linux cuts reads at 2^31 - 4096, and Node takes lengths below 2^31 only. */
const maxRead = 2 ** 30;

/** A file opened for reading. `fd` is shared by nobody; each thread opens the path for itself. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  private readonly fd: number;
  private closed = false;
  private readonly running = new Set<Promise<number>>();

  /** Use `openFile` or `openFileSync`. */
  constructor(name: string, fd: number, size: number) {
    this.name = name;
    this.fd = fd;
    this.size = size;
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    if (this.closed) throw closedError(this.name);
    const out = destination(this, offset, length, into);
    for (let done = 0; done < length; ) {
      if (this.closed) throw closedError(this.name);
      const step = this.readSome(out, done, Math.min(length - done, maxRead), offset + done);
      this.running.add(step);
      try {
        done += this.checked(await step, offset + done, length - done);
      } finally {
        this.running.delete(step);
      }
    }
    return out;
  }

  /** `read` without waiting for the event loop. Same arguments, same errors. */
  readSync(offset: number, length: number, into?: Uint8Array): Uint8Array {
    if (this.closed) throw closedError(this.name);
    const out = destination(this, offset, length, into);
    for (let done = 0; done < length; ) {
      let count: number;
      try {
        count = readSync(this.fd, out, done, Math.min(length - done, maxRead), offset + done);
      } catch (cause) {
        throw unreadable(this.name, cause);
      }
      done += this.checked(count, offset + done, length - done);
    }
    return out;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    // A descriptor number is reused at once, so a read still under way must end before it is given back.
    await Promise.allSettled(this.running);
    closeSync(this.fd);
  }

  private readSome(out: Uint8Array, at: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.fd, out, at, length, position, (cause, count) => (cause ? reject(unreadable(this.name, cause)) : resolve(count)));
    });
  }

  private checked(count: number, offset: number, length: number): number {
    if (count > 0) return count;
    const message = `"${this.name}" became shorter while it was read; load it again once nothing writes to it.`;
    throw new LatheError("file.changed", message, { path: this.name, size: this.size, offset, length });
  }
}

const codeOf = (cause: unknown): string => String((cause as { code?: unknown }).code ?? "unknown error");

const unreadable = (path: string, cause: unknown): LatheError =>
  new LatheError(
    "file.unreadable",
    `"${path}" cannot be read (${codeOf(cause)}); check its permissions and its disk.`,
    { path, cause: codeOf(cause) },
    { cause },
  );

function openError(path: string, cause: unknown): LatheError {
  const code = codeOf(cause);
  // A path with a zero byte, which Node refuses before asking the system, names no file either.
  if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "ERR_INVALID_ARG_VALUE") return unreadable(path, cause);
  return new LatheError("file.not-found", `There is no file "${path}"; check the path.`, { path }, { cause });
}

/**
 * Opens a file. Throws `file.not-found` where the path leads nowhere, `file.unreadable` where it is a folder, a device or may not be read.
 */
export function openFileSync(path: string): FileSource {
  let fd: number | undefined;
  try {
    // Asked before opening, because opening a pipe waits until somebody writes into it.
    const kind = statSync(path);
    if (!kind.isFile()) throw notFile(path, kind.isDirectory());
    fd = openSync(path, "r");
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw notFile(path, stat.isDirectory());
    return new FileSource(path, fd, stat.size);
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    throw cause instanceof LatheError ? cause : openError(path, cause);
  }
}

/** `openFileSync` for callers that expect a promise; opening itself is quick. */
export async function openFile(path: string): Promise<FileSource> {
  return openFileSync(path);
}

function notFile(path: string, folder: boolean): LatheError {
  const message = `"${path}" is ${folder ? "a folder" : "not an ordinary file"}; give the path of a model file.`;
  return new LatheError("file.unreadable", message, { path });
}
