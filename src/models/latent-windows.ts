/**
 * Latent attention with more: Dots 3 Note has windows whose layers have sizes of their own, and an index in the others; Hunyuan 4 has sinks, gates and
 * several residual streams that keep what they have. Source: llama.cpp `dots3note.cpp`, `hy-v4.cpp`.
 */
import { arch } from "../nn/arch.ts";
import { inTurn } from "../nn/block.ts";
import { decoder, normOf, preNorm, windowedLayers } from "../nn/decoder.ts";
import { gatings } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { mla } from "../nn/mla.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { rope } from "../nn/rope.ts";
import { joined, repeated, type StreamSizes, streamed } from "../nn/streams.ts";
import { INDEX_EPS, mlaConfig, noFirstIndex, sparseKeys } from "./deepseek.ts";
import { turnedFirst } from "./deepseek4.ts";

export const dots3 = arch(["dots3note"], source => {
  const c = mlaConfig(source);
  const windowed = windowedLayers(source, 1);
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const own = (key: string): number => source.size(`attention.${key}`, { max: 65536 });
  const near = {
    ...{ rank: own("kv_lora_rank_swa"), keyDim: own("key_length_mla_swa"), valueDim: own("value_length_mla_swa"), window },
    rope: rope(source, { dim: c.ropeDim, pairs: "neighbours", base: source.positive("rope.freq_base_swa") }),
  };
  const far = { rope: rope(source, { dim: c.ropeDim, pairs: "neighbours" }) };
  const keys = sparseKeys(source, c, { turn: rope(source, { dim: c.ropeDim, pairs: "halves" }), eps: INDEX_EPS, own: () => true });
  const network = { dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source), normalise: source.flag("expert_weights_norm", false) };
  return decoder(source, c, {
    prepare: keys.prepare,
    layer: (at, i) => {
      const heads = source.layerSize("attention.head_count", i, { max: 4096 });
      const sizes = { ...c, heads, ...(windowed(i) ? near : { ...far, chooser: keys.chooser(i) }) };
      const attends = mla(source, at, { ...sizes, scale: sizes.keyDim ** -0.5 });
      return preNorm(source, c, at, { attention: attends, ffn: moeOrFfn(source, at, network) });
    },
  });
});

export const hunyuan4 = arch(["hy_v4"], source => {
  const c = mlaConfig(source);
  const turn = rope(source, { dim: c.ropeDim, pairs: "neighbours" });
  const types = "attention.indexer.types";
  const own = (i: number): boolean => !source.hasKey(types) || source.layerNumber(types, i) !== 0;
  const sparse = source.size("attention.indexer.top_k", { or: 0, min: 0 }) > 0;
  if (sparse && !own(0)) throw noFirstIndex();
  const order = sparse ? turnedFirst(source.size("attention.indexer.key_length", { min: c.ropeDim, max: 1024 }), c.ropeDim) : undefined;
  const keys = sparse ? sparseKeys(source, c, { turn, order, eps: c.eps, own }) : undefined;
  const streams: StreamSizes = {
    dim: c.dim,
    streams: source.size("hyper_connection.count", { max: 16 }),
    rounds: 0,
    most: source.positive("hyper_connection.magnitude"),
    eps: c.eps,
    least: source.positive("hyper_connection.epsilon"),
  };
  const tokens = embedding(source, "token_embd", c.dim);
  const network = { dim: c.dim, denseHidden: c.hidden, hidden: expertHidden(source), normalise: source.flag("expert_weights_norm", false) };
  return decoder(source, c, {
    embed: step => repeated(step, tokens(step), streams),
    prepare: keys?.prepare,
    norm: joined(source, "output_hc", streams, normOf(source, c, "output_norm")),
    layer: (at, i) => {
      const limit = source.has(`${at}.ffn_gate_inp.weight`) ? source.layerNumber("swiglu_clamp_exp", i, 0) : 0;
      const gating = limit > 0 ? gatings.siluOfLimited(limit) : undefined;
      const attends = mla(source, at, { ...c, scale: c.keyDim ** -0.5, rope: turn, chooser: keys?.chooser(i) });
      const inner = moeOrFfn(source, at, { ...network, gating, shared: { gating: gatings.silu } });
      return inTurn(
        streamed(source, `${at}.hc_attn`, streams, normOf(source, c, `${at}.attn_norm`), attends),
        streamed(source, `${at}.hc_ffn`, streams, normOf(source, c, `${at}.ffn_norm`), inner),
      );
    },
  });
});
