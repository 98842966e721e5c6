/** The thread on which constraints are compiled. It gets what time the others leave: answers that are under way must not stand still for it. */
import { readlinkSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { CompileService, type FromCompiler, type ToCompiler } from "./compile-service.ts";

/** Steps of niceness below the rest of the process: about a tenth of a core where all of them are busy. */
const NICER = 10;

/** Lowers the priority of this thread alone, where the system tells threads apart by number. */
function giveWay(): void {
  try {
    const thread = Number(/\d+$/.exec(readlinkSync("/proc/thread-self"))?.[0]);
    if (thread > 0) setPriority(thread, Math.min(19, getPriority(thread) + NICER));
  } catch {} // another system: all threads are alike
}

/** What lies in the message is not needed here any more. */
function buffersOf(message: FromCompiler): ArrayBuffer[] {
  if (message.kind === "failed") return [];
  if (message.kind === "trie") return Object.values(message.trie).flatMap(v => (ArrayBuffer.isView(v) ? [v.buffer as ArrayBuffer] : []));
  const { starts, code, bytes, counts, rules } = message.part;
  return [starts, code, bytes, counts, rules].map(array => array.buffer as ArrayBuffer);
}

if (parentPort) {
  const port = parentPort;
  giveWay();
  const service = new CompileService({ send: message => port.postMessage(message, buffersOf(message)) });
  port.on("message", (message: ToCompiler) => service.handle(message));
}
