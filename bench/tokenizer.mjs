#!/usr/bin/env node
/**
 * Speed of the tokenizers on one thread, in MB/s of UTF-8 text: the first pass (empty piece cache) and the best of three.
 * `node bench/tokenizer.mjs [model.gguf ...]` after `npm run build`; without arguments it takes the vocabularies of the shared test data:
 * one of each source, and one of 128,256 entries (a rank file of 100,277, made longer by tokens for words of the texts).
 */
import "./usage.mjs";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { closeGguf } from "../dist/files/gguf.js";
import { openModelFile } from "../dist/files/open.node.js";
import { tokenizerFromJson, tokenizerFromMetadata, tokenizerFromModel, tokenizerFromTiktoken } from "../dist/text/tokenizer.js";

const data = join(import.meta.dirname, "..", "..", "shared", "data");
const corpora = join(data, "corpora");

function texts() {
  const english = "The quick brown fox jumps over the lazy dog, and then it runs 1234 miles away from the forest. ";
  const found = existsSync(corpora) ? readdirSync(corpora).filter(name => name.endsWith(".txt") && !name.startsWith("SOURCE")) : [];
  const files = found.map(name => [name, readFileSync(join(corpora, name), "utf8")]);
  return [...(files.length > 0 ? files : [["one sentence repeated", english.repeat(10_000)]]), ['1 MB of "="', "=".repeat(1_000_000)]];
}

const cl100k =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s";

async function gguf(path, pre) {
  const file = await openModelFile(path);
  await closeGguf(file);
  const metadata = new Map(file.metadata);
  if (pre) metadata.set("tokenizer.ggml.pre", pre);
  return () => tokenizerFromMetadata(metadata);
}

const ENTRIES = 128_256;

/** Makes a rank file longer: tokens for the texts' words of two tokens, then joined pairs of tokens that are there. */
function extended(path) {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const ranks = new Map(lines.map(line => [Buffer.from(line.split(" ")[0], "base64").toString("latin1"), 0]));
  const tokenizer = tokenizerFromTiktoken(lines.join("\n"), cl100k);
  const add = bytes => {
    if (ranks.has(bytes) || ranks.size >= ENTRIES) return;
    lines.push(`${Buffer.from(bytes, "latin1").toString("base64")} ${ranks.size}`);
    ranks.set(bytes, 0);
  };
  const bytesOf = ids => Buffer.concat([...ids].map(id => tokenizer.bytes(id))).toString("latin1");
  for (const [, text] of texts()) {
    for (const word of new Set(text.match(/ ?\p{L}+/gu) ?? [])) {
      const ids = tokenizer.encode(word);
      if (ids.length === 2) add(bytesOf(ids));
    }
  }
  for (let id = 256; ranks.size < ENTRIES; id++) add(bytesOf([id, (id * 7919) % 50_000]));
  return () => tokenizerFromTiktoken(lines.join("\n"), cl100k);
}

/** What to measure: a title and what makes the tokenizer. */
async function models() {
  const given = process.argv.slice(2);
  if (given.length > 0) return Promise.all(given.map(async path => [basename(path), await gguf(path)]));
  const from = (folder, name) => join(data, folder, name);
  const known = [
    ["cl100k_base and 27,979 more", from("tokenizer-tiktoken", "cl100k_base.tiktoken"), extended],
    ["deepseek-llm with llama-bpe", from("tokenizer-gguf-vocab", "ggml-vocab-deepseek-llm.gguf"), path => gguf(path, "llama-bpe")],
    ["deepseek-llm", from("tokenizer-gguf-vocab", "ggml-vocab-deepseek-llm.gguf"), path => gguf(path)],
    ["llama-spm", from("tokenizer-gguf-vocab", "ggml-vocab-llama-spm.gguf"), path => gguf(path)],
    ["bert-bge", from("tokenizer-gguf-vocab", "ggml-vocab-bert-bge.gguf"), path => gguf(path)],
    ["gpt2 tokenizer.json", from("tokenizer-hf-json", "gpt2/tokenizer.json"), path => () => tokenizerFromJson(readFileSync(path, "utf8"))],
    ["unigram tokenizer.model", from("tokenizer-sentencepiece", "test_model.model"), path => () => tokenizerFromModel(readFileSync(path))],
  ];
  return Promise.all(known.filter(([, path]) => existsSync(path)).map(async ([title, path, make]) => [title, await make(path)]));
}

function time(work) {
  const start = performance.now();
  const result = work();
  return { seconds: (performance.now() - start) / 1000, result };
}

const found = await models();
if (found.length === 0) throw new Error("name a model, because the shared test data is not here; --help tells more");
for (const [title, make] of found) {
  const { seconds: load, result: tokenizer } = time(make);
  console.log(`${title}: ${tokenizer.kind}, ${tokenizer.size} tokens, made in ${(load * 1000).toFixed(0)} ms`);
  for (const [name, text] of texts()) {
    const megabytes = Buffer.byteLength(text) / 1e6;
    const runs = Array.from({ length: 3 }, () => time(() => tokenizer.encode(text, { bos: false })));
    const best = Math.min(...runs.map(run => run.seconds));
    const ids = runs[0].result;
    const back = time(() => tokenizer.decode(ids));
    // Words alone, or normalized text, come back otherwise than they went in.
    if (tokenizer.kind !== "bert" && tokenizer.kind !== "t5" && back.result !== text) throw new Error(`${name} does not come back`);
    const rate = seconds => (megabytes / seconds).toFixed(1).padStart(6);
    console.log(
      `  ${name.padEnd(24)} first ${rate(runs[0].seconds)}, best ${rate(best)}, decode ${rate(back.seconds)} MB/s; ${ids.length} tokens`,
    );
  }
}
