/**
 * Whole models with recurrent layers in float64, for the families of which no outside record is at hand: a list of tokens to the logits after
 * each of them. Written from the makers' descriptions and from nothing in `src`; one straight pass over all tokens, no cache, no speed.
 */
import { attend, attention, dense, mixture, type Rope, rope, squaredRelu, swiglu } from "./layers.ts";
import { causalConvolution, gatedDeltaHead, mamba2Head, type Row, selectiveScan } from "./recurrent.ts";
import {
  File,
  heads,
  type Layer,
  part,
  plus,
  type ReferenceFile,
  type Rows,
  range,
  sigmoid,
  silu,
  softplus,
  sum,
  unit,
  zip,
} from "./rows.ts";

export type { ReferenceFile } from "./rows.ts";

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

/** How a family puts its layers together: the branch that mixes tokens, and the one that does not (or none). */
interface Family {
  readonly mixer: (f: File, at: string, i: number) => Layer;
  readonly ffn?: (f: File, at: string, i: number) => Layer;
  readonly ffnNorm?: string;
  readonly outputNorm?: string;
}

/** Pairs (i, i + half) of a head, unscaled. */
const rotary = (f: File): Rope => rope(f, { pairs: "halves" });

const kvHeads = (f: File, i: number): number => f.number("attention.head_count_kv", undefined, i);
const lead = (f: File, i: number): boolean => i < f.number("leading_dense_block_count", 0);
const hasExperts = (f: File, at: string): boolean => f.has(`${at}.ffn_gate_inp.weight`);
const both =
  (a: Layer, b: Layer): Layer =>
  x =>
    plus(a(x), b(x));

const qwen = (next: boolean): Family => ({
  mixer: (f, at, i) =>
    (i + 1) % f.number("full_attention_interval", 4) ? deltaNet(f, at, next) : attention(f, at, i, { rope: rotary(f), gated: true }),
  ffn: (f, at) => (hasExperts(f, at) ? mixture(f, at, { probability: "softmax", normalised: true }, swiglu) : dense(f, at, swiglu)),
  ffnNorm: "post_attention_norm",
});

const nemotron: Family = {
  mixer: (f, at, i) => {
    if (hasExperts(f, at)) return mixture(f, at, { probability: "sigmoid", normalised: true }, squaredRelu);
    if (f.number("feed_forward_length", undefined, i)) return dense(f, at, squaredRelu);
    return kvHeads(f, i) ? attention(f, at, i, {}) : mamba2(f, at);
  },
};

const lfm: Family = {
  mixer: (f, at, i) => (kvHeads(f, i) ? attention(f, at, i, { rope: rotary(f) }) : shortConvolution(f, at)),
  ffn: (f, at, i) =>
    hasExperts(f, at) && !lead(f, i) ? mixture(f, at, { probability: "sigmoid", normalised: true }, swiglu) : dense(f, at, swiglu),
  outputNorm: "token_embd_norm",
};

export const families: Readonly<Record<string, Family>> = {
  lfm2: lfm,
  lfm2moe: lfm,
  "falcon-h1": {
    mixer: (f, at, i) => both(attention(f, at, i, { rope: rotary(f) }), mamba2(f, at)),
    ffn: (f, at) => dense(f, at, swiglu),
  },
  jamba: {
    mixer: (f, at, i) => (kvHeads(f, i) ? attention(f, at, i, {}) : mamba1(f, at)),
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
