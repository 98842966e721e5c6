/**
 * The toys of every architecture, in variations that reach what its files may differ in. Compared with llama.cpp by bench/peers/agree.mjs, and with
 * the record of that by the test beside.
 */
import { mix, type Toy } from "./toy.ts";

const keys = (k: NonNullable<Toy["keys"]>): Toy => ({ keys: k });
const each = (...names: readonly string[]): Toy => ({ tensors: Object.fromEntries(names.map(n => [`blk.{i}.${n}`, [1]])) });
/** The same of some layers; `range` as "1-3". */
const some = (range: string, ...names: readonly string[]): Toy => ({
  tensors: Object.fromEntries(names.map(n => [`blk.{${range}}.${n}`, [1]])),
});
const tied: Toy = { tied: true };

const gate = each("ffn_gate.weight");
/** Heads whose sizes make up the model's width. */
const narrow = keys({ "attention.key_length": 8, "attention.value_length": 8, "rope.dimension_count": 8 });
const single = keys({ "attention.head_count_kv": 4 });
const qk = each("attn_q_norm.weight", "attn_k_norm.weight");
const qkvBias = each("attn_q.bias", "attn_k.bias", "attn_v.bias");
const fused: Toy = { tensors: { "blk.{i}.attn_qkv.weight": [1] } };

const counts = keys({ expert_count: 6, expert_used_count: 2, expert_feed_forward_length: 32 });
const routed = mix(counts, each("ffn_gate_inp.weight", "ffn_gate_exps.weight"));
/** Of families whose experts are as wide as feed_forward_length says. */
const routedWide = mix(routed, keys({ expert_feed_forward_length: undefined, feed_forward_length: 32 }));
const selection = each("exp_probs_b.bias");
const sharedKeys = keys({ expert_shared_count: 1, expert_shared_feed_forward_length: 32 });
const sharedIn = (range: string): Toy =>
  mix(sharedKeys, { tensors: { [`blk.{${range}}.ffn_up_shexp.weight`]: [32, 32], [`blk.{${range}}.ffn_gate_shexp.weight`]: [32, 32] } });
const shared = sharedIn("0-3");
/** A dense layer before those with experts. */
const afterDense = mix(
  counts,
  keys({ leading_dense_block_count: 1 }),
  { tensors: { "blk.0.ffn_gate.weight": [1] } },
  some("1-3", "ffn_gate_inp.weight", "ffn_gate_exps.weight"),
);
const biasedAfterDense = mix(afterDense, some("1-3", "exp_probs_b.bias"));
const sharedAfterDense = sharedIn("1-3");
const sigmoid = keys({ expert_gating_func: 2 });
const weights = keys({ expert_weights_norm: true, expert_weights_scale: 2.5 });
const groups = keys({ expert_group_count: 3, expert_group_used_count: 2 });

const latent = keys({
  "attention.kv_lora_rank": 16,
  "attention.q_lora_rank": 24,
  "attention.key_length_mla": 24,
  "attention.value_length_mla": 16,
  "attention.key_length": 24,
  "attention.value_length": 16,
  "attention.head_count_kv": 1,
  "rope.dimension_count": 8,
});
const absorbed: Toy = { tensors: { "blk.{i}.attn_k_b.weight": [16, 16, 4] } };
const yarn = keys({
  "rope.scaling.type": "yarn",
  "rope.scaling.factor": 4,
  "rope.scaling.original_context_length": 16,
});
const linear = keys({ "rope.scaling.type": "linear", "rope.scaling.factor": 4 });
const longrope = (dim: number): Toy => ({
  keys: { "rope.scaling.type": "longrope", "rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": 1.19 },
  tensors: { "rope_factors_long.weight": [dim / 2], "rope_factors_short.weight": [dim / 2] },
});
const freqs: Toy = { tensors: { "rope_freqs.weight": [8] } };

const mamba2 = keys({ "ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.time_step_rank": 4, "ssm.group_count": 2 });
const mamba1 = keys({ "ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.time_step_rank": 8 });
/** Convolution and its bias in some layers. */
const convolution = (channels: number, range: string, bias = true): Toy => ({
  tensors: {
    [`blk.{${range}}.ssm_conv1d.weight`]: [4, channels],
    ...(bias ? { [`blk.{${range}}.ssm_conv1d.bias`]: [1] } : {}),
  },
});
const deltaKeys = keys({
  "ssm.conv_kernel": 4,
  "ssm.inner_size": 64,
  "ssm.state_size": 16,
  "ssm.time_step_rank": 4,
  "ssm.group_count": 2,
  "rope.dimension_sections": [3, 3, 2, 0],
  full_attention_interval: 2,
});

/** Convolutions of 2 x 2 key heads and 4 value heads of 16 in the layers that have a state. */
const delta = mix(deltaKeys, convolution(128, "0-0", false), convolution(128, "2-2", false));

/** A block that predicts the token after the next; the decoder itself does not use it. */
const nextn = (i: number): Record<string, readonly number[]> => ({
  [`blk.${i}.attn_norm.weight`]: [32],
  [`blk.${i}.attn_q.weight`]: [32, 64],
  [`blk.${i}.attn_k.weight`]: [32, 32],
  [`blk.${i}.attn_v.weight`]: [32, 32],
  [`blk.${i}.attn_output.weight`]: [64, 32],
  [`blk.${i}.ffn_norm.weight`]: [32],
  [`blk.${i}.ffn_up.weight`]: [32, 64],
  [`blk.${i}.ffn_down.weight`]: [64, 32],
  [`blk.${i}.nextn.eh_proj.weight`]: [64, 32],
  [`blk.${i}.nextn.enorm.weight`]: [32],
  [`blk.${i}.nextn.hnorm.weight`]: [32],
});

type Variations = Readonly<Record<string, Toy>>;

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
    absorbed: mix(
      latent,
      keys({ "attention.key_length": 24, "attention.value_length": 16 }),
      absorbed,
      biasedAfterDense,
      sharedAfterDense,
      sigmoid,
    ),
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
  "muse-glimmer": {
    plain: mix(gate, qk, each("attn_gate.weight"), keys({ logit_scale: 0.8, final_logit_softcapping: 15, "rope.freq_base_swa": 500 })),
  },
  seed_oss: { biases: mix(gate, qkvBias) },
  apertus: {
    plain: mix(
      qk,
      keys({
        "xielu.alpha_n": [0.1, 0.2, 0.3, 0.4],
        "xielu.alpha_p": [0.8, 0.7, 0.6, 0.5],
        "xielu.beta": [0.5, 0.5, 0.5, 0.5],
        "xielu.eps": [-1e-6, -1e-6, -1e-6, -1e-6],
      }),
    ),
    "llama 3 factors": mix(
      qk,
      freqs,
      keys({
        "xielu.alpha_n": [0.1, 0.2, 0.3, 0.4],
        "xielu.alpha_p": [0.8, 0.7, 0.6, 0.5],
        "xielu.beta": [0.5, 0.5, 0.5, 0.5],
        "xielu.eps": [-1e-6, -1e-6, -1e-6, -1e-6],
      }),
    ),
  },
  "pangu-embedded": { biases: mix(gate, qkvBias, each("attn_output.bias")) },
  paddleocr: { sections: mix(gate, keys({ "rope.dimension_sections": [4, 2, 2, 0] })) },
};

/** llama.cpp v0.5.0 does not read the epsilon of qwen2vl and norms with 0, whatever the file says; so small a one agrees with both. */
const qwen2vl = mix(gate, narrow, qkvBias, keys({ "attention.layer_norm_rms_epsilon": 1e-12 }));

const qwens: Readonly<Record<string, Variations>> = {
  qwen2: { yarn: mix(gate, narrow, qkvBias, yarn), tied: mix(gate, narrow, qkvBias, tied) },
  qwen2vl: {
    sections: mix(qwen2vl, keys({ "rope.dimension_sections": [1, 1, 2, 0] })),
    rest: mix(qwen2vl, keys({ "rope.dimension_sections": [1, 1, 1, 1] })),
  },
  qwen2moe: { shared: mix(routed, narrow, qkvBias, sharedKeys, shared, { tensors: { "blk.{i}.ffn_gate_inp_shexp.weight": [32] } }) },
  qwen3: { tied: mix(gate, qk, tied), yarn: mix(gate, qk, yarn), pooled: mix(gate, qk, keys({ pooling_type: 3 })) },
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
  "gemma-embedding": { mean: mix(gate, qk, tied, keys({ pooling_type: 1, block_count: 7 })) },
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

const experts: Readonly<Record<string, Variations>> = {
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
    plain: mix(
      biasedAfterDense,
      sharedAfterDense,
      qk,
      sigmoid,
      weights,
      keys({ "attention.sliding_window_pattern": [true, true, false, true] }),
    ),
  },
  exaone4: { small: mix(gate, qk, narrow), large: mix(gate, qk, narrow, keys({ block_count: 64 })) },
  afmoe: { plain: mix(biasedAfterDense, sharedAfterDense, qk, sigmoid, keys({ expert_weights_scale: 2.826 }), each("attn_gate.weight")) },
  laguna: {
    plain: mix(biasedAfterDense, sharedAfterDense, qk, sigmoid, weights, { tensors: { "blk.{i}.attn_gate.weight": [32, 4] } }),
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
      biasedAfterDense,
      sharedAfterDense,
      qk,
      sigmoid,
      weights,
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
  dots1: { plain: mix(single, biasedAfterDense, sharedAfterDense, qk, sigmoid, weights) },
  deepseek2: {
    absorbed: mix(
      latent,
      keys({ "attention.key_length": 24, "attention.value_length": 16 }),
      absorbed,
      biasedAfterDense,
      sharedAfterDense,
      sigmoid,
      weights,
      groups,
    ),
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

const classics: Readonly<Record<string, Variations>> = {
  starcoder: {
    plain: mix(narrow, keys({ "attention.head_count_kv": 1 }), {
      tensors: { "position_embd.weight": [32, 256], "blk.{i}.attn_qkv.weight": [1] },
    }),
  },
  starcoder2: { plain: narrow, tied: mix(narrow, tied) },
  bloom: { plain: mix(narrow, single, fused), tied: mix(narrow, single, fused, tied) },
  "command-r": {
    plain: mix(gate, narrow, tied, keys({ logit_scale: 0.4 })),
    normed: mix(gate, narrow, tied, keys({ logit_scale: 0.4, block_count: 64 }), {
      tensors: { "blk.{i}.attn_q_norm.weight": [8, 4], "blk.{i}.attn_k_norm.weight": [8, 2] },
    }),
  },
  cohere2: {
    plain: mix(gate, narrow, tied, keys({ logit_scale: 0.4 })),
    biases: mix(gate, narrow, tied, qkvBias, keys({ logit_scale: 0.4 })),
  },
  gpt2: { plain: mix(narrow, single, fused, { tensors: { "position_embd.weight": [32, 256] } }) },
  gptneox: {
    plain: mix(narrow, single, fused, keys({ use_parallel_residual: true })),
    "in turn": mix(narrow, single, fused, keys({ use_parallel_residual: false })),
  },
  stablelm: {
    small: mix(gate, qkvBias, narrow, keys({ "rope.dimension_count": 4 })),
    large: mix(gate, narrow, keys({ block_count: 40 }), {
      tensors: { "blk.{i}.attn_q_norm.weight": [8, 4], "blk.{i}.attn_k_norm.weight": [8, 2] },
    }),
  },
  mpt: {
    alibi: mix(narrow, single, fused, tied, keys({ "attention.max_alibi_bias": 8, "attention.clamp_kqv": 1.5 })),
    biases: mix(narrow, single, fused, tied, each("attn_qkv.bias", "attn_output.bias", "ffn_up.bias", "ffn_down.bias"), {
      tensors: { "position_embd.weight": [32, 256] },
    }),
  },
  bitnet: { scales: mix(gate, narrow, tied, each("attn_q.scale", "ffn_up.scale")) },
  "bitnet-b1.58": { plain: mix(gate, narrow, tied, each("attn_q.scale")) },
  refact: { plain: mix(gate, narrow) },
  "falcon-h1": {
    plain: mix(
      gate,
      mamba2,
      { tensors: { "blk.{i}.ssm_a": [1, 4], "blk.{i}.ssm_d": [1, 4], "blk.{i}.ffn_norm": [32] } },
      convolution(128, "0-3"),
    ),
    normed: mix(
      gate,
      mamba2,
      { tensors: { "blk.{i}.ssm_a": [1, 4], "blk.{i}.ssm_d": [1, 4], "blk.{i}.ffn_norm": [32] } },
      { tensors: { "blk.{i}.ssm_norm.weight": [32, 2] } },
      convolution(128, "0-3"),
      tied,
    ),
  },
  jamba: {
    mixed: mix(
      narrow,
      mamba1,
      convolution(64, "0-0"),
      convolution(64, "2-3"),
      some("0-0", "ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"),
      some("2-3", "ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"),
      { tensors: { "blk.{i}.ssm_a": undefined, "blk.0.ssm_a": [16, 64], "blk.2.ssm_a": [16, 64], "blk.3.ssm_a": [16, 64] } },
      gate,
      keys({ "attention.head_count_kv": [0, 2, 0, 0] }),
    ),
    experts: mix(
      narrow,
      mamba1,
      convolution(64, "0-0"),
      convolution(64, "2-3"),
      some("0-0", "ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"),
      some("2-3", "ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"),
      { tensors: { "blk.{i}.ssm_a": undefined, "blk.0.ssm_a": [16, 64], "blk.2.ssm_a": [16, 64], "blk.3.ssm_a": [16, 64] } },
      gate,
      keys({ "attention.head_count_kv": [0, 2, 0, 0] }),
      counts,
      { tensors: { "blk.1.ffn_gate_inp.weight": [1], "blk.1.ffn_gate_exps.weight": [1], "blk.1.ffn_gate.weight": undefined } },
      keys({ expert_feed_forward_length: undefined }),
    ),
  },
  nemotron_h: {
    mixed: mix(
      mamba2,
      convolution(128, "0-0"),
      convolution(128, "3-3"),
      {
        tensors: {
          "blk.0.ssm_a": [1, 4],
          "blk.3.ssm_a": [1, 4],
          "blk.0.ssm_d": [1, 4],
          "blk.3.ssm_d": [1, 4],
          "blk.0.ssm_norm.weight": [32, 2],
          "blk.3.ssm_norm.weight": [32, 2],
        },
      },
      keys({ "attention.head_count_kv": [0, 2, 0, 0], feed_forward_length: [0, 0, 64, 0] }),
    ),
  },
  "kimi-linear": {
    plain: mix(
      latent,
      {
        tensors: {
          "blk.2.attn_k_b.weight": [16, 16, 4],
          "blk.{0-1}.ssm_conv1d_q.weight": [4, 1, 64],
          "blk.{0-1}.ssm_conv1d_k.weight": [4, 1, 64],
          "blk.{0-1}.ssm_conv1d_v.weight": [4, 1, 64],
          "blk.{3-3}.ssm_conv1d_q.weight": [4, 1, 64],
          "blk.{3-3}.ssm_conv1d_k.weight": [4, 1, 64],
          "blk.{3-3}.ssm_conv1d_v.weight": [4, 1, 64],
          "blk.{0-1}.ssm_a": [1, 4],
          "blk.{0-1}.ssm_g_a.weight": [32, 16],
          "blk.{0-1}.ssm_g_b.weight": [16, 64],
          "blk.{0-1}.ssm_f_a.weight": [32, 16],
          "blk.{0-1}.ssm_f_b.weight": [16, 64],
          "blk.{3-3}.ssm_a": [1, 4],
          "blk.{3-3}.ssm_g_a.weight": [32, 16],
          "blk.{3-3}.ssm_g_b.weight": [16, 64],
          "blk.{3-3}.ssm_f_a.weight": [32, 16],
          "blk.{3-3}.ssm_f_b.weight": [16, 64],
        },
      },
      biasedAfterDense,
      sharedAfterDense,
      sigmoid,
      weights,
      keys({ "attention.head_count_kv": [0, 0, 1, 0], "attention.q_lora_rank": undefined, "kda.head_dim": 16, "ssm.conv_kernel": 4 }),
    ),
  },
  lfm2: {
    mixed: mix(
      gate,
      narrow,
      some("1-1", "attn_q_norm.weight", "attn_k_norm.weight"),
      some("3-3", "attn_q_norm.weight", "attn_k_norm.weight"),
      tied,
      keys({ "attention.head_count_kv": [0, 2, 0, 2], "shortconv.l_cache": 3 }),
      { tensors: { "token_embd_norm.weight": [32] } },
      ...[0, 2].map(i => ({ tensors: { [`blk.${i}.shortconv.conv.weight`]: [3, 32] } })),
    ),
  },
  lfm2moe: {
    experts: mix(
      narrow,
      biasedAfterDense,
      some("1-1", "attn_q_norm.weight", "attn_k_norm.weight"),
      some("3-3", "attn_q_norm.weight", "attn_k_norm.weight"),
      tied,
      sigmoid,
      keys({ "attention.head_count_kv": [0, 2, 0, 2], "shortconv.l_cache": 3 }),
      { tensors: { "token_embd_norm.weight": [32] } },
      ...[0, 2].map(i => ({ tensors: { [`blk.${i}.shortconv.conv.weight`]: [3, 32] } })),
    ),
  },
  arwkv7: {
    plain: mix(
      gate,
      keys({
        embedding_length: 128,
        "wkv.head_size": 64,
        "attention.head_count": 0,
        "attention.head_count_kv": undefined,
        "attention.decay_lora_rank": 8,
        "attention.iclr_lora_rank": 8,
        "attention.value_residual_mix_lora_rank": 8,
        "attention.gate_lora_rank": 8,
        token_shift_count: 1,
      }),
      {
        tensors: {
          "blk.{i}.time_mix_w1.weight": [128, 8],
          "blk.{i}.time_mix_a1.weight": [128, 8],
          "blk.{i}.time_mix_v1.weight": [128, 8],
          "blk.{i}.time_mix_g1.weight": [128, 8],
          "blk.{i}.time_mix_lerp_fused.weight": [128, 1, 1, 6],
          "blk.0.time_mix_v0.weight": [128],
          "blk.0.time_mix_v1.weight": [128, 8],
          "blk.0.time_mix_v2.weight": [8, 128],
        },
      },
    ),
    normed: mix(
      gate,
      keys({
        embedding_length: 128,
        "wkv.head_size": 64,
        "attention.head_count": 0,
        "attention.head_count_kv": undefined,
        "attention.decay_lora_rank": 8,
        "attention.iclr_lora_rank": 8,
        "attention.value_residual_mix_lora_rank": 8,
        "attention.gate_lora_rank": 8,
        token_shift_count: 1,
      }),
      {
        tensors: {
          "blk.{i}.time_mix_w1.weight": [128, 8],
          "blk.{i}.time_mix_a1.weight": [128, 8],
          "blk.{i}.time_mix_v1.weight": [128, 8],
          "blk.{i}.time_mix_g1.weight": [128, 8],
          "blk.{i}.time_mix_lerp_fused.weight": [128, 1, 1, 6],
          "blk.0.time_mix_v0.weight": [128],
          "blk.0.time_mix_v1.weight": [128, 8],
          "blk.0.time_mix_v2.weight": [8, 128],
        },
      },
      each("time_mix_ln.weight", "time_mix_ln.bias"),
    ),
    bare: mix(
      gate,
      keys({
        embedding_length: 128,
        "wkv.head_size": 64,
        "attention.head_count": 0,
        "attention.head_count_kv": undefined,
        "attention.decay_lora_rank": 8,
        "attention.iclr_lora_rank": 8,
        "attention.value_residual_mix_lora_rank": 8,
        token_shift_count: 1,
      }),
      {
        tensors: {
          "blk.{i}.time_mix_w1.weight": [128, 8],
          "blk.{i}.time_mix_a1.weight": [128, 8],
          "blk.{i}.time_mix_v1.weight": [128, 8],
          "blk.{i}.time_mix_lerp_fused.weight": [128, 1, 1, 5],
          "blk.0.time_mix_v0.weight": [128],
          "blk.0.time_mix_v1.weight": [128, 8],
          "blk.0.time_mix_v2.weight": [8, 128],
        },
      },
    ),
  },
  rwkv7: {
    plain: mix(
      keys({
        embedding_length: 128,
        "wkv.head_size": 64,
        "attention.head_count": 0,
        "attention.head_count_kv": undefined,
        "attention.decay_lora_rank": 8,
        "attention.iclr_lora_rank": 8,
        "attention.value_residual_mix_lora_rank": 8,
        "attention.gate_lora_rank": 8,
        token_shift_count: 2,
      }),
      {
        tensors: {
          "blk.{i}.time_mix_w1.weight": [128, 8],
          "blk.{i}.time_mix_a1.weight": [128, 8],
          "blk.{i}.time_mix_v1.weight": [128, 8],
          "blk.{i}.time_mix_g1.weight": [128, 8],
          "blk.{i}.time_mix_lerp_fused.weight": [128, 1, 1, 6],
          "blk.0.time_mix_v0.weight": [128],
          "blk.0.time_mix_v1.weight": [128, 8],
          "blk.0.time_mix_v2.weight": [8, 128],
        },
      },
      each("time_mix_ln.weight", "time_mix_ln.bias"),
    ),
  },
};

/** Two kinds of tokens. */
const types: Toy = {
  keys: { "tokenizer.ggml.token_type_count": 2, "tokenizer.ggml.mask_token_id": 5 },
  tensors: { "token_types.weight": [32, 2], "token_embd_norm.bias": [32] },
};
const afterBias = each("attn_output_norm.bias", "layer_output_norm.bias");

const encoders: Readonly<Record<string, Variations>> = {
  "nomic-bert": {
    mean: mix(gate, narrow, single, tied, fused, keys({ pooling_type: 1, "attention.causal": false }), types, afterBias),
    cls: mix(gate, narrow, single, tied, fused, keys({ pooling_type: 2, "attention.causal": false }), types, afterBias),
  },
  "nomic-bert-moe": {
    mean: mix(
      narrow,
      single,
      tied,
      fused,
      counts,
      keys({ expert_feed_forward_length: undefined }),
      keys({ pooling_type: 1, "attention.causal": false, moe_every_n_layers: 2 }),
      some("1-1", "ffn_gate_inp.weight"),
      some("3-3", "ffn_gate_inp.weight"),
      types,
      afterBias,
    ),
  },
  "jina-bert-v2": {
    mean: mix(
      gate,
      each("attn_output.bias", "ffn_down.bias"),
      narrow,
      single,
      tied,
      keys({ pooling_type: 1, "attention.causal": false }),
      types,
      afterBias,
      each("attn_output.bias"),
    ),
    normed: mix(
      gate,
      narrow,
      single,
      tied,
      each("attn_output.bias", "ffn_down.bias", "attn_q_norm.weight", "attn_q_norm.bias", "attn_k_norm.weight", "attn_k_norm.bias"),
      keys({ pooling_type: 1, "attention.causal": false }),
      types,
      afterBias,
    ),
  },
  "modern-bert": {
    mean: mix(
      fused,
      narrow,
      single,
      tied,
      { tensors: { "blk.{i}.ffn_up.weight": [32, 128] } },
      keys({ pooling_type: 1, "attention.causal": false, "rope.freq_base_swa": 500 }),
      some("1-3", "attn_norm.weight"),
    ),
  },
  "neo-bert": {
    mean: mix(
      narrow,
      single,
      tied,
      fused,
      { tensors: { "blk.{i}.ffn_up.weight": [32, 128] } },
      keys({ pooling_type: 1, "attention.causal": false }),
    ),
  },
};

export const toys: Readonly<Record<string, Variations>> = {
  ...llamas,
  ...qwens,
  ...gemmas,
  ...gemma4s,
  ...experts,
  ...classics,
  ...encoders,
};
