/**
 * Kimi Linear, Kimi K3 and Ling 3: Kimi Delta Attention in most layers and latent attention in the others (those with key-value heads), then a
 * mixture of experts (ARCHITECTURES 3.5). K3 banks the residual stream every few layers and mixes the banked streams by learned scores.
 */
import { exp, sigmoid, tanh } from "../kernels/math.ts";
import { arch } from "../nn/arch.ts";
import { type Block, inTurn, residual } from "../nn/block.ts";
import { decoder, preNorm, recurrentLayers } from "../nn/decoder.ts";
import { kdaShape, kimiDeltaAttention } from "../nn/delta.ts";
import { addScaled, type Gating, gatings } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import { latentMoe } from "../nn/latent.ts";
import type { Branch } from "../nn/linear.ts";
import { type MlaOptions, mla } from "../nn/mla.ts";
import { type MoeOptions, moeOrFfn } from "../nn/moe.ts";
import { type Norm, rmsNorm } from "../nn/norm.ts";
import { assign, groupNormed, type Operand } from "../nn/recurrent.ts";
import { rope } from "../nn/rope.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { type Tensor, tensor } from "../nn/tensor.ts";
import { type MlaConfig, mlaConfig } from "./deepseek.ts";

/** The layer's way to mix tokens. */
function mixers(source: Source, c: MlaConfig, sign: 1 | -1, attention: Partial<MlaOptions> = {}): (at: string, i: number) => Branch {
  const recurrent = recurrentLayers(source);
  const shape = kdaShape(source, c.dim, sign);
  return (at, i) =>
    recurrent[i] ? kimiDeltaAttention(source, at, shape) : mla(source, at, { ...c, scale: c.keyDim ** -0.5, ...attention });
}

const expertsOf = (source: Source, c: MlaConfig): MoeOptions => ({
  dim: c.dim,
  hidden: source.size("expert_feed_forward_length"),
  scores: "sigmoid",
});

export const kimiLinear = arch(["kimi-linear"], source => {
  const c = mlaConfig(source);
  const mixer = mixers(source, c, -1);
  const network = { ...expertsOf(source, c), denseHidden: c.hidden };
  return decoder(source, c, { layer: (at, i) => preNorm(source, c, at, { attention: mixer(at, i), ffn: moeOrFfn(source, at, network) }) });
});

/** Ling 3: rotated keys in latent attention, and limits of the experts' gates that differ by layer. */
export const bailing3 = arch(["bailingmoe3"], source => {
  const c = mlaConfig(source);
  const mixer = mixers(source, c, 1, { rope: rope(source, { dim: c.ropeDim, pairs: "neighbours" }) });
  const limited = (key: string, i: number): Gating | undefined => {
    const limit = source.hasKey(key) ? source.layerNumber(key, i) : 0;
    return limit > 0 ? gatings.limitedSilu(limit) : undefined;
  };
  const network = (at: string, i: number): Branch => {
    const [gating, shared] = [limited("swiglu_clamp_exp", i), limited("swiglu_clamp_shexp", i)];
    if (!source.has(`${at}.ffn_gate_inp.weight`)) return ffn(source, at, { ...c, gating: shared });
    return moeOrFfn(source, at, { ...expertsOf(source, c), denseHidden: c.hidden, gating, shared: { gating: shared ?? gatings.silu } });
  };
  return decoder(source, c, { layer: (at, i) => preNorm(source, c, at, { attention: mixer(at, i), ffn: network(at, i) }) });
});

const spell = (x: number): string => String(x).replace(/[^0-9]/g, "_");

/** b tanh(g / b) sigmoid(g) * l tanh(u / l); without l, u itself. */
const situ = (b: number, l: number): Gating => ({
  name: `situ_${spell(b)}_${spell(l)}`,
  of: (g, u) =>
    tanh(g.mul(1 / b))
      .mul(b)
      .mul(sigmoid(g))
      .mul(l > 0 ? tanh(u.mul(1 / l)).mul(l) : u),
});

/** Residual streams that are kept for the layers after, as they were at the beginning of every `every`-th layer. */
class Bank {
  readonly every: number;
  readonly #dim: number;
  readonly #eps: number;
  /** For this trace: all of them, and how many have been filled. */
  #streams: Tensor[] = [];
  #filled = 0;

  constructor(every: number, dim: number, eps: number) {
    this.every = every;
    this.#dim = dim;
    this.#eps = eps;
  }

  /** Makes room that lasts as long as the step. */
  open(step: Step, layers: number): void {
    this.#streams = Array.from({ length: Math.ceil(layers / this.every) }, () => tensor(step.graph, "tokens", this.#dim));
    this.#filled = 0;
  }

  put(step: Step, x: Tensor): void {
    assign(step, this.#streams[this.#filled++], "same", [x], v => v);
  }

  /** Of x and the banked streams the sum, weighted by softmax(score(rms(stream))), `score` being a vector; x where nothing is banked. */
  mix(step: Step, x: Tensor, score: Operand): Tensor {
    const streams = [x, ...this.#streams.slice(0, this.#filled)];
    if (streams.length === 1) return x;
    const width = this.#dim;
    const scores = streams.map(s => {
      const weighted = groupNormed(step, s, { kind: "rms", width, eps: this.#eps, weight: score });
      return groupNormed(step, weighted, { kind: "sum", width, eps: 0 });
    });
    const out = tensor(step.graph, x.rows, width);
    const [first, ...others] = [...streams, ...scores];
    assign(step, out, `mix_${streams.length}`, [first, ...others], (...all) => {
      const [values, logits] = [all.slice(0, streams.length), all.slice(streams.length)];
      const most = logits.reduce((a, b) => a.max(b));
      const weights = logits.map(l => exp(l.sub(most)));
      const total = weights.reduce((a, b) => a.add(b));
      return values
        .map((v, i) => v.mul(weights[i]))
        .reduce((a, b) => a.add(b))
        .div(total);
    });
    return out;
  }
}

export const kimiK3 = arch(["kimi-k3"], source => {
  const c = mlaConfig(source);
  const mixer = mixers(source, c, -1);
  const bank = new Bank(source.size("attn_res.block_size"), c.dim, c.eps);
  const gating = situ(source.number("activation.situ_beta"), source.number("activation.situ_linear_beta"));
  const experts = { ...expertsOf(source, c), gating, latent: source.size("expert_latent_length", { or: 0, min: 0 }), names: "ffn_routed" };
  const network = (at: string): Branch =>
    source.has(`${at}.ffn_gate_inp.weight`) ? latentMoe(source, at, { ...experts, eps: c.eps }) : ffn(source, at, { ...c, gating });
  /** What a branch sees: the norm of the mixture. */
  const seen = (name: string, score: string): Norm => {
    const [norm, weight] = [rmsNorm(source, name, c.dim, c.eps), source.vector(`${score}.weight`, c.dim)];
    return (step, x, rows) => norm(step, bank.mix(step, x, weight), rows);
  };
  const layer = (at: string, i: number): Block => {
    const attends = mixer(at, i);
    const before = seen(`${at}.attn_norm`, `${at}.attn_res_score`);
    const mixed: Block = (step, x) => {
      const y = attends(step, before(step, x));
      if (i % bank.every === 0) {
        bank.put(step, x);
        assign(step, x, "same", [y], v => v); // the stream begins anew
      } else addScaled(step, y, x);
    };
    return inTurn(mixed, residual(seen(`${at}.ffn_norm`, `${at}.ffn_res_score`), network(at)));
  };
  const embed = embedding(source, "token_embd", c.dim);
  return decoder(source, c, {
    layer,
    embed: step => {
      bank.open(step, c.layers);
      return embed(step);
    },
    norm: seen("output_norm", "output_res_score"),
  });
});
