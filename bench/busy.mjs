#!/usr/bin/env node
/**
 * What another program costs: decodes with and without a process beside it that takes all it can of one core, in turns.
 *
 *   node bench/busy.mjs [model.gguf] [--seconds 5] [--rounds 3] [--threads n] [--target auto] [--json]
 *
 * Prints tokens a second of each round, the part of the machine that the busy process got (its processor time by the clock and the number of
 * cores), and the fall of the median. Wants an otherwise idle machine. Linux only: processor time is read from /proc.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { load } from "../dist/index.js";

const text = { type: "string" };
const { values, positionals } = parseArgs({
  options: { seconds: text, rounds: text, threads: text, target: text, json: { type: "boolean" } },
  allowPositionals: true,
});
const path = positionals[0] ?? fileURLToPath(new URL("../models/stories.gguf", import.meta.url));
const [seconds, rounds] = [Number(values.seconds ?? 5), Number(values.rounds ?? 3)];
const ANSWER = 32;
/** Clock ticks of /proc a second, the same on every Linux that Node runs on. */
const TICKS = 100;

const ticksOf = fields => fields.reduce((sum, n) => sum + Number(n), 0) / TICKS;
/** Seconds of processor time that a process has had. */
const timeOf = pid => ticksOf(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ").slice(11, 13));
/** ... and all processes together. */
const timeOfAll = () => ticksOf(readFileSync("/proc/stat", "utf8").split("\n")[0].split(/ +/).slice(1, 4));

/** What `run` gives, and which parts of the machine went to `pid` and to programs other than that and this one. */
async function watched(pid, run) {
  const times = () => [timeOfAll(), timeOf(process.pid), pid ? timeOf(pid) : 0];
  const [before, begun] = [times(), performance.now()];
  const speed = await run();
  const all = ((performance.now() - begun) / 1000) * availableParallelism();
  const [total, own, share] = times().map((t, i) => (t - before[i]) / all);
  return { speed, share, others: total - own - share };
}

/** Tokens a second, over answers until the time is over. */
async function decode(model) {
  let [tokens, ms] = [0, 0];
  const begun = performance.now();
  while (performance.now() - begun < 1000 * seconds) {
    const { timings, usage } = await model.generate("Once", { maxTokens: ANSWER, ignoreEnd: true, temperature: 0 });
    tokens += usage.completionTokens - 1;
    ms += timings.completionMs;
  }
  return (1000 * tokens) / ms;
}

async function besideBusy(run) {
  const busy = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  try {
    await new Promise(done => setTimeout(done, 300));
    return await watched(busy.pid, run);
  } finally {
    busy.kill("SIGKILL");
  }
}

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];

const model = await load(path, {
  context: 2 * ANSWER,
  target: values.target ?? "auto",
  threads: values.threads ? Number(values.threads) : undefined,
});
const alone = [];
const beside = [];
await decode(model); // warms up
for (let round = 0; round < rounds; round++) {
  alone.push(await watched(undefined, () => decode(model)));
  beside.push(await besideBusy(() => decode(model)));
}
await model.close();
const medianOf = (list, key) => median(list.map(x => x[key]));
const fall = 1 - medianOf(beside, "speed") / medianOf(alone, "speed");
const share = medianOf(beside, "share");
const { target, threads } = model.info;
if (values.json) console.log(JSON.stringify({ path, target, threads, alone, beside, fall, share }));
else {
  const percent = x => `${(100 * x).toFixed(0)}%`;
  const shown = list => list.map(x => `${x.speed.toFixed(1)} (${percent(x.share)}, others ${percent(x.others)})`).join(", ");
  console.log(
    `${path}: ${target}, ${threads} threads, ${seconds} s each; tokens/s, and what of the machine the busy process and others had`,
  );
  console.log(`  alone: ${shown(alone)}`);
  console.log(`  beside a busy process: ${shown(beside)}`);
  console.log(`  decode fell by ${percent(fall)}; the busy process had ${percent(share)} of the machine`);
}
