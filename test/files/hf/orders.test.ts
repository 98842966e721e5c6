/**
 * Families without a stored model: tensors whose values say where they lie in the checkpoint are converted, and must lie where the makers'
 * code, read the other way round, puts them.
 */
import { describe, expect, it } from "vitest";
import type { SafetensorsEntry } from "../../../src/files/safetensors-write.ts";
import { type Converted, converted, modelFiles } from "./memory-folder.ts";

/** A tensor whose values count from 0. */
const counted = (name: string, ...shape: number[]): SafetensorsEntry => {
  const count = shape.reduce((a, b) => a * b, 1);
  return { name, dtype: "F32", shape, data: new Uint8Array(Float32Array.from({ length: count }, (_, i) => i).buffer) };
};
const values = (out: Converted, name: string): number[] => [...new Float32Array(out.tensor(name).bytes.buffer)];
/** Rows of a counted matrix, by the first value of each. */
const rows = (out: Converted, name: string): number[] => {
  const [width] = out.tensor(name).shape;
  return values(out, name)
    .filter((_, i) => i % width === 0)
    .map(first => first / width);
};
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const width = 8;
const base = {
  torch_dtype: "float32",
  vocab_size: 4,
  hidden_size: width,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 6,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-6,
};
const convert = async (
  architecture: string,
  config: object,
  tensors: readonly SafetensorsEntry[],
  embedding = "model.embed_tokens.weight",
): Promise<Converted> =>
  converted(await modelFiles({ ...base, architectures: [architecture], ...config }, [counted(embedding, 4, width), ...tensors], 4));

describe("gated delta nets", () => {
  const [keyHeads, valueHeads, keyLength, valueLength] = [2, 6, 3, 4];
  const config = {
    linear_num_key_heads: keyHeads,
    linear_num_value_heads: valueHeads,
    linear_key_head_dim: keyLength,
    linear_value_head_dim: valueLength,
    linear_conv_kernel_dim: 4,
    num_experts: 2,
    num_experts_per_tok: 1,
  };
  const layer = "model.layers.0.linear_attn";
  /** Value head h of the checkpoint belongs to key head floor(h / 3); in GGUF value head h uses key head h mod 2. */
  const tiled = range(valueHeads).sort((a, b) => (a % 3) - (b % 3) || a - b);
  const heads = (length: number): number[] => tiled.flatMap(h => range(length).map(i => h * length + i));
  const fixed = 2 * keyHeads * keyLength;

  it("of Qwen 3.5 have their value heads in turns of the key heads", async () => {
    const total = fixed + valueHeads * valueLength;
    const out = await convert("Qwen3_5ForConditionalGeneration", { text_config: config, vision_config: {} }, [
      counted("model.language_model.layers.0.linear_attn.in_proj_qkv.weight", total, width),
      counted(`${layer}.in_proj_z.weight`, valueHeads * valueLength, width),
      counted(`${layer}.in_proj_a.weight`, valueHeads, width),
      counted(`${layer}.in_proj_b.weight`, valueHeads, width),
      counted(`${layer}.conv1d.weight`, total, 1, 4),
      counted(`${layer}.A_log`, valueHeads),
      counted(`${layer}.dt_bias`, valueHeads),
      counted(`${layer}.norm.weight`, valueLength),
      counted(`${layer}.out_proj.weight`, width, valueHeads * valueLength),
      counted("model.layers.0.input_layernorm.weight", width),
      counted("mtp.layers.0.input_layernorm.weight", width),
      counted("model.visual.merger.norm.weight", width),
    ]);
    const qkv = [...range(fixed), ...heads(valueLength).map(i => fixed + i)];
    expect(tiled).toEqual([0, 3, 1, 4, 2, 5]);
    expect(rows(out, "blk.0.attn_qkv.weight")).toEqual(qkv);
    expect(rows(out, "blk.0.attn_gate.weight")).toEqual(heads(valueLength));
    expect(rows(out, "blk.0.ssm_alpha.weight")).toEqual(tiled);
    expect(rows(out, "blk.0.ssm_beta.weight")).toEqual(tiled);
    expect(out.tensor("blk.0.ssm_conv1d.weight").shape).toEqual([4, total]);
    expect(rows(out, "blk.0.ssm_conv1d.weight")).toEqual(qkv);
    expect(values(out, "blk.0.ssm_a")).toEqual(tiled.map(h => Math.fround(-Math.exp(h))));
    expect(values(out, "blk.0.ssm_dt.bias")).toEqual(tiled);
    expect(values(out, "blk.0.ssm_norm.weight")).toEqual(range(valueLength));
    expect(values(out, "blk.0.attn_norm.weight")).toEqual(range(width).map(x => x + 1));
    expect(values(out, "blk.0.ssm_out.weight").slice(0, valueHeads * valueLength)).toEqual(heads(valueLength));
    expect(out.conversion.leftOut).toEqual(["model.visual.merger.norm.weight"]);
    expect(
      [...out.metadata].filter(([k]) => /ssm|sections|dimension_count/.test(k)).map(([k, v]) => [k.replace("qwen35.", ""), v]),
    ).toEqual(
      [
        ["ssm.conv_kernel", 4],
        ["ssm.state_size", keyLength],
        ["ssm.group_count", keyHeads],
        ["ssm.time_step_rank", valueHeads],
        ["ssm.inner_size", valueHeads * valueLength],
        ["rope.dimension_count", 1],
        ["rope.dimension_sections", { of: "i32", items: Int32Array.of(11, 11, 10, 0) }],
      ].sort((a, b) => [...out.metadata.keys()].indexOf(`qwen35.${a[0]}`) - [...out.metadata.keys()].indexOf(`qwen35.${b[0]}`)),
    );
  });

  it("of Qwen3-Next have the parts of each key head taken apart", async () => {
    const each = valueHeads / keyHeads;
    const labels: [kind: string, at: number][] = [];
    for (let k = 0; k < keyHeads; k++) {
      for (const [kind, n] of [
        ["q", keyLength],
        ["k", keyLength],
        ["v", each * valueLength],
        ["z", each * valueLength],
      ] as const)
        for (let i = 0; i < n; i++) labels.push([kind, k * n + i]);
    }
    const out = await convert("Qwen3NextForCausalLM", config, [
      counted(`${layer}.in_proj_qkvz.weight`, labels.length, width),
      counted(`${layer}.in_proj_ba.weight`, 2 * valueHeads, width),
    ]);
    const place = (kind: string): number[] =>
      labels
        .flatMap(([k, at], row) => (k === kind ? [[at, row]] : []))
        .sort((a, b) => a[0] - b[0])
        .map(([, row]) => row);
    expect(rows(out, "blk.0.attn_qkv.weight")).toEqual([...place("q"), ...place("k"), ...place("v")]);
    expect(rows(out, "blk.0.attn_gate.weight")).toEqual(place("z"));
    expect(rows(out, "blk.0.ssm_ba.weight")).toEqual(range(2 * valueHeads));
  });
});

describe("experts", () => {
  it("of Mixtral are stacked by their numbers", async () => {
    const expert = (e: number, w: string, ...shape: number[]): SafetensorsEntry =>
      counted(`model.layers.0.block_sparse_moe.experts.${e}.${w}.weight`, ...shape);
    const out = await convert("MixtralForCausalLM", { num_local_experts: 2, num_experts_per_tok: 1 }, [
      counted("model.layers.0.block_sparse_moe.gate.weight", 2, width),
      ...[1, 0].flatMap(e => [expert(e, "w1", 3, width), expert(e, "w2", width, 3), expert(e, "w3", 3, width)]),
    ]);
    expect(out.tensor("blk.0.ffn_gate_exps.weight").shape).toEqual([width, 3, 2]);
    expect(out.tensor("blk.0.ffn_down_exps.weight").shape).toEqual([3, width, 2]);
    expect(values(out, "blk.0.ffn_up_exps.weight")).toEqual([...range(3 * width), ...range(3 * width)]);
    expect(out.metadata.get("llama.expert_count")).toBe(2);
  });

  it("of Granite come in one tensor, the gate first", async () => {
    const out = await convert(
      "GraniteMoeSharedForCausalLM",
      { num_local_experts: 2, num_experts_per_tok: 1, shared_intermediate_size: 2 },
      [
        counted("model.layers.0.block_sparse_moe.input_linear.weight", 2, 6, width),
        counted("model.layers.0.block_sparse_moe.output_linear.weight", 2, width, 3),
        counted("model.layers.0.block_sparse_moe.router.layer.weight", 2, width),
        counted("model.layers.0.shared_mlp.input_linear.weight", 4, width),
        counted("model.layers.0.shared_mlp.output_linear.weight", width, 2),
      ],
    );
    expect(rows(out, "blk.0.ffn_gate_exps.weight")).toEqual([0, 1, 2, 6, 7, 8]);
    expect(rows(out, "blk.0.ffn_up_exps.weight")).toEqual([3, 4, 5, 9, 10, 11]);
    expect(rows(out, "blk.0.ffn_gate_shexp.weight")).toEqual([0, 1]);
    expect(rows(out, "blk.0.ffn_up_shexp.weight")).toEqual([2, 3]);
    expect(out.tensor("blk.0.ffn_down_shexp.weight").shape).toEqual([2, width]);
  });
});

describe("further forms", () => {
  it("positions of RoBERTa begin behind the padding", async () => {
    const config = { layer_norm_eps: 1e-5, max_position_embeddings: 6, pad_token_id: 1 };
    const out = await convert(
      "XLMRobertaModel",
      config,
      [counted("roberta.embeddings.position_embeddings.weight", 6, width)],
      "roberta.embeddings.word_embeddings.weight",
    );
    expect(rows(out, "position_embd.weight")).toEqual([2, 3, 4, 5]);
    expect(out.metadata.get("bert.context_length")).toBe(4);
  });

  it("convolutions of LFM2 lose their empty dimension, and layers without attention have no heads", async () => {
    const config = {
      num_hidden_layers: 2,
      layer_types: ["conv", "full_attention"],
      conv_L_cache: 3,
      norm_eps: 1e-5,
      block_ff_dim: 12,
      block_auto_adjust_ff_dim: true,
      block_multiple_of: 8,
      block_ffn_dim_multiplier: 1,
    };
    const out = await convert("Lfm2ForCausalLM", config, [
      counted("model.layers.0.conv.conv.weight", width, 1, 3),
      counted("model.embedding_norm.weight", width),
    ]);
    expect(out.tensor("blk.0.shortconv.conv.weight")).toMatchObject({ type: "F32", shape: [3, width] });
    expect(out.metadata.get("lfm2.attention.head_count_kv")).toEqual({ of: "i32", items: Int32Array.of(0, 1) });
    // Two thirds of 12, up to a multiple of 8.
    expect(out.metadata.get("lfm2.feed_forward_length")).toBe(8);
  });

  it("norms of StableLM's heads are stacked", async () => {
    const norm = (h: number): SafetensorsEntry => counted(`model.layers.0.self_attn.q_layernorm.norms.${h}.weight`, 4);
    const out = await convert("StableLmForCausalLM", { layer_norm_eps: 1e-5 }, [norm(0), norm(1)]);
    expect(out.tensor("blk.0.attn_q_norm.weight")).toMatchObject({ type: "F32", shape: [4, 2] });
  });

  it("layers without rotary positions must be the usual ones", async () => {
    const config = { num_hidden_layers: 4, no_rope_layers: [1, 1, 1, 0] };
    expect((await convert("SmolLM3ForCausalLM", config, [])).metadata.get("general.architecture")).toBe("smollm3");
    await expect(convert("SmolLM3ForCausalLM", { ...config, no_rope_layers: [1, 1, 0, 1] }, [])).rejects.toMatchObject({
      code: "model.unsupported-arch",
    });
  });

  it("Mistral 3 is told apart by its kind, windows by their layers", async () => {
    expect(
      (await convert("Mistral3ForConditionalGeneration", { text_config: { model_type: "mistral" } }, [])).conversion.architecture,
    ).toBe("llama");
    const ministral = { text_config: { model_type: "ministral3" } };
    expect((await convert("Mistral3ForConditionalGeneration", ministral, [])).conversion.architecture).toBe("mistral3");
    const olmo = await convert(
      "Olmo3ForCausalLM",
      { num_hidden_layers: 2, sliding_window: 4, layer_types: ["sliding_attention", "full_attention"] },
      [],
    );
    expect(olmo.metadata.get("olmo2.attention.sliding_window_pattern")).toEqual({ of: "bool", items: Uint8Array.of(1, 0) });
  });
});
