/**
 * The settings of answers: what each does in plain words, its default, and what is sent for it. Defaults are read from where the engine
 * declares them, so that what the page says is what happens. What the user has not changed is not sent.
 */
import { numberRule } from "../../../decode/options.ts";
import { minP } from "../../../decode/samplers/min-p.ts";
import { penalties } from "../../../decode/samplers/penalties.ts";
import { temperature } from "../../../decode/samplers/temperature.ts";
import { topK } from "../../../decode/samplers/top-k.ts";
import { topP } from "../../../decode/samplers/top-p.ts";

export interface NumberSetting {
  /** The field of the request. */
  readonly field: string;
  readonly label: string;
  /** What it does, and why its default is what it is. */
  readonly about: string;
  /** Undefined: without it, the field is not sent and `unset` says what happens. */
  readonly byDefault?: number;
  readonly unset?: string;
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

export const numberSettings: readonly NumberSetting[] = [
  {
    field: "temperature",
    label: "Temperature",
    about:
      "How much chance decides. 0 always takes the likeliest word and repeats itself exactly; above 1 gets odd. The default varies answers and keeps them sensible.",
    byDefault: temperature.options.temperature.default,
    from: 0,
    to: 10,
    step: 0.1,
  },
  {
    field: "max_tokens",
    label: "Longest answer, in tokens",
    about: "A token is about three quarters of an English word. The answer is cut off there.",
    unset: "as long as the context has room",
    from: 1,
    to: 2 ** 30,
    step: 1,
  },
  {
    field: "top_p",
    label: "Top-p",
    about:
      "Chooses among the likeliest tokens that add up to this share. 1 leaves all in; the default drops the unlikely tail, where nonsense comes from.",
    byDefault: topP.options.topP.default,
    from: 0,
    to: 1,
    step: 0.01,
  },
  {
    field: "top_k",
    label: "Top-k",
    about: "Chooses among so many of the likeliest tokens. 0 leaves all in.",
    byDefault: topK.options.topK.default,
    from: 0,
    to: 2 ** 30,
    step: 1,
  },
  {
    field: "min_p",
    label: "Min-p",
    about: "Drops tokens less likely than this times the likeliest. It adapts: strict where the model is sure, loose where it is not.",
    byDefault: minP.options.minP.default,
    from: 0,
    to: 1,
    step: 0.01,
  },
  {
    field: "repeat_penalty",
    label: "Repeat penalty",
    about: "Makes recent tokens less likely. 1 is off, as most models need none; try 1.1 where one goes round in circles.",
    byDefault: penalties.options.repeatPenalty.default,
    from: 0.01,
    to: 10,
    step: 0.05,
  },
  {
    field: "frequency_penalty",
    label: "Frequency penalty",
    about: "Lowers recent tokens by this for each time they occurred. 0 is off.",
    byDefault: penalties.options.frequencyPenalty.default,
    from: -10,
    to: 10,
    step: 0.1,
  },
  {
    field: "presence_penalty",
    label: "Presence penalty",
    about: "Lowers recent tokens by this once, however often they occurred. 0 is off.",
    byDefault: penalties.options.presencePenalty.default,
    from: -10,
    to: 10,
    step: 0.1,
  },
  {
    field: "repeat_last_n",
    label: "Recent tokens",
    about: "How many tokens count as recent for the three penalties. -1: all.",
    byDefault: penalties.options.penaltyWindow.default,
    from: -1,
    to: 2 ** 24,
    step: 1,
  },
  {
    field: "seed",
    label: "Seed",
    about: "The same seed, settings and messages give the same answer again.",
    unset: "drawn anew for every answer",
    from: 0,
    to: Number.MAX_SAFE_INTEGER,
    step: 1,
  },
];

export interface Settings {
  /** Told to the model before the conversation. */
  readonly system: string;
  /** One text on each line; the answer ends before any of them. */
  readonly stops: string;
  /** By field: only what was changed. */
  readonly numbers: Readonly<Record<string, number>>;
}
export const defaultSettings: Settings = { system: "", stops: "", numbers: {} };

const TEXT_LENGTH = 100_000;

/** Settings from anything, such as what an older page stored; what is wrong is left out. */
export function settingsFrom(value: unknown): Settings {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const text = (v: unknown): string => (typeof v === "string" ? v.slice(0, TEXT_LENGTH) : "");
  const numbers = (typeof given["numbers"] === "object" && given["numbers"] !== null ? given["numbers"] : {}) as Record<string, unknown>;
  const right = numberSettings.filter(s => checkNumber(s, numbers[s.field]) === undefined && numbers[s.field] !== undefined);
  return {
    system: text(given["system"]),
    stops: text(given["stops"]),
    numbers: Object.fromEntries(right.map(s => [s.field, numbers[s.field] as number])),
  };
}

/** What is wrong with a value, in words; undefined where nothing is. */
export function checkNumber({ from, to, step }: NumberSetting, value: unknown): string | undefined {
  const rule = numberRule(from, { from, to, integer: Number.isInteger(step) });
  return value === undefined || rule.check(value) ? undefined : `must be ${rule.accepts}`;
}

/** The fields of a request. */
export function requestFields({ numbers, stops }: Settings): Record<string, unknown> {
  const stop = stops.split("\n").filter(Boolean).slice(0, 16);
  return { ...numbers, ...(stop.length ? { stop } : {}) };
}
