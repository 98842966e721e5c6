/**
 * A file that is not whole yet: its bytes under a temporary name beside its journal. Owns the order of flushes on which everything rests:
 * first the bytes of a chunk, then the line that says they are there; first the whole file, checked, then its name.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Journal, type JournalHead } from "./journal.node.ts";
import { openOwn, syncFolder, writeFully, writing } from "./system.node.ts";

export const partialName = (path: string): string => `${path}.part`;
const journalName = (path: string): string => `${path}.journal`;

export interface Checked {
  /** Of the whole file. */
  readonly sha256: string;
  /** Chunks whose bytes are not those that the journal promises. */
  readonly bad: readonly number[];
}

export class Partial {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #journal: Journal;
  #waiting: { entry: readonly [number, string]; done: () => void; failed: (cause: unknown) => void }[] = [];
  #flushing: Promise<void> | undefined;

  private constructor(path: string, file: FileHandle, journal: Journal) {
    this.path = path;
    this.#file = file;
    this.#journal = journal;
  }

  /** Opens or begins the partial file that will become `path`. @throws LatheError file.write-failed, store.disk-full */
  static async open(path: string, head: JournalHead): Promise<Partial> {
    const name = partialName(path);
    const file = await writing(name, () => openOwn(name));
    try {
      return new Partial(path, file, await Journal.open(journalName(path), head));
    } catch (problem) {
      await file.close();
      throw problem;
    }
  }

  get chunkBytes(): number {
    return this.#journal.head.chunkBytes;
  }

  get count(): number {
    return Math.ceil(this.#journal.head.bytes / this.chunkBytes);
  }

  /** First byte of a chunk, and the byte behind its last one. */
  range(index: number): { from: number; to: number } {
    const from = index * this.chunkBytes;
    return { from, to: Math.min(from + this.chunkBytes, this.#journal.head.bytes) };
  }

  /** SHA-256 of a chunk that is on the disk. */
  hash(index: number): string | undefined {
    return this.#journal.chunks.get(index);
  }

  missing(): number[] {
    return Array.from({ length: this.count }, (_, i) => i).filter(i => this.hash(i) === undefined);
  }

  /** Bytes that need not come again. */
  get held(): number {
    let sum = 0;
    for (const index of this.#journal.chunks.keys()) sum += this.range(index).to - this.range(index).from;
    return sum;
  }

  /** Gives the file its size, once it is known to fit. */
  grow(): Promise<void> {
    return writing(this.path, () => this.#file.truncate(this.#journal.head.bytes));
  }

  write(position: number, bytes: Uint8Array): Promise<void> {
    return writing(this.path, () => writeFully(this.#file, bytes, position));
  }

  /** Resolves when a chunk, all of it written, would survive a power cut. Chunks that wait together are flushed together. */
  commit(index: number, sha256: string): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ entry: [index, sha256], done, failed });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await writing(this.path, () => this.#file.datasync());
        await this.#journal.add(batch.map(b => b.entry));
        for (const b of batch) b.done();
      } catch (cause) {
        for (const b of batch) b.failed(cause);
      }
    }
    // In the same turn in which nothing was waiting: a chunk that comes later must start a new flush.
    this.#flushing = undefined;
  }

  /** Takes chunks back, before their bytes are written anew. */
  drop(indices: readonly number[]): Promise<void> {
    return this.#journal.drop(indices);
  }

  /** Reads everything back from the disk, once for both kinds of hashes. */
  async check(signal?: AbortSignal, progress?: (bytes: number) => void): Promise<Checked> {
    const whole = createHash("sha256");
    const bad: number[] = [];
    const buffer = new Uint8Array(Math.min(this.chunkBytes, 2 ** 22));
    for (let index = 0; index < this.count; index++) {
      const chunk = createHash("sha256");
      const { from, to } = this.range(index);
      for (let at = from; at < to; ) {
        signal?.throwIfAborted();
        const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, to - at), at);
        if (bytesRead === 0) break; // the hash will tell
        const piece = buffer.subarray(0, bytesRead);
        whole.update(piece);
        chunk.update(piece);
        at += bytesRead;
        progress?.(bytesRead);
      }
      if (chunk.digest("hex") !== this.hash(index)) bad.push(index);
    }
    return { sha256: whole.digest("hex"), bad };
  }

  /** Gives the checked file its name. It stays closed. */
  async finish(): Promise<void> {
    await writing(this.path, () => this.#file.sync());
    await this.close();
    await writing(this.path, () => rename(partialName(this.path), this.path));
    await syncFolder(dirname(this.path));
    await rm(journalName(this.path), { force: true });
  }

  /** Lets go of the files, which stay and can be gone on with. */
  async close(): Promise<void> {
    await this.#flushing?.catch(() => undefined);
    await Promise.all([this.#file.close(), this.#journal.close()]);
  }

  /** Removes what was loaded. The journal goes first, since a journal without bytes would promise too much. */
  async discard(): Promise<void> {
    await this.close();
    await removePartial(this.path);
  }
}

/** Removes the unfinished file of `path`, if there is one. */
export async function removePartial(path: string): Promise<void> {
  await rm(journalName(path), { force: true });
  await rm(partialName(path), { force: true });
}
