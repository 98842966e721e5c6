/**
 * `npm run fuzz -- --minutes 10 [--target name] [--seed n]`: damages inputs of every kind for so long, each kind in turn on a thread of its own
 * with a limit on its memory. What fails is tried again alone, told with its seed, and kept in test/fuzz/corpus, which the tests replay.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { Random } from "../fixtures/random.ts";
import { allowed, MOST_TIME } from "./attempt.ts";
import { inputOf, type Target, targets } from "./targets.ts";
import type { FromWorker, WorkerData } from "./worker.ts";

const { values } = parseArgs({ options: { minutes: { type: "string" }, target: { type: "string" }, seed: { type: "string" } } });
const minutes = Number(values.minutes ?? 1);
const all = targets().filter(t => values.target === undefined || t.name === values.target);
if (!(minutes > 0) || all.length === 0) {
  console.error(
    `npm run fuzz -- [--minutes n] [--seed n] [--target ${targets()
      .map(t => t.name)
      .join("|")}]`,
  );
  process.exit(2);
}

/** The scripts run from the repository's root. */
const sources = pathToFileURL(join(process.cwd(), "src/errors.ts")).href;
const corpus = join(process.cwd(), "test/fuzz/corpus");

/** MiB of heap that a thread has before it reads anything: the modules, the tables, and garbage that waits. */
const BASE = 160;

type Ended = { readonly seed: number; readonly why: string } | undefined;

interface Slowest {
  readonly seed: number;
  readonly time: number;
}

interface Highest {
  readonly seed: number;
  readonly rate: number;
}

interface Turn {
  readonly failure: Ended;
  readonly count: number;
  readonly last: number;
  readonly slowest: Slowest;
  readonly highest: Highest;
}

/** Tries seeds from `first` on for `time` ms, or one input; tells the first failure. */
function tried(target: Target, first: number, time: number, input?: Uint8Array): Promise<Turn> {
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const data: WorkerData = { target: target.name, first, input, progress, sources };
  const most = BASE + Math.ceil(allowed(target, input?.length ?? 0) / 2 ** 20);
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: most },
  });
  return new Promise(resolve => {
    let [begun, count, since] = [0, -1, 0];
    let slowest: Slowest = { seed: first, time: 0 };
    let highest: Highest = { seed: first, rate: 0 };
    const end = (why?: string, seed = Atomics.load(progress, 0)): void => {
      clearInterval(watch);
      void worker.terminate();
      resolve({
        failure: why === undefined ? undefined : { seed, why },
        count: Atomics.load(progress, 1),
        last: Atomics.load(progress, 0),
        slowest,
        highest,
      });
    };
    const watch = setInterval(() => {
      const now = performance.now();
      const seen = Atomics.load(progress, 1);
      if (begun === 0) return;
      if (seen !== count) [count, since] = [seen, now];
      else if (now - since > 2 * MOST_TIME) return end("it hangs");
      if (now - begun > time) end();
    }, 50);
    worker.on("message", (m: FromWorker) => {
      if (m.kind === "ready") begun = since = performance.now();
      else if (m.kind === "failed") end(m.why, m.seed);
      else if (m.kind === "slow") slowest = m;
      else if (m.kind === "rate") highest = m;
      else end();
    });
    worker.on("error", error => end(`the thread died: ${error.message}`));
  });
}

/** A failure counts where it happens again, alone: a busy machine makes anything slow once. */
async function confirmed(target: Target, input: Uint8Array): Promise<string | undefined> {
  const { failure } = await tried(target, 0, 10 * MOST_TIME, input);
  return failure?.why;
}

let [failures, attempts] = [0, 0];
const first = values.seed === undefined ? Date.now() % 2 ** 30 : Number(values.seed);
const next = new Map(all.map(t => [t.name, first]));
const until = performance.now() + 60_000 * minutes;
console.log(`seeds from ${first} on, ${minutes} min, ${all.map(t => t.name).join(", ")}`);

/** Milliseconds of a turn: a thread takes a second of them to begin. */
const TURN_MS = 30_000;
const slow = new Map<string, Slowest>();
const high = new Map<string, Highest>();

for (let turn = 0; performance.now() < until; turn++) {
  const target = all[turn % all.length];
  const from = next.get(target.name) ?? first;
  const share = Math.min(TURN_MS, (until - performance.now()) / Math.max(1, all.length - (turn % all.length)));
  const { failure, count, last, slowest, highest } = await tried(target, from, share);
  attempts += count;
  if (slowest.time > (slow.get(target.name)?.time ?? 0)) slow.set(target.name, slowest);
  if (highest.rate > (high.get(target.name)?.rate ?? 0)) high.set(target.name, highest);
  next.set(target.name, last + 1);
  if (!failure) continue;
  const input = inputOf(target, await target.samples(), new Random(failure.seed));
  const why = await confirmed(target, input);
  if (why === undefined) continue;
  failures++;
  const folder = join(corpus, target.name);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, createHash("sha256").update(input).digest("hex").slice(0, 12));
  writeFileSync(file, input);
  console.log(`${target.name}, seed ${failure.seed}, ${input.length} bytes, ${file}:\n${why}\n`);
}
for (const [name, { seed, time }] of slow) console.log(`${name}: the slowest took ${Math.round(time)} ms, seed ${seed}`);
for (const [name, { seed, rate }] of high) console.log(`${name}: the highest rate was ${rate.toFixed(2)}, seed ${seed}`);
console.log(`${attempts} inputs, ${failures} failures`);
process.exit(failures > 0 ? 1 : 0);
