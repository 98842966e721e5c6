/** The hand-written scanners against the regular expressions that they replace, run by the host on small texts; and their reading in linear time. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deepseek3 } from "../../src/text/split/deepseek3.ts";
import { gpt2 } from "../../src/text/split/gpt2.ts";
import { gpt4o } from "../../src/text/split/gpt4o.ts";
import { llama3 } from "../../src/text/split/llama3.ts";
import { eastAsian, numbers, punctuation, threeDigits } from "../../src/text/split/runs.ts";
import type { Scanner } from "../../src/text/split/scanner.ts";
import { preTokenizer, preTokenizerNames } from "../../src/text/split/table.ts";

const blank = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const contraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const up = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const low = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";

/** `\s` inside and outside of classes becomes Unicode White_Space. */
function regex(source: string): RegExp {
  const named = source
    .replaceAll("CI", contraction)
    .replaceAll("TAIL", "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
    .replaceAll("Lo", low)
    .replaceAll("Up", up);
  const inClass = named.replaceAll("[^\\s", `[^${blank}`);
  return new RegExp(inClass.replaceAll("\\s", `[${blank}]`).replaceAll("\\S", `[^${blank}]`), "gu");
}

const gpt2Source = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3Source = "CI|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|TAIL";
const gpt4oSource =
  "[^\\r\\n\\p{L}\\p{N}]?Up*Lo+(?:CI)?|[^\\r\\n\\p{L}\\p{N}]?Up+Lo*(?:CI)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|TAIL";
const deepseekSource = "[!-\\/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|TAIL";

const scanners: readonly (readonly [string, Scanner, RegExp])[] = [
  ["gpt2", gpt2, regex(gpt2Source)],
  ["llama3", llama3(3), regex(llama3Source)],
  ["qwen2", llama3(1), regex(llama3Source.replace("{1,3}", ""))],
  ["qwen35", llama3(1, true), regex("CI|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|TAIL")],
  ["gpt4o", gpt4o(3, true), regex(gpt4oSource)],
  ["tekken", gpt4o(1, false), regex(gpt4oSource.replaceAll("(?:CI)?", "").replace("{1,3}", ""))],
  ["deepseek3", deepseek3, regex(deepseekSource)],
  ["numbers(1)", numbers(1), /\p{N}/gu],
  ["numbers(3)", numbers(3), /\p{N}{1,3}/gu],
  ["numbers(any)", numbers(Number.POSITIVE_INFINITY), /\p{N}+/gu],
  ["three digits", threeDigits, /[0-9][0-9][0-9]/gu],
  ["punctuation", punctuation("$+<=>^~|`"), /[\p{P}$+<=>^~|`]+/gu],
  ["east asian", eastAsian, /[一-龥\u3040-ゟ゠-ヿ]+/gu],
];

/** Scanners take a lone surrogate as U+FFFD, which is what it is encoded as. */
const wellFormed = (text: string): string => text.replace(/\p{Cs}/gu, "\ufffd");

/** What the matches of an expression leave between them stays as pieces. */
function split(expression: RegExp, text: string): string[] {
  const found: string[] = [];
  let at = 0;
  for (const match of text.matchAll(expression)) {
    if (match.index > at) found.push(text.slice(at, match.index));
    found.push(match[0]);
    at = match.index + match[0].length;
  }
  return at < text.length ? [...found, text.slice(at)] : found;
}

function scan(scanner: Scanner, text: string, from = 0, end = text.length): string[] {
  const found: string[] = [];
  for (let at = from; at < end; ) {
    const stop = scanner(text, at, end);
    if (stop <= at || stop > end) throw new Error(`the scanner went from ${at} to ${stop} of ${end}`);
    found.push(text.slice(at, stop));
    at = stop;
  }
  return found;
}

/** Units that the expressions tell apart, in small numbers so that combinations come up. */
const units = [..."aabStTreREvVmMlLdDsZ'''  \t\n\r\n\u0085\u00a0\u3000\ufeff.,!/$+`<0123456789½٣"].concat([
  "é",
  "ß",
  "Ж",
  "ж",
  "ǅ",
  "ʰ",
  "你",
  "か",
  "カ",
  "가",
  "ا",
  "\u0301",
  "\u0903",
  "😀",
  "𝐀",
  "𐐨",
  "𝟘",
  "\u0000",
  "\u200d",
  "\ue000",
  "\ud800",
  "\udc00",
]);
const texts = fc.array(fc.constantFrom(...units), { maxLength: 40 }).map(list => list.join(""));

describe.each(scanners)("%s", (_name, scanner, expression) => {
  it("splits as its regular expression does", () => {
    fc.assert(
      fc.property(texts, text => {
        expect(scan(scanner, text).map(wellFormed)).toEqual(split(expression, wellFormed(text)));
      }),
      { numRuns: 3000 },
    );
  });

  it("splits any Unicode text as its regular expression does", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), text => {
        expect(scan(scanner, text).map(wellFormed)).toEqual(split(expression, wellFormed(text)));
      }),
      { numRuns: 500 },
    );
  });

  it("looks at nothing outside of its piece", () => {
    fc.assert(
      fc.property(texts, texts, texts, (before, text, after) => {
        // Halves of a pair that meet at the border would be one character of the whole text.
        fc.pre(!/[\ud800-\udbff]$/.test(before) || !/^[\udc00-\udfff]/.test(text));
        const from = before.length;
        expect(scan(scanner, before + text + after, from, from + text.length)).toEqual(scan(scanner, text));
      }),
    );
  });

  it.each([
    "a",
    "A",
    "aA",
    "你A",
    " ",
    "\n",
    " \n",
    "\n ",
    "\t",
    "1",
    "12 ",
    ".",
    "'",
    "'s",
    "\u0301",
    "😀",
    "\u0000",
    "\u0000a",
    "\ud800",
  ])("reads a long run of %j a bounded number of times", pattern => {
    const text = pattern.repeat(20_000) + "\nx" + pattern.repeat(1000);
    let reads = 0;
    const read = <T>(char: T): T => {
      reads++;
      return char;
    };
    const counted = {
      length: text.length,
      charCodeAt: (at: number) => read(text.charCodeAt(at)),
      charAt: (at: number) => read(text.charAt(at)),
    } as unknown as string;
    for (let at = 0; at < text.length; ) at = scanner(counted, at, text.length);
    expect(reads / text.length).toBeLessThan(24);
  });
});

describe("the table of names", () => {
  it("knows the names of the large families", () => {
    const wanted = ["gpt-2", "llama-bpe", "qwen2", "qwen35", "smollm", "gpt-4o", "tekken", "deepseek-v3", "falcon", "default"];
    expect(wanted.filter(name => !preTokenizerNames.includes(name))).toEqual([]);
    expect(new Set(preTokenizerNames).size).toBe(preTokenizerNames.length);
  });

  it("says which names ignore merges and add BOS", () => {
    expect(preTokenizer("llama-bpe")).toMatchObject({ ignoreMerges: true, addBos: true });
    expect(preTokenizer("qwen2")).toMatchObject({ ignoreMerges: false, addBos: false });
  });

  it.each(["", "klingon", "__proto__", "constructor", "GPT-2"])("refuses the unknown name %j", name => {
    expect(() => preTokenizer(name)).toThrow(expect.objectContaining({ code: "tokenizer.unsupported", details: { name } }));
  });
});
