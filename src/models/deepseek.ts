/** Decoders with latent attention: DeepSeek V2, V3 and R1, Kimi K2, Mistral 4, GLM 4.7 Flash, PLM. ARCHITECTURES 3.5. */
import { arch } from "../nn/arch.ts";
import { decoder, layerCount, preNorm } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";
import { type MlaOptions, mla, mlaSizes } from "../nn/mla.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { type Pairs, rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";

/** The sizes of such a model. (kvHeads and headDim are what its metadata and the pages are described by.) */
export function mlaConfig(source: Source) {
  const sizes = mlaSizes(source);
  const heads = source.layerSize("attention.head_count", 0, { max: 4096 });
  return {
    ...sizes,
    ...{ heads, kvHeads: 1, headDim: sizes.ropeDim + sizes.rank, norm: "rms" as const },
    dim: source.size("embedding_length"),
    layers: layerCount(source),
    hidden: source.layerSize("feed_forward_length", 0, { or: 0, min: 0 }),
    eps: source.number("attention.layer_norm_rms_epsilon"),
  };
}
export type MlaConfig = ReturnType<typeof mlaConfig>;

/** Scores over the root of the key's size; with YaRN times the square of the magnitude that is then not in cosines and sines. */
export function mlaAttention(source: Source, c: MlaConfig, pairs: Pairs): MlaOptions {
  const stretched = source.text("rope.scaling.type", "none") === "yarn";
  const factor = stretched ? source.number("rope.scaling.factor", 1) : 1;
  const multiplier = source.number("rope.scaling.yarn_log_multiplier", 0) / 0.1;
  const magnitude = (multiplier ? 1 : 1 + 0.1 * Math.log(factor)) * (1 + 0.1 * multiplier * Math.log(factor));
  const s = source.number("attention.temperature_scale", 0);
  const original = source.number("rope.scaling.original_context_length", source.number("context_length"));
  const temperature = s ? { at: (p: number) => 1 + s * Math.log(1 + Math.floor(p / original)) } : undefined;
  return { ...c, scale: magnitude ** 2 / Math.sqrt(c.keyDim), rope: rope(source, { dim: c.ropeDim, pairs }), temperature };
}

export const deepseek2 = arch(["deepseek2", "mistral4"], source => {
  const c = mlaConfig(source);
  const own = mlaAttention(source, c, "neighbours");
  const network = { dim: c.dim, denseHidden: c.hidden, normalise: source.flag("expert_weights_norm", false) };
  return decoder(source, c, {
    layer: at =>
      preNorm(source, c, at, { attention: mla(source, at, own), ffn: moeOrFfn(source, at, { ...network, hidden: expertHidden(source) }) }),
  });
});

/** PLM: the same attention in a small dense model, max(x, 0)^2. */
export const plm = arch(["plm"], source => {
  const c = mlaConfig(source);
  const own = mlaAttention(source, c, "neighbours");
  return decoder(source, c, {
    layer: at => preNorm(source, c, at, { attention: mla(source, at, own), ffn: ffn(source, at, { ...c, activation: "relu2" }) }),
  });
});
