/** Where the stored models would come from: names and configuration of their checkpoints, family by family. */
import {
  type Checkpoint,
  flip,
  fuse,
  type Meta,
  minusOne,
  nearOne,
  type Origin,
  type Plain,
  rows,
  transposedPlain,
  unstack,
  unturn,
} from "./checkpoints.ts";

type Table = Readonly<Record<string, string>>;

/** GGUF name to checkpoint name; an expert's number goes where `*` stands. */
export const by =
  (layers: string, table: Table, globals: Table) =>
  (gguf: string): string | undefined => {
    const found = /^blk\.(\d+)\.([a-z_0-9]+?)(?:\.(\d+))?$/.exec(gguf);
    if (!found) return globals[gguf];
    const own = table[found[2]];
    return own === undefined ? undefined : `${layers}.${found[1]}.${own.replace("*", found[3] ?? "*")}`;
  };

const globals: Table = { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" };
const attention: Table = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
};
const dense: Table = { ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" };
const moe: Table = {
  ffn_gate_inp: "mlp.gate",
  ffn_gate_exps: "mlp.experts.*.gate_proj",
  ffn_up_exps: "mlp.experts.*.up_proj",
  ffn_down_exps: "mlp.experts.*.down_proj",
  ffn_gate_shexp: "mlp.shared_experts.gate_proj",
  ffn_up_shexp: "mlp.shared_experts.up_proj",
  ffn_down_shexp: "mlp.shared_experts.down_proj",
  exp_probs_b: "mlp.gate.e_score_correction",
};
export const decoder = (more: Table = {}, top: Table = {}) =>
  by("model.layers", { ...attention, ...dense, ...moe, ...more }, { ...globals, ...top });
const post: Table = {
  post_attention_norm: "post_attention_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
};

/** The keys of most configurations; `head_dim` where heads have a length of their own. */
export const usual = (m: Meta): object => ({
  vocab_size: m("vocab_size"),
  max_position_embeddings: m("context_length"),
  hidden_size: m("embedding_length"),
  num_hidden_layers: m("block_count"),
  intermediate_size: m("feed_forward_length"),
  num_attention_heads: m("attention.head_count"),
  num_key_value_heads: m("attention.head_count_kv"),
  rms_norm_eps: m("attention.layer_norm_rms_epsilon"),
  layer_norm_eps: m("attention.layer_norm_epsilon"),
  head_dim: m("attention.key_length"),
  rope_theta: m("rope.freq_base"),
  num_experts: m("expert_count"),
  num_experts_per_tok: m("expert_used_count"),
  moe_intermediate_size: m("expert_feed_forward_length"),
});

const granite = (m: Meta): object => ({
  attention_multiplier: m("attention.scale"),
  embedding_multiplier: m("embedding_scale"),
  residual_multiplier: m("residual_scale"),
  logits_scaling: m("logit_scale"),
});
export const window = (m: Meta): object => ({ sliding_window: m("attention.sliding_window") });
export const partial = (m: Meta): object => ({
  partial_rotary_factor: (m("rope.dimension_count") * m("attention.head_count")) / m("embedding_length"),
});
const yarn = (m: Meta): object => ({
  rope_type: "yarn",
  factor: m("rope.scaling.factor"),
  original_max_position_embeddings: m("rope.scaling.original_context_length"),
});

/** Queries, keys and values of each head (or group of heads) beside each other. */
const interleave =
  (groups: (m: Meta) => [groups: number, queries: number, length: number]) =>
  (tensors: Checkpoint, m: Meta): void => {
    const [count, queries, length] = groups(m);
    const heads = count * queries;
    for (const [name, t] of tensors) {
      if (!/attn_qkv\./.test(name)) continue;
      const place = (row: number): number => {
        const [group, part] = [Math.floor(row / length / (queries + 2)), Math.floor(row / length) % (queries + 2)];
        const head = part < queries ? group * queries + part : part === queries ? heads + group : heads + count + group;
        return head * length + (row % length);
      };
      tensors.set(name, rows(t, place));
    }
  };

/** Attention of DeepSeek: keys turned back, heads one after the other with their keys and values. */
function latent(tensors: Checkpoint, m: Meta): void {
  const heads = m("attention.head_count");
  for (let i = 0; i < m("block_count"); i++) {
    const [k, v] = ["k", "v"].map(x => tensors.get(`blk.${i}.attn_${x}_b.weight`) as Plain);
    const keys = transposedPlain(k);
    const [a, b, rank] = [keys.shape[1], v.shape[1], keys.shape[2]];
    const data = new Float32Array(heads * (a + b) * rank);
    for (let h = 0; h < heads; h++) {
      data.set(keys.data.subarray(h * a * rank, (h + 1) * a * rank), h * (a + b) * rank);
      data.set(v.data.subarray(h * b * rank, (h + 1) * b * rank), (h * (a + b) + a) * rank);
    }
    for (const x of ["k", "v"]) tensors.delete(`blk.${i}.attn_${x}_b.weight`);
    tensors.set(`blk.${i}.attn_kv_b.weight`, { ...k, shape: [heads * (a + b), rank], data });
  }
}

const latentConfig = (m: Meta): object => ({
  kv_lora_rank: m("attention.kv_lora_rank"),
  q_lora_rank: m("attention.q_lora_rank") ?? null,
  qk_rope_head_dim: m("rope.dimension_count"),
  qk_nope_head_dim: m("attention.key_length_mla") - m("rope.dimension_count"),
  v_head_dim: m("attention.value_length_mla"),
  head_dim: undefined,
  n_group: m("expert_group_count"),
  topk_group: m("expert_group_used_count"),
  norm_topk_prob: m("expert_weights_norm"),
  scoring_func: m("expert_gating_func") === 2 ? "sigmoid" : undefined,
  rope_scaling: { ...yarn(m), mscale_all_dim: m("rope.scaling.yarn_log_multiplier") / 0.1 },
  ...shared(m),
});
const shared = (m: Meta): object => ({
  first_k_dense_replace: m("leading_dense_block_count"),
  n_shared_experts: m("expert_shared_count"),
  routed_scaling_factor: m("expert_weights_scale"),
  norm_topk_prob: m("expert_weights_norm"),
  scoring_func: m("expert_gating_func") === 2 ? "sigmoid" : undefined,
});

/** Stacks of gate and up become one tensor. */
const together =
  (inTurn: boolean, suffix: (end: string) => string, turn: boolean) =>
  (tensors: Checkpoint, m: Meta): void => {
    for (let i = 0; i < m("block_count"); i++) {
      for (const end of ["weight", "bias"]) {
        const [gate, up, down] = ["gate", "up", "down"].map(x => tensors.get(`blk.${i}.ffn_${x}_exps.${end}`));
        if (!gate || !up || !down) continue;
        const flat = (t: Plain): Plain => (turn && end === "weight" ? transposedPlain(t) : t);
        for (const x of ["gate", "up", "down"]) tensors.delete(`blk.${i}.ffn_${x}_exps.${end}`);
        tensors.set(`=model.layers.${i}.mlp.experts.gate_up_proj${suffix(end)}`, flat(fuse(gate, up, inTurn)));
        tensors.set(`=model.layers.${i}.mlp.experts.down_proj${suffix(end)}`, flat(down));
      }
    }
  };

const lists =
  (...undos: readonly NonNullable<Origin["undo"]>[]) =>
  (tensors: Checkpoint, m: Meta): void => {
    for (const undo of undos) undo(tensors, m);
  };

const gpt2 = by(
  "transformer.h",
  { attn_norm: "ln_1", attn_qkv: "attn.c_attn", attn_output: "attn.c_proj", ffn_norm: "ln_2", ffn_up: "mlp.c_fc", ffn_down: "mlp.c_proj" },
  { token_embd: "transformer.wte", position_embd: "transformer.wpe", output_norm: "transformer.ln_f", output: "lm_head" },
);
const neox = by(
  "gpt_neox.layers",
  {
    attn_norm: "input_layernorm",
    attn_qkv: "attention.query_key_value",
    attn_output: "attention.dense",
    ffn_norm: "post_attention_layernorm",
    ffn_up: "mlp.dense_h_to_4h",
    ffn_down: "mlp.dense_4h_to_h",
  },
  { token_embd: "gpt_neox.embed_in", output_norm: "gpt_neox.final_layer_norm", output: "embed_out" },
);
const falcon = (norm: string) =>
  by(
    "transformer.h",
    {
      attn_norm: norm,
      attn_norm_2: "ln_attn",
      attn_qkv: "self_attention.query_key_value",
      attn_output: "self_attention.dense",
      ffn_up: "mlp.dense_h_to_4h",
      ffn_down: "mlp.dense_4h_to_h",
    },
    { token_embd: "transformer.word_embeddings", output_norm: "transformer.ln_f", output: "lm_head" },
  );
const bert = by(
  "encoder.layer",
  {
    attn_q: "attention.self.query",
    attn_k: "attention.self.key",
    attn_v: "attention.self.value",
    attn_output: "attention.output.dense",
    attn_output_norm: "attention.output.LayerNorm",
    ffn_up: "intermediate.dense",
    ffn_down: "output.dense",
    layer_output_norm: "output.LayerNorm",
  },
  {
    token_embd: "embeddings.word_embeddings",
    position_embd: "embeddings.position_embeddings",
    token_types: "embeddings.token_type_embeddings",
    token_embd_norm: "embeddings.LayerNorm",
  },
);

const headOf = (m: Meta): number => m("embedding_length") / m("attention.head_count");
const fourth = (m: Meta): object => ({ original_max_position_embeddings: m("rope.scaling.original_context_length") });
const factors = (m: Meta, tensors: Checkpoint): object => {
  const list = (which: string): number[] => Array.from(tensors.get(`rope_factors_${which}.weight`)?.data ?? []);
  return { rope_scaling: { type: "longrope", long_factor: list("long"), short_factor: list("short") }, ...fourth(m) };
};
/** Factors of rotary positions stand in the configuration. */
const withoutFactors = (tensors: Checkpoint): void => {
  for (const name of [...tensors.keys()]) if (name.startsWith("rope_")) tensors.delete(name);
};

export const origins: readonly Origin[] = [
  { file: "llama", architecture: "LlamaForCausalLM", name: decoder(), undo: unturn },
  { file: "llama-mha-tied", architecture: "LlamaForCausalLM", name: decoder(), undo: unturn },
  {
    file: "llama-linear",
    architecture: "MistralForCausalLM",
    name: decoder(),
    undo: unturn,
    config: m => ({ rope_scaling: { type: "linear", factor: m("rope.scaling.factor") } }),
  },
  {
    file: "llama-yarn",
    architecture: "LlamaForCausalLM",
    name: decoder(),
    undo: unturn,
    config: m => ({ rope_theta: undefined, rope_parameters: { ...yarn(m), rope_theta: m("rope.freq_base") } }),
  },
  { file: "arcee", architecture: "ArceeForCausalLM", name: decoder(), undo: unturn },
  { file: "xverse", architecture: "XverseForCausalLM", name: decoder(), undo: unturn },
  { file: "ernie4_5", architecture: "Ernie4_5ForCausalLM", name: decoder(), undo: unturn },
  { file: "granite", architecture: "GraniteForCausalLM", name: decoder(), undo: unturn, config: granite },
  {
    file: "minicpm",
    architecture: "MiniCPMForCausalLM",
    name: decoder(),
    undo: unturn,
    config: m => ({
      scale_emb: m("embedding_scale"),
      scale_depth: m("residual_scale") * Math.sqrt(m("block_count")),
      dim_model_base: m("embedding_length") / m("logit_scale"),
    }),
  },
  {
    file: "mistral3",
    architecture: "Ministral3ForCausalLM",
    name: decoder(),
    undo: unturn,
    config: m => ({
      model_type: "ministral3",
      rope_theta: undefined,
      rope_parameters: {
        ...yarn(m),
        rope_theta: m("rope.freq_base"),
        beta_fast: m("rope.scaling.yarn_beta_fast"),
        beta_slow: m("rope.scaling.yarn_beta_slow"),
        mscale_all_dim: m("rope.scaling.yarn_log_multiplier"),
        llama_4_scaling_beta: m("attention.temperature_scale"),
      },
    }),
  },
  { file: "seed_oss", architecture: "SeedOssForCausalLM", name: decoder({ post_attention_norm: "post_attention_layernorm" }) },
  { file: "olmo", architecture: "OlmoForCausalLM", name: decoder(), undo: unturn, config: m => ({ clip_qkv: m("attention.clamp_kqv") }) },
  { file: "olmo2", architecture: "Olmo2ForCausalLM", name: decoder(post) },
  { file: "olmoe", architecture: "OlmoeForCausalLM", name: decoder(), undo: unstack },
  { file: "exaone4", architecture: "Exaone4ForCausalLM", name: decoder(post) },
  { file: "qwen2", architecture: "Qwen2ForCausalLM", name: decoder() },
  { file: "qwen3", architecture: "Qwen3ForCausalLM", name: decoder() },
  { file: "qwen3moe", architecture: "Qwen3MoeForCausalLM", name: decoder(), undo: unstack },
  {
    file: "qwen3vl",
    architecture: "Qwen3VLForConditionalGeneration",
    name: gguf => decoder()(gguf)?.replace(/^model\./, "model.language_model."),
    config: () => ({ rope_scaling: { rope_type: "default", mrope_section: [4, 4, 4] }, vision_config: { deepstack_visual_indexes: [] } }),
  },
  {
    file: "qwen3vlmoe",
    architecture: "Qwen3VLMoeForConditionalGeneration",
    name: decoder(),
    undo: together(false, () => "", true),
    config: () => ({ rope_scaling: { rope_type: "default", mrope_section: [4, 4, 4] }, vision_config: { deepstack_visual_indexes: [] } }),
  },
  { file: "gemma", architecture: "GemmaForCausalLM", name: decoder(), given: nearOne, undo: minusOne },
  {
    file: "gemma2",
    architecture: "Gemma2ForCausalLM",
    name: decoder(post),
    given: nearOne,
    undo: minusOne,
    config: m => ({
      ...window(m),
      attn_logit_softcapping: m("attn_logit_softcapping"),
      final_logit_softcapping: m("final_logit_softcapping"),
    }),
  },
  {
    file: "gemma3",
    architecture: "Gemma3ForCausalLM",
    name: decoder(post),
    given: nearOne,
    undo: minusOne,
    config: m => ({ ...window(m), rope_scaling: { rope_type: "linear", factor: m("rope.scaling.factor") } }),
  },
  {
    file: "deepseek2",
    architecture: "DeepseekV3ForCausalLM",
    name: decoder({
      attn_q_a: "self_attn.q_a_proj",
      attn_q_a_norm: "self_attn.q_a_layernorm",
      attn_q_b: "self_attn.q_b_proj",
      attn_kv_a_mqa: "self_attn.kv_a_proj_with_mqa",
      attn_kv_a_norm: "self_attn.kv_a_layernorm",
      attn_kv_b: "self_attn.kv_b_proj",
    }),
    undo: lists(latent, unstack),
    config: latentConfig,
  },
  {
    file: "deepseek2-lite",
    architecture: "DeepseekV2ForCausalLM",
    name: decoder({
      attn_kv_a_mqa: "self_attn.kv_a_proj_with_mqa",
      attn_kv_a_norm: "self_attn.kv_a_layernorm",
      attn_kv_b: "self_attn.kv_b_proj",
    }),
    undo: lists(latent, unstack),
    config: latentConfig,
  },
  { file: "deepseek", architecture: "DeepseekForCausalLM", name: decoder(), undo: lists(unturn, unstack), config: shared },
  { file: "dots1", architecture: "Dots1ForCausalLM", name: decoder(), undo: unstack, config: shared },
  {
    file: "gpt-oss",
    architecture: "GptOssForCausalLM",
    name: decoder({ post_attention_norm: "post_attention_layernorm", ffn_gate_inp: "mlp.router", attn_sinks: "self_attn.sinks" }),
    undo: together(true, end => (end === "bias" ? "_bias" : ""), true),
    config: m => ({
      ...window(m),
      intermediate_size: m("expert_feed_forward_length"),
      moe_intermediate_size: undefined,
      rope_scaling: yarn(m),
    }),
    // The checkpoint says one width, that of the experts.
    without: ["feed_forward_length"],
  },
  {
    file: "gpt2",
    architecture: "GPT2LMHeadModel",
    name: gpt2,
    undo: flip(/(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/),
    config: m => ({ n_inner: m("feed_forward_length") }),
  },
  ...["gptneox", "gptneox-seq"].map(
    (file): Origin => ({
      file,
      architecture: "GPTNeoXForCausalLM",
      name: neox,
      undo: interleave(m => [m("attention.head_count"), 1, headOf(m)]),
      config: m => ({ ...partial(m), use_parallel_residual: m("use_parallel_residual") }),
    }),
  ),
  {
    file: "falcon",
    architecture: "FalconForCausalLM",
    name: falcon("input_layernorm"),
    undo: interleave(m => [1, m("attention.head_count"), headOf(m)]),
    config: m => ({ ffn_hidden_size: m("feed_forward_length"), multi_query: true }),
  },
  {
    file: "falcon-40b",
    architecture: "FalconForCausalLM",
    name: falcon("ln_mlp"),
    undo: interleave(m => [m("attention.head_count_kv"), m("attention.head_count") / m("attention.head_count_kv"), headOf(m)]),
    config: m => ({
      ffn_hidden_size: m("feed_forward_length"),
      new_decoder_architecture: true,
      num_kv_heads: m("attention.head_count_kv"),
    }),
  },
  { file: "stablelm", architecture: "StableLmForCausalLM", name: decoder(), config: partial, besides: ["use_parallel_residual"] },
  {
    file: "phi3",
    architecture: "Phi3ForCausalLM",
    name: decoder({ attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" }),
    config: fourth,
    without: ["rope.scaling.attn_factor"],
    besides: ["attention.sliding_window"],
  },
  {
    file: "phi3-short",
    architecture: "Phi3ForCausalLM",
    name: decoder({ attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" }),
    undo: withoutFactors,
    config: factors,
    without: ["rope.scaling.attn_factor"],
    besides: ["attention.sliding_window"],
  },
  {
    file: "phimoe",
    architecture: "PhiMoEForCausalLM",
    name: decoder(),
    undo: lists(withoutFactors, unstack),
    config: factors,
    without: ["rope.scaling.attn_factor"],
    besides: ["attention.sliding_window"],
  },
  {
    file: "llama3-freqs",
    architecture: "LlamaForCausalLM",
    name: decoder(),
    undo: lists(unturn, withoutFactors),
    config: () => ({
      rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 },
    }),
    near: ["rope_freqs.weight"],
  },
  {
    file: "bitnet",
    architecture: "BitnetForCausalLM",
    name: decoder({ attn_sub_norm: "self_attn.inner_attn_ln", ffn_sub_norm: "mlp.ffn_layernorm" }),
  },
  { file: "nemotron", architecture: "NemotronForCausalLM", name: decoder(), given: nearOne, undo: minusOne, config: partial },
  {
    file: "glm4",
    architecture: "Glm4ForCausalLM",
    name: decoder({
      post_attention_norm: "post_self_attn_layernorm",
      ffn_norm: "post_attention_layernorm",
      post_ffw_norm: "post_mlp_layernorm",
      ffn_up: "mlp.gate_up_proj",
    }),
    config: partial,
  },
  { file: "bert", architecture: "BertModel", name: bert, without: ["pooling_type"] },
];
