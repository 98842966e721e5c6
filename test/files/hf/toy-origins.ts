/** Where toys of families without a stored model would come from: as origins.ts, of test/models/toys.ts. */
import { type Meta, type Origin, unstack, unturn } from "./checkpoints.ts";
import { by, decoder, partial, window } from "./origins.ts";

export interface ToyOrigin extends Origin {
  /** `file` is the architecture; this is the toy of it. */
  readonly variation: string;
}

const gptj = by(
  "transformer.h",
  {
    attn_norm: "ln_1",
    attn_q: "attn.q_proj",
    attn_k: "attn.k_proj",
    attn_v: "attn.v_proj",
    attn_output: "attn.out_proj",
    ffn_up: "mlp.fc_in",
    ffn_down: "mlp.fc_out",
  },
  { token_embd: "transformer.wte", output_norm: "transformer.ln_f", output: "lm_head" },
);
const bitnet = decoder({ attn_sub_norm: "self_attn.attn_sub_norm", ffn_sub_norm: "mlp.ffn_sub_norm" });
const nomic = by(
  "encoder.layers",
  {
    attn_qkv: "attn.Wqkv",
    attn_output: "attn.out_proj",
    attn_output_norm: "norm1",
    ffn_up: "mlp.fc11",
    ffn_gate: "mlp.fc12",
    ffn_down: "mlp.fc2",
    layer_output_norm: "norm2",
  },
  { token_embd: "embeddings.word_embeddings", token_types: "embeddings.token_type_embeddings", token_embd_norm: "emb_ln" },
);
const modern = by(
  "layers",
  {
    attn_norm: "attn_norm",
    attn_qkv: "attn.Wqkv",
    attn_output: "attn.Wo",
    ffn_norm: "mlp_norm",
    ffn_up: "mlp.Wi",
    ffn_down: "mlp.Wo",
  },
  { token_embd: "embeddings.tok_embeddings", token_embd_norm: "embeddings.norm", output_norm: "final_norm" },
);
const scaled = (m: Meta): object => ({ logit_scale: m("logit_scale") });

export const toyOrigins: readonly ToyOrigin[] = [
  {
    file: "gptj",
    variation: "plain",
    architecture: "GPTJForCausalLM",
    name: gptj,
    config: m => ({ rotary_dim: m("rope.dimension_count"), n_inner: m("feed_forward_length") }),
  },
  {
    file: "starcoder2",
    variation: "plain",
    architecture: "Starcoder2ForCausalLM",
    name: decoder({ ffn_up: "mlp.c_fc", ffn_down: "mlp.c_proj" }),
  },
  { file: "command-r", variation: "plain", architecture: "CohereForCausalLM", name: decoder(), config: scaled },
  {
    file: "cohere2",
    variation: "biases",
    architecture: "Cohere2ForCausalLM",
    name: decoder(),
    config: m => ({ ...scaled(m), ...window(m) }),
  },
  { file: "smollm3", variation: "tied", architecture: "SmolLM3ForCausalLM", name: decoder(), undo: unturn },
  { file: "bitnet-b1.58", variation: "untied", architecture: "BitNetForCausalLM", name: bitnet },
  {
    file: "stablelm",
    variation: "small",
    architecture: "StableLmForCausalLM",
    name: decoder(),
    config: partial,
    besides: ["use_parallel_residual"],
  },
  {
    file: "qwen2moe",
    variation: "shared",
    architecture: "Qwen2MoeForCausalLM",
    name: decoder({
      ffn_gate_shexp: "mlp.shared_expert.gate_proj",
      ffn_up_shexp: "mlp.shared_expert.up_proj",
      ffn_down_shexp: "mlp.shared_expert.down_proj",
      ffn_gate_inp_shexp: "mlp.shared_expert_gate",
    }),
    undo: unstack,
    config: m => ({ shared_expert_intermediate_size: m("expert_shared_feed_forward_length") }),
  },
  {
    file: "nomic-bert",
    variation: "mean",
    architecture: "NomicBertModel",
    name: nomic,
    config: m => ({ rotary_emb_base: m("rope.freq_base") }),
    without: ["pooling_type"],
  },
  {
    file: "modern-bert",
    variation: "mean",
    architecture: "ModernBertModel",
    name: modern,
    config: m => ({
      ...{ norm_eps: m("attention.layer_norm_epsilon"), local_attention: m("attention.sliding_window") },
      ...{ global_rope_theta: m("rope.freq_base"), local_rope_theta: m("rope.freq_base_swa"), global_attn_every_n_layers: 3 },
    }),
    without: ["pooling_type"],
    besides: ["attention.sliding_window_pattern"],
  },
];
