/**
 * Whole transformers in float64 that are not Llama's: mixtures of experts, the Gemma models, sparse attention. A list of tokens to the logits
 * after each of them, in one straight pass without a cache. A family is a few lines; what it is made of is in layers.ts.
 */
import {
  type Activation,
  attend,
  attention,
  dense,
  geglu,
  limitedSwiglu,
  mixture,
  type Rope,
  type Router,
  rope,
  swiglu,
} from "./layers.ts";
import { File, heads, type Layer, part, plus, type ReferenceFile, type Rows, range, sum } from "./rows.ts";
import { type Best, firstBest } from "./top.ts";

/** Where implementations differ. */
export interface Choices {
  /** What attention that sees all keys computes with is rounded by it. Default: not at all. */
  readonly round?: (x: number) => number;
  /** Which keys are chosen among equal scores. Default: the first. */
  readonly best?: Best;
}

interface Family {
  readonly attention: (f: File, at: string, i: number, choices: Choices) => Layer;
  readonly ffn: (f: File, at: string, i: number) => Layer;
  /** Names of the norms before the feed-forward network and after both branches; default ffn_norm, and none. */
  readonly before?: string;
  readonly after?: readonly [attention: string, ffn: string];
  readonly embeddingScale?: (f: File) => number;
}

const halves = (f: File): Rope => rope(f, { pairs: "halves" });
const neighbours = (f: File): Rope => rope(f, { pairs: "neighbours" });
const hasExperts = (f: File, at: string): boolean => f.has(`${at}.ffn_gate_inp.weight`);
const mixed =
  (router: Router, activation: Activation = swiglu): Family["ffn"] =>
  (f, at) =>
    hasExperts(f, at) ? mixture(f, at, router, activation) : dense(f, at, activation);
const softmax = (normalised: boolean): Router => ({ probability: "softmax", normalised });
const sigmoidal: Router = { probability: "sigmoid", normalised: true };

/** MiniMax M3: blocks of keys by the best index score in them; the blocks that lie last count whatever their scores. */
const blocks =
  (f: File, at: string): ((x: Rows) => (t: number, p: number, kvHead: number) => boolean) =>
  x => {
    const key = (name: string): number => f.number(`attention.indexer.${name}`);
    const [size, block, top, local] = ["key_length", "block_size", "top_k", "local_blocks"].map(key);
    const turn = halves(f);
    const ready = (name: string): number[][] =>
      f
        .rmsNorm(`${at}.indexer.${name}_norm`, f.linear(`${at}.indexer.${name}_proj`, x))
        .map((row, t) => heads(row, size).flatMap(h => turn(h, t)));
    const [q, k] = [ready("q"), ready("k")];
    const kept = (t: number, kv: number): ReadonlySet<number> => {
      const last = Math.floor(t / block);
      const best = range(last + 1).map(b => {
        const keys = range(block).flatMap(i => (b * block + i <= t ? [k[b * block + i]] : []));
        return last - b < local ? Number.POSITIVE_INFINITY : Math.max(...keys.map(own => sum(own.map((v, d) => v * q[t][kv * size + d]))));
      });
      return new Set(
        range(last + 1)
          .sort((a, b) => best[b] - best[a])
          .slice(0, top),
      );
    };
    const sets = q.map((row, t) => range(row.length / size).map(kv => kept(t, kv)));
    return (t, p, kv) => sets[t][kv].has(Math.floor(p / block));
  };

/** DeepSeek V3.2: latent attention to the keys that an index of small heads scores best; keys and values are made out of the latent vector. */
function indexed(f: File, at: string, best: Best): Layer {
  const number = (key: string): number => f.number(`attention.${key}`);
  const [count, latent, key, value] = ["head_count", "kv_lora_rank", "key_length_mla", "value_length_mla"].map(number);
  const [width, top] = [number("indexer.key_length"), number("indexer.top_k")];
  const turned = f.number("rope.dimension_count");
  const plain = key - turned;
  const turn = rope(f, { pairs: "neighbours" }, turned);
  const indexTurn = rope(f, { pairs: "halves" }, turned);
  const layerNorm = (row: readonly number[]): number[] => {
    const mean = sum(row) / row.length;
    const size = Math.sqrt(sum(row.map(v => (v - mean) ** 2)) / row.length + 1e-6);
    const [w, b] = ["weight", "bias"].map(end => f.values(`${at}.indexer.k_norm.${end}`));
    return row.map((v, i) => ((v - mean) / size) * w[i] + b[i]);
  };
  return x => {
    const low = f.rmsNorm(`${at}.attn_q_a_norm`, f.linear(`${at}.attn_q_a`, x));
    const q = f
      .linear(`${at}.attn_q_b`, low)
      .map((row, t) => heads(row, key).flatMap(h => [...h.slice(0, plain), ...turn(h.slice(plain), t)]));
    const all = f.linear(`${at}.attn_kv_a_mqa`, x);
    const c = f.rmsNorm(`${at}.attn_kv_a_norm`, part(all, 0, latent));
    const w = f.values(`${at}.attn_k_b.weight`); // [plain, latent, heads]: its transpose makes keys
    const k = c.map((row, t) => {
      const shared = turn(all[t].slice(latent), t);
      return range(count).flatMap(h => [...range(plain).map(i => sum(row.map((v, l) => v * w[(h * latent + l) * plain + i]))), ...shared]);
    });
    const values = range(count).map(h => f.linear(`${at}.attn_v_b`, c, h));
    const queries = f.linear(`${at}.indexer.attn_q_b`, low).map((row, t) => heads(row, width).map(h => indexTurn(h, t)));
    const keys = f.linear(`${at}.indexer.attn_k`, x).map((row, t) => indexTurn(layerNorm(row), t));
    const weights = f.linear(`${at}.indexer.proj`, x);
    const chosen = queries.map((own, t) => {
      const score = (p: number): number => sum(own.map((h, i) => weights[t][i] * Math.max(0, sum(h.map((v, d) => v * keys[p][d])))));
      return new Set(best(range(t + 1).map(score), top));
    });
    const v = c.map((_, t) => values.flatMap(rows => rows[t]));
    const visible = (t: number, p: number): boolean => p <= t && chosen[t].has(p);
    return f.linear(`${at}.attn_output`, attend(q, k, v, { key, value, scale: key ** -0.5, visible }));
  };
}

const gemma = (own: Omit<Parameters<typeof attention>[3], "rope">, windowed: (i: number) => boolean, near?: number): Family => ({
  attention: (f, at, i) => {
    const window = windowed(i) ? f.number("attention.sliding_window") : undefined;
    const turn = window && near ? rope(f, { pairs: "halves", base: near, scaled: false }) : halves(f);
    const softcap = f.number("attn_logit_softcapping", 0) || undefined;
    return attention(f, at, i, { ...own, rope: turn, window, softcap });
  },
  ffn: (f, at) => dense(f, at, geglu),
  embeddingScale: f => Math.sqrt(f.number("embedding_length")),
});
const sandwich = { after: ["post_attention_norm", "post_ffw_norm"] } as const;

export const decoders: Readonly<Record<string, Family>> = {
  gemma: gemma({}, () => false),
  gemma2: { ...gemma({}, i => i % 2 === 0), ...sandwich },
  gemma3: { ...gemma({}, i => (i + 1) % 6 !== 0, 10000), ...sandwich },
  qwen3moe: { attention: (f, at, i) => attention(f, at, i, { rope: halves(f) }), ffn: mixed(softmax(true)) },
  olmoe: { attention: (f, at, i) => attention(f, at, i, { rope: halves(f) }), ffn: mixed(softmax(false)) },
  deepseek: { attention: (f, at, i) => attention(f, at, i, { rope: neighbours(f) }), ffn: mixed(softmax(false)) },
  dots1: { attention: (f, at, i) => attention(f, at, i, { rope: halves(f) }), ffn: mixed(sigmoidal) },
  "hunyuan-moe": { attention: (f, at, i) => attention(f, at, i, { rope: halves(f), normsAfter: true }), ffn: mixed(softmax(true)) },
  "gpt-oss": {
    attention: (f, at, i) =>
      attention(f, at, i, { rope: halves(f), window: i % 2 === 0 ? f.number("attention.sliding_window") : undefined }),
    ffn: mixed({ probability: "selected", normalised: true }, limitedSwiglu),
    before: "post_attention_norm",
  },
  deepseek32: { attention: (f, at, _, { best = firstBest }) => indexed(f, at, best), ffn: mixed(sigmoidal) },
  "minimax-m3": {
    attention: (f, at, i, { round }) =>
      attention(f, at, i, { rope: halves(f), ...(f.has(`${at}.indexer.q_proj.weight`) ? { chosen: blocks(f, at) } : { round }) }),
    ffn: mixed(sigmoidal, limitedSwiglu),
  },
};

/** Logits after each token. */
export function decoderLogits(architecture: string, file: ReferenceFile, tokens: readonly number[], choices: Choices = {}): number[][] {
  const f = new File(file);
  const family = decoders[architecture];
  const embedding = heads(f.values("token_embd.weight"), f.number("embedding_length"));
  const scale = family.embeddingScale?.(f) ?? 1;
  let x: Rows = tokens.map(t => embedding[t].map(v => v * scale));
  const branch = (before: string, inner: Layer, after: string | undefined): void => {
    const y = inner(f.rmsNorm(before, x));
    x = plus(x, after ? f.rmsNorm(after, y) : y);
  };
  for (const i of range(f.number("block_count"))) {
    const at = `blk.${i}`;
    const [a, b] = family.after?.map(name => `${at}.${name}`) ?? [];
    branch(`${at}.attn_norm`, family.attention(f, at, i, choices), a);
    branch(`${at}.${family.before ?? "ffn_norm"}`, family.ffn(f, at, i), b);
  }
  const cap = f.number("final_logit_softcapping", 0);
  const logits = f.linear(f.has("output.weight") ? "output" : "token_embd", f.rmsNorm("output_norm", x));
  return cap ? logits.map(row => row.map(v => cap * Math.tanh(v / cap))) : logits;
}
