/**
 * Llama 1 to 3.x and everything of that shape (Mistral, TinyLlama, SmolLM2, Yi ...): pre-RMSNorm, grouped-query attention with rotary
 * positions, SwiGLU, tied or untied output; and the families that change one thing about it. ARCHITECTURES 3.1.
 */
import { arch } from "../nn/arch.ts";
import { type AttentionOptions, attention } from "../nn/attention.ts";
import { type Config, config, type DecoderParts, decoder, preNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import type { FfnOptions } from "../nn/ffn.ts";
import { expertHidden, type MoeOptions, moeOrFfn } from "../nn/moe.ts";
import { type Pairs, type RopeChoices, yarnMagnitude } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";

interface Changes extends Partial<DecoderParts> {
  /** Of all layers, or by their number. */
  readonly attention?: Partial<AttentionOptions> | ((layer: number) => Partial<AttentionOptions>);
  readonly ffn?: Partial<FfnOptions>;
  readonly moe?: Partial<MoeOptions>;
  readonly residualScale?: number;
  readonly ffnNorm?: string;
}

/** How the text models of those that see assign pairs to streams of positions. */
const sectionsOf: ReadonlyMap<string, RopeChoices["sections"]> = new Map([
  ...["qwen2vl", "paddleocr", "hunyuan_vl", "glm4moe"].map(n => [n, "stretches"] as const),
  ...["qwen3vl", "qwen3vlmoe"].map(n => [n, "turns"] as const),
]);

/** The plain decoder, with experts in the layers that have a router; biases, norms of queries and keys, and gates are bound where the file has them. */
export function plain(source: Source, c: Config, pairs: Pairs, changes: Changes = {}) {
  const rope = rotary(source, c, { pairs, sections: sectionsOf.get(source.architecture) });
  const own = (i: number) => (typeof changes.attention === "function" ? changes.attention(i) : changes.attention);
  return decoder(source, c, {
    layer: (at, i) => {
      const parts = {
        attention: attention(source, at, { ...c, rope, ...own(i) }),
        ffn: moeOrFfn(source, at, { ...c, denseHidden: c.hidden, ...changes.ffn, ...changes.moe, hidden: expertHidden(source) }),
      };
      return preNorm(source, c, at, parts, { scale: changes.residualScale, names: { ffn: changes.ffnNorm } });
    },
    ...changes,
  });
}

export const llama = arch(["llama", "internlm2", "xverse", "ernie4_5"], source => plain(source, config(source), "neighbours"));

/** The same with values of a head that turn half a head apart: Qwen 2 (text of Qwen 2 VL too), EXAONE 3, openPangu. */
export const halves = arch(["qwen2", "qwen2vl", "exaone", "pangu-embedded", "paddleocr"], source =>
  plain(source, config(source), "halves"),
);

/** Maincoder: queries and keys are normed after they are rotated. */
export const maincoder = arch(["maincoder"], source => {
  const c = config(source);
  return plain(source, c, "neighbours", { attention: { qkNorm: { eps: c.eps, after: "rope" } } });
});

/** Qwen 3 (text of Qwen 3 VL too): queries and keys are normed. */
export const qwen3 = arch(["qwen3", "qwen3vl"], source => {
  const c = config(source);
  return plain(source, c, "halves", { attention: { qkNorm: { eps: c.eps } } });
});

/** Arcee: no gate, max(x, 0)^2. */
export const arcee = arch(["arcee"], source => plain(source, config(source), "neighbours", { ffn: { activation: "relu2" } }));

/** Nemotron (Minitron): LayerNorm, max(x, 0)^2. jais2: the same with biases. */
export const nemotron = arch(["nemotron", "jais2"], source =>
  plain(source, config(source, "layer"), "halves", { ffn: { activation: "relu2" } }),
);

/** Orion: LayerNorm. */
export const orion = arch(["orion"], source => plain(source, config(source, "layer"), "halves"));

/** Seed-OSS: the norm before the feed-forward network bears another name. */
export const seed = arch(["seed_oss"], source => plain(source, config(source), "halves", { ffnNorm: "post_attention_norm" }));

/** Ministral 3: queries grow with the logarithm of the position beyond the original context; YaRN has a magnitude of its own. */
export const mistral3 = arch(["mistral3"], source => {
  const s = source.orNone("attention.temperature_scale", 0);
  const original = source.positive("rope.scaling.original_context_length", source.positive("context_length"));
  const temperature = s ? { at: (p: number) => 1 + s * Math.log(1 + Math.floor(p / original)) } : undefined;
  const m = source.orNone("rope.scaling.yarn_log_multiplier", 0);
  const c = config(source);
  const turn = rotary(source, c, { pairs: "neighbours", yarnMagnitude: yarnMagnitude(source) / yarnMagnitude(source, m) });
  return plain(source, c, "neighbours", { attention: { rope: turn, temperature } });
});

/** SmolLM 3: every fourth layer has no positions. */
export const smollm3 = arch(["smollm3"], source =>
  plain(source, config(source), "neighbours", { attention: i => ((i + 1) % 4 ? {} : { rope: undefined }) }),
);

/** MiniCPM: scales of embeddings and residuals; logits are divided. */
export const minicpm = arch(["minicpm"], source => {
  const c = config(source);
  return plain(source, c, "neighbours", {
    embeddingScale: source.positive("embedding_scale", 12),
    residualScale: source.positive("residual_scale", 1.4 / Math.sqrt(c.layers)),
    logitScale: 1 / source.positive("logit_scale", c.dim / 256),
  });
});

/** Granite 3 and 4, dense and MoE: the same scales, of attention as well; logits are divided. */
const graniteScales = (source: Source) => ({
  scale: source.orNone("attention.scale", 0) || undefined,
  parts: {
    embeddingScale: source.positive("embedding_scale", 1),
    residualScale: source.positive("residual_scale", 1),
    logitScale: 1 / source.positive("logit_scale", 1),
  },
});
export const granite = arch(["granite", "granitemoe"], source => {
  const { scale, parts } = graniteScales(source);
  return plain(source, config(source), "neighbours", { attention: { scale }, ...parts });
});

/** Granite with windows and sinks; layers that the metadata lists are not rotated. Shared experts have gate and projection in one matrix. */
export const graniteSwa = arch(["granite_swa"], source => {
  const { scale, parts } = graniteScales(source);
  const c = config(source);
  const windowed = windowedLayers(source, 1);
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const still = (i: number): boolean => source.layerNumber("attention.rope_pattern", i, 1) === 0;
  const shared = source.size("expert_shared_feed_forward_length", { or: 0, min: 0 });
  return plain(source, c, "neighbours", {
    attention: i => ({ scale, ...(windowed(i) ? { window } : {}), ...(still(i) ? { rope: undefined } : {}) }),
    moe: { shared: { hidden: shared } },
    ...parts,
  });
});

/** Nanbeige: the stack of layers is run several times. */
export const nanbeige = arch(["nanbeige"], source =>
  plain(source, config(source), "neighbours", { loops: source.size("num_loops", { or: 1, max: 64 }) }),
);

/** Baichuan: the 7B model (32 layers) is rotated, the 13B one (40) has ALiBi; llama.cpp gives others neither. */
export const baichuan = arch(["baichuan"], source => {
  const c = config(source);
  const positions = c.layers === 32 ? {} : { rope: undefined, alibi: c.layers === 40 ? 8 : undefined };
  return plain(source, c, "neighbours", { attention: positions });
});

/** Refact: ALiBi. */
export const refact = arch(["refact"], source => plain(source, config(source), "halves", { attention: { rope: undefined, alibi: 8 } }));

/** CogVLM: weights of its own for what it sees, which texts have no need of. */
export const cogvlm = arch(["cogvlm"], source => {
  const c = config(source);
  for (let i = 0; i < c.layers; i++) source.ignore(`blk.${i}.vis_`);
  return plain(source, c, "halves");
});

/** Qwen 1: fused projections; feed_forward_length counts gate and up together. */
export const qwen = arch(["qwen"], source => {
  const c = config(source);
  return plain(source, { ...c, hidden: c.hidden / 2 }, "halves");
});

/** Phi-3 and 4, ChatGLM 3 and 4: fused projections; half of the heads may stand still. */
export const phi3 = arch(["phi3"], source => plain(source, config(source), "halves"));
export const chatglm = arch(["chatglm"], source => plain(source, config(source), "neighbours"));

/** Models whose tokens see the whole text: diffusion language models (LLaDA, Dream), embeddings (Llama-Embed, EuroBERT). */
export const llada = arch(["llada"], source => plain(source, config(source), "neighbours"));
export const dream = arch(["dream"], source => plain(source, config(source), "halves"));
export const llamaEmbed = arch(["llama-embed"], source => plain(source, config(source), "neighbours", { encoder: true }));
export const eurobert = arch(["eurobert"], source => plain(source, config(source), "halves", { encoder: true }));
