/** Logit bias: adds a number to the logits of given tokens; -Infinity forbids a token. */
import { LatheError } from "../../errors.ts";
import type { SamplerKind } from "./kind.ts";

export interface LogitBiasOptions {
  /** Token id -> what to add to its logit: -1e6 .. 1e6, or -Infinity to forbid the token. Default: none. */
  logitBias?: ReadonlyMap<number, number> | Record<string, number>;
}

const entriesOf = (bias: NonNullable<LogitBiasOptions["logitBias"]>): [unknown, unknown][] =>
  bias instanceof Map ? [...bias] : Object.entries(bias).map(([key, value]) => [/^\d{1,10}$/.test(key) ? Number(key) : key, value]);

const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0;
const isBias = (value: unknown) => typeof value === "number" && (Math.abs(value) <= 1e6 || value === -Infinity);

export const logitBias: SamplerKind<LogitBiasOptions> = {
  options: {
    logitBias: {
      default: new Map(),
      accepts: "a Map or an object from token ids to numbers from -1e6 to 1e6, or -Infinity to forbid the token",
      check: v =>
        typeof v === "object" && v !== null && !Array.isArray(v) && entriesOf(v as never).every(([id, bias]) => isId(id) && isBias(bias)),
    },
  },

  create({ logitBias }) {
    const entries = entriesOf(logitBias) as [number, number][]; // a copy: the caller may change the Map later
    if (entries.length === 0) return undefined;
    return candidates => {
      const values = candidates.editable(false);
      for (const [id, bias] of entries) {
        if (id >= candidates.count) {
          const message = `The sampling option "logitBias" names token ${id}, but the vocabulary ends at ${candidates.count - 1}.`;
          throw new LatheError("option.invalid", message, { option: "logitBias", id, vocabulary: candidates.count });
        }
        values[id] += bias;
      }
    };
  },
};
