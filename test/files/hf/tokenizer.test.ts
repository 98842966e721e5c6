/** Tokenizer files become GGUF metadata: compared with files that llama.cpp's converter made, and by the ids that texts get. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LatheError } from "../../../src/errors.ts";
import { bytesSource, readGguf } from "../../../src/files/gguf.ts";
import type { GgufInput } from "../../../src/files/gguf-write.ts";
import { parseSentencePiece } from "../../../src/files/hf/sentencepiece.ts";
import { tokenizerOf } from "../../../src/files/hf/tokenizer.ts";
import { safetensorsBytes } from "../../../src/files/safetensors-write.ts";
import { preTokenizer } from "../../../src/text/split/table.ts";
import { tokenizerFromMetadata } from "../../../src/text/tokenizer.ts";
import { Random } from "../../fixtures/random.ts";
import { describeShared } from "../../shared.ts";
import { caught } from "../caught.ts";
import { type Files, memoryFolder } from "./memory-folder.ts";

/** Metadata of a folder's tokenizer, values without their stored types. */
async function metadataOf(files: Files, rows: number, config: object = {}, pre?: string): Promise<Map<string, unknown>> {
  const folder = await memoryFolder({ "config.json": config, "model.safetensors": await safetensorsBytes({ tensors: [] }), ...files });
  const plain = (value: GgufInput): unknown => (typeof value === "object" ? ("of" in value ? value.items : value.value) : value);
  return new Map((await tokenizerOf(folder, rows, pre)).map(([key, value]) => [key, plain(value)]));
}

const read = async (path: string): Promise<ReadonlyMap<string, unknown>> => {
  const gguf = await readGguf(bytesSource(readFileSync(path), path));
  return new Map([...gguf.metadata].map(([key, value]) => [key, typeof value === "object" ? value.items : value]));
};
const list = (from: ReadonlyMap<string, unknown>, key: string): string[] => [...(from.get(`tokenizer.ggml.${key}`) as string[])];
const ids = (from: ReadonlyMap<string, unknown>, text: string): number[] => [
  ...tokenizerFromMetadata(from).encode(text, { bos: false, eos: false }),
];

describeShared("GPT-2", "tokenizer-hf-json/gpt2", folder => {
  const json = readFileSync(join(folder, "tokenizer.json"), "utf8");

  it("gives each text the ids of Hugging Face's tokenizers", async () => {
    const metadata = await metadataOf({ "tokenizer.json": json }, 50257);
    const tokenizer = tokenizerFromMetadata(metadata);
    const cases: { text: string; ids: number[] }[] = JSON.parse(readFileSync(join(folder, "hf-tokenizers.expected.json"), "utf8"));
    expect(cases.length).toBeGreaterThan(100);
    for (const { text, ids } of cases)
      expect({ text, ids: [...tokenizer.encode(text, { special: true, bos: false })] }).toEqual({ text, ids });
  });

  describeShared("beside llama.cpp's converter", "tokenizer-gguf-vocab/ggml-vocab-gpt-2.gguf", path => {
    it("writes the same", async () => {
      const wanted = await read(path);
      const config = { bos_token_id: 50256, eos_token_id: 50256 };
      const found = await metadataOf({ "tokenizer.json": json }, 50257, config);
      for (const key of [...wanted.keys()].filter(k => k.startsWith("tokenizer."))) expect(found.get(key), key).toEqual(wanted.get(key));
      expect([...found.keys()].filter(key => !wanted.has(key))).toEqual([]);
    });
  });
});

/** A protobuf field. */
const field = (id: number, wire: number, body: number[]): number[] => [...varint(id * 8 + wire), ...body];
function varint(n: number): number[] {
  return n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))];
}
const bytes = (id: number, body: readonly number[]): number[] => field(id, 2, [...varint(body.length), ...body]);
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];
const float = (x: number): number[] => [...new Uint8Array(Float32Array.of(x).buffer)];

function sentencePiece(texts: readonly string[], scores: ArrayLike<number>, types: ArrayLike<number>): Uint8Array {
  const out: number[][] = texts.map((text, i) =>
    bytes(1, [...bytes(1, utf8(text)), ...field(2, 5, float(scores[i])), ...field(3, 0, varint(types[i]))]),
  );
  out.push(bytes(2, field(3, 0, [2])), bytes(3, [...bytes(1, utf8("identity")), ...field(3, 0, [1])]));
  return Uint8Array.from(out.flat());
}

describeShared("a SentencePiece model", "tokenizer-gguf-vocab/ggml-vocab-llama-spm.gguf", path => {
  it("keeps texts, scores and types, and gives the same ids", async () => {
    const wanted = await read(path);
    const tokens = list(wanted, "tokens");
    const model = sentencePiece(
      tokens,
      wanted.get("tokenizer.ggml.scores") as Float32Array,
      wanted.get("tokenizer.ggml.token_type") as Int32Array,
    );
    const config = { bos_token: { content: "<s>" }, eos_token: "</s>", unk_token: "<unk>", add_bos_token: true, add_eos_token: false };
    const added = {
      "0": { content: "<unk>", special: true },
      "1": { content: "<s>", special: true },
      "2": { content: "</s>", special: true },
    };
    const found = await metadataOf(
      { "tokenizer.model": model, "tokenizer_config.json": { ...config, added_tokens_decoder: added } },
      tokens.length,
    );
    for (const key of ["model", "tokens", "scores", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"].map(
      k => `tokenizer.ggml.${k}`,
    ))
      expect(found.get(key), key).toEqual(wanted.get(key));
    expect(found.get("tokenizer.ggml.add_space_prefix")).toBe(true);
    for (const text of ["Hello world", "ünïcödé  spaces\n🚀"]) expect(ids(found, text)).toEqual(ids(wanted, text));
  });
});

describeShared("a real SentencePiece model", "tokenizer-sentencepiece/test_sentencepiece_bpe.model", path => {
  it("gives known texts that need no normalising the ids of the library", async () => {
    const found = await metadataOf({ "tokenizer.model": readFileSync(path) }, 1000);
    const cases: { text: string; ids: number[] }[] = JSON.parse(
      readFileSync(path.replace(".model", ".sentencepiece-expected.json"), "utf8"),
    );
    // Unknown characters in a row are one token there.
    const known = cases.filter(({ ids }) => !ids.includes(0));
    const plain = known.filter(({ text }) => text.normalize("NFKC") === text && /^\S+( \S+)*$/.test(text) && !/\p{C}/u.test(text));
    expect(plain.length).toBeGreaterThan(20);
    for (const { text, ids: wanted } of plain) expect({ text, ids: ids(found, text) }).toEqual({ text, ids: wanted });
  });
});

describeShared("WordPiece", "tokenizer-gguf-vocab/ggml-vocab-bert-bge.gguf", path => {
  it("marks beginnings instead of continuations", async () => {
    const wanted = await read(path);
    const types = wanted.get("tokenizer.ggml.token_type") as Int32Array;
    const original = list(wanted, "tokens").map((text, id) =>
      types[id] === 3 ? text : text.startsWith("▁") ? text.slice(1) : `##${text}`,
    );
    const added = original.flatMap((content, id) => (types[id] === 3 ? [{ id, content, special: true }] : []));
    const json = {
      added_tokens: added,
      normalizer: { type: "BertNormalizer", lowercase: true, strip_accents: null },
      pre_tokenizer: { type: "BertPreTokenizer" },
      model: { type: "WordPiece", continuing_subword_prefix: "##", vocab: Object.fromEntries(original.map((text, id) => [text, id])) },
    };
    const config = { cls_token: "[CLS]", sep_token: "[SEP]", unk_token: "[UNK]", pad_token: "[PAD]", mask_token: "[MASK]" };
    const found = await metadataOf({ "tokenizer.json": json, "tokenizer_config.json": config }, original.length, { type_vocab_size: 2 });
    for (const key of [
      "model",
      "tokens",
      "token_type",
      "token_type_count",
      "cls_token_id",
      "seperator_token_id",
      "unknown_token_id",
      "padding_token_id",
      "mask_token_id",
    ])
      if (wanted.has(`tokenizer.ggml.${key}`)) expect(found.get(`tokenizer.ggml.${key}`), key).toEqual(wanted.get(`tokenizer.ggml.${key}`));
    expect(found.get("tokenizer.ggml.normalizer.lowercase")).toBe(true);
  });
});

const bpe = (more: object = {}, model: object = {}): object => ({
  added_tokens: [
    { id: 3, content: "<|end|>", special: true },
    { id: 4, content: "word▁two", special: false },
  ],
  pre_tokenizer: { type: "ByteLevel" },
  model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"], ...model },
  ...more,
});

describe("a tokenizer.json", () => {
  it("has added tokens, unused rows, and merges in either form", async () => {
    for (const merges of [["a b"], [["a", "b"]]]) {
      const found = await metadataOf({ "tokenizer.json": bpe({}, { merges }) }, 6);
      expect(list(found, "tokens")).toEqual(["a", "b", "ab", "<|end|>", "word two", "[PAD5]"]);
      expect([...(found.get("tokenizer.ggml.token_type") as Int32Array)]).toEqual([1, 1, 1, 3, 4, 5]);
      expect(list(found, "merges")).toEqual(["a b"]);
    }
  });

  it("of SentencePiece's kind gets scores from its merges", async () => {
    const vocab = Object.fromEntries(["<unk>", "<0x41>", "▁", "t", "h", "e", "th", "▁the", "▁th", "the"].map((text, id) => [text, id]));
    const json = {
      added_tokens: [],
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
      model: { type: "BPE", byte_fallback: true, unk_token: "<unk>", vocab, merges: ["t h", "▁ th", "▁th e"] },
    };
    const found = await metadataOf({ "tokenizer.json": json }, 10);
    expect(found.get("tokenizer.ggml.model")).toBe("llama");
    expect([...(found.get("tokenizer.ggml.token_type") as Int32Array)]).toEqual([2, 6, 1, 1, 1, 1, 1, 1, 1, 1]);
    const scores = found.get("tokenizer.ggml.scores") as Float32Array;
    expect(scores[6]).toBeGreaterThan(scores[8]);
    expect(scores[8]).toBeGreaterThan(scores[7]);
    expect(found.get("tokenizer.ggml.add_space_prefix")).toBe(true);
    expect(ids(found, "the")).toEqual([7]);
  });

  it("of Unigram's kind brings its normalizer's table", async () => {
    const json = {
      added_tokens: [{ id: 0, content: "<pad>", special: true }],
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Precompiled", precompiled_charsmap: "AAAAAAE=" },
          { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
        ],
      },
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
      post_processor: { type: "TemplateProcessing", single: [{ Sequence: { id: "A" } }, { SpecialToken: { id: "</s>" } }] },
      model: {
        type: "Unigram",
        unk_id: 1,
        vocab: [
          ["<pad>", 0],
          ["<unk>", 0],
          ["</s>", 0],
          ["▁a", -1.5],
        ],
      },
    };
    const found = await metadataOf({ "tokenizer.json": json, "tokenizer_config.json": { eos_token: "</s>", bos_token: "<unk>" } }, 4);
    expect(found.get("tokenizer.ggml.model")).toBe("t5");
    expect([...(found.get("tokenizer.ggml.precompiled_charsmap") as Uint8Array)]).toEqual([0, 0, 0, 0, 1]);
    expect(found.get("tokenizer.ggml.remove_extra_whitespaces")).toBe(true);
    expect(found.get("tokenizer.ggml.add_eos_token")).toBe(true);
    expect(found.get("tokenizer.ggml.add_bos_token")).toBe(false);
    expect([...(found.get("tokenizer.ggml.scores") as Float32Array)]).toEqual([0, 0, 0, -1.5]);
  });

  it("tells special ids, further ends, and what is put around texts", async () => {
    const files = {
      "tokenizer.json": bpe({
        post_processor: {
          type: "Sequence",
          processors: [{ type: "TemplateProcessing", single: [{ SpecialToken: { id: "a" } }, { Sequence: { id: "A" } }] }],
        },
      }),
      "tokenizer_config.json": { bos_token: "a", eos_token: { content: "<|end|>" } },
      "generation_config.json": { eos_token_id: [3, 4, 2] },
    };
    const found = await metadataOf(files, 5, { pad_token_id: 1, eos_token_id: 0 });
    const keys = [...found].filter(([key]) => /_token(_id)?$/.test(key));
    expect(Object.fromEntries(keys.map(([key, value]) => [key.replace("tokenizer.ggml.", ""), value]))).toEqual({
      bos_token_id: 0,
      eos_token_id: 3,
      padding_token_id: 1,
      eot_token_id: 4,
      eom_token_id: 2,
      add_bos_token: true,
      add_eos_token: false,
    });
  });

  it.each<[string, Files, Record<string, unknown>]>([
    ["a file of its own", { "chat_template.jinja": "J", "tokenizer_config.json": { chat_template: "C" } }, { "": "J" }],
    ["a JSON file", { "chat_template.json": { chat_template: "J" } }, { "": "J" }],
    ["the configuration", { "tokenizer_config.json": { chat_template: "C" } }, { "": "C" }],
    [
      "a list",
      {
        "tokenizer_config.json": {
          chat_template: [
            { name: "default", template: "D" },
            { name: "rag", template: "R" },
          ],
        },
      },
      { "": "D", ".rag": "R", s: ["rag"] },
    ],
    ["nowhere", {}, {}],
  ])("has its chat template from %s", async (_, files, wanted) => {
    const found = await metadataOf({ "tokenizer.json": bpe(), ...files }, 5);
    const templates = [...found].filter(([key]) => key.startsWith("tokenizer.chat_template"));
    expect(Object.fromEntries(templates.map(([key, value]) => [key.replace("tokenizer.chat_template", ""), value]))).toEqual(wanted);
  });
});

const quotes = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const split = (Regex: string): object => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
const sequence = (...pretokenizers: object[]): object => ({ type: "Sequence", pretokenizers });
const silent = { type: "ByteLevel", use_regex: false };

describe("the name of the pre-tokenizer", () => {
  it.each<[string, object, boolean?]>([
    ["gpt-2", { type: "ByteLevel" }],
    ["starcoder", sequence({ type: "Digits", individual_digits: true }, { type: "ByteLevel", use_regex: true })],
    [
      "llama-bpe",
      sequence(
        split(`${quotes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`),
        silent,
      ),
      true,
    ],
    [
      "dbrx",
      sequence(
        split(`${quotes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`),
        silent,
      ),
    ],
    [
      "qwen2",
      sequence(
        split(`${quotes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`),
        silent,
      ),
    ],
    [
      "qwen35",
      sequence(
        split(`${quotes}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`),
        silent,
      ),
    ],
    [
      "gpt-4o",
      sequence(
        split(
          `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${quotes}?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${quotes}?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
        ),
        silent,
      ),
    ],
    [
      "tekken",
      sequence(
        split(
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        ),
        silent,
      ),
      true,
    ],
  ])("%s is known by its expressions, and to the tokenizer", async (name, pre_tokenizer, ignore_merges = false) => {
    const found = await metadataOf({ "tokenizer.json": bpe({ pre_tokenizer, decoder: { type: "ByteLevel" } }, { ignore_merges }) }, 5);
    expect(found.get("tokenizer.ggml.pre")).toBe(name);
    expect(preTokenizer(name).ignoreMerges).toBe(ignore_merges);
  });

  it("is asked for where the expressions are not known, and taken as it is given", async () => {
    const files = { "tokenizer.json": bpe({ pre_tokenizer: sequence(split("x+"), silent), decoder: { type: "ByteLevel" } }) };
    const error = await caught("tokenizer.unsupported", () => metadataOf(files, 5));
    expect(error.message).toContain("--pre");
    expect((await metadataOf(files, 5, {}, "qwen2")).get("tokenizer.ggml.pre")).toBe("qwen2");
  });
});

describe("damaged tokenizers", () => {
  it.each<[string, Files, Parameters<typeof caught>[0]]>([
    ["no tokenizer at all", {}, "file.not-found"],
    ["no JSON", { "tokenizer.json": "{" }, "folder.malformed"],
    ["a list", { "tokenizer.json": "[]" }, "folder.malformed"],
    ["bytes that are no text", { "tokenizer.json": Uint8Array.of(0xff, 0xfe) }, "folder.malformed"],
    ["an unknown kind", { "tokenizer.json": { model: { type: "WordLevel", vocab: {} } } }, "tokenizer.unsupported"],
    ["no vocabulary", { "tokenizer.json": bpe({}, { vocab: null }) }, "tokenizer.malformed"],
    ["no merges", { "tokenizer.json": bpe({}, { merges: {} }) }, "tokenizer.malformed"],
    ["a merge of three", { "tokenizer.json": bpe({}, { merges: ["a b c"] }) }, "tokenizer.malformed"],
    ["a merge of numbers", { "tokenizer.json": bpe({}, { merges: [[1, 2]] }) }, "tokenizer.malformed"],
    ["an id beyond the embedding", { "tokenizer.json": bpe({}, { vocab: { a: 5 } }) }, "tokenizer.malformed"],
    ["half an id", { "tokenizer.json": bpe({}, { vocab: { a: 0.5 } }) }, "tokenizer.malformed"],
    ["an id that is a text", { "tokenizer.json": bpe({}, { vocab: { a: "0" } }) }, "tokenizer.malformed"],
    ["an added token without text", { "tokenizer.json": bpe({ added_tokens: [{ id: 1 }] }) }, "tokenizer.malformed"],
    [
      "other continuations",
      { "tokenizer.json": { model: { type: "WordPiece", continuing_subword_prefix: "@@", vocab: {} } } },
      "tokenizer.malformed",
    ],
    ["a Unigram entry without score", { "tokenizer.json": { model: { type: "Unigram", vocab: [["a"]] } } }, "tokenizer.malformed"],
    [
      "a table that is not base64",
      {
        "tokenizer.json": { normalizer: { type: "Precompiled", precompiled_charsmap: "%" }, model: { type: "Unigram", vocab: [["a", 0]] } },
      },
      "tokenizer.malformed",
    ],
    ["an empty SentencePiece model", { "tokenizer.model": new Uint8Array() }, "tokenizer.malformed"],
    ["a cut SentencePiece model", { "tokenizer.model": sentencePiece(["a"], [0], [1]).subarray(0, 5) }, "tokenizer.malformed"],
  ])("%s is refused", async (_, files, code) => {
    await caught(code, () => metadataOf(files, 5));
  });

  it("members that every object has are not taken for the file's", async () => {
    const found = await metadataOf(
      {
        "tokenizer.json":
          '{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"__proto__":0,"constructor":1},"merges":[]}}',
      },
      2,
    );
    expect(list(found, "tokens")).toEqual(["__proto__", "constructor"]);
    await caught("tokenizer.malformed", () =>
      metadataOf({ "tokenizer.json": '{"model":{"type":"BPE","merges":[]},"__proto__":{}}' }, 2, {}, "qwen2"),
    );
  });

  it("SentencePiece models with bytes changed are read or refused", () => {
    const random = new Random(3);
    const whole = sentencePiece(["<unk>", "▁a", "b", "<0x41>"], [0, -1, -2, 0], [2, 1, 1, 6]);
    for (let round = 0; round < 2000; round++) {
      const changed = whole.slice(0, random.below(8) ? whole.length : random.below(whole.length));
      for (let edits = 1 + random.below(3); edits > 0 && changed.length > 0; edits--)
        changed[random.below(changed.length)] = random.below(256);
      try {
        const { texts, scores, types } = parseSentencePiece(changed, "tokenizer.model");
        expect([scores.length, types.length]).toEqual([texts.length, texts.length]);
      } catch (e) {
        expect((e as LatheError).code).toBe("tokenizer.malformed");
      }
    }
  });
});
