/** Toys of dense families and of those that are named after them: Llama, Qwen, Gemma. */

import { mix, type Toy } from "./toy.ts";
import {
  absorbed,
  absorbedExperts,
  afterDense,
  biasedAfterDense,
  convolution,
  delta,
  each,
  freqs,
  fused,
  gate,
  index,
  keys,
  latent,
  linear,
  longrope,
  narrow,
  nextn,
  qk,
  qkvBias,
  routed,
  routedWide,
  shared,
  sharedAfterDense,
  sharedKeys,
  sigmoid,
  single,
  sinks,
  tied,
  type Variations,
  weights,
  windows,
  yarn,
} from "./toy-parts.ts";

/** A vocabulary with the ids that pictures are drawn with, and norms whose weights are each head's own. */
const drawing: Toy = {
  vocabulary: 8200,
  tensors: { "blk.{i}.attn_q_norm.weight": [8, 4], "blk.{i}.attn_k_norm.weight": [8, 2] },
};
const drawingBiases: Toy = { tensors: { "blk.{i}.attn_q_norm.bias": [8, 4], "blk.{i}.attn_k_norm.bias": [8, 2] } };
/** Weights for what is seen, which texts do not meet. */
const seeing: Toy = {
  tensors: {
    "blk.{i}.vis_attn_qkv.weight": [32, 96],
    "blk.{i}.vis_attn_output.weight": [32, 32],
    "blk.{i}.vis_gate.weight": [32, 64],
    "blk.{i}.vis_up.weight": [32, 64],
    "blk.{i}.vis_down.weight": [64, 32],
  },
};

/** The parameters of Apertus' activation. */
const xielu = keys({
  "xielu.alpha_n": [0.1, 0.2, 0.3, 0.4],
  "xielu.alpha_p": [0.8, 0.7, 0.6, 0.5],
  "xielu.beta": [0.5, 0.5, 0.5, 0.5],
  "xielu.eps": [-1e-6, -1e-6, -1e-6, -1e-6],
});

const graniteScales = keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2, "attention.scale": 0.3 });
/** Weights of two stacks of two layers, whatever `block_count` says. */
const twoStacks = mix(keys({ "hrm.layers_per_stack": 2 }), {
  tensors: { "hrm.z_l_init": [32], "blk.{0-3}.attn_gate.weight": [32, 64], "blk.{0-3}.ffn_gate.weight": [1] },
});

const llamas: Readonly<Record<string, Variations>> = {
  llama: {
    experts: routedWide,
    biases: mix(gate, qkvBias, each("attn_output.bias", "ffn_gate.bias", "ffn_up.bias", "ffn_down.bias")),
    yarn: mix(gate, yarn),
    "yarn multiplied": mix(gate, yarn, keys({ "rope.scaling.yarn_log_multiplier": 0.08 })),
    "yarn factor": mix(gate, yarn, keys({ "rope.scaling.attn_factor": 1.2 })),
    "llama 3 factors": mix(gate, freqs, tied),
    longrope: mix(gate, longrope(16)),
  },
  "llama-embed": { mean: mix(gate, keys({ pooling_type: 1, "attention.causal": false })), causal: mix(gate, keys({ pooling_type: 1 })) },
  deci: {
    mixed: keys({ "attention.head_count": [4, 0, 4, 4], "attention.head_count_kv": [2, 0, 0, 2], feed_forward_length: [64, 64, 32, 64] }),
  },
  mistral3: {
    yarn: mix(gate, yarn, keys({ "attention.temperature_scale": 0.1 })),
    temperature: mix(gate, yarn, keys({ "attention.temperature_scale": 0.1, "attention.temperature_length": 7 })),
    "yarn multiplied": mix(gate, yarn, keys({ "rope.scaling.yarn_log_multiplier": 0.8 })),
    "yarn factor": mix(gate, yarn, keys({ "rope.scaling.attn_factor": 1.2 })),
    experts: routedWide,
  },
  mistral4: {
    absorbed: absorbedExperts,
    yarn: mix(
      latent,
      absorbed,
      afterDense,
      sharedAfterDense,
      yarn,
      keys({ "attention.temperature_scale": 0.1, "attention.temperature_length": 16, "rope.scaling.yarn_log_multiplier": 0.08 }),
    ),
    temperature: mix(
      latent,
      absorbed,
      afterDense,
      sharedAfterDense,
      keys({ "attention.temperature_scale": 0.1, "attention.temperature_length": 16 }),
    ),
    "plain yarn": mix(latent, absorbed, afterDense, sharedAfterDense, yarn),
    "yarn multiplied": mix(latent, absorbed, afterDense, sharedAfterDense, yarn, keys({ "rope.scaling.yarn_log_multiplier": 0.08 })),
    "yarn 1": mix(latent, absorbed, afterDense, sharedAfterDense, yarn, keys({ "rope.scaling.yarn_log_multiplier": 0.1 })),
  },
  xverse: { yarn: mix(gate, yarn, narrow) },
  baichuan: {
    rotary: mix(gate, narrow, keys({ block_count: 32 })),
    small: mix(gate, narrow),
    alibi: mix(gate, narrow, keys({ block_count: 40, "rope.dimension_count": undefined })),
  },
  internlm2: { biases: mix(gate, narrow, qkvBias) },
  orion: { plain: mix(gate, narrow) },
  smollm3: { tied: mix(gate, tied), yarn: mix(gate, yarn) },
  minicpm: {
    scales: mix(gate, narrow, keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2 })),
    longrope: mix(gate, longrope(16), tied, keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2 })),
    experts: mix(
      routed,
      keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2, expert_feed_forward_length: undefined, feed_forward_length: 32 }),
    ),
  },
  minicpm3: {
    longrope: mix(
      latent,
      gate,
      longrope(8),
      tied,
      keys({ "attention.key_length_mla": undefined, "attention.value_length_mla": undefined, "attention.head_count_kv": 4 }),
    ),
  },
  chameleon: {
    plain: mix(gate, narrow, drawing, drawingBiases),
    "norms after": mix(gate, narrow, drawing, keys({ swin_norm: true })),
  },
  cogvlm: { plain: mix(gate, narrow, single, fused, seeing) },
  "glm-dsa": {
    plain: mix(latent, absorbed, index(undefined), biasedAfterDense, sharedAfterDense, weights),
    shared: mix(latent, absorbed, biasedAfterDense, sharedAfterDense, weights, index([1, 0, 1, 0])),
    long: mix(latent, absorbed, biasedAfterDense, sharedAfterDense, weights, index(undefined), keys({ context_length: 1 << 20 })),
  },
  deepseek32: { plain: mix(latent, absorbed, index(undefined), biasedAfterDense, sharedAfterDense, sigmoid, weights) },
  "muse-glimmer": {
    plain: mix(gate, qk, each("attn_gate.weight"), keys({ logit_scale: 0.8, final_logit_softcapping: 15, "rope.freq_base_swa": 500 })),
  },
  spark2_5: {
    plain: mix(
      gate,
      windows,
      { tensors: { "blk.{i}.attn_gate.weight": [32, 4], "blk.2.attn_gate.weight": [32, 8] } },
      keys({
        "rope.freq_base_swa": 500,
        "rope.dimension_count": 8,
        "attention.head_count": [4, 4, 8, 4],
        "attention.head_count_kv": [2, 4, 2, 1],
      }),
    ),
    tied: mix(gate, windows, tied, { tensors: { "blk.{i}.attn_gate.weight": [32, 4] } }),
  },
  hrm_text: {
    plain: mix(twoStacks, keys({ embedding_scale: 1.5, block_count: 12, "hrm.h_cycles": 2, "hrm.l_cycles": 2 })),
    once: mix(twoStacks, single, tied, keys({ embedding_scale: 1.25, "hrm.h_cycles": 1, "hrm.l_cycles": 1 })),
  },
  granite_swa: {
    scales: mix(gate, windows, sinks, graniteScales),
    "some still": mix(gate, windows, sinks, graniteScales, keys({ "attention.rope_pattern": [true, false, true, false] })),
    experts: mix(routedWide, windows, sinks, graniteScales),
    shared: mix(routedWide, windows, sinks, tied, graniteScales, keys({ expert_shared_feed_forward_length: 32 }), {
      tensors: { "blk.{i}.ffn_up_shexp.weight": [32, 64] },
    }),
  },
  seed_oss: { biases: mix(gate, qkvBias) },
  apertus: { plain: mix(qk, xielu), "llama 3 factors": mix(qk, freqs, xielu) },
  "pangu-embedded": { biases: mix(gate, qkvBias, each("attn_output.bias")) },
  paddleocr: { sections: mix(gate, keys({ "rope.dimension_sections": [4, 2, 2, 0] })) },
};

const smallEps = keys({ "attention.layer_norm_rms_epsilon": 1e-6 });

const qwens: Readonly<Record<string, Variations>> = {
  qwen2: { yarn: mix(gate, narrow, qkvBias, yarn), tied: mix(gate, narrow, qkvBias, tied) },
  // llama.cpp does not take the epsilon from files of qwen2vl; the makers' is as small as this.
  qwen2vl: {
    sections: mix(gate, narrow, qkvBias, smallEps, keys({ "rope.dimension_sections": [1, 1, 2, 0] })),
    rest: mix(gate, narrow, qkvBias, smallEps, keys({ "rope.dimension_sections": [1, 1, 1, 1] })),
  },
  qwen2moe: { shared: mix(routed, narrow, qkvBias, sharedKeys, shared, { tensors: { "blk.{i}.ffn_gate_inp_shexp.weight": [32] } }) },
  qwen3: {
    tied: mix(gate, qk, tied),
    yarn: mix(gate, qk, yarn),
    pooled: mix(gate, qk, keys({ pooling_type: 3 })),
    reranker: mix(gate, qk, tied, keys({ pooling_type: 4, "classifier.output_labels": ["yes", "no"] }), {
      tensors: { "cls.output.weight": [32, 2] },
    }),
  },
  qwen3vl: { sections: mix(gate, qk, keys({ "rope.dimension_sections": [4, 2, 2, 0], n_deepstack_layers: 0 })) },
  qwen3vlmoe: { sections: mix(routed, qk, keys({ "rope.dimension_sections": [4, 2, 2, 0], n_deepstack_layers: 0 })) },
  qwen3moe: { plain: mix(routed, qk) },
  qwen3next: {
    experts: mix(
      routed,
      delta,
      sharedKeys,
      shared,
      { tensors: { "blk.{i}.ffn_gate_inp_shexp.weight": [32] } },
      keys({ "rope.dimension_count": 8, "rope.dimension_sections": undefined }),
    ),
  },
  qwen35: {
    dense: mix(gate, delta),
    interval: mix(
      gate,
      delta,
      convolution(128, "1-1", false),
      keys({ full_attention_interval: 4, "rope.dimension_count": 8, "rope.dimension_sections": [2, 1, 1, 0] }),
    ),
    nextn: mix(gate, delta, keys({ block_count: 5, nextn_predict_layers: 1 }), {
      tensors: {
        ...nextn(4),
        "blk.4.ffn_norm.weight": undefined,
        "blk.4.post_attention_norm.weight": [32],
        "blk.4.attn_q.weight": [32, 128],
        "blk.4.attn_q_norm.weight": [16],
        "blk.4.attn_k_norm.weight": [16],
        "blk.4.ffn_gate.weight": [32, 64],
      },
    }),
  },
  qwen35moe: { experts: mix(routed, delta, sharedKeys, shared, { tensors: { "blk.{i}.ffn_gate_inp_shexp.weight": [32] } }) },
  "llada-moe": { plain: mix(routed, narrow, { tensors: { "blk.{i}.attn_q_norm.weight": [8], "blk.{i}.attn_k_norm.weight": [8] } }) },
  rnd1: { plain: mix(routed, qk) },
  dream: { plain: mix(gate, narrow, qkvBias) },
};

const gemmas: Readonly<Record<string, Variations>> = {
  gemma: { plain: mix(gate, tied) },
  gemma2: { plain: mix(gate, tied), pattern: mix(gate, tied, keys({ attn_logit_softcapping: 5, final_logit_softcapping: 3 })) },
  gemma3: {
    linear: mix(gate, qk, tied, linear),
    softcap: mix(gate, qk, tied, keys({ final_logit_softcapping: 3, block_count: 7 })),
    tuned: mix(gate, qk, tied, keys({ "rope.freq_base_swa": 500, block_count: 7 })),
  },
  "gemma-embedding": {
    mean: mix(gate, qk, tied, keys({ pooling_type: 1, block_count: 7 })),
    dense: mix(
      gate,
      qk,
      tied,
      keys({ pooling_type: 1, dense_2_feat_in: 32, dense_2_feat_out: 64, dense_3_feat_in: 64, dense_3_feat_out: 32 }),
      { tensors: { "dense_2.weight": [32, 64], "dense_3.weight": [64, 32] } },
    ),
  },
};

const gemma4Keys = keys({
  "attention.sliding_window_pattern": [true, false, true, false],
  "attention.key_length_swa": 8,
  "attention.value_length_swa": 8,
  "attention.shared_kv_layers": 0,
  embedding_length_per_layer_input: 0,
  "rope.dimension_count_swa": 8,
  "rope.freq_base_swa": 500,
  final_logit_softcapping: 3,
});
const gemma4: Toy = mix(
  gate,
  qk,
  tied,
  gemma4Keys,
  freqs,
  {
    tensors: {
      "blk.0.attn_q_norm.weight": [8],
      "blk.0.attn_k_norm.weight": [8],
      "blk.2.attn_q_norm.weight": [8],
      "blk.2.attn_k_norm.weight": [8],
    },
  },
  each("attn_v.weight", "layer_output_scale.weight"),
);
/** Matrices of 256 values a layer. */
const gemma3n = (layers: number): Toy =>
  mix(tied, gate, qk, keys({ block_count: layers, "attention.sliding_window": 7, "rope.freq_base_swa": 500 }), {
    tensors: {
      "per_layer_token_embd.weight": [256 * layers, 48],
      "altup_proj.weight": [32, 32, 3],
      "altup_unembd_proj.weight": [32, 32, 3],
      "blk.{i}.laurel_l.weight": [32, 64],
      "blk.{i}.attn_v.weight": [32, 32],
      "blk.{i}.attn_k.weight": [32, 32],
      "blk.{i}.attn_k_norm.weight": [16],
      "blk.{i}.altup_predict_coef.weight": [4, 16],
      "blk.{i}.altup_correct_coef.weight": [4, 4],
    },
  });

const gemma4s: Readonly<Record<string, Variations>> = {
  gemma3n: { small: gemma3n(5), sparse: gemma3n(12), shared: gemma3n(23) },
  gemma4: {
    plain: gemma4,
    shared: mix(gemma4, keys({ "attention.shared_kv_layers": 2 }), {
      tensors: { "blk.{2-3}.attn_v.weight": undefined, "blk.3.attn_k_norm.weight": [16] },
    }),
    "layer embeddings": mix(gemma4, keys({ embedding_length_per_layer_input: 8 }), {
      tensors: { "per_layer_token_embd.weight": [32, 48] },
    }),
    both: mix(
      gemma4,
      keys({ embedding_length_per_layer_input: 8, "attention.shared_kv_layers": 2, feed_forward_length: [64, 64, 32, 32] }),
      { tensors: { "blk.{2-3}.attn_v.weight": undefined, "blk.3.attn_k_norm.weight": [16], "per_layer_token_embd.weight": [32, 48] } },
    ),
    "keys as values": mix(
      gemma4,
      { tensors: { "blk.1.attn_v.weight": undefined, "blk.3.attn_v.weight": undefined } },
      keys({ "attention.head_count_kv": [2, 1, 2, 1] }),
    ),
    experts: mix(gemma4, routed, {
      tensors: {
        "blk.{i}.ffn_gate_exps.weight": undefined,
        "blk.{i}.ffn_gate_up_exps.weight": [32, 64, 6],
        "blk.{i}.ffn_gate_inp.scale": [32],
        "blk.{i}.ffn_down_exps.scale": [6],
      },
    }),
  },
};

export const denseToys: Readonly<Record<string, Variations>> = { ...llamas, ...qwens, ...gemmas, ...gemma4s };
