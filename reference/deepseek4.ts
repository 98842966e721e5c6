/**
 * DeepSeek V4 in float64: four residual streams that every branch mixes anew, attention to the last tokens and to compressed entries of the older
 * ones, experts by a table in the first layers. A list of tokens to the logits after each of them, without a cache. Written from the makers'
 * description; ARCHITECTURES 3.5 names the parts.
 */
import { attend, limitedSilu, mixture, rope } from "./layers.ts";
import type { Row } from "./recurrent.ts";
import { File, heads, part, type ReferenceFile, type Rows, range, sigmoid, sum } from "./rows.ts";
import { type Best, firstBest } from "./top.ts";

const normed = (x: Row, eps: number): number[] => x.map(v => v / Math.sqrt(sum(x.map(u => u * u)) / x.length + eps));

/** What a branch takes from the streams, what it gives back to each, and how the streams mix: [from][to]. */
interface Mixing {
  readonly take: number[];
  readonly give: number[];
  readonly mix: number[][];
}

/** Rows, then columns, are divided by their sums, until the matrix is nearly doubly stochastic (Sinkhorn 1964). */
function balanced(rows: Rows, times: number, eps: number): number[][] {
  const columns = (m: Rows): number[][] => m.map(row => row.map((v, j) => v / (sum(m.map(r => r[j])) + eps)));
  let m: number[][] = rows.map(row => {
    const powers = row.map(v => Math.exp(v - Math.max(...row)));
    return powers.map(p => p / sum(powers) + eps);
  });
  m = columns(m);
  for (let i = 1; i < times; i++) m = columns(m.map(row => row.map(v => v / (sum(row) + eps))));
  return m;
}

function mixing(f: File, name: string, streams: Row): Mixing {
  const [count, times] = [f.number("hyper_connection.count"), f.number("hyper_connection.sinkhorn_iterations")];
  const eps = f.number("hyper_connection.epsilon");
  const [base, scale] = [f.values(`${name}_base`), f.values(`${name}_scale`)];
  const [own] = f.linear(`${name}_fn`, [normed(streams, f.number("attention.layer_norm_rms_epsilon"))]);
  const at = (i: number): number => own[i] * (scale[Math.min(2, Math.floor(i / count))] ?? 0) + base[i];
  return {
    take: range(count).map(i => sigmoid(at(i)) + eps),
    give: own.length > count ? range(count).map(i => 2 * sigmoid(at(count + i))) : [],
    mix:
      own.length > count
        ? balanced(
            heads(
              range(count * count).map(i => at(2 * count + i)),
              count,
            ),
            times,
            eps,
          )
        : [],
  };
}

const taken = (streams: Rows, take: Row): number[] => streams[0].map((_, i) => sum(streams.map((s, h) => s[i] * take[h])));

/** One entry for each whole block of `ratio` tokens: a mean weighted number by number; with twice the width the block before takes part. */
function compressed(f: File, name: string, x: Rows, size: number, ratio: number): number[][] {
  const [values, gates] = [f.linear(`${name}_kv`, x), f.linear(`${name}_gate`, x)];
  const places = heads(f.values(`${name}_ape`), values[0].length);
  const scores = gates.map((row, t) => row.map((v, i) => v + places[t % ratio][i]));
  const overlap = values[0].length === 2 * size;
  return range(Math.floor(x.length / ratio)).map(block => {
    const own = range(ratio).map(j => ({ t: block * ratio + j, from: overlap ? size : 0 }));
    const before = overlap && block ? range(ratio).map(j => ({ t: (block - 1) * ratio + j, from: 0 })) : [];
    const rows = [...before, ...own];
    return range(size).map(i => {
      const most = Math.max(...rows.map(r => scores[r.t][r.from + i]));
      const weights = rows.map(r => Math.exp(scores[r.t][r.from + i] - most));
      return sum(rows.map((r, k) => weights[k] * values[r.t][r.from + i])) / sum(weights);
    });
  });
}

function attention(f: File, at: string, ratio: number, x: Rows, best: Best): number[][] {
  const size = f.number("attention.key_length");
  const turns = f.number("rope.dimension_count");
  const base = ratio ? f.number("attention.compress_rope_freq_base") : f.number("rope.freq_base");
  const turn = (width: number) => rope(f, { pairs: "neighbours", base, from: width - turns, scaled: ratio > 0 }, turns);
  const eps = f.number("attention.layer_norm_rms_epsilon");
  const latent = f.rmsNorm(`${at}.attn_q_a_norm`, f.linear(`${at}.attn_q_a`, x));
  const q = f.linear(`${at}.attn_q_b`, latent).map((row, t) => heads(row, size).flatMap(h => turn(size)(normed(h, eps), t)));
  const raw = f.rmsNorm(`${at}.attn_kv_a_norm`, f.linear(`${at}.attn_kv`, x)).map((row, t) => turn(size)(row, t));
  const entries = (name: string, width: number): number[][] =>
    f.rmsNorm(`${at}.${name}_norm`, compressed(f, `${at}.${name}`, x, width, ratio)).map((row, n) => turn(width)(row, n * ratio));
  const old = ratio ? entries("attn_compressor", size) : [];
  const done = (t: number): number => (ratio ? Math.floor((t + 1) / ratio) : 0);
  let chosen: readonly ReadonlySet<number>[] | undefined;
  if (f.has(`${at}.indexer.proj.weight`)) {
    const [width, top] = [f.number("attention.indexer.key_length"), f.number("attention.indexer.top_k")];
    const queries = f.linear(`${at}.indexer.attn_q_b`, latent).map((row, t) => heads(row, width).map(h => turn(width)(h, t)));
    const weights = f.linear(`${at}.indexer.proj`, x);
    const keys = entries("indexer_compressor", width);
    chosen = queries.map((own, t) => {
      const scores = keys.slice(0, done(t)).map(k => sum(own.map((h, i) => weights[t][i] * Math.max(0, sum(h.map((v, d) => v * k[d]))))));
      return new Set(best(scores, top));
    });
  }
  const window = f.number("attention.sliding_window");
  const keys = [...raw, ...old];
  const visible = (t: number, p: number): boolean =>
    p < x.length ? p <= t && t - p < window : p - x.length < done(t) && (chosen?.[t].has(p - x.length) ?? true);
  const y = attend(q, keys, keys, { key: size, value: size, scale: size ** -0.5, sinks: f.values(`${at}.attn_sinks`), visible });
  const back = y.map((row, t) => heads(row, size).flatMap(h => turn(size)(h, -t)));
  const groups = f.number("attention.output_group_count");
  const width = back[0].length / groups;
  const low = range(groups).map(g => f.linear(`${at}.attn_output_a`, part(back, g * width, width), g));
  return f.linear(
    `${at}.attn_output_b`,
    x.map((_, t) => low.flatMap(rows => rows[t])),
  );
}

export function deepseek4Logits(file: ReferenceFile, tokens: readonly number[], best: Best = firstBest): number[][] {
  const f = new File(file);
  const count = f.number("hyper_connection.count");
  const embedding = heads(f.values("token_embd.weight"), f.number("embedding_length"));
  let streams: number[][][] = tokens.map(t => range(count).map(() => [...embedding[t]]));
  const branch = (name: string, norm: string, inner: (x: Rows) => Rows): void => {
    const how = streams.map(s => mixing(f, name, s.flat()));
    const y = inner(
      f.rmsNorm(
        norm,
        streams.map((s, t) => taken(s, how[t].take)),
      ),
    );
    streams = streams.map((s, t) =>
      range(count).map(to => s[0].map((_, i) => how[t].give[to] * y[t][i] + sum(s.map((from, h) => how[t].mix[h][to] * from[i])))),
    );
  };
  for (const i of range(f.number("block_count"))) {
    const at = `blk.${i}`;
    branch(`${at}.hc_attn`, `${at}.attn_norm`, x => attention(f, at, f.number("attention.compress_ratios", undefined, i), x, best));
    const table = f.has(`${at}.ffn_gate_tid2eid.weight`)
      ? heads(f.values(`${at}.ffn_gate_tid2eid`), f.number("expert_used_count"))
      : undefined;
    const router = { probability: "sqrtSoftplus", normalised: true, chosen: table && ((t: number) => table[tokens[t]]) } as const;
    branch(`${at}.hc_ffn`, `${at}.ffn_norm`, mixture(f, at, router, limitedSilu(f.number("swiglu_clamp_exp", undefined, i))));
  }
  const last = streams.map(s => taken(s, mixing(f, "output_hc", s.flat()).take));
  return f.linear("output", f.rmsNorm("output_norm", last));
}
