/**
 * Values as text: Python's `str` and `repr`, and `json.dumps` as Hugging Face's `tojson` calls it.
 * Texts inside keep their origin. Numbers and words such as None count as the template's; the brackets, quotes and escapes around data
 * do not, so that no control token can be put together from data and the punctuation that prints it.
 */
import { type Budget, fail, MAX_NESTING } from "./budget.ts";
import { floatText, numberText } from "./numbers.ts";
import { own, Text, TextBuilder } from "./text.ts";
import { compare, DIGIT_COST, Dict, Exotic, Namespace, Range, Seq, typeName, Undefined, type Value } from "./values.ts";

/** `str(value)`. */
export function str(v: Value, budget: Budget): Text {
  if (v instanceof Text) return v;
  if (v instanceof Undefined) return Text.empty;
  const word = scalar(v, budget);
  return word === undefined ? repr(v, budget) : own(word);
}

/** Writes `str(value)`: lists of many pieces are not put together twice. */
export function writeStr(v: Value, out: TextBuilder, budget: Budget): void {
  if (v instanceof Seq || v instanceof Dict) writeRepr(v, out, budget, 0);
  else out.addText(str(v, budget));
}

export function repr(v: Value, budget: Budget): Text {
  const out = new TextBuilder(budget);
  writeRepr(v, out, budget, 0);
  return out.done();
}

function scalar(v: Value, budget: Budget): string | undefined {
  if (v === null) return "None";
  if (typeof v === "boolean") return v ? "True" : "False";
  return typeof v === "bigint" || typeof v === "number" ? paid(numberText(v), v, budget) : undefined;
}

/** What printing a float costs beyond its digits: the shortest ones are searched for. */
const FLOAT_COST = 512;

function paid(digits: string, v: bigint | number, budget: Budget): string {
  budget.work(DIGIT_COST * digits.length + (typeof v === "number" ? FLOAT_COST : 0));
  return digits;
}

const BRACKETS: Readonly<Record<string, readonly [string, string]>> = {
  list: ["[", "]"],
  tuple: ["(", ")"],
  dict_keys: ["dict_keys([", "])"],
  dict_values: ["dict_values([", "])"],
  dict_items: ["dict_items([", "])"],
};

function writeRepr(v: Value, out: TextBuilder, budget: Budget, depth: number): void {
  budget.step();
  if (depth > MAX_NESTING) fail("The value to print is nested too deeply.");
  const punct = (text: string) => out.add(text, false);
  const word = scalar(v, budget);
  if (word !== undefined) punct(word);
  else if (v instanceof Text) writeQuoted(v, out, budget);
  else if (v instanceof Seq) {
    const [open, close] = BRACKETS[v.kind];
    punct(open);
    v.items.forEach((item, i) => {
      if (i > 0) punct(", ");
      writeRepr(item, out, budget, depth + 1);
    });
    punct(v.kind === "tuple" && v.items.length === 1 ? ",)" : close);
  } else if (v instanceof Dict || v instanceof Namespace) {
    const pairs = v instanceof Dict ? v.entries() : [...v.fields].map(([key, value]) => [own(key), value] as const);
    punct(v instanceof Dict ? "{" : "<Namespace {");
    pairs.forEach(([key, value], i) => {
      if (i > 0) punct(", ");
      writeRepr(key, out, budget, depth + 1);
      punct(": ");
      writeRepr(value, out, budget, depth + 1);
    });
    punct(v instanceof Dict ? "}" : "}>");
  } else if (v instanceof Range) punct(`range(${v.start}, ${v.stop}${v.step === 1n ? "" : `, ${v.step}`})`);
  else punct(v instanceof Undefined ? "Undefined" : v instanceof Exotic ? `<${v.typeName}>` : `<${typeName(v)} object>`);
}

// What Python does not print as it is: control, format, unassigned and private characters, and separators other than the space.
const UNPRINTABLE = /[\p{C}\p{Z}'"\\]/gu;
const PY_ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

function pythonEscape(character: string, quote: string): string {
  if (character === quote) return `\\${character}`;
  if (character === " " || character === "'" || character === '"') return character;
  const known = PY_ESCAPES.get(character);
  if (known !== undefined) return known;
  const code = character.codePointAt(0)!;
  const hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

function writeQuoted(text: Text, out: TextBuilder, budget: Budget): void {
  const quote = text.text.includes("'") && !text.text.includes('"') ? '"' : "'";
  out.add(text.markup ? `Markup(${quote}` : quote, false);
  writeEscaped(text, out, budget, UNPRINTABLE, character => pythonEscape(character, quote));
  out.add(text.markup ? `${quote})` : quote, false);
}

/** What a character costs that is looked up among those to replace, and one that is. */
const LOOKED_COST = 4;
const REPLACED_COST = 64;

/** Adds a text with some of its characters replaced. `matches` must be a global pattern for one character. */
export function writeEscaped(text: Text, out: TextBuilder, budget: Budget, matches: RegExp, by: (character: string) => string): void {
  budget.work(LOOKED_COST * text.length);
  if (text.text.search(matches) < 0) return void out.addText(text);
  const replaced = (character: string): string => {
    budget.work(REPLACED_COST);
    return by(character);
  };
  for (const piece of text.segments()) out.add(piece.text.replace(matches, replaced), piece.trusted);
}

/** The settings of `json.dumps` that templates use. */
export interface JsonStyle {
  readonly ascii: boolean;
  /** One level of indentation; undefined prints everything on one line. */
  readonly indent: Text | undefined;
  readonly comma: Text;
  readonly colon: Text;
  readonly sortKeys: boolean;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this pattern is about
const JSON_SPECIAL = /["\\\u0000-\u001f]/g;
const JSON_NOT_ASCII = /["\\]|[^ -~]/g;
const JSON_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\f", "\\f"],
  ["\b", "\\b"],
]);

// Without the u flag a pattern sees UTF-16 units, which is how JSON escapes characters beyond the basic plane.
const jsonEscape = (unit: string): string => JSON_ESCAPES.get(unit) ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

export function toJson(v: Value, style: JsonStyle, budget: Budget): Text {
  const out = new TextBuilder(budget);
  writeJson(v, { out, style, budget }, 0);
  return out.done();
}

interface JsonWriter {
  readonly out: TextBuilder;
  readonly style: JsonStyle;
  readonly budget: Budget;
}

function writeJson(v: Value, writer: JsonWriter, depth: number): void {
  const { out, budget } = writer;
  budget.step();
  if (depth > MAX_NESTING) fail("The value to print as JSON is nested too deeply.");
  if (v instanceof Text) writeJsonText(v, writer);
  else if (v instanceof Dict) writeJsonDict(v, writer, depth);
  else if (v instanceof Seq && v.indexed) {
    writeJsonBlock("[", "]", v.items, writer, depth, item => writeJson(item, writer, depth + 1));
  } else out.add(jsonScalar(v, budget) ?? fail(`Object of type ${typeName(v)} is not JSON serializable`), false);
}

function jsonScalar(v: Value, budget: Budget): string | undefined {
  if (v === null) return "null";
  if (typeof v === "boolean") return v ? "true" : "false";
  if (typeof v === "bigint") return paid(v.toString(), v, budget);
  if (typeof v !== "number") return undefined;
  return Number.isFinite(v) ? paid(floatText(v), v, budget) : Number.isNaN(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
}

function writeJsonText(text: Text, { out, style, budget }: JsonWriter): void {
  out.add('"', false);
  writeEscaped(text, out, budget, style.ascii ? JSON_NOT_ASCII : JSON_SPECIAL, jsonEscape);
  out.add('"', false);
}

function writeJsonDict(dict: Dict, writer: JsonWriter, depth: number): void {
  const { style, budget } = writer;
  const pairs = [...dict.entries()];
  if (style.sortKeys) pairs.sort(([a], [b]) => compare(a, b, budget));
  writeJsonBlock("{", "}", pairs, writer, depth, ([key, value]) => {
    const name = key instanceof Text ? key : jsonScalar(key, budget);
    if (name === undefined) fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
    writeJsonText(name instanceof Text ? name : new Text(name, false), writer);
    writer.out.addText(style.colon);
    writeJson(value, writer, depth + 1);
  });
}

function writeJsonBlock<T>(
  open: string,
  close: string,
  items: readonly T[],
  writer: JsonWriter,
  depth: number,
  write: (item: T) => void,
): void {
  const { out, style } = writer;
  const line = (level: number) => {
    if (style.indent === undefined) return;
    out.add("\n", false);
    for (let i = 0; i < level; i++) out.addText(style.indent);
  };
  out.add(open, false);
  items.forEach((item, i) => {
    if (i > 0) out.addText(style.comma);
    line(depth + 1);
    write(item);
  });
  if (items.length > 0) line(depth);
  out.add(close, false);
}
