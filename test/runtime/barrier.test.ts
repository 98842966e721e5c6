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
const { rank, size, phases, block, words } = workerData;
import(${JSON.stringify(module)}).then(({ Barrier }) => {
  const shared = new Int32Array(block);
  const barrier = new Barrier(shared.subarray(0, words), size);
  const cells = shared.subarray(words);
  let wrong = 0;
  for (let phase = 1; phase <= phases; phase++) {
    cells[16 * rank] = phase;
    if (phase % 1009 === 97 * rank) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    barrier.wait();
    for (let other = 0; other < size; other++) {
      const seen = cells[16 * other];
      if (seen < phase || seen > phase + 1) wrong++;
    }
  }
  parentPort.postMessage({ wrong, last: cells[16 * rank] });
});
`;

async function stress(size: number, phases: number): Promise<void> {
  const block = new SharedArrayBuffer(4 * (BARRIER_WORDS + 16 * size));
  const members = Array.from({ length: size }, (_, rank) => {
    const worker = new Worker(program, { eval: true, workerData: { rank, size, phases, block, words: BARRIER_WORDS } });
    return new Promise<{ wrong: number; last: number }>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  });
  for (const { wrong, last } of await Promise.all(members)) expect({ wrong, last }).toEqual({ wrong: 0, last: phases });
}

describe("the barrier", () => {
  it("two members, a hundred thousand times", () => stress(2, 100_000));
  it("three members on fewer cores", () => stress(3, 20_000));
  it("four members on fewer cores", () => stress(4, 10_000));
});
