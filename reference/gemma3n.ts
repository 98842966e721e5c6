/**
 * Gemma 3n in float64: four residual streams that are predicted and corrected, a branch of low rank beside attention, gates that keep their largest
 * values alone, an embedding for every layer, and keys and values that the last layers read from earlier ones. After the makers' description
 * (ARCHITECTURES 3.3 and 12). One straight pass without a cache.
 */
import { attend, geluTanh, rope } from "./layers.ts";
import { File, heads, part, plus, type ReferenceFile, type Rows, range, sum, zip } from "./rows.ts";

const STREAMS = 4;
/** Layers with keys and values of their own. */
const OWN = 20;
const SPARSE = 10;
const SOFTCAP = 30;
/** The standard normal distribution's quantile of 95 %. */
const QUANTILE = 1.6448536269514722;

/** Where implementations differ. Default: nothing is rounded. */
export interface Choices {
  /** What a row's deviation divides by, of its length. Default: the length, as the makers have it; llama.cpp takes one less. */
  readonly deviation?: (length: number) => number;
  /** What GELU takes and gives. */
  readonly gelu?: (x: number) => number;
  /** Results of products with matrices. */
  readonly product?: (x: number) => number;
}

class Rounded extends File {
  readonly #round: (x: number) => number;
  constructor(file: ReferenceFile, round: (x: number) => number) {
    super(file);
    this.#round = round;
  }
  override linear(name: string, x: Rows): number[][] {
    return super.linear(name, x).map(row => row.map(this.#round));
  }
}

const scaled = (x: Rows, by: number): number[][] => x.map(row => row.map(v => v * by));
/** Rows over their root mean square. */
const bare = (x: Rows, eps: number): number[][] => x.map(row => row.map(v => v / Math.sqrt(sum(row.map(u => u * u)) / row.length + eps)));

/** y as long as x. */
const asLong = (y: Rows, x: Rows): number[][] => y.map((row, t) => row.map(v => (v * Math.hypot(...x[t])) / Math.hypot(...row)));

/** The product with one of several square matrices in a tensor. */
function stacked(f: File, name: string, x: Rows, i: number): number[][] {
  const width = x[0].length;
  const matrix = heads(f.values(name), width).slice(i * width, (i + 1) * width);
  return x.map(row => matrix.map(w => sum(w.map((v, k) => v * row[k]))));
}

/** What lies above a bound that 95 % of a row would not pass if they were normally distributed. */
const largest = (x: Rows, divisor: (length: number) => number): number[][] =>
  x.map(row => {
    const mean = sum(row) / row.length;
    const deviation = Math.sqrt(sum(row.map(v => (v - mean) ** 2)) / divisor(row.length));
    return row.map(v => Math.max(0, v - mean - QUANTILE * deviation));
  });

/** What the layers have made so far of keys and values, by whether they see a window. */
type Kept = Map<boolean, { readonly k: Rows; readonly v: Rows }>;

function attention(f: File, at: string, i: number, x: Rows, kept: Kept): number[][] {
  const size = f.number("attention.key_length");
  const eps = f.number("attention.layer_norm_rms_epsilon");
  const windowed = i % 5 !== 4;
  const turn = rope(f, { pairs: "halves", ...(windowed ? { base: f.number("rope.freq_base_swa", 10000), scaled: false } : {}) });
  const turned = (name: string): number[][] =>
    f.rmsNorm(`${at}.attn_${name}_norm`, f.linear(`${at}.attn_${name}`, x)).map((row, t) => heads(row, size).flatMap(h => turn(h, t)));
  if (i < OWN) {
    const v = f.linear(`${at}.attn_v`, x).map(row => bare(heads(row, size), eps).flat());
    kept.set(windowed, { k: turned("k"), v });
  }
  const { k, v } = kept.get(windowed)!;
  const window = f.number("attention.sliding_window");
  const visible = (t: number, p: number): boolean => p <= t && (!windowed || t - p < window);
  return f.linear(`${at}.attn_output`, attend(turned("q"), k, v, { key: size, value: size, scale: 1, visible }));
}

/** (norm(per_layer_model_proj x / sqrt(dim)) + per_layer_token_embd * sqrt(width)) / sqrt(2), a list of rows for each layer. */
function layerEmbeddings(f: File, tokens: readonly number[], x: Rows): number[][][] {
  const [width, layers] = [f.number("embedding_length_per_layer_input", 256), f.number("block_count")];
  const perToken = heads(f.values("per_layer_token_embd.weight"), width * layers);
  const projected = f.rmsNorm("per_layer_proj_norm", scaled(f.linear("per_layer_model_proj", x), x[0].length ** -0.5));
  const all = projected.map((row, t) => row.map((v, i) => (v + perToken[tokens[t]][i] * Math.sqrt(width)) / Math.SQRT2));
  return range(layers).map(i => part(all, i * width, width));
}

type Inner = Required<Pick<Choices, "gelu" | "deviation">>;

/** y from the stream that is computed on: attention and the branch of low rank, then the feed-forward network. */
function computed(f: File, at: string, i: number, active: Rows, kept: Kept, o: Inner): number[][] {
  const n = f.rmsNorm(`${at}.attn_norm`, active);
  const low = plus(n, f.rmsNorm(`${at}.laurel_post_norm`, f.linear(`${at}.laurel_r`, f.linear(`${at}.laurel_l`, n))));
  const attended = plus(active, f.rmsNorm(`${at}.post_attention_norm`, attention(f, at, i, n, kept)));
  const u = scaled(plus(attended, low), Math.SQRT1_2);
  const h = f.rmsNorm(`${at}.ffn_norm`, u);
  const gate = f.linear(`${at}.ffn_gate`, h);
  const inner = zip(i < SPARSE ? largest(gate, o.deviation) : gate, f.linear(`${at}.ffn_up`, h), (g, up) => o.gelu(g) * up);
  return plus(u, f.rmsNorm(`${at}.post_ffw_norm`, f.linear(`${at}.ffn_down`, inner)));
}

/** Logits after each token. */
export function gemma3nLogits(file: ReferenceFile, tokens: readonly number[], choices: Choices = {}): number[][] {
  const { gelu: round = x => x, product = x => x, deviation = n => n } = choices;
  const f = new Rounded(file, product);
  const dim = f.number("embedding_length");
  const gelu = (x: number): number => round(geluTanh(round(x)));
  const embedding = heads(f.values("token_embd.weight"), dim);
  const x = tokens.map(t => embedding[t].map(v => v * Math.sqrt(dim)));
  const own = layerEmbeddings(f, tokens, x);
  const kept: Kept = new Map();
  let streams: Rows[] = [x, ...range(STREAMS - 1).map(i => asLong(stacked(f, "altup_proj", x, i), x))];
  for (const i of range(f.number("block_count"))) {
    const at = `blk.${i}`;
    const modes = (from: Rows): number[][] =>
      f.linear(`${at}.altup_router`, scaled(f.rmsNorm(`${at}.altup_router_norm`, from), 1 / dim)).map(row => row.map(Math.tanh));
    const mixing = f.linear(`${at}.altup_predict_coef`, modes(streams[0]));
    const predicted = streams.map((stream, s) =>
      stream.map((row, t) => row.map((v, d) => v + sum(streams.map((other, j) => mixing[t][STREAMS * s + j] * other[t][d])))),
    );
    const y = computed(f, at, i, predicted[0], kept, { gelu, deviation });
    const off = zip(y, predicted[0], (a, b) => a - b);
    const by = f.linear(`${at}.altup_correct_coef`, modes(y));
    const corrected = predicted.map((stream, s) => stream.map((row, t) => row.map((v, d) => v + off[t][d] * (by[t][s] + 1))));
    const scale = f.values(`${at}.altup_correct_scale`);
    const gates = f.linear(
      `${at}.inp_gate`,
      corrected[0].map(row => row.map((v, d) => v * scale[d])),
    );
    const gated = zip(gates, own[i], (g, e) => gelu(g) * e);
    const added = f.rmsNorm(`${at}.post_norm`, f.linear(`${at}.proj`, gated));
    streams = corrected.map((stream, s) => (s === 0 ? stream : plus(stream, added)));
  }
  const [first, ...others] = streams;
  const all = others.map((s, i) => asLong(stacked(f, "altup_unembd_proj", s, i), first)).reduce<Rows>(plus, first);
  const normed = f.rmsNorm("output_norm", scaled(all, 1 / STREAMS));
  return f.linear("token_embd", normed).map(row => row.map(v => SOFTCAP * Math.tanh(v / SOFTCAP)));
}
