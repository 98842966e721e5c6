/**
 * Llama 1 to 3.x and everything of that shape (Mistral, TinyLlama, SmolLM2, Yi ...): pre-RMSNorm, grouped-query attention with rotary
 * positions in neighbouring pairs, SwiGLU, tied or untied output. ARCHITECTURES 3.1.
 */
import { arch } from "../nn/arch.ts";
import {
  attend,
  checkHeads,
  embedding,
  input,
  layerPageBytes,
  linear,
  type Rotation,
  rmsNorm,
  type Step,
  swiglu,
  type Tensor,
} from "../nn/layers.ts";
import { ropeScaling, rotation, splitPairs } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";

/** One decoder layer: binds its weights, gives what a step does with the residual stream x. */
function decoderLayer(source: Source, i: number, c: { dim: number; hidden: number; eps: number; scale: number; kv: KvShape }) {
  const { dim, hidden, kv } = c;
  const at = `blk.${i}`;
  const [qRows, kvRows] = [kv.heads * kv.headDim, kv.kvHeads * kv.headDim];
  const order = splitPairs(kv.headDim, kv.ropeDim);
  const norm1 = rmsNorm(source, `${at}.attn_norm`, dim, c.eps);
  const norm2 = rmsNorm(source, `${at}.ffn_norm`, dim, c.eps);
  const q = linear(source, `${at}.attn_q`, dim, qRows, { order });
  const k = linear(source, `${at}.attn_k`, dim, kvRows, { order });
  const v = linear(source, `${at}.attn_v`, dim, kvRows);
  const out = linear(source, `${at}.attn_output`, qRows, dim);
  const gate = linear(source, `${at}.ffn_gate`, dim, hidden);
  const up = linear(source, `${at}.ffn_up`, dim, hidden);
  const down = linear(source, `${at}.ffn_down`, hidden, dim);
  return (step: Step, x: Tensor, turn: Rotation): void => {
    const a = norm1(step, x);
    const attended = attend(step, { ...kv, layer: i, rotation: turn, scale: c.scale }, q(step, a), k(step, a), v(step, a));
    out.addTo(step, input(step, attended), x);
    const f = norm2(step, x);
    down.addTo(step, swiglu(step, gate(step, f), up(step, f)), x);
  };
}

type KvShape = Readonly<Record<"headDim" | "ropeDim" | "heads" | "kvHeads", number>>;

export const llama = arch(["llama"], source => {
  const dim = source.size("embedding_length");
  const layers = source.size("block_count", { max: 1024 });
  const hidden = source.size("feed_forward_length");
  const heads = source.size("attention.head_count", { max: 4096 });
  const kvHeads = source.size("attention.head_count_kv", { max: heads, or: heads });
  const headDim = source.size("attention.key_length", { max: 1024, or: dim / heads });
  const ropeDim = source.size("rope.dimension_count", { max: headDim, or: headDim });
  const eps = source.number("attention.layer_norm_rms_epsilon");
  const scale = source.number("attention.scale", 0) || headDim ** -0.5;
  const base = source.positive("rope.freq_base", 10000);
  const scaling = ropeScaling(source);
  const kv = { headDim, ropeDim, heads, kvHeads };
  checkHeads(kv);

  const vocabulary = source.rows("token_embd.weight");
  const embed = embedding(source, "token_embd", dim);
  const norm = rmsNorm(source, "output_norm", dim, eps);
  const head = linear(source, "output", dim, vocabulary, { or: "token_embd" });
  const freqs = source.has("rope_freqs.weight") ? "rope_freqs.weight" : undefined;
  if (freqs) source.vector(freqs, ropeDim / 2);
  const blocks = Array.from({ length: layers }, (_, i) => decoderLayer(source, i, { dim, hidden, eps, scale, kv }));

  return {
    vocabulary,
    trainedContext: source.size("context_length", { max: 2 ** 30 }),
    pageBytes: layers * layerPageBytes(kv),
    describe: { layers, dim, hidden, heads, kvHeads, headDim },
    constants: freqs ? [freqs] : [],
    graph: (step, values) => {
      const turn = rotation({ dim: ropeDim, base, scaling, factors: freqs && values(freqs) });
      const x = embed(step);
      for (const block of blocks) step.graph.scope(() => block(step, x, turn));
      return head(step, norm(step, x, "wanted"));
    },
  };
});
