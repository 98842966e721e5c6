/** Bytes and operations of launches: counted by hand for kernels made for it and for a small Llama; other architectures have some for all but moves. */
import { afterAll, describe, expect, it } from "vitest";
import { Operations } from "../../src/engine/operations.ts";
import { profileSteps, workOf } from "../../src/engine/profile.ts";
import { type AnyVal, dot4, each, fold, kernel, konst } from "../../src/ir/trace.ts";
import { openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { toy } from "../models/toy.ts";
import { toys } from "../models/toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

describe("operations in the text of a kernel", () => {
  const memory = new DataView(new ArrayBuffer(64));
  for (const [i, n] of [3, 0, 5, 2].entries()) memory.setInt32(4 * i, n, true);

  /** For each unit, as many turns as `turns` says, each of one mulAdd of 8 lanes; then a sum of them and a root. */
  const summing = (turns: (s: { unit: AnyVal; counts: AnyVal; size: AnyVal }) => AnyVal) =>
    kernel("summing", s => {
      const [table, out, size] = [s.in("table"), s.out("out"), s.size("size")];
      return unit => {
        const [sum] = fold(turns({ unit, counts: table.load("i32", 1, unit.mul(4)), size }), [konst("f32", 8, 1)], (_, [acc]) => [
          acc.mulAdd(acc, acc),
        ]);
        out.store(unit.mul(4), sum.sum().sqrt());
      };
    });

  it.each([
    { name: "an argument says", turns: (s: { size: AnyVal }) => s.size, expected: 4 * (6 * 16 + 8) },
    { name: "the unit says", turns: (s: { unit: AnyVal }) => s.unit, expected: (0 + 1 + 2 + 3) * 16 + 4 * 8 },
    { name: "memory says", turns: (s: { counts: AnyVal }) => s.counts, expected: (3 + 0 + 5 + 2) * 16 + 4 * 8 },
  ])("turn as often as $name", ({ turns, expected }) => {
    expect(new Operations(summing(turns)).count(4, [0, 32, 6], memory)).toBe(expected);
  });

  it("are not known where a loop turns as often as another has computed", () => {
    const computed = kernel("computed", s => {
      const out = s.out("out");
      return unit => {
        const [n] = fold(3, [konst("i32", 1, 1)], (_, [v]) => [v.add(v)]);
        each(0, n, i => out.store(i.mul(4), konst("f32", 1, 1)));
        out.store(unit, konst("f32", 1, 1));
      };
    });
    expect(new Operations(computed).count(4, [0], memory)).toBeUndefined();
  });

  it("are products and sums: eight of a dot of four bytes, none of what counts bytes", () => {
    const dots = kernel("dots", s => {
      const [x, out] = [s.in("x"), s.out("out")];
      return unit => {
        const at = unit.mul(32).add(7);
        out.store(at, dot4(x.load("u8", 32, at, { min: 0, max: 15 }), x.load("i8", 32, at, { min: -127, max: 127 })));
      };
    });
    expect(new Operations(dots).count(10, [0, 0], memory)).toBe(10 * 8 * 8);
  });
});

/** 64 columns, 4 heads of 16 values (all turned) on 2 of keys, 96 inside, 293 tokens; rows of activations are padded to 32 columns. */
const columns = { x: 4 * 64, heads: 4 * 64, kv: 4 * 32, inner: 4 * 96, logits: 4 * 320 };
const inPages = 2 * (16 + 16) * 4;

async function workAfter(past: number, tokens: number): Promise<Record<string, { bytes: number; operations: number }[]>> {
  const engine = await openEngine(await folder.model(), { target: "wasm" });
  try {
    const sequence = engine.stepper.newSequence();
    const ids = Array.from({ length: past + tokens }, (_, i) => 3 + i);
    if (past) engine.feed(sequence, ids.slice(0, past));
    engine.feed(sequence, ids.slice(past), tokens, false);
    const work: Record<string, { bytes: number; operations: number }[]> = {};
    workOf(engine, past + tokens).forEach((w, i) => {
      (work[engine.stepper.plan.program[i].kernel] ??= []).push(w);
    });
    return work;
  } finally {
    await engine.close();
  }
}

describe.each([
  { past: 0, tokens: 1 },
  { past: 40, tokens: 1 },
  { past: 40, tokens: 9 },
])("a small Llama, $tokens tokens after $past", ({ past, tokens }) => {
  it("reads and writes each operand once, and does what its kernels say", async () => {
    const work = await workAfter(past, tokens);
    const t = tokens;
    const of = (start: string): unknown[] =>
      Object.entries(work)
        .filter(([name]) => name.startsWith(start))
        .flatMap(([, list]) => list);
    expect(of("embed")).toEqual([{ bytes: t * (columns.x + columns.x + 4), operations: 0 }]);
    // squares and their sums, the sum of 32 lanes, its part, eps, root and reciprocal; then the scale and the weight
    const norm = 2 * 64 + 31 + 4 + 2 * 64;
    const inner = { bytes: t * 2 * columns.x + 4 * 64, operations: t * norm };
    const last = { bytes: 2 * columns.x + 4 + 4 * 64, operations: norm };
    expect(of("rms_norm")).toEqual([inner, inner, inner, inner, last]);
    // four products and two sums for each pair; eight cosines and sines a token
    const rope = { bytes: t * (columns.heads + 4 * 16), operations: t * 4 * 8 * 6 };
    expect(of("rope")).toEqual([rope, rope]);
    const write = { bytes: t * (2 * columns.kv + 4 * 16 + 2 * 4 + inPages), operations: t * 2 * 8 * 6 };
    expect(of("write_kv")).toEqual([write, write]);
    const product = (inputs: number, outputs: number, rows: number, padded = outputs) => ({
      bytes: 4 * inputs * padded + rows * 4 * (inputs + padded),
      operations: 2 * inputs * outputs * rows,
    });
    const layer = [product(64, 64, t), product(64, 32, t), product(64, 32, t), product(64, 96, t), product(64, 96, t)];
    const added = [product(64, 64, t), product(96, 64, t)];
    expect(of("matmul_p32_set")).toEqual([...layer, ...layer, product(64, 293, 1, 320)]);
    expect(of("matmul_p32_add")).toEqual([added[0], added[0], added[1], added[1]]);
    expect(of("attend").map(w => (w as { bytes: number }).bytes)).toEqual(
      [1, 2].map(() => t * (2 * columns.heads + 8) + (past + t) * inPages),
    );
    expect(of("gated_silu").map(w => (w as { bytes: number }).bytes)).toEqual([1, 2].map(() => t * 3 * columns.inner));
    expect(of("").length).toBe(1 + 5 + 2 + 2 + 11 + 4 + 2 + 2);
  });
});

it("attention does more with every key: a product and a sum for each value of its heads; with every page, for each value of keys and lane", async () => {
  const [at33, at34, at65] = await Promise.all([32, 33, 64].map(async past => (await workAfter(past, 1)).attend_d16_r16_x2[0].operations));
  expect(at34 - at33).toBe(4 * 16 * 2);
  const keys = 4 * 16 * 32 * 2;
  const scores = at65 - at33 - keys - 32 * 4 * 16 * 2;
  expect(scores).toBeGreaterThan(4 * 32 * 3); // scales, differences, exponentials, and their sum
  expect(scores).toBeLessThan(4 * 32 * 40);
});

it.each(["kimi-linear", "deepseek2", "jina-bert-v2", "falcon-h1", "gemma3n", "qwen2moe"])(
  "every kernel of %s has its work; only moves have no operations",
  async name => {
    const path = await folder.write(toy(name, Object.values(toys[name])[0]));
    const engine = await openEngine(path, { target: "wasm" });
    try {
      const { launches } = await profileSteps(engine, { context: 1, tokens: 6, steps: 1, bandwidth: false });
      expect(launches.filter(l => !(l.bytes > 0)).map(l => l.kernel)).toEqual([]);
      const moves = /^(convert_f32|copy_columns|embed|gather|join_heads|sort_by_expert|write_kv|write_rows)/;
      expect(launches.filter(l => !(l.operations > 0) && !moves.test(l.kernel)).map(l => l.kernel)).toEqual([]);
    } finally {
      await engine.close();
    }
  },
);
