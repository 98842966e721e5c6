/**
 * DeepSeek V4: four residual streams that every branch mixes anew; one key that is its value too, for the last tokens, and compressed entries for
 * the older ones, of which an indexer chooses in some layers; experts by a table in the first layers. ARCHITECTURES 3.5, 11.
 */
import { turnBack } from "../kernels/compress.ts";
import { OUT } from "../kernels/select.ts";
import { arch } from "../nn/arch.ts";
import { type AttentionShape, attendOver, reserveCache, rotate, type Selection, writeCache } from "../nn/attention.ts";
import { inTurn } from "../nn/block.ts";
import { compressor } from "../nn/compress.ts";
import { type Config, config, decoder, normOf } from "../nn/decoder.ts";
import { gatings } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { count, once, type Region } from "../nn/graph.ts";
import { indexer } from "../nn/indexer.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import { headLinear } from "../nn/mla.ts";
import { expertHidden, moe } from "../nn/moe.ts";
import { bareHeadNorm, headNorm, rmsNorm } from "../nn/norm.ts";
import { type Rope, rope, ropeScaling, splitPairs } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { joined, repeated, type StreamSizes, streamed } from "../nn/streams.ts";
import { type Input, input, type Tensor, tensor } from "../nn/tensor.ts";

/** Heads whose last values turn, in the order that kernels know: those first, split, then the others. */
export const turnedFirst = (size: number, turned: number): number[] => {
  const split = splitPairs(turned, turned);
  return Array.from({ length: size }, (_, i) => (i < turned ? size - turned + split[i] : i - turned));
};

/** Undoes the rotation of the values and their order. */
function back(step: Step, turn: Rope, x: Tensor, { heads, headDim, ropeDim }: Config): Tensor {
  const out = tensor(step.graph, "tokens", heads * headDim);
  const table = step.rotation(turn.rotation(step));
  const kernel = once(step.graph, `turn_back_${heads}_${headDim}_${ropeDim}`, () => turnBack(heads, headDim, ropeDim));
  const args = [x.region.address, table.address, out.region.address, x.stride, out.stride];
  step.graph.launch(kernel, count("tokens"), args, { reads: [x.region, table], writes: [out.region] });
  return out;
}

/** All entries: those at the last position of every block. */
function everyEntry(ratio: number): (step: Step) => Selection {
  let made: { readonly of: Step["table"]; readonly rows: Region } | undefined;
  return step => {
    if (made?.of !== step.table) {
      const marks = Array.from({ length: step.context }, (_, p) => (p % ratio === ratio - 1 ? 0 : OUT));
      made = { of: step.table, rows: step.table(marks) };
    }
    return { rows: made.rows, bytes: 0, sets: 1 };
  };
}

type Entries = (step: Step, x: Input, queries: Input) => NonNullable<AttentionShape["entries"]>;

/** Binds the compressed entries of a layer and what chooses among them. */
function entriesOf(
  source: Source,
  at: string,
  c: Config,
  shape: AttentionShape,
  o: { ratio: number; turn: Rope; queryRank: number },
): Entries {
  const { ratio, turn, queryRank } = o;
  const common = { dim: c.dim, ratio, eps: c.eps, rope: turn };
  const made = compressor(source, `${at}.attn_compressor`, { ...common, size: c.headDim, order: turnedFirst(c.headDim, c.ropeDim) });
  const cache = reserveCache(source, c);
  const write = (step: Step, x: Input): void => {
    const entry = made(step, x);
    writeCache(step, { ...shape, cache }, entry, entry);
  };
  if (!source.has(`${at}.indexer.proj.weight`)) {
    const all = everyEntry(ratio);
    return (step, x) => {
      write(step, x);
      return { cache, selection: all(step) };
    };
  }
  const heads = source.size("attention.indexer.head_count", { max: 4096 });
  const headDim = source.size("attention.indexer.key_length", { min: c.ropeDim, max: 1024 });
  const top = source.size("attention.indexer.top_k");
  const order = turnedFirst(headDim, c.ropeDim);
  const choose = indexer(source, { sets: 1, heads, headDim, rope: turn, turnedKeys: true, block: ratio, top, local: 0, ended: true });
  const keys = compressor(source, `${at}.indexer_compressor`, { ...common, size: headDim, order });
  const q = linear(source, `${at}.indexer.attn_q_b`, queryRank, heads * headDim, { order });
  const weights = linear(source, `${at}.indexer.proj`, c.dim, heads);
  return (step, x, queries) => {
    write(step, x);
    return { cache, selection: choose(step, q(step, queries), keys(step, x), weights(step, x)) };
  };
}

function attention(source: Source, at: string, c: Config, ratio: number, turn: Rope): Branch {
  const { dim, heads, headDim, ropeDim, eps } = c;
  const order = turnedFirst(headDim, ropeDim);
  const queryRank = source.size("attention.q_lora_rank", { max: 65536 });
  const [groups, rank] = [
    source.size("attention.output_group_count", { max: heads }),
    source.size("attention.output_lora_rank", { max: 65536 }),
  ];
  const first = linear(source, `${at}.attn_q_a`, dim, queryRank);
  const firstNorm = rmsNorm(source, `${at}.attn_q_a_norm`, queryRank, eps);
  const q = linear(source, `${at}.attn_q_b`, queryRank, heads * headDim, { order });
  const qNorm = bareHeadNorm({ kind: "rms", eps, heads, headDim });
  const kv = linear(source, `${at}.attn_kv`, dim, headDim, { order });
  const kvNorm = headNorm(source, `${at}.attn_kv_a_norm`, { kind: "rms", eps, heads: 1, headDim, order })!;
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const sinks = source.vector(`${at}.attn_sinks.weight`, heads);
  const shape: AttentionShape = { heads, kvHeads: 1, headDim, scale: headDim ** -0.5, cache: reserveCache(source, c), window, sinks };
  const entries = ratio ? entriesOf(source, at, c, shape, { ratio, turn, queryRank }) : undefined;
  const low = headLinear(source, `${at}.attn_output_a`, (heads * headDim) / groups, rank, groups);
  return endingIn(linear(source, `${at}.attn_output_b`, groups * rank, dim), (step, x) => {
    const latent = firstNorm(step, first(step, x));
    const [queries, keys] = [q(step, latent), kv(step, x)];
    qNorm(step, queries);
    kvNorm(step, keys);
    rotate(step, turn, queries, heads, headDim);
    rotate(step, turn, keys, 1, headDim);
    writeCache(step, shape, keys, keys);
    const y = attendOver(step, { ...shape, entries: entries?.(step, x, latent) }, queries);
    return input(step, low(step, back(step, turn, y, c)));
  });
}

export const deepseek4 = arch(["deepseek4"], source => {
  const c = config(source);
  const scaling = ropeScaling(source);
  const ropes = {
    near: rope(source, { dim: c.ropeDim, pairs: "neighbours", scaling: { kind: "none" } }),
    far: rope(source, {
      ...{ dim: c.ropeDim, pairs: "neighbours", base: source.positive("attention.compress_rope_freq_base") },
      scaling: scaling.kind === "yarn" ? { ...scaling, magnitude: 1 } : scaling,
    }),
  };
  const streams: StreamSizes = {
    dim: c.dim,
    streams: source.size("hyper_connection.count", { max: 16 }),
    rounds: source.size("hyper_connection.sinkhorn_iterations", { max: 1000 }),
    eps: c.eps,
    least: source.positive("hyper_connection.epsilon"),
  };
  const tokens = embedding(source, "token_embd", c.dim);
  const byTable = source.size("hash_layer_count", { or: 0, min: 0, max: c.layers });
  return decoder(source, c, {
    embed: step => repeated(step, tokens(step), streams),
    norm: joined(source, "output_hc", streams, normOf(source, c, "output_norm")),
    layer: (at, i) => {
      const ratio = source.layerSize("attention.compress_ratios", i, { min: 0, max: 65536 });
      const limit = source.layerNumber("swiglu_clamp_exp", i);
      source.need(`${at}.${i < byTable ? "ffn_gate_tid2eid.weight" : "exp_probs_b.bias"}`);
      const network = moe(source, at, {
        dim: c.dim,
        hidden: expertHidden(source),
        scores: "sqrt_softplus",
        gating: gatings.siluOfLimited(limit),
      });
      const attends = attention(source, at, c, ratio, ratio ? ropes.far : ropes.near);
      return inTurn(
        streamed(source, `${at}.hc_attn`, streams, normOf(source, c, `${at}.attn_norm`), attends),
        streamed(source, `${at}.hc_ffn`, streams, normOf(source, c, `${at}.ffn_norm`), network),
      );
    },
  });
});
