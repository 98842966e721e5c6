/**
 * Ending threads safely. A thread that is ended while it sets up native code takes the process with it: koffi cannot report its failure to a
 * thread that may run no more JavaScript, and aborts. So threads do that `inside`, behind the doors that they were started with, and whoever
 * ends them shuts their door first: it waits until nobody is inside, and nobody comes in again. At the end of the process all doors are shut.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, workerData } from "node:worker_threads";

const [INSIDE, SHUT, WORDS] = [0, 1, 2];
/** A thread that died inside never comes out; nobody is kept waiting longer for it, in milliseconds. */
const PATIENCE_MS = 2000;

/** What a worker is started with to pass doors, in its `workerData`. */
export interface BehindDoors {
  readonly doors: readonly SharedArrayBuffer[];
}

const given = (workerData as Partial<BehindDoors> | null)?.doors;
/** The doors that this thread is behind, the outermost first. */
const own: readonly Int32Array[] = isMainThread || !Array.isArray(given) ? [] : given.map(block => new Int32Array(block));

const open = new Set<Door>();
process.on("exit", () => {
  for (const door of open) door.shutNow();
});

/** The door of workers that end together. */
export class Door {
  readonly #block = new SharedArrayBuffer(4 * WORDS);
  readonly #words = new Int32Array(this.#block);

  constructor() {
    open.add(this);
  }

  /** To start these workers with: they are behind all doors that this thread is behind, too. */
  get data(): BehindDoors {
    return { doors: [...own.map(words => words.buffer as SharedArrayBuffer), this.#block] };
  }

  /** Resolves when the workers can be ended. */
  async shut(): Promise<void> {
    this.#close();
    const until = performance.now() + PATIENCE_MS;
    while (Atomics.load(this.#words, INSIDE) > 0 && performance.now() < until) await sleep(1);
  }

  /** The same, blocking. */
  shutNow(): void {
    this.#close();
    const until = performance.now() + PATIENCE_MS;
    for (let left = PATIENCE_MS; left > 0; left = until - performance.now()) {
      const inside = Atomics.load(this.#words, INSIDE);
      if (inside <= 0) return;
      Atomics.wait(this.#words, INSIDE, inside, left);
    }
  }

  #close(): void {
    open.delete(this);
    Atomics.store(this.#words, SHUT, 1);
  }
}

function leave(words: Int32Array): void {
  Atomics.sub(words, INSIDE, 1);
  Atomics.notify(words, INSIDE);
}

function enter(): void {
  for (const words of own) {
    Atomics.add(words, INSIDE, 1);
    if (!Atomics.load(words, SHUT)) continue;
    for (const entered of own.slice(0, own.indexOf(words) + 1)) leave(entered);
    Atomics.wait(words, SHUT, 1); // it is about to be ended
  }
}

/** Runs `body`, during which this thread is not ended. Where it is being ended already, does not return. */
export function inside<T>(body: () => T): T {
  enter();
  try {
    return body();
  } finally {
    own.forEach(leave);
  }
}

/** The same until what `body` promises is there. */
export async function insideUntil<T>(body: () => Promise<T>): Promise<T> {
  enter();
  try {
    return await body();
  } finally {
    own.forEach(leave);
  }
}
