/**
 * Servers that are told to end at random times under load: every stream that was begun has a last event, in every dialect, and the process is
 * gone in time.
 */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { workload } from "./workload.mjs";

const AT_ONCE = 3;
const [DRAIN_SECONDS, SPARE_SECONDS] = [2, 2];
const messages = [{ role: "user", content: "Tell me of a cat." }];

/** Requests in every dialect, and how the streams end that end as they should. */
const dialects = [
  { path: "/v1/completions", body: { prompt: "Once", max_tokens: 300, stream: true, temperature: 1 }, last: /^data: (\[DONE\]|\{"error")/ },
  { path: "/v1/chat/completions", body: { messages, max_tokens: 300, stream: true }, last: /^data: (\[DONE\]|\{"error")/ },
  { path: "/v1/messages", body: { model: "m", messages, max_tokens: 300, stream: true }, last: /^event: (message_stop|error)$/ },
  {
    path: "/v1/responses",
    body: { model: "m", input: "A cat.", stream: true },
    last: /^event: (response\.(completed|incomplete|failed)|error)$/,
  },
  { path: "/api/chat", body: { messages, options: { num_predict: 300 } }, last: /"done":true|"error"/ },
  { path: "/api/generate", body: { prompt: "Once", raw: true, options: { num_predict: 300 } }, last: /"done":true|"error"/ },
];

/** @returns {Promise<{ path: string, status: number, sent: boolean, whole: boolean, tail: string }>} `whole`: a stream that has its last event */
function streamed(place, { path, body, last }) {
  const text = JSON.stringify(body);
  const outcome = { path, status: 0, sent: false, whole: false, tail: "" };
  return new Promise(done => {
    const finish = how => {
      const lines = outcome.tail.split("\n").filter(Boolean).slice(-2);
      done({ ...outcome, whole: lines.some(l => last.test(l)), tail: `${how ?? ""} ${lines.join(" ")}` });
    };
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const sent = request({ ...place, path, method: "POST", headers, agent: false }, response => {
      outcome.status = response.statusCode ?? 0;
      response.setEncoding("utf8").on("data", d => (outcome.tail = (outcome.tail + d).slice(-4000)));
      response.on("end", () => finish()).on("error", e => finish(e.message));
    });
    sent.on("socket", socket => socket.on("connect", () => (outcome.sent = true)));
    sent.on("error", e => finish(e.message));
    sent.end(text);
  });
}

/** How often this process stood still for longer than a machine that is merely busy makes it: what then was late says nothing of servers. */
const STILL_MS = 1000;
function watchStandstills() {
  let [count, last] = [0, performance.now()];
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - last > STILL_MS) count++;
    last = now;
  }, STILL_MS / 10);
  return { count: () => count, end: () => clearInterval(timer) };
}

/** One server from its start to its end. */
async function lifetime(start, source) {
  const drain = source.next() % (DRAIN_SECONDS + 1);
  const server = await start({ drain, more: ["--chat-template", "chatml", "--quiet"] });
  const { host, port } = server.place;
  const streams = [];
  let open = true;
  /** Clients that ask again when they are answered, until they cannot connect. */
  const client = async i => {
    while (open) {
      const outcome = await streamed({ host, port }, dialects[i++ % dialects.length]);
      if (outcome.sent) streams.push(outcome);
      if (outcome.status !== 200) return;
    }
  };
  const clients = Array.from({ length: dialects.length }, (_, i) => client(i));
  await sleep(source.next() % 600);
  const { code, ms } = await server.signalled("SIGTERM");
  open = false;
  await Promise.all(clients);
  return { streams, code, late: ms - 1000 * drain };
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function shutdown({ start, say, add, options, signal }) {
  const source = workload(949 + options.seed, 1024);
  const ends = [];
  const still = watchStandstills();
  let [begun, heldUp] = [0, 0];
  const worker = async () => {
    while (begun++ < options.requests && !signal.aborted) {
      const before = still.count();
      const end = await lifetime(start, source);
      await sleep(STILL_MS / 5); // so that a standstill that has just ended is seen
      if (still.count() === before) ends.push(end);
      else heldUp++;
      say(`shutdown: ${ends.length} of ${options.requests}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  still.end();
  const streams = ends.flatMap(e => e.streams);
  const answered = streams.filter(s => s.status === 200);
  const cut = answered.filter(s => !s.whole);
  const silent = streams.filter(s => s.status === 0);
  const failed = streams.filter(s => s.status !== 0 && s.status !== 200 && s.status !== 503);
  const first = list => list[0] && `${list[0].path} ${list[0].status} ${list[0].tail.slice(0, 200)}`;
  add("shutdown", "servers ended", "", [ends.length], {
    note: `${streams.length} streams, ${streams.length - answered.length} not taken; ${heldUp} left out: everything stood still`,
  });
  add("shutdown", "streams without a last event", "", [cut.length], { atMost: 0, note: first(cut) });
  add("shutdown", "connections that got no answer at all", "", [silent.length], { note: first(silent) });
  add("shutdown", "other answers than 200 and 503", "", [failed.length], { atMost: 0, note: first(failed) });
  add("shutdown", "exit codes other than 0", "", [ends.filter(e => e.code !== 0).length], { atMost: 0 });
  add("shutdown", "seconds to the end beyond --drain, at most", "s", [Math.max(...ends.map(e => e.late)) / 1000], {
    atMost: SPARE_SECONDS,
  });
}
