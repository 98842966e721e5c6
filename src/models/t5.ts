/**
 * T5 and its descendants (Flan-T5, mT5, UMT5 without the layers' own biases): an encoder reads the prompt once, a decoder answers it and looks at
 * what was read in every layer. Positions are biases by distance, in buckets that grow with it; scores are not scaled. ARCHITECTURES 5.
 */
import { PAGE } from "../kernels/attend.ts";
import { arch, type Network } from "../nn/arch.ts";
import { type AttentionOptions, type AttentionShape, attendOver, attention, reserveCache, writeCache } from "../nn/attention.ts";
import { inTurn, residual } from "../nn/block.ts";
import { type Config, config, decoder, normOf } from "../nn/decoder.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import type { Region } from "../nn/graph.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { type Input, input } from "../nn/tensor.ts";

/** From this distance on all keys share the last bucket. */
const FARTHEST = 128;

/** The bucket of a key that stands `distance` after the query: half of them count singly, the others grow with the logarithm. */
function bucket(distance: number, buckets: number, bothWays: boolean): number {
  const own = bothWays ? buckets / 2 : buckets;
  const first = bothWays && distance > 0 ? own : 0;
  const away = bothWays ? Math.abs(distance) : Math.max(0, -distance);
  const single = own / 2;
  if (away < single) return first + away;
  const far = (Math.log2(away / single) / Math.log2(FARTHEST / single)) * (own - single);
  return first + Math.min(own - 1, Math.floor(single + far));
}

/** The biases of a stack, which its first layer has for all; one table a trace. */
function distances(source: Source, stack: string, heads: number, bothWays: boolean): NonNullable<AttentionOptions["relative"]> {
  const buckets = source.size("attention.relative_buckets_count", { min: 4, max: 1024 });
  const name = source.constant(`${stack}.blk.0.attn_rel_b.weight`, heads * buckets);
  let made: { readonly of: Step["table"]; readonly table: Region } | undefined;
  return step => {
    const middle = step.context;
    const row = 2 * middle + PAGE; // keys are looked at a page at a time, the last one to its end
    if (made?.of !== step.table) {
      const values = step.values(name);
      const list = new Float32Array(heads * row);
      for (let i = 0; i < row; i++) {
        const b = bucket(i - middle, buckets, bothWays);
        for (let h = 0; h < heads; h++) list[h * row + i] = values[b * heads + h];
      }
      made = { of: step.table, table: step.table(list) };
    }
    return { table: made.table, row: 4 * row, middle };
  };
}

/** Attention to what was read: `read` writes its keys and values into its pages, the branch looks at them. */
function looking(source: Source, at: string, c: Config): { read: (step: Step, x: Input) => void; branch: Branch } {
  const rows = c.kvHeads * c.headDim;
  const [k, v] = [linear(source, `${at}.cross_attn_k`, c.dim, rows), linear(source, `${at}.cross_attn_v`, c.dim, c.kvHeads * c.valueDim)];
  const q = linear(source, `${at}.cross_attn_q`, c.dim, c.heads * c.headDim);
  const out = linear(source, `${at}.cross_attn_o`, c.heads * c.valueDim, c.dim);
  const { heads, kvHeads, headDim, valueDim } = c;
  const shape: AttentionShape = { heads, kvHeads, headDim, valueDim, scale: 1, cache: reserveCache(source, c) };
  return {
    read: (step, x) => writeCache(step, shape, k(step, x), v(step, x)),
    branch: endingIn(out, (step, x) =>
      input(step, attendOver({ ...step, starts: step.sourceStarts, positions: step.sourceLasts }, shape, q(step, x))),
    ),
  };
}

/** The parts that encoder and decoder have alike. */
function stack(source: Source, name: "enc" | "dec", c: Config) {
  const bidirectional = name === "enc";
  const { heads, kvHeads, headDim, valueDim } = c;
  const own = { heads, kvHeads, headDim, valueDim, dim: c.dim, scale: 1, bidirectional, names: { out: "attn_o" } };
  const relative = distances(source, name, heads, bidirectional);
  // All layers have a gate or none: one that lost its own would run as another kind of network.
  const gated = source.names.some(n => /ffn_gate\.weight$/.test(n));
  return {
    norm: normOf(source, c, `${name}.output_norm`),
    attention: (i: number) => {
      const at = `${name}.blk.${i}`;
      return residual(normOf(source, c, `${at}.attn_norm`), attention(source, at, { ...own, relative }));
    },
    ffn: (i: number) => {
      const at = `${name}.blk.${i}`;
      return residual(normOf(source, c, `${at}.ffn_norm`), ffn(source, at, { ...c, activation: gated ? "gelu" : "relu", gated }));
    },
  };
}

export const t5Encoder = arch(["t5encoder"], source => {
  const c = config(source);
  const { norm, attention, ffn } = stack(source, "enc", c);
  return decoder(source, c, { encoder: true, norm, layer: (_, i) => inTurn(attention(i), ffn(i)) });
});

export const t5 = arch(["t5"], (source): Network => {
  const c = config(source);
  const answers = { ...c, layers: source.size("decoder_block_count", { or: c.layers, max: 1024 }) };
  const [reader, writer] = [stack(source, "enc", c), stack(source, "dec", c)];
  const embed = embedding(source, "token_embd", c.dim);
  const layers = Array.from({ length: c.layers }, (_, i) => inTurn(reader.attention(i), reader.ffn(i)));
  const looks = Array.from({ length: answers.layers }, (_, i) => looking(source, `dec.blk.${i}`, c));
  const network = decoder(source, answers, {
    norm: writer.norm,
    // The makers' first models, which have no output matrix of their own, shrink what goes into the shared one.
    logitScale: source.has("output.weight") ? 1 : c.dim ** -0.5,
    layer: (at, i) => {
      const look = residual(normOf(source, c, `dec.${at}.cross_attn_norm`), looks[i].branch);
      return inTurn(writer.attention(i), look, writer.ffn(i));
    },
  });
  const graph = (step: Step): void => {
    const x = embed(step);
    for (const layer of layers) step.graph.scope(() => layer(step, x));
    const read = reader.norm(step, x);
    for (const look of looks) step.graph.scope(() => look.read(step, read));
  };
  return { ...network, reader: { start: source.size("decoder_start_token_id", { or: 0, min: 0 }), graph } };
});
