/** WordPiece, Unigram, RWKV, PLaMo-2 and Gemma 4 from small GGUF vocabularies, against the slow way where there is a search. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Tokenizer, tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteTokens, type Fields, metadata } from "./vocabularies.ts";

const make = (fields: Fields): Tokenizer => tokenizerFromMetadata(metadata(fields));
const texts = (tokenizer: Tokenizer, text: string): string[] => [...tokenizer.encode(text)].map(id => tokenizer.text(id));

function streamed(tokenizer: Tokenizer, ids: Iterable<number>): string {
  const stream = tokenizer.detokenizer();
  return [...ids].map(id => stream.push(id)).join("") + stream.end();
}

describe("WordPiece", () => {
  const tokens = "[PAD] [UNK] [CLS] [SEP] ▁un ▁want want ed ▁run ning ▁, ▁. ▁the ▁你 ▁好 ᄀ".split(" ");
  const ids = { cls_token_id: 2, seperator_token_id: 3, unknown_token_id: 1, bos_token_id: 2 };
  const types = tokens.map((_, id) => (id < 4 ? 3 : 1));
  const bert = make({ model: "bert", tokens, token_type: types, ...ids });

  it("covers words from their beginnings and puts the text between its tokens", () => {
    expect(texts(bert, "UNwanted, Rünning.")).toEqual("[CLS] ▁un want ed ▁, ▁run ning ▁. [SEP]".split(" "));
    expect(texts(bert, "the\u0000 你好the")).toEqual("[CLS] ▁the ▁你 ▁好 ▁the [SEP]".split(" "));
    expect(texts(bert, "wantx want")).toEqual("[CLS] [UNK] ▁want [SEP]".split(" "));
    expect(texts(bert, "[CLS]")).toEqual("[CLS] [UNK] [UNK] [UNK] [SEP]".split(" "));
  });

  it("writes words with spaces between them, whole and streamed", () => {
    const given = bert.encode("the unwanted, running the.");
    expect(bert.decode(given)).toBe("the unwanted, running the.");
    expect(streamed(bert, given)).toBe("the unwanted, running the.");
    expect(new TextDecoder().decode(bert.bytes(bert.id("▁the")!))).toBe(" the");
  });
});

/** The best sum of scores of a covering; unknown characters cost `unknown`. */
function bestSum(list: ReadonlyMap<string, number>, text: string, unknown: number): number {
  const best = [0];
  for (let end = 1; end <= text.length; end++) {
    best[end] = best[end - 1] + unknown;
    for (let start = 0; start < end; start++) {
      const score = list.get(text.slice(start, end));
      if (score !== undefined) best[end] = Math.max(best[end], best[start] + score);
    }
  }
  return best[text.length];
}

const piece = fc.constantFrom("a", "b", "▁", "ab", "ba", "▁a", "aab", "b▁", "bbb", "▁ab▁");
const scored = fc.uniqueArray(fc.tuple(piece, fc.integer({ min: -40, max: -1 })), { minLength: 1, selector: row => row[0] });
const words = fc.string({ unit: fc.constantFrom("a", "b", "c", " "), maxLength: 30 });

describe("Unigram", () => {
  const fields = (list: readonly (readonly [string, number])[], more: Fields = {}): Fields => ({
    model: "t5",
    tokens: ["<pad>", "</s>", "<unk>", ...list.map(row => row[0])],
    scores: [0, 0, 0, ...list.map(row => row[1])],
    token_type: [3, 3, 2, ...list.map(() => 1)],
    ...more,
  });

  it("finds a covering of the best score", () => {
    fc.assert(
      fc.property(scored, words, (list, text) => {
        const tokenizer = make(fields(list, { add_eos_token: false }));
        const known = new Map<string, number>(list);
        const unknown = Math.min(...known.values()) - 10;
        const escaped = text.replaceAll(" ", "▁");
        const ids = [...tokenizer.encode(text)];
        // Neighbouring unknown characters share a token: what is left over when the known ones are taken away.
        const covered = ids.filter(id => id !== 2).map(id => tokenizer.text(id));
        const left = escaped.length - covered.join("").length;
        const sum = covered.reduce((total, own) => total + known.get(own)!, 0) + left * unknown;
        expect(sum).toBe(bestSum(known, escaped, unknown));
        if (left === 0) expect(tokenizer.decode(ids)).toBe(text);
        expect(ids.some((id, i) => id === 2 && ids[i + 1] === 2)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it("collapses spaces, puts one in front, and ends with EOS", () => {
    const tokenizer = make(
      fields(
        [
          ["▁a", -1],
          ["▁b", -2],
          ["▁", -3],
        ],
        { add_space_prefix: true, remove_extra_whitespaces: true },
      ),
    );
    expect(texts(tokenizer, "  a   b ")).toEqual(["▁a", "▁b", "</s>"]);
    expect(streamed(tokenizer, tokenizer.encode("a b"))).toBe("a b");
  });
});

describe("PLaMo-2", () => {
  it("finds a covering of the best score, with bytes for what no token has", () => {
    fc.assert(
      fc.property(scored, words, (list, text) => {
        const plain = list.map(([own, score]) => [own.replaceAll("▁", " "), score] as const);
        const tokens = ["<unk>", "<s>", "</s>", ...byteTokens, ...plain.map(row => row[0])];
        const tokenizer = make({
          model: "plamo2",
          tokens,
          scores: tokens.map((_, id) => (id < 259 ? 0 : plain[id - 259][1])),
          token_type: tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)),
        });
        const known = new Map<string, number>(plain);
        const ids = [...tokenizer.encode(text)];
        const sum = ids.reduce((total, id) => total + (id < 259 ? -1000 : known.get(tokenizer.text(id))!), 0);
        expect(sum).toBe(bestSum(known, text, -1000));
        expect(tokenizer.decode(ids)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });
});

describe("RWKV", () => {
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    byte === 0x5c ? "\\\\" : byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
  );
  const tokens = ["<s>", ...bytes, "he", "hell", "\\n\\n", "\\t", " wor", "é", "\\xe4\\xbd"];
  const rwkv = make({ model: "rwkv", tokens, token_type: tokens.map((_, id) => (id === 0 ? 3 : 1)) });

  it("takes the longest token at every place", () => {
    expect(texts(rwkv, "hello wor\n\n\\")).toEqual(["hell", "o", " wor", "\\n\\n", "\\\\"]);
    expect(texts(rwkv, "你é")).toEqual(["\\xe4\\xbd", "\\xa0", "é"]);
    expect(texts(rwkv, "<s>")).toEqual(["<", "s", ">"]);
  });

  it("decodes what it encodes, whole and streamed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), text => {
        const ids = rwkv.encode(text);
        expect(rwkv.decode(ids)).toBe(text);
        expect(streamed(rwkv, ids)).toBe(text);
      }),
    );
  });
});

describe("Gemma 4", () => {
  const tokens = ["<pad>", "<eos>", "<bos>", "<unk>", ...byteTokens, ..."▁ a b c é \n ab ▁a ▁ab \n\n".split(" "), " "];
  const types = tokens.map((_, id) => (id < 3 ? 3 : id === 3 ? 2 : id < 260 ? 6 : 1));
  const merges = ["a b", "▁ ab", "▁ a", "\n \n"];
  const gemma = make({
    model: "gemma4",
    tokens,
    token_type: types,
    merges,
    bos_token_id: 2,
    eos_token_id: 1,
    unknown_token_id: 3,
    add_bos_token: false,
  });

  it("merges raw characters with U+2581 for spaces, and always begins with BOS", () => {
    expect(texts(gemma, "ab ab\n\n c")).toEqual(["<bos>", "ab", "▁ab", "\n\n", "▁", "c"]);
    expect(texts(gemma, "é你")).toEqual(["<bos>", "é", "<0xE4>", "<0xBD>", "<0xA0>"]);
  });

  it("decodes what it encodes", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", " ", "\n", "é", "你", "😀", "<bos>") }), text => {
        const ids = gemma.encode(text);
        expect(gemma.decode(ids)).toBe(text);
        expect(streamed(gemma, ids)).toBe(text);
        expect(ids.subarray(1).some(id => gemma.isControl(id))).toBe(false);
      }),
    );
  });
});
