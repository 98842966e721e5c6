/**
 * What the time of an answer betrays: of a key, how much of it is right; of the prompts of others, whether they were asked before. Each
 * measurement has a control that shows what it would see.
 */
import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { complete } from "./client.mjs";
import { quantile } from "./figures.mjs";
import { workload } from "./workload.mjs";

const mean = list => list.reduce((sum, x) => sum + x, 0) / list.length;
const variance = (list, m = mean(list)) => list.reduce((sum, x) => sum + (x - m) ** 2, 0) / (list.length - 1);

/** Welch's t of two samples. */
export function welch(a, b) {
  return (mean(a) - mean(b)) / Math.sqrt(variance(a) / a.length + variance(b) / b.length);
}

/** The probability that one of `b` is larger than one of `a`, ties counted half: how well a threshold tells them apart (area under the curve). */
export function areaUnderCurve(a, b) {
  const all = [...a.map(x => ({ x, own: 0 })), ...b.map(x => ({ x, own: 1 }))].sort((p, q) => p.x - q.x);
  let ranks = 0;
  for (let i = 0; i < all.length; ) {
    let j = i;
    while (j < all.length && all[j].x === all[i].x) j++;
    for (let k = i; k < j; k++) ranks += all[k].own * ((i + 1 + j) / 2);
    i = j;
  }
  return (ranks - (b.length * (b.length + 1)) / 2) / (a.length * b.length);
}

/** Milliseconds from the request until the status, on one connection. */
function timed(place, agent, key) {
  const headers = { authorization: `Bearer ${key}` };
  return new Promise((done, failed) => {
    const began = process.hrtime.bigint();
    const sent = request({ host: place.host, port: place.port, path: "/v1/models", headers, agent }, response => {
      const ms = Number(process.hrtime.bigint() - began) / 1e6;
      response
        .resume()
        .on("end", () => done({ ms, status: response.statusCode }))
        .on("error", failed);
    });
    sent.on("error", failed);
    sent.end();
  });
}

/** Of two samples the values below a quantile of both together: what the machine did meanwhile is not the server's. */
function trimmed(a, b) {
  const most = quantile([...a, ...b], 0.95);
  return [a, b].map(list => list.filter(x => x <= most));
}

/** Keys that begin like the right one, and keys that do not, in turns by chance. @param {import("./scenarios.mjs").Setting} setting */
export async function keys({ start, say, add, options, signal }) {
  const key = `sk-${randomBytes(32).toString("hex")}`;
  const { place, stop } = await start({ key });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const source = workload(800, 1024);
  /** The one begins as the right key does and the other as a wrong one; both end at random and are put together alike, else that would be seen. */
  const wrong = `xx-${randomBytes(32).toString("hex")}`;
  const ended = beginning => Buffer.from(beginning.slice(0, -8) + randomBytes(4).toString("hex")).toString("latin1");
  const kinds = { near: () => ended(key), far: () => ended(wrong) };
  const times = { near: [], far: [] };
  for (let i = 0; i < 200; i++) await timed(place, agent, kinds.far());
  while (times.near.length < options.requests || times.far.length < options.requests) {
    signal.throwIfAborted();
    const kind = source.next() % 2 ? "near" : "far";
    const { ms, status } = await timed(place, agent, kinds[kind]());
    if (status !== 401) throw new Error(`a wrong key got ${status}`);
    times[kind].push(ms);
    if (times.near.length % 500 === 0) say(`keys: ${times.near.length} and ${times.far.length} of ${options.requests}`);
  }
  agent.destroy();
  await stop();
  const [near, far] = trimmed(times.near, times.far);
  const error = 1000 * Math.sqrt(variance(near) / near.length + variance(far) / far.length);
  add("keys", "Welch's t, keys that begin right against keys that begin wrong", "", [Math.abs(welch(near, far))], {
    atMost: 3,
    note: `${times.near.length} and ${times.far.length} requests, the slowest 5 % left out; with them ${Math.abs(welch(times.near, times.far)).toFixed(2)}`,
  });
  add("keys", "difference that would be seen (3 standard errors)", "us", [3 * error], {
    note: `a refusal takes ${(1000 * quantile(far, 0.5)).toFixed(0)} us`,
  });
  addGuard({ key, kinds, add, ...(await import("../../dist/serve/guard.js")) }, options.requests, source);
}

/** The same of the check alone, without a server around it: differences a thousand times smaller would be seen. */
function addGuard({ Guard, key, kinds, add }, count, source) {
  const guard = new Guard({ keys: [key] });
  const attempt = given => {
    const sent = new Request("http://localhost/v1/models", { headers: { authorization: `Bearer ${given}` } });
    const began = process.hrtime.bigint();
    let refused = false;
    try {
      guard.caller(sent);
    } catch {
      refused = true;
    }
    if (!refused) throw new Error("a wrong key was taken");
    return Number(process.hrtime.bigint() - began);
  };
  for (let i = 0; i < 2000; i++) attempt(kinds.far());
  const times = { near: [], far: [] };
  for (let i = 0; i < 2 * count; i++) {
    const kind = source.next() % 2 ? "near" : "far";
    times[kind].push(attempt(kinds[kind]()));
  }
  const [near, far] = trimmed(times.near, times.far);
  const error = Math.sqrt(variance(near) / near.length + variance(far) / far.length);
  add("keys", "... the check alone, Welch's t", "", [Math.abs(welch(near, far))], { atMost: 3 });
  add("keys", "... difference that would be seen", "ns", [3 * error], { note: `the check takes ${quantile(far, 0.5).toFixed(0)} ns` });
}

/** Whether a prompt's first token tells that somebody else asked it before. @param {import("./scenarios.mjs").Setting} setting */
export async function tenants({ start, say, add, options, signal }) {
  const [victim, other] = ["bench-victim", "bench-other"];
  const server = await start({ key: victim, more: ["--api-key", other] });
  const source = workload(900, server.vocabulary, server.context);
  const length = Math.floor(0.75 * server.context);
  const first = async (key, prompt) => {
    const answer = await complete({ ...server.place, key }, { prompt, max_tokens: 1, temperature: 0 }, { signal });
    if (answer.status !== 200 || answer.failure) throw new Error(`a request failed: ${answer.failure ?? answer.status}`);
    return answer.times[0] - answer.began || performance.now() - answer.began;
  };
  /** Milliseconds to the first token for `reader`, of prompts that the victim has asked before or not, as chance has it. */
  const measured = async (reader, count) => {
    const times = { present: [], absent: [] };
    for (let i = 0; i < 2 * count; i++) {
      const kind = source.next() % 2 ? "present" : "absent";
      const prompt = source.ids(length);
      await first(victim, kind === "present" ? prompt : source.ids(length));
      times[kind].push(await first(reader, prompt));
      if (i % 20 === 0) say(`tenants: ${i} of ${2 * count}`);
    }
    return times;
  };
  const across = await measured(other, options.requests);
  const within = await measured(victim, Math.ceil(options.requests / 10));
  const area = ({ present, absent }) => areaUnderCurve(present, absent);
  const medians = ({ present, absent }) =>
    `${present.length} and ${absent.length}; median ${quantile(present, 0.5).toFixed(1)} ms after another asked it, else ${quantile(absent, 0.5).toFixed(1)} ms`;
  add("tenants", "area under the curve across keys (0.5: nothing to be seen)", "", [Math.max(area(across), 1 - area(across))], {
    atMost: 0.55,
    note: medians(across),
  });
  add("tenants", "within one key, where reuse is wanted: the measurement sees it", "", [area(within)], {
    atLeast: 0.95,
    note: medians(within),
  });
  await server.stop();
}
