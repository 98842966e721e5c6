/**
 * Llama 1 to 3.x and everything of that shape (Mistral, TinyLlama, SmolLM2, Yi ...): pre-RMSNorm, grouped-query attention with rotary
 * positions in neighbouring pairs, SwiGLU, tied or untied output. ARCHITECTURES 3.1.
 */
import { LatheError } from "../errors.ts";
import { arch } from "../nn/arch.ts";
import { attend, checkHeads, embedding, input, layerPageBytes, linear, rmsNorm, type Step, swiglu, type Tensor } from "../nn/layers.ts";
import { rotation, splitPairs } from "../nn/rope.ts";

export const llama = arch(["llama"], source => {
  const dim = source.size("embedding_length");
  const layers = source.size("block_count", { max: 1024 });
  const hidden = source.size("feed_forward_length");
  const heads = source.size("attention.head_count", { max: 4096 });
  const kvHeads = source.size("attention.head_count_kv", { max: heads, or: heads });
  const headDim = source.size("attention.key_length", { max: 1024, or: dim / heads });
  const ropeDim = source.size("rope.dimension_count", { max: headDim, or: headDim });
  const eps = source.number("attention.layer_norm_rms_epsilon");
  const base = source.number("rope.freq_base", 10000);
  const scaling = source.text("rope.scaling.type", "linear");
  if (scaling !== "linear" && scaling !== "none") {
    const message = `RoPE scaling "${scaling}" is not supported by this version, which runs "linear" and "none"; use another model.`;
    throw new LatheError("model.unsupported-arch", message, { scaling });
  }
  const linearScale = scaling === "linear" ? source.number("rope.scaling.factor", source.number("rope.scale_linear", 1)) || 1 : 1;
  checkHeads({ headDim, ropeDim, heads, kvHeads });

  const order = splitPairs(headDim, ropeDim);
  const vocabulary = source.rows("token_embd.weight");
  const embed = embedding(source, "token_embd", dim);
  const norm = rmsNorm(source, "output_norm", dim, eps);
  const head = linear(source, "output", dim, vocabulary, { or: "token_embd" });
  const freqs = source.has("rope_freqs.weight") ? "rope_freqs.weight" : undefined;
  if (freqs) source.vector(freqs, ropeDim / 2);
  const kv = { headDim, ropeDim, heads, kvHeads };

  const layer = (i: number) => {
    const at = `blk.${i}`;
    const norm1 = rmsNorm(source, `${at}.attn_norm`, dim, eps);
    const norm2 = rmsNorm(source, `${at}.ffn_norm`, dim, eps);
    const q = linear(source, `${at}.attn_q`, dim, heads * headDim, { order });
    const k = linear(source, `${at}.attn_k`, dim, kvHeads * headDim, { order });
    const v = linear(source, `${at}.attn_v`, dim, kvHeads * headDim);
    const out = linear(source, `${at}.attn_output`, heads * headDim, dim);
    const [gate, up] = ["ffn_gate", "ffn_up"].map(name => linear(source, `${at}.${name}`, dim, hidden));
    const down = linear(source, `${at}.ffn_down`, hidden, dim);
    return (step: Step, x: Tensor, turn: ReturnType<typeof rotation>): void => {
      const a = norm1(step, x);
      const attended = attend(step, { ...kv, layer: i, rotation: turn, scale: headDim ** -0.5 }, q(step, a), k(step, a), v(step, a));
      out.addTo(step, input(step, attended), x);
      const f = norm2(step, x);
      down.addTo(step, swiglu(step, gate(step, f), up(step, f)), x);
    };
  };
  const blocks = Array.from({ length: layers }, (_, i) => layer(i));

  return {
    vocabulary,
    trainedContext: source.size("context_length", { max: 2 ** 30 }),
    pageBytes: layers * layerPageBytes(kv),
    describe: { layers, dim, hidden, heads, kvHeads, headDim },
    constants: freqs ? [freqs] : [],
    graph: (step, values) => {
      const turn = rotation({ dim: ropeDim, base, factors: freqs && values(freqs), linear: linearScale });
      const x = embed(step);
      for (const block of blocks) step.graph.scope(() => block(step, x, turn));
      return head(step, norm(step, x, "wanted"));
    },
  };
});
