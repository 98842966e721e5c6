/**
 * Arguments that a model wrote as bare text become values of the types that the tool's schema gives them, and names of arguments that were left out
 * are taken from it.
 */
import { isRecord, type KnownTool, parsedJson } from "./events.ts";

type Kind = "string" | "number" | "integer" | "boolean" | "null" | "array" | "object";

const kindsOf = (value: unknown): Kind[] => {
  if (value === null) return ["null"];
  if (Array.isArray(value)) return ["array"];
  if (typeof value === "number") return Number.isInteger(value) ? ["integer", "number"] : ["number"];
  return [typeof value as Kind];
};

/** Schemas that are looked through for types. */
const MOST = 64;

/** The types that a schema allows; undefined where it says nothing. */
function allowed(schema: unknown, root: unknown, left: { n: number }): Set<string> | undefined {
  if (!isRecord(schema) || --left.n < 0) return undefined;
  const { type, enum: values, anyOf, oneOf, allOf, $ref } = schema;
  if (typeof type === "string") return new Set([type]);
  if (Array.isArray(type)) return new Set(type.map(String));
  if ("const" in schema) return new Set(kindsOf(schema["const"]));
  if (Array.isArray(values)) return new Set(values.flatMap(kindsOf));
  if (typeof $ref === "string" && $ref.startsWith("#/")) {
    const steps = $ref.slice(2).split("/");
    const found = steps.reduce<unknown>((at, step) => (isRecord(at) ? at[step.replace(/~1/g, "/").replace(/~0/g, "~")] : undefined), root);
    return allowed(found, root, left);
  }
  const some = [anyOf, oneOf, allOf].find(Array.isArray) as unknown[] | undefined;
  const parts = some?.map(s => allowed(s, root, left)).filter(s => s !== undefined);
  return parts?.length ? new Set(parts.flatMap(s => [...s])) : undefined;
}

/** The names of a tool's arguments, in the order of its schema. */
export function argumentNames(tool: KnownTool | undefined): string[] {
  const { parameters } = tool ?? {};
  return isRecord(parameters) && isRecord(parameters["properties"]) ? Object.keys(parameters["properties"]) : [];
}

/** The types that an argument may have; undefined where the tool does not say. */
export function typesOf(tool: KnownTool | undefined, name: string): ReadonlySet<string> | undefined {
  const { parameters } = tool ?? {};
  if (!isRecord(parameters)) return undefined;
  const { properties, additionalProperties } = parameters;
  const own = isRecord(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
  return allowed(own, parameters, { n: MOST });
}

/** Other words for the same values, which models that have read much Python write. */
const pythonWords: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };

/** The JSON text of an argument that was written as `text`. */
export function jsonOf(text: string, types: ReadonlySet<string> | undefined): string {
  const bare = text.trim();
  const word = Object.hasOwn(pythonWords, bare);
  const value = word ? pythonWords[bare] : parsedJson(bare);
  if (value === undefined || typeof value === "string") {
    // A text in quotes is one only where nothing says that it is a text already.
    const quoted = value !== undefined && types === undefined;
    return JSON.stringify(quoted ? value : text);
  }
  const fits = types === undefined || kindsOf(value).some(k => types.has(k));
  return fits || !types.has("string") ? (word ? JSON.stringify(value) : bare) : JSON.stringify(text);
}
