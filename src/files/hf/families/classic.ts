/**
 * Decoders with LayerNorm, biases or fused projections: GPT-2, GPT-J, GPT-NeoX, Falcon, StarCoder 2, StableLM, Phi, Command R, Nemotron, GLM-4,
 * LFM2 and BitNet.
 *
 * Source: transformers `models/<family>`, llama.cpp `conversion/<family>.py`.
 */
import { type Config, unsupported } from "../config.ts";
import { type Family, plusOne, type Repair, reordered, squeezed, turned } from "../family.ts";
import * as keys from "../keys.ts";
import { computed, type LazyTensor } from "../lazy.ts";
import { block, type Names } from "../names.ts";
import { apart, attention, decoderNames, preNorm } from "./llama.ts";

const layerNormDecoder: readonly keys.Keys[] = [keys.sizes, keys.context(), keys.kvHeads, keys.headLength, keys.layerNorm, keys.rope];

const gpt2: Family = {
  from: ["GPT2LMHeadModel", "GPT2Model"],
  to: "gpt2",
  names: {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    lm_head: "output",
    ...block("transformer.h.#.", {
      ln_1: "attn_norm",
      "attn.c_attn": "attn_qkv",
      "attn.c_proj": "attn_output",
      ln_2: "ffn_norm",
      "mlp.c_fc": "ffn_up",
      "mlp.c_proj": "ffn_down",
    }),
  },
  repairs: { attn_qkv: turned, attn_output: turned, ffn_up: turned, ffn_down: turned },
  keys: [keys.sizes, keys.context(), keys.fourfoldFeedForward, keys.kvHeads, keys.layerNorm],
};

/** Positions of GPT-J turn neighbouring values, as GGUF's do. */
const gptj: Family = {
  from: ["GPTJForCausalLM", "GPTJModel"],
  to: "gptj",
  names: {
    "transformer.wte": "token_embd",
    "transformer.ln_f": "output_norm",
    lm_head: "output",
    ...block("transformer.h.#.", {
      ln_1: "attn_norm",
      "attn.q_proj": "attn_q",
      "attn.k_proj": "attn_k",
      "attn.v_proj": "attn_v",
      "attn.out_proj": "attn_output",
      "mlp.fc_in": "ffn_up",
      "mlp.fc_out": "ffn_down",
    }),
  },
  keys: [
    ...[keys.sizes, keys.context(), keys.fourfoldFeedForward, keys.kvHeads, keys.layerNorm],
    keys.u32("rope.dimension_count", "rotary_dim", 64),
  ],
};

/** For each head its query, key and value, as all queries, all keys, all values. */
const byKind: Repair = (tensor, { config }) => {
  const heads = keys.headsOf(config);
  const total = tensor.shape[0];
  const length = total / (3 * heads);
  return reordered(tensor, total, i => {
    const [kind, head] = [Math.floor(i / (heads * length)), Math.floor(i / length) % heads];
    return (head * 3 + kind) * length + (i % length);
  });
};

/** For each head of keys its queries, its key, its value, as all queries, all keys, all values. */
const byKindGrouped: Repair = (tensor, { config }) => {
  const [heads, length] = [keys.headsOf(config), keys.headDimOf(config)];
  const groups = falconKvHeads(config);
  const each = heads / groups;
  return reordered(tensor, (heads + 2 * groups) * length, i => {
    const [head, within] = [Math.floor(i / length), i % length];
    const [group, place] =
      head < heads ? [Math.floor(head / each), head % each] : [(head - heads) % groups, each + Math.floor((head - heads) / groups)];
    return (group * (each + 2) + place) * length + within;
  });
};

/** Falcon 7B has one head of keys whatever `num_kv_heads` says. */
function falconKvHeads(config: Config): number {
  if (config.find("new_decoder_architecture") === true) return config.size("num_kv_heads | n_head_kv", keys.headsOf(config), { min: 1 });
  return config.find("multi_query") === false ? keys.headsOf(config) : 1;
}

const neox: Family = {
  from: ["GPTNeoXForCausalLM"],
  to: "gptneox",
  names: {
    "gpt_neox.embed_in": "token_embd",
    "gpt_neox.final_layer_norm": "output_norm",
    embed_out: "output",
    ...block("gpt_neox.layers.#.", {
      input_layernorm: "attn_norm",
      "attention.query_key_value": "attn_qkv",
      "attention.dense": "attn_output",
      post_attention_layernorm: "ffn_norm",
      "mlp.dense_h_to_4h": "ffn_up",
      "mlp.dense_4h_to_h": "ffn_down",
    }),
  },
  repairs: { attn_qkv: byKind },
  keys: [
    ...layerNormDecoder,
    keys.feedForward,
    config => [["use_parallel_residual", keys.typed("bool", config.boolean("use_parallel_residual", true))]],
  ],
};

const falcon: Family = {
  from: ["FalconForCausalLM", "RWForCausalLM"],
  to: "falcon",
  names: {
    "transformer.word_embeddings": "token_embd",
    "transformer.ln_f": "output_norm",
    lm_head: "output",
    ...block("transformer.h.#.", {
      input_layernorm: "attn_norm",
      ln_mlp: "attn_norm",
      ln_attn: "attn_norm_2",
      "self_attention.query_key_value": "attn_qkv",
      "self_attention.dense": "attn_output",
      "mlp.dense_h_to_4h": "ffn_up",
      "mlp.dense_4h_to_h": "ffn_down",
    }),
  },
  repairs: { attn_qkv: byKindGrouped },
  keys: [
    keys.sizes,
    keys.context(2048),
    keys.fourfoldFeedForward,
    config => [["attention.head_count_kv", keys.typed("u32", falconKvHeads(config))]],
    keys.layerNorm,
    keys.rope,
  ],
};

const upDown: Names = { "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down" };

/** Norms of the heads are stacked: one row for each. */
const stableNames = decoderNames({
  post_attention_layernorm: "ffn_norm",
  "self_attn.q_layernorm.norms.*": "attn_q_norm",
  "self_attn.k_layernorm.norms.*": "attn_k_norm",
});

/** One norm feeds both halves of a block. */
const commandNames = decoderNames({});

const phi2Names: Names = {
  "model.embed_tokens": "token_embd",
  "model.final_layernorm": "output_norm",
  lm_head: "output",
  ...block("model.layers.#.", { ...attention, "self_attn.dense": "attn_output", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down" }),
};

const isLong = ({ kind }: keys.RopeScaling): boolean => kind === "longrope" || kind === "su";

/** Separate factors of rotary positions for short and long contexts. */
function longFactors(config: Config): Record<string, LazyTensor> {
  const scaling = keys.ropeScaling(config);
  if (!isLong(scaling)) return {};
  const half = keys.rotaryOf(config) / 2;
  const tensorOf = (which: string): [string, LazyTensor] => {
    const values = scaling.numbers(`${which}_factor`);
    if (values.length !== half) throw unsupported(`The model has ${values.length} rotary factors instead of ${half}`, { which });
    return [`rope_factors_${which}.weight`, computed([half], (first, out) => out.set(values.slice(first, first + out.length)))];
  };
  return Object.fromEntries(["long", "short"].map(tensorOf));
}

const longRope: keys.Keys = config => {
  const original = "original_max_position_embeddings";
  const trained = config.size(`${original} | rope_scaling.${original} | rope_parameters.${original} | max_position_embeddings`);
  const ratio = config.size("max_position_embeddings") / trained;
  const magnitude = ratio > 1 ? Math.sqrt(1 + Math.log(ratio) / Math.log(trained)) : 1;
  return [
    ["rope.scaling.original_context_length", keys.typed("u32", trained)],
    ...(isLong(keys.ropeScaling(config)) ? [["rope.scaling.attn_factor", keys.typed("f32", magnitude)] as const] : []),
    // 0 tells Phi-4, which has no window, from Phi-3.
    ...keys.u32("attention.sliding_window", "sliding_window", 0)(config),
  ];
};

const glm4Names = decoderNames({
  post_self_attn_layernorm: "post_attention_norm",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_up_proj": "ffn_up",
  post_mlp_layernorm: "post_ffw_norm",
});

const lfm2Names: Names = {
  "model.embed_tokens": "token_embd",
  "model.embedding_norm": "token_embd_norm",
  lm_head: "output",
  ...block("model.layers.#.", {
    operator_norm: "attn_norm",
    ffn_norm: "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_output",
    "self_attn.q_layernorm": "attn_q_norm",
    "self_attn.k_layernorm": "attn_k_norm",
    "conv.conv": "shortconv.conv",
    "conv.in_proj": "shortconv.in_proj",
    "conv.out_proj": "shortconv.out_proj",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
    "feed_forward.gate": "ffn_gate_inp",
    "feed_forward.expert_bias": "exp_probs_b.bias",
    "feed_forward.experts.*.w1": "ffn_gate_exps",
    "feed_forward.experts.*.w2": "ffn_down_exps",
    "feed_forward.experts.*.w3": "ffn_up_exps",
  }),
};

/** Layers of short convolutions have no heads of keys. */
const lfm2Heads: keys.Keys = config => [
  [
    "attention.head_count_kv",
    { of: "i32", items: Int32Array.from(config.strings("layer_types"), kind => (kind === "full_attention" ? keys.kvHeadsOf(config) : 0)) },
  ],
];

const lfm2Width: keys.Keys = config => {
  let width = config.size("block_ff_dim | intermediate_size");
  if (config.boolean("block_auto_adjust_ff_dim", false)) {
    const multiple = config.size("block_multiple_of", 256, { min: 1 });
    width = Math.floor(Math.floor((2 * width) / 3) * config.number("block_ffn_dim_multiplier", 1));
    width = multiple * Math.ceil(width / multiple);
  }
  return [["feed_forward_length", keys.typed("u32", width)]];
};

const lfm2Keys = [keys.sizes, keys.context(), lfm2Heads, keys.rmsNorm, keys.rope, keys.u32("shortconv.l_cache", "conv_L_cache")];

/** [channels, 1, width] as GGUF has it: [channels, width]. */
const lfm2Repairs: Readonly<Record<string, Repair>> = { "shortconv.conv": squeezed };

const bitnetNames = decoderNames({
  post_attention_layernorm: "ffn_norm",
  "self_attn.attn_sub_norm": "attn_sub_norm",
  "self_attn.inner_attn_ln": "attn_sub_norm",
  "mlp.ffn_sub_norm": "ffn_sub_norm",
  "mlp.ffn_layernorm": "ffn_sub_norm",
});

export const classicFamilies: readonly Family[] = [
  gpt2,
  gptj,
  neox,
  falcon,
  {
    from: ["Starcoder2ForCausalLM"],
    to: "starcoder2",
    names: decoderNames({ post_attention_layernorm: "ffn_norm", ...upDown }),
    keys: [...layerNormDecoder, keys.feedForward],
  },
  {
    from: ["StableLmForCausalLM", "StableLMEpochForCausalLM", "StableLmEpochForCausalLM"],
    to: "stablelm",
    names: stableNames,
    keys: [
      ...layerNormDecoder,
      keys.feedForward,
      config => [["use_parallel_residual", keys.typed("bool", config.boolean("use_parallel_residual", false))]],
    ],
  },
  {
    from: ["CohereForCausalLM"],
    to: "command-r",
    names: commandNames,
    keys: [...layerNormDecoder, keys.feedForward, keys.f32("logit_scale", "logit_scale")],
  },
  {
    from: ["Cohere2ForCausalLM"],
    to: "cohere2",
    names: commandNames,
    keys: [
      ...layerNormDecoder,
      keys.feedForward,
      keys.f32("logit_scale", "logit_scale"),
      keys.u32("attention.sliding_window", "sliding_window"),
    ],
  },
  { from: ["PhiForCausalLM"], to: "phi2", names: phi2Names, keys: [...layerNormDecoder, keys.fourfoldFeedForward] },
  {
    from: ["Phi3ForCausalLM"],
    to: "phi3",
    names: decoderNames({ post_attention_layernorm: "ffn_norm", "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up" }),
    made: longFactors,
    keys: [keys.sizes, keys.context(), keys.feedForward, keys.kvHeads, keys.rmsNorm, keys.plainRope, longRope],
  },
  {
    from: ["PhiMoEForCausalLM", "PhimoeForCausalLM"],
    to: "phimoe",
    names: preNorm,
    made: longFactors,
    keys: [
      keys.sizes,
      keys.context(),
      keys.feedForward,
      keys.kvHeads,
      keys.f32("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
      keys.f32("attention.layer_norm_epsilon", "rms_norm_eps"),
      keys.plainRope,
      longRope,
      keys.experts,
    ],
  },
  {
    from: ["NemotronForCausalLM"],
    to: "nemotron",
    names: preNorm,
    repairs: { output_norm: plusOne, attn_norm: plusOne, ffn_norm: plusOne },
    keys: [...layerNormDecoder, keys.feedForward],
  },
  { ...apart(["Glm4ForCausalLM"], "glm4", { names: glm4Names }), repairs: {} },
  { from: ["Lfm2ForCausalLM"], to: "lfm2", names: lfm2Names, repairs: lfm2Repairs, keys: [...lfm2Keys, lfm2Width] },
  {
    from: ["Lfm2MoeForCausalLM"],
    to: "lfm2moe",
    names: lfm2Names,
    repairs: lfm2Repairs,
    keys: [
      ...lfm2Keys,
      keys.feedForward,
      keys.experts,
      keys.u32("leading_dense_block_count", "num_dense_layers"),
      keys.fixed("expert_gating_func", keys.typed("u32", 2)),
    ],
  },
  apart(["BitnetForCausalLM"], "bitnet", { names: bitnetNames }),
  apart(["BitNetForCausalLM"], "bitnet-b1.58", { names: bitnetNames }),
];
