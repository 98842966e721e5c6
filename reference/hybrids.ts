/**
 * Whole models with recurrent layers in float64, for the families of which no outside record is at hand: a list of tokens to the logits after
 * each of them. Written from the makers' descriptions and from nothing in `src`; one straight pass over all tokens, no cache, no speed.
 */
import { causalConvolution, gatedDeltaHead, mamba2Head, type Row, selectiveScan } from "./recurrent.ts";

/** A tensor as GGUF files have it: the fastest dimension first. */
export interface ReferenceTensor {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}
export interface ReferenceFile {
  /** Without the architecture's name in front. */
  readonly metadata: ReadonlyMap<string, number | boolean | readonly number[]>;
  readonly tensors: ReadonlyMap<string, ReferenceTensor>;
}

type Rows = readonly Row[];
type Layer = (x: Rows) => number[][];

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sum = (x: Row): number => x.reduce((a, b) => a + b, 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const silu = (x: number): number => x * sigmoid(x);
const softplus = (x: number): number => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
const part = (rows: Rows, from: number, size: number): number[][] => rows.map(r => r.slice(from, from + size));
const zip = (a: Rows, b: Rows, f: (x: number, y: number) => number): number[][] => a.map((row, t) => row.map((x, i) => f(x, b[t][i])));
const plus = (a: Rows, b: Rows): number[][] => zip(a, b, (x, y) => x + y);
const unit = (x: Row): number[] => x.map(v => v / Math.hypot(...x));

/** Reads a file's numbers by name. */
class File {
  readonly #file: ReferenceFile;
  constructor(file: ReferenceFile) {
    this.#file = file;
  }

  has = (name: string): boolean => this.#file.tensors.has(name);
  values(name: string): number[] {
    const found = this.#file.tensors.get(name) ?? this.#file.tensors.get(`${name}.weight`);
    if (!found) throw new Error(`${name} is missing`);
    return Array.from(found.data);
  }
  shape = (name: string): readonly number[] => this.#file.tensors.get(`${name}.weight`)?.shape ?? [];
  /** One number, or that of layer i. */
  number(key: string, fallback?: number, i = 0): number {
    const value = this.#file.metadata.get(key) ?? fallback;
    const own = typeof value === "object" ? value[i] : value;
    if (own === undefined) throw new Error(`${key} is missing`);
    return Number(own);
  }
  /** y = W x + b for each row; `expert` picks a slice of a three-dimensional weight. */
  linear(name: string, x: Rows, expert = 0): number[][] {
    const w = this.values(`${name}.weight`);
    const [inputs, outputs = 1] = this.shape(name);
    const bias = this.has(`${name}.bias`) ? this.values(`${name}.bias`) : undefined;
    const first = expert * inputs * outputs;
    return x.map(row => range(outputs).map(o => sum(row.map((v, i) => v * w[first + o * inputs + i])) + (bias?.[o] ?? 0)));
  }
  /** Over stretches of the weight's own length. */
  rmsNorm(name: string, x: Rows): number[][] {
    const weight = this.values(name);
    const eps = this.number("attention.layer_norm_rms_epsilon");
    return x.map(row =>
      row.map((v, i) => {
        const from = i - (i % weight.length);
        const stretch = row.slice(from, from + weight.length);
        return (v / Math.sqrt(sum(stretch.map(u => u * u)) / weight.length + eps)) * weight[i % weight.length];
      }),
    );
  }
  /** Filters [channel][kernel] of a convolution. */
  filters(name: string): number[][] {
    const w = this.values(`${name}.weight`);
    const [size] = this.shape(name);
    return range(w.length / size).map(c => w.slice(c * size, (c + 1) * size));
  }
}

/** Turns the first `dim` values of a head in pairs (i, i + dim / 2). */
function turn(head: Row, position: number, dim: number, base: number): number[] {
  const half = dim / 2;
  return head.map((v, i) => {
    if (i >= dim) return v;
    const angle = position * base ** ((-2 * (i % half)) / dim);
    return i < half ? v * Math.cos(angle) - head[i + half] * Math.sin(angle) : head[i - half] * Math.sin(angle) + v * Math.cos(angle);
  });
}

const heads = (row: Row, size: number): number[][] => range(row.length / size).map(h => row.slice(h * size, (h + 1) * size) as number[]);

/** Causal attention of rows of heads; query head h reads key head floor(h / (heads / kvHeads)). */
function attend(q: Rows, k: Rows, v: Rows, sizes: { key: number; value: number; scale: number }): number[][] {
  return q.map((row, t) =>
    heads(row, sizes.key).flatMap((query, h, all) => {
      const kv = Math.floor(h / (all.length / (k[0].length / sizes.key)));
      const scores = range(t + 1).map(p => sizes.scale * sum(query.map((x, i) => x * k[p][kv * sizes.key + i])));
      const most = Math.max(...scores);
      const weights = scores.map(s => Math.exp(s - most));
      return range(sizes.value).map(i => sum(weights.map((w, p) => w * v[p][kv * sizes.value + i])) / sum(weights));
    }),
  );
}

interface AttentionKind {
  readonly rope: boolean;
  /** attn_q gives, for each head, a query and then a gate. */
  readonly gated?: boolean;
}

function attention(f: File, at: string, i: number, kind: AttentionKind): Layer {
  const count = f.number("attention.head_count", undefined, i);
  const size = f.number("attention.key_length", f.number("embedding_length") / count);
  const rope = f.number("rope.dimension_count", size);
  const turned = (x: Rows): number[][] =>
    kind.rope ? x.map((row, t) => heads(row, size).flatMap(h => turn(h, t, rope, f.number("rope.freq_base", 10000)))) : x.map(r => [...r]);
  const normed = (name: string, x: Rows): Rows => (f.has(`${at}.${name}.weight`) ? f.rmsNorm(`${at}.${name}`, x) : x);
  return x => {
    const both = f.linear(`${at}.attn_q`, x);
    const q = kind.gated ? both.map(row => heads(row, 2 * size).flatMap(h => h.slice(0, size))) : both;
    const [k, v] = [f.linear(`${at}.attn_k`, x), f.linear(`${at}.attn_v`, x)];
    const scale = f.number("attention.scale", size ** -0.5);
    const y = attend(turned(normed("attn_q_norm", q)), turned(normed("attn_k_norm", k)), v, { key: size, value: size, scale });
    const gates = both.map(row => heads(row, 2 * size).flatMap(h => h.slice(size)));
    return f.linear(`${at}.attn_output`, kind.gated ? zip(y, gates, (a, g) => a * sigmoid(g)) : y);
  };
}

function mamba1(f: File, at: string): Layer {
  const [inner, states, rank] = ["inner_size", "state_size", "time_step_rank"].map(k => f.number(`ssm.${k}`));
  const normed = (name: string, x: Rows): Rows => (f.has(`${at}.${name}.weight`) ? f.rmsNorm(`${at}.${name}`, x) : x);
  return given => {
    const both = f.linear(`${at}.ssm_in`, given);
    const conv = causalConvolution(part(both, 0, inner), f.filters(`${at}.ssm_conv1d`), f.values(`${at}.ssm_conv1d.bias`));
    const x = conv.map(row => row.map(silu));
    const all = f.linear(`${at}.ssm_x`, x);
    const low = normed("ssm_dt_norm", part(all, 0, rank));
    const dt = f.linear(`${at}.ssm_dt`, low).map(row => row.map(softplus));
    const [b, c] = [normed("ssm_b_norm", part(all, rank, states)), normed("ssm_c_norm", part(all, rank + states, states))];
    const d = f.values(`${at}.ssm_d`);
    const y = selectiveScan(x, dt, heads(f.values(`${at}.ssm_a`), states), b, c);
    const out = y.map((row, t) => row.map((v, i) => (v + d[i] * x[t][i]) * silu(both[t][inner + i])));
    return f.linear(`${at}.ssm_out`, out);
  };
}

function mamba2(f: File, at: string): Layer {
  const [inner, states, count, groups] = ["inner_size", "state_size", "time_step_rank", "group_count"].map(k => f.number(`ssm.${k}`));
  const size = inner / count;
  const mixed = inner + 2 * groups * states;
  return given => {
    const all = f.linear(`${at}.ssm_in`, given);
    const conv = causalConvolution(part(all, inner, mixed), f.filters(`${at}.ssm_conv1d`), f.values(`${at}.ssm_conv1d.bias`));
    const xbc = conv.map(row => row.map(silu));
    const bias = f.values(`${at}.ssm_dt.bias`);
    const dt = all.map(row => bias.map((b, h) => softplus(row[inner + mixed + h] + b)));
    const [a, d] = [f.values(`${at}.ssm_a`), f.values(`${at}.ssm_d`)];
    const perHead = range(count).map(h => {
      const group = Math.floor(h / (count / groups));
      const [b, c] = [part(xbc, inner + group * states, states), part(xbc, inner + (groups + group) * states, states)];
      const x = part(xbc, h * size, size);
      const y = mamba2Head(
        x,
        dt.map(row => row[h]),
        a[h],
        b,
        c,
      );
      return y.map((row, t) => row.map((v, i) => v + d[h] * x[t][i]));
    });
    const gated = given.map((_, t) => perHead.flatMap(y => y[t]).map((v, i) => v * silu(all[t][i])));
    if (!f.has(`${at}.ssm_norm.weight`)) return f.linear(`${at}.ssm_out`, gated);
    // The weight has all groups' values; each group is normed by itself.
    const weight = f.values(`${at}.ssm_norm`);
    const width = inner / groups;
    const eps = f.number("attention.layer_norm_rms_epsilon");
    const normed = gated.map(row => heads(row, width).flatMap(g => g.map(v => v / Math.sqrt(sum(g.map(u => u * u)) / width + eps))));
    return f.linear(
      `${at}.ssm_out`,
      normed.map(row => row.map((v, i) => v * weight[i])),
    );
  };
}

function shortConvolution(f: File, at: string): Layer {
  const dim = f.number("embedding_length");
  return given => {
    const all = f.linear(`${at}.shortconv.in_proj`, given);
    const [b, c, x] = [0, 1, 2].map(i => part(all, i * dim, dim));
    const y = causalConvolution(
      zip(b, x, (u, v) => u * v),
      f.filters(`${at}.shortconv.conv`),
    );
    return f.linear(
      `${at}.shortconv.out_proj`,
      zip(c, y, (u, v) => u * v),
    );
  };
}

/** Qwen3.5 stores the projections apart and pairs value head h with key head h mod keyHeads; Qwen3-Next stores b and a by key head and pairs neighbours. */
function deltaNet(f: File, at: string, next: boolean): Layer {
  const [size, keyHeads, count, inner] = ["state_size", "group_count", "time_step_rank", "inner_size"].map(k => f.number(`ssm.${k}`));
  const [keys, width, ratio] = [keyHeads * size, inner / count, count / keyHeads];
  return given => {
    const qkv = causalConvolution(f.linear(`${at}.attn_qkv`, given), f.filters(`${at}.ssm_conv1d`)).map(row => row.map(silu));
    const z = f.linear(`${at}.attn_gate`, given);
    const ba = next ? f.linear(`${at}.ssm_ba`, given) : [];
    const rates = (name: string, offset: number): number[][] =>
      next ? ba.map(row => heads(row, 2 * ratio).flatMap(g => g.slice(offset, offset + ratio))) : f.linear(`${at}.${name}`, given);
    const [beta, alpha] = [rates("ssm_beta", 0), rates("ssm_alpha", ratio)];
    const [a, bias] = [f.values(`${at}.ssm_a`), f.values(`${at}.ssm_dt.bias`)];
    const outs = range(count).map(h => {
      const key = next ? Math.floor(h / ratio) : h % keyHeads;
      const q = part(qkv, key * size, size).map(row => unit(row).map(x => x / Math.sqrt(size)));
      const k = part(qkv, keys + key * size, size).map(unit);
      const decay = alpha.map(row => [Math.exp(a[h] * softplus(row[h] + bias[h]))]);
      return gatedDeltaHead(
        q,
        k,
        part(qkv, 2 * keys + h * width, width),
        decay,
        beta.map(row => sigmoid(row[h])),
      );
    });
    const normed = f.rmsNorm(
      `${at}.ssm_norm`,
      given.map((_, t) => outs.flatMap(o => o[t])),
    );
    return f.linear(
      `${at}.ssm_out`,
      zip(normed, z, (x, g) => x * silu(g)),
    );
  };
}

/** Kimi Delta Attention: every key decays by itself; low-rank projections for decay and gate. */
function kimiDelta(f: File, at: string): Layer {
  const [count, size] = [f.number("attention.head_count"), f.number("kda.head_dim")];
  return given => {
    const [q, k, v] = ["q", "k", "v"].map(n =>
      causalConvolution(f.linear(`${at}.attn_${n}`, given), f.filters(`${at}.ssm_conv1d_${n}`)).map(row => row.map(silu)),
    );
    const twice = (n: string): number[][] => f.linear(`${at}.ssm_${n}_b`, f.linear(`${at}.ssm_${n}_a`, given));
    const [a, bias] = [f.values(`${at}.ssm_a`), f.values(`${at}.ssm_dt.bias`)];
    const decay = twice("f").map(row => row.map((x, i) => Math.exp(a[Math.floor(i / size)] * softplus(x + bias[i]))));
    const beta = f.linear(`${at}.ssm_beta`, given);
    const outs = range(count).map(h => {
      const own = (x: Rows): number[][] => part(x, h * size, size);
      const queries = own(q).map(row => unit(row).map(x => x / Math.sqrt(size)));
      return gatedDeltaHead(
        queries,
        own(k).map(unit),
        own(v),
        own(decay),
        beta.map(row => sigmoid(row[h])),
      );
    });
    const normed = f.rmsNorm(
      `${at}.ssm_norm`,
      given.map((_, t) => outs.flatMap(o => o[t])),
    );
    return f.linear(
      `${at}.attn_output`,
      zip(normed, twice("g"), (x, g) => x * sigmoid(g)),
    );
  };
}

/** Multi-head latent attention without rotation, keys and values expanded from the latent vector. */
function latentAttention(f: File, at: string): Layer {
  const [count, latent] = [f.number("attention.head_count"), f.number("attention.kv_lora_rank")];
  const [key, value, shared] = [
    f.number("attention.key_length_mla"),
    f.number("attention.value_length_mla"),
    f.number("rope.dimension_count"),
  ];
  const own = key - shared;
  return given => {
    const q = f.linear(`${at}.attn_q`, given);
    const all = f.linear(`${at}.attn_kv_a_mqa`, given);
    const c = f.rmsNorm(`${at}.attn_kv_a_norm`, part(all, 0, latent));
    const wk = f.values(`${at}.attn_k_b.weight`); // [own, latent, heads]: its transpose expands
    const expandKey = (row: Row, h: number): number[] => range(own).map(i => sum(row.map((x, l) => x * wk[(h * latent + l) * own + i])));
    const keys = c.map((row, t) => range(count).flatMap(h => [...expandKey(row, h), ...all[t].slice(latent)]));
    const values = range(count).map(h => f.linear(`${at}.attn_v_b`, c, h));
    const joined = c.map((_, t) => values.flatMap(v => v[t]));
    return f.linear(`${at}.attn_output`, attend(q, keys, joined, { key, value, scale: key ** -0.5 }));
  };
}

type Activation = (gate: number | undefined, up: number) => number;
const swiglu: Activation = (gate, up) => silu(gate ?? 0) * up;
const squaredRelu: Activation = (_, up) => Math.max(0, up) ** 2;

function dense(f: File, at: string, activation: Activation, end = ""): Layer {
  return x => {
    const up = f.linear(`${at}.ffn_up${end}`, x);
    const gate = f.has(`${at}.ffn_gate${end}.weight`) ? f.linear(`${at}.ffn_gate${end}`, x) : undefined;
    return f.linear(
      `${at}.ffn_down${end}`,
      up.map((row, t) => row.map((u, i) => activation(gate?.[t][i], u))),
    );
  };
}

interface Router {
  readonly probability: "softmax" | "sigmoid";
  readonly normalised: boolean;
}

/** The chosen experts' outputs, weighted; and what every token passes through besides. */
function mixture(f: File, at: string, router: Router, activation: Activation): Layer {
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
      const total = sum(logits.map(Math.exp));
      const p = logits.map(l => (router.probability === "softmax" ? Math.exp(l) / total : sigmoid(l)));
      const order = range(p.length).sort((a, b) => p[b] + (bias?.[b] ?? 0) - p[a] - (bias?.[a] ?? 0));
      const chosen = order.slice(0, used);
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

/** How a family puts its layers together: the branch that mixes tokens, and the one that does not (or none). */
interface Family {
  readonly mixer: (f: File, at: string, i: number) => Layer;
  readonly ffn?: (f: File, at: string, i: number) => Layer;
  readonly ffnNorm?: string;
  readonly outputNorm?: string;
}

const kvHeads = (f: File, i: number): number => f.number("attention.head_count_kv", undefined, i);
const lead = (f: File, i: number): boolean => i < f.number("leading_dense_block_count", 0);
const hasExperts = (f: File, at: string): boolean => f.has(`${at}.ffn_gate_inp.weight`);
const both =
  (a: Layer, b: Layer): Layer =>
  x =>
    plus(a(x), b(x));

const qwen = (next: boolean): Family => ({
  mixer: (f, at, i) =>
    (i + 1) % f.number("full_attention_interval", 4) ? deltaNet(f, at, next) : attention(f, at, i, { rope: true, gated: true }),
  ffn: (f, at) => (hasExperts(f, at) ? mixture(f, at, { probability: "softmax", normalised: true }, swiglu) : dense(f, at, swiglu)),
  ffnNorm: "post_attention_norm",
});

const nemotron: Family = {
  mixer: (f, at, i) => {
    if (hasExperts(f, at)) return mixture(f, at, { probability: "sigmoid", normalised: true }, squaredRelu);
    if (f.number("feed_forward_length", undefined, i)) return dense(f, at, squaredRelu);
    return kvHeads(f, i) ? attention(f, at, i, { rope: false }) : mamba2(f, at);
  },
};

const lfm: Family = {
  mixer: (f, at, i) => (kvHeads(f, i) ? attention(f, at, i, { rope: true }) : shortConvolution(f, at)),
  ffn: (f, at, i) =>
    hasExperts(f, at) && !lead(f, i) ? mixture(f, at, { probability: "sigmoid", normalised: true }, swiglu) : dense(f, at, swiglu),
  outputNorm: "token_embd_norm",
};

export const families: Readonly<Record<string, Family>> = {
  lfm2: lfm,
  lfm2moe: lfm,
  "falcon-h1": {
    mixer: (f, at, i) => both(attention(f, at, i, { rope: true }), mamba2(f, at)),
    ffn: (f, at) => dense(f, at, swiglu),
  },
  jamba: {
    mixer: (f, at, i) => (kvHeads(f, i) ? attention(f, at, i, { rope: false }) : mamba1(f, at)),
    ffn: (f, at) => (hasExperts(f, at) ? mixture(f, at, { probability: "softmax", normalised: false }, swiglu) : dense(f, at, swiglu)),
  },
  nemotron_h: nemotron,
  qwen35: qwen(false),
  qwen35moe: qwen(false),
  qwen3next: qwen(true),
  "kimi-linear": {
    mixer: (f, at, i) => (kvHeads(f, i) ? latentAttention(f, at) : kimiDelta(f, at)),
    ffn: (f, at, i) => (lead(f, i) ? dense(f, at, swiglu) : mixture(f, at, { probability: "sigmoid", normalised: true }, swiglu)),
  },
};

/** Logits after each token. */
export function hybridLogits(architecture: string, file: ReferenceFile, tokens: readonly number[]): number[][] {
  const f = new File(file);
  const family = families[architecture];
  const dim = f.number("embedding_length");
  const embedding = heads(f.values("token_embd.weight"), dim);
  let x: Rows = tokens.map(t => embedding[t]);
  for (const i of range(f.number("block_count"))) {
    const at = `blk.${i}`;
    x = plus(x, family.mixer(f, at, i)(f.rmsNorm(`${at}.attn_norm`, x)));
    if (family.ffn) x = plus(x, family.ffn(f, at, i)(f.rmsNorm(`${at}.${family.ffnNorm ?? "ffn_norm"}`, x)));
  }
  const normed = f.rmsNorm(family.outputNorm ?? "output_norm", x);
  return f.linear(f.has("output.weight") ? "output" : "token_embd", normed);
}
