/**
 * Mixed work for many minutes: of all requests one in five leaves early and one in twenty is malformed. Afterwards nothing may be held, and the
 * process may not have grown: resident memory and open files of the last third are held against those of the second.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { complete, exchange, metrics } from "./client.mjs";
import { quantile } from "./figures.mjs";
import { footprint, until } from "./server.mjs";
import { completion, workload } from "./workload.mjs";

const CLIENTS = 12;
const [ABORTED, MALFORMED] = [0.2, 0.05];
const SAMPLES = 120;
/** Growth that is noise: this part of the process, or so many bytes. */
const NOISE = { part: 0.02, bytes: 8 << 20, files: 4 };

/** Bodies that are wrong in every dialect. */
const malformed = ["", "{", "null", "[]", '{"prompt":7,"messages":7}', '{"prompt":"x","stream":"yes","max_tokens":-1}', "[".repeat(500)];
const paths = ["/v1/completions", "/v1/chat/completions", "/v1/messages", "/api/generate"];

/** One client's turn. @returns {Promise<"done" | "aborted" | "malformed">} */
async function turn({ place }, source, signal) {
  const chance = source.next() / 2 ** 32;
  if (chance < MALFORMED) {
    const body = malformed[source.next() % malformed.length];
    const { status } = await exchange(place, paths[source.next() % paths.length], { body, signal });
    if (status < 400 || status >= 500) throw new Error(`a malformed request got ${status}: ${body.slice(0, 40)}`);
    return "malformed";
  }
  const leaves = chance < MALFORMED + ABORTED;
  const own = new AbortController();
  const after = source.next() % 8;
  if (leaves && after === 0) setTimeout(() => own.abort(), source.next() % 40);
  const onPiece = answer => leaves && answer.times.length >= after && own.abort();
  const drawn = source.next() % 2 ? { temperature: 0.9, seed: source.next() } : {};
  const answer = await complete(place, completion(source.request(), drawn), { signal: AbortSignal.any([own.signal, signal]), onPiece });
  if (!answer.aborted && (!answer.ended || answer.failure)) throw new Error(`a request failed: ${answer.failure ?? answer.status}`);
  return answer.aborted ? "aborted" : "done";
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function soak({ server, signal, say, add, options }) {
  const source = workload(600, server.vocabulary, server.context);
  const counts = { done: 0, aborted: 0, malformed: 0 };
  const end = performance.now() + 60_000 * options.minutes;
  const client = async () => {
    while (performance.now() < end && !signal.aborted) counts[await turn(server, source, signal)]++;
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, client));
  clients.catch(() => {}); // is awaited below
  const samples = [];
  while (performance.now() < end && !signal.aborted) {
    await Promise.race([clients, sleep((60_000 * options.minutes) / SAMPLES, undefined, { signal })]);
    samples.push(footprint(server.pid));
    const { bytes, files } = samples.at(-1);
    say(
      `soak: ${((end - performance.now()) / 60_000).toFixed(1)} minutes left, ${counts.done} answers, ${(bytes / 2 ** 20).toFixed(0)} MiB, ${files} files`,
    );
  }
  await clients;
  addGrowth(add, samples, counts);
  const held = async () => (await metrics(server.place)).requests_open;
  await until(async () => (await held()) === 0, 10);
  add("soak", "requests still held afterwards", "", [await held()], { atMost: 0 });
}

function addGrowth(add, samples, { done, aborted, malformed: wrong }) {
  const third = Math.floor(samples.length / 3);
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)];
  const median = (list, key) =>
    quantile(
      list.map(s => s[key]),
      0.5,
    );
  const [before, after] = [median(middle, "bytes"), median(last, "bytes")];
  const note = `${done} answers, ${aborted} left, ${wrong} malformed`;
  const most = Math.max(NOISE.bytes, NOISE.part * before) / 2 ** 20;
  add("soak", "memory", "MiB", [after / 2 ** 20], { note });
  add("soak", "memory of the last third less that of the second", "MiB", [(after - before) / 2 ** 20], { atMost: most });
  add("soak", "open files of the last third less those of the second", "", [median(last, "files") - median(middle, "files")], {
    atMost: NOISE.files,
  });
  add("soak", "threads of the last third less those of the second", "", [median(last, "threads") - median(middle, "threads")], {
    atMost: 0,
  });
}
