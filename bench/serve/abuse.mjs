/**
 * Requests that are wrong in every way, as bytes on sockets of their own: whatever comes, the server answers what the protocol has or closes the
 * connection, in its time, and goes on as before.
 */
import { createConnection } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { caseOf } from "./abuse-cases.mjs";
import { exchange, metrics } from "./client.mjs";
import { footprint, until } from "./server.mjs";

/** Connections at a time. */
const WIDE = 48;
/** A good request after each so many. */
const EVERY = 1000;
/** Milliseconds without a byte after which the client ends its side, and in which the server must then have closed. */
const [IDLE_MS, CLOSE_MS] = [250, 15_000];
/**
 * Milliseconds in which the server must have closed by itself: a connection that is kept has 20 s, and is looked at every two; a body that stops has
 * one more for each byte that came.
 */
const KEPT_MS = 30_000;
/** Milliseconds for an answer that goes on; far more than any of these takes. */
const ANSWER_MS = 60_000;

const ALLOWED = new Set([501, 503]);

/** Why what came is no answer that there may be; undefined where it is one. @param {string} text */
export function faultOf(text) {
  if (text === "") return undefined;
  if (!text.startsWith("HTTP/1.1 ")) return `an answer that begins with ${JSON.stringify(text.slice(0, 40))}`;
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(found => Number(found[1]));
  const wrong = statuses.find(s => !((s >= 200 && s < 300) || s === 100 || (s >= 400 && s < 500) || ALLOWED.has(s)));
  if (wrong !== undefined) return `status ${wrong}: ${text.slice(0, 400)}`;
  if (text.includes('"engine.failed"')) return "a stream that failed";
  const [first, body] = text.split("\r\n\r\n", 2);
  if (statuses.length !== 1 || !/^content-type: application\/json/im.test(first) || !body || /^transfer-encoding/im.test(first))
    return undefined;
  try {
    JSON.parse(Buffer.from(body, "latin1").toString());
    return undefined;
  } catch {
    return `a body that is no JSON: ${body.slice(0, 200)}`;
  }
}

/** Sends a case. @returns {Promise<{ statuses: string[], fault?: string }>} */
function tried({ host, port }, { parts, after }) {
  return new Promise(done => {
    const socket = createConnection({ host, port });
    let [text, next, ended] = ["", 0, false];
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    const began = performance.now();
    let last = began;
    const finish = fault => {
      clearInterval(watch);
      socket.destroy();
      done({ statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(found => found[1]), fault: fault ?? faultOf(text) });
    };
    const write = () => {
      last = performance.now();
      if (next < parts.length) socket.write(parts[next++], () => setImmediate(write));
    };
    const watch = setInterval(() => {
      const now = performance.now();
      if (now - began > ANSWER_MS + size) return finish("no end");
      if (next < parts.length || now - last < IDLE_MS) return;
      if (after === "leave") finish();
      else if (after === "wait" && now - last > KEPT_MS + size) finish("kept open");
      else if (after === "end" && !ended) {
        ended = true;
        last = now;
        socket.end();
      } else if (ended && now - last > CLOSE_MS) finish("not closed after its client's end");
    }, 50);
    socket.setEncoding("latin1").on("data", d => {
      if (text.length < 1 << 20) text += d;
      last = performance.now();
    });
    socket.on("connect", write).on("close", () => finish());
    // A server that has heard enough may close while it is being written to; one that cannot be reached is gone.
    socket.on("error", e => e.code === "ECONNREFUSED" && finish("nobody listens"));
  });
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function abuse({ start, signal, say, add, options }) {
  const server = await start();
  const counts = new Map();
  const faults = [];
  let [sent, checked, failed, next] = [0, 0, 0, 0];
  const check = async () => {
    const body = JSON.stringify({ prompt: [8, 9], max_tokens: 2 });
    const { status } = await exchange(server.place, "/v1/completions", { body }).catch(e => ({ status: e.message }));
    checked++;
    if (status !== 200) failed++;
  };
  const samples = [];
  const client = async () => {
    while (next < options.requests && !signal.aborted && faults.length < 20) {
      const seed = options.seed + next++;
      const made = caseOf(seed);
      const { statuses, fault } = await tried(server.place, made);
      for (const s of statuses.length ? statuses : ["closed"]) counts.set(s, (counts.get(s) ?? 0) + 1);
      if (fault) faults.push(`seed ${seed}, ${made.kind}: ${fault}`);
      if (++sent % EVERY === 0) {
        await check();
        samples.push(footprint(server.pid));
        say(`abuse: ${sent} sent, ${faults.length} faults, ${(samples.at(-1).bytes / 2 ** 20).toFixed(0)} MiB`);
      }
    }
  };
  const before = footprint(server.pid);
  await Promise.all(Array.from({ length: WIDE }, client));
  const held = async () => (await metrics(server.place)).requests_open;
  await until(async () => (await held()) === 0, 10);
  await sleep(500);
  await check();
  const after = footprint(server.pid);
  const statuses = [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([s, n]) => `${n} x ${s}`);
  add("abuse", "connections", "", [sent], { atLeast: options.requests, note: `seeds from ${options.seed} on; ${statuses.join(", ")}` });
  add("abuse", "answers that may not be, or none in time", "", [faults.length], { atMost: 0, note: faults[0]?.replace(/[\r\n|]+/g, " ") });
  add("abuse", "good requests between them that failed", "", [failed], { atMost: 0, note: `${checked} asked of the same process` });
  add("abuse", "requests still held afterwards", "", [await held()], { atMost: 0 });
  const middle = samples[samples.length >> 1] ?? before;
  add("abuse", "memory", "MiB", [after.bytes / 2 ** 20], { note: `${(before.bytes / 2 ** 20).toFixed(0)} before` });
  add(
    "abuse",
    "memory grown in the second half",
    "MiB",
    [(after.bytes - middle.bytes) / 2 ** 20],
    samples.length > 3 ? { atMost: 64 } : {},
  );
  add("abuse", "open files more than before", "", [after.files - before.files], { atMost: 4 });
  await server.stop();
}
