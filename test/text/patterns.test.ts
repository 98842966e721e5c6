/** Every pre-tokenizer by name against its expressions as the reference has them, run by the host on small texts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Sink } from "../../src/text/split/steps.ts";
import { preTokenizer, stepsOf } from "../../src/text/split/table.ts";

const blank = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const CI = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const TAIL = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const UP = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOW = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const QWEN2 = `${CI}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${TAIL}`;
const GPT4O =
  `[^\\r\\n\\p{L}\\p{N}]?${UP}*${LOW}+(?:${CI})?|[^\\r\\n\\p{L}\\p{N}]?${UP}+${LOW}*(?:${CI})?|\\p{N}{1,3}|` +
  ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n\\/]*|${TAIL}`;
const ONE_LINE = "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
const HAN = "\\p{Script=Han}";
const kimiWord = (open: string, close: string): string => `[^\\r\\n\\p{L}\\p{N}]?${open}${close}(?:${CI})?`;
const bare = (letters: string): string => `(?:(?!${HAN})${letters})`;

const expressions: readonly (readonly [names: string, sources: readonly string[]])[] = [
  ["deepseek-coder", ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥\\u0800-一가-\\ud7ff]+", "\\p{N}"]],
  ["bloom gpt3-finnish poro-chat", [" ?[^(\\s|.,!?…。，、।۔،)]+"]],
  ["viking", [" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}"]],
  ["superbpe", ["\\p{N}+", "(?=(?:\\p{Nd}{3})+(?!\\p{Nd}))"]],
  [
    "chameleon",
    ["<sentinel:[0-9]+>", "(?:IMGIMG)(?:(?:A|B|C|D|E|F|G|H|I){1,4})Z", "[\\t\\n]|    |  ", "\\p{N}", "[\\p{P}$+<=>^~|`]+", GPT2],
  ],
  [
    "kimi-k2",
    [
      `${HAN}+|${kimiWord(`${bare(UP)}*`, `${bare(LOW)}+`)}|${kimiWord(`${bare(UP)}+`, `${bare(LOW)}*`)}|\\p{N}{1,3}|` +
        ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${TAIL}`,
    ],
  ],
  ["minicpm5", ["\\p{N}{1,3}", QWEN2.replace("|\\p{N}|", "|\\p{N}+|")]],
  [
    "youtu",
    ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\\u3040-ゟ゠-ヿ]+", GPT4O.replaceAll(`(?:${CI})?`, "").replace("{1,3}", "")],
  ],
  ["seed-coder", [QWEN2.replace("[^\\s\\p{L}\\p{N}]+[\\r\\n]*", "[^\\s\\p{L}\\p{N}\\r\\n]+")]],
  ["bailingmoe bailingmoe2 llada-moe", [QWEN2.replace(TAIL, ONE_LINE)]],
  ["laguna", ["[^\\n]+|[\\n]+", QWEN2]],
  [
    "exaone-moe",
    [`${CI}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n\\/]?|${ONE_LINE}`],
  ],
  [
    "granite-embed-multi-97m",
    [GPT4O.replaceAll("[^\\r\\n\\p{L}\\p{N}]", "[^\\r\\n\\p{L}\\p{M}\\p{N}]").replace("[^\\s\\p{L}\\p{N}]", "[^\\s\\p{L}\\p{M}\\p{N}]")],
  ],
  ["gemma4 granite-embed-multi-311m sarvam-moe", ["[^\\n]+|[\\n]+"]],
  ["whitespace", ["\\S+"]],
];

function regex(source: string): RegExp {
  const inClass = source.replaceAll("[^\\s", `[^${blank}`).replaceAll("[^(\\s", `[^(${blank}`);
  return new RegExp(inClass.replaceAll("\\s", `[${blank}]`).replaceAll("\\S", `[^${blank}]`), "gu");
}

function split(sources: readonly RegExp[], text: string): string[] {
  return sources.reduce(
    (pieces, source) =>
      pieces.flatMap(piece => {
        const found: string[] = [];
        let at = 0;
        for (const match of piece.matchAll(source)) {
          found.push(piece.slice(at, match.index), match[0]);
          at = match.index + match[0].length;
        }
        return [...found, piece.slice(at)].filter(part => part !== "");
      }),
    [text],
  );
}

/** What splits a text by the pre-tokenizer of that name. */
function splitter(name: string): (text: string) => string[] {
  let found: string[] = [];
  const last: Sink = (part, start, end) => {
    if (start < end) found.push(part.slice(start, end));
  };
  const sink = stepsOf(preTokenizer(name)).reduceRight((next, step) => step(next), last);
  return text => {
    found = [];
    sink(text, 0, text.length, true);
    return found;
  };
}

const pieces = (name: string, text: string): string[] => splitter(name)(text);

const units = [..."aabStTreREvVmMlLdDsZ'''  \t\n\r\n\u0085\u00a0\u3000.,!/$+`<(|0123456789½٣éßЖжǅʰ你好か가ㄅ！…ا\u0301\u0903"];
const texts = fc.array(fc.constantFrom(...units, "IMGIMGAZ", "<sentinel:12>", "  ", "12345"), { maxLength: 40 }).map(list => list.join(""));

describe.each(expressions.flatMap(([names, sources]) => names.split(" ").map(name => [name, sources] as const)))("%s", (name, sources) => {
  it("splits as its expressions do", () => {
    const ours = splitter(name);
    const theirs = sources.map(regex);
    fc.assert(
      fc.property(texts, text => {
        expect(ours(text)).toEqual(split(theirs, text));
      }),
      { numRuns: 300 },
    );
  });
});

describe("pre-tokenizers with words of their own", () => {
  it("groups digits from the right", () => {
    expect(pieces("tiny_aya", "1234567 89a 123")).toEqual(["1", "234", "567", " ", "89", "a", " ", "123"]);
    expect(pieces("afmoe", "1234567x12x123x1234")).toEqual(["1", "234", "567", "x", "12", "x", "123", "x", "1", "234"]);
  });

  it("cuts runs of white space into powers of two", () => {
    expect(pieces("jais-2", `a${" ".repeat(14)}b`).map(piece => piece.length)).toEqual([1, 8, 4, 1, 2]);
    expect(pieces("jais-2", "a  ")).toEqual(["a", "  "]);
  });

  it("takes letters of the listed scripts together", () => {
    expect(pieces("deepseek-llm", "ab Жж你好 12\n!")).toEqual(["ab", " Жж", "你好", " ", "12", "\n", "!"]);
    expect(pieces("afmoe", "ab你好เ")).toEqual(["ab", "你好เ"]);
  });
});
