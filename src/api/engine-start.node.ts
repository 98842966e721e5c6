/** Starts engine threads in Node. One may be started before anything else is known, so that it loads its code while a model file is opened. */
import { Worker } from "node:worker_threads";
import { Door } from "../runtime/native/door.node.ts";
import type { Channel } from "./engine-client.ts";
import type { FromEngine } from "./protocol.ts";
import { threadEntry } from "./thread-entry.node.ts";

function start(): Channel {
  const separate = new URL("./engine-thread.node.js", import.meta.url);
  const bundled = new URL("../bin/engine-thread.node.js", import.meta.url);
  // The caller's own arguments, such as --input-type, are not for this file.
  const entry = threadEntry(separate, bundled, new URL("../.tsbuildinfo", import.meta.url));
  const door = new Door();
  const worker = new Worker(entry, { workerData: door.data, execArgv: [] });
  worker.unref();
  return {
    post: message => worker.postMessage(message),
    onMessage: listener => void worker.on("message", (all: readonly FromEngine[]) => all.forEach(listener)),
    onDeath: listener => {
      worker.on("error", listener);
      worker.on("exit", code => listener(new Error(`exit code ${code}`)));
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
