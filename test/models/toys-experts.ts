/** Toys of mixtures of experts and of families with dense and mixed models. */

import { mix } from "./toy.ts";
import {
  absorbed,
  absorbedExperts,
  afterDense,
  biasedAfterDense,
  each,
  fused,
  gate,
  groups,
  index,
  keys,
  latent,
  narrow,
  qk,
  qkvBias,
  routed,
  routedWide,
  selection,
  shared,
  sharedAfterDense,
  sigmoid,
  single,
  sinks,
  tied,
  type Variations,
  weights,
  windows,
  yarn,
} from "./toy-parts.ts";

/** A dense layer, then experts by sigmoid with bias, scaled, beside one that all tokens share; queries and keys normed. */
const normedExperts = mix(biasedAfterDense, sharedAfterDense, qk, sigmoid, weights);

const streams = keys({ "hyper_connection.count": 3, "hyper_connection.epsilon": 1e-3, "hyper_connection.magnitude": 1.7 });
const hyV4 = mix(latent, absorbed, biasedAfterDense, sharedAfterDense, sigmoid, weights, sinks, {
  tensors: { "blk.{i}.attn_gate.weight": [32, 64] },
});

export const expertToys: Readonly<Record<string, Variations>> = {
  granitemoe: {
    scales: mix(routedWide, keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2, "attention.scale": 0.3 })),
    shared: mix(routedWide, shared, keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2, "attention.scale": 0.3 }), tied),
  },
  granite: { scales: mix(gate, keys({ embedding_scale: 2, residual_scale: 0.7, logit_scale: 2, "attention.scale": 0.3 })) },
  "minimax-m2": { plain: mix(routed, keys({ feed_forward_length: 32 }), selection, qk, sigmoid, keys({ "rope.dimension_count": 8 })) },
  bailingmoe2: {
    groups: mix(
      biasedAfterDense,
      sharedAfterDense,
      fused,
      narrow,
      { tensors: { "blk.{i}.attn_q_norm.weight": [8], "blk.{i}.attn_k_norm.weight": [8] } },
      sigmoid,
      weights,
      groups,
      keys({ "rope.dimension_count": 4 }),
    ),
    plain: mix(
      afterDense,
      sharedAfterDense,
      fused,
      narrow,
      { tensors: { "blk.{i}.attn_q_norm.weight": [8], "blk.{i}.attn_k_norm.weight": [8] } },
      weights,
      keys({ expert_gating_func: 1 }),
    ),
  },
  "ernie4_5-moe": {
    dense: mix(biasedAfterDense, sharedAfterDense, keys({ interleave_moe_layer_step: 1 })),
    bare: mix(afterDense, keys({ interleave_moe_layer_step: 1 })),
  },
  ernie4_5: { tied: mix(gate, tied) },
  "hunyuan-dense": { plain: mix(gate, qk) },
  "hunyuan-moe": { shared: mix(routed, qk, shared, keys({ feed_forward_length: 32 })) },
  hunyuan_vl: { plain: mix(gate, qk), sections: mix(gate, qk, keys({ "rope.dimension_sections": [2, 2, 2, 2] })) },
  glm4: {
    sections: mix({ tensors: { "blk.{i}.ffn_up.weight": [32, 128] } }, keys({ "rope.dimension_sections": [2, 3, 2, 1] })),
    biases: mix(qkvBias, { tensors: { "blk.{i}.ffn_up.weight": [32, 128] } }),
  },
  glm4moe: {
    air: mix(biasedAfterDense, sharedAfterDense, qkvBias, sigmoid, weights, keys({ "rope.dimension_count": 8 })),
    large: mix(biasedAfterDense, sharedAfterDense, qkvBias, qk, sigmoid, weights),
    sections: mix(biasedAfterDense, sharedAfterDense, qkvBias, sigmoid, weights, keys({ "rope.dimension_sections": [2, 3, 2, 1] })),
  },
  "exaone-moe": {
    plain: mix(normedExperts, keys({ "attention.sliding_window_pattern": [true, true, false, true] })),
  },
  exaone4: { small: mix(gate, qk, narrow), large: mix(gate, qk, narrow, keys({ block_count: 64 })) },
  afmoe: { plain: mix(biasedAfterDense, sharedAfterDense, qk, sigmoid, keys({ expert_weights_scale: 2.826 }), each("attn_gate.weight")) },
  maple: {
    plain: mix(routed, qk, windows, keys({ "rope.freq_base_swa": 500, "rope.dimension_count": 8, swiglu_clamp_exp: 0.5 })),
    "limits by layer": mix(routed, qk, windows, keys({ swiglu_clamp_exp: [0.3, 0.5, 0, 0.2] })),
    "wide limits": mix(routed, qk, windows, keys({ swiglu_clamp_exp: 7, "rope.dimension_count_swa": 8 })),
  },
  laguna: {
    plain: mix(normedExperts, { tensors: { "blk.{i}.attn_gate.weight": [32, 4] } }),
  },
  mimo2: {
    plain: mix(
      biasedAfterDense,
      each("attn_sinks.weight"),
      sigmoid,
      keys({
        "attention.value_length": 8,
        "attention.sliding_window_pattern": [false, true, true, false],
        "attention.value_scale": 0.7,
        "rope.freq_base_swa": 500,
        "rope.dimension_count": 8,
      }),
    ),
  },
  step35: {
    plain: mix(
      normedExperts,
      { tensors: { "blk.{i}.attn_gate.weight": [32, 4] } },
      keys({
        "attention.sliding_window_pattern": [false, true, true, false],
        swiglu_clamp_exp: [0, 0.5, 0, 1],
        swiglu_clamp_shexp: [0.7, 0, 0.4, 1],
      }),
    ),
  },
  grok: {
    experts: mix(routed, narrow, keys({ attn_logit_softcapping: 5, "attention.output_scale": 0.3, embedding_scale: 3, logit_scale: 0.6 })),
    dense: mix(
      routed,
      narrow,
      each("ffn_up.weight", "ffn_gate.weight"),
      keys({ attn_logit_softcapping: 5, embedding_scale: 3, logit_scale: 0.6, router_logit_softcapping: 3, final_logit_softcapping: 2 }),
    ),
  },
  cohere2moe: {
    plain: mix(afterDense, sharedAfterDense, sigmoid, weights, tied, keys({ logit_scale: 0.5 })),
    bare: mix(routed, sigmoid, tied, keys({ leading_dense_block_count: 0, logit_scale: 0.5 })),
  },
  "deepseek2-ocr": { plain: mix(afterDense, sharedAfterDense, narrow, single) },
  deepseek: { plain: mix(afterDense, sharedAfterDense, narrow, single, keys({ expert_weights_scale: 1.5 })) },
  dots1: { plain: mix(single, normedExperts) },
  dots3note: {
    plain: mix(
      ...[latent, windows, biasedAfterDense, sharedAfterDense, sigmoid, weights, index([0, 1, 0, 0])],
      { tensors: { "blk.{i}.attn_gate.weight": [32, 4], "blk.{i}.attn_k_b.weight": [12, 20, 4], "blk.1.attn_k_b.weight": [16, 16, 4] } },
      keys({
        "attention.key_length_swa": 28,
        "attention.value_length_swa": 20,
        "attention.kv_lora_rank_swa": 20,
        "attention.key_length_mla_swa": 20,
        "attention.value_length_mla_swa": 12,
        "rope.freq_base_swa": 500,
      }),
    ),
  },
  hy_v4: {
    plain: mix(hyV4, streams),
    bare: mix(latent, absorbed, afterDense, sharedAfterDense, sigmoid, sinks, streams, keys({ swiglu_clamp_exp: 0.4 }), {
      tensors: { "blk.{i}.attn_gate.weight": [32, 64] },
    }),
    index: mix(hyV4, streams, index([1, 0, 1, 0])),
  },
  deepseek2: {
    absorbed: mix(absorbedExperts, weights, groups),
    kv_b: mix(
      latent,
      keys({
        "attention.head_count_kv": 4,
        "attention.key_length_mla": undefined,
        "attention.value_length_mla": undefined,
      }),
      afterDense,
      sharedAfterDense,
    ),
    yarn: mix(latent, absorbed, afterDense, sharedAfterDense, yarn),
    "yarn multiplied": mix(latent, absorbed, afterDense, sharedAfterDense, yarn, keys({ "rope.scaling.yarn_log_multiplier": 0.08 })),
    "yarn factor": mix(
      latent,
      absorbed,
      afterDense,
      sharedAfterDense,
      yarn,
      keys({ "rope.scaling.yarn_log_multiplier": 0.08, "rope.scaling.attn_factor": 1.2 }),
    ),
  },
  openelm: { plain: mix(gate, qk, tied, fused) },
};
