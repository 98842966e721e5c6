/** The filters that work on text, by name. Whatever they are given is printed first, as Python's filters do. */

import { pathOf } from "./access.ts";
import { fail } from "./budget.ts";
import { escapeHtml } from "./operators.ts";
import { str, toJson } from "./print.ts";
import { flag, type Member, optionalText, type Params, type Runtime, sizeArgument, takes, textOf } from "./runtime.ts";
import { capitalize, lower, titleAsFilter, upper } from "./string-case.ts";
import { indent, pad, replace, split, strip } from "./string-cut.ts";
import { percentFormat } from "./string-format.ts";
import { CHANGE_COST, joinTexts, own, repeatText, Text, TextBuilder } from "./text.ts";
import { Dict, iterate, Seq, sizeOf, type Value } from "./values.ts";

/** A filter of one text without arguments. `work`: what a character costs, about 10 ns each. */
const textFilter = (change: (text: Text, rt: Runtime) => Text, work = 8): Member =>
  takes("", (v, _, rt) => {
    const text = str(v, rt.budget);
    rt.budget.work(work * text.length + CHANGE_COST * text.flips.length);
    return change(text, rt);
  });

function join(v: Value, [separator, attribute]: Params, rt: Runtime): Value {
  const parts = iterate(v, rt.budget).map(item => str(pathOf(item, attribute, rt), rt.budget));
  return joinTexts(rt.budget, parts, separator === undefined ? Text.empty : str(separator, rt.budget));
}

function indentFilter(v: Value, [width, first, blank]: Params, { budget }: Runtime): Value {
  const margin = width instanceof Text ? width : repeatText(budget, own(" "), sizeArgument(width, 4));
  return indent(str(v, budget), margin, flag(first), flag(blank), budget);
}

function json(v: Value, [ascii, indentation, separators, sortKeys]: Params, { budget }: Runtime): Value {
  const pair = separators === undefined || separators === null ? undefined : iterate(separators, budget);
  if (pair !== undefined && pair.length !== 2) fail("separators must be a pair of strings");
  const deep = indentation !== undefined && indentation !== null;
  const unit = !deep
    ? undefined
    : indentation instanceof Text
      ? indentation
      : repeatText(budget, new Text(" ", false), sizeArgument(indentation, 0));
  const punct = (text: string) => new Text(text, false);
  const [comma, colon] = pair?.map(textOf) ?? [punct(deep ? "," : ", "), punct(": ")];
  return toJson(v, { ascii: flag(ascii), indent: unit, comma, colon, sortKeys: flag(sortKeys) }, budget);
}

function truncate(v: Value, [length, killWords, end, leeway]: Params, { budget }: Runtime): Value {
  const limit = sizeArgument(length, 255);
  if (!(v instanceof Text) && (sizeOf(v, budget) ?? 0) <= limit) return v;
  const text = str(v, budget);
  const tail = optionalText(end) ?? own("...");
  const kept = limit - tail.points(budget);
  if (kept < 0) fail(`expected length >= ${limit - kept}, got ${limit}`);
  budget.work(text.flips.length);
  if (text.points(budget) <= limit + sizeArgument(leeway ?? undefined, 5)) return text;
  const head = text.slice(0, text.unit(kept, budget));
  const cut = flag(killWords) ? head : split(head, own(" "), 1, true, budget)[0];
  return joinTexts(budget, [cut, tail]);
}

const RESERVED = /[^A-Za-z0-9_.~/-]+/g;
/** What the host's coding leaves as it is, and Python's does not. */
const LEFT = /[!'()*]/g;
const LONE = /\p{Cs}/gu;
const URL_COST = 32;

function percentEncode(text: Text, rt: Runtime, keepSlash: boolean): Text {
  const out = new TextBuilder(rt.budget);
  rt.budget.grow(text.length, URL_COST * text.length);
  const bytes = (run: string) =>
    encodeURIComponent(run.replace(LONE, "\ufffd")).replace(LEFT, mark => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  for (const piece of text.segments()) {
    const coded = piece.text.replace(RESERVED, bytes);
    out.add(keepSlash ? coded : coded.replaceAll("/", "%2F").replaceAll("%20", "+"), piece.trusted);
  }
  return out.done();
}

function urlEncode(v: Value, _: Params, rt: Runtime): Value {
  const pairs = v instanceof Dict ? v.entries() : v instanceof Seq ? v.items.map(pair => iterate(pair, rt.budget)) : undefined;
  if (pairs === undefined) return percentEncode(str(v, rt.budget), rt, true);
  const coded = pairs.map(pair =>
    joinTexts(
      rt.budget,
      pair.map(part => percentEncode(str(part, rt.budget), rt, false)),
      own("="),
    ),
  );
  return joinTexts(rt.budget, coded, own("&"));
}

/** Words of a text, as `wordcount` counts them. */
const countWords = (text: Text): bigint => BigInt(text.text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);

/** Reverses a text by code points; lists are reversed in `filters-data.ts`. */
export function reverseText(text: Text, { budget }: Runtime): Text {
  const length = text.points(budget);
  budget.step(length);
  const out = new TextBuilder(budget);
  for (let at = length - 1; at >= 0; at--) out.addText(text.charAt(at, budget));
  return out.done();
}

export const textFilters: ReadonlyMap<string, Member> = new Map<string, Member>([
  ["upper", textFilter(upper)],
  ["lower", textFilter(lower)],
  ["capitalize", textFilter(capitalize)],
  ["title", textFilter(titleAsFilter, 64)],
  ["string", textFilter(text => text)],
  ["safe", textFilter(text => text.asMarkup())],
  ["forceescape", textFilter((text, { budget }) => escapeHtml(text.asMarkup(false), budget))],
  ...["escape", "e"].map(name => [name, textFilter((text, { budget }) => escapeHtml(text, budget))] as const),
  [
    "trim",
    takes("chars?", (v, [characters], { budget }) => strip(str(v, budget), optionalText(characters), { left: true, right: true }, budget)),
  ],
  [
    "replace",
    takes("old new count?", (v, [old, by, max], { budget }) =>
      replace(str(v, budget), str(old!, budget), str(by!, budget), sizeArgument(max ?? undefined, -1), budget),
    ),
  ],
  ["join", takes("d? attribute?", join)],
  ["indent", takes("width? first? blank?", indentFilter)],
  ["center", takes("width?", (v, [width], { budget }) => pad(str(v, budget), sizeArgument(width, 80), own(" "), "both", budget))],
  ["truncate", takes("length? killwords? end? leeway?", truncate)],
  ["tojson", takes("ensure_ascii? indent? separators? sort_keys?", json)],
  ["urlencode", takes("", urlEncode)],
  [
    "wordcount",
    takes("", (v, _, { budget }) => {
      const text = str(v, budget);
      budget.work(32 * text.length); // every second character can be a word
      return countWords(text);
    }),
  ],
  [
    "format",
    (v, { positional, named }, rt) => {
      const values = new Dict();
      for (const [name, value] of named) values.set(own(name), value, rt.budget);
      if (positional.length > 0 && named.size > 0) fail("format takes positional or keyword arguments, not both");
      return percentFormat(str(v, rt.budget), named.size > 0 ? values : new Seq([...positional], "tuple"), rt);
    },
  ],
]);
