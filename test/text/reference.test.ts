/** Ids exactly as other implementations give them: llama.cpp for whole vocabularies, tiktoken for two more. Needs the shared test data. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesSource, readGguf } from "../../src/files/gguf.ts";
import { type Tokenizer, tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
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

const rankFiles = [
  ["r50k_base", "gpt-2", [[50256, "<|endoftext|>"]]],
  [
    "cl100k_base",
    "dbrx",
    [
      [100257, "<|endoftext|>"],
      [100258, "<|fim_prefix|>"],
      [100259, "<|fim_middle|>"],
      [100260, "<|fim_suffix|>"],
      [100276, "<|endofprompt|>"],
    ],
  ],
] as const;

describe.each(rankFiles)("the ranks %s", (name, pre, special) => {
  describeShared("against tiktoken", `tokenizer-tiktoken/${name}.tiktoken`, path => {
    it("gives the ids of its test texts", () => {
      const tokenizer = tokenizerFromMetadata(metadata(fromRanks(read(path), pre, special)));
      for (const { text, ids } of JSON.parse(read(path.replace(".tiktoken", ".cases.json"))) as Case[]) {
        expect({ text, ids: [...tokenizer.encode(text, { special: true })] }).toEqual({ text, ids });
        expect(tokenizer.decode(ids, { special: true })).toBe(text);
      }
    });
  });
});
