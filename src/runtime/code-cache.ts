/**
 * Compiled code that this thread has made or been given, by the text that it was made from: kernels of the same text are compiled once, however
 * many models are loaded. What was not asked for longest goes first when the room is used up.
 */

/** What keys and code of one cache may take, in bytes. */
const ROOM = 16 << 20;

interface Kept<T> {
  readonly code: T;
  readonly bytes: number;
}

export class CodeCache<T> {
  readonly #kept = new Map<string, Kept<T>>();
  readonly #sizeOf: (code: T) => number;
  readonly #room: number;
  #used = 0;

  /** `sizeOf`: bytes of a piece of code; `room`: bytes that all may take. */
  constructor(sizeOf: (code: T) => number, room = ROOM) {
    this.#sizeOf = sizeOf;
    this.#room = room;
  }

  /** The code under `key`, made by `make` where it is not known. */
  get(key: string, make: () => T): T {
    const known = this.#kept.get(key);
    if (known) {
      this.#kept.delete(key);
      this.#kept.set(key, known);
      return known.code;
    }
    const code = make();
    const bytes = key.length + this.#sizeOf(code);
    this.#kept.set(key, { code, bytes });
    this.#used += bytes;
    for (const [oldest, { bytes: size }] of this.#kept) {
      if (this.#used <= this.#room) break;
      this.#kept.delete(oldest);
      this.#used -= size;
    }
    return code;
  }
}
