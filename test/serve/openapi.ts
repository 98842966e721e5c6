/**
 * Checks values against OpenAI's published OpenAPI description (3.1): the part of JSON Schema that it uses, written for this and nothing else.
 * Gives the places where a value is not what the description says.
 */
import { readFileSync } from "node:fs";

type Json = Record<string, unknown>;
interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  maximum?: number;
  nullable?: boolean;
}

const is: Readonly<Record<string, (v: unknown) => boolean>> = {
  object: v => typeof v === "object" && v !== null && !Array.isArray(v),
  array: Array.isArray,
  string: v => typeof v === "string",
  number: v => typeof v === "number",
  integer: Number.isInteger,
  boolean: v => typeof v === "boolean",
  null: v => v === null,
};

export class OpenApi {
  readonly #schemas: Record<string, Schema>;
  constructor(path: string) {
    this.#schemas = (JSON.parse(readFileSync(path, "utf8")) as { components: { schemas: Record<string, Schema> } }).components.schemas;
  }

  /** What is wrong with a value that should be that component. */
  wrong(name: string, value: unknown): string[] {
    return this.#check(this.#schemas[name], value, name);
  }

  #check(schema: Schema, v: unknown, at: string): string[] {
    if (schema.$ref) return this.#check(this.#schemas[schema.$ref.split("/").at(-1)!], v, at);
    if (schema.nullable && v === null) return [];
    const found: string[] = [];
    if (schema.type && ![schema.type].flat().some(t => is[t](v)))
      found.push(`${at}: ${JSON.stringify(v)?.slice(0, 60)} is no ${schema.type}`);
    if (schema.enum && !schema.enum.includes(v)) found.push(`${at}: ${JSON.stringify(v)} is none of ${schema.enum.join("|").slice(0, 80)}`);
    if ("const" in schema && schema.const !== v) found.push(`${at}: is not ${String(schema.const)}`);
    if (typeof v === "number" && (v < (schema.minimum ?? -Infinity) || v > (schema.maximum ?? Infinity)))
      found.push(`${at}: ${v} out of range`);
    for (const each of schema.allOf ?? []) found.push(...this.#check(each, v, at));
    for (const list of [schema.oneOf, schema.anyOf]) {
      if (!list) continue;
      const tried = list.map(each => this.#check(each, v, at));
      if (!tried.some(t => t.length === 0)) found.push(...tried.reduce((a, b) => (b.length < a.length ? b : a)));
    }
    if (Array.isArray(v) && schema.items) found.push(...v.flatMap((x, i) => this.#check(schema.items!, x, `${at}[${i}]`)));
    if (is.object(v)) found.push(...this.#object(schema, v as Json, at));
    return found;
  }

  #object(schema: Schema, v: Json, at: string): string[] {
    const missing = (schema.required ?? []).filter(k => !(k in v)).map(k => `${at}.${k} is missing`);
    const wrong = Object.entries(schema.properties ?? {}).flatMap(([k, s]) => (k in v ? this.#check(s, v[k], `${at}.${k}`) : []));
    const more = schema.additionalProperties;
    const others = Object.keys(v).filter(k => !(k in (schema.properties ?? {})));
    if (typeof more === "object") wrong.push(...others.flatMap(k => this.#check(more, v[k], `${at}.${k}`)));
    return [...missing, ...wrong];
  }
}
