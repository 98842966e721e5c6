/**
 * Thousands of connections that send a byte a second, or take nothing of what they asked for, beside a few clients who behave: these keep their
 * pace, health is told at once, and memory stays.
 */
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { startBare } from "./bare.mjs";
import { exchange, metrics } from "./client.mjs";
import { quantile } from "./figures.mjs";
import { closedLoop, fillPages } from "./load.mjs";
import { footprint, until, watchOthers } from "./server.mjs";
import { openSockets } from "./sockets.mjs";
import { workload } from "./workload.mjs";

const GOOD = 8;
const [KEY, OTHER] = ["bench-good", "bench-slow"];

/** Milliseconds until `/readyz` answers on a new connection each, until told to end. @returns {() => Promise<number[]>} */
function watchHealth(place) {
  const times = [];
  let going = true;
  const watching = (async () => {
    while (going) {
      const agent = new Agent();
      const began = performance.now();
      const { status } = await exchange(place, "/readyz", { method: "GET", agent }).catch(e => ({ status: e.message }));
      times.push(status === 200 ? performance.now() - began : Number.POSITIVE_INFINITY);
      agent.destroy();
      await sleep(50);
    }
  })();
  return async () => {
    going = false;
    await watching;
    return times;
  };
}

/** Streams of good clients and health, for a while. `seed`: other prompts each time, of which none is known. */
export async function watched({ signal }, server, seconds, seed) {
  const health = watchHealth(server.place);
  const source = workload(seed, server.vocabulary, server.context);
  const window = await closedLoop({ place: server.place, source, clients: GOOD, seconds, signal, warm: 3 });
  return { p99: quantile(window.gaps, 0.99), failed: window.failed, answers: window.answers.length, health: await health() };
}

/** The same streams beside the same sockets, which a bare server holds: what of their cost is the machine's. */
async function besideBare(setting, server, kinds, seconds) {
  const bare = await startBare();
  const sockets = await openSockets(bare.place, { count: setting.options.sockets, kinds });
  try {
    return await watched(setting, server, seconds, 701);
  } finally {
    sockets.close();
    bare.stop();
  }
}

/**
 * `bare`: also beside sockets of a server that does nothing.
 * @param {import("./scenarios.mjs").Setting} setting
 * @param {{ name: string, kinds: string[], mostMiB: number, mostRise?: number, bare: boolean }} what
 */
async function beside(setting, { name, kinds, mostMiB, mostRise, bare }) {
  const { start, say, add, options } = setting;
  const server = await start({ key: KEY, more: ["--api-key", OTHER, "--connections", String(2 * options.sockets + 64)] });
  const others = watchOthers([server.pid]);
  await fillPages(setting, server, workload(800, server.vocabulary, server.context));
  say(`${name}: without`);
  const seconds = 60 * options.minutes;
  const alone = await watched(setting, server, Math.min(seconds, 30), 700);
  if (bare) say(`${name}: beside a bare server's sockets`);
  const elsewhere = bare && (await besideBare(setting, server, kinds, Math.min(seconds, 30)));
  const before = footprint(server.pid);
  say(`${name}: opening ${options.sockets} sockets`);
  const sockets = await openSockets({ ...server.place, key: OTHER }, { count: options.sockets, kinds });
  let most = 0;
  const looking = setInterval(() => (most = Math.max(most, footprint(server.pid).bytes)), 250);
  try {
    say(`${name}: beside ${options.sockets} sockets`);
    const now = await watched(setting, server, seconds, 702);
    const { most: open, opened, refused, dropped } = sockets.state();
    add(name, "sockets open at a time, at most", "", [open], {
      atLeast: 0.99 * options.sockets,
      note: `${opened} opened, ${dropped} ended, ${refused} got 429`,
    });
    add(name, "p99 between tokens of 8 streams, alone", "ms", [alone.p99]);
    add(name, "... beside them : alone", "", [now.p99 / alone.p99], { atMost: mostRise, note: `${now.answers} answers` });
    if (elsewhere) {
      add(name, "... beside them on a bare Node server : alone", "", [elsewhere.p99 / alone.p99]);
      add(name, "... beside them : beside them on a bare Node server", "", [now.p99 / elsewhere.p99]);
    }
    add(name, "good requests that failed", "", [now.failed.length], {
      atMost: 0,
      note: now.failed[0] && `${now.failed[0].status} ${now.failed[0].failure ?? ""}`,
    });
    add(name, "health on a new connection, p99 beside them", "ms", [quantile(now.health, 0.99)], {
      atMost: 50,
      note: `${now.health.length} times; alone ${quantile(alone.health, 0.99).toFixed(1)} ms`,
    });
    add(name, "memory grown by, at most", "MiB", [(most - before.bytes) / 2 ** 20], { atMost: mostMiB });
  } finally {
    clearInterval(looking);
    sockets.close();
  }
  const held = async () => (await metrics(server.place)).requests_open;
  await until(async () => (await held()) === 0, 10);
  add(name, "requests still held afterwards", "", [await held()], { atMost: 0 });
  add(name, "other work meanwhile, the sockets' own process included", "cores", [others()]);
  await server.stop();
}

/** @param {import("./scenarios.mjs").Setting} setting */
export const slow = setting =>
  beside(setting, { name: "slow", kinds: ["slow head", "slow body"], mostMiB: 200, mostRise: 1.25, bare: true });

/** What they asked for is computed until nobody takes it, beside the others: that has no bound. @param {import("./scenarios.mjs").Setting} setting */
export const stalled = setting => beside(setting, { name: "stalled", kinds: ["takes nothing"], mostMiB: 80, bare: false });
