/**
 * Elements hold texts as they are, so whoever reads them takes a text that looks like a number for one wherever the schema's types leave the choice
 * (text/tools/typed.ts). What an argument may be, so that it is read as what it is.
 */
import { typesOf } from "../../../text/tools/typed.ts";
import { ANY, ARRAY, BOOLEAN, type Formula, type Formulas, NULL, NUMBER, OBJECT, STRING } from "./formula.ts";
import { nameSet } from "./names.ts";
import { isObject, type JsonObject } from "./references.ts";

/** By type's name: its bit, and the texts that are read as values of it, or a few more. */
const kinds: readonly (readonly [name: string, type: number, texts: string])[] = [
  ["null", NULL, "null|None"],
  ["boolean", BOOLEAN, "true|false|True|False"],
  ["number", NUMBER, "-?\\d[\\d.eE+-]*"],
  ["integer", NUMBER, "-?\\d[\\d.eE+-]*"],
  ["object", OBJECT, "\\{[\\s\\S]*\\}"],
  ["array", ARRAY, "\\[[\\s\\S]*\\]"],
];
const quoted = '"[\\s\\S]*"';

/** What is read as it was written by one who finds these types; `undefined`: none. */
function toldApart(formulas: Formulas, types: ReadonlySet<string> | undefined): Formula {
  const asTexts = types?.has("string") ?? false;
  const read = kinds.filter(([name]) => !asTexts || types!.has(name));
  // Where texts are expected, values of other types than the schema names are read as texts.
  const mask = asTexts ? read.reduce((all, [, type]) => all | type, STRING) : ANY;
  const looks = [...read.map(([, , texts]) => texts), ...(types === undefined ? [quoted] : [])];
  if (looks.length === 0) return formulas.types(mask);
  const source = `^\\s*(?:${looks.join("|")})\\s*$`;
  const alike = formulas.atom({ on: STRING, kind: "pattern", source }, source);
  const whole = asTexts && types!.has("integer") && !types!.has("number");
  const integer = whole ? formulas.atom({ on: NUMBER, kind: "integer" }, "") : formulas.true;
  return formulas.and(formulas.types(mask), integer, formulas.or(formulas.types(ANY & ~STRING), formulas.not(alike)));
}

/** The same of all arguments of a tool with this schema. */
export function readAsWritten(formulas: Formulas, schema: JsonObject): Formula {
  const { properties } = schema;
  const names = isObject(properties) ? Object.keys(properties) : [];
  const of = (name: string): Formula => toldApart(formulas, typesOf({ name: "", parameters: schema }, name));
  const spelled = names.map(name => formulas.every(nameSet([name]), of(name)));
  return formulas.and(...spelled, formulas.every(nameSet(names, [], true), of(`${names.join()}_`)));
}
