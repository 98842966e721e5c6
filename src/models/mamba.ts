/**
 * Models of Mamba layers: Mamba, Falcon-Mamba (whose step, B and C are normed) and Mamba-2 alone; Falcon-H1, where attention and Mamba-2 see the
 * same norm side by side; Granite 4, Jamba and Nemotron-H, where layers are one or the other (ARCHITECTURES 1.6, 3.7, 3.8).
 */
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { type Block, inTurn, parallel, residual } from "../nn/block.ts";
import { type Config, config, decoder, headSizes, mixedConfig, preNorm, recurrentLayers, rotary } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";
import { latentMoe } from "../nn/latent.ts";
import type { Branch } from "../nn/linear.ts";
import { mamba1, mamba2, mambaShape } from "../nn/mamba.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { type Norm, rmsNorm } from "../nn/norm.ts";
import type { Rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";

export const mamba = arch(["mamba", "mamba2"], source => {
  const c = mixedConfig(source, "rms", -1);
  const shape = mambaShape(source, c.dim);
  const bareNorms = source.flag("ssm.dt_b_c_rms", false);
  const mixer = (at: string) => (source.architecture === "mamba" ? mamba1(source, at, shape, bareNorms) : mamba2(source, at, shape));
  return decoder(source, c, { layer: at => residual(rmsNorm(source, `${at}.attn_norm`, c.dim, c.eps), mixer(at)) });
});

const attentionScale = (source: Source): number | undefined => source.orNone("attention.scale", 0) || undefined;
const normAt = (source: Source, c: Config, name: string): Norm => rmsNorm(source, name, c.dim, c.eps);

/** Attention of layer i of a model whose layers differ. */
function attentionAt(source: Source, c: Config, at: string, i: number, rope?: Rope): Branch {
  return attention(source, at, { ...c, ...headSizes(source, c.dim, i), rope, scale: attentionScale(source) });
}

export const falconH1 = arch(["falcon-h1"], source => {
  const c = config(source);
  const shape = mambaShape(source, c.dim);
  const rope = rotary(source, c, { pairs: "halves" });
  const layer = (at: string, i: number): Block => {
    const norm = normAt(source, c, `${at}.attn_norm`);
    const both = [attentionAt(source, c, at, i, rope), mamba2(source, at, shape)].map(branch => [norm, branch] as const);
    return inTurn(parallel(both), residual(normAt(source, c, `${at}.ffn_norm`), ffn(source, at, c)));
  };
  return decoder(source, c, { layer });
});

export const graniteHybrid = arch(["granitehybrid"], source => {
  const recurrent = recurrentLayers(source);
  const c = mixedConfig(source, "rms", recurrent.indexOf(false));
  const shape = mambaShape(source, c.dim);
  const rope = source.flag("rope.scaling.finetuned", false) ? rotary(source, c, { pairs: "neighbours" }) : undefined;
  const scale = source.positive("residual_scale", 1);
  const mixer = (at: string, i: number): Branch => (recurrent[i] ? mamba2(source, at, shape) : attentionAt(source, c, at, i, rope));
  const hidden = expertHidden(source);
  const feedForward = (at: string): Branch => moeOrFfn(source, at, { dim: c.dim, hidden, denseHidden: c.hidden });
  return decoder(source, c, {
    embeddingScale: source.positive("embedding_scale", 1),
    logitScale: 1 / (source.orNone("logit_scale") || 1),
    layer: (at, i) => preNorm(source, c, at, { attention: mixer(at, i), ffn: feedForward(at) }, { scale }),
  });
});

export const jamba = arch(["jamba"], source => {
  const recurrent = recurrentLayers(source);
  const c = mixedConfig(source, "rms", recurrent.indexOf(false));
  const shape = mambaShape(source, c.dim);
  const mixer = (at: string, i: number): Branch => (recurrent[i] ? mamba1(source, at, shape) : attentionAt(source, c, at, i));
  const hidden = expertHidden(source);
  const feedForward = (at: string): Branch => moeOrFfn(source, at, { dim: c.dim, hidden, denseHidden: c.hidden, normalise: false });
  return decoder(source, c, { layer: (at, i) => preNorm(source, c, at, { attention: mixer(at, i), ffn: feedForward(at) }) });
});

export const nemotronH = arch(["nemotron_h", "nemotron_h_moe"], source => {
  const recurrent = recurrentLayers(source);
  const hidden = (i: number): number => source.layerSize("feed_forward_length", i, { min: 0 });
  const isAttention = recurrent.findIndex((r, i) => !r && hidden(i) === 0);
  const c = mixedConfig(source, "rms", isAttention);
  const shape = mambaShape(source, c.dim);
  const only = (at: string, i: number): Branch => {
    if (source.has(`${at}.ffn_gate_inp.weight`)) {
      const options = { dim: c.dim, hidden: source.size("expert_feed_forward_length"), activation: "relu2", scores: "sigmoid" } as const;
      return latentMoe(source, at, { ...options, latent: source.size("moe_latent_size", { min: 0, or: 0 }), names: "ffn_latent" });
    }
    if (hidden(i)) return ffn(source, at, { dim: c.dim, hidden: hidden(i), activation: "relu2" });
    return recurrent[i] ? mamba2(source, at, shape) : attentionAt(source, c, at, i);
  };
  return decoder(source, c, { layer: (at, i) => residual(normAt(source, c, `${at}.attn_norm`), only(at, i)) });
});
