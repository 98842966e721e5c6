/** The linear-time engine against the host's backtracking one, where that finishes; what it refuses; and its work on long texts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../../src/errors.ts";
import { Regex } from "../../../src/text/regex/regex.ts";

function matches(source: string, text: string, lines = false): [number, number][] {
  const found: [number, number][] = [];
  new Regex(source, { lines }).forEach(text, 0, text.length, (from, to) => found.push([from, to]));
  return found;
}

/** The host's matches, less empty ones where the match before ended, which engines for tokenizers leave out. */
function hostMatches(source: string, text: string, flags = "gu"): [number, number][] {
  const all = [...text.matchAll(new RegExp(source, flags))].map((m): [number, number] => [m.index, m.index + m[0].length]);
  return all.filter(([from, to], i) => from < to || i === 0 || all[i - 1][1] !== from);
}

const pieces = (source: string, text: string): string[] => matches(source, text).map(([from, to]) => text.slice(from, to));

const atom = fc.constantFrom(
  "a",
  "b",
  "c",
  ".",
  "[ab]",
  "[^a]",
  "\\s",
  "\\n",
  "\\p{L}",
  "\\p{N}",
  "é",
  "你",
  "(?=b)",
  "(?!a)",
  "(?<=a)",
  "(?<!b)",
  "^",
  "$",
);
const { pattern } = fc.letrec<{ pattern: string; term: string; solid: string }>(tie => ({
  // The host gives up an optional round that matched nothing, which other engines do not: what repeats here takes a character.
  solid: fc
    .tuple(tie("pattern"), fc.constantFrom("a", "b", "."), tie("pattern"))
    .map(([before, char, after]) => `(?:${before})${char}(?:${after})`),
  term: fc.oneof(
    { maxDepth: 3 },
    atom,
    tie("pattern").map(inner => `(?:${inner})`),
    fc
      .tuple(tie("solid"), fc.constantFrom("*", "+", "?", "*?", "+?", "??", "{0,2}", "{2}", "{1,3}?"))
      .map(([inner, times]) => `(?:${inner})${times}`),
    tie("pattern").map(inner => `(?=${inner})`),
    tie("pattern").map(inner => `(?!${inner})`),
  ),
  pattern: fc
    .array(
      fc.array(tie("term"), { minLength: 1, maxLength: 3 }).map(terms => terms.join("")),
      { minLength: 1, maxLength: 3 },
    )
    .map(list => list.join("|")),
}));
// Pairs of surrogates are tested on their own: the host finds empty matches between the halves.
const text = fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "\n", "é", "你", "1"), maxLength: 14 });

describe("Regex", () => {
  it("finds what the host finds, for random expressions and texts", () => {
    fc.assert(
      fc.property(pattern, text, (source, input) => {
        // More kinds of look-behind than the engine takes.
        fc.pre((source.match(/\^|\(\?<[=!]/g) ?? []).length <= 8);
        expect(matches(source, input)).toEqual(hostMatches(source, input));
      }),
      { numRuns: 3000 },
    );
  });

  it("takes the first alternative that leads to a match, not the longest", () => {
    expect(pieces("a|ab", "ab")).toEqual(["a"]);
    expect(pieces("(?:a|ab)c", "abc")).toEqual(["abc"]);
    expect(pieces("(?:a?)*b|(?:a??)*", "aab aa")).toEqual(["aab", "aa"]);
    expect(pieces("a+?", "aaa")).toEqual(["a", "a", "a"]);
    expect(pieces("\\s+(?!\\S)|\\s+", "a   b  ")).toEqual(["  ", " ", "  "]);
    expect(pieces("\\d{1,3}(?=(?:\\d{3})*\\b)", "1234567 89")).toEqual(["1", "234", "567", "89"]);
  });

  it("takes possessive loops and atomic groups over a class as they are", () => {
    expect(pieces("a++b|a", "aab aac")).toEqual(["aab", "a", "a"]);
    expect(pieces("a++ab", "aaab")).toEqual([]);
    expect(pieces("a?+ab", "aab ab")).toEqual(["aab"]);
    expect(pieces("a{1,2}+b|a", "aaab")).toEqual(["a", "aab"]);
    expect(pieces("(?>a*)b", "aab")).toEqual(["aab"]);
  });

  it("folds case in groups that ask for it, long s and Kelvin sign included", () => {
    expect(pieces("(?i:'s|k)", "'S 's 'ſ K \u212a k 't")).toEqual(["'S", "'s", "'ſ", "K", "\u212a", "k"]);
    expect(pieces("(?i)ab|c", "aB C")).toEqual(["aB", "C"]);
    expect(pieces("(?i:[^a])", "aAb")).toEqual(["b"]);
  });

  it("knows classes, their difference and the names of scripts", () => {
    expect(pieces("[\\p{L}&&[^\\p{Han}]]+", "ab你c")).toEqual(["ab", "c"]);
    expect(pieces("\\p{Script=Han}+|\\p{Hangul}", "ab你好가")).toEqual(["你好", "가"]);
    expect(pieces("[]a-c\\-]+", "]-b d")).toEqual(["]-b"]);
    expect(pieces("[[:alpha:]_]+", "a_1")).toEqual(["a_"]);
    expect(pieces("\\P{L}+|\\p{^L}", "a12b")).toEqual(["12"]);
    expect(pieces("\\x41\\x{1F600}\\u0042", "A😀B")).toEqual(["A😀B"]);
  });

  it("has white space as Unicode has it", () => {
    expect(pieces("\\s", "\u0085\ufeff\u3000\t")).toEqual(["\u0085", "\u3000", "\t"]);
  });

  it("takes lines where asked to, and word boundaries", () => {
    expect(matches("^.", "a\nb")).toEqual([[0, 1]]);
    expect(matches("^.", "a\nb", true)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(matches("\\b", "ab é")).toEqual([
      [0, 0],
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
    expect(pieces("a\\Z", "aa\n")).toEqual(["a"]);
  });

  it("looks at nothing outside of its part of the text", () => {
    const found: number[][] = [];
    new Regex("(?<!a)b(?!c)|^b").forEach("abcab", 1, 2, (from, to) => found.push([from, to]));
    expect(found).toEqual([[1, 2]]);
  });

  it("finds the same in long texts, which it walks in blocks", () => {
    const long = "word 12345  \n\n😀 é, and (more) ".repeat(2000);
    const source = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    expect(matches(source, long)).toEqual(hostMatches(source, long));
    expect(matches("a+", "a".repeat(20_000))).toEqual([[0, 20_000]]);
    expect(matches("\\b\\w|😀", "😀a ".repeat(9000)).length).toBe(18_000);
  });

  it.each([
    ["(a+)+b", "a"],
    ["(a*)*b|a", "a"],
    ["(a|aa)+$|b", "a"],
    ["a*b|a*c|a", "a"],
    ["\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", " "],
    ["(?:(?:a?){9}){9}b|a", "a"],
  ])("reads a long text a bounded number of times: %s", (source, unit) => {
    const long = unit.repeat(200_000);
    let reads = 0;
    const counted = {
      length: long.length,
      charCodeAt: (at: number) => {
        reads++;
        return long.charCodeAt(at);
      },
    } as unknown as string;
    new Regex(source).forEach(counted, 0, long.length, () => undefined);
    expect(reads / long.length).toBeLessThan(12);
  });
});

describe("expressions that are refused", () => {
  it.each([
    "(a)\\1",
    "(?<=ab)c",
    "(?>a|ab)c",
    "\\R",
    "\\p{Nonsense}",
    "(?(1)a)",
    "(?x: a)",
    "a{1001}",
    `${"(".repeat(60)}a`,
    "(?:a{1000}){1000}",
  ])("%s is not supported", source => {
    expect(() => new Regex(source)).toThrow(expect.objectContaining({ code: "tokenizer.unsupported" }));
  });

  it("that tell more than a thousand kinds of characters apart", () => {
    const kinds = (n: number): string => Array.from({ length: n }, (_, i) => String.fromCodePoint(0x4e00 + i)).join("");
    const found: number[][] = [];
    new Regex(kinds(1000)).forEach(`x${kinds(1000)}x`, 0, 1002, (from, to) => void found.push([from, to]));
    expect(found).toEqual([[1, 1001]]);
    expect(() => new Regex(kinds(1001))).toThrow(expect.objectContaining({ code: "tokenizer.unsupported" }));
  });

  it.each(["(a", "a)", "[a", "*a", "a{2,1}", "[z-a]", "\\x{110000}", "\\p{L", "\\"])("%s is damaged", source => {
    expect(() => new Regex(source)).toThrow(expect.objectContaining({ code: "tokenizer.malformed" }));
  });

  it("any text is an expression or a typed error", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab()[]{}|*+?\\^$.-&<!=:ipLs1,"), maxLength: 20 }), text, (source, input) => {
        try {
          matches(source, input);
        } catch (error) {
          expect(error).toBeInstanceOf(LatheError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
