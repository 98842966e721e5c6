/**
 * The interface between native code and the operating system, and the checks that its implementations share.
 */
import { closeSync, fstatSync, openSync } from "node:fs";
import { LatheError } from "../../errors.ts";

export type Advice = "huge" | "willneed" | "sequential" | "dontneed";

export interface System {
  readonly name: "linux" | "darwin" | "win32";
  /** Bytes. */
  readonly pageSize: number;
  /** Fresh memory, zero, readable and writable. `huge` wishes for huge pages. Throws `memory.insufficient`. */
  reserve(bytes: number, options?: { readonly huge?: boolean }): bigint;
  /**
   * Places code on fresh pages, which are writable first and executable afterwards, never both. Returns its address, a multiple of the page
   * size. Throws `target.unavailable` where the system forbids new code.
   */
  installCode(code: Uint8Array): bigint;
  /**
   * Maps bytes of a file, read-only and shared with everyone who maps it. `offset` may be any number. Throws `file.not-found`,
   * `file.unreadable`, or `file.changed` where the file has not that many bytes. A file that is cut short while it is mapped ends the process
   * when the missing part is read.
   */
  mapFile(path: string, offset: number, bytes: number): bigint;
  /** Gives back all of what `reserve`, `installCode` or `mapFile` returned, from any thread. */
  release(address: bigint, bytes: number): void;
  /**
   * How this memory is going to be used; a hint that may do nothing. `dontneed` concerns only pages that lie in the range as a whole; reserved
   * memory then reads as zero or as before.
   */
  advise(address: bigint, bytes: number, what: Advice): void;
  /** The function `void f(int64_t)` at this address, to be called from the thread that asks. A call costs some 30 ns. */
  callable(address: bigint): (args: number | bigint) => void;
  /** Where a buffer's bytes lie. They do not move, but live only as long as the buffer does. */
  addressOf(buffer: SharedArrayBuffer | ArrayBuffer): bigint;
  /** Copies raw memory into an array. */
  read(address: bigint, into: Uint8Array): void;
  /** Copies an array into raw memory. */
  write(address: bigint, from: Uint8Array): void;
}

/** A function of a system library. Integers come back as numbers, or as bigints above 2^53. */
export type Foreign = (...args: readonly (number | bigint | string | null | ArrayBufferView)[]) => number | bigint;

/** The part of koffi that is used here. */
export interface Koffi {
  load(path: string | null): { func(name: string, result: string, args: readonly string[]): Foreign };
  proto(result: string, args: readonly string[]): object;
  decode(address: bigint, type: object): (args: number | bigint) => void;
  address(value: ArrayBufferView): bigint;
  errno(): number;
}

/** The parts of a `System` that are different from one operating system to another. */
export type Platform = Omit<System, "callable" | "addressOf" | "read" | "write"> & {
  /** Copies into raw memory: address, array, bytes. */
  readonly copyIn: Foreign;
  /** Copies out of it: array, address, bytes. */
  readonly copyOut: Foreign;
};

/** Sizes come from this program and never unchecked from a file; a wrong one is a mistake here. */
export function checkSize(bytes: number): void {
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new TypeError(`a size of ${bytes} bytes`);
}

export const outOfMemory = (bytes: number): LatheError =>
  new LatheError(
    "memory.insufficient",
    `The system refused ${Math.ceil(bytes / 2 ** 20)} MiB of memory; close other programs or choose a smaller model.`,
    { needed: bytes },
  );

/** The three steps of installing code: writable pages, the bytes, then executable and no longer writable. `seal` returns 0 or an error number. */
export function install(code: Uint8Array, system: Pick<Platform, "reserve" | "release" | "copyIn">, seal: (at: bigint) => number): bigint {
  const at = system.reserve(code.length);
  system.copyIn(at, code, code.length);
  const error = seal(at);
  if (error === 0) return at;
  system.release(at, code.length);
  const message = "This system does not let a program make machine code; use the WebAssembly target.";
  throw new LatheError("target.unavailable", message, { error });
}

/**
 * Opens a file that is about to be mapped, hands its descriptor to `map` and closes it. Reading mapped bytes that the file does not have would
 * end the process, so its size is looked at first.
 */
export function withFile(path: string, offset: number, bytes: number, map: (fd: number) => bigint): bigint {
  checkSize(bytes);
  if (!Number.isSafeInteger(offset) || offset < 0) throw new TypeError(`an offset of ${offset} bytes`);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code === "ENOENT" ? "file.not-found" : "file.unreadable";
    throw new LatheError(code, `${path} cannot be opened.`, { path }, { cause });
  }
  try {
    const info = fstatSync(fd);
    if (!info.isFile()) throw new LatheError("file.unreadable", `${path} is not a file.`, { path });
    if (info.size < offset + bytes) {
      const message = `${path} is shorter than it was: ${info.size} bytes, and ${offset + bytes} are needed.`;
      throw new LatheError("file.changed", message, { path, size: info.size, needed: offset + bytes });
    }
    return map(fd);
  } finally {
    closeSync(fd);
  }
}
