/**
 * The journal of a file that is being downloaded: which chunks of it are on the disk, and the SHA-256 of each. Owns the format, one line of
 * text per fact, each with a checksum of its own, only ever appended to. A line that a crash cut short ends the journal: what stands behind
 * it was never promised.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { isSha256 } from "./address.ts";
import { openOwn, writeFully, writing } from "./system.node.ts";

/** What the chunks are chunks of. */
export interface JournalHead {
  readonly bytes: number;
  readonly chunkBytes: number;
  /** The content's SHA-256 or the server's validator; a journal of other content is of no use. */
  readonly content: string;
}

const kind = "lathe-journal-1";
const smallestChunk = 2 ** 12;
const largestChunk = 2 ** 30;
/** No line is longer; a longer one is no journal. */
const maxLine = 4096;

const lineOf = (fact: unknown): string => {
  const text = JSON.stringify(fact);
  return `${checksum(text)} ${text}\n`;
};
const checksum = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** The facts of all whole lines, and how many bytes they take. */
function factsOf(bytes: Buffer): { facts: unknown[]; length: number } {
  const facts: unknown[] = [];
  let length = 0;
  for (;;) {
    const end = bytes.indexOf(10, length);
    if (end < 0 || end - length > maxLine) break;
    const [, sum, text] = /^([0-9a-f]{16}) (.*)$/.exec(bytes.toString("utf8", length, end)) ?? [];
    if (sum === undefined || checksum(text) !== sum) break;
    facts.push(JSON.parse(text));
    length = end + 1;
  }
  return { facts, length };
}

function headOf(fact: unknown): JournalHead | undefined {
  if (!Array.isArray(fact) || fact[0] !== kind) return undefined;
  const [, bytes, chunkBytes, content] = fact as unknown[];
  const valid =
    Number.isSafeInteger(bytes) &&
    Number.isSafeInteger(chunkBytes) &&
    (chunkBytes as number) >= smallestChunk &&
    (chunkBytes as number) <= largestChunk &&
    typeof content === "string";
  return valid ? { bytes: bytes as number, chunkBytes: chunkBytes as number, content: content as string } : undefined;
}

export class Journal {
  readonly path: string;
  readonly head: JournalHead;
  /** SHA-256 of the chunks that are on the disk, by their number. */
  readonly chunks: Map<number, string>;
  readonly #file: FileHandle;
  #end: number;
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle, head: JournalHead, chunks: Map<number, string>, end: number) {
    this.path = path;
    this.#file = file;
    this.head = head;
    this.chunks = chunks;
    this.#end = end;
  }

  /**
   * Opens the journal at `path` and goes on with it if it is of the wished content (with the size of chunks that it has), or begins it anew.
   * The caller holds the lock of the download. @throws LatheError file.write-failed, store.disk-full
   */
  static async open(path: string, wished: JournalHead): Promise<Journal> {
    const file = await writing(path, () => openOwn(path));
    try {
      const { facts, length } = factsOf(await writing(path, () => file.readFile()));
      const head = headOf(facts[0]);
      if (head !== undefined && head.bytes === wished.bytes && head.content === wished.content) {
        await writing(path, () => file.truncate(length));
        return new Journal(path, file, head, chunksOf(facts.slice(1), head), length);
      }
      await writing(path, () => file.truncate(0));
      const journal = new Journal(path, file, wished, new Map(), 0);
      await journal.#append([[kind, wished.bytes, wished.chunkBytes, wished.content]]);
      return journal;
    } catch (problem) {
      await file.close();
      throw problem;
    }
  }

  /** Records chunks whose bytes the caller has flushed to the disk, and flushes the record. */
  async add(entries: readonly (readonly [index: number, sha256: string])[]): Promise<void> {
    await this.#append(entries);
    for (const [index, sha256] of entries) this.chunks.set(index, sha256);
  }

  /** Takes chunks back, before their bytes are written anew. */
  async drop(indices: readonly number[]): Promise<void> {
    await this.#append(indices.map(index => [index, null]));
    for (const index of indices) this.chunks.delete(index);
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#file.close();
  }

  /** One after the other, each behind the last that succeeded. */
  #append(facts: readonly unknown[]): Promise<void> {
    const text = Buffer.from(facts.map(lineOf).join(""));
    const append = async (): Promise<void> => {
      await writeFully(this.#file, text, this.#end);
      await this.#file.datasync();
      this.#end += text.length;
    };
    this.#last = this.#last.catch(() => undefined).then(() => writing(this.path, append));
    return this.#last;
  }
}

function chunksOf(facts: readonly unknown[], head: JournalHead): Map<number, string> {
  const count = Math.ceil(head.bytes / head.chunkBytes);
  const chunks = new Map<number, string>();
  for (const fact of facts) {
    const [index, sha256] = Array.isArray(fact) ? (fact as unknown[]) : [];
    if (!Number.isSafeInteger(index) || (index as number) < 0 || (index as number) >= count) continue;
    if (isSha256(sha256)) chunks.set(index as number, sha256);
    else chunks.delete(index as number);
  }
  return chunks;
}
