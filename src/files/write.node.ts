/**
 * Writes files so that under their final name they are whole or not there: into a temporary file in the same folder, flushed to the disk,
 * then renamed. Owns that and the translation of the system's errors; what is written is the caller's.
 */
import { randomUUID } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LatheError } from "../errors.ts";
import { splitName } from "./gguf.ts";
import type { ByteSink, GgufContent } from "./gguf-write.ts";
import { splitGguf, writeGguf } from "./gguf-write.ts";

/**
 * Calls `write` with a sink and gives what it wrote the name `path`, replacing a file that was there. Where anything fails, `path` is as it
 * was and the temporary file is removed. Throws `file.write-failed` for errors of the system, and what `write` throws.
 */
export async function atomicWrite(path: string, write: (sink: ByteSink) => Promise<unknown>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path).slice(0, 100)}.${randomUUID()}.tmp`);
  const file = await attempt(path, () => open(temporary, "wx"));
  try {
    try {
      await write(bytes => attempt(path, () => writeAll(file, bytes)));
      await attempt(path, () => file.sync());
    } finally {
      await attempt(path, () => file.close());
    }
    await attempt(path, () => rename(temporary, path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw cause;
  }
  await syncFolder(dirname(path));
}

/**
 * Writes a model to `path`, or, where its tensors have more than `maxPartBytes` bytes, to several files named by `splitName`. Returns the
 * paths. Each file is written atomically; a model that was cut is complete only when this returns. `onProgress` gets the bytes written so
 * far. Errors of `atomicWrite` and `writeGguf`.
 */
export async function writeModelFile(
  path: string,
  content: GgufContent,
  maxPartBytes: number = Infinity,
  onProgress?: (bytes: number) => void,
): Promise<string[]> {
  const parts = splitGguf(content, maxPartBytes);
  const paths = parts.length === 1 ? [path] : parts.map((_, i) => splitName(path, i, parts.length));
  let done = 0;
  const counted =
    (sink: ByteSink): ByteSink =>
    async bytes => {
      await sink(bytes);
      onProgress?.((done += bytes.length));
    };
  for (const [i, part] of parts.entries()) await atomicWrite(paths[i], sink => writeGguf(part, counted(sink)));
  return paths;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    // One system call takes at most 2^31 bytes, and may take fewer than it is given.
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.length - done, 2 ** 30));
    done += bytesWritten;
  }
}

/** Makes the new name itself last through a power cut; systems that cannot do it (Windows) refuse, which is no failure of the write. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch {}
}

async function attempt<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const code = String((cause as { code?: unknown }).code ?? "unknown error");
    const message = `"${path}" cannot be written (${code}); check that its folder exists, may be written to and has space left.`;
    throw new LatheError("file.write-failed", message, { path, cause: code }, { cause });
  }
}
