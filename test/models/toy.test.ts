/**
 * Architectures for which there is no record of llama.cpp: toy models of them run, and a prompt whole, in pieces, token by token and beside
 * another sequence gives the same logits in every bit. That the numbers are the right ones is not shown here.
 */
import { afterAll, expect, it } from "vitest";
import { openEngine, sameRows } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { besideAnother, fed } from "./feeding.ts";
import { type Toy, toy, VOCABULARY } from "./toy.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

const gate = { "blk.{i}.ffn_gate.weight": [32, 64] };
const routed = { "blk.{i}.ffn_gate_inp.weight": [32, 6], "blk.{i}.ffn_gate_exps.weight": [32, 32, 6] };
const biased = { ...routed, "blk.{i}.exp_probs_b.bias": [6] };
const shared = { "blk.{i}.ffn_up_shexp.weight": [32, 48], "blk.{i}.ffn_gate_shexp.weight": [32, 48] };
const qk = { "blk.{i}.attn_q_norm.weight": [16], "blk.{i}.attn_k_norm.weight": [16] };
const latent = {
  "attention.kv_lora_rank": 16,
  "attention.q_lora_rank": 24,
  "attention.key_length_mla": 24,
  "attention.value_length_mla": 16,
  "rope.dimension_count": 8,
};

const toys: Readonly<Record<string, Toy & { readonly of?: string }>> = {
  "llama with experts": { of: "llama", tensors: routed },
  "llama with biases": {
    of: "llama",
    tensors: { ...gate, "blk.{i}.attn_q.bias": [64], "blk.{i}.attn_k.bias": [32], "blk.{i}.attn_output.bias": [32] },
  },
  orion: { tensors: gate },
  smollm3: { tensors: gate },
  baichuan: { tensors: gate },
  starcoder: { tensors: { "position_embd.weight": [32, 64] } },
  starcoder2: {},
  bloom: {},
  "command-r": { tensors: { ...gate, "blk.{i}.attn_q_norm.weight": [16, 4], "blk.{i}.attn_k_norm.weight": [16, 2] } },
  cohere2: { tensors: gate },
  cohere2moe: { keys: { leading_dense_block_count: 0 }, tensors: { ...routed, ...shared } },
  "bitnet-b1.58": { tensors: { ...gate, "blk.{i}.attn_q.scale": [1] } },
  deci: { keys: { "attention.head_count": [4, 0, 4, 4], "attention.head_count_kv": [2, 0, 2, 2], feed_forward_length: [64, 64, 0, 32] } },
  qwen2moe: { tensors: { ...routed, ...shared, "blk.{i}.ffn_gate_inp_shexp.weight": [32] } },
  granitemoe: { tensors: routed },
  "minimax-m2": { tensors: { ...biased, "blk.{i}.attn_q_norm.weight": [64], "blk.{i}.attn_k_norm.weight": [32] } },
  bailingmoe2: {
    keys: { expert_group_count: 3, expert_group_used_count: 2, expert_gating_func: 2 },
    tensors: { ...biased, ...shared, ...qk, "blk.{i}.attn_qkv.weight": [32, 128] },
  },
  "ernie4_5-moe": { tensors: { ...biased, ...shared } },
  "hunyuan-dense": { tensors: { ...gate, ...qk } },
  glm4moe: {
    keys: { "rope.dimension_count": 8, nextn_predict_layers: 1 },
    tensors: { ...biased, ...shared, ...qk, "blk.3.nextn.eh_proj.weight": [64, 32] },
  },
  "exaone-moe": { tensors: { ...biased, ...shared, ...qk } },
  afmoe: {
    keys: { expert_gating_func: 2, expert_weights_scale: 2.5 },
    tensors: { ...biased, ...shared, ...qk, "blk.{i}.attn_gate.weight": [32, 64] },
  },
  laguna: { tensors: { ...biased, ...shared, ...qk, "blk.{i}.attn_gate.weight": [32, 4] } },
  mimo2: {
    keys: { "attention.value_length": 8, "attention.sliding_window_pattern": [0, 1, 1, 0], "attention.value_scale": 0.7 },
    tensors: { ...biased, "blk.{i}.attn_sinks.weight": [4] },
  },
  step35: {
    keys: { "attention.sliding_window_pattern": [0, 1, 1, 0], swiglu_clamp_exp: [0, 1.5, 0, 2], swiglu_clamp_shexp: [0, 0, 1, 2] },
    tensors: { ...biased, ...shared, ...qk, "blk.{i}.attn_gate.weight": [32, 4] },
  },
  "muse-glimmer": { tensors: { ...gate, ...qk, "blk.{i}.attn_gate.weight": [32, 64] } },
  grok: { tensors: routed },
  apertus: { keys: { "xielu.alpha_n": [0.1, 0.2, 0.3, 0.4], "xielu.alpha_p": 0.8, "xielu.beta": 0.5, "xielu.eps": -1e-6 }, tensors: qk },
  mistral4: { keys: latent, tensors: { ...biased, ...shared, "blk.{i}.attn_k_b.weight": [16, 16, 4] } },
  "deepseek2 with kv_b": { of: "deepseek2", keys: latent, tensors: gate },
  gemma4: {
    keys: {
      "attention.sliding_window_pattern": [1, 0, 1, 0],
      "attention.key_length_swa": 8,
      "attention.shared_kv_layers": 2,
      embedding_length_per_layer_input: 8,
      "rope.dimension_count_swa": 8,
      final_logit_softcapping: 30,
    },
    tensors: {
      ...gate,
      ...qk,
      "blk.0.attn_q_norm.weight": [8],
      "blk.0.attn_k_norm.weight": [8],
      "blk.2.attn_q_norm.weight": [8],
      "rope_freqs.weight": [8],
    },
  },
  "gemma4 with experts": {
    of: "gemma4",
    keys: { "attention.sliding_window_pattern": [1, 1, 1, 0] },
    tensors: { ...gate, ...qk, ...routed, "blk.{i}.ffn_gate_inp.scale": [32], "blk.{i}.ffn_down_exps.scale": [6] },
  },
};

it.each(Object.entries(toys))("%s", async (name, { of = name, ...shape }) => {
  const path = await folder.write(toy(of, shape));
  const engine = await openEngine(path, { context: 64, maxTokens: 40 });
  try {
    const random = new Random(3);
    const ids = Array.from({ length: 37 }, () => random.below(VOCABULARY));
    const whole = fed(engine, ids, ids.length);
    expect(whole.every(row => row.every(Number.isFinite))).toBe(true);
    expect(sameRows(whole.slice(0, 1), whole.slice(1, 2))).toBe(false);
    for (const chunk of [10, 1]) expect(sameRows(fed(engine, ids, chunk), whole), `in pieces of ${chunk}`).toBe(true);
    expect(sameRows(besideAnother(engine, ids), whole), "beside another sequence").toBe(true);
  } finally {
    await engine.close();
  }
});
