/**
 * Where a model file (models/*.ts) takes its numbers and weights from: typed configuration keys and named tensors, bound where the layer is
 * declared. Binding only records what is needed; engine/load.ts gives every weight its place in memory afterwards.
 */
import { LatheError } from "../errors.ts";
import { weightFormats } from "../formats/index.ts";
import { GROUP, ROW_PADDING, type WeightFormat } from "../formats/packed.ts";

/** A tensor as the file declares it. */
export interface TensorRecord {
  readonly name: string;
  readonly type: { readonly name: string };
  /** Fastest dimension first: [inputs, outputs]. */
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly offset: number;
  readonly part: number;
}

/** A matrix in packed form. `address` and `format` are settled while loading. */
export interface Weight {
  readonly tensor: TensorRecord;
  format: WeightFormat;
  readonly inputs: number;
  readonly outputs: number;
  /** Output row i is source row order[i], inside each stretch of order.length rows. */
  readonly order?: readonly number[];
  address: number;
}

/** A short list of f32 values (a norm's scale), padded with zeros to a multiple of 32. */
export interface Vector {
  readonly tensor: TensorRecord;
  readonly length: number;
  address: number;
}

export const paddedRows = (outputs: number): number => Math.ceil(outputs / ROW_PADDING) * ROW_PADDING;
export const blocksPerRow = (w: Weight): number => w.inputs / w.format.packed.inputs;
export const packedBytes = (w: Weight): number => (paddedRows(w.outputs) / GROUP) * blocksPerRow(w) * w.format.packed.bytes;

/** Tables that old converters wrote and that can be computed: rotary angles. */
const derived = /rot_embd|rope\.freqs/;

type Metadata = ReadonlyMap<string, unknown>;

export class Source {
  readonly architecture: string;
  readonly weights: Weight[] = [];
  readonly vectors: Vector[] = [];
  readonly #metadata: Metadata;
  readonly #tensors: ReadonlyMap<string, TensorRecord>;
  readonly #asked = new Set<string>();

  constructor(architecture: string, metadata: Metadata, tensors: ReadonlyMap<string, TensorRecord>) {
    this.architecture = architecture;
    this.#metadata = metadata;
    this.#tensors = tensors;
  }

  has = (tensor: string): boolean => this.#tensors.has(tensor);

  /** A finite number under `<architecture>.<key>`; without a default its absence is "model.missing-key". */
  number(key: string, fallback?: number): number {
    const full = `${this.architecture}.${key}`;
    const value = this.#metadata.get(full);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    const found =
      value === undefined ? "nothing" : Array.isArray(value) || ArrayBuffer.isView(value) ? "a list" : `${typeof value} ${String(value)}`;
    const message = `The model's metadata needs a number under ${full} and has ${found}; the file is damaged or of a newer kind.`;
    throw new LatheError("model.missing-key", message, { key: full, found });
  }

  /** A number above 0. */
  positive(key: string, fallback: number): number {
    const value = this.number(key, fallback);
    if (value > 0) return value;
    const message = `${this.architecture}.${key} is ${value} and must be above 0; the file is damaged.`;
    throw new LatheError("model.missing-key", message, { key: `${this.architecture}.${key}`, value });
  }

  /** A whole number in [min, max]. */
  size(key: string, { min = 1, max = 2 ** 24, or }: { min?: number; max?: number; or?: number } = {}): number {
    const value = this.number(key, or);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    const message = `${this.architecture}.${key} is ${value}, outside ${min} .. ${max}; the file is damaged or of a kind that Lathe does not know.`;
    throw new LatheError("model.missing-key", message, { key: `${this.architecture}.${key}`, value, min, max });
  }

  text(key: string, fallback: string): string {
    const value = this.#metadata.get(`${this.architecture}.${key}`);
    return typeof value === "string" ? value : fallback;
  }

  /** Number of entries of the vocabulary: the embedding's rows. */
  rows(tensor: string): number {
    return this.#tensor(tensor).shape[1] ?? 1;
  }

  /** Binds a matrix [inputs, outputs]; `or` names a stand-in (tied output). The same tensor bound twice in the same row order is one weight. */
  matrix(name: string, inputs: number, outputs: number, options: { or?: string; order?: readonly number[] } = {}): Weight {
    const tensor = this.#tensor(options.or !== undefined && !this.has(name) ? options.or : name);
    this.#shape(tensor, [inputs, outputs]);
    const known = this.weights.find(w => w.tensor === tensor && w.order === options.order);
    if (known) return known;
    const format = weightFormats.get(tensor.type.name);
    if (!format) {
      const names = [...weightFormats.keys()].join(", ");
      const message = `Tensor ${tensor.name} has type ${tensor.type.name}, which this version does not run; use a file quantised as one of ${names}.`;
      throw new LatheError("model.unsupported-type", message, { tensor: tensor.name, type: tensor.type.name });
    }
    if (inputs % format.packed.inputs) {
      const message = `Tensor ${tensor.name} has ${inputs} inputs, not a multiple of ${format.packed.inputs} as ${format.name} needs; the file is damaged.`;
      throw new LatheError("model.wrong-shape", message, { tensor: tensor.name, shape: tensor.shape });
    }
    const weight: Weight = { tensor, format, inputs, outputs, order: options.order, address: 0 };
    this.weights.push(weight);
    return weight;
  }

  vector(name: string, length: number): Vector {
    const tensor = this.#tensor(name);
    this.#shape(tensor, [length]);
    if (!["F32", "F16", "BF16"].includes(tensor.type.name)) {
      const message = `Tensor ${name} has type ${tensor.type.name}, and vectors must be F32, F16 or BF16; convert the model again.`;
      throw new LatheError("model.unsupported-type", message, { tensor: name, type: tensor.type.name });
    }
    const vector: Vector = { tensor, length, address: 0 };
    this.vectors.push(vector);
    return vector;
  }

  /** Tensors of the file that nothing has asked for: a network that ignores weights would give wrong answers. */
  get unused(): readonly string[] {
    return [...this.#tensors.keys()].filter(name => !this.#asked.has(name) && !derived.test(name));
  }

  #tensor(name: string): TensorRecord {
    const tensor = this.#tensors.get(name);
    this.#asked.add(name);
    if (tensor) return tensor;
    throw new LatheError(
      "model.missing-tensor",
      `The model has no tensor ${name}, which ${this.architecture} needs; the file is incomplete.`,
      { tensor: name },
    );
  }

  #shape(tensor: TensorRecord, expected: readonly number[]): void {
    const found = tensor.shape.filter((n, i) => n !== 1 || i < expected.length);
    if (found.length === expected.length && expected.every((n, i) => n === found[i])) return;
    const message = `Tensor ${tensor.name} has shape [${tensor.shape.join(", ")}] where the metadata asks for [${expected.join(", ")}]; the file is damaged.`;
    throw new LatheError("model.wrong-shape", message, { tensor: tensor.name, expected, found: tensor.shape });
  }
}
