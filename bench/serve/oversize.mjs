/**
 * Prompts that can never fit, among eight streams: each is refused at once and told both numbers, and nobody else notices.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "./client.mjs";
import { quantile } from "./figures.mjs";
import { watchOthers } from "./server.mjs";
import { watched } from "./slow.mjs";
import { workload } from "./workload.mjs";

const REFUSED_MS = 100;
/** One in so many is a text of a MiB. */
const HUGE = 100;

/** Bodies of every kind that is too long, made before so that making them takes no time beside what is measured. */
function bodiesOf(source, context) {
  const some = (least, most) => Math.ceil(context * (least + ((source.next() % 1000) / 1000) * (most - least)));
  const words = count => Array.from({ length: count }, () => ["cat", "dog", "tree", "ball"][source.next() % 4]).join(" ");
  const kinds = [
    () => ["/v1/completions", { prompt: source.ids(some(1.01, 4)), max_tokens: 8 }],
    () => ["/v1/completions", { prompt: words(some(1.2, 4)), max_tokens: 8, stream: true }],
    () => ["/v1/completions", { prompt: "\\n7".repeat(some(1, 4)), max_tokens: 8 }],
    () => ["/api/generate", { prompt: words(some(1.2, 3)), raw: true }],
  ];
  const small = Array.from({ length: 40 }, (_, i) => kinds[i % kinds.length]());
  const mib = 2 ** 20;
  const huge = ["a", "\n", "the cat ", "€", "12 "].map(t => ["/v1/completions", { prompt: t.repeat(mib / t.length), max_tokens: 8 }]);
  const text = ([path, body]) => ({ path, body: JSON.stringify(body) });
  return { small: small.map(text), huge: huge.map(text) };
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function oversize(setting) {
  const { server, say, add, options, signal } = setting;
  const { place, context, vocabulary } = server;
  const others = watchOthers([server.pid]);
  const { small, huge } = bodiesOf(workload(970, vocabulary, context), context);
  const seconds = 60 * options.minutes;
  say("oversize: without");
  const alone = await watched(setting, server, Math.min(seconds, 30), 710);
  const times = { small: [], huge: [] };
  const wrong = [];
  let sent = 0;
  const send = async () => {
    const kind = sent++ % HUGE === 0 ? "huge" : "small";
    const list = { small, huge }[kind];
    const { path, body } = list[Math.floor(kind === "huge" ? sent / HUGE : sent) % list.length];
    const began = performance.now();
    const { status, text } = await exchange(place, path, { body, signal });
    times[kind].push(performance.now() - began);
    const numbers = (text.match(/\d+ tokens/) ?? [""])[0];
    if (status !== 413 || !text.includes(String(context)) || Number.parseInt(numbers, 10) <= context)
      wrong.push(`${status} ${text.slice(0, 200)}`);
  };
  const began = performance.now();
  const under = [];
  const sending = (async () => {
    for (let n = 0; n < options.requests && !signal.aborted; n++) {
      const due = began + (1000 * seconds * n) / options.requests;
      await sleep(Math.max(0, due - performance.now()));
      under.push(send());
      if (n % 100 === 0) say(`oversize: ${n} of ${options.requests}`);
    }
    await Promise.all(under);
  })();
  const beside = await watched(setting, server, seconds, 711);
  await sending;
  add("oversize", "prompts that are too long", "", [times.small.length + times.huge.length], { note: `${times.huge.length} of a MiB` });
  add("oversize", "not refused, or without both numbers", "", [wrong.length], { atMost: 0, note: wrong[0] });
  for (const [kind, list] of Object.entries(times)) {
    add("oversize", `p99 until refused, ${kind} ones`, "ms", [quantile(list, 0.99)], {
      atMost: REFUSED_MS,
      note: `median ${quantile(list, 0.5).toFixed(1)} ms, longest ${Math.max(...list).toFixed(1)} ms`,
    });
  }
  add("oversize", "p99 between tokens of 8 streams, alone", "ms", [alone.p99]);
  add("oversize", "... beside them : alone", "", [beside.p99 / alone.p99], { atMost: 1.25, note: `${beside.answers} answers` });
  add("oversize", "good requests that failed", "", [beside.failed.length], { atMost: 0 });
  add("oversize", "other work meanwhile", "cores", [others()]);
}
