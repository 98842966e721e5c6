/**
 * Cutting, finding, replacing and padding of texts as Python's `str` methods do it. Every result keeps the origin of each character.
 * All work is charged to the budget, since the sizes come from the template.
 */
import { type Budget, fail } from "./budget.ts";
import { finder } from "./find.ts";
import { isSpace, isSpaceCode } from "./string-case.ts";
import { repeatText, Text, TextBuilder } from "./text.ts";

/** What a character costs that is looked at one by one, as a text of its own. */
const CHARACTER_COST = 32;
/** What a place costs that is found and cut at. */
const PLACE_COST = 64;

export interface Sides {
  readonly left: boolean;
  readonly right: boolean;
}

/** `strip`, `lstrip`, `rstrip`: of white space, or of any of the given characters. */
export function strip(text: Text, characters: Text | undefined, sides: Sides, budget: Budget): Text {
  budget.work(text.length + CHARACTER_COST * (characters?.length ?? 0));
  const set = characters && new Set(characters.text);
  const drop = (character: string) => (set ? set.has(character) : isSpace(character));
  const s = text.text;
  let from = 0;
  let to = s.length;
  while (sides.left && from < to) {
    const character = String.fromCodePoint(s.codePointAt(from)!);
    if (!drop(character)) break;
    from += character.length;
  }
  while (sides.right && to > from) {
    const pair = to - from > 1 && s.codePointAt(to - 2)! > 0xffff;
    const character = s.slice(pair ? to - 2 : to - 1, to);
    if (!drop(character)) break;
    to -= character.length;
  }
  budget.work(CHARACTER_COST * (from + text.length - to));
  return text.slice(from, to);
}

/** Unit offsets of the occurrences of a needle that do not overlap, at most `max` of them. */
function occurrences(text: Text, needle: Text, max: number, budget: Budget): number[] {
  const next = finder(text.text, needle.text, false, budget);
  const found: number[] = [];
  for (let at = 0; found.length < max; ) {
    at = next(at);
    if (at < 0) break;
    found.push(at);
    at += needle.length;
  }
  budget.work(PLACE_COST * found.length);
  return found;
}

/** The occurrences counted from the right, in ascending order. */
function occurrencesFromRight(text: Text, needle: Text, max: number, budget: Budget): number[] {
  const next = finder(text.text, needle.text, true, budget);
  const found: number[] = [];
  for (let at = text.length - needle.length; found.length < max && at >= 0; ) {
    at = next(at);
    if (at < 0) break;
    found.push(at);
    at -= needle.length;
  }
  budget.work(PLACE_COST * found.length);
  return found.reverse();
}

function cutAt(text: Text, places: readonly number[], width: number): Text[] {
  const starts = [0, ...places.map(at => at + width)];
  return starts.map((from, i) => text.slice(from, places[i] ?? text.length));
}

/** `split` and `rsplit`; without a separator at runs of white space. A negative `max` means all. */
export function split(text: Text, separator: Text | undefined, max: number, fromRight: boolean, budget: Budget): Text[] {
  const limit = max < 0 ? Number.POSITIVE_INFINITY : max;
  if (separator === undefined) return fromRight ? splitWordsFromRight(text, limit, budget) : splitWords(text, limit, budget);
  if (separator.length === 0) fail("empty separator");
  const find = fromRight ? occurrencesFromRight : occurrences;
  return cutAt(text, find(text, separator, limit, budget), separator.length);
}

function splitWords(text: Text, max: number, budget: Budget): Text[] {
  budget.work(4 * text.length);
  const s = text.text;
  const words: Text[] = [];
  let at = 0;
  while (true) {
    while (at < s.length && isSpaceCode(s.charCodeAt(at))) at++;
    if (at >= s.length) return words;
    if (words.length === max) {
      words.push(text.slice(at));
      return words;
    }
    const from = at;
    while (at < s.length && !isSpaceCode(s.charCodeAt(at))) at++;
    words.push(text.slice(from, at));
  }
}

function splitWordsFromRight(text: Text, max: number, budget: Budget): Text[] {
  budget.work(4 * text.length);
  const s = text.text;
  const words: Text[] = [];
  let at = s.length;
  while (true) {
    while (at > 0 && isSpaceCode(s.charCodeAt(at - 1))) at--;
    if (at === 0) break;
    if (words.length === max) {
      words.push(text.slice(0, at));
      break;
    }
    const to = at;
    while (at > 0 && !isSpaceCode(s.charCodeAt(at - 1))) at--;
    words.push(text.slice(at, to));
  }
  return words.reverse();
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this pattern is about
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

export function splitLines(text: Text, keepEnds: boolean, budget: Budget): Text[] {
  budget.work(text.length);
  const lines: Text[] = [];
  let from = 0;
  for (const match of text.text.matchAll(LINE_END)) {
    const end = match.index + match[0].length;
    lines.push(text.slice(from, keepEnds ? end : match.index));
    from = end;
  }
  budget.work(PLACE_COST * lines.length);
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

/** `partition` and `rpartition`: before, separator, after. */
export function partition(text: Text, separator: Text, fromRight: boolean, budget: Budget): [Text, Text, Text] {
  if (separator.length === 0) fail("empty separator");
  const find = fromRight ? occurrencesFromRight : occurrences;
  const [at] = find(text, separator, 1, budget);
  if (at === undefined) return fromRight ? [Text.empty, Text.empty, text] : [text, Text.empty, Text.empty];
  const end = at + separator.length;
  return [text.slice(0, at), text.slice(at, end), text.slice(end)];
}

/** `replace`; a negative `max` means all. An empty `old` stands between all characters. */
export function replace(text: Text, old: Text, by: Text, max: number, budget: Budget): Text {
  const limit = max < 0 ? Number.POSITIVE_INFINITY : max;
  const places = old.length > 0 ? occurrences(text, old, limit, budget) : gaps(text, limit, budget);
  if (places.length === 0) return text;
  const out = new TextBuilder(budget);
  let from = 0;
  for (const at of places) {
    out.addText(text.slice(from, at)).addText(by);
    from = at + old.length;
  }
  return out.addText(text.slice(from)).done();
}

function gaps(text: Text, max: number, budget: Budget): number[] {
  budget.work(text.length);
  const count = Math.min(text.points(budget) + 1, max);
  budget.work(PLACE_COST * count);
  return Array.from({ length: count }, (_, point) => text.unit(point, budget));
}

/** The code-point index of a needle inside `[start, end)`, or -1. */
export function find(text: Text, needle: Text, start: number, end: number, fromRight: boolean, budget: Budget): number {
  const from = text.unit(start, budget);
  const to = text.unit(end, budget);
  if (start > end) return -1;
  const part = text.text.slice(from, to);
  const at = finder(part, needle.text, fromRight, budget)(fromRight ? part.length - needle.length : 0);
  return at < 0 ? -1 : text.point(from + at, budget);
}

export function count(text: Text, needle: Text, budget: Budget): number {
  if (needle.length === 0) return text.points(budget) + 1;
  return occurrences(text, needle, Number.POSITIVE_INFINITY, budget).length;
}

export function contains(text: Text, needle: Text, budget: Budget): boolean {
  return finder(text.text, needle.text, false, budget)(0) >= 0;
}

/** Pads to a width in code points on one side or on both. */
export function pad(text: Text, width: number, fill: Text, side: "left" | "right" | "both", budget: Budget): Text {
  const missing = width - text.points(budget);
  if (missing <= 0) return text;
  // Python's centre: an odd space goes left when the width is odd.
  const before = side === "left" ? missing : side === "right" ? 0 : Math.floor(missing / 2) + (missing & width & 1);
  const out = new TextBuilder(budget);
  out.addText(repeatText(budget, fill, before)).addText(text);
  return out.addText(repeatText(budget, fill, missing - before)).done();
}

/** Replaces tabs by spaces up to the next multiple of `size` columns. */
export function expandTabs(text: Text, size: number, budget: Budget): Text {
  budget.work(8 * text.length);
  const out = new TextBuilder(budget);
  let column = 0;
  for (const piece of text.segments()) {
    for (const character of piece.text) {
      const width = character === "\t" ? (size > 0 ? size - (column % size) : 0) : 1;
      if (character === "\t") budget.grow(out.length + width, 0);
      out.add(character === "\t" ? " ".repeat(width) : character, piece.trusted);
      column = character === "\n" || character === "\r" ? 0 : column + width;
    }
  }
  return out.done();
}

/** The filter `indent` of Jinja2. The margin of a text that holds data counts as data, so that the text stays in one piece. */
export function indent(text: Text, margin: Text, first: boolean, blank: boolean, budget: Budget): Text {
  const trusted = text.trusted && text.flips.length === 0;
  const out = new TextBuilder(budget);
  const edge = (line: Text) => out.add(margin.text, trusted && margin.trusted && margin.flips.length === 0).addText(line);
  // The added newline makes a trailing newline count as one more, empty line.
  const lines = splitLines(new TextBuilder(budget).addText(text).add("\n", true).done(), false, budget);
  lines.forEach((line, i) => {
    if (i > 0) out.add("\n", trusted);
    if (i === 0 ? first : blank || line.length > 0) edge(line);
    else out.addText(line);
  });
  return out.done();
}

/** Python's slice of `length` elements: the indices that it visits, in order. */
export function sliceIndices(
  length: number,
  start: bigint | null,
  stop: bigint | null,
  step: bigint | null,
): { from: number; to: number; step: number } {
  const by = step ?? 1n;
  if (by === 0n) fail("slice step cannot be zero");
  const size = BigInt(length);
  const low = by > 0n ? 0n : -1n;
  const high = by > 0n ? size : size - 1n;
  const bound = (at: bigint | null, otherwise: bigint) => {
    if (at === null) return otherwise;
    const absolute = at < 0n ? at + size : at;
    return absolute < low ? low : absolute > high ? high : absolute;
  };
  const limit = by > size + 1n ? size + 1n : by < -size - 1n ? -size - 1n : by;
  return { from: Number(bound(start, by > 0n ? low : high)), to: Number(bound(stop, by > 0n ? high : low)), step: Number(limit) };
}

/** A slice of a text, by code points. */
export function sliceText(text: Text, start: bigint | null, stop: bigint | null, step: bigint | null, budget: Budget): Text {
  const s = sliceIndices(text.points(budget), start, stop, step);
  if (s.step === 1) {
    budget.work(16 + 8 * text.flips.length);
    return text.slice(text.unit(s.from, budget), text.unit(Math.max(s.from, s.to), budget));
  }
  budget.step(Math.ceil(Math.max(0, (s.to - s.from) / s.step)));
  const out = new TextBuilder(budget);
  for (let at = s.from; s.step > 0 ? at < s.to : at > s.to; at += s.step) out.addText(text.charAt(at, budget));
  return out.done();
}
