/**
 * The barrier under stress: members of a team on threads of their own, more of them than cores, pass it many times, some dawdling, and after
 * each pass every member must see what all wrote before it.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { BARRIER_WORDS } from "../../src/runtime/barrier.ts";

const module = pathToFileURL(join(import.meta.dirname, "../../dist/runtime/barrier.js")).href;

/** Writes its phase, passes the barrier, reads everybody's; plain reads and writes, so that the barrier alone orders them. */
const program = `
const { workerData, parentPort } = require("node:worker_threads");
const { rank, size, phases, least, milliseconds, block, words } = workerData;
import(${JSON.stringify(module)}).then(({ Barrier }) => {
  const shared = new Int32Array(block);
  const barrier = new Barrier(shared.subarray(0, words), size);
  const cells = shared.subarray(words);
  let wrong = 0;
  let phase = 0;
  const end = performance.now() + milliseconds;
  while (phase < cells[16 * size + (phase & 1)]) {
    phase++;
    cells[16 * rank] = phase;
    // Rank 0 tells whether there is a next phase, in the word of this one: the other may still be read.
    if (rank === 0) cells[16 * size + (phase & 1)] = phase >= least && performance.now() > end ? 0 : phases;
    if (phase % 1009 === 97 * rank) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    barrier.wait();
    for (let other = 0; other < size; other++) {
      const seen = cells[16 * other];
      if (seen < phase || seen > phase + 1) wrong++;
    }
  }
  parentPort.postMessage({ wrong, phase });
});
`;

/** Up to 100 000 phases, at least `least`, in about four seconds. */
async function stress(size: number, least: number): Promise<void> {
  const block = new SharedArrayBuffer(4 * (BARRIER_WORDS + 16 * (size + 1)));
  const shared = new Int32Array(block);
  const phases = 100_000;
  shared.fill(phases, BARRIER_WORDS + 16 * size, BARRIER_WORDS + 16 * size + 2);
  const members = Array.from({ length: size }, (_, rank) => {
    const workerData = { rank, size, phases, least, milliseconds: 4000, block, words: BARRIER_WORDS };
    const worker = new Worker(program, { eval: true, workerData });
    return new Promise<{ wrong: number; phase: number }>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  });
  const results = await Promise.all(members);
  for (const { wrong, phase } of results) expect({ wrong, phase }).toEqual({ wrong: 0, phase: results[0].phase });
  expect(results[0].phase).toBeGreaterThanOrEqual(least);
}

describe("the barrier", () => {
  it("two members", () => stress(2, 10_000));
  it("three members, on fewer cores perhaps", () => stress(3, 1000));
  it("four members, on fewer cores perhaps", () => stress(4, 1000));
});
