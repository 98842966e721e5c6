/**
 * A server of Node's own that does nothing with what it is sent, in a process of its own: what connections cost the machine that has to hold them
 * and their clients, whoever serves them. Run as a program it is that process.
 */
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

/** @returns {Promise<{ place: import("./client.mjs").Place, pid: number, stop: () => void }>} */
export async function startBare() {
  const child = fork(fileURLToPath(import.meta.url));
  const port = await new Promise((done, failed) => {
    child.once("message", done);
    child.once("exit", code => failed(new Error(`the bare server ended with ${code}`)));
  });
  return { place: { host: "127.0.0.1", port }, pid: child.pid, stop: () => child.kill("SIGKILL") };
}

function serve() {
  const server = createServer({ headersTimeout: 10_000 }, (request, response) => {
    request.on("data", () => {}).on("end", () => response.end());
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => process.send(server.address().port));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve();
