/**
 * Penalties on tokens that were accepted before, within a window. Repetition: Keskar et al. 2019, https://arxiv.org/abs/1909.05858, in the
 * form that divides positive and multiplies negative logits; frequency and presence: as in the OpenAI API.
 */
import { numberRule } from "../options.ts";
import type { SamplerKind } from "./kind.ts";

export interface PenaltyOptions {
  /** Divides the positive and multiplies the negative logits of seen tokens: above 0, at most 1e6. Default 1 (off). */
  repeatPenalty?: number;
  /** Subtracted once for each time that a token was seen: -1e6 .. 1e6. Default 0 (off). */
  frequencyPenalty?: number;
  /** Subtracted once from each token that was seen: -1e6 .. 1e6. Default 0 (off). */
  presencePenalty?: number;
  /** How many accepted tokens the penalties look back: 0 none, -1 all. Default 64. */
  penaltyWindow?: number;
}

export const penalties: SamplerKind<PenaltyOptions> = {
  options: {
    repeatPenalty: numberRule(1, { above: 0, to: 1e6 }),
    frequencyPenalty: numberRule(0, { from: -1e6, to: 1e6 }),
    presencePenalty: numberRule(0, { from: -1e6, to: 1e6 }),
    penaltyWindow: numberRule(64, { from: -1, to: 2 ** 24, integer: true }),
  },

  create({ repeatPenalty, frequencyPenalty, presencePenalty }) {
    if (repeatPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0) return undefined;
    return (candidates, { history }) => {
      if (history.counts.size === 0) return;
      const values = candidates.editable(false);
      for (const [id, count] of history.counts) {
        if (id >= candidates.count) continue; // accepted from a wider vocabulary: it cannot be chosen, so there is nothing to lower
        const scaled = values[id] > 0 ? values[id] / repeatPenalty : values[id] * repeatPenalty;
        values[id] = scaled - count * frequencyPenalty - presencePenalty;
      }
    };
  },
};
