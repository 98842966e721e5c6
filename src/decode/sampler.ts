/**
 * Chooses the next token from a row of logits. Options are checked once; a step then runs the chain of llama.cpp in its order: logit bias,
 * penalties, top-k, top-p, min-p, temperature, and one draw from what is left. Knows tokens as numbers and nothing of models or text.
 */
import { workspace } from "./candidates.ts";
import { History } from "./history.ts";
import { checkedLogSumExp, noToken, type TokenLogprob } from "./logprobs.ts";
import { numberRule, type OptionRule, type OptionRules, resolveOptions } from "./options.ts";
import { expMinus, weightSum } from "./probability.ts";
import { drawSeed, Random } from "./random.ts";
import type { SamplerContext, SamplerStep } from "./samplers/kind.ts";
import { type LogitBiasOptions, logitBias } from "./samplers/logit-bias.ts";
import { type MinPOptions, minP } from "./samplers/min-p.ts";
import { type PenaltyOptions, penalties } from "./samplers/penalties.ts";
import { type TemperatureOptions, temperature } from "./samplers/temperature.ts";
import { type TopKOptions, topK } from "./samplers/top-k.ts";
import { type TopPOptions, topP } from "./samplers/top-p.ts";

export { type TokenLogprob, topLogprobs } from "./logprobs.ts";

/** Every option has a default, given where it is declared. */
export interface SamplingOptions extends LogitBiasOptions, PenaltyOptions, TopKOptions, TopPOptions, MinPOptions, TemperatureOptions {
  /** Makes the choices repeatable: an integer 0 .. 2^53 - 1. Default: drawn at random, and readable as `sampler.seed`. */
  seed?: number;
}

export interface Sampler {
  /** The seed in use. The same options, seed, logits and accepted tokens give the same choices on every platform. */
  readonly seed: number;
  /**
   * Chooses a token; the logits [vocabulary] are not changed, and -Infinity excludes a token. Draws from the generator once, unless the
   * temperature is 0. `logprob` is the natural logarithm of the probability that the logits themselves give, whatever the options.
   * @param allowed one bit per token, `id & 31` of word `id >> 5`: only tokens whose bit is set may be chosen. Default: all.
   * @throws LatheError `engine.failed` where a logit is NaN or +Infinity, or no token is left.
   */
  sample(logits: Float32Array, allowed?: Uint32Array): TokenLogprob;
  /** Counts a token for the penalties: call it for each token that entered the text (of the prompt too, if it shall count). */
  accept(id: number): void;
  /** A sampler in the same state, which from here on goes its own way. */
  fork(): Sampler;
}

/** The chain, in order. The first two edit logits and count at temperature 0 too; the rest narrow the choice. */
const editors = [logitBias, penalties] as const;
const filters = [topK, topP, minP, temperature] as const;

const seedRule: OptionRule<number> = numberRule(Number.NaN, { from: 0, to: Number.MAX_SAFE_INTEGER, integer: true });
const rules = Object.assign({ seed: seedRule }, ...[...editors, ...filters].map(kind => kind.options)) as OptionRules<SamplingOptions>;

/** @throws LatheError `option.unknown` or `option.invalid`, naming the option and what it accepts. */
export function createSampler(options: SamplingOptions = {}): Sampler {
  const resolved = resolveOptions("sampling option", rules, options);
  const greedy = resolved.temperature === 0;
  const made = (kinds: readonly { create(o: Required<SamplingOptions>): SamplerStep | undefined }[]): SamplerStep[] =>
    kinds.map(kind => kind.create(resolved)).filter(step => step !== undefined);
  const seed = Number.isNaN(resolved.seed) ? drawSeed() : resolved.seed;
  return new ChainSampler(made(editors), greedy ? [] : made(filters), greedy, seed, {
    history: new History(resolved.penaltyWindow),
    random: Random.fromSeed(seed),
  });
}

class ChainSampler implements Sampler {
  readonly seed: number;
  readonly #editors: readonly SamplerStep[];
  readonly #filters: readonly SamplerStep[];
  readonly #greedy: boolean;
  readonly #context: SamplerContext;

  constructor(editors: readonly SamplerStep[], filters: readonly SamplerStep[], greedy: boolean, seed: number, context: SamplerContext) {
    this.seed = seed;
    this.#editors = editors;
    this.#filters = filters;
    this.#greedy = greedy;
    this.#context = context;
  }

  sample(logits: Float32Array, allowed?: Uint32Array): TokenLogprob {
    const normaliser = checkedLogSumExp(logits);
    workspace.reset(logits);
    for (const step of this.#editors) step(workspace, this.#context);
    if (allowed) workspace.keepBits(allowed);
    for (const step of this.#filters) step(workspace, this.#context);
    const id = this.#greedy ? this.#best() : this.#draw();
    if (id === undefined) throw noToken(logits.length);
    return { id, logprob: logits[id] - normaliser };
  }

  accept(id: number): void {
    this.#context.history.accept(id);
  }

  fork(): Sampler {
    const { history, random } = this.#context;
    return new ChainSampler(this.#editors, this.#filters, this.#greedy, this.seed, { history: history.fork(), random: random.fork() });
  }

  #best(): number | undefined {
    workspace.keepLargest(1);
    return workspace.count > 0 ? workspace.ids[0] : undefined;
  }

  /** A candidate with probability proportional to e^value; undefined where there is none. */
  #draw(): number | undefined {
    const { values, ids, count } = workspace;
    const top = workspace.max();
    if (!(top > -Infinity)) return undefined;
    let left = this.#context.random.uniform() * weightSum(values, count, top);
    let last: number | undefined;
    for (let i = 0; i < count; i++) {
      const weight = expMinus(top - values[i]);
      if (weight === 0) continue;
      last = ids[i];
      left -= weight;
      if (left < 0) break;
    }
    return last; // the rounding of the sums may leave a sliver beyond the last weight
  }
}
