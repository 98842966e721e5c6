/**
 * Speed of the tokenizers on one thread, in MB/s of UTF-8 text: the first pass (empty piece cache) and the best of five.
 * `node bench/tokenizer.mjs [model.gguf ...]` after `npm run build`; without arguments it takes the vocabularies of the shared test data.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { closeGguf } from "../dist/files/gguf.js";
import { openModelFile } from "../dist/files/open.node.js";
import { tokenizerFromMetadata } from "../dist/text/tokenizer.js";

const data = join(import.meta.dirname, "..", "..", "shared", "data");
const corpora = join(data, "corpora");
const vocabularies = join(data, "tokenizer-gguf-vocab");

function texts() {
  const english = "The quick brown fox jumps over the lazy dog, and then it runs 1234 miles away from the forest. ";
  const found = existsSync(corpora) ? readdirSync(corpora).filter(name => name.endsWith(".txt") && !name.startsWith("SOURCE")) : [];
  const files = found.map(name => [name, readFileSync(join(corpora, name), "utf8")]);
  return [...(files.length > 0 ? files : [["one sentence repeated", english.repeat(10_000)]]), ['1 MB of "="', "=".repeat(1_000_000)]];
}

/** Models to measure: a file, and a pre-tokenizer to put in place of its own. */
function models() {
  if (process.argv.length > 2) return process.argv.slice(2).map(path => [path]);
  const known = [["gpt-2"], ["llama-spm"], ["deepseek-llm", "llama-bpe"]];
  return known.map(([name, pre]) => [join(vocabularies, `ggml-vocab-${name}.gguf`), pre]).filter(([path]) => existsSync(path));
}

async function open(path, pre) {
  const gguf = await openModelFile(path);
  await closeGguf(gguf);
  const metadata = new Map(gguf.metadata);
  if (pre) metadata.set("tokenizer.ggml.pre", pre);
  const start = performance.now();
  const tokenizer = tokenizerFromMetadata(metadata);
  return { tokenizer, load: performance.now() - start };
}

function time(work) {
  const start = performance.now();
  const result = work();
  return { seconds: (performance.now() - start) / 1000, result };
}

for (const [path, pre] of models()) {
  const { tokenizer, load } = await open(path, pre);
  console.log(`${basename(path)}${pre ? ` with ${pre}` : ""}: ${tokenizer.kind}, ${tokenizer.size} tokens, made in ${load.toFixed(0)} ms`);
  for (const [name, text] of texts()) {
    const megabytes = Buffer.byteLength(text) / 1e6;
    const runs = Array.from({ length: 5 }, () => time(() => tokenizer.encode(text, { bos: false })));
    const best = Math.min(...runs.map(run => run.seconds));
    const ids = runs[0].result;
    const back = time(() => tokenizer.decode(ids));
    if (back.result !== text) throw new Error(`${name} does not come back`);
    const rate = seconds => (megabytes / seconds).toFixed(1).padStart(6);
    console.log(
      `  ${name.padEnd(24)} first ${rate(runs[0].seconds)}, best ${rate(best)}, decode ${rate(back.seconds)} MB/s; ${ids.length} tokens`,
    );
  }
}
