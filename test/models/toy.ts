/**
 * Toy models of any architecture, made on demand: the network is bound again and again, and every complaint about a tensor that is missing or has
 * the wrong shape says what to add. Weights are random and their sizes such that every part of the network shows in the next token's probabilities:
 * activations stay near 1, norms and factors of frequencies are around 1, biases are not zero. The same toy and seed give the same bytes.
 */
import { LatheError } from "../../src/errors.ts";
import type { GgufContent, GgufInput } from "../../src/files/gguf-write.ts";
import { requireCompanions } from "../../src/models/companions.ts";
import { architectures } from "../../src/models/index.ts";
import { Source, type TensorRecord } from "../../src/nn/source.ts";
import { typeNamed } from "../fixtures/blocks.ts";
import { Random } from "../fixtures/random.ts";

type Value = number | string | boolean | readonly number[] | readonly boolean[] | readonly string[];

export interface Toy {
  /** Added to, or in place of, the usual keys; lists are arrays. undefined: the key is absent. */
  readonly keys?: Readonly<Record<string, Value | undefined>>;
  /**
   * Optional tensors that shall be there, with their shapes; {i} stands for every layer, {2-3} for some. A shape that the network knows need not be
   * the right one; undefined: absent.
   */
  readonly tensors?: Readonly<Record<string, readonly number[] | undefined>>;
  /** There is no matrix of its own for the logits. Default: there is. */
  readonly tied?: boolean;
  /** Default: VOCABULARY. */
  readonly vocabulary?: number;
}

/** One toy of several, later ones changing earlier ones. */
export const mix = (...toys: readonly Toy[]): Toy => ({
  keys: Object.assign({}, ...toys.map(t => t.keys)),
  tensors: Object.assign({}, ...toys.map(t => t.tensors)),
  tied: toys.findLast(t => t.tied !== undefined)?.tied,
  vocabulary: toys.findLast(t => t.vocabulary !== undefined)?.vocabulary,
});

export const VOCABULARY = 48;
const LAYERS = 4;

const usual: NonNullable<Toy["keys"]> = {
  context_length: 256,
  embedding_length: 32,
  block_count: LAYERS,
  feed_forward_length: 64,
  "attention.head_count": 4,
  "attention.head_count_kv": 2,
  "attention.key_length": 16,
  "attention.value_length": 16,
  "attention.layer_norm_rms_epsilon": 1e-5,
  "attention.layer_norm_epsilon": 1e-5,
  "attention.sliding_window": 7,
  "rope.dimension_count": 16,
  "rope.freq_base": 10000,
};

/** Numbers that files store as floats even where they are whole. */
const floats = /epsilon|freq_base|softcapping|scale|factor|alpha|beta|clamp|xielu|eps$|multiplier|_bias$|weights_scale|yarn|situ|magnitude/;

type Shapes = Map<string, readonly number[]>;

const listed = (v: Value): unknown => (Array.isArray(v) ? { of: "f32", items: v } : v);

/** Binds until nothing is missing. */
function shapesOf(architecture: string, metadata: ReadonlyMap<string, unknown>, shapes: Shapes): void {
  for (let tries = 0; tries < 9000; tries++) {
    const tensors = new Map<string, TensorRecord>();
    for (const [name, shape] of shapes) tensors.set(name, { name, type: { name: "F32" }, shape, bytes: 0, offset: 0, part: 0 });
    try {
      const source = new Source(architecture, metadata, tensors);
      architectures.get(architecture)!.build(source);
      requireCompanions(source);
      const { unused } = source;
      if (unused.length) throw new Error(`${architecture} does not use ${unused.join(", ")}`);
      return;
    } catch (e) {
      if (!(e instanceof LatheError)) throw e;
      const { tensor, expected } = e.details as { tensor?: string; expected?: readonly number[] };
      if (tensor === undefined) throw e;
      if (e.code === "model.missing-tensor") shapes.set(tensor, [1]);
      else if (e.code === "model.wrong-shape" && expected) shapes.set(tensor, expected);
      else throw e;
    }
  }
  throw new Error(`${architecture} never binds`);
}

/** The names that a pattern stands for. */
function expand(pattern: string, layers: number): string[] {
  const found = /\{(?:i|(\d+)-(\d+))\}/.exec(pattern);
  if (!found) return [pattern];
  const [first, last] = found[1] === undefined ? [0, layers - 1] : [Number(found[1]), Number(found[2])];
  return Array.from({ length: last - first + 1 }, (_, i) => pattern.replace(found[0], String(first + i)));
}

/** FNV-1a: a tensor's values depend on its name alone, not on the order in which a network asks. */
const hashOf = (text: string): number => [...text].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619), 2166136261);

/** Values of a tensor: by its name, how large and around what. */
function valuesOf(name: string, shape: readonly number[], random: Random): Float32Array {
  const n = shape.reduce((a, b) => a * b, 1);
  const wide = shape.filter(d => d > 1).length > 1;
  if (/ssm_a(\.|$)/.test(name)) return random.floats(n, 0.3).map(x => -Math.abs(x) - 0.2);
  if (/(norm|rope_f\w*|_ln|ln0?|layer_output_scale)\.weight$|\.scale$/.test(name)) return random.floats(n, 0.15).map(x => 1 + x);
  if (!wide || name.endsWith(".bias")) return random.floats(n, 0.3);
  if (/^(token_embd|per_layer_token_embd)/.test(name)) return random.floats(n, 0.35);
  return random.floats(n, (/attn_(q|k|qkv)\.|^output\./.test(name) ? 1.7 : 1) / Math.sqrt(shape[0]));
}

/** Names for the ids; they mean nothing. */
function named(size: number): [string, GgufInput][] {
  const texts = Array.from({ length: size }, (_, i) => ["<unk>", "<s>", "</s>", "<0x0A>"][i] ?? `t${i}`);
  const types = texts.map((_, i) => [2, 3, 3, 6][i] ?? 1);
  return [
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", { of: "string", items: texts }],
    ["tokenizer.ggml.scores", { of: "f32", items: new Float32Array(size) }],
    ["tokenizer.ggml.token_type", { of: "i32", items: Int32Array.from(types) }],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
  ];
}

function stored(key: string, v: Value): GgufInput {
  const real = floats.test(key);
  if (typeof v === "number") return real || !Number.isInteger(v) ? { type: "f32", value: v } : v;
  if (!Array.isArray(v)) return v as string | boolean;
  if (typeof v[0] === "string") return { of: "string", items: v as readonly string[] };
  if (typeof v[0] === "boolean") return { of: "bool", items: Uint8Array.from(v, Number) };
  const numbers = v as readonly number[];
  return real ? { of: "f32", items: Float32Array.from(numbers) } : { of: "i32", items: Int32Array.from(numbers) };
}

/** Keys that do not begin with the architecture's name. */
const bare = (key: string): boolean => /^(xielu|tokenizer)/.test(key);

export function toy(architecture: string, { keys = {}, tensors = {}, tied = false, vocabulary = VOCABULARY }: Toy, seed = 7): GgufContent {
  const all = Object.entries({ ...usual, ...keys }).filter((e): e is [string, Value] => e[1] !== undefined);
  const metadata = new Map(all.map(([k, v]) => [bare(k) ? k : `${architecture}.${k}`, listed(v)]));
  const size = (key: string): number => metadata.get(`${architecture}.${key}`) as number;
  const shapes: Shapes = new Map([["token_embd.weight", [size("embedding_length"), vocabulary]]]);
  if (!tied) shapes.set("output.weight", [size("embedding_length"), vocabulary]);
  for (const [pattern, shape] of Object.entries(tensors)) {
    for (const name of expand(pattern, size("block_count"))) {
      if (shape) shapes.set(name, shape);
      else shapes.delete(name);
    }
  }
  shapesOf(architecture, metadata, shapes);
  const content = [...shapes].map(([name, shape]) => {
    const values = valuesOf(name, shape, new Random(seed + hashOf(name)));
    return { name, type: typeNamed("F32"), shape: [...shape], data: new Uint8Array(values.buffer) };
  });
  const entries = all.map(([k, v]): [string, GgufInput] => [bare(k) ? k : `${architecture}.${k}`, stored(k, v)]);
  return { metadata: [["general.architecture", architecture], ...entries, ...named(vocabulary)], tensors: content };
}
