/**
 * Takes the bytes of consecutive chunks as they come from a connection: writes them, hashes them, and commits each chunk that is complete.
 * Owns where one chunk ends and the next begins; where bytes come from is the caller's business.
 */
import { createHash, type Hash } from "node:crypto";
import type { Partial } from "./partial.node.ts";

export class ChunkWriter {
  readonly #partial: Partial;
  readonly #end: number;
  #index: number;
  #hash: Hash = createHash("sha256");
  #commit: Promise<void> = Promise.resolve();
  /** Offset in the file of the next byte. */
  at: number;

  /** For chunks `first` to `last`, both included. */
  constructor(partial: Partial, first: number, last: number) {
    this.#partial = partial;
    this.#index = first;
    this.at = partial.range(first).from;
    this.#end = partial.range(last).to;
  }

  /** Bytes still to come. */
  get left(): number {
    return this.#end - this.at;
  }

  /**
   * Takes the next bytes, not more than are left. Bytes of a chunk that the partial file holds already are compared with its hash instead of
   * being written. Returns how many bytes were new; undefined where a comparison failed.
   */
  async take(bytes: Uint8Array): Promise<number | undefined> {
    let fresh = 0;
    for (let rest = bytes; rest.length > 0; ) {
      const { to } = this.#partial.range(this.#index);
      const piece = rest.subarray(0, to - this.at);
      rest = rest.subarray(piece.length);
      const known = this.#partial.hash(this.#index);
      this.#hash.update(piece);
      if (known === undefined) {
        await this.#partial.write(this.at, piece);
        fresh += piece.length;
      }
      this.at += piece.length;
      if (this.at < to) continue;
      const sha256 = this.#hash.digest("hex");
      if (known === undefined) await this.#committing(sha256);
      else if (known !== sha256) return undefined;
      this.#hash = createHash("sha256");
      this.#index++;
    }
    return fresh;
  }

  /** Forgets the bytes of the chunk that is not complete; returns how many they were. */
  forget(): number {
    const { from } = this.#partial.range(this.#index);
    const forgotten = this.at - from;
    this.at = from;
    this.#hash = createHash("sha256");
    return forgotten;
  }

  /** Resolves when all complete chunks are committed. */
  committed(): Promise<void> {
    return this.#commit;
  }

  /** Bytes of the next chunk come in while the disk flushes this one, but not of more: what is not flushed is lost when a process dies. */
  async #committing(sha256: string): Promise<void> {
    await this.#commit;
    this.#commit = this.#partial.commit(this.#index, sha256);
    this.#commit.catch(() => undefined); // whoever waits for it next is told
  }
}
