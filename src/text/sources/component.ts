/**
 * Reading the components of `tokenizer.json` (objects with a `type`) with every value checked: what has the wrong type is an error that
 * names the component, what is unknown is refused by its name. Sequences become flat lists.
 */
import { LatheError } from "../../errors.ts";
import { Regex } from "../regex/regex.ts";

export interface Component {
  readonly type: string;
  readonly fields: ReadonlyMap<string, unknown>;
}

/** Sequences inside of sequences, and components of one list, stay below these. */
const DEEPEST = 8;
const MOST = 256;

export function malformedJson(what: string, details: Record<string, unknown> = {}): LatheError {
  return new LatheError("tokenizer.malformed", `The tokenizer file is damaged: ${what}.`, details);
}

export function unsupportedComponent(place: string, name: string): LatheError {
  return new LatheError("tokenizer.unsupported", `The tokenizer file has the ${place} "${name.slice(0, 80)}", which is not supported.`, {
    place,
    name: name.slice(0, 80),
  });
}

/** The fields of a JSON object; a map, so that no name of a field means anything to the language. */
export function fieldsOf(value: unknown, place: string): ReadonlyMap<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformedJson(`${place} is not an object`);
  return new Map(Object.entries(value));
}

function component(value: unknown, place: string): Component {
  const fields = fieldsOf(value, `the ${place}`);
  const type = fields.get("type");
  if (typeof type !== "string") throw malformedJson(`the ${place} has no type`);
  return { type, fields };
}

/** A component, or the components of a (nested) Sequence under `key`; none for null. */
export function componentsOf(value: unknown, place: string, key: string, depth = 0): Component[] {
  if (value === undefined || value === null) return [];
  const own = component(value, place);
  if (own.type !== "Sequence") return [own];
  const list = own.fields.get(key);
  if (!Array.isArray(list)) throw malformedJson(`the sequence of the ${place} has no list "${key}"`);
  if (depth >= DEEPEST) throw unsupportedComponent(place, `Sequence more than ${DEEPEST} deep`);
  const all = list.flatMap(inner => componentsOf(inner, place, key, depth + 1));
  if (all.length > MOST) throw unsupportedComponent(place, `Sequence of more than ${MOST}`);
  return all;
}

function optional<T>(from: Component, key: string, isRight: (value: unknown) => value is T, what: string): T | undefined {
  const value = from.fields.get(key);
  if (value === undefined || value === null) return undefined;
  if (isRight(value)) return value;
  throw malformedJson(`"${key}" of ${from.type.slice(0, 80)} is not ${what}`, { key });
}

const isText = (value: unknown): value is string => typeof value === "string";
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;

export const optionalText = (from: Component, key: string): string | undefined => optional(from, key, isText, "a text");
export const optionalBoolean = (from: Component, key: string): boolean | undefined => optional(from, key, isBoolean, "true or false");
export const optionalCount = (from: Component, key: string): number | undefined => optional(from, key, isCount, "a count");

/** One character, `fallback` where the file is silent. */
export function oneCharacter(from: Component, key: string, fallback?: string): string {
  const text = optionalText(from, key) ?? fallback;
  if (text === undefined || [...text].length !== 1) throw malformedJson(`"${key}" of ${from.type} is not one character`);
  return text;
}

/** A `pattern`: `{ String }` is a text, `{ Regex }` an expression in the notation of Oniguruma. */
export function textOrRegex(from: Component): string | Regex {
  const pattern = from.fields.get("pattern");
  if (typeof pattern === "string") return pattern;
  const fields = fieldsOf(pattern, `the pattern of ${from.type}`);
  const text = fields.get("String");
  if (typeof text === "string") return text;
  const source = fields.get("Regex");
  if (typeof source === "string") return new Regex(source, { lines: true });
  throw malformedJson(`the pattern of ${from.type} is neither a text nor an expression`);
}
