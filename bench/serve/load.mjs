/**
 * Two ways to put a server under load. Closed: so many clients, each of which asks again when it has its answer. Open: requests come at a rate,
 * whether earlier ones are answered or not. Both count tokens by when they arrive, inside a window.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { complete } from "./client.mjs";
import { footprint } from "./server.mjs";
import { completion } from "./workload.mjs";

/** Seconds before a window in which answers get under way. */
export const WARM_SECONDS = 1.5;

/**
 * @typedef {import("./client.mjs").Answer} Answer
 * @typedef {{ seconds: number, tokens: number, tokensPerSecond: number, gaps: number[], first: number[], answers: Answer[], failed: Answer[] }} Window
 * `gaps`: milliseconds between pieces of one answer; `first`: milliseconds to the first piece.
 */

/** What of the answers fell between two times. @param {Answer[]} answers @returns {Window} */
export function windowOf(answers, from, to) {
  const inside = t => t >= from && t < to;
  const seconds = (to - from) / 1000;
  const tokens = answers.reduce((sum, a) => sum + a.times.filter(inside).length, 0);
  const gaps = answers.flatMap(a => a.times.flatMap((t, i) => (i > 0 && inside(t) ? [t - a.times[i - 1]] : [])));
  const first = answers.flatMap(a => (a.times.length && inside(a.times[0]) ? [a.times[0] - a.began] : []));
  const failed = answers.filter(a => !a.aborted && (a.status !== 200 || a.failure));
  return { seconds, tokens, tokensPerSecond: tokens / seconds, gaps, first, answers, failed };
}

/** A way to end many requests at once, besides the run's own. @param {AbortSignal} signal */
export function leaving(signal) {
  const leave = new AbortController();
  const both = AbortSignal.any([leave.signal, signal]);
  setMaxListeners(0, leave.signal, both); // every request listens
  return { leave: () => leave.abort(), both };
}

/**
 * `clients` clients for `seconds` after a warm-up; what is under way at the end is left.
 * @param {{ place: import("./client.mjs").Place, source: ReturnType<import("./workload.mjs").workload>, clients: number, seconds: number,
 *   signal: AbortSignal, warm?: number, more?: object }} how
 */
export async function closedLoop({ place, source, clients, seconds, signal, warm = WARM_SECONDS, more }) {
  const { leave, both } = leaving(signal);
  const answers = [];
  const client = async () => {
    while (!both.aborted) {
      const answer = complete(place, completion(source.request(), more), { signal: both });
      answers.push(await answer);
    }
  };
  const all = Array.from({ length: clients }, client);
  await sleep(1000 * warm, undefined, { signal });
  const from = performance.now();
  await sleep(1000 * seconds, undefined, { signal });
  const to = performance.now();
  leave();
  await Promise.all(all);
  return windowOf(answers, from, to);
}

/**
 * Requests at `rate` a second for `seconds`, each left by its client after `patience` seconds.
 * @param {{ place: import("./client.mjs").Place, source: ReturnType<import("./workload.mjs").workload>, rate: number, seconds: number,
 *   patience: number, signal: AbortSignal, onTick?: (n: number) => void }} how
 * @returns {Promise<{ window: Window, refused: Answer[] }>}
 */
export async function openLoop({ place, source, rate, seconds, patience, signal, onTick }) {
  const { leave, both } = leaving(signal);
  const under = [];
  const from = performance.now();
  const to = from + 1000 * seconds;
  for (let n = 0; performance.now() < to && !signal.aborted; n++) {
    const due = from + (1000 * n) / rate;
    await sleep(Math.max(0, due - performance.now()), undefined, { signal });
    onTick?.(n);
    const asked = source.request();
    const cost = asked.prompt.length + asked.answer;
    const ended = complete(place, completion(asked), { signal: AbortSignal.any([both, AbortSignal.timeout(1000 * patience)]) });
    under.push(ended.then(answer => ({ ...answer, cost })));
  }
  // Answers that began in the window may end after it; they count by the tokens that came in it, if they do end.
  await Promise.race([Promise.all(under), sleep(1000 * patience, undefined, { signal })]);
  leave();
  const answers = await Promise.all(under);
  const useful = answers.filter(a => a.ended && !a.failure);
  const window = windowOf(useful, from, to);
  return { window: { ...window, answers }, refused: answers.filter(a => a.status === 429 || a.status === 503) };
}

/** Prompts after which all pages have been written to, at the most. */
const MOST_PROMPTS = 12;

/** Fills the pages of keys and values, which are counted when a model is loaded and resident when they are first written to: no growth of anything. */
export async function fillPages({ signal, say }, server, source) {
  let [bytes, grown] = [footprint(server.pid).bytes, 0];
  // What loading needed is given back meanwhile: the first prompts say nothing.
  for (let n = 0; n < MOST_PROMPTS && (n < 3 || grown > 2 ** 22); n++) {
    await complete(server.place, completion({ prompt: source.ids(Math.min(1500, server.context - 8)), answer: 1 }), { signal });
    const now = footprint(server.pid).bytes;
    [bytes, grown] = [now, now - bytes];
    say(`filling pages, ${(now / 2 ** 20).toFixed(0)} MiB`);
  }
}
