/** Mixtures of experts in otherwise plain decoders: what the router makes of its logits, and a word or two about norms. ARCHITECTURES 3. */
import { arch } from "../nn/arch.ts";
import { type AttentionOptions, attention } from "../nn/attention.ts";
import { residual } from "../nn/block.ts";
import { config, decoder, normOf, preNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import { addScaled, gatings } from "../nn/elementwise.ts";
import { ffn } from "../nn/ffn.ts";
import { branch } from "../nn/linear.ts";
import { expertHidden, experts, moe, router } from "../nn/moe.ts";
import { input } from "../nn/tensor.ts";
import { plain } from "./llama.ts";

/** Qwen 3 MoE: softmax, the chosen weights normalised. */
export const qwen3moe = arch(["qwen3moe", "qwen3vlmoe", "dots1", "hy_v3", "bailingmoe2"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps } } });
});

/** Qwen 1.5 and 2 MoE: weights not normalised; the shared expert has a gate. */
export const qwen2moe = arch(["qwen2moe"], source => plain(source, config(source), "halves", { moe: { normalise: false } }));

/** OLMoE: not normalised; queries and keys are normed over all heads together. */
export const olmoe = arch(["olmoe"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps, over: "all" } }, moe: { normalise: false } });
});

/** MiniMax M2: sigmoid with bias, queries and keys normed over all heads together. */
export const minimaxM2 = arch(["minimax-m2"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps, over: "all" } }, moe: { scores: "sigmoid" } });
});

/** Ling 1, ERNIE 4.5. */
export const bailing = arch(["bailingmoe", "ernie4_5-moe"], source => plain(source, config(source), "neighbours"));

/** DeepSeek V1: weights as they are. The text model of DeepSeek-OCR: values turn half a head apart. */
export const deepseek = arch(["deepseek", "deepseek2-ocr"], source =>
  plain(source, config(source), source.architecture === "deepseek" ? "neighbours" : "halves", { moe: { normalise: false } }),
);

/** Hunyuan: queries and keys are normed after they are rotated. */
export const hunyuan = arch(["hunyuan-moe", "hunyuan-dense", "hunyuan_vl"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps, after: "rope" } } });
});

/** GLM 4.5 to 4.7: the norm before the experts bears another name. */
export const glm4moe = arch(["glm4moe"], source => {
  const c = config(source);
  const attention = { qkNorm: { eps: c.eps, optional: true } };
  return plain(source, c, "halves", { attention, ffnNorm: "post_attention_norm", moe: { scores: "sigmoid" } });
});

/** Phi-3.5 MoE: LayerNorm with bias, longrope. */
export const phimoe = arch(["phimoe"], source => plain(source, config(source), "halves"));

/** Mellum 2: windows on three of four layers. */
export const mellum = arch(["mellum"], source => {
  const windowed = windowedLayers(source, 4);
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const c = config(source);
  const qkNorm = { eps: c.eps };
  return plain(source, c, "halves", { attention: i => (windowed(i) ? { window, qkNorm } : { qkNorm }) });
});

/** Maple: windowed layers are rotated, full ones are not; experts' gates are limited. */
export const maple = arch(["maple"], source => {
  const c = config(source);
  const windowed = windowedLayers(source, 1);
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const base = source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000));
  const dim = source.size("rope.dimension_count_swa", { max: c.headDim, or: c.ropeDim });
  const rope = rotary(source, c, { pairs: "halves", base, dim });
  return decoder(source, c, {
    layer: (at, i) => {
      const own = windowed(i) ? { rope, window } : {};
      const limit = source.layerNumber("swiglu_clamp_exp", i, 7);
      const gating = limit > 0 ? gatings.siluOfLimited(limit) : undefined;
      return preNorm(source, c, at, {
        attention: attention(source, at, { ...c, ...own, qkNorm: { eps: c.eps } }),
        ffn: moe(source, at, { dim: c.dim, hidden: expertHidden(source), gating }),
      });
    },
  });
});

/** DBRX: LayerNorm without bias; queries, keys and values are limited. */
export const dbrx = arch(["dbrx"], source =>
  plain(source, config(source, "layer"), "halves", {
    attention: { clamp: source.orNone("attention.clamp_kqv", 0) || undefined },
    ffnNorm: "attn_output_norm",
  }),
);

/** gpt-oss: sinks, windows on even layers, softmax over the chosen experts, limited gates, biases everywhere. ARCHITECTURES 3.4. */
export const gptOss = arch(["gpt-oss"], source => {
  const windowed = windowedLayers(source, 2);
  const window = { kind: "sliding", size: source.size("attention.sliding_window", { or: 128 }) } as const;
  return plain(source, config(source), "halves", {
    attention: i => (windowed(i) ? { window } : {}),
    ffnNorm: "post_attention_norm",
    moe: { scores: "selected", gating: gatings.clamped_quick_gelu },
  });
});

/** Llama 4: chunks with rotation, norms without weights; every fourth layer sees all, without positions; the weight multiplies the input. */
export const llama4 = arch(["llama4"], source => {
  const c = config(source);
  const chunk = 8192;
  const chunked = windowedLayers(source, 4);
  const temperature = { at: (p: number) => 1 + 0.1 * Math.log(1 + Math.floor((p + 1) / chunk)) };
  const normed = source.size("expert_count") !== 128; // not in Maverick
  const qkNorm = normed ? ({ eps: c.eps, after: "rope", bare: true } as const) : undefined;
  const near: Partial<AttentionOptions> = { window: { kind: "chunked", size: chunk }, qkNorm };
  const far: Partial<AttentionOptions> = { rope: undefined, temperature };
  return plain(source, c, "neighbours", {
    attention: i => (chunked(i) ? near : far),
    moe: { scores: "sigmoid", normalise: false, weightInput: true },
  });
});

/** Arctic: a dense network after attention, and experts that see what the block began with. */
export const arctic = arch(["arctic"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "neighbours" });
  return decoder(source, c, {
    layer: at => {
      const dense = preNorm(source, c, at, { attention: attention(source, at, { ...c, rope }), ffn: ffn(source, at, c) });
      const norm = normOf(source, c, `${at}.ffn_norm_exps`);
      const routed = moe(source, at, { dim: c.dim, hidden: expertHidden(source) });
      return (step, x) => {
        const y = routed(step, norm(step, x));
        dense(step, x);
        addScaled(step, y, x);
      };
    },
  });
});

/** GroveMoE: the small experts of the chosen ones' groups get what these give, as llama.cpp has it; scaled. */
export const grovemoe = arch(["grovemoe"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  const [count, neighbours] = [source.size("expert_count"), source.size("experts_per_group")];
  const scale = source.number("expert_group_scale");
  return decoder(source, c, {
    layer: at => {
      const [choose, chooseSmall] = [router(source, at, c), router(source, at, { ...c, neighbours })];
      const large = experts(source, at, { dim: c.dim, hidden: expertHidden(source), experts: count });
      const hidden = source.size("expert_chunk_feed_forward_length");
      const small = experts(source, at, { dim: c.dim, hidden, experts: Math.ceil(count / neighbours), suffix: "_chexps" });
      const both = branch((step, x) => {
        const y = large(step, choose(step, x), x);
        const z = small(step, chooseSmall(step, x), input(step, y));
        addScaled(step, z, y, scale);
        return y;
      });
      return preNorm(source, c, at, { attention: attention(source, at, { ...c, rope, qkNorm: { eps: c.eps } }), ffn: both });
    },
  });
});

/** SmallThinker: the router sees the block's input; gates of max(x, 0); windows with rotation, and every fourth layer neither (of four all turn). */
export const smallthinker = arch(["smallthinker"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  const windowed = windowedLayers(source, 4, true);
  const window = { kind: "sliding", size: 4096 } as const;
  const sparse = source.number("attention.sliding_window", 0) > 0;
  const near = (i: number) =>
    sparse && !windowed(i) ? { rope: c.layers === 4 ? rope : undefined } : { rope, window: sparse ? window : undefined };
  return decoder(source, c, {
    layer: (at, i) => {
      const attend = residual(normOf(source, c, `${at}.attn_norm`), attention(source, at, { ...c, ...near(i) }));
      const choose = router(source, at, c);
      const norm = normOf(source, c, `${at}.ffn_norm`);
      const own = {
        dim: c.dim,
        hidden: expertHidden(source),
        experts: source.size("expert_count"),
        activation: "relu",
        gated: true,
      } as const;
      const routed = experts(source, at, own);
      return (step, x) => {
        const routes = choose(step, input(step, x));
        attend(step, x);
        routed.addTo(step, routes, norm(step, x), x);
      };
    },
  });
});

/** LLaDA MoE, a diffusion language model: weights as they are, queries and keys normed. */
export const lladaMoe = arch(["llada-moe"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps } }, moe: { normalise: false } });
});

/** RND1, a diffusion language model: Qwen 3 MoE whose tokens see the whole text. */
export const rnd1 = arch(["rnd1"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps } } });
});
