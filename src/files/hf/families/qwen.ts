/**
 * Qwen 2 to 3.5, and families that are built the same way. Qwen3-Next and 3.5 mix full attention with gated delta nets, whose heads GGUF has
 * in another order.
 *
 * Source: transformers `models/qwen2` to `models/qwen3_5`, llama.cpp `conversion/qwen.py`.
 */
import type { Config } from "../config.ts";
import { type Family, plusOne, type Repair, reordered, splitStack, squeezed } from "../family.ts";
import * as keys from "../keys.ts";
import { gathered, joined, type LazyTensor, mapped, rowOf, transposed } from "../lazy.ts";
import { apart, decoderNames, feedForward } from "./llama.ts";

const sharedWidth = keys.u32("expert_shared_feed_forward_length", "shared_expert_intermediate_size", "omit");

/** Streams of rotary positions (time, height, width, none). */
const sections =
  (fallback?: readonly number[]): keys.Keys =>
  config => {
    const paths = "rope_scaling.mrope_section | rope_parameters.mrope_section";
    const given = fallback && !config.has(paths) ? fallback : config.numbers(paths);
    return [["rope.dimension_sections", { of: "i32", items: Int32Array.from({ length: 4 }, (_, i) => given[i] ?? 0) }]];
  };

const deepstack: keys.Keys = config => [
  ["n_deepstack_layers", keys.typed("u32", config.numbers("vision_config.deepstack_visual_indexes").length)],
];

/** Experts stored as [experts, inputs, outputs], with gate and up beside each other. */
const turnedExperts: Readonly<Record<string, Repair>> = {
  ffn_gate_up_exps: tensor => {
    const [gate, up] = splitStack(transposed(tensor), false);
    return { ffn_gate_exps: gate, ffn_up_exps: up };
  },
  ffn_down_exps: tensor => transposed(tensor),
};

interface Heads {
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyLength: number;
  readonly valueLength: number;
}

const headsOf = (config: Config): Heads => ({
  keyHeads: config.size("linear_num_key_heads", undefined, { min: 1 }),
  valueHeads: config.size("linear_num_value_heads", undefined, { min: 1 }),
  keyLength: config.size("linear_key_head_dim", undefined, { min: 1 }),
  valueLength: config.size("linear_value_head_dim", undefined, { min: 1 }),
});

/**
 * Value heads lie grouped by the key head that they belong to; GGUF has the first of every group, then the second. Gives the old place of
 * the value at place i, for `length` values a head.
 */
function tiled({ keyHeads, valueHeads }: Heads, length: number): (i: number) => number {
  const each = valueHeads / keyHeads;
  return i => {
    const head = Math.floor(i / length);
    return ((head % keyHeads) * each + Math.floor(head / keyHeads)) * length + (i % length);
  };
}

/** Reorders the outputs behind the first `fixed`, which belong to queries and keys. */
const valueOutputs =
  (length: (heads: Heads) => number, fixed: (heads: Heads) => number = () => 0): Repair =>
  (tensor, { config }) => {
    const heads = headsOf(config);
    const [first, order] = [fixed(heads), tiled(heads, length(heads))];
    const total = first + heads.valueHeads * length(heads);
    return reordered(tensor, total, i => (i < first ? i : first + order(i - first)));
  };

const queriesAndKeys = ({ keyHeads, keyLength }: Heads): number => 2 * keyHeads * keyLength;
const valueLength = (heads: Heads): number => heads.valueLength;
const one = (): number => 1;

/** The inputs of the output projection are value heads: whole blocks move where a head is whole blocks, else values do. */
const valueInputs: Repair = (tensor, { config }) => {
  const heads = headsOf(config);
  const unit = heads.valueLength;
  const each = rowOf(tensor) / unit;
  const order = tiled(heads, 1);
  return gathered(tensor, tensor.shape, unit, run => run - (run % each) + order(run % each));
};

const decay = (tensor: LazyTensor): LazyTensor => mapped(tensor, x => -Math.exp(x));

const then =
  (...repairs: readonly ((tensor: LazyTensor, site: Parameters<Repair>[1]) => LazyTensor)[]): Repair =>
  (tensor, site) =>
    repairs.reduce((t, repair) => repair(t, site), tensor);
const single = (repair: Repair) => (tensor: LazyTensor, site: Parameters<Repair>[1]) => repair(tensor, site) as LazyTensor;

/** Projections of Qwen3-Next: for each key head its query, its key, its values and their gates. */
const separated: Repair = (tensor, { config }) => {
  const heads = headsOf(config);
  const { keyHeads, keyLength } = heads;
  const values = (heads.valueHeads / keyHeads) * heads.valueLength;
  const stride = 2 * keyLength + 2 * values;
  const part = (start: number, length: number): LazyTensor =>
    reordered(tensor, keyHeads * length, i => Math.floor(i / length) * stride + start + (i % length));
  const [q, k, v] = [part(0, keyLength), part(keyLength, keyLength), part(2 * keyLength, values)];
  const qkv = joined([q, k, v], [2 * keyHeads * keyLength + keyHeads * values, rowOf(tensor)]);
  return { attn_qkv: qkv, attn_gate: part(2 * keyLength + values, values) };
};

const linearKeys: keys.Keys = config => {
  const heads = headsOf(config);
  const rotary = config.number("partial_rotary_factor | rope_parameters.partial_rotary_factor", 0.25);
  return [
    ...keys.u32("ssm.conv_kernel", "linear_conv_kernel_dim")(config),
    ["ssm.state_size", keys.typed("u32", heads.keyLength)],
    ["ssm.group_count", keys.typed("u32", heads.keyHeads)],
    ["ssm.time_step_rank", keys.typed("u32", heads.valueHeads)],
    ["ssm.inner_size", keys.typed("u32", heads.valueLength * heads.valueHeads)],
    ...keys.u32("full_attention_interval", "full_attention_interval", 4)(config),
    ["rope.dimension_count", keys.typed("u32", Math.floor(keys.headDimOf(config) * rotary))],
  ];
};

const linear = {
  "linear_attn.conv1d": "ssm_conv1d",
  "linear_attn.A_log": "ssm_a",
  "linear_attn.dt_bias": "ssm_dt.bias",
  "linear_attn.norm": "ssm_norm",
  "linear_attn.out_proj": "ssm_out",
};
const hybridNames = (more: Readonly<Record<string, string>>) =>
  decoderNames(feedForward, linear, more, { post_attention_layernorm: "post_attention_norm" });

const shifted = Object.fromEntries(
  ["output_norm", "attn_norm", "post_attention_norm", "attn_q_norm", "attn_k_norm"].map(norm => [norm, plusOne]),
);

const hybrid = (from: readonly string[], to: string, names: Readonly<Record<string, string>>, more: Partial<Family>): Family =>
  apart(from, to, {
    ...more,
    names: hybridNames(names),
    unused: /^(model\.)?mtp\./,
    keys: [sharedWidth, linearKeys, ...(more.keys ?? [])],
  });

const nextNames = { "linear_attn.in_proj_qkvz": "in_proj_qkvz", "linear_attn.in_proj_ba": "ssm_ba" };
const names35 = {
  "linear_attn.in_proj_qkv": "attn_qkv",
  "linear_attn.in_proj_z": "attn_gate",
  "linear_attn.in_proj_a": "ssm_alpha",
  "linear_attn.in_proj_b": "ssm_beta",
};

const repairs35: Readonly<Record<string, Repair>> = {
  ...shifted,
  attn_qkv: valueOutputs(valueLength, queriesAndKeys),
  attn_gate: valueOutputs(valueLength),
  ssm_alpha: valueOutputs(one),
  ssm_beta: valueOutputs(one),
  ssm_dt: valueOutputs(one),
  ssm_a: then(decay, single(valueOutputs(one))),
  ssm_conv1d: then(single(squeezed), single(valueOutputs(valueLength, queriesAndKeys))),
  ssm_out: valueInputs,
};

export const qwenFamilies: readonly Family[] = [
  apart(["Qwen2ForCausalLM", "Qwen2Model"], "qwen2"),
  apart(["Qwen2MoeForCausalLM"], "qwen2moe", { keys: [sharedWidth] }),
  apart(["Qwen3ForCausalLM", "Qwen3Model"], "qwen3"),
  apart(["Qwen3MoeForCausalLM"], "qwen3moe"),
  apart(["Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"], "qwen2vl", { keys: [sections()] }),
  apart(["Qwen3VLForConditionalGeneration"], "qwen3vl", { keys: [sections(), deepstack] }),
  apart(["Qwen3VLMoeForConditionalGeneration"], "qwen3vlmoe", { keys: [sections(), deepstack], repairs: turnedExperts }),
  hybrid(["Qwen3NextForCausalLM"], "qwen3next", nextNames, {
    repairs: { ...shifted, in_proj_qkvz: separated, ssm_a: decay, ssm_conv1d: squeezed },
  }),
  hybrid(["Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"], "qwen35", names35, {
    keys: [sections([11, 11, 10, 0])],
    repairs: repairs35,
  }),
  hybrid(["Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration"], "qwen35moe", names35, {
    keys: [sections([11, 11, 10, 0])],
    repairs: repairs35,
  }),
];
