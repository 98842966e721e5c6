/**
 * Toy models of any architecture, made on demand: the network is bound again and again, and every complaint about a tensor that is missing or has
 * the wrong shape says what to add. Weights are random; norms and factors of frequencies around 1.
 */
import { LatheError } from "../../src/errors.ts";
import type { GgufContent, GgufInput } from "../../src/files/gguf-write.ts";
import { requireCompanions } from "../../src/models/companions.ts";
import { architectures } from "../../src/models/index.ts";
import { Source, type TensorRecord } from "../../src/nn/source.ts";
import { typeNamed } from "../fixtures/blocks.ts";
import { Random } from "../fixtures/random.ts";

export interface Toy {
  /** Added to, or in place of, the usual keys; lists are arrays. */
  readonly keys?: Readonly<Record<string, number | string | boolean | readonly number[] | readonly boolean[]>>;
  /** Optional tensors that shall be there, with their shapes; {i} stands for every layer. */
  readonly tensors?: Readonly<Record<string, readonly number[]>>;
}

export const VOCABULARY = 48;
const LAYERS = 4;

const usual: Toy["keys"] = {
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
  expert_count: 6,
  expert_used_count: 2,
  expert_feed_forward_length: 32,
};

type Shapes = Map<string, readonly number[]>;
type Value = NonNullable<Toy["keys"]>[string];

const listed = (v: Value): unknown => (Array.isArray(v) ? { of: "f32", items: v } : v);

/** Binds until nothing is missing. */
function shapesOf(architecture: string, metadata: ReadonlyMap<string, unknown>, shapes: Shapes): void {
  for (let tries = 0; tries < 2000; tries++) {
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

export function toy(architecture: string, { keys = {}, tensors = {} }: Toy, seed = 7): GgufContent {
  const all = { ...usual, ...keys };
  const shapes: Shapes = new Map([["token_embd.weight", [all.embedding_length as number, VOCABULARY]]]);
  for (const [name, shape] of Object.entries(tensors)) {
    const layers = name.includes("{i}") ? LAYERS : 1;
    for (let i = 0; i < layers; i++) shapes.set(name.replace("{i}", String(i)), shape);
  }
  shapesOf(architecture, new Map(Object.entries(all).map(([k, v]) => [`${architecture}.${k}`, listed(v)])), shapes);
  const random = new Random(seed);
  const content = [...shapes].map(([name, shape]) => {
    const n = shape.reduce((a, b) => a * b, 1);
    const nearOne = /norm|rope_f/.test(name) && !name.endsWith("bias");
    const values = nearOne
      ? random.floats(n, 0.1).map(x => 1 + x)
      : random.floats(n, name.startsWith("token_embd") ? 1 : 1 / Math.sqrt(shape[0]));
    return { name, type: typeNamed("F32"), shape: [...shape], data: new Uint8Array(values.buffer) };
  });
  const plain = (v: Value): GgufInput => {
    if (Array.isArray(v)) return { of: "f32", items: Float32Array.from(v as readonly number[], Number) };
    return typeof v === "number" && !Number.isInteger(v) ? { type: "f32", value: v } : (v as GgufInput);
  };
  const entries = Object.entries(all).map(([k, v]): [string, GgufInput] => [`${architecture}.${k}`, plain(v)]);
  return { metadata: [["general.architecture", architecture], ...entries], tensors: content };
}
