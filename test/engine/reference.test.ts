/**
 * The engine against the float64 reference: small random models of every variant of the architecture and every weight type, the model that
 * comes with the project, and a really trained one. Logits may differ by the rounding of f32 alone.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadReference } from "../../reference/llama.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { blockFormats, toHalf } from "../fixtures/blocks.ts";
import { argmax, distance, type Engine, type EngineOptions, openEngine } from "../fixtures/engine.ts";
import { ModelFolder, type ModelShape, modelContent, shapeOf, stories, storiesCheck } from "../fixtures/models.ts";
import { quantisedLogits } from "../fixtures/quantised-llama.ts";
import { Random } from "../fixtures/random.ts";
import { describeShared, sharedData } from "../shared.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

const tokensOf = (s: ModelShape, n: number): number[] => {
  const random = new Random(61);
  return Array.from({ length: n }, () => random.below(s.vocabulary));
};

/**
 * Rounding of f32, as a share of the greatest logit: one U = 2^-24 for each input of each matrix on the way. Errors of sums grow with the root
 * of that number, so this leaves a margin for the products' cancellation.
 */
const floatTolerance = (s: ModelShape): number => (s.layers * (3 * s.dim + s.heads * s.headDim + s.hidden) + s.dim) * 2 ** -24;

/** Runs a model's tokens in chunks of 5 and gives all logits. */
async function engineLogits(
  changes: Partial<ModelShape>,
  tokens: readonly number[],
  options?: EngineOptions,
): Promise<{ path: string; own: Float32Array[] }> {
  const path = await folder.model(changes);
  const engine = await openEngine(path, options);
  try {
    return { path, own: engine.feed(engine.stepper.newSequence(), tokens, 5) };
  } finally {
    await engine.close();
  }
}

const variants: Readonly<Record<string, Partial<ModelShape>>> = {
  "grouped queries": {},
  "as many keys as queries, tied": { kvHeads: 4, tied: true },
  "one key head for all": { heads: 8, kvHeads: 1, headDim: 8, ropeDim: 8 },
  "frequency factors": { ropeFactors: true, base: 500000 },
  "partial rotation": { headDim: 24, ropeDim: 8 },
  "linear scaling": { factor: 4 },
  "heads of 64": { heads: 2, kvHeads: 1, headDim: 64, ropeDim: 64 },
  "heads of 128, wider than the model": { heads: 2, kvHeads: 2, headDim: 128, ropeDim: 128 },
  "odd sizes": { dim: 20, hidden: 172, heads: 3, kvHeads: 3, headDim: 8, ropeDim: 8, vocabulary: 261 },
  "one layer": { layers: 1 },
};

describe("variants of the architecture in F32", () => {
  it.each(Object.entries(variants))("%s", async (_, changes) => {
    const s = shapeOf(changes);
    const tokens = tokensOf(s, 37);
    const { path, own } = await engineLogits(changes, tokens);
    expect(distance(own, loadReference(path).logits(tokens))).toBeLessThan(floatTolerance(s));
  });
});

/** A number with eleven bits, or as many as fit above 2^-24; between two, the even one. */
function half(x: number): number {
  const unit = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(x)))) - 10);
  const below = Math.floor(x / unit);
  const rest = x / unit - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * unit;
}

describe("keys and values kept as f16", () => {
  it.each(["grouped queries", "as many keys as queries, tied", "partial rotation", "heads of 64", "heads of 128, wider than the model"])(
    "%s",
    async name => {
      const changes = variants[name];
      const tokens = tokensOf(shapeOf(changes), 70);
      const { path, own } = await engineLogits(changes, tokens, { kept: "f16" });
      // A number that lies between two halves but for the rounding of f32 may become either: one part in 2^10 of one number in thousands.
      const apart = distance(own, loadReference(path, half).logits(tokens));
      const unrounded = distance(own, loadReference(path).logits(tokens));
      expect(apart).toBeLessThan(unrounded / 4);
      expect(unrounded).toBeLessThan(3e-3);
    },
  );

  it("is what models get by themselves whose keys and values are worth it", async () => {
    const bytes = async (changes: Partial<ModelShape>, kept?: EngineOptions["kept"]): Promise<number> => {
      const engine = await openEngine(await folder.model(changes), { kept });
      await engine.close();
      return engine.stepper.plan.step.pageBytes / 32;
    };
    // 64 KiB a token as f32
    const large = { layers: 8, heads: 8, kvHeads: 8, headDim: 128, ropeDim: 128, dim: 64, hidden: 32 };
    expect(await bytes(large)).toBe(32 << 10);
    expect(await bytes(large, "f32")).toBe(64 << 10);
    expect(await bytes({})).toBe(2 * 2 * 2 * 16 * 4);
    expect(await bytes({}, "f16")).toBe(2 * 2 * 2 * 16 * 2);
  });
});

describe("weight types", () => {
  /** Whole q8 records, and whole blocks. */
  const sized = (type: string): Partial<ModelShape> => {
    const big = weightFormats.get(type)!.packed.inputs > 32;
    return big ? { type, dim: 256, heads: 4, headDim: 64, ropeDim: 64, hidden: 256 } : { type, dim: 64, hidden: 96 };
  };

  it.each([...blockFormats.keys()])("%s", async type => {
    const changes = sized(type);
    const s = shapeOf(changes);
    const tokens = tokensOf(s, 12);
    const { path, own } = await engineLogits(changes, tokens);
    const reference = loadReference(path).logits(tokens);
    if (weightFormats.get(type)!.packed.activation === "f32") {
      expect(distance(own, reference)).toBeLessThan(floatTolerance(s));
      return;
    }
    expect(distance(own, reference)).toBeLessThan(0.05);
    // With activations rounded alike only f32 rounding is left, except where an activation fell to the other side of a tie: then what follows
    // differs by the noise of the rounding. So most rows are close, and none is further off than that noise.
    const alike = quantisedLogits(changes, tokens, true);
    const rows = own.map((row, i) => distance([row], [alike[i]])).sort((a, b) => a - b);
    expect(rows[0]).toBeLessThan(floatTolerance(s));
    expect(rows[Math.floor(rows.length / 2)]).toBeLessThan(5e-3);
    expect(rows.at(-1)).toBeLessThan(0.05);
  });

  it("the rounding reference is the reference where nothing is rounded", async () => {
    for (const changes of [sized("Q4_K"), { ropeFactors: true, factor: 2, headDim: 24, ropeDim: 16 }]) {
      const tokens = tokensOf(shapeOf(changes), 5);
      const path = await folder.model(changes);
      const truth = loadReference(path).logits(tokens);
      const own = quantisedLogits(changes, tokens, false).map(row => Float32Array.from(row));
      expect(distance(own, truth)).toBeLessThan(2 ** -23);
    }
  });

  it("mixed in one model, with the embedding in another type than the rest", async () => {
    const changes = { type: "Q4_0", types: { attn_v: "F16", ffn_down: "Q8_0", token_embd: "BF16", output: "Q8_0", attn_k: "F32" } };
    const tokens = tokensOf(shapeOf(changes), 12);
    const { path, own } = await engineLogits(changes, tokens);
    expect(distance(own, loadReference(path).logits(tokens))).toBeLessThan(0.05);
  });

  it("F16 weights too large for the packed halves are run as f32", async () => {
    const changes = { type: "F16", seed: 5 };
    const path = await largeWeights(changes);
    const engine = await openEngine(path);
    const tokens = tokensOf(shapeOf(changes), 6);
    const own = engine.feed(engine.stepper.newSequence(), tokens);
    await engine.close();
    expect(distance(own, loadReference(path).logits(tokens))).toBeLessThan(floatTolerance(shapeOf(changes)));
  });
});

/** A model of F16 with some output weights of 200 and more. */
async function largeWeights(changes: Partial<ModelShape>): Promise<string> {
  const content = modelContent(changes);
  const tensors = content.tensors.map(t => {
    if (t.name !== "output.weight") return t;
    const halves = new Uint16Array((t.data as Uint8Array).slice().buffer);
    return { ...t, data: new Uint8Array(halves.map((h, i) => (i % 7 ? h : toHalf(200 + i / 100))).buffer) };
  });
  return folder.write({ ...content, tensors });
}

describe("the model that comes with the project", () => {
  const record = JSON.parse(readFileSync(storiesCheck, "utf8"));
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine(stories, { threads: 2 });
  }, 60_000);
  afterAll(() => engine.close());

  /** Its recorded logits are of the same weights, but activations there are not rounded. */
  const tolerance = 0.5;

  it.each(record.prompts as { text: string; ids: number[]; top5: [number, number][]; greedy: number[]; leads: number[] }[])(
    "continues $text as recorded",
    ({ ids, top5, greedy, leads }) => {
      const s = engine.stepper.newSequence();
      let row = engine.feed(s, ids, 7, false)[0];
      for (const [id, logit] of top5) expect(Math.abs(row[id] - logit), `token ${id}`).toBeLessThan(tolerance);
      for (const [i, id] of greedy.entries()) {
        if (leads[i] > tolerance) expect(argmax(row), `token ${i}`).toBe(id);
        expect(row[argmax(row)] - row[id]).toBeLessThan(tolerance);
        row = engine.feed(s, [id])[0]; // follow the record, whoever leads
      }
      s.close();
    },
  );

  it("gives the reference's logits", () => {
    const { ids, greedy } = record.prompts[1];
    const tokens = [...ids, ...greedy.slice(0, 10)];
    const s = engine.stepper.newSequence();
    expect(distance(engine.feed(s, tokens), loadReference(stories).logits(tokens))).toBeLessThan(0.05);
    s.close();
  });
});

describeShared("the trained model of 260 thousand parameters", "lm-stories260k", shared => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine(join(shared, "stories260K.gguf"));
  }, 60_000);
  afterAll(() => engine.close());

  it("tells llama2.c's story token for token, and llama.cpp's probabilities", () => {
    const { cases } = JSON.parse(readFileSync(join(shared, "llamacpp-greedy.json"), "utf8"));
    for (const { prompt_ids, generated, top5_first32 } of cases) {
      const s = engine.stepper.newSequence();
      let row = engine.feed(s, prompt_ids, 3, false)[0];
      generated.forEach((id: number, i: number) => {
        const total = row.reduce((sum, v) => sum + Math.exp(v), 0);
        for (const [other, p] of top5_first32[i] ?? []) {
          expect(Math.abs(Math.exp(row[other]) / total - p)).toBeLessThan(2e-3); // the record was made with a 16-bit cache
        }
        expect(argmax(row), `token ${i}`).toBe(id);
        row = engine.feed(s, [id])[0];
      });
      s.close();
    }
  });

  it("gives the reference's logits over 200 greedy steps", () => {
    const reference = loadReference(join(shared, "stories260K.gguf"));
    const tokens = [1, ...reference.greedy([1], 199)];
    const s = engine.stepper.newSequence();
    const own = engine.feed(s, tokens, 50);
    own.forEach((row, i) => {
      if (i + 1 < tokens.length) expect(argmax(row), `token ${i}`).toBe(tokens[i + 1]);
    });
    expect(distance(own, reference.logits(tokens))).toBeLessThan(1e-4);
    s.close();
  });
});

describe("llama.cpp's record of small random models", () => {
  it.each(["llama", "llama-mha-tied", "llama-linear", "llama-yarn", "llama3-freqs"])("%s", async name => {
    const path = sharedData(`arch-oracle/${name}.gguf`);
    if (path === undefined) return expect(sharedData("arch-oracle")).toBeUndefined();
    const record = JSON.parse(readFileSync(path.replace(/gguf$/, "json"), "utf8"));
    const engine = await openEngine(path);
    const own = engine.feed(engine.stepper.newSequence(), [...record.prompt, ...record.greedy], 11);
    await engine.close();
    record.top.forEach((top: [number, number][], i: number) => {
      const total = own[i].reduce((sum, v) => sum + Math.exp(v), 0);
      for (const [id, p] of top) expect(Math.abs(Math.exp(own[i][id]) / total - p)).toBeLessThan(2e-5);
    });
  });
});
