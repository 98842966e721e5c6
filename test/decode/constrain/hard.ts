/**
 * Sources of constraints that ask for as much as they can: each as long, as wide or as deep as its kind allows, for what takes the most memory and time to
 * compile. Some are refused; none may take more than what is counted.
 */
import type { ConstraintSource } from "../../../src/decode/constrain/source.ts";

const style = { order: "declared", whitespace: "some" } as const;
const schema = (value: unknown): ConstraintSource => ({ kind: "schema", text: JSON.stringify(value), style });
const anyOrder = (value: unknown): ConstraintSource => ({
  kind: "schema",
  text: JSON.stringify(value),
  style: { order: "any", whitespace: "any" },
});
const grammar = (text: string): ConstraintSource => ({ kind: "grammar", text });
const regex = (text: string): ConstraintSource => ({ kind: "regex", text });
const list = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
/** A text unlike those of other numbers, from its first letters on. */
const word = (i: number): string => `${((i * 2654435761) >>> 0).toString(36)}${i.toString(36)}`;
const object = (names: readonly string[], value: unknown = true, more: object = {}): object => ({
  type: "object",
  properties: Object.fromEntries(names.map(name => [name, value])),
  ...more,
});
/** Characters that no two of which are neighbours. */
const scattered = (n: number, from = 0, step = 2): string =>
  list(n, i => String.fromCodePoint(0xf0000 + ((from + step * i) % 0xfff0))).join("");
/** Made so that a text does not get longer than its kind allows. */
const filled = (most: number, make: (i: number) => string, between = ""): string => {
  const parts: string[] = [];
  for (let i = 0, length = 0; ; i++) {
    const part = make(i);
    length += part.length + between.length;
    if (length > most) return parts.join(between);
    parts.push(part);
  }
};
const GRAMMAR = 262_000;
const REGEX = 65_000;
const SCHEMA = 990_000;

const grammars: Readonly<Record<string, () => string>> = {
  "rules of one text": () => `root ::= r0\n${filled(GRAMMAR, i => `r${i} ::= "${word(i)}"\n`)}`,
  "alternatives of texts": () => `root ::= ${filled(GRAMMAR, i => `"${word(i)}"`, "|")}`,
  "one long text": () => `root ::= "${"ab".repeat(GRAMMAR / 2 - 10)}"`,
  "one text of escapes": () => `root ::= "${"\\x41".repeat(GRAMMAR / 4 - 10)}"`,
  "classes in a row": () => `root ::= ${filled(GRAMMAR, i => `[a-c${String.fromCodePoint(0x4e00 + (i % 20_000))}]`)}`,
  "classes of scattered characters": () => `root ::= ${filled(GRAMMAR, i => `[${scattered(100, i)}]`)}`,
  "one class": () => `root ::= [${scattered(GRAMMAR / 2 - 20)}]`,
  "negated classes": () => `root ::= ${filled(GRAMMAR, i => `[^${scattered(3, 7 * i)}]`)}`,
  dots: () => `root ::= ${".".repeat(GRAMMAR)}`,
  "dots that repeat": () => `root ::= ${".*".repeat(GRAMMAR / 2 - 10)}`,
  "dots that repeat, apart": () => `root ::= ${filled(GRAMMAR, i => `.*"${word(i)}"`)}`,
  "alternatives of nothing": () => `root ::= ${"|".repeat(GRAMMAR)}`,
  groups: () => `root ::= ${"(".repeat(GRAMMAR / 2 - 10)}"a"${")".repeat(GRAMMAR / 2 - 10)}`,
  "groups in a row": () => `root ::= ${'("a"|"b")'.repeat(GRAMMAR / 9 - 2)}`,
  "nested repeats": () => `root ::= ${"(".repeat(60)}"a"${"){1,65536}".repeat(60)}`,
  "rules that all call all": () => {
    const names = list(170, i => `r${i}`);
    return `root ::= r0\n${names.map(name => `${name} ::= "a" (${names.join("|")})?\n`).join("")}`;
  },
  "rules that call the next twice": () =>
    `root ::= r0\n${list(8_000, i => `r${i} ::= "x" r${i + 1} r${i + 1}|"y"\n`).join("")}r8000 ::= "z"\n`,
  "rules that may be empty": () => `root ::= ${list(120, i => `r${i}`).join(" ")}\n${list(120, i => `r${i} ::= "${word(i)}"?\n`).join("")}`,
  "rules of the same name": () => `root ::= ${filled(GRAMMAR, () => "root", "|")}|"a"`,
  references: () => `root ::= "a" | ${filled(GRAMMAR, () => '"b" root', "|")}`,
  "counts behind each other": () => `root ::= "a"${"{1,9}".repeat(GRAMMAR / 5 - 10)}`,
  "stars behind each other": () => `root ::= "a"${"*".repeat(GRAMMAR - 20)}`,
  "left recursion": () => `root ::= "a" | ${filled(GRAMMAR, i => `root "${word(i)}"`, "|")}`,
};

const regexes: Readonly<Record<string, () => string>> = {
  alternatives: () => filled(REGEX, word, "|"),
  dots: () => ".".repeat(REGEX),
  "dots that repeat": () => filled(REGEX, i => `.*${word(i)}`),
  classes: () => filled(REGEX, i => `[${scattered(3, 7 * i)}]`),
  "one class": () => `[${scattered(REGEX / 2 - 10)}]`,
  properties: () => filled(REGEX, i => ["\\p{L}", "\\P{L}", "\\p{N}", "[\\p{Lu}x]"][i % 4]),
  "all kinds of properties": () => filled(REGEX, i => `[\\p{L}${String.fromCodePoint(0x2000 + (i % 60))}\\p{N}]`),
  "negated classes": () => filled(REGEX, i => `[^${scattered(3, 7 * i)}]`),
  counts: () => filled(REGEX, i => `(?:${word(i)}){1,${1000 + i}}`),
  "counts of dots": () => filled(REGEX, i => `(?:.{${i + 1},${i + 1000}}a)`),
  "nested counts": () => `${"(?:".repeat(95)}a${"){1,1000}".repeat(95)}`,
  "nested stars": () => `${"(?:".repeat(95)}a*${")*b?".repeat(95)}`,
  "anchors in alternatives": () => `${list(240, i => `^${word(i)}$`).join("|")}`,
  "anchors spread": () => `(?:${list(250, i => `^${word(i)}`).join("|")})${".".repeat(60_000)}`,
  "states behind each other": () => `(?:a|b)*a(?:a|b){60}`,
  "long text": () => "ab".repeat(REGEX / 2 - 5),
  "open braces": () => "{".repeat(REGEX),
  "braces of counts": () => "a{1,".repeat(REGEX / 4),
  "named groups": () => "(?<a>".repeat(90) + "x".repeat(60_000) + ")".repeat(90),
  "properties of all kinds": () =>
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn L M N P S Z C"
      .split(" ")
      .map(p => `\\p{${p}}\\P{${p}}`)
      .join(""),
};

/** Schemas of strings with several assertions about them. */
const strings: Readonly<Record<string, () => object>> = {
  "patterns against each other": () => ({ allOf: list(6, i => ({ type: "string", pattern: `a.{${12 + i}}b` })) }),
  "a pattern with memory, negated": () => ({ type: "string", not: { pattern: "^(?:a|b)*a(?:a|b){14}$" }, minLength: 3 }),
  "patterns with memory": () => ({ type: "string", allOf: list(4, i => ({ pattern: `[a-f].{${10 + i}}${"xyzw"[i]}` })), maxLength: 60 }),
  "many short patterns": () => ({ type: "string", allOf: list(40, i => ({ pattern: `${word(i)}|${word(i + 100)}` })) }),
  "many negated patterns": () => ({
    type: "string",
    allOf: list(60, i => ({ not: { pattern: `${"abc"[i % 3]}.{${i % 17}}d` } })),
    minLength: 4,
  }),
  "long counts": () => ({ type: "string", minLength: 5_000, maxLength: 100_000, pattern: "^[a-z]+$" }),
  "several counts": () => ({ type: "string", anyOf: list(50, i => ({ minLength: 1000 * i, maxLength: 1000 * i + 3, pattern: "a" })) }),
  "wide one of patterns": () => ({ oneOf: list(100, i => ({ type: "string", pattern: `^${word(i)}[a-z]{1,30}$` })) }),
  "wide one of loose patterns": () => ({ oneOf: list(16, i => ({ type: "string", pattern: `${String.fromCharCode(97 + i)}.*z` })) }),
  "lists against patterns": () => ({ enum: list(20_000, word), pattern: "a.*b", not: { pattern: "zz|yy.*q" } }),
  "an unfinished pattern": () => ({ type: "string", pattern: `^(?:${list(3000, word).join("|")})$`, minLength: 3, maxLength: 900 }),
  "formats against each other": () => ({ allOf: [{ format: "uri" }, { format: "iri-reference" }, { format: "email" }], type: "string" }),
  "formats, each negated": () => ({
    type: "string",
    allOf: ["uri", "email", "ipv6", "date-time", "hostname"].map(format => ({ not: { format } })),
    minLength: 3,
  }),
  "numbers, each negated": () => ({ type: "number", allOf: list(20, i => ({ not: { multipleOf: i + 2 } })), minimum: 1 }),
  multiples: () => ({ type: "number", allOf: [99_991, 99_989, 99_971, 99_961].map(multipleOf => ({ multipleOf })) }),
  "multiples with bounds": () => ({ type: "integer", multipleOf: 99_991, minimum: 1e14, maximum: 1e15, not: { multipleOf: 7 } }),
  "long constants": () => ({ enum: list(30, i => word(i) + "ab".repeat(15_000)) }),
  "long constants that exclude each other": () => ({
    oneOf: list(30, i => ({ enum: list(300, j => word(j * 3 + (i % 2)) + "x".repeat(40)) })),
  }),
};

const schemas: Readonly<Record<string, () => object>> = {
  ...strings,
  "a long enum": () => ({ enum: list(39_900, i => i.toString(36) + "xyz") }),
  "a longer enum of numbers": () => ({ enum: list(39_900, i => i * 7) }),
  "an enum of objects": () => ({ enum: list(12_000, i => ({ a: i, b: word(i) })) }),
  "an enum of lists": () => ({ enum: list(7_900, i => [i, word(i), [i]]) }),
  "wide any of": () => ({ anyOf: list(255, i => object([word(i), "kind"], { type: "string" }, { required: [word(i)] })) }),
  "wide one of": () => ({ oneOf: list(255, i => object([word(i), "kind"], { type: "string" }, { required: [word(i)] })) }),
  "wide one of with kinds": () => ({
    oneOf: list(255, i => ({ ...object(list(20, j => word(20 * i + j))), properties: { kind: { const: `k${i}` } }, required: ["kind"] })),
  }),
  "one of lists of enums": () => ({ type: "array", items: { oneOf: list(100, i => ({ enum: list(60, j => word(60 * i + j)) })) } }),
  properties: () => object(list(4_000, word), { type: "string" }),
  "more properties": () => object(list(19_900, word), { type: "string" }),
  "properties, all required": () => object(list(4_000, word), { type: "string" }, { required: list(4_000, word) }),
  "properties, none other": () => object(list(4_000, word), { type: "string" }, { additionalProperties: false }),
  "properties with schemas of their own": () => ({
    type: "object",
    properties: Object.fromEntries(list(4_000, i => [word(i), { type: "string", minLength: i, maxLength: 2 * i + 1 }])),
  }),
  "properties with patterns of their own": () => ({
    type: "object",
    properties: Object.fromEntries(list(4_000, i => [word(i), { type: "string", pattern: `^${word(i)}\\p{L}+$` }])),
  }),
  "properties with long patterns": () => ({
    type: "object",
    properties: Object.fromEntries(
      list(30, i => [word(i), { type: "string", pattern: filled(30_000, j => `[${scattered(3, 7 * (j + 3000 * i))}]`) }]),
    ),
  }),
  "patterns of names": () => ({
    type: "object",
    patternProperties: Object.fromEntries(list(60, i => [`${word(i)}.*x`, { type: "string" }])),
    additionalProperties: false,
  }),
  "many patterns of names": () => ({
    type: "object",
    patternProperties: Object.fromEntries(list(3_000, i => [`^${word(i)}`, { type: "string" }])),
  }),
  dependencies: () => ({ type: "object", dependentRequired: Object.fromEntries(list(8, i => [word(i), [word(i + 1), word(i + 2)]])) }),
  "dependencies, wide": () => ({
    type: "object",
    dependentSchemas: Object.fromEntries(list(200, i => [word(i), { required: [word(i + 1)] }])),
  }),
  "definitions that all lead to all": () => ({
    $ref: "#/$defs/d0",
    $defs: Object.fromEntries(
      list(120, i => [
        `d${i}`,
        object(
          list(120, j => `p${j}`),
          undefined,
          { properties: Object.fromEntries(list(120, j => [`p${j}`, { $ref: `#/$defs/d${(i * 7 + j) % 120}` }])) },
        ),
      ]),
    ),
  }),
  "a chain of references": () => ({
    $ref: "#/$defs/d0",
    $defs: {
      ...Object.fromEntries(
        list(8_000, i => [`d${i}`, { type: "object", properties: { a: { $ref: `#/$defs/d${i + 1}` } }, required: ["a"] }]),
      ),
      d8000: {},
    },
  }),
  "references in any of, nested": () => ({
    $ref: "#/$defs/d0",
    $defs: {
      ...Object.fromEntries(
        list(30, i => [`d${i}`, { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { type: "array", items: { $ref: `#/$defs/d${i + 1}` } }] }]),
      ),
      d30: { type: "string" },
    },
  }),
  "all of any of": () => ({
    allOf: list(8, i => ({
      anyOf: [object([word(i)], { type: "integer" }, { required: [word(i)] }), object([word(i)], { type: "string" })],
    })),
  }),
  "not, nested": () => list(60, i => i).reduce<object>((inner, i) => ({ not: { allOf: [inner, { minLength: i }] } }), { type: "string" }),
  prefixes: () => ({ type: "array", prefixItems: list(4_000, i => ({ type: "string", maxLength: i })) }),
  "unique items": () => ({ type: "array", items: { enum: list(60, word) }, uniqueItems: true, minItems: 20 }),
  contains: () => ({ type: "array", allOf: list(9, i => ({ contains: { const: i }, maxContains: 5 })), maxItems: 60 }),
  "deep lists": () => list(120, i => i).reduce<object>(items => ({ type: "array", items }), { type: "string" }),
  "if and else, nested": () =>
    list(100, i => i).reduce<object>((inner, i) => ({ if: { required: [word(i)] }, else: inner }), { type: "object" }),
  unevaluated: () => ({ type: "object", anyOf: list(7, i => object([word(i)])), unevaluatedProperties: false }),
  "constants, large": () => ({ const: Object.fromEntries(list(7_900, i => [word(i), { a: [i, word(i)] }])) }),
  "a wide constant of numbers": () => ({ const: list(39_900, i => i) }),
  "many formats": () => ({
    type: "array",
    prefixItems: list(8_000, i => ({ type: "string", format: ["uri", "iri", "email", "date-time"][i % 4], minLength: i % 50 })),
  }),
  "numbers that are no schema": () => ({ type: "string", examples: list(490_000, i => i % 10) }),
  "an enum of digits": () => ({ enum: list(39_900, i => i) }),
  "an enum just within limits": () => ({ enum: list(39_990, i => i.toString(36)) }),
  "empty schemas": () => ({ allOf: list(90_000, () => ({})) }),
  "empty lists": () => ({ const: list(90_000, () => []) }),
  descriptions: () => ({ type: "object", description: "x".repeat(SCHEMA) }),
};

/** Each by a name that says what it is. */
export const hardSources: ReadonlyMap<string, () => ConstraintSource> = new Map([
  ...Object.entries(grammars).map(([name, text]) => [`grammar: ${name}`, () => grammar(text())] as const),
  ...Object.entries(regexes).map(([name, text]) => [`regex: ${name}`, () => regex(text())] as const),
  ...Object.entries(regexes).map(
    ([name, text]) => [`schema: pattern: ${name}`, () => schema({ type: "string", pattern: text() })] as const,
  ),
  ...Object.entries(regexes).map(
    ([name, text]) => [`schema: pattern and length: ${name}`, () => schema({ type: "string", pattern: text(), minLength: 2 })] as const,
  ),
  ...Object.entries(schemas).map(([name, value]) => [`schema: ${name}`, () => schema(value())] as const),
  ...Object.entries(schemas).map(([name, value]) => [`schema, any order: ${name}`, () => anyOrder(value())] as const),
  ["choices: many", () => ({ kind: "choices", texts: list(12_000, word) })],
  ["choices: long", () => ({ kind: "choices", texts: list(10, i => word(i) + "ab".repeat(4_900)) })],
  ["choices: alike", () => ({ kind: "choices", texts: list(400, i => "a".repeat(i + 1)) })],
]);
