#!/usr/bin/env node
/**
 * Lathe and llama.cpp side by side on this machine: the engines take turns, each run in a fresh process, and the medians are compared.
 *
 *   node bench/compare.mjs [--types q4_0,q4_k,q8_0,f16,bf16,q6_k,tq2_0] [--rounds 5] [--isa avx2|native|both] [--json]
 *   node bench/compare.mjs --help
 */
import { createReadStream, existsSync, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generate, modelFolder, modelPath, SHAPE } from "./generate.mjs";
import { describeMachine, slug } from "./machine.mjs";
import { report } from "./report.mjs";
import { runWatched, waitForQuiet } from "./watch.mjs";

const HERE = import.meta.dirname;

/** Formats that are compared unless others are asked for. */
const TYPES = "q4_0,q4_k,q8_0,f16,bf16,q6_k,tq2_0";

const HELP = `Usage: node bench/compare.mjs [options]
  --types <list>        formats to compare (default ${TYPES})
  --rounds <n>          counted runs of each engine and format (default 5)
  --engines <list>      lathe, llama.cpp or both (default lathe,llama.cpp)
  --isa <name>          avx2: both engines keep to AVX2; native: their own choice; both; or one of llama.cpp's CPU variants (default native)
  --target <name>       what Lathe compiles for (default native)
  --prompt-tokens <n>   (default 256)
  --gen-tokens <n>      (default 64)
  --threads <n>         (default 2)
  --dir <folder>        models (default LATHE_BENCH_DIR, else <tmp>/lathe-bench); missing ones are written
  --model <file>        one model file in place of the generated ones
  --pause <seconds>     rest before each run (default 2)
  --quiet <cores>       a run beside more other work than this is repeated (default 0.1)
  --retries <n>         how often (default 3)
  --patience <seconds>  how long to wait for a quiet machine before each run (default 30)
  --urgent              run the engines at the highest ordinary priority (needs root; the same for all)
  --lathe <command>     the command that stands for lathe (default: this checkout's build)
  --json                also write the raw results to bench/results/`;

const TEXT = [
  "types",
  "rounds",
  "engines",
  "isa",
  "target",
  "prompt-tokens",
  "gen-tokens",
  "threads",
  "dir",
  "model",
  "pause",
  "quiet",
  "retries",
];

function options() {
  const spec = Object.fromEntries([...TEXT, "patience", "lathe"].map(name => [name, { type: "string" }]));
  for (const name of ["urgent", "json", "help"]) spec[name] = { type: "boolean" };
  const { values } = parseArgs({ options: spec });
  if (values.help) return undefined;
  const number = (name, fallback) => {
    const n = Number(values[name] ?? fallback);
    if (!Number.isFinite(n) || n < 0) throw new Error(`--${name} must be a number, not ${values[name]}`);
    return n;
  };
  return {
    types: (values.types ?? TYPES).split(","),
    rounds: number("rounds", 5),
    engines: (values.engines ?? "lathe,llama.cpp").split(","),
    isa: values.isa === "both" ? ["avx2", "native"] : [values.isa ?? "native"],
    target: values.target ?? "native",
    prompt: number("prompt-tokens", 256),
    gen: number("gen-tokens", 64),
    threads: number("threads", Math.min(2, cpus().length)),
    dir: values.dir ?? modelFolder(),
    model: values.model,
    pause: number("pause", 2),
    quiet: number("quiet", 0.1),
    retries: number("retries", 3),
    patience: number("patience", 30),
    urgent: values.urgent ?? false,
    lathe: values.lathe?.split(" ") ?? [process.execPath, join(HERE, "..", "dist", "cli", "main.js")],
    json: values.json ?? false,
  };
}

/** @typedef {NonNullable<ReturnType<typeof options>>} Options */

/** The engines in the order of the table's columns, and how each is run on a model. @param {Options} wanted */
function enginesOf(wanted) {
  const sizes = ["--prompt-tokens", wanted.prompt, "--gen-tokens", wanted.gen, "--threads", wanted.threads, "--runs", 1].map(String);
  // Both engines keep to the same level of instructions; Lathe's WebAssembly knows only one.
  const lathe = (wanted.target === "wasm" ? ["native"] : wanted.isa).map(isa => ({
    name: `lathe ${wanted.target}${wanted.target === "wasm" ? "" : ` ${isa}`}`,
    command: model => [
      ...(isa === "native" ? [] : ["env", `LATHE_CPU=${isa}`]),
      ...[...wanted.lathe, "bench", model, ...sizes, "--target", wanted.target, "--json"],
    ],
  }));
  const llama = wanted.isa.map(isa => ({
    name: `llama.cpp ${isa}`,
    command: model => [process.execPath, join(HERE, "llamacpp.mjs"), model, ...sizes, "--isa", isa, "--json"],
  }));
  return [...(wanted.engines.includes("lathe") ? lathe : []), ...(wanted.engines.includes("llama.cpp") ? llama : [])];
}

/** Model file of each type, written where missing. @param {Options} wanted @returns {Record<string, string>} */
function modelsOf(wanted) {
  if (wanted.model)
    return {
      [slug(
        wanted.model
          .split("/")
          .at(-1)
          .replace(/\.gguf$/, ""),
      )]: wanted.model,
    };
  const models = {};
  for (const type of wanted.types) {
    models[type] = modelPath(wanted.dir, type);
    if (existsSync(models[type])) continue;
    console.error(`writing ${models[type]}`);
    generate({ shape: SHAPE, type, seed: 1, path: models[type] });
  }
  return models;
}

/** Reads a file once, so that no engine is the one to bring it in from the disk. */
async function warmFileCache(path) {
  for await (const _chunk of createReadStream(path, { highWaterMark: 2 ** 22 }));
}

/** The scheduler's highest ordinary priority, in a scheduling group of its own. */
const urgently = command => ["setsid", "--wait", "sh", "-c", 'echo -20 > /proc/self/autogroup; exec nice -n -20 "$@"', "sh", ...command];

function checkResult(result, name) {
  const numbers = [
    result?.load?.seconds,
    result?.memory?.peakBytes,
    ...["prefill", "decode"].flatMap(part => result?.[part]?.tokensPerSecond ?? [undefined]),
  ];
  if (numbers.some(n => typeof n !== "number" || !(n > 0))) throw new Error(`${name} printed something else than a benchmark result`);
}

/** One counted run, repeated while the machine is busy with other things. @param {Options} wanted */
async function runOnce(engine, model, wanted) {
  for (let attempt = 0; ; attempt++) {
    await sleep(wanted.pause * 1000);
    await waitForQuiet(wanted.quiet, wanted.patience);
    const command = wanted.urgent ? urgently(engine.command(model)) : engine.command(model);
    const { stdout, noise } = await runWatched(command[0], command.slice(1));
    const result = JSON.parse(stdout.trim().split("\n").at(-1));
    checkResult(result, engine.name);
    const quiet = noise.others + noise.stolen <= wanted.quiet;
    const speeds = `prefill ${result.prefill.tokensPerSecond[0].toFixed(1)}, decode ${result.decode.tokensPerSecond[0].toFixed(2)} tokens/s`;
    const busy = `others ${noise.others.toFixed(2)}, stolen ${noise.stolen.toFixed(2)} cores${quiet ? "" : ", not quiet"}`;
    console.error(`${result.model} ${engine.name}${result.isa ? ` (${result.isa})` : ""}: ${speeds}; ${busy}`);
    if (quiet || attempt >= wanted.retries) return { result, noise, quiet };
  }
}

/** Every round runs every type on every engine; every other round goes through the engines backwards. @param {Options} wanted */
async function runAll(wanted, models) {
  const engines = enginesOf(wanted);
  const plan = Array.from({ length: wanted.rounds }, (_, round) =>
    Object.entries(models).flatMap(([type, path]) =>
      (round % 2 === 0 ? engines : [...engines].reverse()).map(engine => ({ round, type, path, engine })),
    ),
  );
  for (const path of Object.values(models)) await warmFileCache(path);
  const runs = [];
  const stop = stopper();
  for (const { round, type, path, engine } of plan.flat()) {
    const run = await runOnce(engine, path, wanted).catch(error => {
      if (!stop.asked) throw error;
    });
    if (stop.asked) break;
    runs.push({ type, engine: engine.name, round, ...run });
  }
  const place = run => engines.findIndex(engine => engine.name === run.engine);
  return runs.sort((a, b) => place(a) - place(b));
}

/** A first interrupt ends the comparison with what has been measured so far; a second one ends it at once. */
function stopper() {
  const stop = { asked: false };
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => (stop.asked = true));
  return stop;
}

/** Writes the raw results under a name that says when and on what. */
function writeResults(wanted, machine, runs, fileBytes) {
  const date = new Date().toISOString().slice(0, 10);
  const folder = join(HERE, "results");
  const path = join(folder, `${date}-${slug(machine.cpu)}.json`);
  const { types, rounds, target, prompt, gen, threads, quiet, urgent } = wanted;
  const settings = { types, rounds, target, prompt, gen, threads, quiet, urgent };
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${path}.tmp`, `${JSON.stringify({ date, machine, settings, fileBytes, runs }, null, 1)}\n`);
  renameSync(`${path}.tmp`, path);
  console.error(`raw results: bench/results/${path.split("/").at(-1)}`);
}

async function main() {
  const wanted = options();
  if (!wanted) return console.log(HELP);
  const machine = describeMachine();
  const models = modelsOf(wanted);
  const runs = await runAll(wanted, models);
  if (runs.length === 0) throw new Error("nothing was measured");
  const fileBytes = Object.fromEntries(Object.entries(models).map(([type, path]) => [type, statSync(path).size]));
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.features.join(" ")}; Node ${machine.node}, Linux ${machine.kernel}`);
  console.log(
    `${wanted.prompt} prompt tokens, ${wanted.gen} generated, ${wanted.threads} threads, ${runs.length} counted runs; median (least-most)\n`,
  );
  console.log(report(runs, fileBytes));
  if (wanted.json) writeResults(wanted, machine, runs, fileBytes);
}

await main().catch(error => {
  console.error(error.message);
  process.exitCode = 1;
});
