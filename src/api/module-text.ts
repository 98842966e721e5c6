/**
 * The text of one module: as it is, or with values in the places of its parameters (`{{name}}`). A module with values is the module of the filled
 * text in every bit; what stands before its first parameter is computed once for all values.
 */
import { LatheError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A part of a prompt that sees nothing but itself, wherever it stands. The prompt after it sees it. */
export interface PromptModule {
  readonly text: string;
  /** Values for the places `{{name}}` of the text, and how many tokens each may have. Other braces are text. */
  readonly parameters?: Readonly<Record<string, { readonly value: string; readonly maxTokens?: number }>>;
}

const invalid = (message: string, details: Readonly<Record<string, unknown>>): LatheError =>
  new LatheError("option.invalid", message, { option: "modules", ...details });

/** Characters of a filled text: far more than any context holds. */
const MOST_UNITS = 2 ** 25;
const place = /\{\{([^{}]{1,64})\}\}/g;

/** The names in the places of a text, in order. */
export const placesOf = (text: string): readonly string[] => [...text.matchAll(place)].map(found => found[1]);

/** The text before the first place that has one of these names. */
export function beforePlaces(text: string, names: ReadonlySet<string>): string {
  for (const found of text.matchAll(place)) if (names.has(found[1])) return text.slice(0, found.index);
  return text;
}

/** The module's text with its values. @throws LatheError option.invalid for a value that is too long or has no place. */
export function moduleText(tokenizer: Tokenizer, { text, parameters }: PromptModule): string {
  if (!parameters) return text;
  const filled = placesOf(text);
  const places = new Set(filled);
  const units = filled.reduce((n, name) => n + (Object.hasOwn(parameters, name) ? parameters[name].value.length : 0), text.length);
  if (units > MOST_UNITS) throw invalid(`A module has ${units} characters with its values; ${MOST_UNITS} are the most.`, { units });
  for (const [name, { value, maxTokens }] of Object.entries(parameters)) {
    if (!places.has(name)) throw invalid(`The module has no place {{${name}}} for the parameter ${name}.`, { parameter: name });
    const tokens = maxTokens === undefined ? 0 : tokenizer.count(value);
    if (maxTokens !== undefined && tokens > maxTokens)
      throw invalid(`The parameter ${name} may have ${maxTokens} tokens, and its value has ${tokens}.`, {
        parameter: name,
        maxTokens,
        tokens,
      });
  }
  return text.replace(place, (whole, name: string) => (Object.hasOwn(parameters, name) ? parameters[name].value : whole));
}

/** Whether a value is a module as callers may give it. */
export function isModule(value: unknown): value is PromptModule {
  const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
  if (!isRecord(value) || typeof value.text !== "string") return false;
  const { parameters = {} } = value;
  const isMost = (n: unknown): boolean => n === undefined || (Number.isInteger(n) && (n as number) >= 0);
  return isRecord(parameters) && Object.values(parameters).every(p => isRecord(p) && typeof p.value === "string" && isMost(p.maxTokens));
}
