/**
 * The keywords of JSON Schema (2020-12, draft 7, and what OpenAPI 3.0 and draft 4 say otherwise), each as a formula. Other names describe, as JSON
 * Schema has it; but those that look like a keyword that was misspelled, and keywords that cannot be enforced, are refused by name: nothing that a
 * schema asserts is ever passed over.
 */

import { MOST_REMAINDERS } from "./components.ts";
import { decimalKey, decimalOf, isTooLong } from "./decimal.ts";
import { formats, longest, unwritten } from "./formats.ts";
import { ARRAY, BOOLEAN, EQUAL, type Formula, type Formulas, GREATER, LESS, NULL, NUMBER, OBJECT, STRING } from "./formula.ts";
import { withoutLeading } from "./leading.ts";
import { type NameTest, nameSet } from "./names.ts";
import { get, isObject, type Json, type JsonObject } from "./references.ts";

/** What a keyword needs of the schema it stands in. */
export interface Place {
  readonly formulas: Formulas;
  readonly schema: JsonObject;
  /** The formula of a subschema. */
  sub(schema: Json, ...path: (string | number)[]): Formula;
  /** That of just the values that are valid, where a type that is only implied would let others through: inside of negations. */
  exactly(schema: Json, ...path: (string | number)[]): Formula;
  /** The formula of what a $ref leads to. */
  reference(to: string): Formula;
  /** Whether no `$recursiveAnchor` changes what `$recursiveRef` leads to. */
  readonly recursionIsPlain: boolean;
  /** Notes a property's name, for the order of properties. */
  mention(name: string): void;
  /** Refuses a regular expression that cannot be enforced. */
  checkPattern(source: string): void;
  readonly assertsFormats: boolean;
  invalid(reason: string): Error;
  unsupported(reason: string): Error;
}

type Keyword = (value: Json, place: Place) => Formula;

const infinite = Number.POSITIVE_INFINITY;

const typeMasks: Readonly<Record<string, number>> = {
  null: NULL,
  boolean: BOOLEAN,
  number: NUMBER,
  string: STRING,
  object: OBJECT,
  array: ARRAY,
};

function integer(formulas: Formulas): Formula {
  return formulas.atom({ on: NUMBER, kind: "integer" }, "");
}

function oneType(name: Json, place: Place): Formula {
  const { formulas } = place;
  if (name === "integer") return formulas.and(formulas.types(NUMBER), integer(formulas));
  if (typeof name !== "string" || !Object.hasOwn(typeMasks, name))
    throw place.invalid("a type is null, boolean, integer, number, string, object or array");
  return formulas.types(typeMasks[name]);
}

/** The formula that is true of one value only. */
function constant(value: Json, place: Place): Formula {
  const { formulas: f } = place;
  f.step();
  if (value === null) return f.types(NULL);
  if (typeof value === "boolean") return f.and(f.types(BOOLEAN), f.atom({ on: BOOLEAN, kind: "boolean", value }, String(value)));
  if (typeof value === "number") return f.and(f.types(NUMBER), compare(value, EQUAL, place));
  if (typeof value === "string") return f.and(f.types(STRING), f.atom({ on: STRING, kind: "equal", text: value }, value));
  if (Array.isArray(value)) {
    return f.and(f.types(ARRAY), f.items(value.length, value.length), ...value.map((v, i) => f.item("item", i, constant(v, place))));
  }
  const names = Object.keys(value);
  f.step(2 * names.length); // sets of names take more than other formulas
  const properties = names.map(name => {
    place.mention(name);
    return f.and(f.some(nameSet([name]), f.true), f.every(nameSet([name]), constant(value[name], place)));
  });
  return f.and(f.types(OBJECT), ...properties, f.every(nameSet(names, [], true), f.false));
}

/** One of many constants; texts together, because there may be thousands. */
function oneOfThese(value: Json, place: Place): Formula {
  const { formulas: f } = place;
  const texts = list(value, place).filter(v => typeof v === "string");
  const others = list(value, place).filter(v => typeof v !== "string");
  const equal = f.or(...texts.map(text => f.atom({ on: STRING, kind: "equal", text }, text)));
  return f.or(f.and(f.types(STRING), equal), ...others.map(v => constant(v, place)));
}

/** With OpenAPI's `nullable`, null as well. */
function types(value: Json, place: Place): Formula {
  const { formulas: f, schema } = place;
  const named = (Array.isArray(value) ? value : [value]).map(name => oneType(name, place));
  return f.or(...named, get(schema, "nullable") === true ? f.types(NULL) : f.false);
}

/** Whether bounds are exclusive: draft 4 says so beside them. */
function bound(keyword: "exclusiveMinimum" | "exclusiveMaximum", way: number): Keyword {
  return (value, place) => compare(value, get(place.schema, keyword) === true ? way : EQUAL | way, place);
}
const exclusive =
  (way: number): Keyword =>
  (value, place) =>
    typeof value === "boolean" ? place.formulas.true : compare(value, way, place);

/** A pattern, and what is asked of the text's beginning before it. */
function matches(value: Json, place: Place): Formula {
  const { formulas: f } = place;
  const { whole, ahead } = withoutLeading(text(value, place));
  const own = (source: string): Formula => {
    place.checkPattern(source);
    return f.atom({ on: STRING, kind: "pattern", source }, source);
  };
  const strings = f.types(STRING);
  const asked = ahead.map(({ source, not }) => (not ? f.or(f.not(strings), f.not(own(source))) : own(source)));
  return f.and(own(whole), ...asked);
}

function compare(value: Json, ways: number, place: Place): Formula {
  if (typeof value !== "number") throw place.invalid("it must be a number");
  if (!Number.isFinite(value)) throw place.unsupported("the number is too large");
  const to = decimalOf(value);
  if (isTooLong(to)) throw place.unsupported("the number has too many digits");
  return place.formulas.atom({ on: NUMBER, kind: "compare", to, ways }, `${decimalKey(to)}:${ways}`);
}

function multiple(value: Json, place: Place): Formula {
  if (typeof value !== "number" || !(value > 0)) throw place.invalid("it must be a number above 0");
  if (!Number.isFinite(value)) throw place.unsupported("the number is too large");
  const of = decimalOf(value);
  if (isTooLong(of) || Number(of.whole + of.fraction) > MOST_REMAINDERS)
    throw place.unsupported(`its digits must not exceed ${MOST_REMAINDERS}`);
  return place.formulas.atom({ on: NUMBER, kind: "multiple", of }, decimalKey(of));
}

function count(value: Json, place: Place): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw place.invalid("it must be an integer from 0");
  return value;
}

function text(value: Json, place: Place): string {
  if (typeof value !== "string") throw place.invalid("it must be a text");
  return value;
}

function object(value: Json, place: Place): [string, Json][] {
  if (!isObject(value)) throw place.invalid("it must be an object");
  return Object.entries(value);
}

function list(value: Json, place: Place): Json[] {
  if (!Array.isArray(value)) throw place.invalid("it must be a list");
  return value;
}

function schemas(value: Json, keyword: string, place: Place): Formula[] {
  if (list(value, place).length === 0) throw place.invalid("it must be a list with at least one schema");
  return list(value, place).map((schema, i) => place.sub(schema, keyword, i));
}

function requires(names: Json, place: Place): Formula {
  const { formulas: f } = place;
  return f.and(
    ...list(names, place).map(name => {
      place.mention(text(name, place));
      return f.some(nameSet([name as string]), f.true);
    }),
  );
}

/** If an object has the property, then also this. */
function ifPresent(name: string, then: Formula, { formulas: f }: Place): Formula {
  return f.or(f.not(f.types(OBJECT)), f.every(nameSet([name]), f.false), then);
}

function pattern(source: Json, place: Place): NameTest {
  place.checkPattern(text(source, place));
  return { kind: "pattern", source: source as string };
}

function dependencies(value: Json, place: Place): Formula {
  return place.formulas.and(
    ...object(value, place).map(([name, then]) =>
      ifPresent(name, Array.isArray(then) ? requires(then, place) : place.sub(then, "dependencies", name), place),
    ),
  );
}

function additionalProperties(value: Json, place: Place): Formula {
  const names = Object.keys((get(place.schema, "properties") as JsonObject | undefined) ?? {});
  const patterns = Object.keys((get(place.schema, "patternProperties") as JsonObject | undefined) ?? {});
  const set = nameSet(
    names,
    patterns.map(source => pattern(source, place)),
    true,
  );
  return place.formulas.every(set, place.sub(value, "additionalProperties"));
}

function items(value: Json, place: Place): Formula {
  const { formulas: f } = place;
  if (Array.isArray(value)) return f.and(...value.map((schema, i) => f.item("item", i, place.sub(schema, "items", i))));
  const prefix = get(place.schema, "prefixItems");
  return f.item("rest", Array.isArray(prefix) ? prefix.length : 0, place.sub(value, "items"));
}

function contains(value: Json, place: Place): Formula {
  const min = get(place.schema, "minContains");
  const max = get(place.schema, "maxContains");
  const least = min === undefined ? 1 : count(min, place);
  return place.formulas.contains(0, place.exactly(value, "contains"), least, max === undefined ? infinite : count(max, place));
}

function format(value: Json, place: Place): Formula {
  const name = text(value, place);
  if (!place.assertsFormats) return place.formulas.true;
  const source = formats.get(name);
  if (unwritten.has(name)) throw place.unsupported(`"${name}" is not enforced; known are ${[...formats.keys()].join(", ")}`);
  if (source === undefined) return place.formulas.true; // JSON Schema does not define it, so that it only describes
  const { formulas } = place;
  return formulas.and(formulas.atom({ on: STRING, kind: "pattern", source }, source), formulas.length(0, longest.get(name) ?? infinite));
}

/** Only dialects whose rules are those that are followed here. */
function dialect(value: Json, place: Place): Formula {
  if (!/^https?:\/\/json-schema\.org\/(?:draft-0[467]\/|draft\/20(?:19-09|20-12)\/)?schema#?$/.test(text(value, place)))
    throw place.unsupported("only the dialects of drafts 4, 6, 7, 2019-09 and 2020-12 are known");
  return place.formulas.true;
}

function condition(value: Json, place: Place): Formula {
  const { formulas: f, schema } = place;
  const when = place.exactly(value, "if");
  const branch = (keyword: string): Formula => {
    const given = get(schema, keyword);
    return given === undefined ? f.true : place.sub(given, keyword);
  };
  const [yes, no] = [branch("then"), branch("else")];
  if (yes === f.true && no === f.true) return f.true;
  return f.and(f.or(f.not(when), yes), f.or(when, no));
}

/**
 * Draft 2019-09's reference to the schema itself: what `$ref: "#"` is, unless a `$recursiveAnchor` hands it on to the schemas that led there
 * (Core 2019-09, 8.2.4.2).
 */
function recursion(value: Json, place: Place): Formula {
  if (text(value, place) !== "#") throw place.invalid('it must be "#"');
  if (!place.recursionIsPlain) throw place.unsupported('"$recursiveAnchor" is enforced at the root of a document of one schema only');
  return place.reference("#");
}

/** Parsed for its errors only. */
const checked =
  (keyword: string): Keyword =>
  (value, place) => {
    place.sub(value, keyword);
    return place.formulas.true;
  };
export const keywords: ReadonlyMap<string, Keyword> = new Map<string, Keyword>([
  ["type", types],
  ["const", constant],
  ["enum", oneOfThese],
  ["multipleOf", multiple],
  ["minimum", bound("exclusiveMinimum", GREATER)],
  ["maximum", bound("exclusiveMaximum", LESS)],
  ["exclusiveMinimum", exclusive(GREATER)],
  ["exclusiveMaximum", exclusive(LESS)],
  ["minLength", (v, p) => p.formulas.length(count(v, p), infinite)],
  ["maxLength", (v, p) => p.formulas.length(0, count(v, p))],
  ["pattern", matches],
  ["format", format],
  [
    "properties",
    (v, p) =>
      p.formulas.and(
        ...object(v, p).map(([name, schema]) => {
          p.mention(name);
          return p.formulas.every(nameSet([name]), p.sub(schema, "properties", name));
        }),
      ),
  ],
  ["required", requires],
  [
    "patternProperties",
    (v, p) =>
      p.formulas.and(
        ...object(v, p).map(([source, schema]) =>
          p.formulas.every(nameSet([], [pattern(source, p)]), p.sub(schema, "patternProperties", source)),
        ),
      ),
  ],
  ["additionalProperties", additionalProperties],
  [
    "propertyNames",
    (v, p) => {
      const formula = p.exactly(v, "propertyNames");
      return p.formulas.every(nameSet([], [{ kind: "formula", formula }], true), p.formulas.false);
    },
  ],
  ["minProperties", (v, p) => p.formulas.count(count(v, p), infinite)],
  ["maxProperties", (v, p) => p.formulas.count(0, count(v, p))],
  ["dependentRequired", (v, p) => p.formulas.and(...object(v, p).map(([name, names]) => ifPresent(name, requires(names, p), p)))],
  [
    "dependentSchemas",
    (v, p) => p.formulas.and(...object(v, p).map(([name, schema]) => ifPresent(name, p.sub(schema, "dependentSchemas", name), p))),
  ],
  ["dependencies", dependencies],
  ["prefixItems", (v, p) => p.formulas.and(...list(v, p).map((schema, i) => p.formulas.item("item", i, p.sub(schema, "prefixItems", i))))],
  ["items", items],
  [
    "additionalItems",
    (v, p) => {
      const first = get(p.schema, "items");
      return Array.isArray(first) ? p.formulas.item("rest", first.length, p.sub(v, "additionalItems")) : checked("additionalItems")(v, p);
    },
  ],
  ["contains", contains],
  ["minContains", (v, p) => p.formulas.boolean(count(v, p) >= 0)],
  ["maxContains", (v, p) => p.formulas.boolean(count(v, p) >= 0)],
  ["minItems", (v, p) => p.formulas.items(count(v, p), infinite)],
  ["maxItems", (v, p) => p.formulas.items(0, count(v, p))],
  ["uniqueItems", (v, p) => (v === true ? p.formulas.atom({ on: ARRAY, kind: "unique" }, "") : p.formulas.true)],
  ["allOf", (v, p) => p.formulas.and(...schemas(v, "allOf", p))],
  ["anyOf", (v, p) => p.formulas.or(...schemas(v, "anyOf", p))],
  [
    "oneOf",
    (v, p) =>
      p.formulas.one(
        list(v, p).map((schema, i) => p.exactly(schema, "oneOf", i)),
        schemas(v, "oneOf", p),
      ),
  ],
  ["not", (v, p) => p.formulas.not(p.exactly(v, "not"))],
  ["if", condition],
  ["then", checked("then")],
  ["else", checked("else")],
  ["$schema", dialect],
  ["$ref", (v, p) => p.reference(text(v, p))],
  ["$recursiveRef", recursion],
]);

/** Keywords that assert and cannot be enforced. */
const beyond = new Set(["$dynamicRef", "extends", "disallow", "divisibleBy"]);
/** Shorter names are like too many others. */
const SHORTEST = 4;

const plainName = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, "");
/** By plain name: keywords that assert. */
const asserting = new Map(
  [...keywords.keys()].filter(name => name.length >= SHORTEST && name !== "$schema").map(name => [plainName(name), name]),
);

/**
 * What is to be said of a name that is no keyword here; undefined where it describes: JSON Schema takes names that it does not define for that.
 */
export function whyRefused(name: string): string | undefined {
  if (beyond.has(name)) return "it is not supported";
  const plain = plainName(name);
  if (describing.has(name) || plain.length < SHORTEST || plain.length > LONGEST_KEYWORD) return undefined;
  for (const [known, keyword] of asserting) {
    if (isNear(plain, known)) return `it is not known; ${keyword} may be meant`;
  }
  return undefined;
}
const LONGEST_KEYWORD = 30;

/** Whether one text becomes the other by changing, adding or leaving out one letter. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let from = 0;
  while (from < a.length && a[from] === b[from]) from++;
  let back = 0;
  while (back < Math.min(a.length, b.length) - from && a[a.length - 1 - back] === b[b.length - 1 - back]) back++;
  return Math.max(a.length, b.length) - from - back <= 1;
}

/** Names that only describe: a schema may have them beside the keywords of one type and mean that type. */
export const describing: ReadonlySet<string> = new Set([
  ..."$schema $id $anchor $dynamicAnchor $recursiveAnchor $vocabulary $comment $defs definitions title description default examples".split(
    " ",
  ),
  ..."deprecated readOnly writeOnly contentEncoding contentMediaType contentSchema minContains maxContains".split(" "),
  ..."id nullable example discriminator externalDocs xml enumNames enumDescriptions markdownDescription".split(" "),
]);

/** The one type that a keyword speaks of. */
export const typeOfKeyword: ReadonlyMap<string, number> = new Map([
  ...["multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map((k): [string, number] => [k, NUMBER]),
  ...["minLength", "maxLength", "pattern", "format"].map((k): [string, number] => [k, STRING]),
  ...["properties", "required", "patternProperties", "additionalProperties", "propertyNames", "minProperties", "maxProperties"].map(
    (k): [string, number] => [k, OBJECT],
  ),
  ...["dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"].map((k): [string, number] => [k, OBJECT]),
  ...["prefixItems", "items", "additionalItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"].map(
    (k): [string, number] => [k, ARRAY],
  ),
]);
