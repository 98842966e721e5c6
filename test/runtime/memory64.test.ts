/**
 * Large memories: the same model gives the same bits with 64-bit addresses (skipped where the runtime has none), and with keys and values of
 * more than 2 GiB, of which only the last pages are touched.
 */
import { readFileSync } from "node:fs";
import v8 from "node:v8";
import { beforeAll, describe, expect, it } from "vitest";
import { hasMemory64 } from "../../src/target/wasm/features.ts";
import { caught } from "../files/caught.ts";
import { type EngineOptions, openEngine, sameRows } from "../fixtures/engine.ts";
import { stories, storiesCheck } from "../fixtures/models.ts";

// Node 20 has it behind a flag that counts until the first module is compiled; newer versions reject the flag and need none.
if (!hasMemory64()) v8.setFlagsFromString("--experimental-wasm-memory64");

const { ids, greedy } = JSON.parse(readFileSync(storiesCheck, "utf8")).prompts[1];
const tokens: readonly number[] = [...ids, ...greedy.slice(0, 20)];
let truth: Float32Array[];
let pageBytes: number;

beforeAll(async () => {
  const engine = await openEngine(stories);
  truth = engine.feed(engine.stepper.newSequence(), tokens);
  pageBytes = engine.stepper.network.pageBytes;
  await engine.close();
}, 60_000);

/** Logits from the last pages of the pool, how far those reach into it, and whether the memory had 64-bit addresses. */
async function fromLastPages(options: EngineOptions): Promise<{ rows: Float32Array[]; at: number; memory64: boolean }> {
  const engine = await openEngine(stories, { maxTokens: 8, ...options });
  try {
    const { pool } = engine.stepper.store;
    for (let i = pool.capacity - 4; i > 0; i--) pool.take();
    const s = engine.stepper.newSequence();
    return { rows: engine.feed(s, tokens, 7), at: s.pages[0] * pageBytes, memory64: engine.arena.memory64 };
  } finally {
    await engine.close();
  }
}

describe("keys and values of more than 2 GiB", () => {
  it("in a 32-bit memory are right to the last page", async () => {
    const context = Math.ceil((2.5 * 2 ** 30) / pageBytes) * 32;
    const { rows, at } = await fromLastPages({ context, cacheTokens: context, memory: 2 ** 32, threads: 2 });
    expect(at).toBeGreaterThan(2.4 * 2 ** 30);
    expect(sameRows(rows, truth)).toBe(true);
  });
});

describe.skipIf(!hasMemory64())("64-bit memory (skipped where WebAssembly has none)", () => {
  it.each([1, 2])("runs the model that comes with the project on %i threads", async threads => {
    const context = Math.floor((1.9 * 2 ** 30) / pageBytes) * 32;
    const { rows, at, memory64 } = await fromLastPages({ context, cacheTokens: context, memory: 3 * 2 ** 30, threads, memory64: true });
    expect(memory64).toBe(true);
    expect(at).toBeGreaterThan(1.8 * 2 ** 30);
    expect(sameRows(rows, truth)).toBe(true);
  });

  it("keeps WebAssembly's pool below what 32-bit indices reach, and refuses a context beyond it", async () => {
    const most = Math.ceil((3 * 2 ** 30) / pageBytes) * 32;
    const options = { target: "wasm", memory: 2 ** 32 - 2 ** 16, memory64: true } as const;
    const { rows, at } = await fromLastPages({ context: 256, cacheTokens: most, ...options });
    expect(at).toBeLessThan(2 ** 31);
    expect(sameRows(rows, truth)).toBe(true);
    const error = await caught("memory.insufficient", () => openEngine(stories, { context: most, ...options }));
    expect(error.details.needed).toBeGreaterThan(2 ** 31);
  });
});
