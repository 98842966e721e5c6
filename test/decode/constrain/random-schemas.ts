/** Schemas at random: all kinds of keywords, nested, some combined; most can be satisfied, and recursion ends. */
import type { Random } from "../../fixtures/random.ts";

type Schema = Record<string, unknown> | boolean;

const words = ["a", "name", "x y", "é", "count", 'q"', "zz"];
const patterns = ["^[a-z]+$", "^a|b$", "[0-9]{2}", "^(ab?c)*$", "^[^x]{1,4}$", "^\\w+ \\w+$"];

export function randomSchema(random: Random, depth = 3): Schema {
  const { below, pick } = random;
  const sub = (): Schema => randomSchema(random, depth - 1);
  const maybe = (key: string, make: () => unknown): Record<string, unknown> => (below(3) === 0 ? { [key]: make() } : {});
  const some = <T>(list: readonly T[]): T[] => list.filter(() => below(3) === 0);
  const object = (): Schema => {
    const names = some(words);
    return {
      type: "object",
      properties: Object.fromEntries(names.map(name => [name, sub()])),
      ...maybe("required", () => some(names)),
      ...(below(8) === 0 ? {} : { additionalProperties: below(3) === 0 ? sub() : false }),
      ...maybe("minProperties", () => below(2)),
      ...maybe("maxProperties", () => 1 + below(4)),
      ...(below(6) === 0 ? { patternProperties: { "^z": sub() } } : {}),
      ...(below(8) === 0 ? { propertyNames: { maxLength: 6 } } : {}),
      ...(below(8) === 0 && names.length > 1 ? { dependentRequired: { [names[0]]: [names[1]] } } : {}),
    };
  };
  const array = (): Schema => ({
    type: "array",
    ...maybe("prefixItems", () => [sub(), sub()]),
    items: sub(),
    ...maybe("minItems", () => below(3)),
    maxItems: 2 + below(3),
    ...(below(6) === 0 ? { contains: { type: "integer" } } : {}),
  });
  const number = (): Schema => ({
    type: pick(["number", "integer"]),
    ...maybe("minimum", () => pick([-5, 0, 0.5, 3, -12.25, 100])),
    ...maybe("maximum", () => pick([105, 100.5, 1000, 99999])),
    ...maybe("exclusiveMinimum", () => pick([-3, 0, 7.5])),
    ...maybe("multipleOf", () => pick([1, 2, 5, 0.5, 0.01, 7])),
  });
  const string = (): Schema => ({
    type: "string",
    ...maybe("minLength", () => below(3)),
    ...maybe("maxLength", () => 3 + below(12)),
    ...maybe("pattern", () => pick(patterns)),
  });
  const scalar = (): Schema =>
    pick([number, string, () => ({ type: pick(["boolean", "null"]) }), () => ({ enum: [1, "two", null, [3], { four: 4 }, true] })])();
  if (depth <= 0) return scalar();
  const combined = (): Schema =>
    pick<() => Schema>([
      () => ({ anyOf: [sub(), sub()] }),
      () => ({ oneOf: [sub(), sub()] }),
      () => ({ allOf: [object(), { not: { required: [pick(words)] } }] }),
      () =>
        Object.fromEntries([
          ["if", { type: "object", required: ["a"] }],
          // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
          ["then", { required: ["name"] }],
          ["else", sub()],
        ]),
      () => ({ allOf: [string(), { not: { const: "a" } }] }),
      () => ({ allOf: [number(), { not: { enum: [0, 1, 5, 10] } }] }),
      () => ({ $defs: { it: scalar() }, type: "array", items: scalar(), maxItems: 3 }),
    ])();
  return pick([object, object, array, scalar, combined])();
}
