/**
 * Large mixtures of experts with parts of their own: DeepSeek 2 and 3 (latent attention) and its kin, gpt-oss, GLM-4.5.
 *
 * Source: transformers `models/<family>`, llama.cpp `conversion/deepseek.py`, `gpt_oss.py`, `glm.py`.
 */
import { unsupported } from "../config.ts";
import { type Family, type Repair, splitStack, turnPairs } from "../family.ts";
import * as keys from "../keys.ts";
import { gathered, type LazyTensor, rowOf, transposed } from "../lazy.ts";
import { apart, decoderNames, fusedExperts, ropeFactors } from "./llama.ts";

const latentNames = decoderNames({
  post_attention_layernorm: "ffn_norm",
  "self_attn.q_a_proj": "attn_q_a",
  "self_attn.q_a_layernorm": "attn_q_a_norm",
  "self_attn.q_b_proj": "attn_q_b",
  "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
  "self_attn.kv_a_layernorm": "attn_kv_a_norm",
  "self_attn.kv_b_proj": "attn_kv_b",
});

/** What makes keys and values out of the latent vector: for each head its keys, turned, and its values. */
const absorbed: Repair = (tensor, { config }) => {
  const heads = keys.headsOf(config);
  const [key, value] = [config.size("qk_nope_head_dim"), config.size("v_head_dim")];
  const width = rowOf(tensor);
  if (tensor.shape[0] !== heads * (key + value))
    throw unsupported("The model's latent attention has heads of unequal sizes", { shape: tensor.shape });
  const part = (start: number, length: number): LazyTensor =>
    gathered(tensor, [heads, length, width], width, i => Math.floor(i / length) * (key + value) + start + (i % length));
  const keysOf = part(0, key);
  // Turning values needs them apart: blocks of quantised types hold them together.
  return { attn_k_b: transposed(keysOf), attn_v_b: part(key, value) };
};

const latentKeys: keys.Keys = config => {
  const [nope, turning] = [config.size("qk_nope_head_dim"), config.size("qk_rope_head_dim")];
  const rank = config.size("kv_lora_rank", 512);
  const u32 = (key: string, value: number): keys.Pair => [key, keys.typed("u32", value)];
  const mscale = "rope_scaling.mscale_all_dim | rope_parameters.mscale_all_dim";
  return [
    u32("attention.head_count_kv", 1),
    u32("rope.dimension_count", turning),
    ...keys.f32("rope.freq_base", keys.THETA, 10000)(config),
    ...keys.scaledRope(config),
    ...(config.has(mscale) ? [["rope.scaling.yarn_log_multiplier", keys.typed("f32", 0.1 * config.number(mscale))] as const] : []),
    ...keys.u32("attention.q_lora_rank", "q_lora_rank", "omit")(config),
    u32("attention.kv_lora_rank", rank),
    u32("attention.key_length", rank + turning),
    u32("attention.value_length", rank),
    u32("attention.key_length_mla", nope + turning),
    ...keys.u32("attention.value_length_mla", "v_head_dim")(config),
    ...sharedKeys(config),
  ];
};

const sharedKeys: keys.Keys = config => [
  ...keys.u32("leading_dense_block_count", "first_k_dense_replace", 0)(config),
  ...keys.u32("expert_shared_count", "n_shared_experts", 0)(config),
  ...keys.flag("expert_weights_norm", "norm_topk_prob")(config),
];

/** The gate's and the opened outputs alternate. */
const alternating =
  (turn: boolean): Repair =>
  (tensor, { end }) => {
    const [gate, up] = splitStack(turn && end === "weight" ? transposed(tensor) : tensor, true);
    return { ffn_gate_exps: gate, ffn_up_exps: up };
  };

/** Experts that are not quantised are stored as [experts, inputs, outputs]. */
const isPlain = (tensor: LazyTensor): boolean => tensor.type.blockLength === 1;

const gptOss: Family = {
  from: ["GptOssForCausalLM"],
  to: "gpt-oss",
  names: decoderNames({
    post_attention_layernorm: "post_attention_norm",
    "self_attn.sinks": "attn_sinks.weight",
    "mlp.router": "ffn_gate_inp",
    "mlp.experts.gate_up_proj": "ffn_gate_up_exps.weight",
    "mlp.experts.gate_up_proj_bias": "ffn_gate_up_exps.bias",
    "mlp.experts.down_proj": "ffn_down_exps.weight",
    "mlp.experts.down_proj_bias": "ffn_down_exps.bias",
  }),
  repairs: {
    ffn_gate_up_exps: (tensor, site) => alternating(isPlain(tensor))(tensor, site),
    ffn_down_exps: (tensor, { end }) => (end === "weight" && isPlain(tensor) ? transposed(tensor) : tensor),
  },
  keys: [
    ...keys.decoder,
    keys.experts,
    keys.u32("expert_feed_forward_length", "intermediate_size"),
    keys.u32("attention.sliding_window", "sliding_window"),
  ],
};

const sigmoid = keys.fixed("expert_gating_func", keys.typed("u32", 2));

export const mixtureFamilies: readonly Family[] = [
  {
    from: ["DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM"],
    to: "deepseek2",
    names: latentNames,
    repairs: { attn_kv_b: absorbed, ...fusedExperts },
    keys: [
      keys.sizes,
      keys.context(),
      keys.feedForward,
      keys.f32("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6),
      keys.experts,
      latentKeys,
    ],
  },
  {
    from: ["DeepseekForCausalLM"],
    to: "deepseek",
    names: decoderNames({ post_attention_layernorm: "ffn_norm" }),
    repairs: { attn_q: turnPairs(keys.headsOf), attn_k: turnPairs(keys.kvHeadsOf), ...fusedExperts },
    made: ropeFactors,
    keys: [...keys.decoder, keys.experts, sharedKeys, keys.fixed("expert_weights_scale", keys.typed("f32", 1))],
  },
  gptOss,
  apart(["Glm4MoeForCausalLM"], "glm4moe", { keys: [sharedKeys, sigmoid] }),
  apart(["Dots1ForCausalLM"], "dots1", { keys: [sharedKeys] }),
];
