/**
 * Two small containers of the encoders: a growing list of ids, and the cache from a short piece of text to its ids. The cache has a fixed
 * size and allocates nothing per piece: a piece has one place in it and the newest one wins.
 */

/** A growing list of token ids. */
export class Ids {
  list = new Int32Array(256);
  size = 0;

  push(id: number): void {
    if (this.size === this.list.length) this.#grow(this.size + 1);
    this.list[this.size++] = id;
  }

  /** Appends the first `count` of `ids`, starting at `from`. */
  append(ids: Int32Array, from: number, count: number): void {
    if (this.size + count > this.list.length) this.#grow(this.size + count);
    for (let i = 0; i < count; i++) this.list[this.size + i] = ids[from + i];
    this.size += count;
  }

  /** A copy of exactly the ids, less the first `skip`. */
  take(skip = 0): Int32Array {
    return this.list.slice(skip, this.size);
  }

  #grow(need: number): void {
    const grown = new Int32Array(Math.max(need, this.list.length * 2));
    grown.set(this.list);
    this.list = grown;
  }
}

const BITS = 15;
const PLACES = 1 << BITS;
/** Longest piece in UTF-16 units, and most ids, that have room. */
const UNITS = 16;
const MOST = 8;

/** 2.1 MiB: 32,768 places of 16 units and 8 ids. */
export class PieceCache {
  readonly #units = new Uint16Array(PLACES * UNITS);
  readonly #ids = new Int32Array(PLACES * MOST);
  readonly #lengths = new Uint8Array(PLACES);
  readonly #counts = new Uint8Array(PLACES);

  /** Appends the ids of `text[at..end)` if they are known and returns -1; else the place to `keep` them at, or PLACES if too long. */
  find(text: string, at: number, end: number, into: Ids): number {
    const length = end - at;
    if (length > UNITS) return PLACES;
    let hash = length;
    for (let i = at; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x9e3779b1) ^ (hash >>> 15);
    const place = Math.imul(hash ^ (hash >>> 13), 0x85ebca6b) >>> (32 - BITS);
    if (this.#lengths[place] !== length) return place;
    const units = this.#units;
    for (let i = 0, from = place * UNITS; i < length; i++) if (units[from + i] !== text.charCodeAt(at + i)) return place;
    into.append(this.#ids, place * MOST, this.#counts[place]);
    return -1;
  }

  /** Remembers that `text[at..end)` gave the ids of `from` since `start`. */
  keep(place: number, text: string, at: number, end: number, from: Ids, start: number): void {
    const count = from.size - start;
    if (place >= PLACES || count > MOST) return;
    for (let i = at; i < end; i++) this.#units[place * UNITS + i - at] = text.charCodeAt(i);
    for (let i = 0; i < count; i++) this.#ids[place * MOST + i] = from.list[start + i];
    this.#lengths[place] = end - at;
    this.#counts[place] = count;
  }
}
