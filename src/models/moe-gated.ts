/**
 * Families that rotate windowed layers only or by their own base, gate what attention gives, and choose experts by sigmoid: Trinity, EXAONE 4.5
 * MoE, Laguna, MiMo 2, Step 3.5, Spark, Command A MoE, Muse. ARCHITECTURES 3.1, 3.7, 3.8.
 */
import { arch } from "../nn/arch.ts";
import { type AttentionOptions, attention } from "../nn/attention.ts";
import { inTurn, parallel, residual } from "../nn/block.ts";
import { type Config, config, decoder, headSizes, normOf, postNorm, preNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import { activate, activations, addScaled, type Gating, gatings, scaleBy } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import { branch, endingIn, linear } from "../nn/linear.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { norm } from "../nn/norm.ts";
import { rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import { plain } from "./llama.ts";

const sliding = (source: Source, or?: number): AttentionOptions["window"] => {
  const size = source.size("attention.sliding_window", { or: or ?? 0, min: 0 });
  return size ? { kind: "sliding", size } : undefined;
};
const network = (source: Source, at: string, c: Config, normalise = true) =>
  moeOrFfn(source, at, { dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source), scores: "sigmoid", normalise });

/** Trinity (AFMoE): norms on both sides, embeddings scaled, every fourth layer full and without positions. */
export const afmoe = arch(["afmoe"], source => {
  const c = config(source);
  const turn = rotary(source, c, { pairs: "halves" });
  const window = sliding(source);
  return decoder(source, c, {
    embeddingScale: Math.sqrt(c.dim),
    layer: (at, i) => {
      const own = (i + 1) % 4 ? { rope: turn, window } : {};
      const attends = attention(source, at, { ...c, ...own, qkNorm: { eps: c.eps } });
      const normalise = source.flag("expert_weights_norm", false);
      return postNorm(source, c, at, { attention: attends, ffn: network(source, at, c, normalise) }, { sandwich: true });
    },
  });
});

/** EXAONE MoE: windowed layers are rotated, full ones are not. */
export const exaoneMoe = arch(["exaone-moe"], source => {
  const c = config(source);
  const windowed = windowedLayers(source, 4);
  const window = sliding(source, 128);
  const qkNorm = { eps: c.eps };
  return plain(source, c, "halves", {
    attention: i => (windowed(i) ? { window, qkNorm } : { rope: undefined, qkNorm }),
    moe: { scores: "sigmoid" },
  });
});

/** Laguna: head counts by layer, softplus gates, windowed layers with a plain rotation of their own. */
export const laguna = arch(["laguna"], source => {
  const c = config(source);
  const window = sliding(source);
  const windowed = windowedLayers(source, 4, true);
  const far = rotary(source, c, { pairs: "halves" });
  const base = source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000));
  const dim = source.size("rope.dimension_count_swa", { max: c.headDim, or: c.ropeDim });
  const near = rope(source, { pairs: "halves", base, dim, scaling: { kind: "none" } });
  return decoder(source, c, {
    layer: (at, i) => {
      const own = window && windowed(i) ? { rope: near, window } : { rope: far };
      const options = { ...c, ...headSizes(source, c.dim, i), ...own, gate: "softplus", qkNorm: { eps: c.eps } } as const;
      return preNorm(source, c, at, { attention: attention(source, at, options), ffn: network(source, at, c) });
    },
  });
});

/** MiMo 2: keys longer than values, sinks, head counts and bases by kind of layer; what attention gives is scaled. */
export const mimo2 = arch(["mimo2"], source => {
  const c = config(source);
  const window = sliding(source);
  const windowed = windowedLayers(source, 1);
  const far = rotary(source, c, { pairs: "halves" });
  const base = source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000));
  const near = rotary(source, c, { pairs: "halves", base });
  const outputScale = source.positive("attention.value_scale", 1);
  return decoder(source, c, {
    layer: (at, i) => {
      const own = windowed(i) ? { rope: near, window } : { rope: far };
      const attends = attention(source, at, { ...c, ...headSizes(source, c.dim, i), ...own, outputScale });
      return preNorm(source, c, at, { attention: attends, ffn: network(source, at, c) });
    },
  });
});

/** Step 3.5: head counts by layer, a gate for each head, limited SwiGLU; full layers turn half as many values. */
export const step35 = arch(["step35"], source => {
  const c = config(source);
  const window = sliding(source);
  const windowed = windowedLayers(source, 4);
  const far = rope(source, { pairs: "halves", dim: c.ropeDim / 2 });
  const base = source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000));
  const near = rope(source, { pairs: "halves", dim: source.size("rope.dimension_count_swa", { or: c.ropeDim }), base, factors: false });
  const limited = (key: string, i: number): Gating | undefined => {
    const limit = source.layerNumber(key, i, 0);
    return limit > 0 ? gatings.limitedSilu(limit) : undefined;
  };
  return decoder(source, c, {
    layer: (at, i) => {
      const own = windowed(i) ? { rope: near, window } : { rope: far };
      const attends = attention(source, at, { ...c, ...headSizes(source, c.dim, i), ...own, qkNorm: { eps: c.eps, optional: true } });
      const sharedGating = limited("swiglu_clamp_shexp", i);
      const routed = source.has(`${at}.ffn_gate_inp.weight`);
      const options = { dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source), scores: "sigmoid" } as const;
      const gating = routed ? limited("swiglu_clamp_exp", i) : sharedGating;
      const parts = moeOrFfn(source, at, { ...options, gating, shared: { gating: sharedGating } });
      return preNorm(source, c, at, { attention: attends, ffn: parts });
    },
  });
});

/** Spark 2.5: dense with GEGLU; head counts by layer, a gate for each head, bases by kind of layer. */
export const spark = arch(["spark2_5"], source => {
  const c = config(source);
  const window = sliding(source);
  const windowed = windowedLayers(source, 1);
  const far = rotary(source, c, { pairs: "halves" });
  const base = source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000));
  const near = rotary(source, c, {
    pairs: "halves",
    base,
    dim: source.size("rope.dimension_count_swa", { max: c.headDim, or: c.ropeDim }),
  });
  return decoder(source, c, {
    layer: (at, i) => {
      const own = windowed(i) ? { rope: near, window } : { rope: far };
      const attends = attention(source, at, { ...c, ...headSizes(source, c.dim, i), ...own });
      return preNorm(source, c, at, { attention: attends, ffn: ffn(source, at, { ...c, activation: "gelu", gated: true }) });
    },
  });
});

/** Command A MoE: side by side from one norm; the mean of routed and shared experts; leading dense layers are rotated though full. */
export const cohere2moe = arch(["cohere2moe"], source => {
  const c = config(source, source.hasKey("attention.layer_norm_rms_epsilon") ? "rms" : "layer");
  const turn = rotary(source, c, { pairs: "neighbours" });
  const window = sliding(source);
  const windowed = windowedLayers(source, 4, true);
  const dense = source.size("leading_dense_block_count", { or: 0, min: 0 });
  return decoder(source, c, {
    logitScale: source.positive("logit_scale", 1),
    layer: (at, i) => {
      const before = normOf(source, c, `${at}.attn_norm`);
      const own = windowed(i) ? { rope: turn, window } : i < dense ? { rope: turn } : {};
      const normalise = source.flag("expert_weights_norm", false);
      const options = { dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source), scores: "sigmoid", normalise } as const;
      const parts = moeOrFfn(source, at, options);
      const shared = source.has(`${at}.ffn_up_shexp.weight`);
      const halved = branch((step, x) => {
        const y = parts(step, x);
        if (shared) scaleBy(step, y, 0.5);
        return y;
      });
      return parallel([
        [before, attention(source, at, { ...c, ...own })],
        [before, halved],
      ]);
    },
  });
});

/** Muse Glimmer: normed embeddings, norms on both sides (those after with their own epsilon), gates, rotation on windowed layers. */
export const muse = arch(["muse-glimmer"], source => {
  const c = config(source);
  const turn = rotary(source, c, {
    pairs: "neighbours",
    base: source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000)),
    scaling: { kind: "none" },
  });
  const window = sliding(source);
  const windowed = windowedLayers(source, 4);
  const tokens = embedding(source, "token_embd", c.dim);
  const first = normOf(source, c, undefined);
  return decoder(source, c, {
    embed: step => first(step, tokens(step)).form("f32"),
    logitScale: source.positive("logit_scale", 1),
    logitSoftcap: source.orNone("final_logit_softcapping", 0),
    layer: (at, i) => {
      const own = windowed(i) ? { rope: turn, window } : {};
      const after = (name: string) => norm(source, "rms", `${at}.${name}`, c.dim, 1e-8);
      const attends = attention(source, at, { ...c, ...own, qkNorm: { eps: c.eps } });
      return inTurn(
        residual(normOf(source, c, `${at}.attn_norm`), attends, { after: after("post_attention_norm") }),
        residual(normOf(source, c, `${at}.ffn_norm`), ffn(source, at, c), { after: after("post_ffw_norm") }),
      );
    },
  });
});

/** Grok 1: norms on both sides, limited scores, GELU experts, and the mean (by the root of 2) with a dense network where there is one. */
export const grok = arch(["grok"], source => {
  const c = config(source);
  const turn = rotary(source, c, { pairs: "halves" });
  const softcap = source.positive("attn_logit_softcapping", 30);
  const scale = source.positive("attention.output_scale", 0.08838834764831845);
  return decoder(source, c, {
    embeddingScale: source.positive("embedding_scale", 78.38367176906169),
    logitScale: source.positive("logit_scale", 0.5773502691896257),
    logitSoftcap: source.orNone("final_logit_softcapping", 0),
    layer: at => {
      const routed = moeOrFfn(source, at, { dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source), activation: "gelu" });
      const dense = source.has(`${at}.ffn_up.weight`) ? ffn(source, at, { ...c, activation: "gelu" }) : undefined;
      const both = branch((step, x) => {
        const y = routed(step, x);
        if (!dense) return y;
        addScaled(step, dense(step, x), y);
        scaleBy(step, y, Math.SQRT1_2);
        return y;
      });
      const last = source.has(`${at}.layer_output_norm.weight`) ? "layer_output_norm" : "post_ffw_norm";
      return inTurn(
        residual(normOf(source, c, `${at}.attn_norm`), attention(source, at, { ...c, rope: turn, softcap, scale }), {
          after: normOf(source, c, `${at}.attn_output_norm`),
        }),
        residual(normOf(source, c, `${at}.ffn_norm`), both, { after: normOf(source, c, `${at}.${last}`) }),
      );
    },
  });
});

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Apertus: no gate; the activation xIELU has four parameters a layer, two of them stored before softplus. */
export const apertus = arch(["apertus"], source => {
  const c = config(source);
  const turn = rotary(source, c, { pairs: "halves" });
  return decoder(source, c, {
    layer: (at, i) => {
      const [n, p, beta, eps] = ["alpha_n", "alpha_p", "beta", "eps"].map(k => source.layerNumber(`xielu.${k}`, i));
      const [up, down] = [linear(source, `${at}.ffn_up`, c.dim, c.hidden), linear(source, `${at}.ffn_down`, c.hidden, c.dim)];
      const activation = activations.xielu({ n: beta + softplus(n), p: softplus(p), beta, eps });
      const parts = {
        attention: attention(source, at, { ...c, rope: turn, qkNorm: { eps: c.eps } }),
        ffn: endingIn(down, (step, x) => activate(step, activation, up(step, x))),
      };
      return preNorm(source, c, at, parts);
    },
  });
});
