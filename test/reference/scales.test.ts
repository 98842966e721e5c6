/**
 * Numbers that lie beside whole matrices (`.scale`, as NVFP4 files have them): beside those of experts, of heads, of projections, of the embedding and
 * of the output, the engine against the float64 reference.
 */
import { afterAll, expect, it } from "vitest";
import { decoderLogits } from "../../reference/decoders.ts";
import { readNumbers } from "../../reference/llama.ts";
import { distance, openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { mix, type Toy, toy } from "../models/toy.ts";
import { toys } from "../models/toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

const tokens = [3, 17, 40, 5, 5, 29, 11];
/** Rounding of the engine's sums, as a share of the greatest logit. */
const ENGINE = 1e-5;

const experts = (count: number): Toy => ({
  tensors: Object.fromEntries(["gate", "up", "down"].map(part => [`blk.{i}.ffn_${part}_exps.scale`, [count]])),
});
const ends: Toy = { tensors: { "token_embd.scale": [1], "output.scale": [1] } };
const projections: Toy = { tensors: { "blk.{i}.attn_q.scale": [1], "blk.{i}.attn_output.scale": [1], "blk.{i}.attn_q.input_scale": [1] } };
const { plain } = toys.qwen3moe;
/** Latent attention by an index, in whose matrices every head has a part. */
const latent: Toy = {
  keys: {
    "attention.kv_lora_rank": 16,
    "attention.q_lora_rank": 32,
    "attention.key_length_mla": 24,
    "attention.value_length_mla": 16,
    "attention.key_length": 24,
    "attention.value_length": 16,
    "attention.head_count_kv": 1,
    "attention.indexer.head_count": 4,
    "attention.indexer.key_length": 16,
    "attention.indexer.top_k": 4,
    "rope.dimension_count": 8,
    expert_count: 6,
    expert_used_count: 2,
    expert_feed_forward_length: 32,
    expert_gating_func: 2,
    expert_weights_norm: true,
    leading_dense_block_count: 1,
  },
  tensors: { "blk.{i}.attn_k_b.weight": [16, 16, 4], "blk.{1-3}.ffn_gate_inp.weight": [1], "blk.{1-3}.ffn_gate_exps.weight": [1] },
};
const heads: Toy = { tensors: { "blk.{i}.attn_k_b.scale": [4], "blk.{i}.attn_v_b.scale": [1] } };

const cases: readonly (readonly [what: string, architecture: string, base: Toy, scales: Toy])[] = [
  ["every expert its own", "qwen3moe", plain, experts(6)],
  ["one for all experts", "qwen3moe", plain, experts(1)],
  ["embedding, output and projections", "qwen3moe", plain, mix(ends, projections)],
  ["an embedding that is the output, too", "qwen3moe", mix(plain, { tied: true }), { tensors: { "token_embd.scale": [1] } }],
  ["heads", "deepseek32", latent, heads],
];

it.each(cases)("%s", async (_, architecture, base, scales) => {
  const [bare, path] = [await folder.write(toy(architecture, base)), await folder.write(toy(architecture, mix(base, scales)))];
  const truth = decoderLogits(architecture, readNumbers(path), tokens).map(row => Float64Array.from(row));
  const engine = await openEngine(path);
  const own = engine.feed(engine.stepper.newSequence(), tokens, 4);
  await engine.close();
  expect(distance(own, truth)).toBeLessThan(ENGINE);
  // The scales count: without them the logits are others.
  const without = decoderLogits(architecture, readNumbers(bare), tokens).map(row => Float32Array.from(row));
  expect(distance(without, truth)).toBeGreaterThan(100 * ENGINE);
});
