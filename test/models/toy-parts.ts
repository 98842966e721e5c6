/** What several families' toys have in common: tensors that go together, and the keys that announce them. */
import { mix, type Toy } from "./toy.ts";

export const keys = (k: NonNullable<Toy["keys"]>): Toy => ({ keys: k });
export const each = (...names: readonly string[]): Toy => ({ tensors: Object.fromEntries(names.map(n => [`blk.{i}.${n}`, [1]])) });
/** The same of some layers; `range` as "1-3". */
export const some = (range: string, ...names: readonly string[]): Toy => ({
  tensors: Object.fromEntries(names.map(n => [`blk.{${range}}.${n}`, [1]])),
});
export const tied: Toy = { tied: true };

export const gate = each("ffn_gate.weight");
/** Heads whose sizes make up the model's width. */
export const narrow = keys({ "attention.key_length": 8, "attention.value_length": 8, "rope.dimension_count": 8 });
export const single = keys({ "attention.head_count_kv": 4 });
export const qk = each("attn_q_norm.weight", "attn_k_norm.weight");
export const qkvBias = each("attn_q.bias", "attn_k.bias", "attn_v.bias");
export const fused: Toy = { tensors: { "blk.{i}.attn_qkv.weight": [1] } };

export const counts = keys({ expert_count: 6, expert_used_count: 2, expert_feed_forward_length: 32 });
export const routed = mix(counts, each("ffn_gate_inp.weight", "ffn_gate_exps.weight"));
/** Of families whose experts are as wide as feed_forward_length says. */
export const routedWide = mix(routed, keys({ expert_feed_forward_length: undefined, feed_forward_length: 32 }));
export const selection = each("exp_probs_b.bias");
export const sharedKeys = keys({ expert_shared_count: 1, expert_shared_feed_forward_length: 32 });
export const sharedIn = (range: string): Toy =>
  mix(sharedKeys, { tensors: { [`blk.{${range}}.ffn_up_shexp.weight`]: [32, 32], [`blk.{${range}}.ffn_gate_shexp.weight`]: [32, 32] } });
export const shared = sharedIn("0-3");
/** A dense layer before those with experts. */
export const afterDense = mix(
  counts,
  keys({ leading_dense_block_count: 1 }),
  { tensors: { "blk.0.ffn_gate.weight": [1] } },
  some("1-3", "ffn_gate_inp.weight", "ffn_gate_exps.weight"),
);
export const biasedAfterDense = mix(afterDense, some("1-3", "exp_probs_b.bias"));
export const sharedAfterDense = sharedIn("1-3");
export const sigmoid = keys({ expert_gating_func: 2 });
export const weights = keys({ expert_weights_norm: true, expert_weights_scale: 2.5 });
export const groups = keys({ expert_group_count: 3, expert_group_used_count: 2 });

export const latent = keys({
  "attention.kv_lora_rank": 16,
  "attention.q_lora_rank": 24,
  "attention.key_length_mla": 24,
  "attention.value_length_mla": 16,
  "attention.key_length": 24,
  "attention.value_length": 16,
  "attention.head_count_kv": 1,
  "rope.dimension_count": 8,
});
export const absorbed: Toy = { tensors: { "blk.{i}.attn_k_b.weight": [16, 16, 4] } };
/** Latent attention with its matrices apart, and routed experts after a dense layer. */
export const absorbedExperts = mix(
  latent,
  keys({ "attention.key_length": 24, "attention.value_length": 16 }),
  absorbed,
  biasedAfterDense,
  sharedAfterDense,
  sigmoid,
);
/** An index that chooses keys, with so many heads that no key scores exactly 0, and which of the layers have one. */
export const index = (types: readonly number[] | undefined): Toy =>
  keys({
    "attention.indexer.head_count": 32,
    "attention.indexer.key_length": 64,
    "attention.indexer.top_k": 6,
    "attention.indexer.types": types,
  });
export const sinks = each("attn_sinks.weight");
/** Layers that see a window only, by a list. */
export const windows = keys({ "attention.sliding_window_pattern": [true, false, true, true] });
export const yarn = keys({
  "rope.scaling.type": "yarn",
  "rope.scaling.factor": 4,
  "rope.scaling.original_context_length": 16,
});
export const linear = keys({ "rope.scaling.type": "linear", "rope.scaling.factor": 4 });
export const longrope = (dim: number): Toy => ({
  keys: { "rope.scaling.type": "longrope", "rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": 1.19 },
  tensors: { "rope_factors_long.weight": [dim / 2], "rope_factors_short.weight": [dim / 2] },
});
export const freqs: Toy = { tensors: { "rope_freqs.weight": [8] } };

export const mamba2 = keys({
  "ssm.conv_kernel": 4,
  "ssm.inner_size": 64,
  "ssm.state_size": 16,
  "ssm.time_step_rank": 4,
  "ssm.group_count": 2,
});
export const mamba1 = keys({ "ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.time_step_rank": 8 });
/** Convolution and its bias in some layers. */
export const convolution = (channels: number, range: string, bias = true): Toy => ({
  tensors: {
    [`blk.{${range}}.ssm_conv1d.weight`]: [4, channels],
    ...(bias ? { [`blk.{${range}}.ssm_conv1d.bias`]: [1] } : {}),
  },
});
export const deltaKeys = keys({
  "ssm.conv_kernel": 4,
  "ssm.inner_size": 64,
  "ssm.state_size": 16,
  "ssm.time_step_rank": 4,
  "ssm.group_count": 2,
  "rope.dimension_sections": [3, 3, 2, 0],
  full_attention_interval: 2,
});

/** Convolutions of 2 x 2 key heads and 4 value heads of 16 in the layers that have a state. */
export const delta = mix(deltaKeys, convolution(128, "0-0", false), convolution(128, "2-2", false));

/** A block that predicts the token after the next; the decoder itself does not use it. */
export const nextn = (i: number): Record<string, readonly number[]> => ({
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

export type Variations = Readonly<Record<string, Toy>>;
