/**
 * Decoders whose code names its parts as Llama's does, and which differ in norms, scales and rotary positions: the tables that they share,
 * and the families that need no more than those.
 *
 * Source: transformers `models/<family>/modeling_<family>.py`, llama.cpp `conversion/<family>.py`.
 */
import { type Config, unsupported } from "../config.ts";
import { type Family, type Repair, splitGate, turnPairs } from "../family.ts";
import * as keys from "../keys.ts";
import { computed, type LazyTensor } from "../lazy.ts";
import { block, type Names } from "../names.ts";

const around: Names = { "model.embed_tokens": "token_embd", "model.norm": "output_norm", lm_head: "output" };

export const attention: Names = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
};

export const feedForward: Names = { "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down" };

/** Mixtures of experts: Qwen's and DeepSeek's names, Mixtral's, and stacks in one tensor. */
const mixture: Names = {
  "mlp.gate": "ffn_gate_inp",
  "mlp.experts.*.gate_proj": "ffn_gate_exps",
  "mlp.experts.*.up_proj": "ffn_up_exps",
  "mlp.experts.*.down_proj": "ffn_down_exps",
  "mlp.experts.gate_up_proj": "ffn_gate_up_exps.weight",
  "mlp.experts.down_proj": "ffn_down_exps.weight",
  "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
  "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
  ...Object.fromEntries(
    ["shared_expert", "shared_experts"].flatMap(shared =>
      ["gate", "up", "down"].map(which => [`mlp.${shared}.${which}_proj`, `ffn_${which}_shexp`]),
    ),
  ),
  "block_sparse_moe.gate": "ffn_gate_inp",
  "block_sparse_moe.experts.*.w1": "ffn_gate_exps",
  "block_sparse_moe.experts.*.w2": "ffn_down_exps",
  "block_sparse_moe.experts.*.w3": "ffn_up_exps",
};

/** A decoder of these blocks. */
export const decoderNames = (...entries: readonly Names[]): Names => ({
  ...around,
  ...block("model.layers.#.", Object.assign({}, attention, feedForward, mixture, ...entries)),
});

/** One norm in front of each half of a block. */
export const preNorm = decoderNames({ post_attention_layernorm: "ffn_norm" });

/** Norms behind the halves, and in front of them too where there are any. */
export const postNorm = decoderNames({
  post_attention_layernorm: "post_attention_norm",
  pre_feedforward_layernorm: "ffn_norm",
  post_feedforward_layernorm: "post_ffw_norm",
});

/** Matrices of all experts in one tensor. */
export const fusedExperts: Readonly<Record<string, Repair>> = { ffn_gate_up_exps: splitGate("ffn_gate_exps", "ffn_up_exps") };

/** Frequencies that Llama 3.1 and later divide: factors of 1 for short waves, `factor` for long ones, a ramp between. */
export function ropeFactors(config: Config): Record<string, LazyTensor> {
  const scaling = keys.ropeScaling(config);
  if (scaling.kind !== "llama3") return {};
  const turning = keys.rotaryOf(config);
  const base = config.number(keys.THETA, 10000);
  const [factor, low, high] = [scaling.number("factor", 8), scaling.number("low_freq_factor", 1), scaling.number("high_freq_factor", 4)];
  const trained = scaling.number("original_max_position_embeddings", 8192);
  return {
    "rope_freqs.weight": computed([turning / 2], (first, out) => {
      for (let i = 0; i < out.length; i++) {
        const wave = 2 * Math.PI * base ** ((2 * (first + i)) / turning);
        const ramp = (trained / wave - low) / (high - low);
        out[i] = wave < trained / high ? 1 : wave > trained / low ? factor : 1 / ((1 - ramp) / factor + ramp);
      }
    }),
  };
}

/** Keys of experts, where the model has any. */
const maybeExperts: keys.Keys = config => (config.has("num_local_experts | num_experts | n_routed_experts") ? keys.experts(config) : []);

/** A decoder with pairs of rotary values half a head apart, as the checkpoint has them. */
export const apart = (from: readonly string[], to: Family["to"], more: Partial<Family> = {}): Family => ({
  from,
  to,
  names: preNorm,
  made: ropeFactors,
  ...more,
  keys: [...keys.decoder, maybeExperts, ...(more.keys ?? [])],
  repairs: { ...fusedExperts, ...more.repairs },
});

/** The same with pairs side by side in GGUF. */
const sideBySide = (from: readonly string[], to: Family["to"], more: Partial<Family> = {}): Family =>
  apart(from, to, { ...more, repairs: { attn_q: turnPairs(keys.headsOf), attn_k: turnPairs(keys.kvHeadsOf), ...more.repairs } });

/** Of Granite: attention and both residual branches are scaled, logits divided. */
const scales: readonly keys.Keys[] = [
  keys.f32("attention.scale", "attention_multiplier", "omit"),
  keys.f32("embedding_scale", "embedding_multiplier", "omit"),
  keys.f32("residual_scale", "residual_multiplier", "omit"),
  keys.f32("logit_scale", "logits_scaling", "omit"),
];

/** Of MiniCPM: the same scales by other names, partly as what they divide by. */
const miniScales: keys.Keys = config => [
  ["embedding_scale", keys.typed("f32", config.number("scale_emb", 1))],
  ["residual_scale", keys.typed("f32", config.number("scale_depth", 1) / Math.sqrt(keys.layersOf(config)))],
  ["logit_scale", keys.typed("f32", keys.hiddenOf(config) / config.number("dim_model_base", keys.hiddenOf(config), { min: 1 }))],
];

/** Of Ministral 3: queries grow with the position. */
const temperature: readonly keys.Keys[] = [
  keys.f32("attention.temperature_scale", "rope_parameters.llama_4_scaling_beta", "omit"),
  keys.f32("rope.scaling.yarn_log_multiplier", "rope_parameters.mscale_all_dim", "omit"),
];

/** Windows of attention, and which layers have them where the configuration lists it. */
const windows: keys.Keys = config => {
  if (!config.has("sliding_window")) return [];
  const pattern = config.has("layer_types") ? config.strings("layer_types").map(kind => Number(kind === "sliding_attention")) : undefined;
  return [
    ["attention.sliding_window", keys.typed("u32", config.size("sliding_window"))],
    ...(pattern ? [["attention.sliding_window_pattern", { of: "bool", items: Uint8Array.from(pattern) }] as const] : []),
  ];
};

const graniteExperts: Readonly<Record<string, Repair>> = {
  ffn_gate_up_exps: splitGate("ffn_gate_exps", "ffn_up_exps"),
  ffn_gate_up_shexp: splitGate("ffn_gate_shexp", "ffn_up_shexp"),
};

const graniteNames = decoderNames({
  post_attention_layernorm: "ffn_norm",
  "block_sparse_moe.router.layer": "ffn_gate_inp",
  "block_sparse_moe.input_linear": "ffn_gate_up_exps",
  "block_sparse_moe.output_linear": "ffn_down_exps",
  "shared_mlp.input_linear": "ffn_gate_up_shexp",
  "shared_mlp.output_linear": "ffn_down_shexp",
});

const ministral = (config: Config): string =>
  config.string("text_config.model_type | model_type", "") === "ministral3" ? "mistral3" : "llama";

/** Layers without rotary positions must be those that the architecture expects: every fourth. */
const everyFourthWithoutRope: keys.Keys = config => {
  if (!config.has("no_rope_layers")) return [];
  // 0 stands for a layer without.
  const layers = config.numbers("no_rope_layers");
  if (layers.every((has, i) => has === ((i + 1) % 4 === 0 ? 0 : 1))) return [];
  throw unsupported("The model leaves out rotary positions in other layers than every fourth", { layers: layers.join(",") });
};

export const llamaFamilies: readonly Family[] = [
  sideBySide(
    ["LlamaForCausalLM", "LLaMAForCausalLM", "LlamaModel", "MistralForCausalLM", "MixtralForCausalLM", "LlavaForConditionalGeneration"],
    "llama",
  ),
  sideBySide(["Mistral3ForConditionalGeneration", "Ministral3ForCausalLM"], ministral, { keys: temperature }),
  sideBySide(["ArceeForCausalLM"], "arcee"),
  sideBySide(["XverseForCausalLM"], "xverse"),
  sideBySide(["SmolLM3ForCausalLM"], "smollm3", { keys: [everyFourthWithoutRope] }),
  sideBySide(["Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"], "ernie4_5"),
  sideBySide(["GraniteForCausalLM"], "granite", { keys: scales }),
  sideBySide(["GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"], "granitemoe", {
    names: graniteNames,
    repairs: graniteExperts,
    keys: [...scales, keys.u32("expert_shared_feed_forward_length", "shared_intermediate_size", "omit")],
  }),
  sideBySide(["MiniCPMForCausalLM"], "minicpm", { keys: [miniScales] }),
  apart(["SeedOssForCausalLM"], "seed_oss", { names: decoderNames({ post_attention_layernorm: "post_attention_norm" }) }),
  apart(["Olmo2ForCausalLM", "Olmo3ForCausalLM"], "olmo2", {
    names: postNorm,
    keys: [windows],
  }),
  apart(["OlmoeForCausalLM"], "olmoe"),
  apart(["Exaone4ForCausalLM"], "exaone4", { names: postNorm, keys: [windows] }),
  {
    from: ["OlmoForCausalLM"],
    to: "olmo",
    names: preNorm,
    repairs: { attn_q: turnPairs(keys.headsOf), attn_k: turnPairs(keys.kvHeadsOf) },
    keys: [
      keys.sizes,
      keys.context(),
      keys.feedForward,
      keys.kvHeads,
      keys.rope,
      // The weightless norm has no key of its own in the configuration.
      keys.fixed("attention.layer_norm_epsilon", keys.typed("f32", 1e-5)),
      keys.f32("attention.clamp_kqv", "clip_qkv", "omit"),
    ],
  },
];
