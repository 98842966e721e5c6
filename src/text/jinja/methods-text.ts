/** The methods of strings, by name. Each is one line of argument reading around `string-cut.ts`, `string-case.ts` or `string-format.ts`. */
import { type Budget, fail } from "./budget.ts";
import { str } from "./print.ts";
import { flag, type Member, optionalText, type Params, type Runtime, sizeArgument, takes, textOf } from "./runtime.ts";
import { ASK_COST, capitalize, casefold, lower, questions, swapcase, title, upper } from "./string-case.ts";
import { count, expandTabs, find, pad, partition, replace, split, splitLines, strip } from "./string-cut.ts";
import { braceFormat } from "./string-format.ts";
import { CHANGE_COST, joinTexts, own, Text, TextBuilder } from "./text.ts";
import { Dict, iterate, list, Seq, tuple, typeName, type Value } from "./values.ts";

type TextMember = Member<Text>;

/** `work`: what a character costs; some go character by character, and upper case can be three times as long. */
const changed = (change: (text: Text) => Text, work = 8): TextMember =>
  takes("", (s, _, { budget }) => {
    budget.work(work * s.length + CHANGE_COST * s.flips.length);
    return change(s);
  });

const stripped = (left: boolean, right: boolean): TextMember =>
  takes("chars?", (s, [characters], { budget }) => strip(s, optionalText(characters), { left, right }, budget));

const cut = (fromRight: boolean): TextMember =>
  takes("sep? maxsplit?", (s, [separator, max], { budget }) => {
    const parts = split(s, optionalText(separator), sizeArgument(max, -1), fromRight, budget);
    budget.step(parts.length);
    return list(parts);
  });

const padded = (side: "left" | "right" | "both"): TextMember =>
  takes("width fillchar?", (s, [width, fill], { budget }) => {
    const character = optionalText(fill) ?? own(" ");
    if (character.points(budget) !== 1) fail("The fill character must be exactly one character long");
    return pad(s, sizeArgument(width, 0), character, side, budget);
  });

/** The optional start and end arguments, as positions from 0 to the length. */
function bounds(s: Text, start: Value | undefined, end: Value | undefined, budget: Budget): [number, number] {
  const length = s.points(budget);
  const place = (v: Value | undefined, otherwise: number) => {
    const at = sizeArgument(v ?? undefined, otherwise);
    return Math.min(length, at < 0 ? Math.max(0, at + length) : at);
  };
  const from = sizeArgument(start ?? undefined, 0);
  return [from > length ? length + 1 : place(start, 0), place(end, length)];
}

const found = (fromRight: boolean, mustExist: boolean): TextMember =>
  takes("sub start? end?", (s, [needle, start, end], { budget }) => {
    const [from, to] = bounds(s, start, end, budget);
    const at = from > to ? -1 : find(s, textOf(needle), from, to, fromRight, budget);
    return at < 0 && mustExist ? fail("substring not found") : BigInt(at);
  });

function part(s: Text, start: Value | undefined, end: Value | undefined, budget: Budget): Text | undefined {
  const [from, to] = bounds(s, start, end, budget);
  budget.work(8 * s.flips.length);
  return from > to ? undefined : s.slice(s.unit(from, budget), s.unit(to, budget));
}

const edge = (atEnd: boolean): TextMember =>
  takes("prefix start? end?", (s, [what, start, end], { budget }) => {
    const choices = what instanceof Seq && what.kind === "tuple" ? what.items : [what];
    const text = part(s, start, end, budget)?.text;
    return choices.some(choice => {
      const wanted = textOf(choice).text;
      budget.step();
      budget.work(wanted.length);
      return text !== undefined && (atEnd ? text.endsWith(wanted) : text.startsWith(wanted));
    });
  });

const parted = (fromRight: boolean): TextMember =>
  takes("sep", (s, [separator], { budget }) => tuple(...partition(s, textOf(separator), fromRight, budget)));

const without = (atEnd: boolean): TextMember =>
  takes("affix", (s, [affix], { budget }) => {
    const { text, length } = textOf(affix);
    budget.work(s.length + 8 * s.flips.length);
    if (atEnd) return length > 0 && s.text.endsWith(text) ? s.slice(0, s.length - length) : s;
    return s.text.startsWith(text) ? s.slice(length) : s;
  });

function join(s: Text, [values]: Params, { budget }: Runtime): Value {
  const parts = iterate(values!, budget).map((item, i) => {
    return item instanceof Text ? item : fail(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
  });
  return joinTexts(budget, parts, s);
}

function zfill(s: Text, [width]: Params, { budget }: Runtime): Value {
  budget.work(s.length + 8 * s.flips.length);
  const signed = /^[+-]/.test(s.text) ? 1 : 0;
  const digits = pad(s.slice(signed), sizeArgument(width, 0) - signed, own("0"), "left", budget);
  return new TextBuilder(budget).addText(s.slice(0, signed)).addText(digits).done();
}

function translate(s: Text, [table]: Params, { budget }: Runtime): Value {
  if (!(table instanceof Dict)) fail("translate() needs a dict");
  budget.step(s.length);
  const out = new TextBuilder(budget);
  for (const piece of s.segments()) {
    for (const character of piece.text) {
      const by = table.get(BigInt(character.codePointAt(0)!), budget);
      if (by === undefined) out.add(character, piece.trusted);
      else if (by !== null) out.addText(str(by, budget));
    }
  }
  return out.done();
}

const asked = [...questions].map(
  ([name, ask]) =>
    [
      name,
      takes<Text>("", (s, _, { budget }) => {
        budget.work(ASK_COST * s.length);
        return ask(s.text);
      }),
    ] as const,
);

export const textMethods: ReadonlyMap<string, TextMember> = new Map<string, TextMember>([
  ...asked,
  ["capitalize", changed(capitalize)],
  ["casefold", changed(casefold, 64)],
  ["lower", changed(lower)],
  ["swapcase", changed(swapcase, 64)],
  ["title", changed(title, 64)],
  ["upper", changed(upper)],
  ["strip", stripped(true, true)],
  ["lstrip", stripped(true, false)],
  ["rstrip", stripped(false, true)],
  ["split", cut(false)],
  ["rsplit", cut(true)],
  ["partition", parted(false)],
  ["rpartition", parted(true)],
  ["removeprefix", without(false)],
  ["removesuffix", without(true)],
  ["center", padded("both")],
  ["ljust", padded("right")],
  ["rjust", padded("left")],
  ["find", found(false, false)],
  ["rfind", found(true, false)],
  ["index", found(false, true)],
  ["rindex", found(true, true)],
  ["startswith", edge(false)],
  ["endswith", edge(true)],
  ["join", takes("iterable", join)],
  ["zfill", takes("width", zfill)],
  ["translate", takes("table", translate)],
  ["format", (s, call, rt) => braceFormat(s, call, rt)],
  [
    "splitlines",
    takes("keepends?", (s, [keep], { budget }) => {
      const lines = splitLines(s, flag(keep), budget);
      budget.step(lines.length);
      return list(lines);
    }),
  ],
  [
    "replace",
    takes("old new count?", (s, [old, by, max], { budget }) => replace(s, textOf(old), textOf(by), sizeArgument(max, -1), budget)),
  ],
  [
    "count",
    takes("sub start? end?", (s, [needle, start, end], { budget }) => {
      const within = part(s, start, end, budget);
      return BigInt(within === undefined ? 0 : count(within, textOf(needle), budget));
    }),
  ],
  ["expandtabs", takes("tabsize?", (s, [size], { budget }) => expandTabs(s, sizeArgument(size, 8), budget))],
]);
