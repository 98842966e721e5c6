/**
 * Checks a flat object of options against a table of rules: fills in defaults, refuses values outside their range, and refuses keys that
 * do not exist, naming the nearest one that does. A rule says what it accepts in words, and those words are the error message.
 */
import { LatheError } from "../errors.ts";

/** What one option may be. */
export interface OptionRule<T> {
  readonly default: T;
  /** In words, to follow "must be": "a number from 0 to 1". */
  readonly accepts: string;
  readonly check: (value: unknown) => boolean;
}

/** A rule for every key of the options `T`. */
export type OptionRules<T> = { readonly [K in keyof T]-?: OptionRule<Required<T>[K]> };

/** A rule for a finite number, `from` .. `to` inclusive; `above` excludes its own value. */
export function numberRule(
  byDefault: number,
  range: { from?: number; above?: number; to?: number; integer?: boolean },
): OptionRule<number> {
  const { from = -Number.MAX_VALUE, above = Number.NEGATIVE_INFINITY, to = Number.MAX_VALUE, integer = false } = range;
  const low = range.above !== undefined ? ` above ${above}` : range.from !== undefined ? ` from ${from}` : "";
  const high = range.to === undefined ? "" : range.above !== undefined ? ` and at most ${to}` : ` to ${to}`;
  return {
    default: byDefault,
    accepts: (integer ? "an integer" : "a number") + low + high,
    check: v => typeof v === "number" && v >= from && v > above && v <= to && (!integer || Number.isInteger(v)),
  };
}

/**
 * `given` with defaults for what is absent or undefined. `noun` names the options in messages ("sampling option").
 * @throws LatheError `option.unknown` for a key without a rule, `option.invalid` for a value that its rule refuses.
 */
export function resolveOptions<T extends object>(noun: string, rules: OptionRules<T>, given: T): Required<T> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new LatheError("option.invalid", `The ${noun}s must be an object.`, { value: given });
  }
  const known = Object.keys(rules);
  for (const option of Object.keys(given)) {
    if (known.includes(option)) continue;
    const nearest = nearestName(option, known);
    throw new LatheError("option.unknown", `There is no ${noun} "${option}"; the nearest is "${nearest}".`, { option, nearest, known });
  }
  const entries = Object.entries<OptionRule<unknown>>(rules).map(([option, rule]) => {
    const value = (given as Record<string, unknown>)[option];
    if (value === undefined) return [option, rule.default];
    if (rule.check(value)) return [option, value];
    throw new LatheError("option.invalid", `The ${noun} "${option}" must be ${rule.accepts}; it is ${show(value)}.`, {
      option,
      value,
      accepts: rule.accepts,
    });
  });
  return Object.fromEntries(entries);
}

/** A value in a message: short, and never the cause of another error. */
function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return String(value);
}

/** The name that begins like it or else takes the fewest edits, after dropping case and the separators of other spellings (top_k, top-k). */
function nearestName(name: string, known: readonly string[]): string {
  const plain = (s: string) => s.toLowerCase().replace(/[_\-\s]/g, "");
  const wanted = plain(name.slice(0, 64));
  const distance = (k: string) => (k === wanted ? 0 : k.startsWith(wanted) ? 0.5 : editDistance(wanted, k));
  const distances = known.map(k => distance(plain(k)));
  return known[distances.indexOf(Math.min(...distances))];
}

/** Insertions, deletions and replacements that turn `a` into `b` (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}
