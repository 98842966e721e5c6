/** Min-p (Nguyen et al. 2024, https://arxiv.org/abs/2407.01082): only tokens at least p times as likely as the likeliest one. */
import { numberRule } from "../options.ts";
import type { SamplerKind } from "./kind.ts";

export interface MinPOptions {
  /** A token stays if its probability is at least this times the largest: 0 .. 1; 0 = all. Default 0.05. */
  minP?: number;
}

export const minP: SamplerKind<MinPOptions> = {
  options: { minP: numberRule(0.05, { from: 0, to: 1 }) },

  create({ minP }) {
    if (minP === 0) return undefined;
    const gap = Math.log(minP); // of the logits
    return candidates => candidates.keepFrom(candidates.max() + gap);
  },
};
