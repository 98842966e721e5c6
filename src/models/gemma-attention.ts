/**
 * Attention of Gemma 3n and 4: scores are not scaled, values are normed without weights, and the last layers have no keys and values of their
 * own: they read those of the last earlier layer of their kind.
 */
import { type AttentionShape, attend, attendOver, checkHeads, type HeadSizes, reserveCache, rotate } from "../nn/attention.ts";
import { copyTo } from "../nn/elementwise.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import { bareHeadNorm, headNorm } from "../nn/norm.ts";
import type { Rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import { input, tensor } from "../nn/tensor.ts";

interface Options extends HeadSizes {
  readonly dim: number;
  readonly eps: number;
  readonly rope: Rope;
  readonly window?: AttentionShape["window"];
}

/** Binds the attention of one layer after the other. The first layer that shares is as the metadata says, unless it is given. */
export function sharingAttention(source: Source, layers: number, windowed: (layer: number) => boolean, firstSharing?: number) {
  const first = firstSharing ?? layers - source.size("attention.shared_kv_layers", { or: 0, min: 0, max: layers - 1 });
  const latest = new Map<boolean, AttentionShape>();
  return (at: string, layer: number, o: Options): Branch => {
    const { dim, heads, kvHeads, headDim, rope, window, eps } = o;
    checkHeads(o, rope.dim);
    const norms = { kind: "rms", eps, headDim } as const;
    const q = linear(source, `${at}.attn_q`, dim, heads * headDim);
    const qNorm = headNorm(source, `${at}.attn_q_norm`, { ...norms, heads });
    const out = linear(source, `${at}.attn_output`, heads * headDim, dim);
    const earlier = layer >= first ? latest.get(windowed(layer)) : undefined;
    if (earlier) {
      for (const unused of ["attn_k.", "attn_v.", "attn_k_norm."]) source.ignore(`${at}.${unused}`);
      const shape = { ...earlier, heads };
      return endingIn(out, (step, x) => {
        const queries = q(step, x);
        qNorm?.(step, queries);
        rotate(step, rope, queries, heads, headDim);
        return input(step, attendOver(step, shape, queries));
      });
    }
    const k = linear(source, `${at}.attn_k`, dim, kvHeads * headDim);
    const kNorm = headNorm(source, `${at}.attn_k_norm`, { ...norms, heads: kvHeads });
    const v = source.has(`${at}.attn_v.weight`) ? linear(source, `${at}.attn_v`, dim, kvHeads * headDim) : undefined;
    const vNorm = bareHeadNorm({ ...norms, heads: kvHeads });
    const shape: AttentionShape = { heads, kvHeads, headDim, rope, window, scale: 1, cache: reserveCache(source, o) };
    latest.set(windowed(layer), shape);
    return endingIn(out, (step, x) => {
      const [queries, keys] = [q(step, x), k(step, x)];
      const values = v?.(step, x) ?? tensor(step.graph, "tokens", kvHeads * headDim);
      if (!v) copyTo(step, keys, values); // the keys before they are normed
      qNorm?.(step, queries);
      kNorm?.(step, keys);
      vNorm(step, values);
      return input(step, attend(step, shape, queries, keys, values));
    });
  };
}
