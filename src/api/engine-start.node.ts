/** Starts engine threads in Node. One may be started before anything else is known, so that it loads its code while a model file is opened. */
import { Worker } from "node:worker_threads";
import { Door } from "../runtime/native/door.node.ts";
import type { Channel } from "./engine-client.ts";
import type { FromEngine } from "./protocol.ts";
import { threadEntry } from "./thread-entry.node.ts";

type Message = readonly FromEngine[];

/**
 * What comes from the engine, a step in each turn of the event loop. A worker's own port gives a thousand messages in one turn, which is a
 * thousand steps where many runs answer and the caller's thread falls behind; whatever else it does would wait for all of them.
 */
class Arrivals {
  readonly #come: Message[] = [];
  #listener: ((message: FromEngine) => void) | undefined;

  hear(listener: (message: FromEngine) => void): void {
    this.#listener = listener;
  }

  take(message: Message): void {
    if (this.#come.push(message) === 1) setImmediate(this.#next);
  }

  /** All that is there: nothing more comes. */
  flush(): void {
    while (this.#come.length) this.#deal();
  }

  readonly #next = (): void => {
    this.#deal();
    if (this.#come.length) setImmediate(this.#next);
  };

  #deal(): void {
    for (const event of this.#come.shift() ?? []) this.#listener?.(event);
  }
}

function start(): Channel {
  const separate = new URL("./engine-thread.node.js", import.meta.url);
  const bundled = new URL("../bin/engine-thread.node.js", import.meta.url);
  // The caller's own arguments, such as --input-type, are not for this file.
  const entry = threadEntry(separate, bundled, new URL("../.tsbuildinfo", import.meta.url));
  const door = new Door();
  const worker = new Worker(entry, { workerData: door.data, execArgv: [] });
  const arrivals = new Arrivals();
  worker.on("message", (message: Message) => arrivals.take(message));
  worker.unref(); // after that: who listens keeps the process alive
  return {
    post: message => worker.postMessage(message),
    onMessage: listener => arrivals.hear(listener),
    onDeath: listener => {
      const die = (cause: unknown): void => {
        arrivals.flush();
        listener(cause);
      };
      worker.on("error", die);
      worker.on("exit", code => die(new Error(`exit code ${code}`)));
    },
    terminate: async () => {
      await door.shut();
      return worker.terminate();
    },
    hold: alive => (alive ? worker.ref() : worker.unref()),
  };
}

let waiting: Channel | undefined;

/** The next engine is started now. If none is asked for, it keeps no process alive. */
export function startAhead(): void {
  waiting ??= start();
}

/** An engine of one's own: the one that waits, or a new one. */
export function startEngine(): Channel {
  const channel = waiting ?? start();
  waiting = undefined;
  return channel;
}
