/**
 * One order of sums (docs/architecture.md): a request's logits are the same in every bit alone or in a crowd, on one thread or several, in one piece or many, after a
 * fork, after going back. And memory that was freed holds nothing that matters.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { StepToken } from "../../src/engine/step.ts";
import type { Sequence } from "../../src/kv/pages.ts";
import { caught } from "../files/caught.ts";
import { type Engine, type EngineOptions, openEngine, sameRows } from "../fixtures/engine.ts";
import { ModelFolder, type ModelShape } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

const random = new Random(71);
const prompt = Array.from({ length: 75 }, () => random.below(293)); // two pages and a bit
const others = Array.from({ length: 6 }, (_, i) => Array.from({ length: 9 * i + 5 }, () => random.below(293)));

/** Integers, floats, and all mixed in one model. */
const models: Readonly<Record<string, Partial<ModelShape> & Pick<EngineOptions, "kept">>> = {
  "Q4_0, keys and values as f16": { type: "Q4_0", kept: "f16" },
  Q4_0: { type: "Q4_0", tied: true },
  F16: { type: "F16", headDim: 24, ropeDim: 16 },
  "Q4_K and Q6_K": {
    type: "Q4_K",
    types: { attn_v: "Q6_K", output: "Q6_K" },
    dim: 256,
    hidden: 256,
    heads: 4,
    kvHeads: 1,
    headDim: 64,
    ropeDim: 32,
  },
  "F32, BF16 and Q8_0": { types: { attn_q: "Q8_0", ffn_down: "BF16", ffn_up: "Q8_0" }, layers: 3 },
};

/** Feeds several sequences, a few tokens of each in every step, and gives the logits of the first. */
function inCrowd({ stepper }: Engine, lists: readonly (readonly number[])[], piece: number): Float32Array[] {
  const sequences = lists.map(() => stepper.newSequence());
  const at = lists.map(() => 0);
  const rows: Float32Array[] = [];
  for (let turn = 0; at[0] < lists[0].length; turn++) {
    const batch: StepToken[] = [];
    // The order of the sequences in the step changes from turn to turn.
    for (let k = 0; k < lists.length; k++) {
      const i = (k + turn) % lists.length;
      const take = Math.min(piece + ((i + turn) % 3), lists[i].length - at[i]);
      for (let j = 0; j < take; j++) batch.push({ id: lists[i][at[i] + j], sequence: sequences[i], wanted: i === 0 });
      at[i] += take;
    }
    rows.push(...stepper.step(batch).map(r => r.slice()));
  }
  for (const s of sequences) s.close();
  return rows;
}

describe.each(Object.entries(models))("%s", (_, { kept, ...changes }) => {
  let path: string;
  let engine: Engine;
  let truth: Float32Array[];
  beforeAll(async () => {
    path = await folder.model(changes);
    engine = await openEngine(path, { kept });
    const s = engine.stepper.newSequence();
    truth = engine.feed(s, prompt, 1);
    s.close();
  }, 60_000);
  afterAll(() => engine.close());
  // What earlier tests left in the pages would hide that a copy is incomplete.
  beforeEach(() => {
    const { address, bytes } = engine.stepper.plan.step.pages;
    expect(engine.stepper.store.pool.used).toBe(0);
    engine.arena.f32(address, bytes / 4).fill(Number.NaN);
  });
  const fed = (chunk: number, of = engine): Float32Array[] => {
    const s = of.stepper.newSequence();
    const rows = of.feed(s, prompt, chunk);
    s.close();
    return rows;
  };

  it("does not depend on the pieces of the prompt", () => {
    for (const chunk of [2, 3, 16, 32, 64]) expect(sameRows(fed(chunk), truth), `pieces of ${chunk}`).toBe(true);
  });

  it("does not depend on which logits are wanted", () => {
    const s = engine.stepper.newSequence();
    const rows = engine.feed(s, prompt, 16, false);
    expect(sameRows(rows, truth.slice(-1))).toBe(true);
    const t = engine.stepper.newSequence();
    const some = prompt.slice(0, 20).map((id, i): StepToken => ({ id, sequence: t, wanted: i % 3 === 1 }));
    expect(
      sameRows(
        engine.stepper.step(some),
        truth.slice(0, 20).filter((_, i) => i % 3 === 1),
      ),
    ).toBe(true);
    s.close();
    t.close();
  });

  it("does not depend on threads or on the size of a step", async () => {
    const teams = [
      [2, 128],
      [3, 16],
    ];
    for (const [threads, maxTokens] of changes.tied ? teams : teams.slice(0, 1)) {
      const team = await openEngine(path, { threads, maxTokens, kept });
      try {
        for (const chunk of [maxTokens, 5, 1])
          expect(sameRows(fed(chunk, team), truth), `${threads} threads, pieces of ${chunk}`).toBe(true);
        expect(sameRows(inCrowd(team, [prompt, others[2], others[4]], 3), truth)).toBe(true);
      } finally {
        await team.close();
      }
    }
  });

  it("does not depend on steps that were broken off, wherever that was", async () => {
    for (const threads of changes.tied ? [1, 2] : [2]) {
      const team = await openEngine(path, { threads, kept });
      const s = team.stepper.newSequence();
      const rows: Float32Array[] = [];
      for (let asked = 0; rows.length < prompt.length; asked++) {
        const batch = prompt.slice(rows.length, rows.length + 25).map((id): StepToken => ({ id, sequence: s, wanted: true }));
        let left = asked % 2 ? 1e9 : random.below(team.stepper.plan.program.length - 1); // launches, or barriers, until it is broken off
        const found = team.stepper.attempt(batch, () => left-- <= 0);
        if (!found) expect(s.length).toBe(rows.length);
        else rows.push(...found.map(r => r.slice()));
        if (asked % 2) expect(found).toBeDefined();
        else if (threads === 1) expect(found).toBeUndefined();
      }
      expect(sameRows(rows, truth)).toBe(true);
      await team.close();
    }
  });

  it("does not depend on who else is in the step", () => {
    expect(sameRows(inCrowd(engine, [prompt, ...others], 4), truth)).toBe(true);
    expect(sameRows(inCrowd(engine, [prompt, prompt, prompt], 1), truth)).toBe(true);
  });

  it("is the same after a fork, for both sides, with the other going its own way", () => {
    const s = engine.stepper.newSequence();
    engine.feed(s, prompt.slice(0, 40), 16);
    const f = s.fork();
    engine.feed(f, others[3]); // writes into a copy of the shared page
    const g = s.fork();
    const both = prompt.slice(40).flatMap(id => {
      const rows = engine.stepper.step([
        { id, sequence: g, wanted: true },
        { id: 7, sequence: f, wanted: false },
        { id, sequence: s, wanted: true },
      ]);
      return rows.map(r => r.slice());
    });
    expect(
      sameRows(
        both.filter((_, i) => i % 2 === 0),
        truth.slice(40),
      ),
    ).toBe(true);
    expect(
      sameRows(
        both.filter((_, i) => i % 2 === 1),
        truth.slice(40),
      ),
    ).toBe(true);
    for (const q of [s, f, g]) q.close();
  });

  it("is the same after going back and on again", () => {
    const s = engine.stepper.newSequence();
    engine.feed(s, [...prompt.slice(0, 35), ...others[5]], 8);
    for (const length of [35, 33, 32, 31, 1, 0]) {
      s.truncate(length);
      expect(sameRows(engine.feed(s, prompt.slice(length), 16), truth.slice(length)), `from ${length}`).toBe(true);
    }
    s.close();
  });

  it("reads nothing of freed pages: not-a-number there changes nothing", () => {
    const { address, bytes } = engine.stepper.plan.step.pages;
    const raw = engine.arena.bytes(address, bytes);
    const cells = kept === "f16" ? new Uint16Array(raw.buffer, address, bytes / 2) : new Uint32Array(raw.buffer, address, bytes / 4);
    const nan = kept === "f16" ? 0x7e00 : 0x7fc00000;
    const s = engine.stepper.newSequence();
    engine.feed(s, others[5]);
    s.close();
    expect(engine.stepper.store.pool.used).toBe(0);
    cells.fill(nan);
    expect(sameRows(fed(16), truth)).toBe(true);
    cells.fill(nan);
    const t = engine.stepper.newSequence();
    const before = engine.feed(t, prompt.slice(0, 50), 16);
    t.truncate(37);
    poison(cells, nan, engine, t, 37);
    expect(sameRows([...before.slice(0, 37), ...engine.feed(t, prompt.slice(37), 9)], truth)).toBe(true);
    t.close();
    cells.fill(0);
  });
});

/** `nan` everywhere but in the first `length` places of the sequence. */
function poison(cells: Uint16Array | Uint32Array, nan: number, { stepper }: Engine, s: Sequence, length: number): void {
  const { pageBytes, describe: shape } = stepper.network;
  const { headDim, kvHeads, layers } = shape as { headDim: number; kvHeads: number; layers: number };
  const perPage = pageBytes / cells.BYTES_PER_ELEMENT;
  const keep = new Set<number>();
  for (let position = 0; position < length; position++) {
    const base = s.pages[position >> 5] * perPage;
    for (let part = 0; part < layers * kvHeads; part++) {
      for (let d = 0; d < headDim; d++) {
        const head = base + part * 2 * headDim * 32;
        keep.add(head + d * 32 + (position % 32));
        keep.add(head + headDim * 32 + (position % 32) * headDim + d);
      }
    }
  }
  for (let i = 0; i < cells.length; i++) if (!keep.has(i)) cells[i] = nan;
}

describe("targets", () => {
  it("the interpreter runs whole models, and close to WebAssembly", async () => {
    const path = await folder.model({ type: "Q8_0", layers: 1, dim: 32, hidden: 32, heads: 2, vocabulary: 270 });
    const ids = prompt.slice(0, 3).map(id => id % 270);
    const [a, b] = await Promise.all([openEngine(path, { target: "interp", maxTokens: 4 }), openEngine(path)]);
    const [slow, fast] = [a, b].map(e => e.feed(e.stepper.newSequence(), ids));
    slow.forEach((row, i) => {
      row.forEach((v, k) => {
        expect(Math.abs(v - fast[i][k])).toBeLessThan(1e-3);
      });
    });
    await Promise.all([a.close(), b.close()]);
  });
});

describe("the pool of pages", () => {
  it("when empty, a step leaves every sequence as it was, and the next step is right", async () => {
    const path = await folder.model();
    const engine = await openEngine(path, { context: 64, cacheTokens: 96 });
    const truth = engine.feed(engine.stepper.newSequence(), prompt.slice(0, 40));
    const [s, t] = [engine.stepper.newSequence(), engine.stepper.newSequence()];
    // Three pages in all: the sequence above holds two of them.
    engine.feed(s, prompt.slice(0, 30));
    const batch = [30, 31, 32, 33].map((i): StepToken => ({ id: prompt[i], sequence: s, wanted: true }));
    await caught("memory.insufficient", () => engine.stepper.step([...batch, { id: 3, sequence: t, wanted: true }]));
    expect([s.length, t.length, engine.stepper.store.pool.used]).toEqual([30, 0, 3]);
    expect(sameRows(engine.feed(s, prompt.slice(30, 32)), truth.slice(30, 32))).toBe(true);
    await engine.close();
  });
});
