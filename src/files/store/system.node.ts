/** Calls of the file system that the store makes, with its errors as errors of Lathe: writing fully, flushing folders, free space. */
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { open, statfs } from "node:fs/promises";
import { LatheError } from "../../errors.ts";

const codeOf = (cause: unknown): string => String((cause as { code?: unknown }).code ?? "unknown error");

/** Runs an action that writes. @throws LatheError store.disk-full, file.write-failed */
export async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof LatheError) throw cause;
    const code = codeOf(cause);
    if (code === "ENOSPC" || code === "EDQUOT") {
      const message = `The disk of "${path}" is full; free some space and pull again, what has come so far is kept.`;
      throw new LatheError("store.disk-full", message, { path, cause: code }, { cause });
    }
    const message = `"${path}" cannot be written (${code}); check that its folder may be written to.`;
    throw new LatheError("file.write-failed", message, { path, cause: code }, { cause });
  }
}

/** Opens a file of the store's own for reading and writing, making it where it is missing; a link there is not followed. Windows cannot tell. */
export function openOwn(path: string): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW = 0 } = constants;
  return open(path, O_RDWR | O_CREAT | O_NOFOLLOW);
}

/** Writes all of `bytes` at `position`; one call of the system may take fewer than it is given. */
export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Makes names in a folder last through a power cut; systems that cannot do it (Windows) refuse, which is no failure. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch {}
}

/** Left free whatever is pulled: journals, manifests, and room to breathe for others. */
const spareBytes = 16 * 2 ** 20;

/** @throws LatheError store.disk-full unless `needed` bytes can be written into `folder`. */
export async function requireSpace(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const available = bavail * bsize;
  if (needed + spareBytes <= available) return;
  const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`;
  const message = `"${folder}" has ${mib(available)} free and ${mib(needed)} are needed; free some space, or set LATHE_HOME to a folder on another disk.`;
  throw new LatheError("store.disk-full", message, { folder, needed, available });
}
