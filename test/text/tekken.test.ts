/**
 * Mistral's tekken files: the ranks of tiktoken's own files in that form must give tiktoken's ids, moved behind the special tokens; and a file
 * converted to GGUF metadata must give the same ids as the file itself.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tokenizerOf } from "../../src/files/hf/tokenizer.ts";
import { safetensorsBytes } from "../../src/files/safetensors-write.ts";
import { knownRanks } from "../../src/text/sources/tiktoken.ts";
import { tokenizerFromJson, tokenizerFromMetadata, tokenizerFromTekken } from "../../src/text/tokenizer.ts";
import { caught } from "../files/caught.ts";
import { memoryFolder } from "../files/hf/memory-folder.ts";
import { describeShared } from "../shared.ts";

const SPECIAL = 1000;

interface Entry {
  readonly rank: number;
  readonly token_bytes: string;
  readonly token_str: string | null;
}
const config = (pattern: string, own: number, special: number): object => ({
  pattern,
  num_vocab_tokens: own,
  default_vocab_size: own + special,
  default_num_special_tokens: special,
  version: "v3",
});
const entry = (rank: number, bytes: string): Entry => ({ rank, token_bytes: btoa(bytes), token_str: null });

describe.each(["r50k_base", "cl100k_base"])("the ranks of %s as a tekken file", name => {
  describeShared("against tiktoken", `tokenizer-tiktoken/${name}.tiktoken`, path => {
    it("give tiktoken's ids, moved", () => {
      const text = readFileSync(path, "utf8");
      const rows = text
        .trim()
        .split("\n")
        .map(line => line.split(" "));
      const vocab: Entry[] = rows.map(([token_bytes, rank]) => ({ rank: Number(rank), token_bytes, token_str: null }));
      const { pattern } = knownRanks(text);
      const tokenizer = tokenizerFromTekken({ config: config(pattern, vocab.length, SPECIAL), vocab });
      const cases: { text: string; ids: number[] }[] = JSON.parse(readFileSync(path.replace(".tiktoken", ".cases.json"), "utf8"));
      const plain = cases.filter(({ ids }) => ids.every(id => id < vocab.length));
      expect(plain.length).toBeGreaterThan(20);
      for (const { text: given, ids } of plain) {
        const moved = ids.map(id => id + SPECIAL);
        expect({ given, ids: [...tokenizer.encode(given)] }).toEqual({ given, ids: [1, ...moved] });
        expect(tokenizer.decode(moved)).toBe(given);
      }
    });
  });
});

/** Characters that byte-level vocabularies write bytes with (GPT-2), back to bytes. */
function bytesOf(token: string): Uint8Array {
  const shown = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  const hidden = Array.from({ length: 256 }, (_, b) => b).filter(b => !shown(b));
  return Uint8Array.from(token, c => (c.charCodeAt(0) < 256 ? c.charCodeAt(0) : hidden[c.charCodeAt(0) - 256]));
}

describeShared("the vocabulary of a tokenizer.json as a tekken file", "tokenizer-hf-json/gpt2", path => {
  const read = (name: string): string => readFileSync(`${path}/${name}`, "utf8");
  const json = JSON.parse(read("tokenizer.json"));
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  const inWords = (bytes: Uint8Array): string | null => {
    try {
      return utf8.decode(bytes);
    } catch {
      return null;
    }
  };
  const vocab = Object.entries(json.model.vocab as Record<string, number>)
    .filter(([token]) => token !== "<|endoftext|>")
    .sort(([, a], [, b]) => a - b)
    .map(([token, rank]) => {
      const bytes = bytesOf(token);
      return { rank, token_bytes: Buffer.from(bytes).toString("base64"), token_str: inWords(bytes) };
    });
  const names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[IMG]", "<pad>"];
  const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  const tekken = tokenizerFromTekken(
    JSON.stringify({
      config: config(gpt2, vocab.length, SPECIAL),
      vocab,
      special_tokens: names.map((token_str, rank) => ({ rank, token_str, is_control: true })),
    }),
  );
  const own = tokenizerFromJson(json);

  it("gives the ids of the Hugging Face library, moved behind the special tokens", () => {
    const cases: { text: string; ids: number[] }[] = JSON.parse(read("hf-tokenizers.expected.json"));
    const plain = cases.filter(({ ids }) => !ids.includes(vocab.length));
    expect(plain.length).toBeGreaterThan(100);
    for (const { text, ids } of plain)
      expect({ text, ids: [...tekken.encode(text)] }).toEqual({ text, ids: [1, ...ids.map(id => id + SPECIAL)] });
  });

  it("gives the ids of the same vocabulary for longer texts, and its special tokens where they are asked for", () => {
    for (const name of ["address.txt", "german.txt"]) {
      const text = read(name);
      const ids = tekken.encode(text, { bos: false });
      expect([...ids]).toEqual([...own.encode(text)].map(id => id + SPECIAL));
      expect(tekken.decode(ids)).toBe(text);
    }
    const word = [...own.encode("hello")].map(id => id + SPECIAL);
    expect([...tekken.encode("[INST]hello[/INST]", { special: true })]).toEqual([1, 3, ...word, 4]);
    expect([...tekken.encode("[INST]", { bos: false })]).toEqual([...own.encode("[INST]")].map(id => id + SPECIAL));
  });
});

/** Bytes, then words made of them. */
const words = ["he", "ll", "llo", "hello", " w", "or", "wor", " wor", "ld", " world", "Wor", "é".normalize("NFC")];
const utf8 = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));
const small = {
  config: config(
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    256 + words.length,
    20,
  ),
  vocab: [
    ...Array.from({ length: 256 }, (_, byte) => entry(byte, String.fromCharCode(byte))),
    ...words.map((word, i) => entry(256 + i, utf8(word))),
    entry(256 + words.length, "beyond"),
  ],
};
const texts = ["hello world", "Hello worldWorld 12 é [INST] </s>", "", "  a\n\nb\t", "hellohello wor ld", "日本 🙂"];

describe("tekken files", () => {
  it("name their special tokens, or have the usual ones", () => {
    const usual = tokenizerFromTekken(small);
    expect([usual.id("<s>"), usual.id("[INST]"), usual.bos, usual.eos, usual.size]).toEqual([1, 3, 1, 2, 276 + words.length]);
    expect(usual.isEndOfGeneration(2)).toBe(true);
    expect([...usual.encode("[INST]hello", { special: true, bos: false })]).toEqual([3, 20 + 259]);
    const named = tokenizerFromTekken(JSON.stringify({ ...small, special_tokens: [{ rank: 0, token_str: "<x>", is_control: true }] }));
    expect([named.id("<x>"), named.text(7), named.bos]).toEqual([0, "<SPECIAL_7>", undefined]);
  });

  it("become metadata that gives the same ids", async () => {
    const folder = await memoryFolder({
      "config.json": {},
      "model.safetensors": await safetensorsBytes({ tensors: [] }),
      "tekken.json": small,
    });
    const pairs = await tokenizerOf(folder, 276 + words.length, undefined);
    const plain = pairs.map(([key, v]) => [key, typeof v === "object" && "value" in v ? v.value : v] as const);
    const converted = tokenizerFromMetadata(new Map(plain.map(([key, v]) => [key, typeof v === "object" && "of" in v ? v.items : v])));
    expect(new Map(plain).get("tokenizer.ggml.pre")).toBe("tekken");
    const own = tokenizerFromTekken(small);
    for (const special of [false, true])
      for (const text of texts)
        expect({ text, ids: [...converted.encode(text, { special })] }).toEqual({ text, ids: [...own.encode(text, { special })] });
    expect(converted.eos).toBe(2);
  });

  it("are refused where they contradict themselves", async () => {
    const broken: object[] = [
      { ...small, config: { ...small.config, default_num_special_tokens: 2 ** 30 } },
      { ...small, config: { ...small.config, default_vocab_size: 3 } },
      { ...small, vocab: [entry(1, "a")] },
      { ...small, vocab: [{ rank: 0, token_bytes: "!", token_str: null }] },
      { ...small, special_tokens: [{ rank: 20, token_str: "<x>" }] },
      { ...small, special_tokens: {} },
      { vocab: [] },
    ];
    for (const file of broken) await caught("tokenizer.malformed", async () => tokenizerFromTekken(file as Record<string, unknown>));
  });
});
