/** The likeliest tokens of a row of logits with their log probabilities, as the model gives them, before any sampler. */
import { LatheError } from "../errors.ts";
import { workspace } from "./candidates.ts";
import { logSumExp } from "./probability.ts";

export interface TokenLogprob {
  readonly id: number;
  /** Natural logarithm of the model's own probability, before any sampling option. */
  readonly logprob: number;
}

/**
 * The `n` likeliest tokens, the likeliest first, ties by id; fewer where the rest is impossible (-Infinity).
 * @param logits [vocabulary]
 * @throws LatheError `option.invalid` unless n is an integer from 0; `engine.failed` where the logits are not usable.
 */
export function topLogprobs(logits: Float32Array, n: number): TokenLogprob[] {
  if (!Number.isInteger(n) || n < 0)
    throw new LatheError("option.invalid", `The number of logprobs must be an integer from 0; it is ${n}.`, { n });
  const normaliser = checkedLogSumExp(logits);
  workspace.reset(logits);
  workspace.keepLargest(n);
  return Array.from({ length: workspace.count }, (_, i) => ({ id: workspace.ids[i], logprob: workspace.values[i] - normaliser }));
}

/** log(sum of e^logit); refuses logits that are no distribution. */
export function checkedLogSumExp(logits: Float32Array): number {
  const total = logSumExp(logits);
  if (total === -Infinity) throw noToken(logits.length);
  if (Number.isFinite(total)) return total;
  const token = logits.findIndex(v => Number.isNaN(v) || v === Infinity);
  const message =
    `The model computed ${logits[token]} as the logit of token ${token}: its weights are damaged, or a kernel is wrong. ` +
    "Check the file; if it is sound, please report this.";
  throw new LatheError("engine.failed", message, { token, value: String(logits[token]) });
}

/** The error for a step in which every token is at -Infinity. */
export function noToken(vocabulary: number): LatheError {
  const message = `No token can be chosen: all ${vocabulary} are excluded by the model, a bias, or a constraint. Loosen what excludes them.`;
  return new LatheError("engine.failed", message, { vocabulary });
}
