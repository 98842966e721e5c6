/** MiniMax M3: in most layers each key-value head sees the blocks of keys that its index query chooses, and the last ones. ARCHITECTURES 3.8. */
import { arch } from "../nn/arch.ts";
import { type AttentionOptions, checkHeads } from "../nn/attention.ts";
import { config, rotary } from "../nn/decoder.ts";
import { gatings } from "../nn/elementwise.ts";
import { indexer } from "../nn/indexer.ts";
import { linear } from "../nn/linear.ts";
import { headNorm } from "../nn/norm.ts";
import { plain } from "./llama.ts";

export const minimaxM3 = arch(["minimax-m3"], source => {
  const c = config(source);
  const turn = rotary(source, c, { pairs: "halves" });
  const sets = source.size("attention.indexer.head_count", { min: c.kvHeads, max: c.kvHeads });
  const headDim = source.size("attention.indexer.key_length", { max: 1024 });
  const block = source.size("attention.indexer.block_size", { max: 65536 });
  const local = source.size("attention.indexer.local_blocks", { min: 0, or: 0, max: 65536 });
  const top = source.size("attention.indexer.top_k", { min: Math.max(1, local) });
  checkHeads({ heads: sets, kvHeads: 1, headDim }, c.ropeDim);
  const chooser: AttentionOptions["chooser"] = at => {
    if (!source.has(`${at}.indexer.q_proj.weight`)) return undefined;
    const choose = indexer(source, { sets, heads: 1, headDim, rope: turn, block, top, local });
    const [q, k] = [linear(source, `${at}.indexer.q_proj`, c.dim, sets * headDim), linear(source, `${at}.indexer.k_proj`, c.dim, headDim)];
    const norms = { kind: "rms", eps: c.eps, headDim } as const;
    const qNorm = headNorm(source, `${at}.indexer.q_norm`, { ...norms, heads: sets });
    const kNorm = headNorm(source, `${at}.indexer.k_norm`, { ...norms, heads: 1 });
    return (step, x) => {
      const [queries, keys] = [q(step, x), k(step, x)];
      qNorm?.(step, queries);
      kNorm?.(step, keys);
      return choose(step, queries, keys);
    };
  };
  const gating = gatings.clamped_quick_gelu;
  return plain(source, c, "halves", {
    attention: { qkNorm: { eps: c.eps }, chooser },
    ffn: { gating },
    moe: { scores: "sigmoid", gating },
  });
});
