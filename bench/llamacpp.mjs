#!/usr/bin/env node
/**
 * Times llama.cpp (through node-llama-cpp) on one model and prints the object that `lathe bench --json` prints.
 *
 *   node bench/llamacpp.mjs <model.gguf> [--prompt-tokens 256] [--gen-tokens 64] [--threads 2] [--runs 1] [--isa native|avx2] [--json]
 *
 * A run is: forget everything, evaluate the prompt in one batch and pick the next token, then generate one token a step, greedily. One shorter run
 * before the first is not counted. The speeds are wall-clock times of the JavaScript calls; `own` holds llama.cpp's counters of the same runs.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { loadPeer, mappedVariants } from "./peers.mjs";
import { random32 } from "./weights.mjs";

const USAGE =
  "Usage: node bench/llamacpp.mjs <model.gguf> [--prompt-tokens N] [--gen-tokens N] [--threads N] [--runs N] [--isa native|avx2] [--json]";
const WARM_UP_TOKENS = 8;
const GREEDY = { generateNext: { token: true, options: { temperature: 0 } } };
const OPTIONS = {
  "prompt-tokens": { type: "string", default: "256" },
  "gen-tokens": { type: "string", default: "64" },
  threads: { type: "string", default: "2" },
  runs: { type: "string", default: "1" },
  isa: { type: "string", default: "native" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

/** @typedef {{ model: string, prompt: number, gen: number, threads: number, runs: number, isa: string, json: boolean }} Options */

/** @returns {Options | undefined} */
function options() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (values.help || positionals.length !== 1) return undefined;
  const count = name => {
    const n = Number(values[name]);
    if (!Number.isInteger(n) || n < 1) throw new Error(`--${name} must be a whole number above 0, not ${values[name]}`);
    return n;
  };
  const [prompt, gen, threads, runs] = ["prompt-tokens", "gen-tokens", "threads", "runs"].map(count);
  return { model: positionals[0], prompt, gen, threads, runs, isa: values.isa, json: values.json };
}

const seconds = start => (performance.now() - start) / 1000;

/** Collects what llama.cpp logs about buffers, repacking and its own timings. */
function logReader() {
  const buffers = {};
  let own;
  const counter = /(prompt eval|eval) time =\s*([\d.]+) ms \/\s*(\d+) (?:tokens|runs)/;
  return {
    buffers,
    log(_level, message) {
      const buffer = /(\S+) model buffer size =\s*([\d.]+) MiB/.exec(message);
      if (buffer) buffers[buffer[1]] = Math.round(Number(buffer[2]) * 2 ** 20);
      for (const line of message.split("\n")) {
        const found = counter.exec(line);
        if (found && own) own[found[1]] = { milliseconds: Number(found[2]), tokens: Number(found[3]) };
      }
    },
    /** llama.cpp's own counters since the last call; asking for them sets them back to 0. */
    async counters(context) {
      own = {};
      await context.printTimings();
      for (let i = 0; i < 100 && !own.eval; i++) await new Promise(done => setTimeout(done, 5));
      return own;
    },
  };
}

/**
 * Loads library, model and context for `prompt` and `gen` tokens; `load.seconds` is all of it.
 * @param {Pick<Options, "model" | "prompt" | "gen" | "threads" | "isa">} wanted
 */
export async function openPeer(wanted, reader = logReader()) {
  const { getLlama, LlamaLogLevel } = await loadPeer(wanted.isa);
  const start = performance.now();
  const llama = await getLlama({
    gpu: false,
    build: "never",
    maxThreads: wanted.threads,
    logLevel: LlamaLogLevel.debug,
    logger: reader.log,
    progressLogs: false,
  });
  const library = seconds(start);
  const model = await llama.loadModel({ modelPath: wanted.model });
  const loaded = seconds(start);
  const context = await model.createContext({
    contextSize: wanted.prompt + wanted.gen + 1,
    batchSize: Math.max(512, wanted.prompt),
    threads: wanted.threads,
    performanceTracking: true,
  });
  const load = { seconds: seconds(start), library, model: loaded - library };
  return { llama, model, context, load, isa: mappedVariants().join("+") };
}

/** Records the size of every batch that is evaluated, so that a run can show what it really did. */
function watchBatches(context) {
  const sizes = [];
  const inner = context._ctx;
  const initBatch = inner.initBatch.bind(inner);
  const value = size => {
    sizes.push(size);
    return initBatch(size);
  };
  Object.defineProperty(inner, "initBatch", { value });
  return sizes;
}

/** One run; the batches are checked: the whole prompt at once, then one token a step. */
async function run(sequence, prompt, gen, batches) {
  await sequence.clearHistory();
  batches.length = 0;
  const last = prompt.length - 1;
  const start = performance.now();
  const outputs = await sequence.controlledEvaluate([...prompt.slice(0, last), [prompt[last], GREEDY]]);
  const prefill = seconds(start);
  const first = outputs[last].next.token;
  const second = performance.now();
  let made = 0;
  for await (const _token of sequence.evaluate([first], { temperature: 0, yieldEogToken: true })) if (++made === gen) break;
  const decode = seconds(second);
  const steps = batches.slice(1);
  if (batches[0] !== prompt.length || steps.length !== gen || steps.some(size => size !== 1))
    throw new Error(`expected one batch of ${prompt.length} and ${gen} of 1, but saw batches of ${batches.join(" ")}`);
  return { prefill: prompt.length / prefill, decode: gen / decode };
}

/** llama.cpp's counters as tokens a second, checked against what was asked for. */
function ownSpeeds(counters, prompt, gen) {
  const speed = (name, tokens) => {
    const found = counters[name];
    if (found?.tokens !== tokens) throw new Error(`llama.cpp counted ${found?.tokens} tokens of ${name}, expected ${tokens}`);
    return (tokens / found.milliseconds) * 1000;
  };
  return { prefill: speed("prompt eval", prompt), decode: speed("eval", gen) };
}

/** Bytes behind a field of /proc/self/status. */
function statusBytes(field) {
  const found = new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(readFileSync("/proc/self/status", "utf8"));
  return found ? Number(found[1]) * 1024 : 0;
}

/** Ordinary tokens in a fixed random order. */
export function promptTokens(model, count) {
  const size = [...model.iterateAllTokens()].length;
  const next = random32(7);
  const lowest = size > 1024 ? 300 : 3;
  return Array.from({ length: count }, () => lowest + (next() % (size - lowest)));
}

const featuresOf = info => [...info.matchAll(/(\w+) = 1/g)].map(found => found[1]);

/** @param {Options} wanted */
async function measure(wanted) {
  const reader = logReader();
  const { llama, model, context, load, isa } = await openPeer(wanted, reader);
  const prompt = promptTokens(model, wanted.prompt);
  const sequence = context.getSequence();
  const batches = watchBatches(context);
  await run(sequence, prompt, Math.min(wanted.gen, WARM_UP_TOKENS), batches);
  await reader.counters(context);
  const wall = [];
  const own = [];
  for (let i = 0; i < wanted.runs; i++) {
    wall.push(await run(sequence, prompt, wanted.gen, batches));
    own.push(ownSpeeds(await reader.counters(context), wanted.prompt, wanted.gen));
  }
  const threads = context.currentThreads;
  if (threads !== wanted.threads) throw new Error(`llama.cpp used ${threads} threads, not ${wanted.threads}`);
  const speeds = (list, part) => ({ tokens: part === "prefill" ? wanted.prompt : wanted.gen, tokensPerSecond: list.map(s => s[part]) });
  return {
    model: basename(wanted.model),
    target: "llama.cpp",
    threads,
    load,
    prefill: speeds(wall, "prefill"),
    decode: speeds(wall, "decode"),
    memory: { peakBytes: statusBytes("VmHWM"), anonymousBytes: statusBytes("RssAnon") },
    isa,
    features: featuresOf(llama.systemInfo),
    buffers: reader.buffers,
    release: llama.llamaCppRelease.release,
    own: { prefill: speeds(own, "prefill"), decode: speeds(own, "decode") },
  };
}

const format = list => list.map(x => x.toFixed(2)).join(" ");

function print(result) {
  console.log(`${result.model}: llama.cpp ${result.release}, CPU variant ${result.isa}, ${result.threads} threads`);
  console.log(`  features ${result.features.join(" ")}`);
  console.log(`  load     ${result.load.seconds.toFixed(2)} s`);
  for (const part of ["prefill", "decode"]) {
    const own = format(result.own[part].tokensPerSecond);
    console.log(
      `  ${part.padEnd(8)} ${format(result[part].tokensPerSecond)} tokens/s over ${result[part].tokens} tokens (llama.cpp's own count: ${own})`,
    );
  }
  console.log(`  memory   ${(result.memory.peakBytes / 2 ** 20).toFixed(0)} MiB at most`);
}

async function main() {
  const wanted = options();
  if (!wanted) throw new Error(USAGE);
  const result = await measure(wanted);
  if (wanted.json) console.log(JSON.stringify(result));
  else print(result);
}

// The library keeps handles open that are of no use any more, hence the exit.
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  await main().then(
    () => process.exit(0),
    error => {
      console.error(error.message);
      process.exit(1);
    },
  );
