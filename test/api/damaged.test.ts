/**
 * Files that are not models, models that are damaged and models of another kind: each is refused with the right code and one sentence, by
 * `load` and by `inspect`, and nothing else happens.
 */
import { readFileSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { inspect, load } from "../../src/api/load.node.ts";
import { type ErrorCode, LatheError } from "../../src/errors.ts";
import { closeGguf } from "../../src/files/gguf.ts";
import type { GgufInput, GgufTensor } from "../../src/files/gguf-write.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import { caught } from "../files/caught.ts";
import { typeNamed } from "../fixtures/blocks.ts";
import { ModelFolder, type ModelShape, modelContent } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";

// Damage is found before anything is compiled; where it is harmless, WebAssembly is compiled sooner than machine code.
process.env.LATHE_TARGET = "wasm";

const folder = new ModelFolder();
afterAll(() => folder.remove());

interface Damage {
  /** Keys set, or left out where undefined. */
  readonly keys?: Readonly<Record<string, GgufInput | undefined>>;
  readonly tensors?: (tensors: GgufTensor[]) => GgufTensor[];
  readonly model?: Partial<ModelShape>;
}

async function damaged({ keys = {}, tensors = t => t, model }: Damage): Promise<string> {
  const content = modelContent(model);
  const kept = content.metadata.filter(([key]) => !(key in keys));
  const set = Object.entries(keys).filter((pair): pair is [string, GgufInput] => pair[1] !== undefined);
  return folder.write({ metadata: [...kept, ...set], tensors: tensors(content.tensors) });
}

const without = (name: string) => (list: GgufTensor[]) => list.filter(t => t.name !== name);
const changed = (name: string, change: (t: GgufTensor) => Partial<GgufTensor>) => (list: GgufTensor[]) =>
  list.map(t => (t.name === name ? { ...t, ...change(t) } : t));
const zeros = (type: string, shape: readonly number[]): Partial<GgufTensor> => {
  const { blockBytes, blockLength } = typeNamed(type);
  const values = shape.reduce((a, b) => a * b, 1);
  return { type: typeNamed(type), shape, data: new Uint8Array((values / blockLength) * blockBytes) };
};
const f32 = (value: number): GgufInput => ({ type: "f32", value });

const cases: readonly (readonly [string, ErrorCode, Damage])[] = [
  ["another architecture", "model.unsupported-arch", { keys: { "general.architecture": "perceptron" } }],
  ["an architecture that is no language model", "model.unsupported-arch", { keys: { "general.architecture": "clip" } }],
  ["no architecture", "model.unsupported-arch", { keys: { "general.architecture": undefined } }],
  ["a type that is not run", "model.unsupported-type", { tensors: changed("blk.1.ffn_up.weight", () => zeros("I8", [64, 96])) }],
  ["a quantised norm", "model.unsupported-type", { tensors: changed("output_norm.weight", () => zeros("Q8_0", [64])) }],
  ...["token_embd", "output_norm", "blk.0.attn_q", "blk.1.ffn_down", "blk.1.attn_norm"].map(
    name => [`no ${name}`, "model.missing-tensor", { tensors: without(`${name}.weight`) }] as const,
  ),
  ["more layers than there are", "model.missing-tensor", { keys: { "llama.block_count": 3 } }],
  ...[
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.layer_norm_rms_epsilon",
    "context_length",
  ].map(key => [`no ${key}`, "model.missing-key", { keys: { [`llama.${key}`]: undefined } }] as const),
  ["a text for a number", "model.missing-key", { keys: { "llama.embedding_length": "sixty-four" } }],
  ["no heads", "model.missing-key", { keys: { "llama.attention.head_count": 0 } }],
  ["a negative size", "model.missing-key", { keys: { "llama.feed_forward_length": -96 } }],
  ["a size that is no whole number", "model.missing-key", { keys: { "llama.embedding_length": f32(64.5) } }],
  ["an endless epsilon", "model.missing-key", { keys: { "llama.attention.layer_norm_rms_epsilon": f32(Number.POSITIVE_INFINITY) } }],
  ...[0, -1e-5].map(
    v => [`an epsilon of ${v}`, "model.missing-key", { keys: { "llama.attention.layer_norm_rms_epsilon": f32(v) } }] as const,
  ),
  ...[0, -10000].map(v => [`a base of ${v}`, "model.missing-key", { keys: { "llama.rope.freq_base": f32(v) } }] as const),
  ["a scaling below zero", "model.missing-key", { keys: { "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": f32(-4) } }],
  [
    "an original context of nothing",
    "model.missing-key",
    {
      keys: {
        "llama.rope.scaling.type": "yarn",
        "llama.rope.scaling.factor": f32(4),
        "llama.rope.scaling.original_context_length": 0,
      },
    },
  ],
  ["long frequency factors without short ones", "model.missing-tensor", { keys: { "llama.rope.scaling.type": "longrope" } }],
  ["2^32 - 1 layers", "model.missing-key", { keys: { "llama.block_count": 2 ** 32 - 1 } }],
  ["an endless context", "model.missing-key", { keys: { "llama.context_length": 2n ** 60n } }],
  ["another width", "model.wrong-shape", { keys: { "llama.embedding_length": 32 } }],
  ["another number of heads", "model.wrong-shape", { keys: { "llama.attention.head_count": 8 } }],
  ["heads that do not divide", "model.wrong-shape", { keys: { "llama.attention.head_count": 4, "llama.attention.head_count_kv": 3 } }],
  ["heads of an odd size", "model.wrong-shape", { keys: { "llama.attention.key_length": 15, "llama.rope.dimension_count": 8 } }],
  ["an odd rotation", "model.wrong-shape", { keys: { "llama.rope.dimension_count": 7 } }],
  [
    "a matrix with swapped sides",
    "model.wrong-shape",
    { tensors: changed("blk.0.ffn_up.weight", t => ({ shape: [...t.shape].reverse() })) },
  ],
  ["a norm that is too short", "model.wrong-shape", { tensors: changed("output_norm.weight", () => zeros("F32", [32])) }],
  ["a matrix with a third side", "model.wrong-shape", { tensors: changed("output.weight", () => zeros("F32", [64, 293, 2])) }],
  [
    "frequency factors of another length",
    "model.wrong-shape",
    { tensors: changed("rope_freqs.weight", () => zeros("F32", [4])), model: { ropeFactors: true } },
  ],
  [
    "frequency factors of blocks",
    "model.unsupported-type",
    { tensors: changed("rope_freqs.weight", () => zeros("Q8_0", [32])), model: { ropeFactors: true, headDim: 64, ropeDim: 64 } },
  ],
  [
    "a scaling that is not run",
    "model.unsupported-arch",
    { keys: { "llama.rope.scaling.type": "dynamic", "llama.rope.scaling.factor": { type: "f32", value: 4 } } },
  ],
  [
    "a bias of the wrong length",
    "model.wrong-shape",
    { tensors: list => [...list, { ...list[1], name: "blk.0.attn_q.bias", ...zeros("F32", [32]) } as GgufTensor] },
  ],
  [
    "a tensor that is not run",
    "model.unsupported-arch",
    { tensors: list => [...list, { ...list[1], name: "blk.0.attn_lambda.weight", ...zeros("F32", [64]) } as GgufTensor] },
  ],
  ["rotation of base 0", "model.missing-key", { keys: { "llama.rope.freq_base": { type: "f32", value: 0 } } }],
  ["rotation of a negative base", "model.missing-key", { keys: { "llama.rope.freq_base": { type: "f32", value: -1e4 } } }],
  ["no tokenizer", "tokenizer.malformed", { keys: { "tokenizer.ggml.model": undefined } }],
  ["another tokenizer", "tokenizer.unsupported", { keys: { "tokenizer.ggml.model": "morse" } }],
  ["no tokens", "tokenizer.malformed", { keys: { "tokenizer.ggml.tokens": undefined } }],
  ["scores of another length", "tokenizer.malformed", { keys: { "tokenizer.ggml.scores": { of: "f32", items: new Float32Array(7) } } }],
  [
    "more tokens than rows",
    "tokenizer.malformed",
    {
      tensors: list =>
        changed("token_embd.weight", () => zeros("F32", [64, 200]))(changed("output.weight", () => zeros("F32", [64, 200]))(list)),
    },
  ],
];

describe("damaged and foreign models", () => {
  it.each(cases)("%s: %s", async (_, code, damage) => {
    const path = await damaged(damage);
    await caught(code, () => load(path, { threads: 1 }));
    const told = await inspect(path); // describes, without refusing
    expect(told.reason?.code ?? code).toBe(code);
  });

  it.each([
    ["a weight that is not a number", "blk.0.ffn_up.weight", "F32", 0x7fc00000],
    ["an infinite weight", "output.weight", "F32", 0xff800000],
    ["an infinite norm", "blk.1.ffn_norm.weight", "F32", 0x7f800000],
  ])("%s: gguf.malformed", async (_, name, type, bits) => {
    const path = await damaged({
      tensors: changed(name, t => {
        const data = (t.data as Uint8Array).slice();
        new DataView(data.buffer).setUint32(4 * 50, bits, true);
        return { data, type: typeNamed(type) };
      }),
    });
    const error = await caught("gguf.malformed", () => load(path, { threads: 2 }));
    expect(error.details.tensor).toBe(name);
  });

  it.each([Number.NaN, 0, -1])("a frequency factor of %s: gguf.malformed", async factor => {
    const path = await damaged({
      model: { ropeFactors: true },
      tensors: changed("rope_freqs.weight", t => {
        const data = (t.data as Uint8Array).slice();
        new DataView(data.buffer).setFloat32(4, factor, true);
        return { data };
      }),
    });
    await caught("gguf.malformed", () => load(path, { threads: 1 }));
  });

  it("half-precision scales that are not finite are found in blocks", async () => {
    for (const type of ["Q8_0", "Q4_0", "F16", "BF16"]) {
      const path = await damaged({
        model: { type, seed: 9 },
        tensors: changed("blk.1.attn_output.weight", t => {
          const data = (t.data as Uint8Array).slice();
          const at = 33 * typeNamed(type).blockBytes;
          new DataView(data.buffer).setUint16(at, type === "BF16" ? 0x7f81 : 0xfc00, true);
          return { data };
        }),
      });
      await caught("gguf.malformed", () => load(path, { threads: 1 }));
    }
  });
});

describe("files", () => {
  it("that are not there, no GGUF, or end early", async () => {
    await caught("file.not-found", () => load(join(folder.path, "none.gguf")));
    await caught("file.not-found", () => load(folder.path)); // no config.json in it
    const junk = join(folder.path, "junk.gguf");
    writeFileSync(junk, "this is no model at all, but some text that is long enough");
    await caught("gguf.not-gguf", () => load(junk));
    writeFileSync(junk, "");
    const empty = await load(junk).catch((e: unknown) => e);
    expect((empty as LatheError).code).toMatch(/^gguf\./);
    const path = await folder.model();
    const whole = readFileSync(path);
    for (const part of [0.01, 0.5, 0.999]) {
      writeFileSync(junk, whole.subarray(0, Math.floor(part * whole.length)));
      await caught("gguf.truncated", () => load(junk));
    }
  });

  it("that shrink or go away while loading", async () => {
    for (const act of [(path: string) => truncateSync(path, readFileSync(path).length - 4000), unlinkSync]) {
      const path = await folder.model();
      const loading = load(path, { threads: 2, onProgress: p => void (p.stage === "header" && act(path)) });
      await caught("file.changed", () => loading);
    }
  });
});

describe("random damage to the header", () => {
  it("is refused in the typed way, or does no harm", async () => {
    const path = await folder.model({ layers: 1, dim: 32, hidden: 32, heads: 2, kvHeads: 1, vocabulary: 262, context: 64 });
    const whole = readFileSync(path);
    const gguf = await openModelFile(path);
    const header = Math.min(...[...gguf.tensors.values()].map(t => t.offset));
    await closeGguf(gguf);
    const random = new Random(81);
    const own = join(folder.path, "mutant.gguf");
    let [supported, loaded] = [0, 0];
    for (let i = 0; i < 200; i++) {
      const mutant = Uint8Array.from(whole);
      for (let k = random.below(3); k >= 0; k--) {
        const at = 8 + random.below(header - 8);
        mutant[at] = random.pick([0, 1, 255, mutant[at] ^ (1 << random.below(8)), random.below(256)]);
      }
      writeFileSync(own, mutant);
      const told = await inspect(own).catch((e: unknown) => e);
      if (told instanceof Error) expect(told).toBeInstanceOf(LatheError);
      else if ((told as { supported: boolean }).supported && supported++ % 10 === 0) {
        loaded++;
        await loadAndAnswer(own);
      }
    }
    expect(loaded).toBeGreaterThan(5);
  });
});

/** Loads and answers; whatever goes wrong must be a LatheError. */
async function loadAndAnswer(path: string): Promise<void> {
  try {
    const model = await load(path, { threads: 1, context: 64, memory: "1GiB" });
    try {
      await model.generate("a the", { maxTokens: 3, temperature: 0 });
    } finally {
      await model.close();
    }
  } catch (e) {
    expect(e, String((e as Error).stack)).toBeInstanceOf(LatheError);
  }
}
