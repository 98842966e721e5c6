/**
 * The reference: the Llama family in float64, from the bytes of a GGUF file to logits, in one file that reads from top to bottom in the
 * order of the papers. Everything faster is compared with it, so it shares no code with `src/` and imports nothing but the file system
 * and its own weight types of lesser use (blocks.ts).
 * It is written to be checked by eye, not to be fast: no blocking, no threads, no number below float64, every weight unpacked at load.
 * Files are trusted here. What it does not know (another architecture, another weight type, a tensor left over) it refuses.
 *
 * Sources: ggml docs/gguf.md and the block layouts of ggml-common.h; Llama 2 (Touvron 2023), RMSNorm (Zhang 2019), RoPE (Su 2021),
 * grouped queries (Ainslie 2023), SwiGLU (Shazeer 2020), YaRN (Peng 2023).
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { blockTypes } from "./blocks.ts";

export interface ReferenceModel {
  readonly config: Readonly<ReferenceConfig>;
  /** The file's own token list, spelled as it is there. */
  readonly vocabulary: readonly string[];
  /** Starts an empty sequence: each call of the result appends one token and returns the logits [vocab] after it. */
  start(): (token: number) => Float64Array;
  /** The logits [vocab] after each of the tokens. Token i sees positions from `from[i]` (0 where absent) up to its own. */
  logits(tokens: number[], from?: readonly number[]): Float64Array[];
  /** The `steps` ids that follow `tokens` by argmax (ties: the lowest id). No token ends it early. */
  greedy(tokens: number[], steps: number): number[];
}

// ---- GGUF: magic, version, counts, metadata, tensor infos, then the data, aligned; little-endian -------------------------------------

type Value = number | boolean | string | Value[];

interface TensorInfo {
  shape: number[]; // shape[0] is the length of a row
  type: number;
  offset: number; // from the start of the file
}

function readHeader(bytes: Buffer) {
  if (bytes.toString("latin1", 0, 4) !== "GGUF") throw new Error("not a GGUF file");
  let at = 8;
  const take = (n: number) => (at += n) - n; // the place of the next n bytes
  const u32 = () => bytes.readUInt32LE(take(4));
  const u64 = () => Number(bytes.readBigUInt64LE(take(8)));
  const string = () => {
    const length = u64();
    return bytes.toString("utf8", take(length), at);
  };
  const array = () => {
    const read = readers[u32()];
    return Array.from({ length: u64() }, () => read());
  };
  const readers: (() => Value)[] = [
    () => bytes.readUInt8(take(1)),
    () => bytes.readInt8(take(1)),
    () => bytes.readUInt16LE(take(2)),
    () => bytes.readInt16LE(take(2)),
    u32,
    () => bytes.readInt32LE(take(4)),
    () => bytes.readFloatLE(take(4)),
    () => bytes.readUInt8(take(1)) !== 0,
    string,
    array,
    u64,
    () => Number(bytes.readBigInt64LE(take(8))),
    () => bytes.readDoubleLE(take(8)),
  ];
  const tensorCount = u64();
  const keyCount = u64();
  const meta = new Map<string, Value>();
  for (let i = 0; i < keyCount; i++) {
    const key = string();
    meta.set(key, readers[u32()]());
  }
  const tensors = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const name = string();
    const shape = Array.from({ length: u32() }, u64);
    tensors.set(name, { shape, type: u32(), offset: u64() });
  }
  const alignment = Number(meta.get("general.alignment") ?? 32);
  const dataStart = Math.ceil(at / alignment) * alignment;
  for (const tensor of tensors.values()) tensor.offset += dataStart; // the file counts from its data section
  return { meta, tensors };
}

// ---- Weight types: how the bytes of one block become numbers -------------------------------------------------------------------------

/** IEEE half precision. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const special = fraction ? Number.NaN : Number.POSITIVE_INFINITY;
  const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? special : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

const f16 = (b: DataView, at: number) => half(b.getUint16(at, true));
const bfloat16 = (b: DataView) => new Float32Array(Uint32Array.of(b.getUint16(0, true) << 16).buffer)[0]; // the upper half of a float32
const low = (byte: number) => byte & 15;
const high = (byte: number) => byte >> 4;

/** d, then 32 signed bytes. */
function q8_0(b: DataView, y: Float64Array): void {
  const d = f16(b, 0);
  for (let j = 0; j < 32; j++) y[j] = d * b.getInt8(2 + j);
}

/** d, then 16 bytes: the low halves are values 0..15, the high halves values 16..31; 8 stands for zero. */
function q4_0(b: DataView, y: Float64Array): void {
  const d = f16(b, 0);
  for (let j = 0; j < 16; j++) {
    const byte = b.getUint8(2 + j);
    y[j] = d * (low(byte) - 8);
    y[16 + j] = d * (high(byte) - 8);
  }
}

/** d, dmin, 8 scales and 8 minima of 6 bits in 12 bytes, then 128 bytes of halves: 8 groups of 32, each d * scale * q - dmin * min. */
function q4_K(b: DataView, y: Float64Array): void {
  const d = f16(b, 0);
  const dmin = f16(b, 2);
  const s = (i: number) => b.getUint8(4 + i);
  for (let g = 0; g < 8; g++) {
    const scale = g < 4 ? s(g) & 63 : low(s(g + 4)) | ((s(g - 4) >> 6) << 4);
    const min = g < 4 ? s(g + 4) & 63 : high(s(g + 4)) | ((s(g) >> 6) << 4);
    for (let t = 0; t < 32; t++) {
      const byte = b.getUint8(16 + 32 * (g >> 1) + t); // groups 2p and 2p + 1 share 32 bytes
      y[32 * g + t] = d * scale * (g & 1 ? high(byte) : low(byte)) - dmin * min;
    }
  }
}

/** 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, d: 16 groups of 16, each d * scale * (q - 32). */
function q6_K(b: DataView, y: Float64Array): void {
  const d = f16(b, 208);
  for (let i = 0; i < 256; i++) {
    const [h, k, t] = [i >> 7, (i >> 5) & 3, i & 31]; // half of the block, quarter of the half, place in the quarter
    const byte = b.getUint8(64 * h + 32 * (k & 1) + t);
    const bits = (k < 2 ? low(byte) : high(byte)) | (((b.getUint8(128 + 32 * h + t) >> (2 * k)) & 3) << 4);
    y[i] = d * b.getInt8(192 + (i >> 4)) * (bits - 32);
  }
}

/** By the id in GGUF files: how many values a block has, how many bytes, and how they decode. */
const weightTypes: Record<number, [values: number, bytes: number, decode: (block: DataView, into: Float64Array) => void]> = {
  0: [1, 4, (b, y) => void (y[0] = b.getFloat32(0, true))], // F32
  1: [1, 2, (b, y) => void (y[0] = f16(b, 0))], // F16
  2: [32, 18, q4_0],
  8: [32, 34, q8_0],
  12: [256, 144, q4_K],
  14: [256, 210, q6_K],
  26: [1, 4, (b, y) => void (y[0] = b.getInt32(0, true))], // I32
  30: [1, 2, (b, y) => void (y[0] = bfloat16(b))], // BF16
  ...blockTypes,
};

function weightType(id: number) {
  if (!(id in weightTypes)) throw new Error(`the reference does not decode weight type ${id}`);
  return weightTypes[id];
}

/** The numbers in a run of whole blocks of the weight type with GGUF id `type`. */
export function dequantise(type: number, bytes: Uint8Array): Float64Array {
  const [values, size, decode] = weightType(type);
  const out = new Float64Array((bytes.length / size) * values);
  for (let i = 0; i * size < bytes.length; i++) {
    decode(new DataView(bytes.buffer, bytes.byteOffset + i * size, size), out.subarray(i * values, (i + 1) * values));
  }
  return out;
}

// ---- Weights -------------------------------------------------------------------------------------------------------------------------

interface Matrix {
  data: Float64Array; // [rows * cols], row by row
  rows: number; // outputs
  cols: number; // inputs
  bias?: Float64Array; // [rows]
}

const missing = (name: string): never => {
  throw new Error(`${name} is missing`);
};

/** Reads each tensor once, checks its shape, and at the end names those that nobody asked for: a graph that skips one would be wrong. */
class TensorReader {
  readonly #file: number;
  readonly #left: Map<string, TensorInfo>;

  constructor(file: number, tensors: Map<string, TensorInfo>) {
    this.#file = file;
    this.#left = new Map(tensors);
  }

  find(name: string, ...shape: number[]): Float64Array | undefined {
    const info = this.#left.get(name);
    if (!info) return undefined;
    this.#left.delete(name);
    if (String(info.shape) !== String(shape)) throw new Error(`${name} has shape [${info.shape}], expected [${shape}]`);
    const [values, size] = weightType(info.type);
    const bytes = Buffer.alloc((shape.reduce((a, b) => a * b) / values) * size);
    if (readSync(this.#file, bytes, 0, bytes.length, info.offset) !== bytes.length) throw new Error(`${name} is cut off`);
    return dequantise(info.type, bytes);
  }

  vector(name: string, length: number): Float64Array {
    return this.find(name, length) ?? missing(name);
  }

  matrix(name: string, rows: number, cols: number): Matrix {
    const data = this.find(`${name}.weight`, cols, rows) ?? missing(`${name}.weight`);
    return { data, rows, cols, bias: this.find(`${name}.bias`, rows) };
  }

  finish(): void {
    if (this.#left.size > 0) throw new Error(`the plain Llama graph has no place for ${[...this.#left.keys()].join(", ")}`);
  }
}

function readWeights(read: TensorReader, c: ReferenceConfig) {
  const embedding = read.matrix("token_embd", c.vocab, c.dim); // [vocab, dim]
  const layer = (blk: string) => ({
    attnNorm: read.vector(`${blk}.attn_norm.weight`, c.dim), // [dim]
    q: read.matrix(`${blk}.attn_q`, c.heads * c.keyDim, c.dim), // [heads * keyDim, dim]
    k: read.matrix(`${blk}.attn_k`, c.kvHeads * c.keyDim, c.dim), // [kvHeads * keyDim, dim]
    v: read.matrix(`${blk}.attn_v`, c.kvHeads * c.valueDim, c.dim), // [kvHeads * valueDim, dim]
    o: read.matrix(`${blk}.attn_output`, c.dim, c.heads * c.valueDim), // [dim, heads * valueDim]
    ffnNorm: read.vector(`${blk}.ffn_norm.weight`, c.dim), // [dim]
    gate: read.matrix(`${blk}.ffn_gate`, c.hidden, c.dim), // [hidden, dim]
    up: read.matrix(`${blk}.ffn_up`, c.hidden, c.dim), // [hidden, dim]
    down: read.matrix(`${blk}.ffn_down`, c.dim, c.hidden), // [dim, hidden]
  });
  const weights = {
    embedding,
    ropeFactors: read.find("rope_freqs.weight", c.ropeDim / 2), // [ropeDim / 2], Llama 3: they divide the angles
    layers: Array.from({ length: c.layers }, (_, i) => layer(`blk.${i}`)),
    outputNorm: read.vector("output_norm.weight", c.dim), // [dim]
    output: c.tied ? embedding : read.matrix("output", c.vocab, c.dim), // [vocab, dim]
  };
  read.finish();
  return weights;
}

export type ReferenceConfig = ReturnType<typeof readConfig>;

function readConfig({ meta, tensors }: ReturnType<typeof readHeader>) {
  const architecture = meta.get("general.architecture");
  if (architecture !== "llama") throw new Error(`the reference runs "llama", not "${architecture}"`);
  const number = (key: string, fallback?: number): number => {
    const value = meta.get(`llama.${key}`) ?? fallback ?? missing(`llama.${key}`);
    if (typeof value !== "number") throw new Error(`llama.${key} is not one number`);
    return value;
  };
  const [dim, heads] = [number("embedding_length"), number("attention.head_count")];
  const keyDim = number("attention.key_length", dim / heads);
  const scaling = meta.get("llama.rope.scaling.type") ?? "linear";
  if (scaling !== "none" && scaling !== "linear" && scaling !== "yarn") throw new Error(`RoPE scaling "${scaling}" is not known`);
  return {
    vocab: tensors.get("token_embd.weight")?.shape[1] ?? 0,
    layers: number("block_count"),
    dim, // width of the residual stream
    hidden: number("feed_forward_length"), // width inside the feed-forward network
    heads,
    kvHeads: number("attention.head_count_kv", heads), // query head h reads key-value head floor(h / (heads / kvHeads))
    keyDim, // per head
    valueDim: number("attention.value_length", dim / heads), // per head
    attentionScale: number("attention.scale", 0) || 1 / Math.sqrt(keyDim), // multiplies q . k
    eps: number("attention.layer_norm_rms_epsilon"),
    ropeDim: number("rope.dimension_count", keyDim), // the leading components of a head that turn; the others pass
    freqBase: number("rope.freq_base", 10000),
    scaling,
    scalingFactor: number("rope.scaling.factor", 0) || number("rope.scale_linear", 0) || 1, // the context is stretched by it; 0 = not given
    originalContext: number("rope.scaling.original_context_length", number("context_length")), // YaRN: the context before stretching
    tied: !tensors.has("output.weight"), // the output matrix is the embedding matrix
  };
}

// ---- The parts -----------------------------------------------------------------------------------------------------------------------

/** x / sqrt(mean(x^2) + eps) * weight. */
function rmsNorm(x: Float64Array, weight: Float64Array, eps: number): Float64Array {
  const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + eps);
  return x.map((v, i) => v * scale * weight[i]);
}

/** y[r] = sum over c of weight[r, c] x[c] (+ bias[r]). */
function linear({ data, rows, cols, bias }: Matrix, x: Float64Array): Float64Array {
  const y = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = bias ? bias[r] : 0;
    for (let c = 0; c < cols; c++) sum += data[r * cols + c] * x[c];
    y[r] = sum;
  }
  return y;
}

/**
 * The angle [ropeDim / 2] by which pair i turns for each position: base^(-2i / ropeDim). Linear scaling slows all pairs; YaRN slows only
 * those that turn seldom, and multiplies the turned vectors by `magnitude`.
 */
function ropeAngles(c: ReferenceConfig, factors?: Float64Array) {
  const pairs = c.ropeDim / 2;
  const plain = Float64Array.from({ length: pairs }, (_, i) => c.freqBase ** (-i / pairs) / (factors ? factors[i] : 1));
  if (c.scaling === "none") return { angles: plain, magnitude: 1 };
  if (c.scaling === "linear") return { angles: plain.map(angle => angle / c.scalingFactor), magnitude: 1 };
  // The pair that makes `turns` full turns over the original context; 32 and 1 are the limits given in the paper.
  const pairOf = (turns: number) => (pairs * Math.log(c.originalContext / (turns * 2 * Math.PI))) / Math.log(c.freqBase);
  const first = Math.max(0, Math.floor(pairOf(32)));
  const last = Math.min(c.ropeDim - 1, Math.ceil(pairOf(1)));
  const slowed = (i: number) => Math.min(1, Math.max(0, (i - first) / Math.max(0.001, last - first))); // 0 = as it was, 1 = fully
  const angles = plain.map((angle, i) => angle * (1 - slowed(i)) + (angle / c.scalingFactor) * slowed(i));
  return { angles, magnitude: 1 + 0.1 * Math.log(c.scalingFactor) };
}

/** Turns the pairs (2i, 2i + 1) of each head of x [heads * headDim] in place. */
function turn(x: Float64Array, headDim: number, position: number, { angles, magnitude }: ReturnType<typeof ropeAngles>): Float64Array {
  for (let head = 0; head < x.length; head += headDim) {
    angles.forEach((angle, i) => {
      const [a, b] = [x[head + 2 * i], x[head + 2 * i + 1]];
      const cos = Math.cos(position * angle) * magnitude;
      const sin = Math.sin(position * angle) * magnitude;
      x[head + 2 * i] = a * cos - b * sin;
      x[head + 2 * i + 1] = a * sin + b * cos;
    });
  }
  return x;
}

/** Softmax attention of one position over all positions up to it: q [heads * keyDim] -> [heads * valueDim]. */
function attend(q: Float64Array, keys: Float64Array[], values: Float64Array[], c: ReferenceConfig): Float64Array {
  const out = new Float64Array(c.heads * c.valueDim);
  for (let h = 0; h < c.heads; h++) {
    const kv = Math.floor(h / (c.heads / c.kvHeads));
    const scores = keys.map(k => {
      let dot = 0;
      for (let i = 0; i < c.keyDim; i++) dot += q[h * c.keyDim + i] * k[kv * c.keyDim + i];
      return dot * c.attentionScale;
    });
    const top = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map(s => Math.exp(s - top)); // [positions]
    const total = weights.reduce((a, b) => a + b);
    values.forEach((v, p) => {
      for (let i = 0; i < c.valueDim; i++) out[h * c.valueDim + i] += (weights[p] / total) * v[kv * c.valueDim + i];
    });
  }
  return out;
}

const silu = (x: number) => x / (1 + Math.exp(-x));
const add = (x: Float64Array, y: Float64Array) => x.map((v, i) => v + y[i]);

// ---- The model -----------------------------------------------------------------------------------------------------------------------

/** What becomes of keys and values that are kept. */
type Keep = (x: number) => number;

/** An empty sequence; see `ReferenceModel.start`. `from`: the first position that the token sees. */
function start(c: ReferenceConfig, w: ReturnType<typeof readWeights>, keep: Keep): (token: number, from?: number) => Float64Array {
  const rope = ropeAngles(c, w.ropeFactors);
  const keys: Float64Array[][] = w.layers.map(() => []); // [layer][position] -> [kvHeads * keyDim]
  const values: Float64Array[][] = w.layers.map(() => []); // [layer][position] -> [kvHeads * valueDim]
  return (token, from = 0) => {
    if (!(token >= 0 && token < c.vocab)) throw new Error(`token ${token} is not one of the ${c.vocab}`);
    let x = w.embedding.data.slice(token * c.dim, (token + 1) * c.dim); // [dim]
    w.layers.forEach((layer, l) => {
      const position = keys[l].length;
      const a = rmsNorm(x, layer.attnNorm, c.eps); // [dim]
      const q = turn(linear(layer.q, a), c.keyDim, position, rope); // [heads * keyDim]
      keys[l].push(turn(linear(layer.k, a), c.keyDim, position, rope).map(keep)); // [kvHeads * keyDim]
      values[l].push(linear(layer.v, a).map(keep)); // [kvHeads * valueDim]
      x = add(x, linear(layer.o, attend(q, keys[l].slice(from), values[l].slice(from), c))); // [dim]
      const f = rmsNorm(x, layer.ffnNorm, c.eps); // [dim]
      const up = linear(layer.up, f); // [hidden]
      const inner = linear(layer.gate, f).map((g, i) => silu(g) * up[i]); // [hidden]
      x = add(x, linear(layer.down, inner)); // [dim]
    });
    return linear(w.output, rmsNorm(x, w.outputNorm, c.eps)); // [vocab]
  };
}

/** Everything in a GGUF file as numbers, its metadata without the architecture's name in front. For models of other architectures. */
export function readNumbers(path: string) {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(file).size, 2 ** 26));
    readSync(file, bytes, 0, bytes.length, 0);
    const { meta, tensors } = readHeader(bytes);
    const architecture = String(meta.get("general.architecture"));
    const read = new TensorReader(file, tensors);
    return {
      architecture,
      metadata: new Map([...meta].map(([key, value]) => [key.replace(`${architecture}.`, ""), value as number])),
      tensors: new Map([...tensors].map(([name, { shape }]) => [name, { shape, data: read.find(name, ...shape)! }])),
    };
  } finally {
    closeSync(file);
  }
}

/** Reads a GGUF file of architecture "llama" whole. */
export function loadReference(path: string, keep: Keep = x => x): ReferenceModel {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(file).size, 2 ** 26)); // 64 MiB: no header of a known model is longer
    readSync(file, bytes, 0, bytes.length, 0);
    const header = readHeader(bytes);
    const config = readConfig(header);
    const weights = readWeights(new TensorReader(file, header.tensors), config);
    const vocabulary = (header.meta.get("tokenizer.ggml.tokens") ?? []) as string[];
    const greedy = (tokens: number[], steps: number) => {
      const step = start(config, weights, keep);
      const argmax = (logits: Float64Array) => logits.reduce((best, v, i) => (v > logits[best] ? i : best), 0);
      const ids: number[] = [];
      let logits = tokens.map(t => step(t))[tokens.length - 1];
      while (ids.length < steps) {
        const id = argmax(logits);
        ids.push(id);
        if (ids.length < steps) logits = step(id);
      }
      return ids;
    };
    const logits = (tokens: number[], from: readonly number[] = []) => {
      const step = start(config, weights, keep);
      return tokens.map((t, i) => step(t, from[i]));
    };
    const fresh = (): ((token: number) => Float64Array) => {
      const step = start(config, weights, keep);
      return token => step(token);
    };
    return { config, vocabulary, start: fresh, logits, greedy };
  } finally {
    closeSync(file);
  }
}
