/**
 * Seeded damage to tokenizer files of every format: what comes out is a tokenizer that works on any text, or a typed error, in bounded
 * time. The files are small, so that an edit hits something that matters.
 */
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import {
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromMetadata,
  tokenizerFromModel,
  tokenizerFromTiktoken,
} from "../../src/text/tokenizer.ts";
import { Random } from "../fixtures/random.ts";
import { byteChars, byteLevel, byteTokens, englishMerges, englishPieces, type Fields, metadata, pieces } from "./vocabularies.ts";

const probe = `Hello the <s></s> world\u0000 \ud800é你😀 <0x41> ${"a ".repeat(50)}${" ".repeat(40)}123456 it's\r\n\n`;

/** Nothing that a file says may end in anything else than a tokenizer or a typed error. */
function survives(make: () => Tokenizer): boolean {
  try {
    const tokenizer = make();
    for (const special of [false, true]) {
      const ids = tokenizer.encode(probe, { special });
      for (const id of ids) if (!(id >= 0 && id < tokenizer.size)) throw new Error(`the id ${id} is outside of the vocabulary`);
      const whole = tokenizer.decode(ids);
      const stream = tokenizer.detokenizer();
      expect([...ids].map(id => stream.push(id)).join("") + stream.end()).toBe(whole);
    }
    for (let id = -1; id < Math.min(tokenizer.size, 300); id++) tokenizer.bytes(id);
    return true;
  } catch (error) {
    if (!(error instanceof LatheError)) throw error;
    return false;
  }
}

const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  0.5,
  2 ** 31,
  2 ** 53,
  1e300,
  "",
  " ",
  "a",
  "__proto__",
  "constructor",
  "\ud800",
  "(a+)+b",
  "▁",
  "x".repeat(3000),
  [],
  {},
  [[]],
  { type: "Sequence" },
  { type: "ByteLevel" },
  { __proto__: null, type: "toString" },
  { String: "" },
  { Regex: "(?=)" },
  { Regex: "" },
];

/** One random edit somewhere inside of a value. */
function edited(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.below(6) === 0) return odd[random.below(odd.length)];
  if (Array.isArray(value)) {
    const copy = [...value];
    const at = random.below(copy.length + 1);
    const choice = random.below(4);
    if (choice === 0) copy.splice(at, 1);
    else if (choice === 1) copy.splice(at, 0, copy[random.below(copy.length)] ?? odd[random.below(odd.length)]);
    else if (at < copy.length) copy[at] = edited(copy[at], random);
    return copy;
  }
  const entries = Object.entries(value);
  const at = random.below(entries.length + 1);
  if (at === entries.length) return Object.fromEntries([...entries, ["__proto__", odd[random.below(odd.length)]]]);
  if (random.below(5) === 0) entries.splice(at, 1);
  else entries[at] = [entries[at][0], edited(entries[at][1], random)];
  return Object.fromEntries(entries);
}

const vocab = Object.fromEntries(["<unk>", "<s>", ...byteTokens, ...byteChars, "▁", "he", "llo", "▁the"].map((text, id) => [text, id]));
const added_tokens = [
  { id: 1, content: "<s>", special: true, normalized: false, lstrip: true, rstrip: true, single_word: false },
  { id: 600, content: "It's", special: false, normalized: true },
];
const sequence = (key: string, ...list: Fields[]): Fields => ({ type: "Sequence", [key]: list });
const space = { String: " " };

const files: readonly Fields[] = [
  {
    added_tokens,
    normalizer: sequence(
      "normalizers",
      { type: "NFKC" },
      { type: "Replace", pattern: space, content: "▁" },
      { type: "Prepend", prepend: "▁" },
    ),
    pre_tokenizer: {
      type: "Split",
      pattern: { Regex: "\\s+(?!\\S)|[^\\s\\p{L}]{1,3}|\\p{L}+" },
      behavior: "MergedWithNext",
      invert: false,
    },
    model: { type: "BPE", vocab, merges: ["h e", ["l", "l"], "▁ t"], unk_token: "<unk>", byte_fallback: true, fuse_unk: true },
    decoder: sequence(
      "decoders",
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ),
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }],
      special_tokens: { "<s>": { ids: [1] } },
    },
  },
  {
    added_tokens,
    pre_tokenizer: sequence(
      "pretokenizers",
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: true, use_regex: true },
    ),
    model: { type: "BPE", vocab, merges: ["h e", "Ġ t"], ignore_merges: true },
    decoder: { type: "ByteLevel" },
  },
  {
    added_tokens,
    normalizer: { type: "BertNormalizer", lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    model: { type: "WordPiece", vocab, unk_token: "<unk>", continuing_subword_prefix: "", max_input_chars_per_word: 100 },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    post_processor: { type: "BertProcessing", sep: ["<s>", 1], cls: ["<s>", 1] },
  },
  {
    added_tokens,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
    model: {
      type: "Unigram",
      vocab: Object.entries(vocab)
        .sort((a, b) => a[1] - b[1])
        .map(([text, id]) => [text, -id]),
      unk_id: 0,
      byte_fallback: true,
    },
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
  },
];

/** How many of `cases` damaged files still make a tokenizer: some must, and some must not, or the damage says nothing. */
function many(cases: number, seed: number, make: (random: Random) => () => Tokenizer): void {
  const random = new Random(seed);
  let good = 0;
  for (let i = 0; i < cases; i++) if (survives(make(random))) good++;
  expect(good).toBeGreaterThan(cases / 50);
  expect(good).toBeLessThan(cases);
  expect(Object.keys(Object.prototype)).toEqual([]);
}

describe("damaged tokenizer.json", () => {
  it.each(files.map((file, i) => [i, file] as const))("with values put in place of others, file %i", (i, file) => {
    expect(survives(() => tokenizerFromJson(file))).toBe(true);
    many(400, 100 + i, random => {
      let value: unknown = file;
      for (let edits = random.below(3); edits >= 0; edits--) value = edited(value, random);
      return () => tokenizerFromJson(value as Fields);
    });
  });

  it("with characters changed", () => {
    const text = JSON.stringify(files[0]);
    many(300, 7, random => {
      const at = random.below(text.length);
      const put = ['"', "{", "]", ",", "9", "e", "\\", "", "\u0000"][random.below(9)];
      return () => tokenizerFromJson(text.slice(0, at) + put + text.slice(at + 1 + random.below(3)));
    });
  });
});

describe("damaged GGUF metadata", () => {
  const vocabularies: readonly Fields[] = [
    byteLevel(englishMerges, [["<s>", 3]], { pre: "kimi-k2" }),
    pieces(englishPieces, { special: [["<tool>", 4]] }),
    pieces(englishPieces, {
      fields: { model: "t5", precompiled_charsmap: new Uint8Array(40), add_space_prefix: true, remove_extra_whitespaces: true },
    }),
    pieces(englishPieces, { fields: { model: "plamo2" } }),
    pieces(englishPieces, { fields: { model: "rwkv" } }),
    pieces(englishPieces, { fields: { model: "bert" } }),
    pieces(englishPieces, { fields: { model: "gemma4", merges: ["t h", "▁ t"] } }),
  ];
  it.each(vocabularies.map((fields, i) => [String(fields["model"]), i, fields] as const))("%s (%i)", (_name, i, fields) => {
    const plain = Object.fromEntries(
      Object.entries(fields).map(([key, value]) => [key, ArrayBuffer.isView(value) ? [...(value as Uint8Array)] : value]),
    );
    expect(survives(() => tokenizerFromMetadata(metadata(plain)))).toBe(true);
    many(250, 40 + i, random => {
      let value: unknown = plain;
      for (let edits = random.below(3); edits >= 0; edits--) value = edited(value, random);
      const damaged = typeof value === "object" && value !== null ? (value as Fields) : {};
      return () => tokenizerFromMetadata(metadata(damaged));
    });
  });
});

/** Bytes of a field of a message: a number, or bytes with their length. */
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
const numberField = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
const bytesField = (field: number, bytes: readonly number[]): number[] => [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];
const float = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];

function model(kind: number): Uint8Array {
  const piece = (text: string, score: number, type: number): number[] =>
    bytesField(1, [...bytesField(1, utf8(text)), 2 * 8 + 5, ...float(score), ...numberField(3, type)]);
  const list = [piece("<unk>", 0, 2), piece("<s>", 0, 3), piece("</s>", 0, 3), ...byteTokens.map(text => piece(text, 0, 6))];
  for (const [text, score] of englishPieces) list.push(piece(text, score, 1));
  list.push(piece("<tool>", 0, 4));
  const trainer = bytesField(2, [...numberField(3, kind), ...numberField(35, 1), ...bytesField(44, utf8(" ? "))]);
  const normalizer = bytesField(3, [...bytesField(1, utf8("nmt_nfkc")), ...numberField(3, 1), ...numberField(4, 1)]);
  return Uint8Array.from([...list.flat(), ...trainer, ...normalizer]);
}

describe("damaged SentencePiece models", () => {
  it.each([1, 2, 3, 4])("of kind %i", kind => {
    const bytes = model(kind);
    const whole = tokenizerFromModel(bytes);
    if (kind < 3) expect(whole.decode(whole.encode("the world, hello"))).toBe("the world, hello");
    many(300, 60 + kind, random => {
      const copy = bytes.slice(0, random.below(4) === 0 ? random.below(bytes.length) : bytes.length);
      for (let edits = random.below(4); edits >= 0; edits--) copy[random.below(copy.length + 1)] = random.below(256);
      return () => tokenizerFromModel(copy);
    });
  });
});

describe("damaged tiktoken files", () => {
  it("with bytes changed", () => {
    const text = byteChars.map((_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}`).join("\n");
    const special = { "<s>": 256 };
    expect(survives(() => tokenizerFromTiktoken(text, "\\p{L}+|\\s+", special))).toBe(true);
    many(300, 80, random => {
      const at = random.below(text.length);
      const put = [" ", "\n", "9", "=", "A", "\u00e9", "", "-"][random.below(8)];
      return () => tokenizerFromTiktoken(text.slice(0, at) + put + text.slice(at + random.below(3)), "\\p{L}+|\\s+", special);
    });
  });
});
