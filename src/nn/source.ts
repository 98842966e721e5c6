/**
 * Where a model file (models/*.ts) takes its numbers and weights from: typed configuration keys and named tensors, bound where the layer is
 * declared. Binding only records what is needed; engine/load.ts gives every weight its place in memory afterwards.
 */
import { LatheError } from "../errors.ts";
import { weightFormats } from "../formats/index.ts";
import { GROUP, ROW_PADDING, type WeightFormat } from "../formats/packed.ts";
import type { Kept } from "../kernels/attend.ts";
import type { Region } from "./graph.ts";

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
  /** Rows of each of the equal matrices that it consists of, where they are padded one by one; absent: all rows lie close together. */
  readonly partRows?: number;
  address: number;
}

/** A short list of f32 values (a norm's scale), padded with zeros to a multiple of 32. */
export interface Vector {
  readonly tensor: TensorRecord;
  readonly length: number;
  /** Value i is the file's value order[i], inside each stretch of order.length. */
  readonly order?: readonly number[];
  address: number;
}

/** A part of every sequence's state that belongs to one layer. `address` (of slot 0) and `slots` are settled while the plan is made. */
export interface State {
  /** Bytes of a slot. */
  readonly bytes: number;
  address: number;
  slots: number;
}

export const paddedRows = (outputs: number): number => Math.ceil(outputs / ROW_PADDING) * ROW_PADDING;
export const blocksPerRow = (w: Weight): number => w.inputs / w.format.packed.inputs;
/** Rows in memory, padding counted. */
export const packedRows = (w: Weight): number =>
  w.partRows === undefined ? paddedRows(w.outputs) : (w.outputs / w.partRows) * paddedRows(w.partRows);
export const packedBytes = (w: Weight): number => (packedRows(w) / GROUP) * blocksPerRow(w) * w.format.packed.bytes;

export const weightRegion = (w: Weight): Region => ({ address: w.address, bytes: packedBytes(w) });
export const vectorRegion = (v: Vector): Region => ({ address: v.address, bytes: 4 * v.length, taken: 4 * v.length });

const sameOrder = (a: readonly number[] | undefined, b: readonly number[] | undefined): boolean =>
  a === b || (a !== undefined && a.length === b?.length && a.every((x, i) => x === b[i]));

/** Tables that old converters wrote and that can be computed: rotary angles. */
const derived = /rot_embd|rope\.freqs/;

type Metadata = ReadonlyMap<string, unknown>;

export class Source {
  readonly architecture: string;
  readonly weights: Weight[] = [];
  readonly vectors: Vector[] = [];
  readonly states: State[] = [];
  /** Small tensors whose values the graph needs while it is traced. */
  readonly constants = new Set<string>();
  /** Bytes that one page of keys and values takes, all layers together. */
  pageBytes = 0;
  /** How keys and values are kept. */
  readonly kept: Kept;
  readonly #metadata: Metadata;
  readonly #tensors: Map<string, TensorRecord>;
  readonly #asked = new Set<string>();

  constructor(architecture: string, metadata: Metadata, tensors: ReadonlyMap<string, TensorRecord>, kept: Kept = "f32") {
    this.architecture = architecture;
    this.kept = kept;
    this.#metadata = metadata;
    this.#tensors = new Map(tensors);
  }

  /** Of all tensors. */
  get names(): readonly string[] {
    return [...this.#tensors.keys()];
  }
  has = (tensor: string): boolean => this.#tensors.has(tensor);

  /** A finite number under `<architecture>.<key>`; without a default its absence is "model.missing-key". */
  number(key: string, fallback?: number): number {
    return this.#finite(key, this.#value(key), fallback);
  }

  /** As `number`, and above zero: a base, an epsilon, a scale. */
  positive(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (value > 0) return value;
    const full = `${this.architecture}.${key}`;
    const message = `${full} is ${value} and must be above 0; the file is damaged.`;
    throw new LatheError("model.missing-key", message, { key: full, value });
  }

  /** As `number`, and not below zero, which stands for "none". */
  orNone(key: string, fallback = 0): number {
    const value = this.number(key, fallback);
    return value === 0 ? 0 : this.positive(key, fallback);
  }

  /** A whole number in [min, max]. */
  size(key: string, limits: SizeLimits = {}): number {
    return this.#inside(key, this.number(key, limits.or), limits);
  }

  /** As `size`, of a key that has one number for all layers or a list with one for each. */
  layerSize(key: string, layer: number, limits: SizeLimits = {}): number {
    return this.#inside(key, this.layerNumber(key, layer, limits.or), limits);
  }

  /** As `number`, of a key that has one number for all layers or a list with one for each. */
  layerNumber(key: string, layer: number, fallback?: number): number {
    const value = this.#value(key);
    const items = itemsOf(value);
    return items ? this.#finite(key, plain(items[layer]), undefined) : this.#finite(key, value, fallback);
  }

  /** A list of numbers (of booleans as 0 and 1); empty where the key is absent. */
  list(key: string): readonly number[] {
    const value = this.#value(key);
    if (value === undefined) return [];
    return Array.from(itemsOf(value) ?? [value], v => this.#finite(key, plain(v), undefined));
  }

  hasKey = (key: string): boolean => this.#value(key) !== undefined;

  flag(key: string, fallback: boolean): boolean {
    const value = this.#value(key);
    return typeof value === "boolean" ? value : fallback;
  }

  text(key: string, fallback: string): string {
    const value = this.#value(key);
    return typeof value === "string" ? value : fallback;
  }

  /** The tensor's name with `.weight` at its end, or without where only that is there. */
  either = (name: string): string => (this.has(name) && !this.has(`${name}.weight`) ? name : `${name}.weight`);

  /** Number of entries of the vocabulary: the embedding's rows. */
  rows(tensor: string): number {
    return this.#tensor(tensor).shape[1] ?? 1;
  }

  /** Rows of a matrix; 0 where there is none. */
  rowsOf = (tensor: string): number => this.#tensors.get(tensor)?.shape[1] ?? 0;

  /** Values of a tensor; 0 where there is none. */
  elements = (tensor: string): number => (this.#tensors.get(tensor)?.shape ?? [0]).reduce((n, d) => n * d, 1);

  /** The tensor must be there: else "model.missing-tensor". */
  need(tensor: string): void {
    this.#tensor(tensor);
  }

  /** Makes a tensor known as so many tensors of their own, parts along its last dimension. */
  split(name: string, parts: readonly string[]): void {
    const tensor = this.#tensor(name);
    const shape = tensor.shape.slice(
      0,
      tensor.shape.findLastIndex(n => n !== 1),
    );
    const bytes = tensor.bytes / parts.length;
    const last = tensor.shape.findLast(n => n !== 1) ?? 1;
    if (last !== parts.length || !Number.isInteger(bytes)) throw wrongShape(tensor, [...shape, parts.length]);
    parts.forEach((part, i) => {
      this.#tensors.set(part, { ...tensor, name: part, shape, bytes, offset: tensor.offset + i * bytes });
    });
  }

  /** Takes tensors whose names begin so for used: the network has no need of them. */
  ignore(prefix: string): void {
    for (const name of this.#tensors.keys()) if (name.startsWith(prefix)) this.#asked.add(name);
  }

  /** Room in every page of keys and values; gives its byte offset in a page. */
  reserve(bytes: number): number {
    const offset = this.pageBytes;
    this.pageBytes += bytes;
    return offset;
  }

  /** Binds a small tensor whose values the graph needs while it is traced (`Step.values`). */
  constant(name: string, length: number): string {
    const tensor = this.#tensor(name);
    this.#length(tensor, length);
    this.constants.add(name);
    return name;
  }

  /**
   * Binds a matrix [inputs, outputs], or [inputs, outputs, parts] as one of parts * outputs rows; `or` names a stand-in (tied output). The same
   * tensor bound twice in the same row order is one weight. `pad`: each part begins a group of rows of its own.
   */
  matrix(
    name: string,
    inputs: number,
    rows: number,
    options: { or?: string; order?: readonly number[]; parts?: number; pad?: boolean } = {},
  ): Weight {
    const tensor = this.#tensor(options.or !== undefined && !this.has(name) ? options.or : name);
    this.#shape(tensor, options.parts === undefined ? [inputs, rows] : [inputs, rows, options.parts]);
    const outputs = rows * (options.parts ?? 1);
    const partRows = options.pad ? rows : undefined;
    const known = this.weights.find(w => w.tensor === tensor && sameOrder(w.order, options.order) && w.partRows === partRows);
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
    const weight: Weight = { tensor, format, inputs, outputs, order: options.order, partRows, address: 0 };
    this.weights.push(weight);
    return weight;
  }

  /** Binds a vector: a tensor of any shape with that many values. */
  vector(name: string, length: number, order?: readonly number[]): Vector {
    const tensor = this.#tensor(name);
    this.#length(tensor, length);
    return this.#vector(tensor, length, order);
  }

  /**
   * The numbers that products with `<name>.weight` are multiplied with, in `<name>.scale`: one, or one for each of the `parts` that the matrix
   * consists of. Files have them whose blocks' own scales reach too short (NVFP4). What activations were scaled with elsewhere is not needed.
   */
  scales(name: string, parts = 1): Vector | undefined {
    this.ignore(`${name}.input_scale`);
    const count = this.elements(`${name}.scale`);
    return count === 1 || count === parts ? this.vector(`${name}.scale`, count) : undefined;
  }

  /** As `scales`, of a matrix that is one: the tensor whose only value it is, for `Step.values`. */
  scale(name: string): string | undefined {
    this.ignore(`${name}.input_scale`);
    return this.elements(`${name}.scale`) === 1 ? this.constant(`${name}.scale`, 1) : undefined;
  }

  /** As `vector`, of whole numbers (I32), which become f32. */
  integers(name: string, length: number): Vector {
    const tensor = this.#tensor(name);
    this.#length(tensor, length, ["I32"]);
    return this.#vector(tensor, length, undefined);
  }

  #vector(tensor: TensorRecord, length: number, order: readonly number[] | undefined): Vector {
    const known = this.vectors.find(v => v.tensor === tensor && sameOrder(v.order, order));
    if (known) return known;
    const vector: Vector = { tensor, length, order, address: 0 };
    this.vectors.push(vector);
    return vector;
  }

  /** Room for a recurrent layer's state of `bytes` in every slot. */
  state(bytes: number): State {
    const state = { bytes, address: 0, slots: 0 };
    this.states.push(state);
    return state;
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

  /** Keys begin with the architecture's name, but for a few (xielu.*). */
  #value = (key: string): unknown => this.#metadata.get(`${this.architecture}.${key}`) ?? this.#metadata.get(key);

  #finite(key: string, value: unknown, fallback: number | undefined): number {
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    const full = `${this.architecture}.${key}`;
    const found = value === undefined ? "nothing" : itemsOf(value) ? "a list" : `${typeof value} ${String(value)}`;
    const message = `The model's metadata needs a number under ${full} and has ${found}; the file is damaged or of a newer kind.`;
    throw new LatheError("model.missing-key", message, { key: full, found });
  }

  #inside(key: string, value: number, { min = 1, max = 2 ** 24 }: SizeLimits): number {
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    const full = `${this.architecture}.${key}`;
    const message = `${full} is ${value}, outside ${min} .. ${max}; the file is damaged or of a kind that Lathe does not know.`;
    throw new LatheError("model.missing-key", message, { key: full, value, min, max });
  }

  #length(tensor: TensorRecord, length: number, types: readonly string[] = ["F32", "F16", "BF16"]): void {
    const { name, shape, type } = tensor;
    if (shape.reduce((n, d) => n * d, 1) !== length) throw wrongShape(tensor, [length]);
    if (types.includes(type.name)) return;
    const message = `Tensor ${name} has type ${type.name}, and its numbers must be ${types.join(" or ")}; convert the model again.`;
    throw new LatheError("model.unsupported-type", message, { tensor: name, type: type.name });
  }

  /** Dimensions of 1 at the end do not count. */
  #shape(tensor: TensorRecord, expected: readonly number[]): void {
    const most = Math.max(expected.length, tensor.shape.length);
    for (let i = 0; i < most; i++) if ((tensor.shape[i] ?? 1) !== (expected[i] ?? 1)) throw wrongShape(tensor, expected);
  }
}

interface SizeLimits {
  readonly min?: number;
  readonly max?: number;
  readonly or?: number;
}

/** The values of a list in the metadata. */
function itemsOf(value: unknown): ArrayLike<unknown> | undefined {
  if (typeof value !== "object" || value === null || !("items" in value)) return undefined;
  return value.items as ArrayLike<unknown>;
}
const plain = (value: unknown): unknown => (typeof value === "boolean" || typeof value === "bigint" ? Number(value) : value);

function wrongShape(tensor: TensorRecord, expected: readonly number[]): LatheError {
  const message = `Tensor ${tensor.name} has shape [${tensor.shape.join(", ")}] where the metadata asks for [${expected.join(", ")}]; the file is damaged.`;
  return new LatheError("model.wrong-shape", message, { tensor: tensor.name, expected, found: tensor.shape });
}
