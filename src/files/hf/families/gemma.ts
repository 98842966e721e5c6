/**
 * Gemma 1 to 3. Their configurations leave out what the code has as defaults, and their norms count from 1.
 *
 * Source: transformers `models/gemma` to `models/gemma3`, llama.cpp `conversion/gemma.py`.
 */
import { type Family, plusOne, type Repair } from "../family.ts";
import * as keys from "../keys.ts";
import { postNorm, preNorm } from "./llama.ts";

const norms = ["output_norm", "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm"];
const repairs: Readonly<Record<string, Repair>> = Object.fromEntries(norms.map(norm => [norm, plusOne]));

/** Keys with the defaults of the code: context, heads of keys and values, base of the rotary positions. */
const common = (context: number, kvHeads: number | undefined, base: number): readonly keys.Keys[] => [
  keys.u32("block_count", "num_hidden_layers"),
  keys.u32("embedding_length", "hidden_size"),
  keys.u32("vocab_size", "vocab_size", "omit"),
  keys.u32("attention.head_count", "num_attention_heads", 8),
  kvHeads === undefined ? keys.kvHeads : keys.u32("attention.head_count_kv", "num_key_value_heads", kvHeads),
  keys.context(context),
  keys.feedForward,
  keys.f32("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6),
  keys.u32("attention.key_length", "head_dim", 256),
  keys.u32("attention.value_length", "head_dim", 256),
  keys.u32("rope.dimension_count", "head_dim", 256),
  keys.f32("rope.freq_base", keys.THETA, base),
];

/** The output is the embedding, whatever else a file holds. */
const unused = /^(language_model\.)?lm_head\./;

const gemma3 = [
  ...common(131072, 4, 1_000_000),
  keys.scaledRope,
  keys.f32("rope.freq_base_swa", "rope_local_base_freq | rope_parameters.sliding_attention.rope_theta", "omit"),
  keys.f32("final_logit_softcapping", "final_logit_softcapping", "omit"),
  keys.u32("attention.sliding_window", "sliding_window"),
];

export const gemmaFamilies: readonly Family[] = [
  { from: ["GemmaForCausalLM"], to: "gemma", names: preNorm, repairs, keys: common(8192, undefined, 10000), unused },
  {
    from: ["Gemma2ForCausalLM"],
    to: "gemma2",
    names: postNorm,
    repairs,
    keys: [
      ...common(8192, undefined, 10000),
      keys.f32("attn_logit_softcapping", "attn_logit_softcapping", 50),
      keys.f32("final_logit_softcapping", "final_logit_softcapping", 30),
      keys.u32("attention.sliding_window", "sliding_window", 4096),
    ],
    unused,
  },
  { from: ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"], to: "gemma3", names: postNorm, repairs, keys: gemma3, unused },
];
