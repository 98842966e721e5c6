/**
 * Clients that leave at random points of everything a request goes through: what they asked for ends, nothing of theirs is kept, and whoever
 * stays gets the answer that he gets alone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { comeBackLater, complete, exchange, metrics } from "./client.mjs";
import { crowded, probesOf } from "./crowd.mjs";
import { footprint, until } from "./server.mjs";

const CLIENTS = 40;
const PROBES = 4;
/** Seconds in which a server without work may not compute. */
const QUIET_SECONDS = 2.5;

/**
 * Where a client leaves: what it asks for, and when it goes, in milliseconds or after so many pieces. More clients than are computed side by
 * side, so that some wait.
 * @param {ReturnType<import("./workload.mjs").workload>} source @param {number} context
 * @returns {Record<string, () => { body: object, ms?: number, pieces?: number, path?: string }>}
 */
function points({ ids, next }, context) {
  const within = most => next() % most;
  const long = Math.floor(0.8 * context);
  const words = () => `The dog ${within(1e6)} and the cat went to the park. `;
  return {
    "before it is read": () => ({ body: { prompt: words().repeat(20), max_tokens: 8 }, ms: within(3) }),
    queued: () => ({ body: { prompt: ids(8), max_tokens: 40, priority: -5 }, ms: 2 + within(30) }),
    "while the prompt is read": () => ({ body: { prompt: ids(long), max_tokens: 8 }, ms: 3 + within(60) }),
    "at the first token": () => ({ body: { prompt: ids(8), max_tokens: 40 }, pieces: 1 }),
    "between tokens": () => ({ body: { prompt: ids(8), max_tokens: 40, temperature: 1 }, pieces: 2 + within(20) }),
    "inside of a character": () => ({
      body: { prompt: ids(4), max_tokens: 60, grammar: "root ::= [\u{1F600}-\u{1F64F}]+" },
      ms: 8 + within(60),
    }),
    "in a grammar": () => ({
      body: { prompt: ids(4), max_tokens: 60, grammar: 'root ::= ("{" [a-z]+ ":" [0-9]{1,3} "}\\n")+' },
      pieces: 1 + within(12),
    }),
    "of several answers": () => ({ body: { prompt: ["Once", words()], n: 3, max_tokens: 20 }, pieces: 1 + within(30) }),
    "of a known beginning": () => ({ body: { prompt: "Once upon a time there was a cat who", max_tokens: 30 }, pieces: within(4) }),
    "before a whole answer": () => ({ body: { prompt: ids(8), max_tokens: 40 }, ms: within(60), path: "/v1/completions" }),
  };
}

/** One request that is left. @returns {Promise<boolean>} whether it was left before its end */
async function leave(place, { body, ms, pieces, path }, signal) {
  const own = new AbortController();
  const both = AbortSignal.any([own.signal, signal]);
  const timer = ms === undefined ? undefined : setTimeout(() => own.abort(), ms);
  try {
    if (path) {
      const outcome = await exchange(place, path, { body: JSON.stringify(body), signal: both }).catch(() => undefined);
      if (outcome?.status === 429) await comeBackLater({}, signal);
      else if (outcome && outcome.status !== 200) throw new Error(`a request got ${outcome.status}: ${outcome.text}`);
      return outcome === undefined;
    }
    if (pieces === 0) own.abort();
    const answer = await complete(place, body, { signal: both, onPiece: a => a.times.length >= pieces && own.abort() });
    if (answer.status === 429) await comeBackLater(answer, signal);
    else if (!answer.aborted && (answer.status !== 200 || answer.failure))
      throw new Error(`a request failed: ${answer.status} ${answer.failure}`);
    return answer.aborted && answer.status !== 429;
  } finally {
    clearTimeout(timer);
  }
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function aborts(setting) {
  const { server, signal, say, add, options } = setting;
  const { place, pid } = server;
  const probes = await probesOf(setting, { seed: 650, count: PROBES });
  const kinds = points(probes.source, server.context);
  const left = Object.fromEntries(Object.keys(kinds).map(k => [k, 0]));
  const total = () => Object.values(left).reduce((a, b) => a + b, 0);
  const work = async count => {
    const end = total() + count;
    const client = async i => {
      const names = Object.keys(kinds);
      for (let n = i; total() < end && !signal.aborted; n++) {
        const name = names[n % names.length];
        if (await leave(place, kinds[name](), signal)) left[name]++;
        if (total() % 100 === 0) say(`aborts: ${total()} of ${options.requests}`);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
  };
  const settled = async () => {
    await until(async () => (await metrics(place)).requests_open === 0, 10);
    await sleep(1500); // the gauges of the engine are a second old
    return { ...footprint(pid), ...(await metrics(place)) };
  };
  const watching = crowded(setting, probes, { width: () => PROBES, until: () => total() >= options.requests });
  await work(Math.ceil(options.requests / 3));
  const middle = footprint(pid);
  await work(options.requests - total());
  const { compared, differing } = await watching;
  const after = await settled();
  await sleep(1000 * QUIET_SECONDS);
  const later = await metrics(place);
  const counts = Object.entries(left).map(([name, n]) => `${n} ${name}`);
  add("aborts", "requests left", "", [total()], { atLeast: options.requests, note: counts.join(", ") });
  add("aborts", "others' answers that differ from those alone", "", [differing], { atMost: 0, note: `${compared} compared` });
  add(
    "aborts",
    "requests, tokens and runs held afterwards",
    "",
    [after.requests_open + after.tokens_open + after.requests_processing + after.requests_deferred],
    { atMost: 0 },
  );
  add("aborts", `steps computed in the ${QUIET_SECONDS} s after`, "", [later.steps_total - after.steps_total], { atMost: 0 });
  add("aborts", "memory grown since a third of them", "MiB", [(after.bytes - middle.bytes) / 2 ** 20], { atMost: 25 });
  add("aborts", "open files afterwards less those at a third", "", [after.files - middle.files], { atMost: 4 });
}
