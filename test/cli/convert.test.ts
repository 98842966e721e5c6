/** `lathe convert` from the outside: a folder becomes a file that runs, and what goes wrong is said in one line and leaves nothing behind. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { closeGguf } from "../../src/files/gguf.ts";
import { contentOf } from "../../src/files/gguf-write.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import { type SafetensorsEntry, safetensorsBytes } from "../../src/files/safetensors-write.ts";
import { writeModelFile } from "../../src/files/write.node.ts";
import { byteTokenizer } from "../files/hf/memory-folder.ts";
import { modelContent, shapeOf } from "../fixtures/models.ts";
import { lathe, latheJson, temporaryFolder } from "./lathe.ts";

const folder = temporaryFolder();
const names: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

/** A folder with the weights of a small random model, and that model as a file. Rows of queries and keys lie as transformers has them. */
async function modelFolder(): Promise<{ path: string; file: string; size: number }> {
  const shape = shapeOf({});
  const file = join(folder, "original.gguf");
  await writeModelFile(file, modelContent({}));
  const gguf = await openModelFile(file);
  const tensors: SafetensorsEntry[] = [];
  for (const t of gguf.tensors.values()) {
    const [, block, stem] = /^(?:blk\.(\d+)\.)?(.*)\.weight$/.exec(t.name) ?? [];
    let data = (await gguf.parts[0].read(t.offset, t.bytes)).slice();
    if (stem === "attn_q" || stem === "attn_k") {
      const row = t.bytes / t.shape[1];
      const [old, half] = [data, shape.headDim / 2];
      data = new Uint8Array(t.bytes);
      for (let r = 0; r < t.shape[1]; r++) {
        const within = r % shape.headDim;
        const from = r - within + (within < half ? 2 * within : 2 * (within - half) + 1);
        data.set(old.subarray(from * row, (from + 1) * row), r * row);
      }
    }
    const name = block === undefined ? names[stem] : `model.layers.${block}.${names[stem]}`;
    tensors.push({ name: `${name}.weight`, dtype: "F32", shape: [...t.shape].reverse(), data });
  }
  await closeGguf(gguf);
  const path = join(folder, "checkpoint");
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "model.safetensors"), await safetensorsBytes({ tensors }));
  writeFileSync(join(path, "tokenizer.json"), JSON.stringify(byteTokenizer(shape.vocabulary)));
  const config = {
    architectures: ["LlamaForCausalLM"],
    vocab_size: shape.vocabulary,
    hidden_size: shape.dim,
    intermediate_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    max_position_embeddings: shape.context,
    rms_norm_eps: 1e-5,
    rope_theta: shape.base,
  };
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  return { path, file, size: tensors.length };
}

const model = modelFolder();

/** The folder as a file. */
async function written(path: string): Promise<string> {
  const out = join(folder, "run.gguf");
  expect((await lathe(["convert", path, out, "--quiet"])).code).toBe(0);
  return out;
}

describe("lathe convert", () => {
  it("writes a file with the same tensors, which inspect knew before", async () => {
    const { path, file, size } = await model;
    const out = join(folder, "converted.gguf");
    const seen = await latheJson(["inspect", path]);
    const said = await latheJson(["convert", path, out]);
    expect(said).toMatchObject({ path: out, architecture: "llama", tensors: size, types: ["F32"], leftOut: [] });
    const [made, original] = [await openModelFile(out), await openModelFile(file)];
    expect([...made.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    for (const t of original.tensors.values()) {
      const copy = made.tensors.get(t.name);
      expect(copy?.shape).toEqual(t.shape);
      const [a, b] = [await made.parts[0].read(copy?.offset ?? 0, t.bytes), await original.parts[0].read(t.offset, t.bytes)];
      expect(Buffer.compare(a, b), t.name).toBe(0);
    }
    expect(contentOf(made).tensors?.length).toBe(size);
    await Promise.all([closeGguf(made), closeGguf(original)]);
    const after = await latheJson(["inspect", out]);
    for (const key of ["architecture", "parameters", "shape", "supported", "types", "vocabulary"])
      expect(after[key], key).toEqual(seen[key]);
    expect(after).toMatchObject({ supported: true });
  });

  it("says what it did, and stores other types", async () => {
    const { path } = await model;
    const { code, stdout } = await lathe(["convert", path, join(folder, "half.gguf"), "--type", "f16", "--name", "small"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/half\.gguf: llama, \d+ tensors, .* of F16, F32|F32, F16/) });
    expect(await latheJson(["inspect", join(folder, "half.gguf")])).toMatchObject({ name: "small", types: { F16: expect.any(Object) } });
  });

  it("fails in one line and leaves nothing behind", async () => {
    const { path } = await model;
    const broken = join(folder, "broken");
    mkdirSync(broken);
    for (const name of readdirSync(path)) writeFileSync(join(broken, name), readFileSync(join(path, name)));
    writeFileSync(join(broken, "model.safetensors"), readFileSync(join(path, "model.safetensors")).subarray(0, 5000));
    const before = readdirSync(folder).sort();
    for (const [args, wanted] of [
      [[broken, join(folder, "x.gguf")], /\(safetensors\.truncated\)/],
      [[join(folder, "nothing"), join(folder, "x.gguf")], /\(file\.not-found\)/],
      [[path, join(folder, "no", "x.gguf")], /\(file\.write-failed\)/],
      [[path, join(folder, "x.gguf"), "--type", "q4"], /\(option\.invalid\)/],
      [[path], /missing required argument 'output'/i],
    ] as const) {
      const { code, stdout, stderr } = await lathe(["convert", ...args]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect(stderr).toMatch(wanted);
    }
    expect(readdirSync(folder).sort()).toEqual(before);
  });

  it("is not needed to run a folder, nor to see its tokens", async () => {
    const { path } = await model;
    const file = await written(path);
    const text = "abc";
    const answer = (model: string): ReturnType<typeof lathe> =>
      lathe(["run", model, text, "--max-tokens", "4", "--temperature", "0", "--threads", "1", "--quiet"]);
    const [own, converted] = [await answer(path), await answer(file)];
    expect({ code: own.code, stderr: own.stderr }).toEqual({ code: 0, stderr: "" });
    expect(own.stdout).toBe(converted.stdout);
    const tokens = await latheJson(["tokenize", path, "--text", text]);
    expect(tokens).toEqual(await latheJson(["tokenize", file, "--text", text]));
    expect(tokens).toMatchObject({ ids: [97, 98, 99] });
    expect(await latheJson(["tokenize", join(path, "tokenizer.json"), "--text", text])).toMatchObject({ ids: [97, 98, 99] });
  });
});
