/** Folders on disk and in memory: shards and their index, links, damaged configurations, what is left out, and the stored types. */
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../../src/errors.ts";
import { closeGguf } from "../../../src/files/gguf.ts";
import { convertFolder } from "../../../src/files/hf/convert.ts";
import { convertible } from "../../../src/files/hf/families/index.ts";
import { isFolder, openModelFolder } from "../../../src/files/hf/open.node.ts";
import { viewOf } from "../../../src/files/hf/view.ts";
import { openModelFile } from "../../../src/files/open.node.ts";
import { type SafetensorsEntry, safetensorsBytes } from "../../../src/files/safetensors-write.ts";
import { writeModelFile } from "../../../src/files/write.node.ts";
import { Random } from "../../fixtures/random.ts";
import { temporaryFolder } from "../../fixtures/temporary.ts";
import { caught } from "../caught.ts";
import { converted, type Files, memoryFolder, modelFiles, plainTokenizer } from "./memory-folder.ts";
import { origins } from "./origins.ts";
import { toyOrigins } from "./toy-origins.ts";

const root = temporaryFolder("folder");

const random = new Random(1);
const tensor = (name: string, ...shape: number[]): SafetensorsEntry => ({
  name,
  dtype: "F32",
  shape,
  data: new Uint8Array(random.floats(shape.reduce((a, b) => a * b, 1)).buffer),
});
const config = {
  architectures: ["Qwen3ForCausalLM"],
  vocab_size: 4,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-6,
};
const block = [tensor("model.layers.0.self_attn.q_proj.weight", 8, 8), tensor("model.layers.0.input_layernorm.weight", 8)];
const tensors = [tensor("model.embed_tokens.weight", 4, 8), ...block, tensor("model.norm.weight", 8)];
const shard = async (list: readonly SafetensorsEntry[]): Promise<Uint8Array> => safetensorsBytes({ tensors: list });

async function shards(weightMap: Record<string, string>): Promise<Files> {
  return {
    "config.json": config,
    "tokenizer.json": plainTokenizer(4),
    "model.safetensors.index.json": { metadata: {}, weight_map: weightMap },
    "m-1.safetensors": await shard(tensors.slice(0, 2)),
    "m-2.safetensors": await shard(tensors.slice(2)),
  };
}
const map = Object.fromEntries(tensors.map(({ name }, i) => [name, `m-${i < 2 ? 1 : 2}.safetensors`]));

describe("a folder in several files", () => {
  it("is one model", async () => {
    const [one, several] = [await converted(await modelFiles(config, tensors, 4)), await converted(await shards(map))];
    expect(several.names).toEqual(one.names);
    expect(one.names).toEqual(["token_embd.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "output_norm.weight"]);
    for (const name of one.names) expect(several.tensor(name)).toEqual(one.tensor(name));
  });

  it("is refused where index and files disagree", async () => {
    await caught("safetensors.malformed", async () => memoryFolder(await shards({ ...map, "model.norm.weight": "m-1.safetensors" })));
    await caught("safetensors.malformed", async () => memoryFolder(await shards({ ...map, more: "m-1.safetensors" })));
    await caught("file.not-found", async () => memoryFolder(await shards({ ...map, more: "m-3.safetensors" })));
    await caught("safetensors.malformed", async () => memoryFolder(await shards({ ...map, more: "../m-1.safetensors" })));
  });

  it("leaves out what the index does not name", async () => {
    const { "model.norm.weight": _, ...less } = map;
    expect((await converted(await shards(less))).names).not.toContain("output_norm.weight");
  });
});

describe("a folder on disk", () => {
  const write = (folder: string, files: Files): string => {
    mkdirSync(folder, { recursive: true });
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(folder, name), content instanceof Uint8Array ? content : JSON.stringify(content));
    return folder;
  };

  it("becomes a file, and is seen as that file before it is written", async () => {
    const path = write(join(root, "plain"), await modelFiles(config, tensors, 4));
    expect([isFolder(path), isFolder(join(path, "config.json")), isFolder(join(path, "nothing"))]).toEqual([true, false, false]);
    const folder = await openModelFolder(path);
    const conversion = await convertFolder(folder);
    const seen: number[] = [];
    await writeModelFile(join(root, "plain.gguf"), conversion.content, Infinity, bytes => seen.push(bytes));
    const gguf = await openModelFile(join(root, "plain.gguf"));
    const view = viewOf(folder, conversion);
    expect(view.metadata).toEqual(gguf.metadata);
    expect(gguf.metadata.get("general.name")).toBe("plain");
    const plain = (file: typeof gguf): unknown[] =>
      [...file.tensors.values()].map(({ name, type, shape, bytes }) => [name, type, shape, bytes]);
    expect(plain(view)).toEqual(plain(gguf));
    expect(view.dataBytes).toBe(gguf.dataBytes);
    expect(seen.at(-1)).toBe(gguf.parts[0].size);
    await closeGguf(gguf);
    await folder.close();
    await caught("model.closed", () => writeModelFile(join(root, "closed.gguf"), conversion.content));
    expect(readdirSync(root).filter(name => /closed|tmp/.test(name))).toEqual([]);
  });

  it("follows links to the blobs of a cache, and no others", async () => {
    const files = await modelFiles(config, tensors, 4);
    const weights = files["model.safetensors"] as Uint8Array;
    const snapshot = write(join(root, "cache", "snapshots", "1"), { "config.json": config, "tokenizer.json": plainTokenizer(4) });
    mkdirSync(join(root, "cache", "blobs"));
    writeFileSync(join(root, "cache", "blobs", "abc"), weights);
    symlinkSync(join("..", "..", "blobs", "abc"), join(snapshot, "model.safetensors"));
    await (await openModelFolder(snapshot)).close();
    const outside = write(join(root, "linked"), { "config.json": config });
    writeFileSync(join(root, "secret"), weights);
    symlinkSync(join("..", "secret"), join(outside, "model.safetensors"));
    await caught("folder.malformed", () => openModelFolder(outside));
    const nowhere = write(join(root, "nowhere"), { "config.json": config });
    symlinkSync(join("..", "not-there"), join(nowhere, "model.safetensors"));
    await caught("folder.malformed", () => openModelFolder(nowhere));
  });

  it("is named where something is missing", async () => {
    expect((await caught("file.not-found", () => openModelFolder(join(root, "nothing")))).message).toContain("config.json");
    const bare = write(join(root, "bare"), { "config.json": config });
    expect((await caught("file.not-found", () => openModelFolder(bare))).message).toContain("safetensors");
  });
});

describe("stored types", () => {
  const wide = (): Promise<Files> => modelFiles(config, tensors, 4);
  it.each([
    ["keep", "F32"],
    ["f16", "F16"],
    ["bf16", "BF16"],
  ] as const)("%s stores matrices as %s, and vectors as F32", async (type, stored) => {
    const out = await converted(await wide(), { type });
    expect(out.tensor("blk.0.attn_q.weight").type).toBe(stored);
    expect(out.tensor("blk.0.attn_norm.weight").type).toBe("F32");
    expect(out.metadata.get("general.file_type")).toBe({ F32: 0, F16: 1, BF16: 32 }[stored]);
  });

  it("rounds to the nearest, ties to even", async () => {
    // Each value with its nearest binary16 and bfloat16, worked out by hand.
    const cases = [
      [1 + 2 ** -11, 0x3c00, 0x3f80],
      [1 + 3 * 2 ** -11, 0x3c02, 0x3f80],
      [1 + 2 ** -8, 0x3c04, 0x3f80],
      [1 + 3 * 2 ** -8, 0x3c0c, 0x3f82],
      [2 ** -24, 0x0001, 0x3380],
      [2 ** -25, 0x0000, 0x3300],
      [3 * 2 ** -25, 0x0002, 0x33c0],
      [-65504, 0xfbff, 0xc780],
      [0.1, 0x2e66, 0x3dcd],
      [-0, 0x8000, 0x8000],
    ];
    const data = new Float32Array(32);
    data.set(cases.map(([x]) => x));
    const files = await modelFiles(
      config,
      [{ name: "model.embed_tokens.weight", dtype: "F32", shape: [4, 8], data: new Uint8Array(data.buffer) }],
      4,
    );
    for (const [type, column] of [
      ["f16", 1],
      ["bf16", 2],
    ] as const) {
      const bits = new Uint16Array((await converted(files, { type })).tensor("token_embd.weight").bytes.buffer);
      expect([...bits.slice(0, cases.length)]).toEqual(cases.map(c => c[column]));
    }
  });

  it("refuses F16 for values that it does not reach", async () => {
    const data = new Uint8Array(new Float32Array(32).fill(65520).buffer);
    const files = await modelFiles(config, [{ name: "model.embed_tokens.weight", dtype: "F32", shape: [4, 8], data }], 4);
    await caught("option.invalid", () => converted(files, { type: "f16" }));
    expect((await converted(files, { type: "bf16" })).tensor("token_embd.weight").type).toBe("BF16");
  });
});

describe("what has no place", () => {
  const convert = async (more: readonly SafetensorsEntry[], changes: object = {}) =>
    converted(await modelFiles({ ...config, ...changes }, [...tensors, ...more], 4));

  it("other parts of the model are left out and named", async () => {
    const vision = tensor("model.visual.blocks.0.attn.qkv.weight", 8, 8);
    const { conversion } = await convert([vision], { vision_config: {} });
    expect(conversion.leftOut).toEqual([vision.name]);
    await caught("model.unsupported-arch", () => convert([vision]));
    const further = await convert([tensor("model.layers.1.eh_proj.weight", 8, 16)]);
    expect(further.conversion.leftOut).toEqual(["model.layers.1.eh_proj.weight"]);
  });

  it("an output that is tied to the embedding is dropped", async () => {
    const head = tensor("lm_head.weight", 4, 8);
    expect((await convert([head])).names).toContain("output.weight");
    expect((await convert([head], { tie_word_embeddings: true })).names).not.toContain("output.weight");
  });

  it("buffers of older code are dropped, unknown weights refused", async () => {
    expect((await convert([tensor("model.layers.0.self_attn.rotary_emb.inv_freq", 2)])).names).toHaveLength(4);
    const error = await caught("model.unsupported-arch", () => convert([tensor("model.layers.0.self_attn.magic.weight", 8)]));
    expect(error.details["tensor"]).toBe("model.layers.0.self_attn.magic.weight");
  });

  it("tensors of numbers that are no weights are refused", async () => {
    const odd: SafetensorsEntry = { ...tensor("model.layers.0.mlp.up_proj.weight", 2), dtype: "I32" };
    await caught("model.unsupported-type", () => convert([odd]));
    await caught("model.unsupported-type", () => convert([{ ...odd, dtype: "U32" }]));
  });

  it("experts must all be there and alike", async () => {
    const expert = (e: number, ...shape: number[]): SafetensorsEntry => tensor(`model.layers.0.mlp.experts.${e}.up_proj.weight`, ...shape);
    expect((await convert([expert(1, 2, 8), expert(0, 2, 8)])).tensor("blk.0.ffn_up_exps.weight").shape).toEqual([8, 2, 2]);
    await caught("model.missing-tensor", () => convert([expert(0, 2, 8), expert(2, 2, 8)]));
    await caught("model.missing-tensor", () => convert([expert(999999, 2, 8)]));
    await caught("model.wrong-shape", () => convert([expert(0, 2, 8), expert(1, 4, 4)]));
  });
});

describe("damaged configurations", () => {
  it.each<[string, string | object, ConstructorParameters<typeof LatheError>[0]]>([
    ["no JSON", "{", "folder.malformed"],
    ["a list", "[]", "folder.malformed"],
    ["no architecture", { ...config, architectures: undefined }, "folder.malformed"],
    ["architectures that are no texts", { ...config, architectures: [1] }, "folder.malformed"],
    ["an unknown architecture", { ...config, architectures: ["AbacusForCausalLM"] }, "model.unsupported-arch"],
    ["an inherited name for an architecture", { ...config, architectures: ["constructor"] }, "model.unsupported-arch"],
    ["no layers", { ...config, num_hidden_layers: undefined }, "folder.malformed"],
    ["layers without end", { ...config, num_hidden_layers: 1e12 }, "folder.malformed"],
    ["half a layer", { ...config, num_hidden_layers: 1.5 }, "folder.malformed"],
    ["a width of text", { ...config, hidden_size: "8" }, "folder.malformed"],
    ["no epsilon", { ...config, rms_norm_eps: null }, "folder.malformed"],
    ["rotary positions of an unknown kind", { ...config, rope_scaling: { type: "spiral" } }, "model.unsupported-arch"],
    ["YaRN without a factor", { ...config, rope_scaling: { type: "yarn" } }, "folder.malformed"],
    ["a quantisation that is not known", { ...config, quantization_config: { quant_method: "magic" } }, "model.unsupported-type"],
    ["a quantisation that is no object", { ...config, quantization_config: 4 }, "model.unsupported-type"],
  ])("%s are refused", async (_, broken, code) => {
    const files: Files = { ...(await modelFiles(config, tensors, 4)), "config.json": broken };
    await caught(code, () => converted(files));
  });

  it("with any value changed convert or are refused", async () => {
    const changes = [0, -1, 1.5, 1e300, 2 ** 53, "x", null, [], {}, true, [1, "a"], { rope_type: 1 }];
    const keys = [
      ...Object.keys(config),
      "rope_scaling",
      "rope_theta",
      "head_dim",
      "num_key_value_heads",
      "tie_word_embeddings",
      "quantization_config",
      "text_config",
      "num_experts",
      "torch_dtype",
    ];
    for (const key of keys) {
      for (const value of changes) {
        const files = await modelFiles({ ...config, [key]: value }, tensors, 4);
        await converted(files).catch(e => {
          if (!(e instanceof LatheError)) throw new Error(`${key} = ${JSON.stringify(value)}: ${e.stack}`);
        });
      }
    }
  });
});

describe("the families", () => {
  it("are compared with stored models, but for these", () => {
    const compared = new Set([...origins, ...toyOrigins].map(origin => origin.architecture));
    const same = (name: string): boolean =>
      [...compared].some(other => name !== other && other.replace(/ForC.*/, "") === name.replace(/(Model|ForC.*)$/, ""));
    expect(convertible.filter(name => !compared.has(name) && !same(name)).sort()).toMatchInlineSnapshot(`
      [
        "BertForMaskedLM",
        "Ernie4_5_ForCausalLM",
        "GPT2Model",
        "Glm4MoeForCausalLM",
        "Glm4MoeLiteForCausalLM",
        "GraniteMoeForCausalLM",
        "GraniteMoeSharedForCausalLM",
        "LLaMAForCausalLM",
        "Lfm2ForCausalLM",
        "Lfm2MoeForCausalLM",
        "LlavaForConditionalGeneration",
        "Mistral3ForConditionalGeneration",
        "MixtralForCausalLM",
        "ModernBertForMaskedLM",
        "Olmo3ForCausalLM",
        "PhiForCausalLM",
        "PhimoeForCausalLM",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3NextForCausalLM",
        "Qwen3_5ForCausalLM",
        "Qwen3_5ForConditionalGeneration",
        "Qwen3_5MoeForCausalLM",
        "Qwen3_5MoeForConditionalGeneration",
        "RWForCausalLM",
        "RobertaForSequenceClassification",
        "RobertaModel",
        "StableLMEpochForCausalLM",
        "StableLmEpochForCausalLM",
        "XLMRobertaForSequenceClassification",
        "XLMRobertaModel",
      ]
    `);
  });
});
