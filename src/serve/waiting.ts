/**
 * Things that are waited for, but not for ever: one timer for all of a kind, which looks at the oldest. When many run out of time at once, they
 * are dealt with one at a time, so that sending a crowd away holds nobody else up.
 */

/** Milliseconds between two that are dealt with: who is sent away may be back at once, and costs more than one who stays and says nothing. */
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
    const rest = (since: number): number => since + this.#ms - performance.now();
    const [[item, since] = []] = this.#since;
    if (item !== undefined && rest(since!) <= 0) {
      this.#since.delete(item);
      this.#over(item);
    }
    const [[, next] = []] = this.#since;
    this.#rest();
    if (next !== undefined) this.#timer = this.#later(Math.max(TURN_MS, rest(next)));
  }
}
