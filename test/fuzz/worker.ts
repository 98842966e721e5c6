/** The thread on which a long run tries inputs, so that one that hangs or eats memory ends a thread and not the run. */
import { parentPort, workerData } from "node:worker_threads";
import { Random } from "../fixtures/random.ts";
import { attempted, knownCodes } from "./attempt.ts";
import { inputOf, targets } from "./targets.ts";

export interface WorkerData {
  readonly target: string;
  /** Seeds from here on are tried, one after the other ... */
  readonly first: number;
  /** ... or one input alone. */
  readonly input?: Uint8Array;
  /** [0] the seed under way, [1] counts attempts that ended. */
  readonly progress: Int32Array;
  readonly sources: string;
}

export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly seed: number; readonly why: string }
  /** Slower than any before it; of a higher rate than any. */
  | { readonly kind: "slow"; readonly seed: number; readonly time: number }
  | { readonly kind: "rate"; readonly seed: number; readonly rate: number }
  | { readonly kind: "done" };

const send = (message: FromWorker): void => parentPort?.postMessage(message);

async function run({ target: name, first, input, progress, sources }: WorkerData): Promise<void> {
  const target = targets().find(t => t.name === name);
  if (!target) throw new Error(`there is no target ${name}`);
  const samples = await target.samples();
  const codes = knownCodes(new URL(sources));
  for (const sample of samples) await attempted(target, sample, codes); // compiled and warm before anything is timed
  send({ kind: "ready" });
  let [slowest, highest] = [0, 0];
  for (let seed = first; ; seed++) {
    Atomics.store(progress, 0, seed);
    const outcome = await attempted(target, input ?? inputOf(target, samples, new Random(seed)), codes);
    Atomics.add(progress, 1, 1);
    if ("failure" in outcome) send({ kind: "failed", seed, why: outcome.failure });
    else {
      const { time, rate } = outcome;
      if (time > slowest) send({ kind: "slow", seed, time: (slowest = time) });
      if (rate > highest) send({ kind: "rate", seed, rate: (highest = rate) });
    }
    if (input) return send({ kind: "done" });
    if (seed % 64 === 0) await new Promise(resolve => setImmediate(resolve)); // messages go out
  }
}

void run(workerData as WorkerData);
