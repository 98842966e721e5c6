#!/usr/bin/env node
/**
 * Does the caller's event loop stall while a model reads a prompt? A timer of 10 ms runs beside a prefill; printed are how late its ticks come.
 * Usage: node bench/eventloop.mjs <model.gguf> [prompt tokens] [threads]
 */
import "./usage.mjs";
import { load } from "../dist/index.js";

const [path = "models/stories.gguf", tokens = "448", threads = "2"] = process.argv.slice(2);
const INTERVAL = 10;

const model = await load(path, { threads: Number(threads), context: Number(tokens) + 8 });
const ids = Array.from({ length: Number(tokens) }, (_, i) => (i * 31) % model.tokenizer.size);
const gaps = [];
let last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  gaps.push(now - last);
  last = now;
}, INTERVAL);
const { timings } = await model.generate(ids, { maxTokens: 1, temperature: 0, ignoreEnd: true });
clearInterval(timer);
await model.close();

gaps.sort((a, b) => a - b);
const at = share => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))]?.toFixed(1);
console.log(`${gaps.length} ticks of ${INTERVAL} ms during ${(timings.promptMs / 1000).toFixed(2)} s of prefill, ${threads} threads`);
console.log(`between ticks: median ${at(0.5)} ms, 99th percentile ${at(0.99)} ms, longest ${at(1)} ms`);
