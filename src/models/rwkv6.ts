/**
 * RWKV-6 (Finch) and the Qwen2.5 models whose attention was replaced by it (ARCHITECTURES 4). Time mixing blends each token with the one before
 * it, by amounts that depend on the data, and keeps one matrix a head; RWKV mixes channels the same way, Qwen has its own feed-forward.
 */
import { LatheError } from "../errors.ts";
import type { Chunk } from "../kernels/activations.ts";
import { exp, sigmoid, silu, tanh } from "../kernels/math.ts";
import { arch } from "../nn/arch.ts";
import { type Block, inTurn, residual } from "../nn/block.ts";
import { type Config, decoder, mixedConfig } from "../nn/decoder.ts";
import { scaleBy } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { ffn } from "../nn/ffn.ts";
import { type Branch, branch, endingIn, linear } from "../nn/linear.ts";
import { layerNorm, type NormKind, rmsNorm } from "../nn/norm.ts";
import { checkLanes, combine, combined, groupNormed, linearStates, type Operand, tokenShift } from "../nn/recurrent.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { type Input, input, type Tensor, view } from "../nn/tensor.ts";

/** What time mixing reads: its five inputs, in the order of the fused tensors. */
const INPUTS = ["w", "k", "v", "r", "g"] as const;

export interface TimeMixShape {
  readonly dim: number;
  readonly headSize: number;
  /** Heads of keys and values, where several heads share them. */
  readonly keyHeads: number;
  readonly mixRank: number;
  readonly decayRank: number;
}

/** x + (previous - x) * mu. */
export const lerp = (x: Chunk, previous: Chunk, mu: Chunk): Chunk => previous.sub(x).mulAdd(mu, x);
/** exp(-exp(w)): a decay in (0, 1). */
const decayOf = (w: Chunk, bias: Chunk): Chunk => exp(exp(w.add(bias)).neg());

/** The five inputs of time mixing, each a blend of the token with the one before by amounts that a small network gives. */
function blends(source: Source, at: string, c: TimeMixShape): (step: Step, x: Tensor) => Record<(typeof INPUTS)[number], Input> {
  const shift = tokenShift(source, c.dim);
  const lerpX = source.vector(`${at}.time_mix_lerp_x.weight`, c.dim);
  const down = linear(source, `${at}.time_mix_w1`, c.dim, INPUTS.length * c.mixRank);
  source.split(
    `${at}.time_mix_w2.weight`,
    INPUTS.map(n => `${at}.time_mix_w2_${n}.weight`),
  );
  const fused = `${at}.time_mix_lerp_fused.weight`;
  if (source.has(fused))
    source.split(
      fused,
      INPUTS.map(n => `${at}.time_mix_lerp_${n}.weight`),
    );
  const ups = INPUTS.map(n => linear(source, `${at}.time_mix_w2_${n}`, c.mixRank, c.dim));
  const lerps = INPUTS.map(n => source.vector(`${at}.time_mix_lerp_${n}.weight`, c.dim));
  return (step, x) => {
    const previous = shift(step, x);
    const hidden = combined(step, "tanh", [down(step, combine(step, "lerp", [x, previous, lerpX], lerp))], v => tanh(v));
    const amounts = ups.map((up, i) => up(step, input(step, view(hidden, i * c.mixRank, c.mixRank))));
    const made = INPUTS.map((name, i) => {
      const operands: [Tensor, ...Operand[]] = [x, previous, amounts[i], lerps[i]];
      return [name, combine(step, "lerp_by", operands, (v, p, more, mu) => lerp(v, p, more.add(mu)))] as const;
    });
    return Object.fromEntries(made) as Record<(typeof INPUTS)[number], Input>;
  };
}

/** Time mixing under `at`. Without `time_mix_first` it is the gated linear attention that Qwen was changed to. */
function timeMix(source: Source, at: string, c: TimeMixShape): Branch {
  const { dim, headSize } = c;
  const heads = dim / headSize;
  const first = `${at}.time_mix_first.weight`;
  const bonus = source.has(first) ? source.vector(first, dim) : undefined;
  const blend = blends(source, at, c);
  const keys = c.keyHeads * headSize;
  const [r, k] = [linear(source, `${at}.time_mix_receptance`, dim, dim), linear(source, `${at}.time_mix_key`, dim, keys)];
  const [v, g] = [linear(source, `${at}.time_mix_value`, dim, keys), linear(source, `${at}.time_mix_gate`, dim, dim)];
  const [down, up] = [
    linear(source, `${at}.time_mix_decay_w1`, dim, c.decayRank),
    linear(source, `${at}.time_mix_decay_w2`, c.decayRank, dim),
  ];
  const slowest = source.vector(`${at}.time_mix_decay.weight`, dim);
  const norm = bonus && ["weight", "bias"].map(n => source.vector(`${at}.time_mix_ln.${n}`, dim));
  const shape = { heads, keyDim: headSize, valueDim: headSize, keyHeads: c.keyHeads, shared: "kv", decay: "key", rate: false } as const;
  const past = linearStates(source, { ...shape, rule: bonus ? "bonus" : "blend" });
  return endingIn(linear(source, `${at}.time_mix_output`, dim, dim), (step, x) => {
    const inputs = blend(step, x.form("f32"));
    const fine = combined(step, "tanh", [down(step, inputs.w)], t => tanh(t));
    const decay = combined(step, "rwkv6_decay", [up(step, input(step, fine)), slowest], decayOf);
    const rows = { q: r(step, inputs.r), k: k(step, inputs.k), v: v(step, inputs.v), decay };
    const gate = g(step, inputs.g);
    if (!bonus || !norm) {
      const scale = headSize ** -0.5;
      return combine(step, `sigmoid_gate_${headSize}`, [past(step, rows), gate], (t, u) => t.mul(scale).mul(sigmoid(u)));
    }
    const y = past(step, { ...rows, bonus });
    const normed = groupNormed(step, y, { kind: "layer", width: headSize, eps: 64e-5, weight: norm[0], bias: norm[1] });
    return combine(step, "times_silu", [normed, gate], (t, u) => t.mul(silu(u)));
  });
}

/** Channel mixing under `at`: sigmoid(r) * value(relu(key)^2), of blends with the token before. */
function channelMix(source: Source, at: string, dim: number, hidden: number): Branch {
  const shift = tokenShift(source, dim);
  const [muK, muR] = ["k", "r"].map(n => source.vector(`${at}.channel_mix_lerp_${n}.weight`, dim));
  const [key, value] = [linear(source, `${at}.channel_mix_key`, dim, hidden), linear(source, `${at}.channel_mix_value`, hidden, dim)];
  const receptance = linear(source, `${at}.channel_mix_receptance`, dim, dim);
  return branch((step, given) => {
    const x = given.form("f32");
    const previous = shift(step, x);
    const inner = key(step, combine(step, "lerp", [x, previous, muK], lerp));
    const mixed = value(
      step,
      combine(step, "relu_squared", [inner], t => t.max(0).mul(t.max(0))),
    );
    const r = receptance(step, combine(step, "lerp", [x, previous, muR], lerp));
    return combined(step, "sigmoid_times", [r, mixed], (t, u) => sigmoid(t).mul(u));
  });
}

export interface RwkvConfig extends Config {
  readonly headSize: number;
}

/** The sizes of a model without attention but with heads. */
export function rwkvConfig(source: Source, kind: NormKind): RwkvConfig {
  const c = mixedConfig(source, kind, -1);
  const headSize = source.size("wkv.head_size", { max: 1024 });
  if (c.dim % headSize) {
    const message = `${source.architecture} has heads of ${headSize} in ${c.dim} values, which do not divide; the file is damaged.`;
    throw new LatheError("model.wrong-shape", message, { dim: c.dim, headSize });
  }
  checkLanes(source, "A head", headSize);
  return { ...c, headSize, heads: c.dim / headSize };
}

/** Embeddings with a norm of their own. */
export function normedEmbedding(source: Source, c: Config): (step: Step) => Tensor {
  const embed = embedding(source, "token_embd", c.dim);
  const norm = layerNorm(source, "token_embd_norm", c.dim, c.eps);
  return step => norm(step, embed(step)).form("f32");
}

const timeMixShape = (source: Source, c: RwkvConfig, keyHeads: number): TimeMixShape => ({
  dim: c.dim,
  headSize: c.headSize,
  keyHeads,
  mixRank: source.size("time_mix_extra_dim"),
  decayRank: source.size("time_decay_extra_dim"),
});

export const rwkv6 = arch(["rwkv6"], source => {
  const c = rwkvConfig(source, "layer");
  const every = source.size("rescale_every_n_layers", { min: 0, or: 0 });
  const norm = (name: string) => layerNorm(source, name, c.dim, c.eps);
  const layer = (at: string, i: number): Block => {
    const mix = residual(norm(`${at}.attn_norm`), timeMix(source, at, timeMixShape(source, c, c.heads)));
    const block = inTurn(mix, residual(norm(`${at}.attn_norm_2`), channelMix(source, at, c.dim, c.hidden)));
    // Weights are stored halved as often as the residual stream has been.
    return every && (i + 1) % every === 0 ? inTurn(block, (step, x) => scaleBy(step, x, 0.5)) : block;
  };
  return decoder(source, c, { layer, embed: normedEmbedding(source, c) });
});

export const rwkv6qwen2 = arch(["rwkv6qwen2"], source => {
  const c = rwkvConfig(source, "rms");
  const keyHeads = source.size("attention.head_count_kv", { max: c.heads, or: c.heads });
  if (source.size("token_shift_count", { or: 1 }) !== 1 || c.heads % keyHeads) {
    const message = `This ${source.architecture} has a shift of its own kind or heads that do not divide; such a model is not supported.`;
    throw new LatheError("model.unsupported-arch", message, { architecture: source.architecture, heads: c.heads, keyHeads });
  }
  const norm = (name: string) => rmsNorm(source, name, c.dim, c.eps);
  const layer = (at: string): Block =>
    inTurn(
      residual(norm(`${at}.attn_norm`), timeMix(source, at, timeMixShape(source, c, keyHeads))),
      residual(norm(`${at}.ffn_norm`), ffn(source, at, c)),
    );
  return decoder(source, c, { layer });
});
