/**
 * Gemma 4: heads of two sizes, rotation of a part of the pairs on full layers (rope_freqs makes the others stand still), keys and values that
 * later layers read from earlier ones, an embedding for every layer, and experts beside a dense network. ARCHITECTURES 3.3.
 */
import { arch } from "../nn/arch.ts";
import { type Block, inTurn, residual } from "../nn/block.ts";
import { type config, decoder, layerCount, normOf } from "../nn/decoder.ts";
import { addScaled, scaleBy } from "../nn/elementwise.ts";
import { ffn } from "../nn/ffn.ts";
import { branch } from "../nn/linear.ts";
import { expertHidden, experts, router } from "../nn/moe.ts";
import { rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import { sharingAttention } from "./gemma-attention.ts";
import { layerEmbeddings } from "./gemma-layers.ts";

/** Sizes; those of heads are read by layer. */
function sizes(source: Source) {
  const layers = layerCount(source);
  const heads = source.layerSize("attention.head_count", 0, { max: 4096 });
  const kvHeads = source.layerSize("attention.head_count_kv", 0, { max: heads, or: heads });
  const headDim = source.size("attention.key_length", { max: 4096 });
  return {
    ...{ layers, heads, kvHeads, headDim, valueDim: headDim, norm: "rms" as const },
    ropeDim: source.size("rope.dimension_count", { max: headDim, or: headDim }),
    dim: source.size("embedding_length"),
    hidden: source.layerSize("feed_forward_length", 0),
    eps: source.positive("attention.layer_norm_rms_epsilon"),
  };
}

/** A dense network and experts side by side, each with its norms; the router sees the sum before them. */
function mixed(source: Source, at: string, c: ReturnType<typeof config>): Block {
  const dense = ffn(source, at, { ...c, activation: "gelu", gated: true });
  const own = { dim: c.dim, hidden: expertHidden(source), experts: source.size("expert_count"), activation: "gelu", gated: true } as const;
  const routed = experts(source, at, own);
  const choose = router(source, at, { dim: c.dim, logitScale: c.dim ** -0.5 });
  const [before, routerNorm] = [normOf(source, c, `${at}.ffn_norm`), normOf(source, c, `${at}.ffn_gate_inp.scale`)];
  const [beforeRouted, after] = [normOf(source, c, `${at}.pre_ffw_norm_2`), normOf(source, c, `${at}.post_ffw_norm`)];
  const [afterDense, afterRouted] = [1, 2].map(i => normOf(source, c, `${at}.post_ffw_norm_${i}`));
  return (step, x) => {
    const y = afterDense(step, dense(step, before(step, x))).form("f32");
    const routes = choose(step, routerNorm(step, x));
    addScaled(step, afterRouted(step, routed(step, routes, beforeRouted(step, x))).form("f32"), y);
    addScaled(step, after(step, y).form("f32"), x);
  };
}

export const gemma4 = arch(["gemma4"], source => {
  const c = sizes(source);
  const near = source.list("attention.sliding_window_pattern");
  const windowed = (i: number): boolean => (near.length > 1 ? near[i] !== 0 : (i + 1) % (near[0] ?? 6) !== 0);
  const nearDim = source.size("attention.key_length_swa", { max: 4096, or: c.headDim });
  const nearRope = source.size("rope.dimension_count_swa", { max: nearDim, or: nearDim });
  const base = source.positive("rope.freq_base_swa", 10000);
  const ropes = {
    near: rope(source, { dim: nearRope, pairs: "halves", base, scaling: { kind: "none" }, factors: false }),
    far: rope(source, { dim: c.ropeDim, pairs: "halves" }),
  };
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const attention = sharingAttention(source, c.layers, windowed);
  const perLayer = layerEmbeddings(source, c);
  return decoder(source, c, {
    embeddingScale: Math.sqrt(c.dim),
    logitSoftcap: source.orNone("final_logit_softcapping", 0),
    prepare: perLayer.prepare,
    layer: (at, i) => {
      const own = windowed(i) ? { headDim: nearDim, rope: ropes.near, window } : { headDim: c.headDim, rope: ropes.far };
      const heads = source.layerSize("attention.head_count", i, { max: 4096 });
      const kvHeads = source.layerSize("attention.head_count_kv", i, { max: heads, or: heads });
      const attends = attention(at, i, { dim: c.dim, heads, kvHeads, ...own, eps: c.eps });
      const hidden = source.layerSize("feed_forward_length", i);
      const network = source.has(`${at}.ffn_gate_inp.weight`)
        ? mixed(source, at, c)
        : residual(normOf(source, c, `${at}.ffn_norm`), ffn(source, at, { dim: c.dim, hidden, activation: "gelu", gated: true }), {
            after: normOf(source, c, `${at}.post_ffw_norm`),
          });
      const blocks = [
        residual(normOf(source, c, `${at}.attn_norm`), attends, { after: normOf(source, c, `${at}.post_attention_norm`) }),
        network,
      ];
      const gate = perLayer.gate(at, i);
      if (gate)
        blocks.push(
          residual(
            undefined,
            branch((step, x) => gate(step, x)),
            { after: normOf(source, c, `${at}.post_norm`) },
          ),
        );
      const scale = source.has(`${at}.layer_output_scale.weight`) ? source.constant(`${at}.layer_output_scale.weight`, 1) : undefined;
      if (scale) blocks.push((step, x) => scaleBy(step, x, step.values(scale)[0]));
      return inTurn(...blocks);
    },
  });
});
