/**
 * Decoders in float64 whose makers' numbers llama.cpp does not give: GPT-J and BitNet b1.58, which it does not know, and the large Chameleon, whose
 * feed-forward network gets there what attention gave instead of the sum. From the makers' descriptions (Wang and Komatsuzaki 2021; Ma 2025;
 * Chameleon team 2024).
 */
import { attention, dense, geluTanh, rope, swiglu } from "./layers.ts";
import { File, heads, type Layer, plus, type ReferenceFile, type Rows, range, zip } from "./rows.ts";

type Block = (f: File, at: string, i: number, x: Rows) => Rows;
interface Maker {
  readonly block: Block;
  readonly norm: (f: File, name: string, x: Rows) => Rows;
}

const layerNorm: Maker["norm"] = (f, name, x) => f.layerNorm(name, x, f.number("attention.layer_norm_epsilon"));
const rmsNorm: Maker["norm"] = (f, name, x) => f.rmsNorm(name, x);

/** Attention and feed-forward network side by side from one norm; neighbouring values turn together. */
const gptj: Block = (f, at, i, x) => {
  const normed = layerNorm(f, `${at}.attn_norm`, x);
  const attends = attention(f, at, i, { rope: rope(f, { pairs: "neighbours" }) });
  const inner = f.linear(`${at}.ffn_up`, normed).map(row => row.map(geluTanh));
  return plus(x, plus(attends(normed), f.linear(`${at}.ffn_down`, inner)));
};

/** Norms before the projections back, and max(gate, 0)^2 up. */
const bitnet: Block = (f, at, i, x) => {
  const before: Layer = y => f.rmsNorm(`${at}.attn_sub_norm`, y);
  const attended = plus(x, attention(f, at, i, { rope: rope(f, { pairs: "halves" }), before })(f.rmsNorm(`${at}.attn_norm`, x)));
  const normed = f.rmsNorm(`${at}.ffn_norm`, attended);
  const inner = zip(f.linear(`${at}.ffn_gate`, normed), f.linear(`${at}.ffn_up`, normed), (g, u) => Math.max(0, g) ** 2 * u);
  return plus(attended, f.linear(`${at}.ffn_down`, f.rmsNorm(`${at}.ffn_sub_norm`, inner)));
};

/** Heads of queries and keys without their mean; both norms of a block before its branches, or after them. */
const chameleon: Block = (f, at, i, x) => {
  const size = f.number("attention.key_length");
  const norms = (name: string, y: Rows): Rows => f.layerNorm(name, y, 1e-5, size);
  const attends = attention(f, at, i, { rope: rope(f, { pairs: "neighbours" }), norms });
  const after = f.text("swin_norm") === "true";
  const through = (y: Rows, norm: string, branch: Layer): Rows =>
    plus(y, after ? f.rmsNorm(`${at}.${norm}`, branch(y)) : branch(f.rmsNorm(`${at}.${norm}`, y)));
  return through(through(x, "attn_norm", attends), "ffn_norm", dense(f, at, swiglu));
};

const makers: Readonly<Record<string, Maker>> = {
  gptj: { block: gptj, norm: layerNorm },
  "bitnet-b1.58": { block: bitnet, norm: rmsNorm },
  "bitnet-25": { block: bitnet, norm: rmsNorm },
  chameleon: { block: chameleon, norm: rmsNorm },
};

export const makerNames: readonly string[] = Object.keys(makers);

/** Logits after each token; those of ids that a model never answers with are not left out. */
export function makersLogits(architecture: string, file: ReferenceFile, tokens: readonly number[]): number[][] {
  const f = new File(file);
  const { block, norm } = makers[architecture];
  const embedding = heads(f.values("token_embd.weight"), f.number("embedding_length"));
  const last = range(f.number("block_count")).reduce<Rows>(
    (x, i) => block(f, `blk.${i}`, i, x),
    tokens.map(t => embedding[t]),
  );
  return f.linear(f.has("output.weight") ? "output" : "token_embd", norm(f, "output_norm", last));
}
