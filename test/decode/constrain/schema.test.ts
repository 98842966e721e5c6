/** Schemas as models write by them: published cases, order, white space, what is refused and why, and schemas that must not take the engine down. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Recogniser } from "../../../src/decode/constrain/constraint.ts";
import { compileSchema } from "../../../src/decode/constrain/schema/compile.ts";
import { generating, type Profile, reading } from "../../../src/decode/constrain/schema/context.ts";
import { LatheError } from "../../../src/errors.ts";
import { describeShared } from "../../shared.ts";

function accepted(schema: unknown, texts: readonly string[], profile: Partial<Profile> = {}): string[] {
  const recogniser = new Recogniser(compileSchema(schema, { ...generating, ...profile }));
  return texts.filter(t => recogniser.accepts(t));
}

function refused(schema: unknown, profile = generating): LatheError {
  try {
    compileSchema(schema, profile);
  } catch (e) {
    if (e instanceof LatheError) return e;
    throw e;
  }
  throw new Error("was accepted");
}

interface Case {
  kind: string;
  name: string;
  text: string;
  pass: string[];
  fail: string[];
}

describeShared("published cases", "grammars/grammar-cases-dev.json", path => {
  const cases: Case[] = JSON.parse(readFileSync(path, "utf8"));
  it.each(cases.filter(c => c.kind === "schema" && !c.text.includes("uniqueItems")))("$name", ({ text, pass, fail }) => {
    expect(accepted(text, pass)).toEqual(pass);
    expect(accepted(text, fail)).toEqual([]);
  });
});

describe("what a model may write", () => {
  const point = {
    type: "object",
    properties: { x: { type: "integer" }, y: { type: "integer" }, z: { type: "integer" } },
    required: ["x", "y"],
  };
  const texts = [
    '{"x":1,"y":2}',
    '{ "x": 1, "y": 2, "z": 3 }',
    '{"y":2,"x":1}',
    '{"x":1,"y":2,"w":0}',
    '{"w":0,"x":1,"y":2}',
    '{"x":1}',
    '{"x":1,"x":1,"y":2}',
  ];

  it("keeps the schema's order, or any", () => {
    expect(accepted(point, texts)).toEqual([texts[0], texts[1], texts[3]]);
    expect(accepted(point, texts, { order: "any" })).toEqual([texts[0], texts[1], texts[2], texts[3], texts[4]]);
    expect(accepted({ ...point, additionalProperties: false }, texts)).toEqual([texts[0], texts[1]]);
  });

  it("has as much white space as was asked for", () => {
    const list = { type: "array", items: { type: "integer" } };
    const spaced = ["[1,2]", "[1, 2]", "[\n  1,\n  2\n]", "[1,\t2]", "[1 ,2]", "[ ]", " [1]"];
    expect(accepted(list, spaced, { whitespace: "none" })).toEqual(["[1,2]"]);
    expect(accepted(list, spaced)).toEqual(["[1,2]", "[1, 2]", "[\n  1,\n  2\n]", "[ ]"]);
    expect(accepted(list, spaced, { whitespace: "any" })).toEqual(spaced);
    expect(accepted(list, [`[\n${" ".repeat(21)}1]`])).toEqual([]);
  });

  it("has its strings in whatever escapes they need", () => {
    expect(accepted({ const: 'a"\\\n\u0001é😀' }, [JSON.stringify('a"\\\n\u0001é😀')])).toHaveLength(1);
    const texts = ['"a\\nb"', '"a\\u0001"', '"\\"\\\\"', '"aXb"', '"a\nb"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\x"'];
    expect(accepted({ type: "string" }, texts)).toEqual(texts.filter((_, i) => ![4, 7, 8].includes(i)));
    expect(accepted({ type: "string", pattern: "^[^X]*$" }, texts)).toEqual(texts.slice(0, 3));
    expect(accepted({ type: "string", maxLength: 1 }, ['"é"', '"😀"', '"\\ud83d\\ude00"', '"ab"', '"\\n"'])).toEqual([
      '"é"',
      '"😀"',
      '"\\ud83d\\ude00"',
      '"\\n"',
    ]);
    expect(accepted({ type: "string", pattern: '[\\n"]$', maxLength: 2 }, ['"a\\n"', '"\\""', '"ab\\n"', '"n"'])).toEqual([
      '"a\\n"',
      '"\\""',
    ]);
  });

  it("has exact numbers", () => {
    const texts = ["0", "-0", "5", "5.0", "0.3", "0.30", "-7", "1e2", "15", "12.5", "1234567890123456"];
    expect(accepted({ type: "integer" }, texts)).toEqual(["0", "5", "-7", "15"]);
    expect(accepted({ type: "number", multipleOf: 0.1 }, texts)).toEqual(["0", "5", "5.0", "0.3", "0.30", "-7", "15", "12.5"]);
    expect(accepted({ type: "number", exclusiveMinimum: 0.29, maximum: 12.5 }, texts)).toEqual(["5", "5.0", "0.3", "0.30", "12.5"]);
    expect(accepted({ enum: [5, 0.3, 1e21, -1e-7] }, ["5", "5.0", "0.3", "1000000000000000000000", "-0.0000001", "1e21"])).toEqual([
      "5",
      "0.3",
      "1000000000000000000000",
      "-0.0000001",
    ]);
    for (let n = 0; n < 120; n++)
      expect([n, accepted({ type: "integer", multipleOf: 7, minimum: 30, maximum: 99 }, [String(n)]).length]).toEqual([
        n,
        Number(n % 7 === 0 && n >= 30 && n <= 99),
      ]);
  });

  it("leads nowhere that cannot be finished", () => {
    const read = (schema: unknown, text: string): object => new Recogniser(compileSchema(schema)).read(text);
    expect(read({ type: "integer", minimum: 5, maximum: 30 }, "31")).toMatchObject({ verdict: "refused", length: 1 });
    expect(read({ type: "string", allOf: [{ pattern: "^ab*$" }, { pattern: "^a*b?$" }, { not: { const: "a" } }] }, '"aa')).toMatchObject({
      length: 2,
    });
    expect(read({ type: "object", maxProperties: 1, required: ["b"], properties: { a: {}, b: {} } }, '{"a')).toMatchObject({ length: 2 });
    expect(read({ type: "object", properties: { next: { $ref: "#" }, a: false }, additionalProperties: false }, '{"a')).toMatchObject({
      length: 2,
    });
    expect(
      read({ anyOf: [{ type: "array", minItems: 2, maxItems: 2, items: { enum: [1, 2] }, uniqueItems: true }] }, "[1, 1"),
    ).toMatchObject({ length: 4 });
  });
});

describe("what other dialects say", () => {
  it("nullable, exclusive bounds, looking ahead at the beginning", () => {
    expect(accepted({ type: "string", nullable: true, maxLength: 1 }, ['"a"', "null", '"ab"', "1"])).toEqual(['"a"', "null"]);
    expect(
      accepted({ type: "integer", minimum: 2, exclusiveMinimum: true, maximum: 4, exclusiveMaximum: false }, ["2", "3", "4", "5"]),
    ).toEqual(["3", "4"]);
    expect(accepted({ pattern: "^(?!a)(?=.*\\d)[a-z0-9]+$" }, ['"b1"', '"a1"', '"b"', '"1"', '"b1!"'])).toEqual(['"b1"', '"1"']);
  });
});

describe("types that are only implied", () => {
  it.each([
    [{ not: { required: ["a", "b"] } }, ['{"a":1}'], ['{"a":1,"b":1}', "8", '"x"', "null"]],
    [{ oneOf: [{ required: ["a"] }, { type: "integer" }] }, ['{"a":1}'], ["8", "{}"]],
    [
      {
        oneOf: [
          { properties: { a: { minimum: 3 } }, required: ["a"] },
          { properties: { a: { type: "string" } }, required: ["a"] },
        ],
      },
      ['{"a":5}'],
      ['{"a":"x"}'],
    ],
    [{ if: { minimum: 3 }, else: { maximum: 2 } }, ["5", "1", '"x"'], []],
    [{ type: "array", contains: { minimum: 3 }, maxContains: 1 }, ["[5]", "[5,1]"], ['[5,"x"]']],
  ])("%j lets nothing invalid through", (schema, right, wrong) => {
    expect(accepted(schema, [...right, ...wrong])).toEqual(right);
  });
});

describe("what is refused", () => {
  it.each([
    [{ type: "thing" }, "schema.invalid", "type"],
    [{ minLength: -1 }, "schema.invalid", "minLength"],
    [{ properties: { a: 5 } }, "schema.invalid", "properties"],
    [{ properties: { a: { items: { required: "b" } } } }, "schema.invalid", "/properties/a/items"],
    [{ $ref: "#/nowhere" }, "schema.invalid", "nowhere"],
    [{ $ref: "other.json" }, "schema.unsupported", "$ref"],
    [{ $dynamicRef: "#a" }, "schema.unsupported", "$dynamicRef"],
    [{ type: "array", min_items: 1 }, "schema.unsupported", "minItems may be meant"],
    [{ aditionalProperties: false }, "schema.unsupported", "additionalProperties may be meant"],
    [{ $recursiveRef: "#a" }, "schema.invalid", "$recursiveRef"],
    [{ $defs: { a: { $recursiveAnchor: true, items: { $recursiveRef: "#" } } }, $ref: "#/$defs/a" }, "schema.unsupported", "$recursiveRef"],
    [{ $id: "http://a/", $recursiveAnchor: true, anyOf: [{ $recursiveRef: "#" }, { $id: "b" }] }, "schema.unsupported", "$recursiveRef"],
    [{ format: "idn-hostname" }, "schema.unsupported", "idn-hostname"],
    [{ $schema: "https://example.org/own" }, "schema.unsupported", "$schema"],
    [{ type: "array", items: { type: "string" }, uniqueItems: true }, "schema.unsupported", "uniqueItems"],
    [{ type: "object", minProperties: 2 }, "schema.unsupported", "minProperties"],
    [{ type: "number", multipleOf: 0.123456789 }, "schema.unsupported", "multipleOf"],
    [{ pattern: "(?=a)b" }, "regex.unsupported", "look-around"],
    [{ pattern: "(" }, "regex.invalid", "parenthesis"],
    [{ allOf: [{ type: "string" }, { type: "integer" }] }, "schema.unsatisfiable", "No value"],
    [{ type: "integer", minimum: 3, maximum: 5, multipleOf: 7 }, "schema.unsatisfiable", "No value"],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, "schema.unsatisfiable", "No value"],
    [false, "schema.unsatisfiable", "No value"],
    ["{", "schema.invalid", "JSON"],
    [undefined, "schema.invalid", "JSON"],
    [1, "schema.invalid", "object"],
  ])("%j: %s", (schema, code, words) => {
    const error = refused(schema);
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
  });

  it("is no description", () => {
    const described = {
      title: "t",
      description: "d",
      default: 1,
      examples: [2],
      $comment: "c",
      deprecated: true,
      readOnly: true,
      "x-own": 1,
      example: null,
      markdownDescription: "*d*",
      discriminator: { propertyName: "kind" },
      cli: "value",
      format: "colour",
      type: "null",
    };
    expect(accepted(described, ["null", "1"])).toEqual(["null"]);
  });
});

const nest = (n: number): unknown =>
  Array.from({ length: n }).reduce<unknown>(a => ({ properties: { a }, type: "object", required: ["a"] }), {});
const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

/** Each is compiled and begun, or refused by one of Lathe's errors; `null`: it works. */
const bombs: [string, () => unknown, string | null][] = [
  ["nesting", () => nest(50), null],
  ["deep nesting", () => nest(5000), "grammar.limit"],
  ["deep text", () => '{"not":'.repeat(100_000) + "{}" + "}".repeat(100_000), "grammar.limit"],
  ["$ref to itself", () => ({ $ref: "#" }), "schema.unsupported"],
  [
    "$ref in a ring",
    () => ({ $defs: { a: { $ref: "#/$defs/b" }, b: { anyOf: [{ $ref: "#/$defs/a" }] } }, $ref: "#/$defs/a" }),
    "schema.unsupported",
  ],
  [
    "2^40 by $ref",
    () => ({
      $defs: Object.fromEntries(
        times(40, i => [`d${i}`, { anyOf: times(2, () => ({ $ref: `#/$defs/d${i + 1}` })) }]).concat([["d40", {}] as never]),
      ),
      $ref: "#/$defs/d0",
    }),
    null,
  ],
  ["many items", () => ({ type: "array", maxItems: 1e9, minItems: 1e8 }), null],
  ["long strings", () => ({ type: "string", minLength: 1e9, maxLength: 2e9 }), null],
  ["many properties", () => ({ type: "object", maxProperties: 1e9 }), null],
  ["counted contains", () => ({ type: "array", contains: { const: 1 }, minContains: 1e6, maxContains: 1e9 }), null],
  ["repeated pattern", () => ({ type: "string", pattern: "^(a{1000}){1000}$", minLength: 5 }), "grammar.limit"],
  ["patterns together", () => ({ type: "string", allOf: times(30, i => ({ pattern: `(a|b)*a(a|b){${i}}c` })) }), "grammar.limit"],
  ["not any pattern", () => ({ type: "string", not: { anyOf: times(30, i => ({ pattern: `(a|b)*a(a|b){${i}}c` })) } }), null],
  ["overlapping oneOf", () => ({ oneOf: times(40, i => ({ properties: { [`p${i}`]: { type: "string" } } })) }), null],
  [
    "discriminated oneOf",
    () => ({ oneOf: times(50, i => ({ type: "object", properties: { kind: { const: `k${i}` } }, required: ["kind"] })) }),
    null,
  ],
  [
    "2^20 alternatives",
    () => ({ allOf: times(20, i => ({ anyOf: [{ required: [`a${i}`] }, { required: [`b${i}`] }] })) }),
    "schema.unsupported",
  ],
  [
    "3,000 required",
    () => ({ type: "object", properties: Object.fromEntries(times(3000, i => [`p${i}`, {}])), required: times(3000, i => `p${i}`) }),
    null,
  ],
  ["20,000 constants", () => ({ enum: times(20_000, i => `value ${i}`) }), null],
  ["remainders", () => ({ type: "integer", multipleOf: 99_991, minimum: 1e12 }), "grammar.limit"],
  [
    "unevaluated",
    () => ({ anyOf: times(10, i => ({ properties: { [`p${i}`]: {} } })), unevaluatedProperties: false }),
    "schema.unsupported",
  ],
  [
    "recursive oneOf",
    () => ({
      oneOf: [
        ...times(3, i => ({ type: "object", properties: { c: { type: "array", items: { $ref: "#" } }, [`p${i}`]: { type: "string" } } })),
        { type: "integer" },
      ],
    }),
    null,
  ],
  ["4,000 places", () => ({ prefixItems: times(4000, () => ({ type: "integer" })) }), null],
  [
    "names that the host knows",
    () => ({ type: "object", properties: JSON.parse('{"__proto__":{"type":"null"},"constructor":{}}'), required: ["__proto__"] }),
    null,
  ],
];

describe("schemas made to hurt", () => {
  it.each(bombs)("%s", (_, make, code) => {
    for (const profile of [generating, reading]) {
      try {
        const { root, grammar } = compileSchema(make(), profile);
        const recogniser = new Recogniser({ root, grammar });
        for (const text of ["{", "[", '"', "1"]) recogniser.read(text);
        expect(grammar.size).toBeLessThan(50_000);
        expect(code).toBe(null);
      } catch (e) {
        expect(e).toBeInstanceOf(LatheError);
        expect((e as LatheError).code).toBe(code);
      }
    }
    expect(({} as Record<string, unknown>).type).toBeUndefined();
  });
});
