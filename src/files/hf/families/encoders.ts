/**
 * Encoders for embeddings and rankings: BERT and RoBERTa, Nomic's, ModernBERT.
 *
 * Source: transformers `models/bert`, `models/modernbert`; llama.cpp `conversion/bert.py`.
 */
import type { Config } from "../config.ts";
import { type Family, outputs, outputsOf, type Repair } from "../family.ts";
import * as keys from "../keys.ts";
import { block, type Names } from "../names.ts";

const embeddings: Names = {
  "embeddings.word_embeddings": "token_embd",
  "embeddings.position_embeddings": "position_embd",
  "embeddings.token_type_embeddings": "token_types",
  "embeddings.LayerNorm": "token_embd_norm",
};

const bertNames: Names = {
  ...embeddings,
  "classifier.dense": "cls",
  "classifier.out_proj": "cls.output",
  ...block("encoder.layer.#.", {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
  }),
};

/** Parts that serve training only, or pooling that embeddings do not use. */
const heads = /^((bert|roberta|model)\.)?(pooler|cls\.predictions|cls\.seq_relationship|lm_head|head|decoder)\./;

const encoder: readonly keys.Keys[] = [
  keys.sizes,
  keys.feedForward,
  keys.layerNorm,
  keys.fixed("attention.causal", keys.typed("bool", false)),
];

/** RoBERTa's positions begin behind the padding token. */
const skipped = (config: Config): number => 1 + config.size("pad_token_id", 1);

const robertaPositions: Repair = (tensor, { config }) => outputs(tensor, skipped(config), outputsOf(tensor) - skipped(config));
const robertaContext: keys.Keys = config => [
  ["context_length", keys.typed("u32", config.size("max_position_embeddings", undefined, { min: 3 }) - skipped(config))],
];

const nomicNames: Names = {
  ...embeddings,
  emb_ln: "token_embd_norm",
  ...block("encoder.layers.#.", {
    "attn.Wqkv": "attn_qkv",
    "attn.out_proj": "attn_output",
    norm1: "attn_output_norm",
    "mlp.fc11": "ffn_up",
    "mlp.fc12": "ffn_gate",
    "mlp.fc2": "ffn_down",
    norm2: "layer_output_norm",
  }),
};

const modernNames: Names = {
  "embeddings.tok_embeddings": "token_embd",
  "embeddings.norm": "token_embd_norm",
  final_norm: "output_norm",
  ...block("layers.#.", {
    attn_norm: "attn_norm",
    "attn.Wqkv": "attn_qkv",
    "attn.Wo": "attn_output",
    mlp_norm: "ffn_norm",
    "mlp.Wi": "ffn_up",
    "mlp.Wo": "ffn_down",
  }),
};

export const encoderFamilies: readonly Family[] = [
  {
    from: ["BertModel", "BertForMaskedLM"],
    to: "bert",
    names: bertNames,
    keys: [...encoder, keys.context(), keys.kvHeads],
    unused: heads,
  },
  {
    from: ["RobertaModel", "XLMRobertaModel", "XLMRobertaForSequenceClassification", "RobertaForSequenceClassification"],
    to: "bert",
    names: bertNames,
    repairs: { position_embd: robertaPositions },
    keys: [...encoder, robertaContext, keys.kvHeads],
    unused: heads,
  },
  {
    from: ["NomicBertModel"],
    to: "nomic-bert",
    names: nomicNames,
    keys: [...encoder, keys.context(), keys.kvHeads, keys.f32("rope.freq_base", "rotary_emb_base", 10000)],
    unused: heads,
  },
  {
    from: ["ModernBertModel", "ModernBertForMaskedLM"],
    to: "modern-bert",
    names: modernNames,
    keys: [
      ...encoder.filter(k => k !== keys.layerNorm),
      keys.f32("attention.layer_norm_epsilon", "norm_eps", 1e-5),
      keys.context(),
      keys.kvHeads,
      keys.f32("rope.freq_base", "global_rope_theta", 160000),
      keys.f32("rope.freq_base_swa", "local_rope_theta", 10000),
      keys.u32("attention.sliding_window", "local_attention", 128),
      keys.u32("attention.sliding_window_pattern", "global_attn_every_n_layers", 3),
    ],
    unused: heads,
  },
];
