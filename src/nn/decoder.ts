/**
 * What nearly all decoders have in common: the sizes that the metadata gives, the way from tokens through blocks to logits, and the usual
 * arrangements of a block's norms. A model file says which of them it takes.
 */
import type { Network } from "./arch.ts";
import { checkHeads, type HeadSizes, seesAll } from "./attention.ts";
import { type Block, inTurn, residual } from "./block.ts";
import { addScaled, scaleBy } from "./elementwise.ts";
import { embedding } from "./embedding.ts";
import type { Branch } from "./linear.ts";
import { type Norm, type NormKind, norm } from "./norm.ts";
import { head, type IdRange } from "./output.ts";
import { type Rope, type RopeChoices, rope } from "./rope.ts";
import type { Source } from "./source.ts";
import type { Step } from "./step.ts";
import type { Tensor } from "./tensor.ts";

/** Sizes of a model whose layers are alike. */
export interface Config extends Required<HeadSizes> {
  readonly dim: number;
  readonly layers: number;
  readonly hidden: number;
  /** Values of a head that are rotated. */
  readonly ropeDim: number;
  readonly norm: NormKind;
  readonly eps: number;
}

/** Head counts and sizes of one layer, whose numbers may differ from those of others. */
export function headSizes(source: Source, dim: number, layer: number): Required<HeadSizes> & { readonly ropeDim: number } {
  const heads = source.layerSize("attention.head_count", layer, { max: 4096 });
  const kvHeads = source.layerSize("attention.head_count_kv", layer, { max: heads, or: heads });
  const headDim = source.size("attention.key_length", { max: 1024, or: dim / heads });
  const valueDim = source.size("attention.value_length", { max: 1024, or: headDim });
  const ropeDim = source.size("rope.dimension_count", { max: headDim, or: headDim });
  checkHeads({ heads, kvHeads, headDim, valueDim }, ropeDim);
  return { heads, kvHeads, headDim, valueDim, ropeDim };
}

/** Layers of the model itself: blocks at the end that only predict further tokens (nextn) are left out. */
export function layerCount(source: Source): number {
  const blocks = source.size("block_count", { max: 1024 });
  const extra = source.size("nextn_predict_layers", { or: 0, min: 0, max: blocks - 1 });
  for (let i = blocks - extra; i < blocks; i++) source.ignore(`blk.${i}.`);
  return blocks - extra;
}

/** The sizes under the usual keys; "model.missing-key" where one is absent or out of its range. */
export function config(source: Source, kind: NormKind = "rms"): Config {
  const dim = source.size("embedding_length");
  const layers = layerCount(source);
  const hidden = source.layerSize("feed_forward_length", 0, { or: 4 * dim, min: 0 });
  const eps = source.positive(kind === "rms" ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon");
  return { dim, layers, hidden, norm: kind, eps, ...headSizes(source, dim, 0) };
}

/**
 * Which layers have a state instead of keys and values: by `attention.recurrent_layers` or `full_attention_interval` (every so many layers one has
 * attention) where the file has them, else those with no key-value heads.
 */
export function recurrentLayers(source: Source, interval?: number): readonly boolean[] {
  const layers = layerCount(source);
  const every = interval === undefined ? 0 : source.size("full_attention_interval", { or: interval });
  return Array.from({ length: layers }, (_, i) => {
    if (source.hasKey("attention.recurrent_layers")) return source.layerNumber("attention.recurrent_layers", i) !== 0;
    return every ? (i + 1) % every !== 0 : source.layerNumber("attention.head_count_kv", i, 1) === 0;
  });
}

/** As `config`, of a model some or all of whose layers have no attention: head sizes are those of layer `attentionLayer`, if there is one. */
export function mixedConfig(source: Source, kind: NormKind, attentionLayer: number): Config {
  const dim = source.size("embedding_length");
  const layers = layerCount(source);
  const hidden = source.layerSize("feed_forward_length", 0, { or: 0, min: 0 });
  const eps = source.positive(kind === "rms" ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon");
  const none = { heads: 0, kvHeads: 0, headDim: 0, valueDim: 0, ropeDim: 0 };
  return { dim, layers, hidden, norm: kind, eps, ...(attentionLayer < 0 ? none : headSizes(source, dim, attentionLayer)) };
}

/** The rotation of the metadata over the config's rotated values. */
export const rotary = (source: Source, c: Config, choices: Partial<RopeChoices> & Pick<RopeChoices, "pairs">): Rope =>
  rope(source, { dim: c.ropeDim, ...choices });

/** The norm `<name>` of the config's kind over the model's width. */
export const normOf = (source: Source, c: Pick<Config, "norm" | "dim" | "eps">, name: string | undefined): Norm =>
  norm(source, c.norm, name, c.dim, c.eps);

/** Which layers see a window only: a list in the metadata, or all but the last of every `pattern` layers (with `denseFirst` all but the first). */
export function windowedLayers(source: Source, pattern: number, denseFirst = false): (layer: number) => boolean {
  const key = "attention.sliding_window_pattern";
  const list = source.list(key);
  if (list.length > 1) return i => source.layerNumber(key, i) !== 0;
  const every = list[0] ?? pattern;
  return i => every > 0 && (denseFirst ? i % every !== 0 : i % every < every - 1);
}

export interface BlockNames {
  readonly attention?: string;
  readonly ffn?: string;
}

/** x += attention(norm(x)); x += ffn(norm(x)). */
export function preNorm(
  source: Source,
  c: Config,
  at: string,
  parts: { readonly attention: Branch; readonly ffn: Branch },
  { scale, names = {} }: { readonly scale?: number; readonly names?: BlockNames } = {},
): Block {
  const [before, between] = [names.attention ?? "attn_norm", names.ffn ?? "ffn_norm"].map(n => normOf(source, c, `${at}.${n}`));
  return inTurn(residual(before, parts.attention, { scale }), residual(between, parts.ffn, { scale }));
}

/** x += norm(attention(x)); x += norm(ffn(x)). With norms before the branches as well: "sandwich". */
export function postNorm(
  source: Source,
  c: Config,
  at: string,
  parts: { readonly attention: Branch; readonly ffn: Branch },
  { sandwich = false, scale, names = {} }: { readonly sandwich?: boolean; readonly scale?: number; readonly names?: BlockNames } = {},
): Block {
  const before = (name: string): Norm | undefined => (sandwich ? normOf(source, c, `${at}.${name}`) : undefined);
  const after = (name: string): Norm => normOf(source, c, `${at}.${name}`);
  return inTurn(
    residual(before("attn_norm"), parts.attention, { after: after(names.attention ?? "post_attention_norm"), scale }),
    residual(before("ffn_norm"), parts.ffn, { after: after(names.ffn ?? "post_ffw_norm"), scale }),
  );
}

export interface DecoderParts {
  /** One block of the stack; `at` is the beginning of its tensors' names. */
  readonly layer: (at: string, index: number) => Block;
  /** The matrix of embeddings; default token_embd. */
  readonly embeddings?: string;
  /** Default: its rows for the tokens' ids. */
  readonly embed?: (step: Step) => Tensor;
  /** Run once a step with the scaled embeddings, before the first layer. */
  readonly prepare?: (step: Step, x: Tensor) => void;
  /** Embeddings are multiplied by it. */
  readonly embeddingScale?: number;
  /** Absent: the config's norm named output_norm. */
  readonly norm?: Norm;
  readonly logitScale?: number;
  /** Logits x become c tanh(x / c). */
  readonly logitSoftcap?: number;
  /** Ids that are never the next one. */
  readonly never?: IdRange;
  /** Times that the stack of layers is run, each with keys and values of its own; the last norm comes after each. */
  readonly loops?: number;
  /** There are no logits: rows are embeddings. */
  readonly encoder?: boolean;
  /** The longest sequence that the weights allow (learned positions). */
  readonly longestContext?: number;
}

/** The network from token ids to logits (output, or the embeddings where that is absent). */
export function decoder(source: Source, c: Config, parts: DecoderParts): Network {
  const { embeddingScale = 1 } = parts;
  const { embeddings = "token_embd" } = parts;
  const vocabulary = source.rows(`${embeddings}.weight`);
  const embed = parts.embed ?? embedding(source, embeddings, c.dim);
  const loops = parts.loops ?? 1;
  const blocks = Array.from({ length: loops * c.layers }, (_, i) => parts.layer(`blk.${i % c.layers}`, i));
  const last = parts.norm ?? normOf(source, c, "output_norm");
  const end = head(source, c.dim, { ...parts, vocabulary });
  const { dim, layers, hidden, heads, kvHeads, headDim } = c;
  return {
    vocabulary,
    output: end.output,
    columns: end.columns,
    trainedContext: source.size("context_length", { max: 2 ** 30 }),
    longestContext: parts.longestContext,
    bidirectional: seesAll(source),
    pageBytes: source.pageBytes,
    kept: source.kept,
    describe: { layers, dim, hidden, heads, kvHeads, headDim },
    constants: [...source.constants],
    graph: step => {
      let x = embed(step);
      if (embeddingScale !== 1) scaleBy(step, x, embeddingScale);
      parts.prepare?.(step, x);
      blocks.forEach((block, i) => {
        step.graph.scope(() => block(step, x));
        if (i + 1 < blocks.length && (i + 1) % c.layers === 0) x = last(step, x).form("f32");
      });
      return end.apply(step, last(step, x, "wanted"));
    },
  };
}

/** The sum of two ways to embed a step's tokens. */
export const bothEmbeddings =
  (a: (step: Step) => Tensor, b: (step: Step) => Tensor) =>
  (step: Step): Tensor => {
    const x = a(step);
    addScaled(step, b(step), x);
    return x;
  };
