/** Top-p, nucleus sampling (Holtzman et al. 2019, https://arxiv.org/abs/1904.09751): the likeliest tokens that together reach p. */
import { numberRule } from "../options.ts";
import type { SamplerKind } from "./kind.ts";

export interface TopPOptions {
  /** The fewest likeliest tokens stay whose probabilities add up to this: 0 .. 1; 1 = all, 0 = one. Default 0.95. */
  topP?: number;
}

export const topP: SamplerKind<TopPOptions> = {
  options: { topP: numberRule(0.95, { from: 0, to: 1 }) },
  create: ({ topP }) => (topP === 1 ? undefined : candidates => candidates.keepMass(topP)),
};
