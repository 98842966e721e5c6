/** Temperature: divides the logits, so that above 1 unlikely tokens gain and below 1 they lose. 0 is greedy, which `sampler.ts` handles. */
import { numberRule } from "../options.ts";
import type { SamplerKind } from "./kind.ts";

export interface TemperatureOptions {
  /** Divides the logits: 0 .. 1e6; 0 = always the likeliest token. Default 0.8. */
  temperature?: number;
}

export const temperature: SamplerKind<TemperatureOptions> = {
  options: { temperature: numberRule(0.8, { from: 0, to: 1e6 }) },

  create({ temperature }) {
    if (temperature === 1 || temperature === 0) return undefined;
    return candidates => {
      const top = candidates.max(); // subtracted first, so that a tiny temperature cannot reach infinity
      const values = candidates.editable(true);
      for (let i = 0; i < candidates.count; i++) values[i] = (values[i] - top) / temperature;
    };
  },
};
