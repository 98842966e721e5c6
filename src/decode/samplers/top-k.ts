/** Top-k (Fan et al. 2018, https://arxiv.org/abs/1805.04833): only the k likeliest tokens. */
import { numberRule } from "../options.ts";
import type { SamplerKind } from "./kind.ts";

export interface TopKOptions {
  /** How many of the likeliest tokens stay: an integer from 0; 0 = all. Default 40. */
  topK?: number;
}

export const topK: SamplerKind<TopKOptions> = {
  options: { topK: numberRule(40, { from: 0, to: 2 ** 31 - 1, integer: true }) },
  create: ({ topK }) => (topK === 0 ? undefined : candidates => topK < candidates.count && candidates.keepLargest(topK)),
};
