/** Reading vocabularies: special ids, flags, end-of-generation tokens, and damaged files. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import { tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteLevel, englishMerges, englishPieces, type Fields, metadata, pieces } from "./vocabularies.ts";

const make = (fields: Fields) => tokenizerFromMetadata(metadata(fields));
const control = (...texts: string[]) =>
  byteLevel(
    [],
    texts.map(text => [text, 3] as const),
  );
const ends = (fields: Fields): string[] => {
  const tokenizer = make(fields);
  return Array.from({ length: tokenizer.size }, (_, id) => id)
    .filter(id => tokenizer.isEndOfGeneration(id))
    .map(id => tokenizer.text(id));
};

describe("special ids and flags", () => {
  it("are those of the kind where a SentencePiece file is silent", () => {
    expect(make(pieces(englishPieces))).toMatchObject({ kind: "llama", size: 259 + englishPieces.length, bos: 1, eos: 2, addBos: true });
  });

  it("are only control tokens where a byte-level file is silent", () => {
    expect(make(byteLevel([]))).toMatchObject({ kind: "gpt2", size: 256, bos: undefined, eos: undefined, addBos: false });
    const types = new Int32Array(257).fill(1);
    types[11] = 3;
    expect(make({ ...control("<s>"), token_type: types })).toMatchObject({ bos: 11, eos: 11 });
  });

  it("come from the file, as any kind of number, and are dropped out of range", () => {
    const fields = { ...control("<s>", "</s>"), bos_token_id: 256n, eos_token_id: 257, pre: "llama-bpe" };
    expect(make(fields)).toMatchObject({ bos: 256, eos: 257, addBos: true });
    expect(make({ ...fields, bos_token_id: 2 ** 32 - 1 })).toMatchObject({ bos: undefined, addBos: false });
    expect(make({ ...fields, bos_token_id: -1, eos_token_id: 1.5 })).toMatchObject({ bos: undefined, eos: undefined });
    expect(make({ ...fields, add_bos_token: false })).toMatchObject({ addBos: false });
  });

  it("are put around a text when asked for, if they are there", () => {
    const tokenizer = make({ ...control("<s>", "</s>"), bos_token_id: 256, eos_token_id: 257, add_bos_token: true });
    expect([...tokenizer.encode("", {})]).toEqual([256]);
    expect([...tokenizer.encode("", { bos: false, eos: true })]).toEqual([257]);
    const bare = make(byteLevel([]));
    expect(() => bare.encode("a", { bos: true })).toThrow(expect.objectContaining({ code: "option.invalid" }));
    expect(() => bare.encode("a", { eos: true })).toThrow(expect.objectContaining({ code: "option.invalid" }));
  });

  it("BOS is not doubled before a text that spells it", () => {
    const tokenizer = make({ ...control("<s>"), bos_token_id: 256, add_bos_token: true });
    const a = tokenizer.id("a");
    expect([...tokenizer.encode("<s>a", { special: true })]).toEqual([256, a]);
    expect([...tokenizer.encode("<s>a", { special: true, bos: true })]).toEqual([256, 256, a]);
    expect([...tokenizer.encode("<s>a")].slice(0, 2)).toEqual([256, tokenizer.id("<")]);
  });

  it("types are guessed where an old file has none", () => {
    const tokenizer = make({ ...pieces(englishPieces), token_type: undefined });
    expect([0, 1, 2, 3].map(id => tokenizer.isControl(id))).toEqual([true, true, true, false]);
    expect(tokenizer.decode(tokenizer.encode("the 😀"))).toBe("the 😀");
  });
});

describe("tokens that end a generation", () => {
  it("are the ids of the file and the known texts", () => {
    const fields = control("<s>", "<|im_end|>", "<|endoftext|>", "<odd>", "<|fim_pad|>", "<|im_start|>");
    expect(ends({ ...fields, eos_token_id: 259 })).toEqual(["<|im_end|>", "<|endoftext|>", "<odd>", "<|fim_pad|>"]);
    expect(ends({ ...fields, eot_token_id: 256, eom_token_id: 261 })).toContain("<s>");
  });

  it("are control tokens whatever the file says", () => {
    const tokenizer = make(
      byteLevel(
        [],
        [
          ["<|im_end|>", 4],
          ["</s>", 1],
        ],
      ),
    );
    expect([256, 257].map(id => tokenizer.isControl(id))).toEqual([true, true]);
    expect(tokenizer.encode("<|im_end|>").includes(256)).toBe(false);
  });

  it("leave out those that end one message of an answer", () => {
    expect(ends(control("<|return|>", "<|call|>", "<|end|>"))).toEqual(["<|return|>", "<|call|>"]);
    expect(ends(control("<|flush|>", "<|calls|>", "<|end|>"))).toEqual(["<|flush|>", "<|calls|>"]);
    expect(ends(control("<|tool_response>", "</s>"))).toEqual(["<|tool_response>"]);
    expect(ends(control("<|end|>"))).toEqual(["<|end|>"]);
  });
});

describe("texts and ids", () => {
  it("finds tokens by their texts, the lower of two, and no others", () => {
    const tokenizer = make(
      byteLevel(
        [],
        [
          ["twice", 1],
          ["twice", 1],
          ["__proto__", 1],
          ["", 1],
        ],
      ),
    );
    expect([tokenizer.id("twice"), tokenizer.id("__proto__"), tokenizer.id("")]).toEqual([256, 258, undefined]);
    expect([tokenizer.id("constructor"), tokenizer.id("hasOwnProperty")]).toEqual([undefined, undefined]);
    expect(tokenizer.decode(tokenizer.encode("__proto__ constructor"))).toBe("__proto__ constructor");
  });
});

describe("damaged vocabularies", () => {
  const good = byteLevel(englishMerges, [["<s>", 3]]);
  const spm = pieces(englishPieces);
  const cases: readonly (readonly [string, Fields, string])[] = [
    ["no tokenizer", { ...good, model: undefined }, "tokenizer.malformed"],
    ["a kind that is not known", { ...good, model: "klingon" }, "tokenizer.unsupported"],
    ["a kind named like a method", { ...good, model: "__proto__" }, "tokenizer.unsupported"],
    ["a pre-tokenizer that is not known", { ...good, pre: "klingon" }, "tokenizer.unsupported"],
    ["a kind that is no text", { ...good, model: 3 }, "tokenizer.malformed"],
    ["no tokens", { ...good, tokens: undefined }, "tokenizer.malformed"],
    ["an empty list of tokens", { ...good, tokens: [] }, "tokenizer.malformed"],
    ["tokens that are no texts", { ...good, tokens: ["a", 1] }, "tokenizer.malformed"],
    ["tokens that are no list", { ...good, tokens: "abc" }, "tokenizer.malformed"],
    ["no merges", { ...good, merges: undefined }, "tokenizer.malformed"],
    ["a merge that is no pair", { ...good, merges: ["ab"] }, "tokenizer.malformed"],
    ["an empty merge", { ...good, merges: [""] }, "tokenizer.malformed"],
    ["too few types", { ...good, token_type: new Int32Array(3) }, "tokenizer.malformed"],
    ["types that are no numbers", { ...good, token_type: (good["tokens"] as string[]).map(() => "x") }, "tokenizer.malformed"],
    ["no scores", { ...spm, scores: undefined }, "tokenizer.malformed"],
    ["too many scores", { ...spm, scores: new Float32Array(999) }, "tokenizer.malformed"],
    ["a score that is no number", { ...spm, scores: new Float32Array(259 + englishPieces.length).fill(Number.NaN) }, "tokenizer.malformed"],
    ["a flag that is no boolean", { ...good, add_bos_token: "yes" }, "tokenizer.malformed"],
    ["an id that is no number", { ...good, eos_token_id: "2" }, "tokenizer.malformed"],
    ["BOS wanted but absent", { ...good, add_bos_token: true }, "tokenizer.malformed"],
    ["EOS wanted but absent", { ...good, add_eos_token: true }, "tokenizer.malformed"],
  ];

  it.each(cases)("%s", (_what, fields, code) => {
    const given = metadata(fields);
    expect(() => tokenizerFromMetadata(given)).toThrow(expect.objectContaining({ name: "LatheError", code }));
  });

  it("give a typed error or a tokenizer that works", () => {
    const wild = fc.oneof(
      fc.constantFrom<unknown>(
        undefined,
        null,
        [],
        {},
        "",
        "llama",
        -1,
        Number.NaN,
        2n ** 64n,
        true,
        new Float64Array(5),
        new DataView(new ArrayBuffer(4)),
      ),
      fc.array(
        fc.constantFrom("", " ", "a", "a b", "a  b", " a b", "__proto__", "constructor", "▁", "<0xGG>", "<0x41>", "<s>", "\ud800", "😀"),
        {
          maxLength: 30,
        },
      ),
      fc.array(fc.oneof(fc.integer(), fc.double(), fc.bigInt()), { maxLength: 30 }),
    );
    const keys = fc.constantFrom("tokens", "token_type", "scores", "merges", "pre", "bos_token_id", "add_space_prefix", "general.name");
    fc.assert(
      fc.property(fc.constantFrom(good, spm), fc.array(fc.tuple(keys, wild), { minLength: 1, maxLength: 4 }), (base, changes) => {
        const fields = { ...base };
        for (const [key, value] of changes) fields[key] = value;
        try {
          const tokenizer = make(fields);
          const ids = tokenizer.encode("a b <s> __proto__ 😀\ud800", { special: true, bos: false, eos: false });
          expect(ids.every(id => id >= 0 && id < tokenizer.size)).toBe(true);
          expect(typeof tokenizer.decode(ids, { special: true })).toBe("string");
        } catch (error) {
          if (!(error instanceof LatheError)) throw error;
          expect(error.code).toMatch(/^tokenizer\./);
        }
      }),
      { numRuns: 3000 },
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});
