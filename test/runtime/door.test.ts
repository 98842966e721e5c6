/**
 * Threads that are ended while they set up native code: koffi aborts the process then, so whoever ends them waits until they are outside. Run in
 * child processes, which are watched to end well; without doors such a process lasts for about eight threads.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openSystem } from "../../src/runtime/native/foreign.node.ts";

const native = "reason" in (await openSystem()) ? "skipped" : "native";
const root = join(import.meta.dirname, "../../dist/runtime/native");

/** `threads` threads, one after the other, that open the system again and again, and each is ended by `ending` while it does. */
const script = (threads: number, ending: string): string => `
  import { Worker } from "node:worker_threads";
  import { pathToFileURL } from "node:url";
  const [door, foreign] = ["door", "foreign"].map(name => pathToFileURL(${JSON.stringify(root)} + "/" + name + ".node.js").href);
  const { Door } = await import(door);
  const code = 'import { parentPort } from "node:worker_threads"; const { openSystem } = await import("' + foreign + '");' +
    'parentPort.postMessage("begun"); for (;;) await openSystem();';
  for (let i = 0; i < ${threads}; i++) {
    const door = new Door();
    const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(code)), { workerData: door.data });
    await new Promise(resolve => worker.once("message", resolve));
    await new Promise(resolve => setTimeout(resolve, i % 8));
    ${ending}
  }
  console.log("over");`;

function ended(threads: number, ending: string): Promise<{ code: number | null; signal: string | null; output: string }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script(threads, ending)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", text => (output += text));
  return new Promise(resolve => child.on("close", (code, signal) => resolve({ code, signal, output })));
}

it.runIf(native === "native")("are ended one after the other", async () => {
  expect(await ended(60, "await door.shut(); await worker.terminate();")).toEqual({ code: 0, signal: null, output: "over\n" });
});

it.runIf(native === "native")("are ended by the end of the process, told or by itself", async () => {
  for (const ending of ["process.exit(0);", "worker.unref();"]) {
    for (let i = 0; i < 3; i++) expect(await ended(1, ending)).toMatchObject({ code: 0, signal: null });
  }
});
