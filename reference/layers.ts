/**
 * The layers of transformers in float64 that the reference models are put together from: rotation, softmax attention with everything that
 * changes its scores, dense and mixed feed-forward networks. Written from the makers' descriptions; nothing of `src` is in it.
 */
import type { Row } from "./recurrent.ts";
import { type File, heads, type Layer, type Rows, range, sigmoid, silu, softplus, sum, zip } from "./rows.ts";

// ---- positions ----

/** Turns the rotated values of a head that stands at a position. */
export type Rope = (head: Row, position: number) => number[];

interface RopeKind {
  /** Values that turn together: 2i and 2i + 1, or i and i + half of those that are rotated. */
  readonly pairs: "neighbours" | "halves";
  readonly base?: number;
  /** Whether the file's scaling is for this rotation. Default: yes. */
  readonly scaled?: boolean;
  /** The first rotated value of a head; default 0. */
  readonly from?: number;
}

/** Angles of one position by pair, and what cosines and sines are multiplied by. YaRN: Peng 2023. */
function angles(
  f: File,
  dim: number,
  { base = f.number("rope.freq_base", 10000), scaled = true }: RopeKind,
): { turns: number[]; size: number } {
  const plain = range(dim / 2).map(i => base ** ((-2 * i) / dim));
  const factor = f.number("rope.scaling.factor", 0) || 1;
  const kind = f.text("rope.scaling.type");
  if (!scaled || factor === 1 || !kind || kind === "none") return { turns: plain, size: 1 };
  if (kind === "linear") return { turns: plain.map(a => a / factor), size: 1 };
  const original = f.number("rope.scaling.original_context_length");
  const pairOf = (turns: number): number => (dim / 2) * (Math.log(original / (turns * 2 * Math.PI)) / Math.log(base));
  const [first, last] = [Math.max(0, Math.floor(pairOf(32))), Math.min(dim - 1, Math.ceil(pairOf(1)))];
  const slowed = range(dim / 2).map(i => Math.min(1, Math.max(0, (i - first) / Math.max(0.001, last - first))));
  return { turns: plain.map((a, i) => a * (1 - slowed[i]) + (a / factor) * slowed[i]), size: 1 + 0.1 * Math.log(factor) };
}

export function rope(f: File, kind: RopeKind, given?: number): Rope {
  const from = kind.from ?? 0;
  return (head, position) => {
    const dim = given ?? f.number("rope.dimension_count", head.length);
    const { turns, size } = angles(f, dim, kind);
    const out = [...head];
    turns.forEach((turn, i) => {
      const [a, b] = kind.pairs === "halves" ? [from + i, from + i + dim / 2] : [from + 2 * i, from + 2 * i + 1];
      const [cos, sin] = [Math.cos(position * turn) * size, Math.sin(position * turn) * size];
      out[a] = head[a] * cos - head[b] * sin;
      out[b] = head[a] * sin + head[b] * cos;
    });
    return out;
  };
}

// ---- attention ----

export interface Scores {
  readonly key: number;
  readonly value: number;
  readonly scale: number;
  /** Whether the query at t sees the key at p; default: p <= t. */
  readonly visible?: (t: number, p: number, kvHead: number) => boolean;
  /** Scores become c tanh(s / c). */
  readonly softcap?: number;
  /** A logit for each head that has no value. */
  readonly sinks?: Row;
  /** Added to the scores. */
  readonly bias?: (head: number, t: number, p: number) => number;
  /** Products, sums and values are rounded by it, key after key, as an implementation in half precision does. Default: not at all. */
  readonly round?: (x: number) => number;
}

/** One query over the keys that it sees, one key after the other; a greater score than all before shrinks what was summed up. */
function weighed(scores: Row, values: Rows, sink: number | undefined, round: (x: number) => number): number[] {
  let [most, total] = [Number.NEGATIVE_INFINITY, 0];
  let out = values[0].map(() => 0);
  scores.forEach((s, i) => {
    if (s > most) {
      const shrink = Math.exp(most - s);
      out = out.map(v => round(v * shrink));
      total *= shrink;
      most = s;
    }
    const weight = Math.exp(s - most);
    out = out.map((v, d) => round(v + values[i][d] * weight));
    total += weight;
  });
  if (sink !== undefined) total += Math.exp(sink - most);
  return out.map(v => v / total);
}

/** Softmax attention of rows of heads; query head h reads key head floor(h / (heads / kvHeads)). */
export function attend(q: Rows, k: Rows, v: Rows, o: Scores): number[][] {
  const { visible = (t, p) => p <= t, round = x => x } = o;
  return q.map((row, t) =>
    heads(row, o.key).flatMap((query, h, all) => {
      const kv = Math.floor(h / (all.length / (k[0].length / o.key)));
      const seen = range(k.length).filter(p => visible(t, p, kv));
      const scores = seen.map(p => {
        const s = o.scale * sum(query.map((x, i) => round(x) * round(k[p][kv * o.key + i])));
        return (o.softcap ? o.softcap * Math.tanh(s / o.softcap) : s) + (o.bias?.(h, t, p) ?? 0);
      });
      const values = seen.map(p => v[p].slice(kv * o.value, (kv + 1) * o.value).map(round));
      return weighed(scores, values, o.sinks?.[h], round);
    }),
  );
}

export interface AttentionKind extends Partial<Omit<Scores, "key" | "value" | "visible">> {
  /** Absent: queries and keys are not turned. */
  readonly rope?: Rope;
  /** attn_q gives, for each head, a query and then a gate. */
  readonly gated?: boolean;
  /** Queries and keys are normed after they are turned. */
  readonly normsAfter?: boolean;
  /** How queries and keys are normed; default: by the root of their mean square, where the file has a weight. */
  readonly norms?: (name: string, x: Rows) => Rows;
  /** What comes before the projection back. */
  readonly before?: Layer;
  /** Only so many last positions are seen. */
  readonly window?: number;
  /** Chooses the keys that are seen besides being past, from what the layer gets. */
  readonly chosen?: (x: Rows) => (t: number, p: number, kvHead: number) => boolean;
}

export function attention(f: File, at: string, i: number, kind: AttentionKind): Layer {
  const count = f.number("attention.head_count", undefined, i);
  const size = f.number("attention.key_length", f.number("embedding_length") / count);
  const turned = (x: Rows): Rows => (kind.rope ? x.map((row, t) => heads(row, size).flatMap(h => kind.rope!(h, t))) : x);
  const rms = (name: string, x: Rows): Rows => (f.has(`${name}.weight`) ? f.rmsNorm(name, x) : x);
  const normed = (name: string, x: Rows): Rows => (kind.norms ?? rms)(`${at}.${name}`, x);
  const ready = (name: string, x: Rows): Rows => (kind.normsAfter ? normed(name, turned(x)) : turned(normed(name, x)));
  return x => {
    const both = f.linear(`${at}.attn_q`, x);
    const q = kind.gated ? both.map(row => heads(row, 2 * size).flatMap(h => h.slice(0, size))) : both;
    const [k, v] = [f.linear(`${at}.attn_k`, x), f.linear(`${at}.attn_v`, x)];
    const chosen = kind.chosen?.(x);
    const visible: Scores["visible"] = (t, p, kv) => p <= t && (!kind.window || t - p < kind.window) && (!chosen || chosen(t, p, kv));
    const sinks = f.has(`${at}.attn_sinks.weight`) ? f.values(`${at}.attn_sinks`) : undefined;
    const scale = kind.scale ?? f.number("attention.scale", size ** -0.5);
    const y = attend(ready("attn_q_norm", q), ready("attn_k_norm", k), v, { ...kind, key: size, value: size, scale, sinks, visible });
    const gates = both.map(row => heads(row, 2 * size).flatMap(h => h.slice(size)));
    const open = kind.gated ? zip(y, gates, (a, g) => a * sigmoid(g)) : y;
    return f.linear(`${at}.attn_output`, kind.before?.(open) ?? open);
  };
}

// ---- feed-forward networks ----

export type Activation = (gate: number | undefined, up: number) => number;
export const swiglu: Activation = (gate, up) => silu(gate ?? 0) * up;
export const squaredRelu: Activation = (_, up) => Math.max(0, up) ** 2;
export const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
export const geglu: Activation = (gate, up) => geluTanh(gate ?? 0) * up;
/** SwiGLU whose gate is limited above, and what it lets through on both sides. */
export const limitedSilu =
  (limit: number): Activation =>
  (gate = 0, up) =>
    silu(Math.min(gate, limit)) * Math.min(limit, Math.max(-limit, up));
/** The gated activation of gpt-oss, limited on both sides. */
export const limitedSwiglu: Activation = (gate = 0, up) => {
  const g = Math.min(gate, 7);
  return g * sigmoid(1.702 * g) * (Math.min(7, Math.max(-7, up)) + 1);
};

export function dense(f: File, at: string, activation: Activation, end = ""): Layer {
  return x => {
    const up = f.linear(`${at}.ffn_up${end}`, x);
    const gate = f.has(`${at}.ffn_gate${end}.weight`) ? f.linear(`${at}.ffn_gate${end}`, x) : undefined;
    return f.linear(
      `${at}.ffn_down${end}`,
      up.map((row, t) => row.map((u, i) => activation(gate?.[t][i], u))),
    );
  };
}

export interface Router {
  /** What logits become; "selected": the softmax is over the chosen experts alone. */
  readonly probability: "softmax" | "sigmoid" | "sqrtSoftplus" | "selected";
  readonly normalised: boolean;
  /** The experts of the t-th token, where they do not follow from their scores. */
  readonly chosen?: (t: number) => readonly number[];
}

const probabilities = (kind: Router["probability"], logits: Row): number[] => {
  const most = Math.max(...logits);
  const total = sum(logits.map(l => Math.exp(l - most)));
  const of = {
    softmax: (l: number) => Math.exp(l - most) / total,
    selected: (l: number) => l,
    sigmoid,
    sqrtSoftplus: (l: number) => Math.sqrt(softplus(l)),
  };
  return logits.map(of[kind]);
};

/** The chosen experts' outputs, weighted; and what every token passes through besides. */
export function mixture(f: File, at: string, router: Router, activation: Activation): Layer {
  const used = f.number("expert_used_count");
  const bias = f.has(`${at}.exp_probs_b.bias`) ? f.values(`${at}.exp_probs_b.bias`) : undefined;
  const expert = (e: number, x: Rows): number[][] => {
    const up = f.linear(`${at}.ffn_up_exps`, x, e);
    const gate = f.has(`${at}.ffn_gate_exps.weight`) ? f.linear(`${at}.ffn_gate_exps`, x, e) : undefined;
    return f.linear(
      `${at}.ffn_down_exps`,
      up.map((row, t) => row.map((u, i) => activation(gate?.[t][i], u))),
      e,
    );
  };
  const shared = f.has(`${at}.ffn_up_shexp.weight`) ? dense(f, at, activation, "_shexp") : undefined;
  return x => {
    const routed = f.linear(`${at}.ffn_gate_inp`, x).map((logits, t) => {
      const p = probabilities(router.probability, logits);
      const order = range(p.length).sort((a, b) => p[b] + (bias?.[b] ?? 0) - p[a] - (bias?.[a] ?? 0));
      const chosen = router.chosen?.(t) ?? order.slice(0, used);
      if (router.probability === "selected") for (const e of chosen) p[e] = Math.exp(p[e]);
      const share = router.normalised ? sum(chosen.map(e => p[e])) : 1;
      const scale = f.number("expert_weights_scale", 0) || 1;
      const outs = chosen.map(e => expert(e, [x[t]])[0].map(v => (v * p[e] * scale) / share));
      return outs.reduce((a, b) => a.map((v, i) => v + b[i]));
    });
    if (!shared) return routed;
    const always = shared(x);
    const gates = f.has(`${at}.ffn_gate_inp_shexp.weight`) ? f.linear(`${at}.ffn_gate_inp_shexp`, x) : undefined;
    return zip(
      routed,
      always.map((row, t) => row.map(v => v * (gates ? sigmoid(gates[t][0]) : 1))),
      (a, b) => a + b,
    );
  };
}
