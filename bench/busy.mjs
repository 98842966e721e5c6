#!/usr/bin/env node
/**
 * What another program costs: decodes with and without a process beside it that takes all it can of one core, in turns; Lathe, llama.cpp, or both.
 *
 *   node bench/busy.mjs [model.gguf] [--engines lathe,llama.cpp] [--seconds 5] [--rounds 3] [--threads 2] [--json]
 *   node bench/busy.mjs --help
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { load } from "../dist/index.js";
import { openPeer, promptTokens } from "./llamacpp.mjs";
import { describeMachine } from "./machine.mjs";
import { machineTicks, processTicks, TICKS_PER_SECOND } from "./watch.mjs";

const HELP = `Usage: node bench/busy.mjs [model.gguf] [options]
  Prints tokens a second alone and beside the busy process, the part of the machine that this process got (its processor time by the clock and the
  number of cores), and how far decode fell. Wants an otherwise idle machine, and Linux: processor time is read from /proc.
  --engines <list>  lathe, llama.cpp or both, one after the other (default lathe)
  --seconds <n>     of each measurement (default 5)
  --rounds <n>      measurements alone and beside it, in turns (default 3)
  --threads <n>     (default 2)
  --target <name>   what Lathe compiles for (default native)
  --isa <name>      llama.cpp's CPU build: native, avx2, or one by its name (default native); for Lathe set LATHE_CPU
  --json            print one JSON object`;

/** Tokens of an answer. */
const ANSWER = 32;

/** @returns {{ path: string, engines: string[], seconds: number, rounds: number, threads: number, target: string, isa: string, json: boolean } | undefined} */
function options() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const { values, positionals } = parseArgs({
    options: { engines: text, seconds: text, rounds: text, threads: text, target: text, isa: text, json: flag, help: flag },
    allowPositionals: true,
  });
  if (values.help || positionals.length > 1) return undefined;
  const number = (name, fallback) => {
    const n = Number(values[name] ?? fallback);
    if (!(n > 0) || (name !== "seconds" && !Number.isInteger(n)))
      throw new Error(`--${name} must be a number above 0, not ${values[name]}`);
    return n;
  };
  const names = (values.engines ?? "lathe").split(",");
  const unknown = names.find(name => !engines[name]);
  if (unknown !== undefined) throw new Error(`unknown engine ${unknown}; known: ${Object.keys(engines).join(" ")}`);
  return {
    path: positionals[0] ?? fileURLToPath(new URL("../models/stories.gguf", import.meta.url)),
    engines: names,
    seconds: number("seconds", 5),
    rounds: number("rounds", 3),
    threads: number("threads", Math.min(2, availableParallelism())),
    target: values.target ?? "native",
    isa: values.isa ?? "native",
    json: values.json,
  };
}

/** How to open each engine; what is opened decodes one answer, or less of it when `until` is over, and gives its tokens and milliseconds. */
const engines = {
  lathe: async ({ path, threads, target }) => {
    const model = await load(path, { context: 2 * ANSWER, target, threads });
    return {
      what: `Lathe, ${model.info.target}`,
      answer: async () => {
        const { timings, usage } = await model.generate("Once", { maxTokens: ANSWER, ignoreEnd: true, temperature: 0 });
        return { tokens: usage.completionTokens - 1, ms: timings.completionMs };
      },
      close: () => model.close(),
    };
  },
  "llama.cpp": async wanted => {
    const { llama, model, context, isa } = await openPeer({ ...wanted, model: wanted.path, prompt: ANSWER, gen: ANSWER });
    const sequence = context.getSequence();
    const prompt = promptTokens(model, 2);
    return {
      what: `llama.cpp, ${isa}`,
      answer: async until => {
        await sequence.clearHistory();
        const times = [];
        for await (const _token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
          times.push(performance.now());
          if (times.length === ANSWER || (times.length > 1 && times.at(-1) > until)) break;
        }
        return { tokens: times.length - 1, ms: times.at(-1) - times[0] };
      },
      close: () => llama.dispose(),
    };
  },
};

/** Tokens a second, over answers until the time is over. */
async function decode(engine, seconds) {
  let [tokens, ms] = [0, 0];
  const until = performance.now() + 1000 * seconds;
  while (performance.now() < until) {
    const made = await engine.answer(until);
    tokens += made.tokens;
    ms += made.ms;
  }
  return (1000 * tokens) / ms;
}

/** What `run` gives, and which parts of the machine went to `pid` and to programs other than that and this one. */
async function watched(pid, run) {
  const ticks = () => [machineTicks().busy, processTicks(process.pid), pid ? processTicks(pid) : 0];
  const [before, begun] = [ticks(), performance.now()];
  const speed = await run();
  const all = ((performance.now() - begun) / 1000) * availableParallelism() * TICKS_PER_SECOND;
  const [total, own, share] = ticks().map((t, i) => (t - before[i]) / all);
  return { speed, share, others: total - own - share };
}

async function besideBusy(run) {
  const busy = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  try {
    await sleep(300);
    return await watched(busy.pid, run);
  } finally {
    busy.kill("SIGKILL");
  }
}

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];
const medianOf = (list, key) => median(list.map(x => x[key]));

/** @param {NonNullable<ReturnType<typeof options>>} wanted */
async function measure(name, wanted) {
  const engine = await engines[name](wanted);
  const [alone, beside] = [[], []];
  const run = () => decode(engine, wanted.seconds);
  await decode(engine, 1); // warms up
  for (let round = 0; round < wanted.rounds; round++) {
    alone.push(await watched(undefined, run));
    beside.push(await besideBusy(run));
  }
  await engine.close();
  const fall = 1 - medianOf(beside, "speed") / medianOf(alone, "speed");
  return { engine: engine.what, alone, beside, fall, share: medianOf(beside, "share") };
}

function print({ engine, alone, beside, fall, share }) {
  const percent = x => `${(100 * x).toFixed(0)}%`;
  const shown = list => list.map(x => `${x.speed.toFixed(1)} (${percent(x.share)}, others ${percent(x.others)})`).join(", ");
  console.log(`${engine}: tokens/s, and what of the machine the busy process and others had`);
  console.log(`  alone: ${shown(alone)}`);
  console.log(`  beside a busy process: ${shown(beside)}`);
  console.log(`  decode fell by ${percent(fall)}; the busy process had ${percent(share)} of the machine`);
}

async function main() {
  const wanted = options();
  if (!wanted) return console.log(HELP);
  const results = [];
  for (const name of wanted.engines) results.push(await measure(name, wanted));
  const { path, threads, seconds } = wanted;
  if (wanted.json) return console.log(JSON.stringify({ machine: describeMachine(), path, threads, seconds, results }));
  console.log(`${basename(path)}: ${threads} threads, ${seconds} s each`);
  results.forEach(print);
}

// llama.cpp keeps handles open that are of no use any more, hence the exit.
await main().then(
  () => process.exit(0),
  error => {
    console.error(error.message);
    process.exit(1);
  },
);
