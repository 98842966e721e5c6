/**
 * Ids exactly as other implementations give them: llama.cpp, the Hugging Face and SentencePiece libraries, tiktoken. Needs the shared test
 * data.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesSource, readGguf } from "../../src/files/gguf.ts";
import {
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromMetadata,
  tokenizerFromModel,
  tokenizerFromTiktoken,
} from "../../src/text/tokenizer.ts";
import { describeShared } from "../shared.ts";
import { fromRanks, metadata } from "./vocabularies.ts";

const read = (path: string): string => readFileSync(path, "utf8");

async function open(path: string): Promise<Tokenizer> {
  const gguf = await readGguf(bytesSource(readFileSync(path), path));
  return tokenizerFromMetadata(gguf.metadata);
}

interface Case {
  text: string;
  ids: number[];
}

function check(tokenizer: Tokenizer, cases: readonly Case[]): void {
  expect(cases.length).toBeGreaterThan(40);
  for (const { text, ids } of cases) {
    expect({ text, ids: [...tokenizer.encode(text, { bos: false, eos: false })] }).toEqual({ text, ids });
    // WordPiece keeps words and not what is between them.
    if (tokenizer.kind !== "bert") expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.count(text)).toBe(ids.length);
  }
}

describe.each(["gpt-2", "llama-spm", "falcon", "deepseek-llm", "bert-bge"])("the vocabulary %s", name => {
  describeShared("against llama.cpp", `tokenizer-gguf-vocab/ggml-vocab-${name}.gguf`, path => {
    it("gives the ids of its test texts", async () => {
      const texts = read(`${path}.inp`).split("\n__ggml_vocab_test__\n");
      const ids = read(`${path}.out`).split("\n");
      const cases = texts.map((text, i) => ({ text, ids: ids[i].split(" ").filter(Boolean).map(Number) }));
      check(await open(path), cases);
    });

    it("gives the ids of further texts", async () => {
      check(await open(path), JSON.parse(read(path.replace(/\.gguf$/, ".llamacpp-extra.json"))));
    });
  });
});

describeShared("the vocabulary of stories260K", "lm-stories260k/stories260K.gguf", path => {
  it("encodes prompts and decodes answers as llama.cpp does", async () => {
    const tokenizer = await open(path);
    expect(tokenizer).toMatchObject({ kind: "llama", size: 512, bos: 1, eos: 2, addBos: true });
    const { cases } = JSON.parse(read(path.replace("stories260K.gguf", "llamacpp-greedy.json"))) as {
      cases: { prompt: string; prompt_ids: number[]; generated: number[] }[];
    };
    for (const { prompt, prompt_ids, generated } of cases) {
      expect([...tokenizer.encode(prompt)]).toEqual(prompt_ids);
      const story = tokenizer.decode([...prompt_ids, ...generated]);
      expect(story.startsWith(prompt)).toBe(true);
      expect(story).toBe(prompt + tokenizer.decode(generated, { continued: prompt !== "" }));
    }
    const [empty] = cases;
    const expected = read(path.replace("stories260K.gguf", "expected-greedy-200-steps.txt"));
    expect(expected.startsWith(tokenizer.decode(empty.generated))).toBe(true);
  });
});

interface DecodedCase extends Case {
  decoded?: string;
  decoded_skip_special?: string;
}

function checkDecoded(tokenizer: Tokenizer, cases: readonly DecodedCase[]): void {
  expect(cases.length).toBeGreaterThan(100);
  for (const { text, ids, decoded, decoded_skip_special } of cases) {
    expect({ text, ids: [...tokenizer.encode(text, { special: true })] }).toEqual({ text, ids });
    expect({ text, decoded: tokenizer.decode(ids) }).toEqual({ text, decoded: decoded ?? decoded_skip_special });
    const stream = tokenizer.detokenizer();
    expect(ids.map(id => stream.push(id)).join("") + stream.end()).toBe(tokenizer.decode(ids));
  }
}

describeShared("the tokenizer.json of GPT-2", "tokenizer-hf-json/gpt2", path => {
  const cases = (): DecodedCase[] => JSON.parse(read(`${path}/hf-tokenizers.expected.json`));
  it("gives the ids and texts of the Hugging Face library", () => {
    checkDecoded(tokenizerFromJson(read(`${path}/tokenizer.json`)), cases());
  });

  it("is the same when put together from the older pair of files", () => {
    const model = {
      vocab: JSON.parse(read(`${path}/gpt2_vocab.json`)),
      merges: read(`${path}/gpt2_merges.txt`)
        .split("\n")
        .filter(line => line !== "" && !line.startsWith("#version")),
    };
    const added_tokens = [{ id: 50256, content: "<|endoftext|>", special: true }];
    const byteLevel = { type: "ByteLevel", add_prefix_space: false };
    const old = tokenizerFromJson({ model, added_tokens, pre_tokenizer: byteLevel, decoder: byteLevel });
    checkDecoded(old, cases());
    const now = tokenizerFromJson(read(`${path}/tokenizer.json`));
    for (const name of ["address", "german"]) {
      const text = read(`${path}/${name}.txt`);
      expect(old.encode(text)).toEqual(now.encode(text));
      expect(old.decode(old.encode(text))).toBe(text);
    }
  });
});

describe.each(["test_model", "test_sentencepiece_bpe", "test_sentencepiece_with_bytefallback"])("the model %s", name => {
  describeShared("against the SentencePiece library", `tokenizer-sentencepiece/${name}.model`, path => {
    const expected = path.replace(".model", ".sentencepiece-expected.json");
    it("gives its ids and texts", () => checkDecoded(tokenizerFromModel(readFileSync(path)), JSON.parse(read(expected))));

    it("puts tokens around a text where the configuration says so", () => {
      const made = tokenizerFromModel(readFileSync(path), { add_bos_token: true, add_eos_token: true });
      expect([...made.encode("")]).toEqual([made.bos, made.eos]);
      expect(tokenizerFromModel(readFileSync(path), { add_bos_token: false }).addBos).toBe(false);
    });
  });
});

const rankFiles = [
  [
    "r50k_base",
    "gpt-2",
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
    { "<|endoftext|>": 50256 },
  ],
  [
    "cl100k_base",
    "dbrx",
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
    { "<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260, "<|endofprompt|>": 100276 },
  ],
] as const;

describe.each(rankFiles)("the ranks %s", (name, pre, pattern, special) => {
  describeShared("against tiktoken", `tokenizer-tiktoken/${name}.tiktoken`, path => {
    const pairs = Object.entries(special).map(([text, id]) => [id, text] as const);
    it.each([
      ["as a file", () => tokenizerFromTiktoken(readFileSync(path), pattern, special)],
      ["as merges worked out the slow way", () => tokenizerFromMetadata(metadata(fromRanks(read(path), pre, pairs)))],
    ])("gives the ids of its test texts, %s", (_how, make) => {
      const tokenizer = make();
      for (const { text, ids } of JSON.parse(read(path.replace(".tiktoken", ".cases.json"))) as Case[]) {
        expect({ text, ids: [...tokenizer.encode(text, { special: true })] }).toEqual({ text, ids });
        expect(tokenizer.decode(ids, { special: true })).toBe(text);
      }
    });
  });
});
