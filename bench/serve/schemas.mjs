/**
 * Schemas at full speed of which no two are alike: every one has to be compiled, none is asked for again. What that costs answers that are running,
 * and whether memory stops growing. As many requests under one schema tell what the requests cost by themselves.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "./client.mjs";
import { quantile } from "./figures.mjs";
import { fillPages, leaving, WARM_SECONDS, windowOf } from "./load.mjs";
import { running, STREAMS } from "./prefill.mjs";
import { footprint, watchOthers } from "./server.mjs";
import { workload } from "./workload.mjs";

const CLIENTS = 8;
const MOST_RISE = 1.25;
const MOST_GROWTH = 96;

/** A record with an address, a date, bounds and a list, as tools ask for; no two numbers give the same. */
const schemaOf = n => ({
  type: "object",
  properties: {
    [`name_${n}`]: { type: "string", maxLength: 20 + (n % 50) },
    email: { type: "string", format: "email" },
    age: { type: "integer", minimum: n % 17, maximum: 100 + (n % 100) },
    born: { type: "string", format: "date" },
    role: { enum: ["admin", "editor", `role ${n}`] },
    tags: { type: "array", items: { type: "string", minLength: 1, maxLength: 30 }, maxItems: 8 },
    score: { type: "number", minimum: 0, exclusiveMaximum: 100 },
  },
  required: [`name_${n}`, "email", "age"],
  additionalProperties: false,
});

/**
 * Clients that ask until they are told to leave, as fast as they are answered, or all together `rate` times a second.
 * @param {() => object} schema the next request's
 */
function asking({ place }, schema, rate, signal) {
  const { leave, both } = leaving(signal);
  const counts = { answered: 0, refused: 0 };
  const client = async number => {
    let due = performance.now() + (1000 * number) / rate;
    for (; !both.aborted; due += (1000 * CLIENTS) / rate) {
      if (rate < Number.POSITIVE_INFINITY) await sleep(Math.max(0, due - performance.now()), undefined, { signal: both }).catch(() => {});
      const body = JSON.stringify({ model: "x", prompt: "a", raw: true, stream: false, format: schema(), options: { num_predict: 2 } });
      const { status, text } = await exchange(place, "/api/generate", { body, signal: both }).catch(e => {
        if (both.aborted) return { status: 0, text: "" };
        throw e;
      });
      if (status === 200) counts.answered++;
      else if (status === 429) counts.refused++;
      else if (status !== 0) throw new Error(`a schema was answered by ${status}: ${text.slice(0, 200)}`);
    }
  };
  const all = Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  all.catch(() => {}); // is awaited below
  const stop = async () => {
    leave();
    await all;
  };
  return { counts, all, stop };
}

/** The streams' gaps while `seconds` pass beside clients of that kind; the most bytes that the server had, and those up to the middle. */
async function beside({ server, signal, say }, answers, { about, seconds, schema, rate = Number.POSITIVE_INFINITY }) {
  const clients = schema && asking(server, schema, rate, signal);
  await sleep(1000 * WARM_SECONDS, undefined, { signal });
  const from = performance.now();
  let [most, half] = [0, 0];
  while (performance.now() < from + 1000 * seconds) {
    await Promise.race([sleep(500, undefined, { signal }), ...(clients ? [clients.all] : [])]);
    most = Math.max(most, footprint(server.pid).bytes);
    if (performance.now() < from + 500 * seconds) half = most;
    say(`schemas: ${about}, ${clients?.counts.answered ?? 0} answered, ${(most / 2 ** 20).toFixed(0)} MiB`);
  }
  const to = performance.now();
  await clients?.stop();
  return { gaps: windowOf(answers, from, to).gaps, counts: clients?.counts, most, half, seconds: (to - from) / 1000 };
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function schemas(setting) {
  const { server, signal, add, options } = setting;
  const column = (name, unit, goal) => add("schemas", name, unit, [], goal);
  const alone = column(`p99 between tokens of ${STREAMS} streams`, "ms");
  const one = column(`... beside as many requests with one schema`, "ms");
  const unique = column(`... beside ${CLIENTS} clients with schemas of their own`, "ms");
  const rise = column("schemas of their own : one schema", "x", { atMost: MOST_RISE });
  const whole = column("schemas of their own : alone", "x");
  const medians = column("rise of the median, their own : one", "x");
  const answered = column("schemas answered", "");
  const speed = column("schemas answered a second", "");
  const refused = column("schemas refused", "");
  const grown = column("memory, grown by", "MiB", { atMost: MOST_GROWTH });
  const late = column("... in the second half", "MiB");
  const noise = column("other work meanwhile", "cores");
  let next = 0;
  for (let round = 0; round < options.rounds; round++) {
    const others = watchOthers([server.pid]);
    await fillPages(setting, server, workload(800 + round, server.vocabulary, server.context));
    const { answers, stop } = running(server, workload(700 + round, server.vocabulary, server.context), signal);
    const { seconds } = options;
    const free = await beside(setting, answers, { about: "alone", seconds });
    await beside(setting, answers, { about: "one schema", seconds: 1, schema: () => schemaOf(0) }); // starts what compiles
    const before = footprint(server.pid).bytes;
    const own = await beside(setting, answers, { about: "their own", seconds: 60 * options.minutes, schema: () => schemaOf(++next) });
    const rate = own.counts.answered / own.seconds;
    const same = await beside(setting, answers, { about: "one schema", seconds: 2 * seconds, schema: () => schemaOf(0), rate });
    await stop();
    alone.push(quantile(free.gaps, 0.99));
    one.push(quantile(same.gaps, 0.99));
    unique.push(quantile(own.gaps, 0.99));
    rise.push(unique[round] / one[round]);
    whole.push(unique[round] / alone[round]);
    medians.push(quantile(own.gaps, 0.5) / quantile(same.gaps, 0.5));
    answered.push(own.counts.answered);
    speed.push(rate);
    refused.push(own.counts.refused);
    grown.push((own.most - before) / 2 ** 20);
    late.push((own.most - own.half) / 2 ** 20);
    noise.push(others());
  }
}
