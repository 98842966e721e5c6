/**
 * A small validator of JSON Schema for the tests, written by the specification and without anything of src/: it looks at whole values, where
 * the engine looks at bytes. Knows the keywords that the random schemas use; the published suite is its own test.
 */

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
type Schema = boolean | Record<string, unknown>;

export const known = new Set(
  (
    "type enum const minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern items prefixItems contains " +
    "minContains maxContains minItems maxItems uniqueItems properties required additionalProperties patternProperties propertyNames " +
    "minProperties maxProperties dependentRequired dependentSchemas allOf anyOf oneOf not if then else $ref $defs $schema description title"
  ).split(" "),
);

const isObject = (v: unknown): v is { [key: string]: Value } => typeof v === "object" && v !== null && !Array.isArray(v);

function equal(a: Value, b: Value): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => equal(v, b[i]));
  if (!isObject(a) || !isObject(b)) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every(k => Object.hasOwn(b, k) && equal(a[k], b[k]));
}

/** Whether value / divisor is whole, by shifting both to integers. */
function isMultiple(value: number, divisor: number): boolean {
  const parts = [value, divisor].map(n => {
    const [digits, exponent] = n.toExponential().split("e");
    const [whole, fraction = ""] = digits.split(".");
    return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
  });
  const least = Math.min(parts[0].exponent, parts[1].exponent);
  const [a, b] = parts.map(p => p.digits * 10n ** BigInt(p.exponent - least));
  return a % b === 0n;
}

function hasType(value: Value, type: unknown): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return typeof value === "number" && Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

export function isValid(schema: Schema, value: Value, root: Schema = schema): boolean {
  if (typeof schema === "boolean") return schema;
  const ok = (sub: unknown, v: Value): boolean => isValid(sub as Schema, v, root);
  const has = (key: string): boolean => Object.hasOwn(schema, key);
  const number = (key: string): number => schema[key] as number;
  if (has("$ref")) {
    const path = (schema.$ref as string).slice(1).split("/").slice(1);
    const target = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key.replace(/~1/g, "/").replace(/~0/g, "~")], root);
    if (!ok(target, value)) return false;
  }
  if (has("type") && ![schema.type].flat().some(t => hasType(value, t))) return false;
  if (has("const") && !equal(schema.const as Value, value)) return false;
  if (has("enum") && !(schema.enum as Value[]).some(v => equal(v, value))) return false;
  if (has("allOf") && !(schema.allOf as Schema[]).every(s => ok(s, value))) return false;
  if (has("anyOf") && !(schema.anyOf as Schema[]).some(s => ok(s, value))) return false;
  if (has("oneOf") && (schema.oneOf as Schema[]).filter(s => ok(s, value)).length !== 1) return false;
  if (has("not") && ok(schema.not, value)) return false;
  if (has("if")) {
    const branch = ok(schema.if, value) ? "then" : "else";
    if (has(branch) && !ok(schema[branch], value)) return false;
  }
  if (typeof value === "number") {
    if (has("minimum") && value < number("minimum")) return false;
    if (has("maximum") && value > number("maximum")) return false;
    if (has("exclusiveMinimum") && value <= number("exclusiveMinimum")) return false;
    if (has("exclusiveMaximum") && value >= number("exclusiveMaximum")) return false;
    return !has("multipleOf") || isMultiple(value, number("multipleOf"));
  }
  if (typeof value === "string") {
    const { length } = [...value];
    if (has("minLength") && length < number("minLength")) return false;
    if (has("maxLength") && length > number("maxLength")) return false;
    return !has("pattern") || new RegExp(schema.pattern as string, "u").test(value);
  }
  if (Array.isArray(value)) return isValidArray(schema, value, ok);
  return !isObject(value) || isValidObject(schema, value, ok);
}

type Check = (schema: unknown, value: Value) => boolean;

function isValidArray(schema: Record<string, unknown>, value: Value[], ok: Check): boolean {
  const prefix = (schema.prefixItems as Schema[] | undefined) ?? [];
  if (value.length < ((schema.minItems as number) ?? 0) || value.length > ((schema.maxItems as number) ?? Infinity)) return false;
  if (!value.every((v, i) => (i < prefix.length ? ok(prefix[i], v) : schema.items === undefined || ok(schema.items, v)))) return false;
  if (schema.uniqueItems === true && value.some((v, i) => value.slice(0, i).some(w => equal(v, w)))) return false;
  if (schema.contains === undefined) return true;
  const found = value.filter(v => ok(schema.contains, v)).length;
  return found >= ((schema.minContains as number) ?? 1) && found <= ((schema.maxContains as number) ?? Infinity);
}

function isValidObject(schema: Record<string, unknown>, value: { [key: string]: Value }, ok: Check): boolean {
  const keys = Object.keys(value);
  const record = (key: string): Record<string, unknown> => (schema[key] as Record<string, unknown>) ?? {};
  if (keys.length < ((schema.minProperties as number) ?? 0) || keys.length > ((schema.maxProperties as number) ?? Infinity)) return false;
  if (((schema.required as string[]) ?? []).some(k => !Object.hasOwn(value, k))) return false;
  for (const [name, needs] of Object.entries(record("dependentRequired")))
    if (Object.hasOwn(value, name) && (needs as string[]).some(k => !Object.hasOwn(value, k))) return false;
  for (const [name, then] of Object.entries(record("dependentSchemas"))) if (Object.hasOwn(value, name) && !ok(then, value)) return false;
  for (const key of keys) {
    if (schema.propertyNames !== undefined && !ok(schema.propertyNames, key)) return false;
    const patterns = Object.entries(record("patternProperties")).filter(([source]) => new RegExp(source, "u").test(key));
    if (!patterns.every(([, s]) => ok(s, value[key]))) return false;
    const declared = Object.hasOwn(record("properties"), key);
    if (declared && !ok(record("properties")[key], value[key])) return false;
    if (!declared && patterns.length === 0 && schema.additionalProperties !== undefined && !ok(schema.additionalProperties, value[key]))
      return false;
  }
  return true;
}
