/** Decoders with latent attention: DeepSeek V2, V3, V3.2 and R1, Kimi K2, Mistral 4, GLM 4.7 Flash and 5, MiniCPM 3, PLM. ARCHITECTURES 3.5. */
import { LatheError } from "../errors.ts";
import { arch } from "../nn/arch.ts";
import { checkHeads, type Selection } from "../nn/attention.ts";
import { decoder, layerCount, preNorm } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";
import type { Region } from "../nn/graph.ts";
import { choiceRoom, indexer } from "../nn/indexer.ts";
import { linear } from "../nn/linear.ts";
import { type MlaOptions, mla, mlaSizes } from "../nn/mla.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { headNorm } from "../nn/norm.ts";
import { type Pairs, type Rope, rope, splitPairs, yarnMagnitude } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";

/** Of the norm of index keys, which the metadata does not give. */
export const INDEX_EPS = 1e-6;

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
    eps: source.positive("attention.layer_norm_rms_epsilon"),
  };
}
export type MlaConfig = ReturnType<typeof mlaConfig>;

/**
 * Scores over the root of the key's size. With YaRN both the rotated part and the scores have magnitudes: the metadata's own factor, and 1 + 0.1 m
 * ln(factor), which stands in the scores where there is such an m (Mistral 4: the rest of 1 + 0.1 ln(factor) in the rotation), else in both.
 */
export function mlaAttention(source: Source, c: MlaConfig, pairs: Pairs): MlaOptions {
  const m = source.orNone("rope.scaling.yarn_log_multiplier", 0) / 0.1;
  const rotated = m && source.architecture !== "mistral4" ? 1 : yarnMagnitude(source) / yarnMagnitude(source, m);
  const magnitude = rotated * yarnMagnitude(source, m) * source.positive("rope.scaling.attn_factor", 1);
  const s = source.orNone("attention.temperature_scale", 0);
  const trained = source.positive("rope.scaling.original_context_length", source.positive("context_length"));
  const original = source.positive("attention.temperature_length", trained);
  const temperature = s ? { at: (p: number) => 1 + s * Math.log(1 + Math.floor(p / original)) } : undefined;
  return {
    ...c,
    scale: magnitude ** 2 / Math.sqrt(c.keyDim),
    rope: rope(source, { dim: c.ropeDim, pairs, yarnMagnitude: rotated }),
    temperature,
  };
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

/** Layers of GLM 5.2 and later with an index of their own, where the metadata does not say; what came before has it in all. */
const LONG_CONTEXT = 1 << 20;
const usualIndex = (source: Source, i: number): boolean => source.size("context_length") < LONG_CONTEXT || i < 2 || (i - 2) % 4 === 0;

interface IndexOptions {
  /** The rotation of index heads, whose first values turn: in the order of the file's values. */
  readonly turn: Rope;
  readonly order?: readonly number[];
  readonly eps: number;
  /** Whether a layer has an index of its own; the others take the choice of the last one that has. */
  readonly own: (layer: number) => boolean;
}

/** Of all keys those count which index heads score best. (llama.cpp and the makers turn both sides by one rotation; dots stay.) */
export function sparseKeys(source: Source, c: Pick<MlaConfig, "dim" | "ropeDim" | "queryRank">, o: IndexOptions) {
  const heads = source.size("attention.indexer.head_count", { max: 4096 });
  const headDim = source.size("attention.indexer.key_length", { max: 1024 });
  const top = source.size("attention.indexer.top_k");
  const { turn, order, eps, own } = o;
  checkHeads({ heads, kvHeads: 1, headDim }, c.ropeDim);
  let [kept, last]: [Region?, Selection?] = [];
  const chooser = (at: string): ReturnType<NonNullable<MlaOptions["chooser"]>> => {
    const choose = indexer(source, { sets: 1, heads, headDim, rope: turn, block: 1, top, local: 0, room: () => kept! });
    const q = linear(source, `${at}.indexer.attn_q_b`, c.queryRank, heads * headDim, { order });
    const k = linear(source, `${at}.indexer.attn_k`, c.dim, headDim, { order });
    const keyNorm = headNorm(source, `${at}.indexer.k_norm`, { kind: "layer", eps, heads: 1, headDim, order });
    const weights = linear(source, `${at}.indexer.proj`, c.dim, heads);
    return (step, x, queries) => {
      const keys = k(step, x);
      keyNorm?.(step, keys);
      last = choose(step, q(step, queries), keys, weights(step, x));
      return last;
    };
  };
  return {
    chooser: (i: number): NonNullable<MlaOptions["chooser"]> => (own(i) ? chooser : () => () => last!),
    /** Run once a step, before the first layer. */
    prepare: (step: Step): void => {
      kept = choiceRoom(step, 1);
    },
  };
}

/** DeepSeek 3.2. GLM 5: neighbours turn together in the index too, and not all layers have one. */
export const sparse = arch(["deepseek32", "glm-dsa"], source => {
  const c = mlaConfig(source);
  const glm = source.architecture === "glm-dsa";
  const turn = rope(source, { dim: c.ropeDim, pairs: glm ? "neighbours" : "halves" });
  const order = glm ? splitPairs(source.size("attention.indexer.key_length", { max: 1024 }), c.ropeDim) : undefined;
  const key = "attention.indexer.types";
  const own = (i: number): boolean => !glm || (source.hasKey(key) ? source.layerNumber(key, i) !== 0 : usualIndex(source, i));
  const keys = sparseKeys(source, c, { turn, order, eps: INDEX_EPS, own });
  const attends = mlaAttention(source, c, "neighbours");
  const network = {
    ...{ dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source) },
    ...{ normalise: source.flag("expert_weights_norm", false), scores: glm ? ("sigmoid" as const) : undefined },
  };
  if (!own(0)) throw noFirstIndex();
  return decoder(source, c, {
    prepare: keys.prepare,
    layer: (at, i) => {
      const parts = { attention: mla(source, at, { ...attends, chooser: keys.chooser(i) }), ffn: moeOrFfn(source, at, network) };
      return preNorm(source, c, at, parts);
    },
  });
});

export const noFirstIndex = (): LatheError =>
  new LatheError("model.wrong-shape", "The model's first layer has no index to choose keys by; the file is damaged.", {});

/** MiniCPM 3: the same attention in a dense model with the first MiniCPM's scales, which files do not repeat; values turn half a head apart. */
export const minicpm3 = arch(["minicpm3"], source => {
  const c = mlaConfig(source);
  const own = mlaAttention(source, c, "halves");
  const scale = 1.4 / Math.sqrt(c.layers);
  return decoder(source, c, {
    embeddingScale: 12,
    logitScale: 256 / c.dim,
    layer: at => preNorm(source, c, at, { attention: mla(source, at, own), ffn: ffn(source, at, c) }, { scale }),
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
