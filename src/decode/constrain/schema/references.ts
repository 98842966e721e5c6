/**
 * Where the schemas of a document are: base addresses ($id), anchors, and what a $ref leads to. Nothing outside the document is looked up.
 */
import { LatheError } from "../../../errors.ts";
import { tooBig } from "./text.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export const isObject = (v: unknown): v is JsonObject => typeof v === "object" && v !== null && !Array.isArray(v);
export const get = (o: JsonObject, key: string): Json | undefined => (Object.hasOwn(o, key) ? o[key] : undefined);

const MOST_DEPTH = 128;
const MOST_VALUES = 40_000;
/** Longer schemas are not compared with others. */
const MOST_IDENTITY = 500;
const ROOT = "json-schema:///root";

/** Keywords whose values are data and hold no schemas; those whose values hold schemas by name. */
const data = new Set(["const", "enum", "default", "examples"]);
const named = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"]);

export class References {
  readonly #bases = new Map<JsonObject, string>();
  readonly #resources = new Map<string, JsonObject>();
  readonly #anchors = new Map<string, JsonObject>();
  /** Schemas with `$recursiveAnchor: true`. */
  readonly #recursive = new Set<JsonObject>();
  readonly #legacy: boolean;
  readonly #isKeyword: (name: string) => boolean;

  /** @param isKeyword what other names hold are no schemas, though references may lead there. @param legacy `$ref` overrules what stands beside it, `$id` too, and `$id: "#name"` is an anchor: as in draft 7. */
  constructor(root: Json, legacy: boolean, isKeyword: (name: string) => boolean) {
    this.#isKeyword = isKeyword;
    this.#legacy = legacy;
    if (isObject(root)) this.#resources.set(ROOT, root);
    this.#collect(root);
  }

  /** Visits all values, first to last, without recursion. */
  #collect(root: Json): void {
    const todo: { value: Json; base: string; depth: number; isData: boolean; byName: boolean }[] = [
      { value: root, base: ROOT, depth: 0, isData: false, byName: false },
    ];
    let visited = 0;
    for (let next = todo.pop(); next; next = todo.pop()) {
      const { value, depth, isData, byName } = next;
      if (typeof value !== "object" || value === null) continue;
      if (depth > MOST_DEPTH) throw tooBig(`it nests deeper than ${MOST_DEPTH}`);
      const isSchema = isObject(value) && !isData && !byName;
      const base = isSchema ? this.#enter(value, next.base) : next.base;
      if (isObject(value)) this.#bases.set(value, base);
      for (const key in value) {
        if (++visited > MOST_VALUES) throw tooBig(`it holds more than ${MOST_VALUES} values`);
        const child = (value as JsonObject)[key];
        if (typeof child !== "object" || child === null) continue;
        const isOther = isSchema && (data.has(key) || !this.#isKeyword(key));
        todo.push({ value: child, base, depth: depth + 1, isData: isData || isOther, byName: isSchema && named.has(key) });
      }
    }
  }

  /** Notes a schema's address and anchors; the base of what it holds. */
  #enter(schema: JsonObject, outer: string): string {
    let base = outer;
    const id = get(schema, "$id");
    const overruled = this.#legacy && typeof get(schema, "$ref") === "string";
    if (typeof id === "string" && !overruled) {
      if (this.#legacy && id.startsWith("#")) this.#anchors.set(outer + id, schema);
      else {
        base = this.#absolute(id, outer).replace(/#.*$/s, "");
        this.#resources.set(base, schema);
      }
    }
    if (get(schema, "$recursiveAnchor") === true) this.#recursive.add(schema);
    for (const keyword of ["$anchor", "$dynamicAnchor"]) {
      const anchor = get(schema, keyword);
      if (typeof anchor === "string") this.#anchors.set(`${base}#${anchor}`, schema);
    }
    return base;
  }

  /** Whether `$recursiveRef: "#"` is `$ref: "#"`: nothing is handed on to other schemas, as at most the document as a whole could take it. */
  get recursionIsPlain(): boolean {
    const all = new Set(this.#resources.values());
    return this.#recursive.size === 0 || (all.size === 1 && [...this.#recursive].every(schema => all.has(schema)));
  }

  #absolute(reference: string, base: string): string {
    try {
      return new URL(reference, base).href;
    } catch {
      throw new LatheError("schema.invalid", `${JSON.stringify(reference.slice(0, 200))} is no address.`, { reference });
    }
  }

  /** The schema that a $ref beside `from` leads to. */
  resolve(reference: string, from: JsonObject): Json {
    const href = this.#absolute(reference, this.#bases.get(from) ?? ROOT);
    const at = href.indexOf("#");
    const address = at < 0 ? href : href.slice(0, at);
    const fragment = at < 0 ? "" : decode(href.slice(at + 1));
    const resource = this.#resources.get(address);
    if (resource === undefined) {
      const message = `$ref ${JSON.stringify(reference.slice(0, 200))} leads out of the schema; put what it names under $defs.`;
      throw new LatheError("schema.unsupported", message, { keyword: "$ref", reference });
    }
    const found = fragment === "" ? resource : fragment.startsWith("/") ? pointed(resource, fragment) : this.#anchors.get(href);
    if (found !== undefined && (isObject(found) || typeof found === "boolean")) return found;
    throw new LatheError("schema.invalid", `$ref ${JSON.stringify(reference.slice(0, 200))} leads to no schema.`, { reference });
  }

  /** A text that is the same for schemas that say the same; undefined for long ones. */
  identity(schema: JsonObject): string | undefined {
    if (!isSmall(schema, { left: MOST_IDENTITY })) return undefined;
    const text = JSON.stringify(schema);
    return text.length > MOST_IDENTITY ? undefined : `${this.#bases.get(schema)} ${text}`;
  }
}

/** Whether a value has few parts, found without looking at more. */
function isSmall(value: Json, budget: { left: number }): boolean {
  budget.left -= typeof value === "string" ? 1 + value.length : 1;
  if (budget.left < 0) return false;
  if (typeof value !== "object" || value === null) return true;
  for (const key in value) if (!isSmall((value as JsonObject)[key], budget)) return false;
  return true;
}

function decode(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}

/** What a JSON pointer leads to. */
function pointed(root: Json, pointer: string): Json | undefined {
  let at: Json | undefined = root;
  for (const part of pointer.slice(1).split("/")) {
    const key = part.replace(/~1/g, "/").replace(/~0/g, "~");
    if (Array.isArray(at)) at = /^(0|[1-9]\d{0,8})$/.test(key) ? at[Number(key)] : undefined;
    else if (isObject(at)) at = get(at, key);
    else return undefined;
  }
  return at;
}
