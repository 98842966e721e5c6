/**
 * From `config.json` to GGUF metadata: the words in which a family says which key takes its value from where, and the groups of keys that
 * many families share. Keys are without the architecture's name in front.
 *
 * Source: ggml `docs/gguf.md`; llama.cpp `src/llama-arch.cpp` (names of keys) and `conversion/` (which a model needs).
 */
import type { GgufInput, GgufTypedValue } from "../gguf-write.ts";
import { type Config, isObject, unsupported } from "./config.ts";

export type Pair = readonly [key: string, value: GgufInput];
/** Some metadata of a model. */
export type Keys = (config: Config) => Iterable<Pair>;

/** What to do where the configuration lacks a key: nothing (the key is left out), or a value. Without either it is an error. */
type Otherwise = number | "omit";

const numeric =
  (type: GgufTypedValue["type"], read: (config: Config, paths: string, fallback?: number) => number) =>
  (key: string, paths: string, otherwise?: Otherwise): Keys =>
  config => {
    if (otherwise === "omit" && !config.has(paths)) return [];
    return [[key, { type, value: read(config, paths, otherwise === "omit" ? undefined : otherwise) }]];
  };

/** A whole number. */
export const u32 = numeric("u32", (config, paths, fallback) => config.size(paths, fallback));
export const f32 = numeric("f32", (config, paths, fallback) => config.number(paths, fallback));

/** True or false; left out where absent. */
export const flag =
  (key: string, paths: string): Keys =>
  config =>
    config.has(paths) ? [[key, { type: "bool", value: config.boolean(paths) }]] : [];

/** A value that the architecture itself decides. */
export const fixed =
  (key: string, value: GgufInput): Keys =>
  () => [[key, value]];

export const typed = (type: GgufTypedValue["type"], value: number | boolean): GgufTypedValue => ({ type, value });

// Names of the same numbers in different families and generations.
const LAYERS = "num_hidden_layers | n_layer | num_layers | n_layers";
const HIDDEN = "hidden_size | n_embd | d_model";
const HEADS = "num_attention_heads | n_head | n_heads";
const KV_HEADS = "num_key_value_heads | n_head_kv | num_kv_heads | n_kv_heads | multi_query_group_num";
const CONTEXT = "max_position_embeddings | n_positions | n_ctx | max_sequence_length | seq_length | max_seq_len";
export const THETA = "rope_theta | rope_parameters.rope_theta | rope_parameters.full_attention.rope_theta | rotary_emb_base";

export const layersOf = (config: Config): number => config.size(LAYERS, undefined, { min: 1, max: 2 ** 16 });
export const hiddenOf = (config: Config): number => config.size(HIDDEN, undefined, { min: 1 });
export const headsOf = (config: Config): number => config.size(HEADS, undefined, { min: 1 });
export const kvHeadsOf = (config: Config): number => config.size(KV_HEADS, headsOf(config), { min: 1 });
export const headDimOf = (config: Config): number => config.size("head_dim", Math.floor(hiddenOf(config) / headsOf(config)), { min: 1 });

/** Values of a head that turn. */
export function rotaryOf(config: Config): number {
  const part = config.number("partial_rotary_factor | rope_parameters.partial_rotary_factor | rotary_pct | rope_pct", 1, {
    min: 0,
    max: 1,
  });
  return Math.floor(headDimOf(config) * part);
}

/** Sizes that every model has. */
export const sizes: Keys = config => [
  ["block_count", typed("u32", layersOf(config))],
  ["embedding_length", typed("u32", hiddenOf(config))],
  ["attention.head_count", typed("u32", headsOf(config))],
  ...u32("vocab_size", "vocab_size | padded_vocab_size")(config),
];

export const context = (fallback?: number): Keys => u32("context_length", CONTEXT, fallback);

export const feedForward = u32("feed_forward_length", "intermediate_size | n_inner | ffn_dim | ffn_hidden_size");
/** Of GPT-2's generation: four times the width unless the configuration says otherwise. */
export const fourfoldFeedForward: Keys = config => [
  ["feed_forward_length", typed("u32", config.size("intermediate_size | n_inner | ffn_hidden_size", 4 * hiddenOf(config)))],
];

export const kvHeads: Keys = config => [["attention.head_count_kv", typed("u32", kvHeadsOf(config))]];

export const rmsNorm = f32("attention.layer_norm_rms_epsilon", "rms_norm_eps | norm_eps | layernorm_epsilon");
export const layerNorm = f32("attention.layer_norm_epsilon", "layer_norm_epsilon | layer_norm_eps | norm_epsilon | norm_eps");

/** Lengths of keys and values, where the configuration gives them. */
export const headLength: Keys = config =>
  config.has("head_dim")
    ? [
        ["attention.key_length", typed("u32", headDimOf(config))],
        ["attention.value_length", typed("u32", headDimOf(config))],
      ]
    : [];

/** Rotary positions without scaling. */
export const plainRope: Keys = config => [
  ["rope.dimension_count", typed("u32", rotaryOf(config))],
  ...f32("rope.freq_base", THETA, 10000)(config),
];

/** The object that describes the scaling of rotary positions, of whatever generation; of models with kinds of layers, that of full ones. */
export interface RopeScaling {
  readonly kind: string;
  has(key: string): boolean;
  number(key: string, fallback?: number): number;
  numbers(key: string): readonly number[];
}

const scalingPaths = ["rope_scaling", "rope_parameters.full_attention", "rope_parameters"];

export function ropeScaling(config: Config): RopeScaling {
  const path = scalingPaths.find(p => isObject(config.find(p))) ?? scalingPaths[0];
  return {
    kind: config.string(`${path}.rope_type | ${path}.type`, "default"),
    has: key => config.has(`${path}.${key}`),
    number: (key, fallback) => config.number(`${path}.${key}`, fallback),
    numbers: key => config.numbers(`${path}.${key}`),
  };
}

/** Kinds that change nothing within the trained context, or that other tensors and keys carry. */
const carriedElsewhere = ["default", "none", "dynamic", "llama3", "mrope"];

/** Scaling by metadata. Throws `model.unsupported-arch` for a kind that is not known. */
export const scaledRope: Keys = config => {
  const scaling = ropeScaling(config);
  const { kind } = scaling;
  const optional = (key: string, name: string): Pair[] =>
    scaling.has(name) ? [[`rope.scaling.${key}`, typed("f32", scaling.number(name))]] : [];
  if (carriedElsewhere.includes(kind)) return [];
  if (kind === "linear") {
    return [
      ["rope.scaling.type", "linear"],
      ["rope.scaling.factor", typed("f32", scaling.number("factor"))],
    ];
  }
  if (kind === "longrope" || kind === "su") return [["rope.scaling.type", "longrope"]];
  if (kind !== "yarn") throw unsupported(`Rotary positions are scaled by the method "${kind}", which is not known`, { kind });
  return [
    ["rope.scaling.type", "yarn"],
    ["rope.scaling.factor", typed("f32", scaling.number("factor"))],
    ["rope.scaling.original_context_length", typed("u32", scaling.number("original_max_position_embeddings"))],
    ...optional("yarn_beta_fast", "beta_fast"),
    ...optional("yarn_beta_slow", "beta_slow"),
    ...optional("yarn_ext_factor", "extrapolation_factor"),
    ...optional("yarn_attn_factor", "attention_factor"),
  ];
};

export const rope: Keys = config => [...plainRope(config), ...scaledRope(config)];

/** 1 softmax, 2 sigmoid. */
const gatings: Readonly<Record<string, number>> = { softmax: 1, sigmoid: 2 };

/** Mixtures of experts. */
export const experts: Keys = config => {
  const scoring = config.string("scoring_func | score_function | moe_router_activation_func", "");
  return [
    ...u32("expert_count", "num_local_experts | num_experts | n_routed_experts")(config),
    ...u32("expert_used_count", "num_experts_per_tok | num_experts_per_token | moe_topk | moe_k")(config),
    ...u32("expert_feed_forward_length", "moe_intermediate_size", "omit")(config),
    ...u32("expert_group_count", "n_group", "omit")(config),
    ...u32("expert_group_used_count", "topk_group", "omit")(config),
    ...f32("expert_weights_scale", "routed_scaling_factor", "omit")(config),
    ...(Object.hasOwn(gatings, scoring) ? [["expert_gating_func", typed("u32", gatings[scoring])] as Pair] : []),
  ];
};

/** The keys of plain Llama-type decoders. */
export const decoder: readonly Keys[] = [sizes, context(), feedForward, kvHeads, headLength, rmsNorm, rope];
