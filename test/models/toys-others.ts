/** Toys of older decoders, of models with states, and of encoders. */

import { mix, type Toy } from "./toy.ts";
import {
  biasedAfterDense,
  convolution,
  counts,
  each,
  fused,
  gate,
  keys,
  latent,
  mamba1,
  mamba2,
  narrow,
  qkvBias,
  sharedAfterDense,
  sigmoid,
  single,
  some,
  tied,
  type Variations,
  weights,
} from "./toy-parts.ts";

/** RWKV-7: so many token shifts, and inputs that are mixed by their neighbours. */
const seven = (shifts: number, mixed: number): Toy =>
  mix(
    keys({
      embedding_length: 128,
      "wkv.head_size": 64,
      "attention.head_count": 0,
      "attention.head_count_kv": undefined,
      "attention.decay_lora_rank": 8,
      "attention.iclr_lora_rank": 8,
      "attention.value_residual_mix_lora_rank": 8,
      token_shift_count: shifts,
    }),
    {
      tensors: {
        "blk.{i}.time_mix_w1.weight": [128, 8],
        "blk.{i}.time_mix_a1.weight": [128, 8],
        "blk.{i}.time_mix_v1.weight": [128, 8],
        "blk.{i}.time_mix_lerp_fused.weight": [128, 1, 1, mixed],
        "blk.0.time_mix_v0.weight": [128],
        "blk.0.time_mix_v1.weight": [128, 8],
        "blk.0.time_mix_v2.weight": [8, 128],
      },
    },
  );
const sevenGated = (shifts: number): Toy =>
  mix(seven(shifts, 6), keys({ "attention.gate_lora_rank": 8 }), { tensors: { "blk.{i}.time_mix_g1.weight": [128, 8] } });

const jamba = mix(
  narrow,
  mamba1,
  convolution(64, "0-0"),
  convolution(64, "2-3"),
  some("0-0", "ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"),
  some("2-3", "ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"),
  { tensors: { "blk.{i}.ssm_a": undefined, "blk.0.ssm_a": [16, 64], "blk.2.ssm_a": [16, 64], "blk.3.ssm_a": [16, 64] } },
  gate,
  keys({ "attention.head_count_kv": [0, 2, 0, 0] }),
);

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
  gptj: { plain: mix(narrow, single, keys({ "rope.dimension_count": 4 }), { tensors: { "output.bias": [48] } }) },
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
  "bitnet-b1.58": { plain: mix(gate, narrow, tied, each("attn_q.scale")), untied: mix(gate, narrow) },
  "bitnet-25": { plain: mix(gate, narrow, tied, each("ffn_down.scale")) },
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
    mixed: jamba,
    experts: mix(
      jamba,
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
    plain: mix(gate, sevenGated(1)),
    normed: mix(gate, sevenGated(1), each("time_mix_ln.weight", "time_mix_ln.bias")),
    bare: mix(gate, seven(1, 5)),
  },
  rwkv7: { plain: mix(sevenGated(2), each("time_mix_ln.weight", "time_mix_ln.bias")) },
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

/** The reading half of T5. */
const reader: Toy = {
  keys: { "attention.relative_buckets_count": 8, "attention.causal": false, pooling_type: 1 },
  tensors: { "output_norm.weight": undefined, "enc.blk.{i}.ffn_gate.weight": [1], "enc.blk.0.attn_rel_b.weight": [4, 8] },
  tied: true,
};
const readers: Readonly<Record<string, Variations>> = { t5encoder: { mean: mix(narrow, single, reader) } };

export const otherToys: Readonly<Record<string, Variations>> = { ...classics, ...encoders, ...readers };
