/**
 * Encoders for embeddings and reranking: BERT, Nomic, Jina, ModernBERT, NeoBERT. Every token sees the whole text. GELU is the normal
 * distribution's own, as the makers have it. ARCHITECTURES 5.
 */
import { arch } from "../nn/arch.ts";
import { type AttentionOptions, attention } from "../nn/attention.ts";
import { type Block, inTurn, residual } from "../nn/block.ts";
import { bothEmbeddings, type Config, config, decoder, normOf, preNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import { addScaled, addVector, copyTo } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import type { Branch } from "../nn/linear.ts";
import { expertHidden, moe } from "../nn/moe.ts";
import type { Norm } from "../nn/norm.ts";
import { asTheyAre } from "../nn/output.ts";
import { type Source, vectorRegion } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { input, type Tensor } from "../nn/tensor.ts";

/** Tokens, the first token type, and learned positions where the file has them, normed. */
function embeddings(source: Source, c: Config): (step: Step) => Tensor {
  const tokens = embedding(source, "token_embd", c.dim);
  const positions = source.has("position_embd.weight") ? embedding(source, "position_embd", c.dim, { by: "positions" }) : undefined;
  const kinds = source.rowsOf("token_types.weight");
  const types = kinds || source.has("token_types.weight") ? source.vector("token_types.weight", c.dim * Math.max(1, kinds)) : undefined;
  const norm = normOf(source, c, "token_embd_norm");
  const embed = positions ? bothEmbeddings(tokens, positions) : tokens;
  return step => {
    const x = embed(step);
    if (types) addVector(step, vectorRegion(types), x);
    return norm(step, x).form("f32");
  };
}

/** x = norm(x + branch(x)). */
function normedSum(branch: Branch, norm: Norm): Block {
  const add = residual(undefined, branch);
  return (step, x) => {
    add(step, x);
    copyTo(step, norm(step, x).form("f32"), x);
  };
}

/** x = norm(x + norm(x + attention(x))): the second norm of Jina's code models. */
function twiceNormedSum(branch: Branch, first: Norm, second: Norm): Block {
  return (step, x) => {
    const y = branch(step, input(step, x));
    addScaled(step, x, y);
    addScaled(step, first(step, y).form("f32"), x);
    copyTo(step, second(step, x).form("f32"), x);
  };
}

/** Norms after the sums, as in the first transformers. */
function postSum(source: Source, c: Config, own: Partial<AttentionOptions>) {
  return decoder(source, c, {
    encoder: true,
    embed: embeddings(source, c),
    norm: asTheyAre,
    longestContext: source.rowsOf("position_embd.weight") || undefined,
    layer: at => {
      const options = { ...c, ...own, qkNorm: { kind: "layer", eps: c.eps, over: "all", optional: true } } as const;
      const attends = attention(source, at, options);
      const after = normOf(source, c, `${at}.attn_output_norm`);
      const second = source.has(`${at}.attn_norm_2.weight`) ? normOf(source, c, `${at}.attn_norm_2`) : undefined;
      const activation = source.architecture === "nomic-bert" ? "silu" : "gelu_erf";
      const network = source.has(`${at}.ffn_gate_inp.weight`)
        ? moe(source, at, {
            ...c,
            hidden: source.hasKey("expert_feed_forward_length") ? expertHidden(source) : c.hidden,
            activation,
            normalise: false,
          })
        : ffn(source, at, { ...c, activation });
      const first = second ? twiceNormedSum(attends, after, second) : normedSum(attends, after);
      return inTurn(first, normedSum(network, normOf(source, c, `${at}.layer_output_norm`)));
    },
  });
}

export const bert = arch(["bert"], source => postSum(source, config(source, "layer"), {}));

export const nomic = arch(["nomic-bert", "nomic-bert-moe", "jina-bert-v3"], source => {
  const c = config(source, "layer");
  return postSum(source, c, { rope: rotary(source, c, { pairs: "halves" }) });
});

/** Jina 2: a bias that falls with distance, on both sides. */
export const jina2 = arch(["jina-bert-v2"], source => postSum(source, config(source, "layer"), { alibi: 8 }));

/** ModernBERT: norms before the branches (the first block's attention has none), windows on two of three layers with their own base. */
export const modern = arch(["modern-bert"], source => {
  const c = config(source, "layer");
  const far = rotary(source, c, { pairs: "halves", base: source.positive("rope.freq_base", 160000) });
  const near = rotary(source, c, { pairs: "halves", base: source.positive("rope.freq_base_swa", 10000) });
  const window = { kind: "symmetric", size: source.size("attention.sliding_window", { or: 128 }) } as const;
  const windowed = windowedLayers(source, 3, true);
  return decoder(source, c, {
    encoder: true,
    embed: embeddings(source, c),
    layer: (at, i) => {
      const own = windowed(i) ? { rope: near, window } : { rope: far };
      const attends = attention(source, at, { ...c, ...own });
      const before = source.has(`${at}.attn_norm.weight`) ? normOf(source, c, `${at}.attn_norm`) : undefined;
      const network = ffn(source, at, { ...c, activation: "gelu_erf" });
      return inTurn(residual(before, attends), residual(normOf(source, c, `${at}.ffn_norm`), network));
    },
  });
});

/** NeoBERT: the plain decoder's blocks. */
export const neo = arch(["neo-bert"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "neighbours" });
  return decoder(source, c, {
    encoder: true,
    norm: normOf(source, c, "enc.output_norm"),
    layer: at => preNorm(source, c, at, { attention: attention(source, at, { ...c, rope }), ffn: ffn(source, at, c) }),
  });
});
