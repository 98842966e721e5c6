/**
 * Engines that freeze, lose a thread or die while they answer: the server says so, every stream ends with an error event, and a new engine gives
 * the answers that the old one gave.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { complete, exchange, metrics } from "./client.mjs";
import { closedLoop } from "./load.mjs";
import { footprint, until } from "./server.mjs";
import { completion, workload } from "./workload.mjs";

const PRELOAD = fileURLToPath(new URL("./faults.cjs", import.meta.url));
const FAULTS = [
  "runs in circles",
  "waits for a call that does not come",
  "ends",
  "throws",
  "loses a thread of its team",
  "has a thread of its team that does not go on",
];
/** Servers at a time, and streams of each. */
const [AT_ONCE, STREAMS] = [2, 4];
const [SEEN_SECONDS, BACK_SECONDS] = [10, 15];
const POLL_MS = 50;

const ready = async place => (await exchange(place, "/readyz", { method: "GET", agent: false })).status === 200;

/** One fault under load, and what came of it, in seconds from it. */
async function struck(server, { source, probe, expected }, kind, signal) {
  const { place } = server;
  const under = Array.from({ length: STREAMS }, () =>
    complete(place, completion({ prompt: source.ids(8), answer: 400 }, { temperature: 1 }), { signal }).then(a => ({
      ...a,
      at: performance.now(),
    })),
  );
  await sleep(50 + (source.next() % 250));
  const began = performance.now();
  const since = (at = performance.now()) => (at - began) / 1000;
  server.tell(kind);
  const ended = Promise.all(under);
  const poll = async wanted => {
    while ((await ready(place)) !== wanted && since() < 60) await sleep(POLL_MS, undefined, { signal });
    return since();
  };
  const seen = await poll(false);
  const back = await poll(true);
  const streams = await ended;
  const again = await complete(place, probe, { signal });
  const last = Math.max(...streams.map(a => since(a.at)));
  // An error event, and before it the head of a stream or an error's own status: not a connection that breaks.
  const silent = streams.filter(a => !a.ended && !(a.failure && a.status === 200) && a.status < 500).length;
  return { kind, seen, back, last, silent, broken: streams.filter(a => !a.ended).length, same: again.text === expected };
}

/** A server, and one fault after the other. */
async function endured(start, kinds, seed, signal, saw) {
  const begun = performance.now();
  const server = await start({ preload: PRELOAD });
  const load = (performance.now() - begun) / 1000;
  const source = workload(seed, server.vocabulary, server.context);
  const probe = completion({ prompt: source.ids(12), answer: 24 });
  const { text: expected } = await complete(server.place, probe, { signal });
  const before = footprint(server.pid);
  for (const kind of kinds) saw({ ...(await struck(server, { source, probe, expected }, kind, signal)), load });
  await until(async () => footprint(server.pid).threads <= before.threads, 30); // an engine that hangs has 20 s to end
  const after = footprint(server.pid);
  await server.stop();
  return after.threads - before.threads;
}

/** Steps without a fault, and how many engines were given up meanwhile. */
async function unharmed(start, seconds, signal) {
  const server = await start();
  const source = workload(990, server.vocabulary, server.context);
  await closedLoop({ place: server.place, source, clients: 4, seconds, signal });
  const { steps_total: steps, model_restarts_total: restarts } = await metrics(server.place);
  await server.stop();
  return { steps, restarts };
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function stalls({ start, say, add, options, signal }) {
  const outcomes = [];
  const saw = outcome => {
    outcomes.push(outcome);
    say(`stalls: ${outcomes.length} of ${options.requests}`);
  };
  const all = Array.from({ length: options.requests }, (_, i) => FAULTS[i % FAULTS.length]);
  const own = i => all.filter((_, n) => n % AT_ONCE === i);
  const threads = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => endured(start, own(i), 980 + i, signal, saw)));
  const most = of => [Math.max(...outcomes.map(of))];
  const longest = (kind, of) => Math.max(...outcomes.filter(o => o.kind === kind).map(of)).toFixed(1);
  const each = of => FAULTS.map(k => `${k}: ${longest(k, of)}`).join(", ");
  add("stalls", "engines stopped while they answered", "", [outcomes.length]);
  add(
    "stalls",
    "until the server said so, at most",
    "s",
    most(o => o.seen),
    { atMost: SEEN_SECONDS, note: each(o => o.seen) },
  );
  add(
    "stalls",
    "until it was ready again less the time to start a server, at most",
    "s",
    most(o => o.back - o.load),
    {
      atMost: BACK_SECONDS,
      note: `with it: ${each(o => o.back)}`,
    },
  );
  add(
    "stalls",
    "until all streams had ended, at most",
    "s",
    most(o => o.last),
    { atMost: BACK_SECONDS },
  );
  const sum = of => outcomes.reduce((n, o) => n + of(o), 0);
  add("stalls", "streams without a last event", "", [sum(o => o.silent)], { atMost: 0, note: `${sum(o => o.broken)} ended with an error` });
  add("stalls", "answers afterwards that differ from those before", "", [sum(o => Number(!o.same))], { atMost: 0 });
  add("stalls", "threads more than before, in all", "", [threads.reduce((a, b) => a + b, 0)], { atMost: 0 });
  const { steps, restarts } = await unharmed(start, 60 * options.minutes, signal);
  add("stalls", "engines given up without a fault", "", [restarts], { atMost: 0, note: `${steps} steps` });
}
