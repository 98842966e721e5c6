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
const CONTEXT = 512;
/** Clock ticks of /proc a second, the same on every Linux that Node runs on. */
const TICKS = 100;

/** Seconds of processor time that a process has had. */
function processorTime(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Tokens a second, over whole answers of the longest kind until the time is over. */
async function decode(model) {
  let [tokens, ms] = [0, 0];
  const begun = performance.now();
  while (performance.now() - begun < 1000 * seconds) {
    const stop = AbortSignal.timeout(Math.max(50, 1000 * seconds - (performance.now() - begun)));
    let first = 0;
    let last = 0;
    let count = 0;
    try {
      for await (const part of model.session().generate("Once", { ignoreEnd: true, temperature: 0, signal: stop })) {
        if (part.type !== "text") continue;
        last = performance.now();
        first ||= last;
        count++;
      }
    } catch (e) {
      if (!stop.aborted) throw e;
    }
    if (count > 1) [tokens, ms] = [tokens + count - 1, ms + last - first];
  }
  return (1000 * tokens) / ms;
}

async function besideBusy(model) {
  const busy = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  try {
    await new Promise(done => setTimeout(done, 300));
    const [time, begun] = [processorTime(busy.pid), performance.now()];
    const speed = await decode(model);
    const share = (1000 * (processorTime(busy.pid) - time)) / (performance.now() - begun) / availableParallelism();
    return { speed, share };
  } finally {
    busy.kill("SIGKILL");
  }
}

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];

const model = await load(path, {
  context: CONTEXT,
  target: values.target ?? "auto",
  threads: values.threads ? Number(values.threads) : undefined,
});
const alone = [];
const beside = [];
await decode(model);
for (let round = 0; round < rounds; round++) {
  alone.push(await decode(model));
  beside.push(await besideBusy(model));
}
await model.close();
const fall = 1 - median(beside.map(b => b.speed)) / median(alone);
const share = median(beside.map(b => b.share));
const { target, threads } = model.info;
if (values.json) console.log(JSON.stringify({ path, target, threads, alone, beside, fall, share }));
else {
  const percent = x => `${(100 * x).toFixed(0)}%`;
  console.log(`${path}: ${target}, ${threads} threads, ${seconds} s each`);
  console.log(`  alone: ${alone.map(x => x.toFixed(1)).join(", ")} tokens/s`);
  console.log(`  beside a busy process: ${beside.map(b => `${b.speed.toFixed(1)} (it had ${percent(b.share)})`).join(", ")}`);
  console.log(`  decode fell by ${percent(fall)}; the busy process had ${percent(share)} of the machine`);
}
