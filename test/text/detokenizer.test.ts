/** Ids back to text, whole and streamed: complete characters only, bad bytes as TextDecoder has them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteChars, byteLevel, byteText, englishMerges, englishPieces, metadata, pieces } from "./vocabularies.ts";

const bpe = tokenizerFromMetadata(
  metadata(
    byteLevel(englishMerges, [
      ["<|end|>", 3],
      ["<tööl>", 4],
      ["日本", 1],
    ]),
  ),
);
const spm = tokenizerFromMetadata(
  metadata(
    pieces(englishPieces, {
      special: [
        ["  ", 4],
        ["▁raw", 4],
      ],
    }),
  ),
);
const both = [
  ["gpt2", bpe],
  ["llama", spm],
] as const;

const idOfByte = (byte: number): number => bpe.id(byteChars[byte])!;

describe("bytes of a token", () => {
  it("are those that it adds to the output", () => {
    expect(new TextDecoder().decode(bpe.bytes(bpe.id("Ġworld")!))).toBe(" world");
    expect(new TextDecoder().decode(spm.bytes(spm.id("▁world")!))).toBe(" world");
    expect([...spm.bytes(spm.id("<0xF0>")!)]).toEqual([0xf0]);
    expect([...bpe.bytes(idOfByte(0xad))]).toEqual([0xad]);
  });

  it("are those of its text for tokens that are taken literally", () => {
    expect(bpe.decode([bpe.id("<tööl>")!])).toBe("<tööl>");
    expect(spm.decode([spm.id("▁raw")!])).toBe("▁raw");
    expect(bpe.decode([bpe.id("日本")!])).toBe("日本");
  });

  it("are none for control tokens, unless asked for", () => {
    const id = bpe.id("<|end|>")!;
    expect(bpe.bytes(id).length).toBe(0);
    expect(bpe.text(id)).toBe("<|end|>");
    expect(bpe.decode([id])).toBe("");
    expect(bpe.decode([id], { special: true })).toBe("<|end|>");
    expect(spm.decode([0, 1, 2])).toBe("");
  });

  it("cannot be changed from outside", () => {
    bpe.bytes(idOfByte(0x41)).fill(0);
    expect(bpe.decode([idOfByte(0x41)])).toBe("A");
  });

  it.each([-1, 1e9, 0.5, Number.NaN, Number.POSITIVE_INFINITY])("are none for the id %d outside of the vocabulary", id => {
    for (const [, tokenizer] of both) {
      expect([tokenizer.bytes(id).length, tokenizer.text(id), tokenizer.decode([id], { special: true })]).toEqual([0, "", ""]);
      expect([tokenizer.isControl(id), tokenizer.isEndOfGeneration(id)]).toEqual([false, false]);
    }
  });
});

describe("decoding", () => {
  it("turns any bytes into what TextDecoder makes of them", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc0, 0xc3, 0xe0, 0xed, 0xa0, 0xef, 0xbb, 0xf0, 0x9f, 0x90, 0xf4, 0x8f, 0xf5, 0xff), {
        maxLength: 12,
      }),
    );
    fc.assert(
      fc.property(bytes, list => {
        const wanted = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(list));
        expect(bpe.decode([...list].map(idOfByte))).toBe(wanted);
      }),
      { numRuns: 3000 },
    );
  });

  it("keeps a byte order mark", () => {
    expect(bpe.decode(bpe.encode("\ufeffa"))).toBe("\ufeffa");
  });

  it.each(both)("%s: streams the same text in whole characters", (_kind, tokenizer) => {
    const ids = fc.array(fc.nat(tokenizer.size + 2), { maxLength: 60 });
    const texts = fc.string({ unit: "grapheme", maxLength: 40 }).map(text => [...tokenizer.encode(text)]);
    fc.assert(
      fc.property(fc.oneof(ids, texts), fc.boolean(), fc.boolean(), (list, special, continued) => {
        const stream = tokenizer.detokenizer({ special, continued });
        const streamed = [...list.map(id => stream.push(id)), stream.end()];
        expect(streamed.join("")).toBe(tokenizer.decode(list, { special, continued }));
        expect(streamed.filter(piece => /\p{Cs}/u.test(piece))).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("holds an unfinished character back, and gives it up at the end", () => {
    const stream = bpe.detokenizer();
    const ids = [...byteText("é😀")].map(char => bpe.id(char)!);
    expect(ids.map(id => stream.push(id))).toEqual(["", "é", "", "", "", "😀"]);
    expect([stream.push(ids[2]), stream.push(ids[3]), stream.end(), stream.end()]).toEqual(["", "", "\ufffd", ""]);
    expect([stream.push(ids[2]), stream.push(idOfByte(0x41))]).toEqual(["", "\ufffdA"]);
  });

  it("takes off the first space of each stretch", () => {
    const stream = spm.detokenizer();
    const [the, world, space] = ["▁the", "▁world", "▁"].map(text => spm.id(text)!);
    expect([stream.push(1), stream.push(the), stream.push(world), stream.end()]).toEqual(["", "the", " world", ""]);
    expect([stream.push(space), stream.push(the), stream.end()]).toEqual(["", " the", ""]);
  });
});
