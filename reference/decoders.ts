/**
 * Whole transformers in float64 that are not Llama's: mixtures of experts, the Gemma models, sparse attention. A list of tokens to the logits
 * after each of them, in one straight pass without a cache. A family is a few lines; what it is made of is in layers.ts.
 */
import { type Activation, attention, dense, geglu, limitedSwiglu, mixture, type Rope, type Router, rope, swiglu } from "./layers.ts";
import { File, heads, type Layer, plus, type ReferenceFile, type Rows, range, sum } from "./rows.ts";

interface Family {
  readonly attention: (f: File, at: string, i: number, round?: (x: number) => number) => Layer;
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
  "minimax-m3": {
    attention: (f, at, i, round) =>
      attention(f, at, i, { rope: halves(f), ...(f.has(`${at}.indexer.q_proj.weight`) ? { chosen: blocks(f, at) } : { round }) }),
    ffn: mixed(sigmoidal, limitedSwiglu),
  },
};

/** Logits after each token; with `round` attention that sees all keys computes with numbers that are rounded so. */
export function decoderLogits(
  architecture: string,
  file: ReferenceFile,
  tokens: readonly number[],
  round?: (x: number) => number,
): number[][] {
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
    branch(`${at}.attn_norm`, family.attention(f, at, i, round), a);
    branch(`${at}.${family.before ?? "ffn_norm"}`, family.ffn(f, at, i), b);
  }
  const cap = f.number("final_logit_softcapping", 0);
  const logits = f.linear(f.has("output.weight") ? "output" : "token_embd", f.rmsNorm("output_norm", x));
  return cap ? logits.map(row => row.map(v => cap * Math.tanh(v / cap))) : logits;
}
