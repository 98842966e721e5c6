#!/usr/bin/env node
/**
 * Writes a GGUF file of Llama shape with random weights, so that engines can be timed without downloading a model.
 *
 *   node bench/generate.mjs --type q4_0          one file in the model folder (LATHE_BENCH_DIR, else <tmp>/lathe-bench)
 *   node bench/generate.mjs --type all           one file for each type
 *   node bench/generate.mjs --help               every option
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { vocabulary } from "./vocabulary.mjs";
import { FORMATS, random32, randomPool, source } from "./weights.mjs";

const ALIGNMENT = 32;

/** Default shape: reads 1.04 billion weights a token (every matrix once; the token table is only looked up). */
export const SHAPE = {
  hidden: 2048,
  layers: 16,
  heads: 32,
  kvHeads: 8,
  ffn: 8192,
  vocab: 32000,
  context: 4096,
  ropeBase: 10000,
  epsilon: 1e-5,
  tied: false,
};

/** @typedef {typeof SHAPE} Shape */
/** @typedef {{ name: string, type: string, ne: number[] }} Tensor */

/** Where models are kept unless an option says otherwise. */
export const modelFolder = () => process.env.LATHE_BENCH_DIR || join(tmpdir(), "lathe-bench");

/** @param {Shape} shape @returns {Tensor[]} */
function tensorsOf(shape, type) {
  const { hidden, ffn, vocab } = shape;
  const kv = (hidden / shape.heads) * shape.kvHeads;
  const norm = name => ({ name, type: "f32", ne: [hidden] });
  const matrix = (name, inputs, outputs) => ({ name, type, ne: [inputs, outputs] });
  const layer = i => [
    norm(`blk.${i}.attn_norm.weight`),
    matrix(`blk.${i}.attn_q.weight`, hidden, hidden),
    matrix(`blk.${i}.attn_k.weight`, hidden, kv),
    matrix(`blk.${i}.attn_v.weight`, hidden, kv),
    matrix(`blk.${i}.attn_output.weight`, hidden, hidden),
    norm(`blk.${i}.ffn_norm.weight`),
    matrix(`blk.${i}.ffn_gate.weight`, hidden, ffn),
    matrix(`blk.${i}.ffn_up.weight`, hidden, ffn),
    matrix(`blk.${i}.ffn_down.weight`, ffn, hidden),
  ];
  const head = shape.tied ? [] : [matrix("output.weight", hidden, vocab)];
  const layers = Array.from({ length: shape.layers }, (_, i) => layer(i));
  return [matrix("token_embd.weight", hidden, vocab), ...layers.flat(), norm("output_norm.weight"), ...head];
}

const weightsIn = tensor => tensor.ne.reduce((a, b) => a * b, 1);

const bytesIn = tensor => (weightsIn(tensor) / FORMATS[tensor.type].block) * FORMATS[tensor.type].bytes;

/** Weights and bytes in all, and those that one decoded token reads (all matrices once; of an untied token table only one row). */
export function sizeOf(shape, type) {
  const tensors = tensorsOf(shape, type);
  const read = tensors.filter(t => shape.tied || t.name !== "token_embd.weight");
  const sum = (list, of) => list.reduce((total, t) => total + of(t), 0);
  return {
    weights: sum(tensors, weightsIn),
    bytes: sum(tensors, bytesIn),
    readWeights: sum(read, weightsIn),
    readBytes: sum(read, bytesIn),
  };
}

const align = n => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

const number = (bytes, put) => {
  const out = Buffer.alloc(bytes);
  put(out);
  return out;
};
const u32 = value => number(4, out => out.writeUInt32LE(value));
const u64 = value => number(8, out => out.writeBigUInt64LE(BigInt(value)));
const text = value => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const list = (type, items, put) => Buffer.concat([u32(9), u32(type), u64(items.length), ...items.map(put)]);

/** Writers of a metadata value, by kind; each puts the value's type number first. */
const value = {
  u32: n => Buffer.concat([u32(4), u32(n)]),
  f32: x => Buffer.concat([u32(6), number(4, out => out.writeFloatLE(x))]),
  bool: b => Buffer.concat([u32(7), Buffer.from([b ? 1 : 0])]),
  string: s => Buffer.concat([u32(8), text(s)]),
  strings: items => list(8, items, text),
  floats: items => list(6, items, x => number(4, out => out.writeFloatLE(x))),
  integers: items => list(5, items, n => number(4, out => out.writeInt32LE(n))),
};

/** @param {Shape} shape */
function metadata(shape, type, seed) {
  const words = vocabulary(shape.vocab, seed);
  const billions = sizeOf(shape, type).weights / 1e9;
  const entries = {
    "general.architecture": value.string("llama"),
    "general.name": value.string("Lathe benchmark, random weights"),
    "general.size_label": value.string(`${billions.toFixed(1)}B`),
    "general.file_type": value.u32(FORMATS[type].fileType),
    "general.quantization_version": value.u32(2),
    "general.alignment": value.u32(ALIGNMENT),
    "llama.block_count": value.u32(shape.layers),
    "llama.context_length": value.u32(shape.context),
    "llama.embedding_length": value.u32(shape.hidden),
    "llama.feed_forward_length": value.u32(shape.ffn),
    "llama.vocab_size": value.u32(shape.vocab),
    "llama.attention.head_count": value.u32(shape.heads),
    "llama.attention.head_count_kv": value.u32(shape.kvHeads),
    "llama.attention.layer_norm_rms_epsilon": value.f32(shape.epsilon),
    "llama.rope.dimension_count": value.u32(shape.hidden / shape.heads),
    "llama.rope.freq_base": value.f32(shape.ropeBase),
    "tokenizer.ggml.model": value.string("llama"),
    "tokenizer.ggml.pre": value.string("default"),
    "tokenizer.ggml.tokens": value.strings(words.tokens),
    "tokenizer.ggml.scores": value.floats(words.scores),
    "tokenizer.ggml.token_type": value.integers(words.types),
    "tokenizer.ggml.unknown_token_id": value.u32(0),
    "tokenizer.ggml.bos_token_id": value.u32(1),
    "tokenizer.ggml.eos_token_id": value.u32(2),
    "tokenizer.ggml.add_bos_token": value.bool(true),
    "tokenizer.ggml.add_eos_token": value.bool(false),
  };
  return Object.entries(entries).map(([key, bytes]) => Buffer.concat([text(key), bytes]));
}

/** Everything before the tensor data, padded to the alignment. */
function header(tensors, entries) {
  let offset = 0;
  const infos = tensors.map(tensor => {
    const info = [text(tensor.name), u32(tensor.ne.length), ...tensor.ne.map(u64), u32(FORMATS[tensor.type].id), u64(offset)];
    offset += align(bytesIn(tensor));
    return Buffer.concat(info);
  });
  const bytes = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(entries.length), ...entries, ...infos]);
  return Buffer.concat([bytes, Buffer.alloc(align(bytes.length) - bytes.length)]);
}

/** Writes `length` bytes of a pool of blocks, from block `start` on and round and round. */
function writeRound(file, pool, blockBytes, start, length) {
  let at = start * blockBytes;
  for (let left = length; left > 0; ) {
    const piece = pool.subarray(at, Math.min(pool.length, at + left));
    const written = writeSync(file, piece);
    left -= written;
    at = (at + written) % pool.length;
  }
}

/** Norm weights lie around 1. */
function normWeights(count, from) {
  const out = Buffer.alloc(count * 4);
  for (let i = 0; i < count; i++) out.writeFloatLE(1 + 0.05 * from.normal(), i * 4);
  return out;
}

/** @param {{ shape: Shape, type: string, seed: number, path: string }} options Writes the file under another name first, then renames it. */
export function generate({ shape, type, seed, path }) {
  checkShape(shape, type);
  const tensors = tensorsOf(shape, type);
  const pool = randomPool(FORMATS[type], seed);
  const next = random32(seed + 1);
  const norms = source(seed + 2);
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "wx");
  try {
    writeSync(file, header(tensors, metadata(shape, type, seed)));
    for (const tensor of tensors) {
      const length = bytesIn(tensor);
      if (tensor.ne.length === 1) writeSync(file, normWeights(tensor.ne[0], norms));
      else writeRound(file, pool.bytes, FORMATS[type].bytes, next() % pool.blocks, length);
      writeSync(file, Buffer.alloc(align(length) - length));
    }
    fsyncSync(file);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  return statSync(path).size;
}

function checkShape(shape, type) {
  const format = FORMATS[type];
  if (!format) throw new Error(`unknown type ${type}; known: ${Object.keys(FORMATS).join(" ")}`);
  for (const key of ["hidden", "layers", "heads", "kvHeads", "ffn", "vocab", "context"]) {
    if (!Number.isInteger(shape[key]) || shape[key] < 1) throw new Error(`${key} must be a whole number above 0, not ${shape[key]}`);
  }
  if (shape.hidden % shape.heads || shape.heads % shape.kvHeads || (shape.hidden / shape.heads) % 2)
    throw new Error("hidden must be an even multiple of heads, and heads a multiple of kv-heads");
  for (const row of [shape.hidden, shape.ffn])
    if (row % format.block) throw new Error(`rows of ${row} weights do not divide into blocks of ${format.block} (${type})`);
}

/** The file of a type in a folder. */
export const modelPath = (folder, type, name = "llama-1b") => join(resolve(folder), `${name}-${type}.gguf`);

const HELP = `Usage: node bench/generate.mjs --type <${Object.keys(FORMATS).join("|")}|all> [options]
  --dir <folder>    where to write (default: LATHE_BENCH_DIR, else <tmp>/lathe-bench)
  --name <name>     file name before -<type>.gguf (default llama-1b, or llama-1b-tied)
  --force           write again even when the file exists
  --tied            no separate output matrix
  --seed <n>        random seed (default 1)
  --hidden --layers --heads --kv-heads --ffn --vocab --context <n>   the shape (defaults ${Object.values(SHAPE).slice(0, 7).join(", ")})`;

function options() {
  const names = ["type", "dir", "name", "seed", "hidden", "layers", "heads", "kv-heads", "ffn", "vocab", "context"];
  const flags = ["force", "tied", "help"];
  const spec = Object.fromEntries([...names.map(n => [n, { type: "string" }]), ...flags.map(n => [n, { type: "boolean" }])]);
  return parseArgs({ options: spec }).values;
}

function main() {
  const args = options();
  if (args.help || !args.type) return console.log(HELP);
  const of = (key, fallback) => (args[key] === undefined ? fallback : Number(args[key]));
  const shape = { ...SHAPE, tied: args.tied ?? false, kvHeads: of("kv-heads", SHAPE.kvHeads) };
  for (const key of ["hidden", "layers", "heads", "ffn", "vocab", "context"]) shape[key] = of(key, SHAPE[key]);
  const name = args.name ?? (shape.tied ? "llama-1b-tied" : "llama-1b");
  for (const type of args.type === "all" ? Object.keys(FORMATS) : args.type.split(",")) {
    const path = modelPath(args.dir ?? modelFolder(), type, name);
    if (existsSync(path) && !args.force) {
      console.log(`${path} exists`);
      continue;
    }
    const start = performance.now();
    const bytes = generate({ shape, type, seed: of("seed", 1), path });
    const size = sizeOf(shape, type);
    const seconds = (performance.now() - start) / 1000;
    console.log(`${path}: ${(bytes / 1e6).toFixed(1)} MB, ${(size.weights / 1e9).toFixed(3)} B weights, ${seconds.toFixed(1)} s`);
    console.log(`  a token reads ${(size.readWeights / 1e9).toFixed(3)} B weights, ${(size.readBytes / 1e9).toFixed(3)} GB`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main();
