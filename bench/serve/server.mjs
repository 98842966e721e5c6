/** The server under load: started as a process of its own, watched from outside through /proc, ended with the run. Linux only. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { machineTicks, processTicks, TICKS_PER_SECOND } from "../watch.mjs";
import { exchange } from "./client.mjs";

/** Characters of a server's output that are kept. */
const MOST_SAID = 1 << 24;

const MAIN = join(import.meta.dirname, "..", "..", "dist", "cli", "main.js");

/**
 * @typedef {{
 *   place: import("./client.mjs").Place, pid: number, context: number, vocabulary: number, said: () => string, tell: (message: string) => void,
 *   signalled: (signal: string) => Promise<{ code: number | null, ms: number }>, stop: () => Promise<void>
 * }} Server
 * `said`: what it wrote so far, the last MiBs of it; `signalled`: sends a signal and waits for the end. `key`: one that it asks for, and that
 * `place` has; `preload`: a file that the server's process loads first, and that `tell` speaks to.
 * @param {{ model: string, target: string, threads: number, context: number, more: string[], key?: string, drain?: number, preload?: string }} wanted
 * @returns {Promise<Server>}
 */
export async function startServer({ model, target, threads, context, more, key, drain = 0, preload }) {
  const args = [
    ...(preload === undefined ? [] : ["--require", preload]),
    MAIN,
    "serve",
    model,
    "--port",
    "0",
    "--json",
    "--no-web",
    "--drain",
    String(drain),
    "--target",
    target,
    "--threads",
    String(threads),
    ...(key === undefined ? [] : ["--api-key", key]),
  ];
  const child = spawn(process.execPath, [...args, "--context", String(context), ...more], {
    stdio: ["ignore", "pipe", "pipe", ...(preload === undefined ? [] : ["ipc"])],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", d => (said = (said + d).slice(-MOST_SAID)));
  const line = await new Promise((done, failed) => {
    let text = "";
    child.stdout.setEncoding("utf8").on("data", d => {
      text += d;
      said += d;
      if (text.includes("\n")) done(text.split("\n")[0]);
    });
    child.on("error", failed).on("exit", code => failed(new Error(`lathe serve ended with ${code}:\n${said.slice(-4000)}`)));
  });
  const { port } = JSON.parse(line);
  const place = { host: "127.0.0.1", port, key };
  const models = JSON.parse((await exchange(place, "/v1/models", { method: "GET" })).text);
  const signalled = async signal => {
    const began = performance.now();
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise(done => child.once("exit", done));
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * drain + 5000);
      await gone;
      clearTimeout(timer);
    }
    return { code: child.exitCode, ms: performance.now() - began };
  };
  const stop = async () => void (await signalled("SIGTERM"));
  const { context: tokens } = models.data[0].meta;
  return {
    place,
    pid: child.pid,
    context: tokens,
    vocabulary: await vocabularyOf(place),
    said: () => said,
    tell: m => child.send(m),
    signalled,
    stop,
  };
}

/** Tokens of the model's vocabulary: the least id that is refused, found by halves. */
async function vocabularyOf(place) {
  const known = async id =>
    (await exchange(place, "/v1/completions", { body: JSON.stringify({ prompt: [id], max_tokens: 0 }) })).status === 200;
  let [low, high] = [1, 2 ** 20];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (await known(middle)) low = middle;
    else high = middle;
  }
  return high;
}

/** Bytes that a process has resident, and its open files. @param {number} pid */
export function footprint(pid) {
  const kB = name => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  const threads = Number(/^Threads:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return { bytes: 1024 * kB("VmRSS"), files: readdirSync(`/proc/${pid}/fd`).length, threads };
}

/** Waits until nothing is admitted any more. @param {() => Promise<boolean>} so */
export async function until(so, seconds = 60) {
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    if (await so()) return true;
    await sleep(100);
  }
  return false;
}

/**
 * Cores' worth of work that the machine did from now until the result is called, besides this process and those given: figures taken beside
 * other work mean little. @param {number[]} pids @returns {() => number}
 */
export function watchOthers(pids) {
  const sample = () => {
    const { busy, stolen } = machineTicks();
    return {
      at: performance.now(),
      others: busy + stolen - [process.pid, ...pids].reduce((sum, pid) => sum + (processTicks(pid) ?? 0), 0),
    };
  };
  const first = sample();
  return () => {
    const last = sample();
    return Math.max(0, (1000 * (last.others - first.others)) / TICKS_PER_SECOND / (last.at - first.at));
  };
}
