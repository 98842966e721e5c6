/** SentencePiece encoding with small vocabularies: ids, the space before a text, fallbacks, and random vocabularies against the slow way. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteTokens, englishPieces, type Fields, metadata, pieces } from "./vocabularies.ts";

const make = (fields: Fields) => tokenizerFromMetadata(metadata(fields));
const english = make(pieces(englishPieces));
const texts = (tokenizer: typeof english, text: string, special = false): string[] =>
  [...tokenizer.encode(text, { bos: false, special })].map(id => tokenizer.text(id));

const anyText = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 80 }),
  fc.string({ unit: fc.constantFrom(..."ab  \n▁the wordl1é😀"), maxLength: 80 }),
);
/** What the space rules and UTF-8 lose: U+2581 is a space. */
const lossy = (text: string): string => text.replace(/\p{Cs}/gu, "\ufffd").replaceAll("▁", " ");

describe("SentencePiece encoding", () => {
  it("merges by score, with a space before the text", () => {
    expect(texts(english, "the world and")).toEqual(["▁the", "▁world", "▁and"]);
    expect(texts(english, " the")).toEqual(["▁", "▁the"]);
    expect(texts(english, "hello")).toEqual(["▁hello"]);
    expect(texts(english, "")).toEqual([]);
    expect([...english.encode("the")]).toEqual([1, english.id("▁the")]);
  });

  it("writes characters without a token as bytes, or as the unknown token, or not at all", () => {
    expect(texts(english, "the é😀")).toEqual(["▁the", "▁", "é", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]);
    const bare = pieces(englishPieces, { bytes: false });
    expect(texts(make(bare), "the 😀ü")).toEqual(["▁the", "▁", "<unk>", "<unk>"]);
    expect(texts(make({ ...bare, unknown_token_id: 2 ** 32 - 1 }), "the 😀")).toEqual(["▁the", "▁"]);
  });

  it("uses byte tokens only if a character has all of its own", () => {
    const fields = pieces(englishPieces);
    const tokens = (fields["tokens"] as string[]).map(text => (text === "<0x98>" ? "gone" : text));
    expect(texts(make({ ...fields, tokens }), "😀€")).toEqual(["▁", "<unk>", "<0xE2>", "<0x82>", "<0xAC>"]);
  });

  it("finds characters that stand in tokens only", () => {
    const tokenizer = make(
      pieces([
        ["▁", 0],
        ["xyz", -1],
        ["xy", -2],
        ["z", -3],
      ]),
    );
    expect(texts(tokenizer, "xyzy")).toEqual(["▁", "xyz", "<0x79>"]);
  });

  it("lets tokens reach over a space", () => {
    const tokenizer = make(
      pieces([
        ["▁", 0],
        ["a", -1],
        ["b", -2],
        ["a▁", -3],
        ["a▁b", -4],
        ["😀▁", -5],
        ["😀", -6],
      ]),
    );
    expect(texts(tokenizer, "a b a")).toEqual(["▁", "a▁b", "▁", "a"]);
    expect(texts(tokenizer, "😀 b")).toEqual(["▁", "😀▁", "b"]);
  });

  it("decodes what it encodes, but for the first space", () => {
    fc.assert(
      fc.property(anyText, text => {
        expect(english.decode(english.encode(text))).toBe(lossy(text));
      }),
      { numRuns: 500 },
    );
    expect(english.decode(english.encode("  the"))).toBe("  the");
  });

  it("keeps the first space of ids that continue a text", () => {
    const ids = [english.id("▁the")!, english.id("▁world")!];
    expect(english.decode(ids)).toBe("the world");
    expect(english.decode(ids, { continued: true })).toBe(" the world");
    expect(english.decode([1, ...ids], { special: true })).toBe("<s> the world");
  });

  it("puts no space before a text where the file says so", () => {
    const tokenizer = make(pieces(englishPieces, { fields: { add_space_prefix: false } }));
    expect(texts(tokenizer, "the the")).toEqual(["the", "▁the"]);
    expect(tokenizer.decode(tokenizer.encode(" the"))).toBe(" the");
  });

  it("puts a space after special tokens too", () => {
    expect(texts(english, "the</s>the", true)).toEqual(["▁the", "</s>", "▁the"]);
    expect(texts(english, "</s>", true)).toEqual(["</s>"]);
  });

  it("does not spell byte tokens or control tokens from text", () => {
    const list = ["<", "s", ">", "<s", "<0x", "41", ">", "<0x41"].map((text, i) => [text, -i] as const);
    const tokenizer = make(pieces([["▁", 0], ...list]));
    expect(texts(tokenizer, "<s>")).toEqual(["▁", "<s", ">"]);
    expect(tokenizer.decode(tokenizer.encode("<0x41>"))).toBe("<0x41>");
  });

  it("merges random vocabularies as the slow way does", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "▁", "é", "😀"), minLength: 1, maxLength: 5 });
    const lists = fc.uniqueArray(fc.tuple(text, fc.integer({ min: -4, max: 0 })), { maxLength: 30, selector: row => row[0] });
    const words = fc.string({ unit: fc.constantFrom("a", "b", " ", "é", "😀", "c"), maxLength: 70 });
    fc.assert(
      fc.property(lists, words, fc.boolean(), (list, given, prefix) => {
        const tokenizer = make(pieces(list, { fields: { add_space_prefix: prefix } }));
        const whole = given === "" ? "" : (prefix ? " " : "") + given;
        expect(texts(tokenizer, given)).toEqual(slowly(new Map(list), whole.replaceAll(" ", "▁")));
      }),
      { numRuns: 1000 },
    );
  });
});

function slowly(scores: ReadonlyMap<string, number>, text: string): string[] {
  const parts = [...text];
  for (;;) {
    let best = -1;
    let highest = Number.NEGATIVE_INFINITY;
    for (let at = 0; at + 1 < parts.length; at++) {
      const score = scores.get(parts[at] + parts[at + 1]);
      if (score !== undefined && score > highest) [best, highest] = [at, score];
    }
    if (best < 0) break;
    parts.splice(best, 2, parts[best] + parts[best + 1]);
  }
  return parts.flatMap(part =>
    scores.has(part) ? [part] : [...new TextEncoder().encode(part === "▁" ? " " : part)].map(byte => byteTokens[byte]),
  );
}
