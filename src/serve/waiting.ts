/**
 * Things that are waited for, but not for ever: one timer for all of a kind, which looks at the oldest. When many run out of time at once, they
 * are dealt with a few at a time, so that sending a crowd away holds nobody else up.
 */

/** Dealt with in one turn of the event loop, and milliseconds until the next such turn: who is sent away may be back at once, and costs again. */
const AT_ONCE = 1;
const TURN_MS = 10;

export class Waiting<T> {
  /** Since when, the oldest first, in milliseconds of `performance.now()`. */
  readonly #since = new Map<T, number>();
  readonly #ms: number;
  readonly #over: (late: T) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `over` is called, once, for what has been waited for so many milliseconds. */
  constructor(ms: number, over: (late: T) => void) {
    this.#ms = ms;
    this.#over = over;
  }

  get size(): number {
    return this.#since.size;
  }

  /** Waited for from now on. */
  enter(item: T): void {
    this.#since.delete(item);
    this.#since.set(item, performance.now());
    this.#timer ??= this.#later(this.#ms);
  }

  /** Waited for no more. False: it was not. */
  leave(item: T): boolean {
    const was = this.#since.delete(item);
    if (!this.#since.size) this.#rest();
    return was;
  }

  /** In the order in which they entered. */
  [Symbol.iterator](): Iterator<T> {
    return this.#since.keys();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #later(ms: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#look(), ms);
    timer.unref?.();
    return timer;
  }

  #look(): void {
    let left = AT_ONCE;
    let next: number | undefined;
    for (const [item, since] of this.#since) {
      const rest = since + this.#ms - performance.now();
      if (rest > 0 || left-- === 0) {
        next = Math.max(TURN_MS, rest);
        break;
      }
      this.#since.delete(item);
      this.#over(item);
    }
    this.#rest();
    if (this.#since.size) this.#timer = this.#later(next ?? this.#ms);
  }
}
