/** The work of whole encodings, counted in look-ups and heap entries per unit of text, does not grow with the text, whatever it repeats. */
import { afterAll, describe, expect, it } from "vitest";
import { Heap } from "../../src/text/heap.ts";
import { PairTable } from "../../src/text/pair-table.ts";
import { tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteLevel, englishMerges, englishPieces, metadata, pieces } from "./vocabularies.ts";

const doubled = (unit: string): string[] => Array.from({ length: 7 }, (_, i) => `${unit.repeat(2 ** i)} ${unit.repeat(2 ** i)}`);
const merges = [...englishMerges, ...doubled("a"), ...doubled("^").reverse(), ...doubled("Ġ"), ...doubled("0")];
const runs = ["a", "^", "▁", "0"].flatMap(unit => Array.from({ length: 7 }, (_, i) => [unit.repeat(2 ** i), -50 - i] as const));
const whiteSpace = Array.from({ length: 30 }, (_, i) => ["\n".repeat(i + 2), 4] as const);

const spaceMerges = doubled("▁").map(pair => pair.replace("Ġ", "▁"));

const tokenizers = [
  ["gpt-2", tokenizerFromMetadata(metadata(byteLevel(merges, whiteSpace)))],
  ["llama-bpe", tokenizerFromMetadata(metadata(byteLevel(merges, whiteSpace, { pre: "llama-bpe" })))],
  ["deepseek-v3", tokenizerFromMetadata(metadata(byteLevel(merges, whiteSpace, { pre: "deepseek-v3" })))],
  ["jais-2", tokenizerFromMetadata(metadata(byteLevel(merges, whiteSpace, { pre: "jais-2" })))],
  ["tiny_aya", tokenizerFromMetadata(metadata(byteLevel(merges, whiteSpace, { pre: "tiny_aya" })))],
  [
    "gemma4",
    tokenizerFromMetadata(metadata(pieces(englishPieces, { special: whiteSpace, fields: { model: "gemma4", merges: spaceMerges } }))),
  ],
  [
    "t5",
    tokenizerFromMetadata(
      metadata(pieces([...englishPieces, ...runs], { special: whiteSpace, fields: { model: "t5", add_eos_token: false } })),
    ),
  ],
  ["plamo2", tokenizerFromMetadata(metadata(pieces([...englishPieces, ...runs], { special: whiteSpace, fields: { model: "plamo2" } })))],
  ["rwkv", tokenizerFromMetadata(metadata(pieces([...englishPieces, ...runs], { fields: { model: "rwkv" } })))],
  ["bert", tokenizerFromMetadata(metadata(pieces([...englishPieces, ...runs], { fields: { model: "bert" } })))],
  ["llama", tokenizerFromMetadata(metadata(pieces([...englishPieces, ...runs], { special: whiteSpace })))],
] as const;

const patterns = ["a", "^", " ", "\n", "0", "😀", "ü", "你", "ab", "a ", " \n", "'s", "aA", "<s>", "<|", "\u0301", "\ud800", "▁", "the "];

/** Everything that encoding does more than once per unit of text goes through one of these. */
let work = 0;
const { find } = PairTable.prototype;
const { push } = Heap.prototype;
PairTable.prototype.find = function (left, right) {
  work++;
  return find.call(this, left, right);
};
Heap.prototype.push = function (rank, position) {
  work++;
  push.call(this, rank, position);
};
afterAll(() => {
  PairTable.prototype.find = find;
  Heap.prototype.push = push;
});

describe.each(tokenizers)("%s", (name, tokenizer) => {
  it.each(patterns)("encodes a long run of %j", pattern => {
    for (const units of [3000, 100_000]) {
      const text = pattern.repeat(units / pattern.length);
      work = 0;
      tokenizer.encode(text, { special: true });
      // Three bytes a unit with three look-ups and entries each, the thirty tokens of white space that start at each, or the seventy
      // units of the longest token that a tree is walked along.
      expect(work / text.length).toBeLessThan(110);
    }
  });

  it.skipIf(["bert", "rwkv"].includes(name))("decodes a long run as it was", () => {
    const text = "a".repeat(300_000);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});
