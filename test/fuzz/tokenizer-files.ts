/** Small whole tokenizer files of every format, for damage. */
import { byteChars, byteLevel, byteTokens, englishMerges, englishPieces, type Fields, pieces } from "../text/vocabularies.ts";

const vocab = Object.fromEntries(["<unk>", "<s>", ...byteTokens, ...byteChars, "▁", "he", "llo", "▁the"].map((text, id) => [text, id]));
const added_tokens = [
  { id: 1, content: "<s>", special: true, normalized: false, lstrip: true, rstrip: true, single_word: false },
  { id: 600, content: "It's", special: false, normalized: true },
];
const sequence = (key: string, ...list: Fields[]): Fields => ({ type: "Sequence", [key]: list });
const space = { String: " " };

/** Of `tokenizer.json`: one for each kind of model. */
export const tokenizerJsons: readonly Fields[] = [
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

/** What `tokenizer.ggml.*` of GGUF files may hold, lists as plain arrays. */
export const tokenizerMetadata: readonly Fields[] = vocabularies.map(fields =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, ArrayBuffer.isView(value) ? [...(value as Uint8Array)] : value])),
);

/** Bytes of a field of a message: a number, or bytes with their length. */
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
const numberField = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
const bytesField = (field: number, bytes: readonly number[]): number[] => [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];
const float = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];

/** A SentencePiece model; `kind`: 1 unigram, 2 BPE, 3 words, 4 characters. */
export function sentencePieceModel(kind: number): Uint8Array {
  const piece = (text: string, score: number, type: number): number[] =>
    bytesField(1, [...bytesField(1, utf8(text)), 2 * 8 + 5, ...float(score), ...numberField(3, type)]);
  const list = [piece("<unk>", 0, 2), piece("<s>", 0, 3), piece("</s>", 0, 3), ...byteTokens.map(text => piece(text, 0, 6))];
  for (const [text, score] of englishPieces) list.push(piece(text, score, 1));
  list.push(piece("<tool>", 0, 4));
  const trainer = bytesField(2, [...numberField(3, kind), ...numberField(35, 1), ...bytesField(44, utf8(" ? "))]);
  const normalizer = bytesField(3, [...bytesField(1, utf8("nmt_nfkc")), ...numberField(3, 1), ...numberField(4, 1)]);
  return Uint8Array.from([...list.flat(), ...trainer, ...normalizer]);
}

/** A rank file of the 256 bytes. */
export const rankFile = byteChars.map((_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}`).join("\n");

export const tekkenFile: Fields = {
  config: { pattern: "\\p{L}+|\\s+|\\p{N}", num_vocab_tokens: 259, default_vocab_size: 279, default_num_special_tokens: 20, version: "v3" },
  vocab: [...Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)), "he", "ll", "hell"].map((bytes, rank) => ({
    rank,
    token_bytes: btoa(bytes),
    token_str: null,
  })),
  special_tokens: [{ rank: 1, token_str: "<s>", is_control: true }],
};
