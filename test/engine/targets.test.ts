/**
 * The same model on machine code, WebAssembly and the interpreter: the same bits in each profile, and close together
 * (docs/architecture.md states the tolerance). Machine code is left out where it does not run.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Kept } from "../../src/kernels/attend.ts";
import { hasRelaxedSimd } from "../../src/target/wasm/features.ts";
import { openEngine } from "../fixtures/engine.ts";
import { ModelFolder, type ModelShape } from "../fixtures/models.ts";
import { autoTarget } from "../fixtures/target.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());
const ids = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % 293);

const models: Readonly<Record<string, Partial<ModelShape>>> = {
  Q4_0: { type: "Q4_0", tied: true },
  "Q4_K and Q6_K": { type: "Q4_K", types: { attn_v: "Q6_K", output: "Q6_K" }, dim: 256, hidden: 256, heads: 4, kvHeads: 1, headDim: 64 },
  "F16, BF16, Q8_0": { type: "F16", types: { attn_q: "Q8_0", ffn_down: "BF16" } },
};
const fastTargets = ["wasm", ...(autoTarget === "native" ? (["native"] as const) : [])] as const;

async function logits(
  path: string,
  target: "native" | "wasm" | "interp",
  numerics: "fast" | "strict",
  kept: Kept,
): Promise<Float32Array[]> {
  const engine = await openEngine(path, { target, numerics, kept });
  try {
    return engine.feed(engine.stepper.newSequence(), ids.slice(0, target === "interp" ? 3 : 40));
  } finally {
    await engine.close();
  }
}

const cases = Object.entries(models).flatMap(([name, shape]) => (["f32", "f16"] as const).map(kept => ({ name, shape, kept })));

describe.each(cases)("$name, keys and values as $kept", ({ shape, kept }) => {
  let path: string;
  beforeAll(async () => {
    path = await folder.model(shape);
  });

  it("gives the same bits everywhere in the strict profile", async () => {
    const truth = await logits(path, "interp", "strict", kept);
    const rows = await Promise.all(fastTargets.map(t => logits(path, t, "strict", kept)));
    for (const got of rows) {
      expect(got.length).toBe(ids.length);
      for (const [i, row] of truth.entries()) expect(got[i]).toEqual(row);
      for (const [i, row] of rows[0].entries()) expect(got[i]).toEqual(row);
    }
  }, 120_000);

  it("gives the same bits on all of them in the fast one, close to the strict one", async () => {
    const strict = await logits(path, "wasm", "strict", kept);
    const [first, ...others] = await Promise.all(fastTargets.map(t => logits(path, t, "fast", kept)));
    for (const rows of hasRelaxedSimd() ? others : []) for (const [i, row] of first.entries()) expect(rows[i]).toEqual(row);
    // Activations are rounded to eight bits between layers: where one of them tips over, logits move by more than rounding alone would.
    const most = Math.max(...strict.flatMap(row => [...row].map(Math.abs)));
    const apart = Math.max(...strict.flatMap((row, i) => [...row].map((x, j) => Math.abs(x - first[i][j]))));
    expect(apart / most).toBeLessThan(1e-2);
  });
});
