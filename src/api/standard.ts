/**
 * Schemas as callers have them: JSON Schema, or an object of any library that follows Standard Schema (zod, valibot, ArkType ...) and can say
 * what it means as JSON Schema. None of these libraries is imported.
 */
import { LatheError } from "../errors.ts";

type Issue = { readonly message: string; readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] };
type Verdict<T> = { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly Issue[] };
type Converter = (options: { readonly target: string }) => Record<string, unknown>;

/** The part of Standard Schema and Standard JSON Schema that is used (standardschema.dev, version 1). */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate?: (value: unknown) => Verdict<T> | Promise<Verdict<T>>;
    readonly jsonSchema?: { readonly input: Converter; readonly output: Converter };
    readonly types?: { readonly input: unknown; readonly output: T };
  };
}

/** JSON Schema: an object, true or false, or its JSON text. */
export type JsonSchema = object | boolean | string;

/** What a value that is valid by the schema `S` is, as far as TypeScript can know. */
export type ValueOf<S> = S extends { readonly "~standard": { readonly types?: infer T } }
  ? NonNullable<T> extends { readonly output: infer O }
    ? O
    : unknown
  : unknown;

export const isStandard = (schema: unknown): schema is StandardSchema =>
  ((typeof schema === "object" && schema !== null) || typeof schema === "function") && "~standard" in schema;

const TARGET = { target: "draft-2020-12" };

/**
 * The JSON Schema of what has to be written.
 * @throws LatheError `schema.unsupported` where the library cannot say it.
 */
export function jsonSchemaOf(schema: unknown): JsonSchema {
  if (!isStandard(schema)) return schema as JsonSchema;
  const { jsonSchema, vendor } = schema["~standard"];
  if (!jsonSchema) {
    const message = `Schemas of ${vendor} do not say what they mean as JSON Schema; convert it and give the JSON Schema.`;
    throw new LatheError("schema.unsupported", message, { vendor });
  }
  let input: JsonSchema;
  try {
    input = jsonSchema.input(TARGET);
  } catch (e) {
    const message = `${vendor} cannot write this schema as JSON Schema (${(e as Error).message.split("\n")[0].replace(/\.$/, "")}).`;
    throw new LatheError("schema.unsupported", message, { vendor });
  }
  return stricter(input, jsonSchema.output) ?? input;
}

/** The schema of the output where it differs from that of the input only in refusing more: no other properties, none left out. */
function stricter(input: JsonSchema, output: Converter): JsonSchema | undefined {
  try {
    const strict = output(TARGET);
    const bare = (schema: unknown): string =>
      JSON.stringify(schema, (key, value) => (key === "additionalProperties" || key === "required" ? undefined : value));
    return bare(strict) === bare(input) ? strict : undefined;
  } catch {
    return undefined; // a transformation: only the input can be written
  }
}

/** The value that the schema's library makes of `value`, or why it refuses. JSON Schema alone changes nothing. */
export async function validated(schema: unknown, value: unknown): Promise<{ value: unknown } | { refused: string }> {
  const validate = isStandard(schema) ? schema["~standard"].validate : undefined;
  if (!validate) return { value };
  const verdict = await validate(value);
  return verdict.issues ? { refused: verdict.issues.map(told).join("; ") } : { value: verdict.value };
}

function told({ message, path = [] }: Issue): string {
  const at = path.map(p => String(typeof p === "object" ? p.key : p)).join(".");
  return at ? `${at}: ${message}` : message;
}
