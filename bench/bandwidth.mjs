#!/usr/bin/env node
/**
 * How fast threads can read memory: the ceiling of decode, which reads every weight once a token.
 *
 *   node bench/bandwidth.mjs [--threads 2] [--mebibytes 1024] [--passes 10] [--streams 1,2,4,8] [--json]
 *
 * Each thread adds up its own part of one shared block with 16-byte WebAssembly loads, pass after pass; a pass ends when the last thread is done.
 * A thread reads its part front to back (1 stream), or as several equal pieces side by side: hardware prefetchers stop at the end of a page, so
 * with small pages several streams can be much faster than one.
 */
import "./usage.mjs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const PAGE = 65536;
/** Each turn of the loop reads this much, a register's width into each accumulator. */
const TURN_BYTES = 256;
const ACCUMULATORS = TURN_BYTES / 16;
/** A call takes this many bytes of each stream: short enough that V8 soon swaps in its optimised code. */
const CALL_BYTES = 2 ** 20;
const WARM_UP_PASSES = 2;
const ARRIVED = 0;
const ROUND = 1;
/** Eight bytes of ones: what the memory is filled with. */
const ONES = 0x0101010101010101n;

/** Unsigned LEB128. */
function leb(n) {
  const bytes = [];
  for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
  return [...bytes, n];
}

const section = (id, bytes) => [id, ...leb(bytes.length), ...bytes];
const name = text => [text.length, ...Buffer.from(text)];

/**
 * A module that imports a shared memory `m` and exports `r(start, end)`: the sum of the 64-bit numbers from start to end in the first stream, and of
 * those `apart` bytes further on in each next one.
 */
function readerModule(pages, streams, apart) {
  const [I32, I64, V128] = [0x7f, 0x7e, 0x7b];
  const get = local => [0x20, ...leb(local)];
  const set = local => [0x21, ...leb(local)];
  const load = offset => [0xfd, 0x00, 0x04, ...leb(offset)];
  const add64x2 = [0xfd, 0xce, 0x01];
  const lane = i => [0xfd, 0x1d, i];
  const sums = Array.from({ length: ACCUMULATORS }, (_, i) => i + 2);
  const step = TURN_BYTES / streams;
  const offset = i => Math.floor((16 * i) / step) * apart + ((16 * i) % step);
  const turn = sums.flatMap((local, i) => [...get(local), ...get(0), ...load(offset(i)), ...add64x2, ...set(local)]);
  // start += step; go on while start < end. The constant is a signed LEB128, hence the bits above.
  const constant = step < 64 ? [step] : [(step & 127) | 128, step >> 7];
  const next = [...get(0), 0x41, ...constant, 0x6a, 0x22, 0x00, ...get(1), 0x49, 0x0d, 0x00];
  const total = [...get(sums[0]), ...sums.slice(1).flatMap(local => [...get(local), ...add64x2]), ...set(sums[0])];
  const result = [...get(sums[0]), ...lane(0), ...get(sums[0]), ...lane(1), 0x7c];
  const body = [1, ...leb(ACCUMULATORS), V128, 0x03, 0x40, ...turn, ...next, 0x0b, ...total, ...result, 0x0b];
  const bytes = [
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 2, I32, I32, 1, I64]),
    ...section(2, [1, ...name("e"), ...name("m"), 0x02, 0x03, ...leb(pages), ...leb(pages)]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name("r"), 0x00, 0x00]),
    ...section(10, [1, ...leb(body.length), ...body]),
  ];
  return new Uint8Array(bytes);
}

/** Spins until every thread has arrived. */
function barrier(control, threads) {
  const round = Atomics.load(control, ROUND);
  if (Atomics.add(control, ARRIVED, 1) === threads - 1) {
    Atomics.store(control, ARRIVED, 0);
    Atomics.add(control, ROUND, 1);
  } else while (Atomics.load(control, ROUND) === round);
}

/** What each thread does; every thread sees the same times, thread 0 reports them. */
function readPasses({ memory, control, index, threads, passes, streams }) {
  const bytes = memory.buffer.byteLength;
  const apart = bytes / threads / streams;
  const module = new WebAssembly.Module(readerModule(bytes / PAGE, streams, apart));
  const { r: read } = new WebAssembly.Instance(module, { e: { m: memory } }).exports;
  const first = (index * bytes) / threads;
  let sum = 0n;
  const times = [];
  for (let pass = 0; pass < passes + WARM_UP_PASSES; pass++) {
    barrier(control, threads);
    const start = performance.now();
    for (let at = 0; at < apart; at += CALL_BYTES) sum += read(first + at, first + Math.min(at + CALL_BYTES, apart));
    barrier(control, threads);
    if (pass >= WARM_UP_PASSES) times.push((performance.now() - start) / 1000);
  }
  return { times, sum: BigInt.asUintN(64, sum) };
}

/** Speeds of `passes` passes over the memory, sorted. */
async function speedsOf(memory, threads, passes, streams) {
  const control = new Int32Array(new SharedArrayBuffer(8));
  const run = index =>
    new Promise((done, failed) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { reader: { memory, control, index, threads, passes, streams } } });
      worker.on("message", done).on("error", failed);
    });
  const results = await Promise.all(Array.from({ length: threads }, (_, i) => run(i)));
  const bytes = memory.buffer.byteLength;
  const expected = BigInt(bytes / 8) * ONES * BigInt(passes + WARM_UP_PASSES);
  const found = results.reduce((total, r) => total + r.sum, 0n);
  if (BigInt.asUintN(64, found - expected) !== 0n) throw new Error("the threads did not read all of the memory");
  return results[0].times.map(time => bytes / 1e9 / time).sort((a, b) => a - b);
}

/**
 * @typedef {{ streams: number, median: number, worst: number, best: number }} Speed gigabytes (1e9) a second
 * @returns {Promise<{ threads: number, bytes: number, speeds: Speed[] }>}
 */
export async function bandwidth({ threads = 2, mebibytes = 1024, passes = 10, streams = [1, 2, 4, 8] } = {}) {
  const unit = threads * Math.max(...streams);
  const pages = Math.ceil((mebibytes * 16) / unit) * unit;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  // Pages never written may all be the same zeros.
  new Uint8Array(memory.buffer).fill(1);
  const speeds = [];
  for (const count of streams) {
    const sorted = await speedsOf(memory, threads, passes, count);
    speeds.push({ streams: count, median: sorted[sorted.length >> 1], worst: sorted[0], best: sorted.at(-1) });
  }
  return { threads, bytes: memory.buffer.byteLength, speeds };
}

async function main() {
  const text = { type: "string" };
  const { values } = parseArgs({ options: { threads: text, mebibytes: text, passes: text, streams: text, json: { type: "boolean" } } });
  const of = (key, fallback) => (values[key] === undefined ? fallback : Number(values[key]));
  const streams = (values.streams ?? "1,2,4,8").split(",").map(Number);
  if (streams.some(n => ![1, 2, 4, 8, 16].includes(n))) throw new Error("--streams takes some of 1,2,4,8,16");
  const threads = of("threads", Math.min(2, cpus().length));
  const found = await bandwidth({ threads, mebibytes: of("mebibytes", 1024), passes: of("passes", 10), streams });
  if (values.json) return console.log(JSON.stringify(found));
  console.log(`${threads} threads read ${found.bytes / 2 ** 20} MiB, GB/s:`);
  for (const s of found.speeds)
    console.log(`  ${s.streams} streams a thread: ${s.median.toFixed(1)} (${s.worst.toFixed(1)} to ${s.best.toFixed(1)})`);
}

if (!isMainThread && workerData?.reader) parentPort.postMessage(readPasses(workerData.reader));
else if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
