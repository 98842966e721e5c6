/** What a long prompt does to answers that are running, and what it costs when its beginning is known. */
import { setTimeout as sleep } from "node:timers/promises";
import { complete } from "./client.mjs";
import { quantile } from "./figures.mjs";
import { leaving, WARM_SECONDS, windowOf } from "./load.mjs";
import { watchOthers } from "./server.mjs";
import { completion, workload } from "./workload.mjs";

export const STREAMS = 4;
/** Tokens that follow a known beginning. */
const NEW = 50;
const LONG = 2000;

/** Length of the long prompt: 2,000 tokens, or what the context leaves. @param {import("./server.mjs").Server} server */
const longOf = server => Math.min(LONG, server.context - 2 * NEW);

/** Milliseconds to the first piece. A first token may be the beginning of a character; some more follow, so that something comes. */
async function timeToFirst(place, prompt, signal) {
  const answer = await complete(place, completion({ prompt, answer: 4 }), { signal });
  if (answer.status !== 200 || !answer.times.length)
    throw new Error(`a prompt of ${prompt.length} tokens failed: ${answer.failure ?? answer.status}`);
  return { ms: answer.times[0] - answer.began, cached: answer.usage?.prompt_tokens_details?.cached_tokens ?? 0 };
}

/** Answers that run until they are told to leave. */
export function running({ place }, source, signal) {
  const { leave, both } = leaving(signal);
  const answers = [];
  const client = async () => {
    while (!both.aborted) await complete(place, completion({ prompt: source.ids(16), answer: 1000 }), { signal: both, onPiece: keep });
  };
  const keep = answer => answers.includes(answer) || answers.push(answer);
  const all = Array.from({ length: STREAMS }, client);
  const stop = async () => {
    leave();
    await Promise.all(all);
  };
  return { answers, stop };
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function prefill({ server, signal, say, add, options }) {
  const long = longOf(server);
  const name = `p99 between tokens of ${STREAMS} streams`;
  const alone = add("prefill", name, "ms", []);
  const beside = add("prefill", `... while ${long} tokens are read`, "ms", []);
  const ratio = add("prefill", "rise of p99", "x", [], { atMost: 2 });
  const medians = add("prefill", "rise of the median", "x", []);
  const taken = add("prefill", "the prompt took", "s", []);
  const source = workload(200, server.vocabulary, server.context);
  const noise = add("prefill", "other work meanwhile", "cores", []);
  for (let round = 0; round < options.rounds; round++) {
    const others = watchOthers([server.pid]);
    say(`prefill: round ${round + 1} of ${options.rounds}`);
    const { answers, stop } = running(server, source, signal);
    await sleep(1000 * WARM_SECONDS, undefined, { signal });
    const begun = performance.now();
    await sleep(1000 * options.seconds, undefined, { signal });
    const asked = performance.now();
    const { ms } = await timeToFirst(server.place, source.ids(long), signal);
    const done = asked + ms;
    await stop();
    const [before, during] = [windowOf(answers, begun, asked).gaps, windowOf(answers, asked, done).gaps];
    alone.push(quantile(before, 0.99));
    beside.push(quantile(during, 0.99));
    ratio.push(beside[round] / alone[round]);
    medians.push(quantile(during, 0.5) / quantile(before, 0.5));
    taken.push(ms / 1000);
    noise.push(others());
  }
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function cached({ server, signal, say, add, options }) {
  const long = longOf(server);
  const full = add("cached", `time to first token, ${long + NEW} tokens, none known`, "ms", []);
  const known = add("cached", `... ${long} known and ${NEW} new`, "ms", []);
  const ratio = add("cached", "full : known", "x", [], { atLeast: 10 });
  const source = workload(300, server.vocabulary, server.context);
  const noise = add("cached", "other work meanwhile", "cores", []);
  for (let round = 0; round < options.rounds; round++) {
    const others = watchOthers([server.pid]);
    say(`cached: round ${round + 1} of ${options.rounds}`);
    const first = source.ids(long);
    full.push((await timeToFirst(server.place, [...first, ...source.ids(NEW)], signal)).ms);
    const again = await timeToFirst(server.place, [...first, ...source.ids(NEW)], signal);
    if (again.cached < long - 1) throw new Error(`only ${again.cached} of ${long} tokens were known`);
    known.push(again.ms);
    ratio.push(full[round] / known[round]);
    noise.push(others());
  }
}
