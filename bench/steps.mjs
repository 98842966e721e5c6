#!/usr/bin/env node
/**
 * The speed of the engine's own steps, without scheduler, sampler or another thread's event loop: reading a prompt in steps of a size, and decoding
 * at a context with so many sequences in each step.
 *
 *   node bench/steps.mjs <model.gguf> [--context 256] [--batch 64,256] [--sequences 1,8] [--decode 32] [--rounds 3] [--target native] [--json]
 *   node bench/steps.mjs --help
 */
import { availableParallelism, freemem } from "node:os";
import { parseArgs } from "node:util";
import { loadModel } from "../dist/engine/load.node.js";
import { closeGguf } from "../dist/files/gguf.js";
import { openModelFile } from "../dist/files/open.node.js";
import { describeMachine } from "./machine.mjs";
import { digits, summary } from "./report.mjs";

const HELP = `Usage: node bench/steps.mjs <model.gguf> [options]
  Reads a prompt of --context tokens for each size of step, and decodes from there; prints tokens a second: median (least-most) over the rounds,
  first runs not counted. Wants an otherwise idle machine; LATHE_CPU=avx2 leaves out what a processor has beyond that.
  --context <n>        tokens of the prompt, and in the past where decoding begins (default 256)
  --batch <list>       tokens of a step that reads (default 64)
  --sequences <list>   sequences that are decoded together, a token of each in a step (default 1)
  --decode <n>         decode steps of a round (default 32); 0: only read
  --rounds <n>         (default 3)
  --threads <n>        (default 2)
  --target <name>      native or wasm (default native)
  --kv <format>        how keys and values are kept: auto, f16 or f32 (default auto)
  --json               print one JSON object`;

/** Tokens that are decoded, and of a prompt read, before what counts. */
const [WARM_STEPS, WARM_TOKENS] = [4, 256];

function options() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const { values, positionals } = parseArgs({
    options: {
      ...{ context: text, batch: text, sequences: text, decode: text, rounds: text, threads: text },
      ...{ target: text, kv: text, json: flag, help: flag },
    },
    allowPositionals: true,
  });
  if (values.help || positionals.length !== 1) return undefined;
  const number = (name, given, least = 1) => {
    const n = Number(given);
    if (!given?.trim() || !Number.isInteger(n) || n < least) throw new Error(`--${name} must be an integer from ${least}, not ${given}`);
    return n;
  };
  const numbers = (name, fallback) => (values[name] ?? fallback).split(",").map(given => number(name, given));
  const one = (name, fallback, least) => number(name, values[name] ?? fallback, least);
  const choice = (name, known) => {
    const given = values[name] ?? known[0];
    if (!known.includes(given)) throw new Error(`--${name} must be one of ${known.join(", ")}, not ${given}`);
    return given;
  };
  return {
    path: positionals[0],
    context: one("context", "256"),
    batches: numbers("batch", "64"),
    sequences: numbers("sequences", "1"),
    decode: one("decode", "32", 0),
    rounds: one("rounds", "3"),
    threads: one("threads", String(Math.min(2, availableParallelism()))),
    target: choice("target", ["native", "wasm"]),
    kv: choice("kv", ["auto", "f16", "f32"]),
    json: values.json,
  };
}

/** @param {NonNullable<ReturnType<typeof options>>} wanted */
async function open({ path, context, batches, sequences, decode, rounds, threads, target, kv }) {
  const model = await openModelFile(path);
  await closeGguf(model); // loading opens the files by itself
  const most = Math.max(...sequences);
  const longest = context + WARM_STEPS + decode * rounds;
  const spec = {
    architecture: model.metadata.get("general.architecture"),
    metadata: model.metadata,
    tensors: model.tensors,
    parts: model.parts.map(part => part.name),
    target,
    threads,
    memory: freemem(),
    kept: kv,
    // a page more for each sequence, because each begins one of its own
    plan: { context: longest, cacheTokens: (most + 1) * (longest + 64), maxTokens: Math.max(...batches, most), maxWanted: most },
  };
  const loaded = await loadModel(spec, () => {});
  await loaded.ready;
  return loaded;
}

/** The same ids each time: speed does not depend on them, but a mixture's choice of experts does. */
function tokens(count, vocabulary) {
  let state = 12345;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % vocabulary;
  });
}

/** Appends the ids in steps of `batch`, the logits of the last one wanted. Gives tokens a second. */
function read(stepper, sequence, ids, batch) {
  const begun = performance.now();
  for (let at = 0; at < ids.length; at += batch)
    stepper.step(ids.slice(at, at + batch).map((id, i) => ({ id, sequence, wanted: at + i === ids.length - 1 })));
  return (1000 * ids.length) / (performance.now() - begun);
}

/** Tokens a second of all sequences together. */
function write(stepper, sequences, ids, steps) {
  const begun = performance.now();
  for (let i = 0; i < steps; i++) stepper.step(sequences.map((sequence, k) => ({ id: ids[(i + k) % ids.length], sequence, wanted: true })));
  return (1000 * steps * sequences.length) / (performance.now() - begun);
}

/** Rounds of every size of step in turns, so that a machine that slows down slows all. */
function reading({ stepper }, ids, { batches, rounds }) {
  const rows = batches.map(batch => ({ batch, tokensPerSecond: [] }));
  const once = (batch, list) => {
    const sequence = stepper.newSequence();
    const speed = read(stepper, sequence, list, batch);
    sequence.close();
    return speed;
  };
  for (const batch of batches) once(batch, ids.slice(0, WARM_TOKENS));
  for (let round = 0; round < rounds; round++) for (const row of rows) row.tokensPerSecond.push(once(row.batch, ids));
  return rows;
}

/** Every sequence has a past of its own. */
function writing({ stepper }, ids, { sequences, decode, rounds, batches }) {
  if (decode === 0) return [];
  return sequences.map(count => {
    const together = Array.from({ length: count }, () => stepper.newSequence());
    for (const sequence of together) read(stepper, sequence, ids, Math.max(...batches));
    write(stepper, together, ids, WARM_STEPS);
    const tokensPerSecond = Array.from({ length: rounds }, () => write(stepper, together, ids, decode));
    for (const sequence of together) sequence.close();
    return { sequences: count, tokensPerSecond };
  });
}

function print({ prefill, decode }, { context, path, target, kv, threads }) {
  const shown = values => {
    const { median, min, max } = summary(values);
    return `${digits(median)} (${digits(min)}-${digits(max)}) tokens/s`;
  };
  console.log(`${path}: ${target}, keys and values ${kv}, ${threads} threads, ${context} tokens`);
  for (const { batch, tokensPerSecond } of prefill) console.log(`  read in steps of ${batch}: ${shown(tokensPerSecond)}`);
  for (const { sequences, tokensPerSecond } of decode) console.log(`  decoded, ${sequences} at once: ${shown(tokensPerSecond)}`);
}

async function main() {
  const wanted = options();
  if (!wanted) return console.log(HELP);
  const loaded = await open(wanted);
  try {
    const ids = tokens(wanted.context, loaded.stepper.network.vocabulary);
    const results = { prefill: reading(loaded, ids, wanted), decode: writing(loaded, ids, wanted) };
    if (wanted.json) console.log(JSON.stringify({ machine: describeMachine(), options: wanted, ...results }));
    else print(results, wanted);
  } finally {
    await loaded.close();
  }
}

await main().catch(error => {
  console.error(error.message);
  process.exitCode = 1;
});
