/** A store in memory that forgets the least recently used beyond a number of bytes. Sizes are those of the JSON text. */

interface Item<T> {
  readonly value: T;
  readonly bytes: number;
}

export class Kept<T> {
  readonly #items = new Map<string, Item<T>>();
  readonly #most: number;
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#most = mostBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  set(key: string, value: T): void {
    this.delete(key);
    const bytes = 2 * (JSON.stringify(value).length + key.length);
    if (bytes > this.#most) return;
    this.#items.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#items.keys()) {
      if (this.#bytes <= this.#most) break;
      this.delete(oldest);
    }
  }

  get(key: string): T | undefined {
    const item = this.#items.get(key);
    if (!item) return undefined;
    this.#items.delete(key);
    this.#items.set(key, item);
    return item.value;
  }

  delete(key: string): boolean {
    const item = this.#items.get(key);
    if (item) this.#bytes -= item.bytes;
    return this.#items.delete(key);
  }
}
