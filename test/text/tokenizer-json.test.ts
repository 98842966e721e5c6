/** `tokenizer.json`, component by component with small vocabularies; expected results are worked out from the library's description. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Tokenizer, tokenizerFromJson } from "../../src/text/tokenizer.ts";
import { byteChars, byteTokens } from "./vocabularies.ts";

type Parts = Record<string, unknown>;

const vocabOf = (list: readonly string[]): Record<string, number> => Object.fromEntries(list.map((text, id) => [text, id]));

/** Every piece is its own token: shows what normalizer and pre-tokenizer make of a text. */
function piecesOf(text: string, parts: Parts): string[] {
  const seen: string[] = [];
  // The words are found out by asking for each part of the text; unknown ones are left out.
  const candidates = new Set<string>();
  const source = (parts["shown"] as string | undefined) ?? text;
  for (let from = 0; from < source.length; from++)
    for (let to = from + 1; to <= source.length; to++) candidates.add(source.slice(from, to));
  const { shown: _shown, ...rest } = parts;
  const tokenizer = tokenizerFromJson({ model: { type: "WordLevel", vocab: vocabOf([...candidates]) }, ...rest });
  for (const id of tokenizer.encode(text)) seen.push(tokenizer.text(id));
  return seen;
}

const pre = (type: string, fields: Parts = {}): Parts => ({ pre_tokenizer: { type, ...fields } });
const split = (pattern: Parts, behavior: string, invert = false): Parts => pre("Split", { pattern, behavior, invert });

describe("pre-tokenizers", () => {
  it.each<[string, string, Parts, string[]]>([
    ["Whitespace", "Hey, you_1 …a", pre("Whitespace"), ["Hey", ",", "you_1", "…", "a"]],
    ["WhitespaceSplit", " a, b\u3000c\n", pre("WhitespaceSplit"), ["a,", "b", "c"]],
    ["BertPreTokenizer", "a,b $c", pre("BertPreTokenizer"), ["a", ",", "b", "$", "c"]],
    ["Digits", "ab123c", pre("Digits", { individual_digits: false }), ["ab", "123", "c"]],
    ["individual Digits", "ab12c", pre("Digits", { individual_digits: true }), ["ab", "1", "2", "c"]],
    ["Punctuation", "a!?b", pre("Punctuation"), ["a", "!", "?", "b"]],
    ["contiguous Punctuation", "a!?b", pre("Punctuation", { behavior: "Contiguous" }), ["a", "!?", "b"]],
    ["CharDelimiterSplit", "a-b--c", pre("CharDelimiterSplit", { delimiter: "-" }), ["a", "b", "c"]],
    ["FixedLength", "ab😀de", pre("FixedLength", { length: 2 }), ["ab", "😀d", "e"]],
    ["UnicodeScripts", "どこで食べるabc Жж", pre("UnicodeScripts"), ["どこで食べる", "abc ", "Жж"]],
    ["Split isolated", "a--b-", split({ String: "-" }, "Isolated"), ["a", "-", "-", "b", "-"]],
    ["Split removed", "a--b-", split({ String: "-" }, "Removed"), ["a", "b"]],
    ["Split merged with previous", "a--b-", split({ String: "-" }, "MergedWithPrevious"), ["a-", "-", "b-"]],
    ["Split merged with next", "-a--b-", split({ String: "-" }, "MergedWithNext"), ["-a", "-", "-b", "-"]],
    ["Split contiguous", "a--b-", split({ String: "-" }, "Contiguous"), ["a", "--", "b", "-"]],
    ["Split by an expression", "ab12c", split({ Regex: "\\d+" }, "Removed"), ["ab", "c"]],
    ["Split inverted", "ab12c", split({ Regex: "\\d+" }, "Removed", true), ["12"]],
    [
      "Sequence",
      "a1 b",
      { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "Digits", individual_digits: true }] } },
      ["a", "1", "b"],
    ],
    ["Metaspace", "Hey my  friend", { ...pre("Metaspace"), shown: "▁Hey▁my▁▁friend" }, ["▁Hey", "▁my", "▁", "▁friend"]],
    ["Metaspace never", " a b", { ...pre("Metaspace", { prepend_scheme: "never" }), shown: "▁a▁b" }, ["▁a", "▁b"]],
    ["Metaspace unsplit", "a b", { ...pre("Metaspace", { split: false }), shown: "▁a▁b" }, ["▁a▁b"]],
  ])("%s", (_name, text, parts, expected) => {
    expect(piecesOf(text, parts)).toEqual(expected);
  });

  it("Metaspace marks the first piece alone where the file says first", () => {
    const added_tokens = [{ id: 100, content: "<s>", special: true, normalized: false }];
    const model = { type: "WordLevel", vocab: vocabOf(["a", "▁a"]) };
    const tokenizer = tokenizerFromJson({ model, added_tokens, ...pre("Metaspace", { prepend_scheme: "first" }) });
    expect([...tokenizer.encode("a<s>a", { special: true })]).toEqual([1, 100, 0]);
  });
});

const normal = (...normalizers: Parts[]): Parts => ({ normalizer: { type: "Sequence", normalizers } });

describe("normalizers", () => {
  it.each<[string, string, Parts[], string]>([
    ["NFC", "e\u0301", [{ type: "NFC" }], "é"],
    ["NFD", "é", [{ type: "NFD" }], "e\u0301"],
    ["NFKC", "ﬁ①", [{ type: "NFKC" }], "fi1"],
    ["NFKD", "ﬁé", [{ type: "NFKD" }], "fie\u0301"],
    ["Lowercase", "ΑΣ ÄB", [{ type: "Lowercase" }], "ασ äb"],
    ["Strip", " \n a b\u3000", [{ type: "Strip", strip_left: true, strip_right: true }], "a b"],
    ["Strip left", " a ", [{ type: "Strip", strip_left: true, strip_right: false }], "a "],
    ["StripAccents", "e\u0301\u0903x", [{ type: "StripAccents" }], "ex"],
    ["Replace", "a b", [{ type: "Replace", pattern: { String: " " }, content: "▁" }], "a▁b"],
    ["Replace by an expression", "a   b", [{ type: "Replace", pattern: { Regex: " {2,}" }, content: "$&" }], "a$&b"],
    ["Prepend", "a", [{ type: "Prepend", prepend: "▁" }], "▁a"],
    ["Append", "a", [{ type: "Append", append: "!" }], "a!"],
    ["Nmt", "a\u0001\u200bb\u2028", [{ type: "Nmt" }], "a b "],
    ["ByteLevel", " é", [{ type: "ByteLevel" }], "ĠÃ©"],
    ["BertNormalizer", "\u0000HÉ\t你", [{ type: "BertNormalizer" }], "he  你 "],
    ["BertNormalizer with case", "É", [{ type: "BertNormalizer", lowercase: false }], "É"],
    ["several", "É  b", [{ type: "NFD" }, { type: "StripAccents" }, { type: "Lowercase" }], "e  b"],
  ])("%s", (_name, text, list, expected) => {
    const tokenizer = tokenizerFromJson({
      model: { type: "WordLevel", vocab: { [expected]: 0, "<unk>": 1 }, unk_token: "<unk>" },
      ...normal(...list),
    });
    expect([...tokenizer.encode(text)]).toEqual([0]);
  });

  it("cannot blow a text up", () => {
    const doubling = Array.from({ length: 60 }, () => ({ type: "Replace", pattern: { String: "a" }, content: "aa" }));
    const tokenizer = tokenizerFromJson({ model: { type: "WordLevel", vocab: { a: 0 } }, ...normal(...doubling) });
    expect(() => tokenizer.encode("aaaa")).toThrow(expect.objectContaining({ code: "tokenizer.malformed" }));
  });
});

describe("models", () => {
  const byteFallback = tokenizerFromJson({
    model: {
      type: "BPE",
      vocab: vocabOf(["<unk>", ...byteTokens, "▁", "a", "b", "ab", "▁ab"]),
      merges: ["a b", ["▁", "ab"]],
      unk_token: "<unk>",
      byte_fallback: true,
      fuse_unk: true,
    },
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
  });
  const texts = (tokenizer: Tokenizer, text: string): string[] => [...tokenizer.encode(text)].map(id => tokenizer.text(id));

  it("BPE with byte tokens, and the decoders that belong to it", () => {
    expect(texts(byteFallback, "ab ab你")).toEqual(["▁ab", "▁ab", "<0xE4>", "<0xBD>", "<0xA0>"]);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", " ", "你", "😀", "▁") }), text => {
        const ids = byteFallback.encode(text);
        expect(byteFallback.decode(ids)).toBe(text.replaceAll("▁", " "));
      }),
    );
    expect(byteFallback.decode([byteFallback.id("▁")!, 229, 229, 98])).toBe("\ufffd\ufffd\ufffd");
    expect(byteFallback.decode([byteFallback.id("▁ab")!], { continued: true })).toBe(" ab");
    expect([...byteFallback.bytes(229)]).toEqual([228]);
  });

  it("BPE with unknown characters, fused or not", () => {
    const fused = (fuse_unk: boolean): Tokenizer =>
      tokenizerFromJson({ model: { type: "BPE", vocab: vocabOf(["<unk>", "a"]), merges: [], unk_token: "<unk>", fuse_unk } });
    expect([...fused(true).encode("xyaz")]).toEqual([0, 1, 0]);
    expect([...fused(false).encode("xyaz")]).toEqual([0, 0, 1, 0]);
  });

  it("BPE that marks the ends of words", () => {
    const tokenizer = tokenizerFromJson({
      model: { type: "BPE", vocab: vocabOf(["a", "b", "a</w>", "b</w>", "ab</w>"]), merges: ["a b</w>"], end_of_word_suffix: "</w>" },
      ...pre("WhitespaceSplit"),
      decoder: { type: "BPEDecoder", suffix: "</w>" },
    });
    expect(texts(tokenizer, "ab ba")).toEqual(["ab</w>", "b", "a</w>"]);
    expect(tokenizer.decode(tokenizer.encode("ab ba"))).toBe("ab ba");
    const stream = tokenizer.detokenizer();
    expect([...tokenizer.encode("ab ba")].map(id => stream.push(id)).join("|") + stream.end()).toBe("|ab |ba");
  });

  it("BPE that marks what goes on, and BPE that knows whole pieces", () => {
    const going = {
      type: "BPE",
      vocab: vocabOf(["a", "##b", "ab", "##c", "abc"]),
      merges: ["a ##b", "ab ##c"],
      continuing_subword_prefix: "##",
    };
    expect(texts(tokenizerFromJson({ model: going }), "abc")).toEqual(["abc"]);
    const whole = { type: "BPE", vocab: vocabOf(["a", "b", "ab"]), merges: [], ignore_merges: true };
    expect(texts(tokenizerFromJson({ model: whole }), "ab")).toEqual(["ab"]);
  });

  it("WordPiece with its decoder and template", () => {
    const tokenizer = tokenizerFromJson(
      {
        model: {
          type: "WordPiece",
          vocab: vocabOf(["[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed", ",", "it"]),
          unk_token: "[UNK]",
          max_input_chars_per_word: 9,
        },
        added_tokens: [1, 2].map(id => ({ id, content: ["", "[CLS]", "[SEP]"][id], special: true })),
        normalizer: { type: "BertNormalizer" },
        ...pre("BertPreTokenizer"),
        post_processor: {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "[CLS]" } }, { Sequence: { id: "A" } }, { SpecialToken: { id: "[SEP]" } }],
          special_tokens: { "[CLS]": { ids: [1] }, "[SEP]": { ids: [2] } },
        },
        decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      },
      { eos_token: { content: "[SEP]" } },
    );
    expect(texts(tokenizer, "Unwanted, it unwantedun")).toEqual(["[CLS]", "un", "##want", "##ed", ",", "it", "[UNK]", "[SEP]"]);
    expect(tokenizer.decode(tokenizer.encode("Unwanted, it"))).toBe("unwanted, it");
    expect(tokenizer).toMatchObject({ kind: "bert", bos: 1, eos: 2, addBos: true });
    expect([...tokenizer.encode("it", { bos: false, eos: false })]).toEqual([7]);
  });

  it("Unigram", () => {
    const vocab = [
      ["<unk>", 0],
      ["▁a", -1],
      ["▁", -2],
      ["a", -2.5],
      ["b", -4],
    ];
    const tokenizer = tokenizerFromJson({
      model: { type: "Unigram", vocab, unk_id: 0 },
      ...pre("Metaspace"),
      decoder: { type: "Metaspace" },
    });
    expect(texts(tokenizer, "ab xyb")).toEqual(["▁a", "b", "▁", "<unk>", "b"]);
    expect(tokenizer.decode(tokenizer.encode("a b"))).toBe("a b");
  });
});

describe("decoders", () => {
  const decode = (decoder: Parts | null, tokens: string[]): string => {
    const list = [...new Set(tokens)];
    const tokenizer = tokenizerFromJson({ model: { type: "WordLevel", vocab: vocabOf(list) }, decoder });
    const ids = tokens.map(token => list.indexOf(token));
    const stream = tokenizer.detokenizer();
    const streamed = ids.map(id => stream.push(id)).join("") + stream.end();
    expect(streamed).toBe(tokenizer.decode(ids));
    return streamed;
  };

  it.each<[string, Parts | null, string[], string]>([
    ["none", null, ["a", "b"], "a b"],
    ["Fuse", { type: "Fuse" }, ["a", "b"], "ab"],
    ["ByteLevel", { type: "ByteLevel" }, [byteChars[0xe4] + byteChars[0xbd], byteChars[0xa0], "Ġa", "日"], "你 a日"],
    ["ByteFallback", { type: "ByteFallback" }, ["<0xE4>", "<0xBD>", "<0xA0>", "a", "<0xE4>", "<0xBD>"], "你a\ufffd\ufffd"],
    ["Strip", { type: "Strip", content: "_", start: 1, stop: 2 }, ["__a", "_b___", "_"], "_ab_"],
    [
      "Strip of a whole text",
      { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip", content: "_", start: 2, stop: 1 }] },
      ["_", "__a_", "_b", "_"],
      "_a__b",
    ],
    ["Metaspace", { type: "Metaspace" }, ["▁a", "▁b", "c"], "a bc"],
    ["WordPiece", { type: "WordPiece", prefix: "##", cleanup: false }, ["a", "##b", "."], "ab ."],
    ["CTC", { type: "CTC" }, ["a", "a", "<pad>", "a", "|", "|", "b"], "aa b"],
    ["BPEDecoder", { type: "BPEDecoder" }, ["a", "b</w>", "c</w>"], "ab c"],
    ["Replace", { type: "Replace", pattern: { Regex: "x+" }, content: "-" }, ["axx", "x"], "a--"],
  ])("%s", (_name, decoder, tokens, expected) => {
    expect(decode(decoder, tokens)).toBe(expected);
  });
});

describe("added tokens", () => {
  const model = { type: "WordLevel", vocab: vocabOf(["a", "b", "?"]), unk_token: "?" };
  const token = (id: number, content: string, fields: Parts = {}): Parts => ({ id, content, special: false, normalized: false, ...fields });

  it("are found from the left, the longest at each place", () => {
    const tokenizer = tokenizerFromJson({ model, added_tokens: [token(5, "aab"), token(6, "abbb"), token(7, "aa")] });
    expect([...tokenizer.encode("aabbb")]).toEqual([5, 2]);
    expect(tokenizer.decode([5, 7])).toBe("aab aa");
  });

  it("take white space, or stand alone, as their flags say", () => {
    const list = [token(5, "<l>", { lstrip: true }), token(6, "<r>", { rstrip: true }), token(7, "one", { single_word: true })];
    const tokenizer = tokenizerFromJson({ model, added_tokens: list });
    expect([...tokenizer.encode("a  <l>")]).toEqual([0, 5]);
    expect([...tokenizer.encode("<r> \na")]).toEqual([6, 0]);
    expect([...tokenizer.encode("one")]).toEqual([7]);
    expect([...tokenizer.encode("oneb")]).toEqual([2]);
  });

  it("that are normalized are found after the normalizer, special ones in trusted text only", () => {
    const list = [token(5, "<Ab>", { normalized: true, special: true }), token(6, "<Cd>", { normalized: true })];
    const tokenizer = tokenizerFromJson({ model, added_tokens: list, normalizer: { type: "Lowercase" } });
    expect([...tokenizer.encode("A<aB>a", { special: true })]).toEqual([0, 5, 0]);
    expect([...tokenizer.encode("A<aB>")]).toEqual([2]);
    expect([...tokenizer.encode("<CD>a")]).toEqual([6, 0]);
    expect([...tokenizer.encode([{ text: "<ab>", special: true }, { text: "<AB>" }, { text: "<AB>", special: true }])]).toEqual([5, 2, 5]);
  });
});

describe("what is not supported or damaged", () => {
  const model = { type: "WordLevel", vocab: { a: 0 } };
  it.each<[string, Parts, string]>([
    ["an unknown model", { model: { type: "Magic", vocab: { a: 0 } } }, "Magic"],
    ["an unknown normalizer", { model, normalizer: { type: "constructor" } }, "constructor"],
    ["an unknown pre-tokenizer", { model, ...pre("__proto__") }, "__proto__"],
    ["an unknown decoder", { model, decoder: { type: "toString" } }, "toString"],
    ["an unknown post-processor", { model, post_processor: { type: "Odd" } }, "Odd"],
    ["dropout", { model: { type: "BPE", vocab: { a: 0 }, merges: [], dropout: 0.1 } }, "dropout"],
  ])("%s is refused by name", (_what, file, name) => {
    expect(() => tokenizerFromJson(file)).toThrow(
      expect.objectContaining({ code: "tokenizer.unsupported", message: expect.stringContaining(name) }),
    );
  });

  it.each<[string, Parts | string]>([
    ["no JSON", "{"],
    ["no object", "[]"],
    ["no model", {}],
    ["an id that is huge", { model: { ...model, vocab: { a: 4_000_000 } } }],
    ["an id that is no number", { model: { ...model, vocab: { a: "0" } } }],
    ["two tokens with one id", { model: { ...model, vocab: { a: 0, b: 0 } } }],
    ["a merge that is no pair", { model: { type: "BPE", vocab: { a: 0 }, merges: ["a"] } }],
    ["a pattern that is damaged", { model, ...split({ Regex: "(" }, "Isolated") }],
    ["a template with an unknown id", { model, post_processor: { type: "BertProcessing", sep: ["x", 9], cls: ["y", 0] } }],
    [
      "sequences in sequences",
      `{"model":{"type":"WordLevel","vocab":{"a":0}},"normalizer":${'{"type":"Sequence","normalizers":['.repeat(2000)}${"]}".repeat(2000)}}`,
    ],
  ])("%s is a typed error", (_what, file) => {
    expect(() => tokenizerFromJson(file)).toThrow(expect.objectContaining({ name: "LatheError" }));
  });
});
