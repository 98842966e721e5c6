/** Starts the thread that compiles constraints, in Node. */
import { Worker } from "node:worker_threads";
import type { Compiler } from "./compile-queue.ts";
import type { FromCompiler } from "./compile-service.ts";
import { threadEntry } from "./thread-entry.node.ts";

/** MiB. A constraint that needs more is refused, and the thread started anew. */
const limits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 };

export function startCompiler(): Compiler {
  const separate = new URL("./compiler-thread.node.js", import.meta.url);
  const bundled = new URL("../bin/compiler-thread.node.js", import.meta.url);
  const entry = threadEntry(separate, bundled, new URL("../.tsbuildinfo", import.meta.url));
  const worker = new Worker(entry, { execArgv: [], resourceLimits: limits });
  worker.unref();
  return {
    post: message => worker.postMessage(message),
    onMessage: listener => void worker.on("message", (m: FromCompiler) => listener(m)),
    onDeath: listener => {
      worker.on("error", () => {}); // it ends after that
      worker.on("exit", listener);
    },
    terminate: () => void worker.terminate(),
  };
}
