/** Byte-level byte-pair encoding with small vocabularies: ids, round trips, and random merges against the slow way. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteChars, byteLevel, byteText, englishMerges, type Fields, metadata } from "./vocabularies.ts";

const make = (fields: Fields) => tokenizerFromMetadata(metadata(fields));
const english = make(byteLevel(englishMerges, [["<|endoftext|>", 3]]));
const texts = (tokenizer: typeof english, text: string): string[] => [...tokenizer.encode(text)].map(id => tokenizer.text(id));

const anyText = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 80 }),
  fc.string({ unit: fc.constantFrom(..."ab \n'shelo wrd1é😀"), maxLength: 80 }),
);
const lossy = (text: string): string => text.replace(/\p{Cs}/gu, "\ufffd");

describe("byte-level BPE", () => {
  it("merges words with the space before them", () => {
    expect(texts(english, "hello world and the")).toEqual(["hello", "Ġworld", "Ġand", "Ġthe"]);
    expect(texts(english, "café")).toEqual(["cafÃ©"]);
    expect(texts(english, "hello  world")).toEqual(["hello", "Ġ", "Ġworld"]);
    expect(texts(english, "123123")).toEqual(["123", "123"]);
  });

  it("writes what no merge makes as single bytes", () => {
    expect(texts(english, "😀")).toEqual([...byteText("😀")]);
    expect(english.encode("")).toEqual(new Int32Array(0));
  });

  it("decodes what it encodes", () => {
    fc.assert(
      fc.property(anyText, text => {
        expect(english.decode(english.encode(text))).toBe(lossy(text));
      }),
      { numRuns: 500 },
    );
  });

  it("takes a lone surrogate as U+FFFD", () => {
    expect(english.decode(english.encode("a\ud800b\udc00"))).toBe("a\ufffdb\ufffd");
  });

  it("encodes a text the same the second time, when its pieces are known", () => {
    fc.assert(
      fc.property(anyText, text => {
        const fresh = make(byteLevel(englishMerges, [["<|endoftext|>", 3]]));
        expect(english.encode(text)).toEqual(fresh.encode(text));
        expect(fresh.encode(text)).toEqual(fresh.encode(text));
      }),
      { numRuns: 30 },
    );
  });

  it("counts without BOS and EOS", () => {
    const both = make(
      byteLevel(englishMerges, [["<s>", 3]], { bos_token_id: 278, eos_token_id: 278, add_bos_token: true, add_eos_token: true }),
    );
    expect(both.text(278)).toBe("<s>");
    expect([...both.encode("hello")]).toEqual([278, both.id("hello"), 278]);
    expect([...both.encode("hello", { bos: false, eos: false })]).toEqual([both.id("hello")]);
    expect(both.count("hello")).toBe(1);
  });
});

describe("the list of merges", () => {
  it("takes the whole piece where the pre-tokenizer says so", () => {
    const fields = byteLevel(["a b"], [["Ġabba", 1]], { add_bos_token: false });
    expect(texts(make({ ...fields, pre: "gpt-2" }), " abba")).toEqual(["Ġ", "ab", "b", "a"]);
    expect(texts(make({ ...fields, pre: "llama-bpe" }), " abba")).toEqual(["Ġabba"]);
  });

  it("never takes a control token for a whole piece", () => {
    const fields = byteLevel([], [["secret", 3]], { add_bos_token: false, pre: "llama-bpe" });
    expect(texts(make(fields), "secret")).toEqual([..."secret"]);
  });

  it("applies merges through texts that no token has, and falls back to bytes at the end", () => {
    const fields = byteLevel(["a b", "ab c"]);
    const tokens = (fields["tokens"] as string[]).filter(text => text !== "ab");
    const tokenizer = make({ ...fields, tokens, token_type: undefined });
    expect(texts(tokenizer, "abc")).toEqual(["abc"]);
    expect(texts(tokenizer, "abab")).toEqual(["a", "b", "a", "b"]);
  });

  it("counts the first of equal merges, and passes over a merge with nothing", () => {
    const tokenizer = make(byteLevel(["b c", "a b", "b c", "x "]));
    expect(texts(tokenizer, "abc")).toEqual(["a", "bc"]);
    expect(texts(tokenizer, "x x")).toEqual(["x", "Ġ", "x"]);
  });

  it("gives the unknown token, or nothing, for bytes without a token", () => {
    const tokens = [...byteChars.filter(char => char !== "z"), "<unk>"];
    const fields = { model: "gpt2", pre: "gpt-2", tokens, merges: [], token_type: tokens.map(text => (text === "<unk>" ? 2 : 1)) };
    expect(texts(make(fields), "az")).toEqual(["a"]);
    expect(texts(make({ ...fields, unknown_token_id: 255 }), "az")).toEqual(["a", "<unk>"]);
  });

  it("merges random lists as the slow way does", () => {
    const part = fc.constantFrom("a", "b", "Ġ", "ab", "ba", "aa", "bb", "Ġa", "aba", "Ã", "©", "Ã©", "abab");
    const lists = fc.uniqueArray(fc.tuple(part, part), { maxLength: 25, selector: pair => pair.join(" ") });
    const words = fc.string({ unit: fc.constantFrom("a", "b", " ", "é"), maxLength: 60 });
    fc.assert(
      fc.property(lists, words, (list, text) => {
        const tokenizer = make(byteLevel(list.map(pair => pair.join(" "))));
        const pieces = text.match(/ ?[abé]+| +(?![abé])| +/g) ?? [];
        expect(texts(tokenizer, text)).toEqual(pieces.flatMap(piece => slowly(list, byteText(piece))));
      }),
      { numRuns: 500 },
    );
  });
});

function slowly(merges: readonly (readonly [string, string])[], piece: string): string[] {
  const parts = [...piece];
  for (;;) {
    const rank = (at: number): number => {
      const found = merges.findIndex(([left, right]) => left === parts[at] && right === parts[at + 1]);
      return found < 0 ? Number.POSITIVE_INFINITY : found;
    };
    let best = 0;
    for (let at = 1; at + 1 < parts.length; at++) if (rank(at) < rank(best)) best = at;
    if (rank(best) === Number.POSITIVE_INFINITY) return parts;
    parts.splice(best, 2, parts[best] + parts[best + 1]);
  }
}
