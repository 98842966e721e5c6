/**
 * Gemma 3n: four residual streams. Each block predicts all of them by numbers that the first one chooses, computes on the first alone, and corrects
 * all by how far the prediction was off (AltUp). Beside attention runs a branch of low rank (LAuReL); gates of the first layers keep only their largest
 * values; every layer adds an embedding of its own; the last layers read keys and values of earlier ones. ARCHITECTURES 3.3, 12.
 */
import { correctStreams, predictStreams } from "../kernels/alternating.ts";
import { arch } from "../nn/arch.ts";
import type { Block } from "../nn/block.ts";
import { type Config, config, decoder, normOf, rotary, windowedLayers } from "../nn/decoder.ts";
import { activate, activations, addScaled, copyTo, gated, gatings, scaleBy } from "../nn/elementwise.ts";
import { count, once } from "../nn/graph.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import type { Norm } from "../nn/norm.ts";
import { assign, combined, groupNormed } from "../nn/recurrent.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { chunks, input, type Tensor, tensor } from "../nn/tensor.ts";
import { sharingAttention } from "./gemma-attention.ts";
import { layerEmbeddings } from "./gemma-layers.ts";

const STREAMS = 4;
/** Layers whose gates are sparse, and the deviations above the mean that a value needs to pass (95 % do not). */
const SPARSE_LAYERS = 10;
const DEVIATIONS = 1.6448533535003662;
/** Layers with keys and values of their own. */
const OWN_KEYS = 20;
/** Length of a layer's own embedding where the metadata does not say. */
const LAYER_EMBEDDING = 256;
const SOFTCAP = 30;

/** The streams of one trace; the first is the decoder's own. */
class Streams {
  readonly #source: Source;
  readonly #dim: number;
  readonly #enter: readonly Branch[];
  readonly #leave: readonly Branch[];
  all: Tensor[] = [];

  constructor(source: Source, dim: number) {
    this.#source = source;
    this.#dim = dim;
    const matrices = (name: string): Branch[] => {
      const parts = Array.from({ length: STREAMS - 1 }, (_, i) => `${name}.${i}`);
      source.split(
        `${name}.weight`,
        parts.map(p => `${p}.weight`),
      );
      return parts.map(p => linear(source, p, dim, dim));
    };
    [this.#enter, this.#leave] = ["altup_proj", "altup_unembd_proj"].map(matrices);
  }

  /** `of` through a matrix, as long as x. */
  #asLong(step: Step, matrix: Branch, of: Tensor, x: Tensor): Tensor {
    const c = { width: this.#dim, eps: 0 };
    const square = combined(step, "square", [x], v => v.mul(v));
    const squares = groupNormed(step, square, { kind: "sum", ...c });
    const y = groupNormed(step, matrix(step, input(step, of)), { kind: "l2", width: this.#dim, eps: 1e-12 });
    return combined(step, "times_root", [y, squares], (v, s) => v.mul(s.sqrt()));
  }

  open(step: Step, x: Tensor): void {
    this.all = [x, ...this.#enter.map(m => this.#asLong(step, m, x, x))];
  }

  /** The mean of all. */
  merged(step: Step, x: Tensor): Tensor {
    const out = tensor(step.graph, "tokens", this.#dim);
    copyTo(step, x, out);
    this.#leave.forEach((m, i) => void addScaled(step, this.#asLong(step, m, this.all[i + 1], x), out));
    scaleBy(step, out, 1 / STREAMS);
    return out;
  }

  /** Binds what one of the kernels needs; `rows` of the table for every stream. */
  bind(name: string, rows: number): string {
    return this.#source.constant(`${name}.weight`, STREAMS * STREAMS * rows);
  }

  /** Runs a kernel over the streams with the numbers m and the table. */
  run(step: Step, kind: "predict" | "correct", m: Tensor, table: string, y?: Tensor): void {
    const kernel = once(step.graph, `${kind}_streams`, () => (kind === "predict" ? predictStreams : correctStreams)(STREAMS));
    const values = step.table(step.values(table));
    const streams = this.all.map(s => s.region);
    const reads = [...(y ? [y.region] : []), m.region, values];
    const args = [...streams, ...reads].map(r => r.address);
    step.graph.launch(kernel, chunks(this.#dim), [...args, count("tokens"), this.all[0].stride, m.stride], { reads, writes: streams });
  }
}

/**
 * down(gelu(gate x) * up x); in sparse layers of the gate only what is far above its mean, in deviations of the row as the makers take them (by its
 * length; llama.cpp divides by one less).
 */
function feedForward(source: Source, at: string, c: Config, sparse: boolean): Branch {
  const [gate, up] = ["ffn_gate", "ffn_up"].map(n => linear(source, `${at}.${n}`, c.dim, c.hidden));
  const largest = (step: Step, g: Tensor): Tensor => {
    const shape = { kind: "sum", width: c.hidden, eps: 0 } as const;
    const centred = combined(step, `centred_${c.hidden}`, [g, groupNormed(step, g, shape)], (v, sum) => v.sub(sum.mul(1 / c.hidden)));
    const square = combined(step, "square", [centred], v => v.mul(v));
    const squares = groupNormed(step, square, shape);
    return combined(step, `largest_${c.hidden}`, [centred, squares], (v, s) =>
      v
        .sub(
          s
            .mul(1 / c.hidden)
            .sqrt()
            .mul(DEVIATIONS),
        )
        .max(0),
    );
  };
  return endingIn(linear(source, `${at}.ffn_down`, c.hidden, c.dim), (step, x) => {
    const g = gate(step, x);
    return gated(step, gatings.gelu, sparse ? largest(step, g) : g, up(step, x));
  });
}

/** What of a stream chooses the numbers that streams mix by: tanh(router(norm(x) / dim)). */
function router(source: Source, at: string, c: Config): (step: Step, x: Tensor) => Tensor {
  const norm = normOf(source, c, `${at}.altup_router_norm`);
  const project = linear(source, `${at}.altup_router`, c.dim, STREAMS, { scale: 1 / c.dim });
  return (step, x) => activate(step, activations.tanh, project(step, norm(step, x))).form("f32");
}

export const gemma3n = arch(["gemma3n"], source => {
  const c = config(source);
  const windowed = windowedLayers(source, 5);
  const window = { kind: "sliding", size: source.size("attention.sliding_window") } as const;
  const far = rotary(source, c, { pairs: "halves" });
  const near = rotary(source, c, { pairs: "halves", base: source.positive("rope.freq_base_swa", 10000), scaling: { kind: "none" } });
  const attention = sharingAttention(source, c.layers, windowed, OWN_KEYS);
  const perLayer = layerEmbeddings(source, c, LAYER_EMBEDDING);
  const streams = new Streams(source, c.dim);
  const last = normOf(source, c, "output_norm");
  const norm: Norm = (step, x, rows) => last(step, streams.merged(step, x), rows);
  const layer = (at: string, i: number): Block => {
    const named = (name: string): Norm => normOf(source, c, `${at}.${name}`);
    const choose = router(source, at, c);
    const [predict, correct] = [streams.bind(`${at}.altup_predict_coef`, STREAMS), streams.bind(`${at}.altup_correct_coef`, 1)];
    const [before, after, between, end] = ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"].map(named);
    const attends = attention(at, i, { ...c, ...(windowed(i) ? { rope: near, window } : { rope: far }) });
    const rank = source.rows(`${at}.laurel_l.weight`);
    const [narrow, wide] = [linear(source, `${at}.laurel_l`, c.dim, rank), linear(source, `${at}.laurel_r`, rank, c.dim)];
    const [laurelNorm, layerNorm] = ["laurel_post_norm", "post_norm"].map(named);
    const network = feedForward(source, at, c, i < SPARSE_LAYERS);
    const scale = source.vector(`${at}.altup_correct_scale.weight`, c.dim);
    const gate = perLayer.gate(at, i);
    return (step, x) => {
      streams.run(step, "predict", choose(step, x), predict);
      const n = before(step, x);
      const laurel = laurelNorm(step, wide(step, input(step, narrow(step, n)))).form("f32");
      const y = combined(step, "sum_of_two_and_norm", [x, laurel, n.form("f32")], (a, b, own) => a.add(b).add(own));
      addScaled(step, after(step, attends(step, n)).form("f32"), y);
      scaleBy(step, y, Math.SQRT1_2);
      addScaled(step, end(step, network(step, between(step, y))).form("f32"), y);
      streams.run(step, "correct", choose(step, y), correct, y);
      if (!gate) return;
      const scaled = combined(step, "times", [x, scale], (a, b) => a.mul(b));
      const own = layerNorm(step, gate(step, input(step, scaled))).form("f32");
      for (const other of streams.all.slice(1)) assign(step, other, "add", [other, own], (a, b) => a.add(b));
    };
  };
  const prepare = (step: Step, x: Tensor): void => {
    perLayer.prepare(step, x);
    streams.open(step, x);
  };
  return decoder(source, c, { embeddingScale: Math.sqrt(c.dim), logitSoftcap: SOFTCAP, prepare, layer, norm });
});
