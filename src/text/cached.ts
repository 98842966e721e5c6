/**
 * What the models share: short pieces of text are encoded once and then known. Also the scratch memory for symbols, which is given back
 * after a long piece.
 */
import type { PieceModel } from "./encoder.ts";
import { type Ids, PieceCache } from "./pieces.ts";

/** The largest scratch memory that is kept between calls, in symbols. */
const KEPT = 1 << 14;

export abstract class CachedModel implements PieceModel {
  readonly #cache = new PieceCache();
  #scratch = new Int32Array(256);

  encode(text: string, at: number, end: number, into: Ids): void {
    const place = this.#cache.find(text, at, end, into);
    if (place < 0) return;
    const start = into.size;
    this.encodeNew(text, at, end, into);
    this.#cache.keep(place, text, at, end, into, start);
  }

  /** Appends the ids of a piece that is not known. */
  protected abstract encodeNew(text: string, at: number, end: number, into: Ids): void;

  /** Memory for `count` symbols, until the next call. */
  protected scratch(count: number): Int32Array {
    if (count > this.#scratch.length || this.#scratch.length > KEPT) this.#scratch = new Int32Array(Math.max(count, 256));
    return this.#scratch;
  }
}
