/**
 * The two ways in which Python fills placeholders: `"%s" % value` and `"{}".format(value)`. The texts filled in keep their origin.
 * Attribute access in a placeholder goes through the interpreter like any other, so it reaches nothing else.
 */
import { type Budget, fail } from "./budget.ts";
import { fixed, floatText } from "./numbers.ts";
import { repr, str } from "./print.ts";
import { type Runtime, sizeArgument, wholePart } from "./runtime.ts";
import { pad, sliceText } from "./string-cut.ts";
import { own, Text, TextBuilder } from "./text.ts";
import { type Call, DIGIT_COST, Dict, isNum, plainNum, Range, Seq, typeName, Undefined, type Value } from "./values.ts";

/** How one placeholder wants its value: shared by both notations. */
interface Spec {
  fill: string;
  align: "<" | ">" | "^" | "=" | "";
  sign: string;
  alternate: boolean;
  zero: boolean;
  width: number;
  grouping: string;
  precision: number | undefined;
  type: string;
}

const plain: Spec = {
  fill: " ",
  align: "",
  sign: "",
  alternate: false,
  zero: false,
  width: 0,
  grouping: "",
  precision: undefined,
  type: "",
};

const RADIX: Readonly<Record<string, readonly [number, string]>> = { x: [16, "0x"], X: [16, "0X"], o: [8, "0o"], b: [2, "0b"] };

function checkedPrecision(spec: Spec): number {
  const precision = spec.precision ?? 6;
  return precision >= 0 && precision <= 100 ? precision : fail("The precision of a format is too large.");
}

const wholeNumber = (n: bigint | number): bigint => wholePart(n) ?? fail("cannot convert an infinite or undefined float to an integer");

function general(x: number, precision: number, alternate: boolean): string {
  const digits = Math.max(1, precision);
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  const trim = (text: string) => (alternate || !text.includes(".") ? text : text.replace(/\.?0+$/, ""));
  if (exponent >= -4 && exponent < digits) return trim(fixed(x, Math.min(100, digits - 1 - exponent)));
  return `${trim(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

function exponential(x: number, precision: number): string {
  return x.toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
}

/** The digits of a number without its sign. */
function digitsOf(n: bigint | number, spec: Spec): string {
  const kind = spec.type.toLowerCase();
  if (RADIX[spec.type] !== undefined) {
    const [radix, prefix] = RADIX[spec.type];
    if (typeof n !== "bigint") fail(`Unknown format code '${spec.type}' for a float`);
    const digits = n.toString(radix);
    return (spec.alternate ? prefix : "") + (spec.type === "X" ? digits.toUpperCase() : digits);
  }
  if (typeof n === "bigint" && "diun".includes(kind))
    return n.toString().padStart(checkedPrecision({ ...spec, precision: spec.precision ?? 0 }), "0");
  const x = Number(n);
  if (!Number.isFinite(x)) return floatText(x);
  if (kind === "f") return fixed(x, checkedPrecision(spec));
  if (kind === "%") return `${fixed(x * 100, checkedPrecision(spec))}%`;
  if (kind === "e") return exponential(x, checkedPrecision(spec));
  if (kind === "g" || spec.precision !== undefined) return general(x, checkedPrecision(spec), spec.alternate);
  return floatText(x);
}

/** Digits in groups of three, counted from the right. What stands before them, as in `0x1f` or `1e+20`, is not parted. */
function inGroups(whole: string, separator: string): string {
  return whole.replace(/\d{4,}$/, digits => {
    const first = digits.length % 3;
    const groups = digits.slice(first).match(/.{3}/g)!;
    return (first > 0 ? [digits.slice(0, first), ...groups] : groups).join(separator);
  });
}

/** Steps of a placeholder: it is read by patterns, and a number with it is printed to up to a hundred places. */
const FIELD_STEPS = 10;
const NUMBER_STEPS = 40;

function formatNumber(n: bigint | number, spec: Spec, budget: Budget): string {
  budget.step(NUMBER_STEPS);
  const negative = n < 0 || Object.is(n, -0);
  const body = digitsOf(negative ? -n : n, spec);
  budget.work(2 * DIGIT_COST * body.length);
  const sign = negative ? "-" : spec.sign === "+" || spec.sign === " " ? spec.sign : "";
  const [whole, ...fraction] = body.split(".");
  const grouped = spec.grouping === "" ? whole : inGroups(whole, spec.grouping);
  const digits = [grouped, ...fraction].join(".");
  const inner = spec.align === "=" || (spec.zero && spec.align === "");
  if (!inner || spec.width > 1000) return sign + digits;
  return sign + digits.padStart(spec.width - sign.length, spec.zero ? "0" : spec.fill);
}

function padTo(text: Text, spec: Spec, otherwise: "<" | ">", rt: Runtime): Text {
  const side = spec.align === "" || spec.align === "=" ? otherwise : spec.align;
  if (side === "^") {
    // format() puts an odd space on the right, unlike str.center.
    const left = Math.floor(Math.max(0, spec.width - text.points(rt.budget)) / 2);
    const half = pad(text, text.points(rt.budget) + left, own(spec.fill), "left", rt.budget);
    return pad(half, spec.width, own(spec.fill), "right", rt.budget);
  }
  return pad(text, spec.width, own(spec.fill), side === "<" ? "right" : "left", rt.budget);
}

// ---- "%s" % value ----

const PERCENT = /%(?:\(([^)]*)\))?([#0\- +]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)/gsu;

export function percentFormat(format: Text, value: Value, rt: Runtime): Text {
  const values = value instanceof Seq && value.kind === "tuple" ? value.items : [value];
  const out = new TextBuilder(rt.budget);
  let next = 0;
  let named = false;
  const take = () => (next < values.length ? values[next++] : fail("not enough arguments for format string"));
  const size = (text: string) => (text === "*" ? sizeArgument(take(), 0) : Number(text));
  let from = 0;
  // An open "%(" is searched for its end, so many of them cost the square of their length.
  rt.budget.work(format.length * format.text.split("%(").length);
  for (const match of format.text.matchAll(PERCENT)) {
    rt.budget.step(FIELD_STEPS);
    out.addText(format.slice(from, match.index));
    from = match.index + match[0].length;
    const [whole, name, flags, width, precision, type] = match;
    if (type === "%") {
      out.add("%", format.trustAt(match.index));
      continue;
    }
    const spec: Spec = {
      ...plain,
      sign: flags.includes("+") ? "+" : flags.includes(" ") ? " " : "",
      align: flags.includes("-") ? "<" : "",
      zero: flags.includes("0") && !flags.includes("-"),
      alternate: flags.includes("#"),
      width: width === undefined ? 0 : size(width),
      precision: whole.includes(".") && /\.(\*|\d*)[hlL]?.$/su.test(whole) ? (precision === undefined ? 0 : size(precision)) : undefined,
      type,
    };
    if (name !== undefined) named = true;
    out.addText(percentValue(name === undefined ? take() : namedValue(value, name), spec, rt));
  }
  if (format.text.slice(from).includes("%")) fail("incomplete format");
  // Whatever can be asked for a key may go unused.
  const keyed =
    value instanceof Dict || value instanceof Undefined || value instanceof Range || (value instanceof Seq && value.kind === "list");
  if (next < values.length && !named && !keyed) fail("not all arguments converted during string formatting");
  return out.addText(format.slice(from)).done(format.markup);
}

function namedValue(value: Value, name: string): Value {
  if (!(value instanceof Dict)) fail("format requires a mapping");
  const found = value.getText(name);
  return found === undefined ? fail(`the format has no value for '${name}'`) : found;
}

function percentValue(value: Value, spec: Spec, rt: Runtime): Text {
  if (spec.type === "s" || spec.type === "r" || spec.type === "a") {
    const text = spec.type === "s" ? str(value, rt.budget) : repr(value, rt.budget);
    return padTo(cut(text, spec, rt), { ...spec, zero: false }, ">", rt);
  }
  if (spec.type === "c") return padTo(value instanceof Text ? value : character(value), spec, ">", rt);
  if (!"diouxXeEfFgG".includes(spec.type)) fail(`unsupported format character '${spec.type}'`);
  if (!isNum(value)) fail(`%${spec.type} format: a real number is required, not ${typeName(value)}`);
  const n = plainNum(value);
  const whole = "diouxX".includes(spec.type);
  return padTo(own(formatNumber(whole ? wholeNumber(n) : Number(n), spec, rt.budget)), spec, ">", rt);
}

function character(value: Value): Text {
  const code = sizeArgument(value, 0);
  return code >= 0 && code <= 0x10ffff ? own(String.fromCodePoint(code)) : fail("%c arg not in range(0x110000)");
}

function cut(text: Text, spec: Spec, rt: Runtime): Text {
  return spec.precision === undefined ? text : sliceText(text, 0n, BigInt(spec.precision), null, rt.budget);
}

// ---- "{}".format(value) ----

export function braceFormat(format: Text, call: Call, rt: Runtime): Text {
  const out = new TextBuilder(rt.budget);
  const auto = { next: 0 };
  const s = format.text;
  rt.budget.work(s.length);
  let from = 0;
  for (let at = 0; at < s.length; at++) {
    const character = s[at];
    if (character !== "{" && character !== "}") continue;
    out.addText(format.slice(from, at));
    rt.budget.step(FIELD_STEPS);
    if (s[at + 1] === character) {
      out.addText(format.slice(at, at + 1));
      from = ++at + 1;
      continue;
    }
    if (character === "}") fail("Single '}' encountered in format string");
    const end = s.indexOf("}", at);
    const field = s.slice(at + 1, end);
    if (end < 0 || field.includes("{") || field.length > 1000) fail("A placeholder of format() is not closed, or nested.");
    out.addText(fillField(field, call, auto, rt));
    from = end + 1;
    at = end;
  }
  return out.addText(format.slice(from)).done();
}

function fillField(field: string, call: Call, auto: { next: number }, rt: Runtime): Text {
  const match = /^([^!:]*)(?:!([rsa]))?(?::(.*))?$/su.exec(field) ?? fail(`A placeholder of format() is not understood: {${field}}`);
  const [, path, conversion, specText = ""] = match;
  const value = fieldValue(path, call, auto, rt);
  const converted = conversion === undefined ? value : conversion === "s" ? str(value, rt.budget) : repr(value, rt.budget);
  const spec = parseSpec(specText);
  if (isNum(converted) && (typeof converted !== "boolean" || spec.type !== "")) {
    const n = plainNum(converted);
    const type = spec.type === "" && typeof n === "bigint" ? "d" : spec.type;
    return padTo(own(formatNumber(n, { ...spec, type }, rt.budget)), spec, ">", rt);
  }
  return padTo(cut(str(converted, rt.budget), spec, rt), spec, "<", rt);
}

function fieldValue(path: string, call: Call, auto: { next: number }, rt: Runtime): Value {
  const head = /^[^.[]*/.exec(path)![0];
  const index = head === "" ? auto.next++ : Number(head);
  const first = Number.isInteger(index) ? call.positional[index] : call.named.get(head);
  if (first === undefined) fail(`format() has no argument '${head === "" ? index : head}'`);
  let value = first;
  for (const [, name, key] of path.slice(head.length).matchAll(/\.([^.[]+)|\[([^\]]*)\]/g)) {
    rt.budget.step(2);
    value = name !== undefined ? rt.attribute(value, name) : rt.item(value, /^\d+$/.test(key) ? BigInt(key) : own(key));
  }
  return value;
}

const SPEC = /^(?:(.)?([<>=^]))?([+\- ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/su;

function parseSpec(text: string): Spec {
  const match = SPEC.exec(text) ?? fail(`Invalid format specifier '${text}'`);
  const [, fill, align = "", sign = "", alternate, zero, width, grouping = "", precision, type = ""] = match;
  return {
    fill: fill ?? " ",
    align: align as Spec["align"],
    sign,
    alternate: alternate !== undefined,
    zero: zero !== undefined,
    width: width === undefined ? 0 : Number(width),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}
