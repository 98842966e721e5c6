/**
 * Writes GGUF files, version 3 (2 on demand): metadata, then tensors whose data is streamed, so that a model larger than memory can be
 * written. Owns the layout and the checks that keep a wrong file from being written. Where the bytes go is the caller's: see `write.node.ts`.
 *
 * Source: ggml `docs/gguf.md`, `tools/gguf-split` for split files.
 */
import { LatheError } from "../errors.ts";
import type { GgmlType } from "../formats/types.ts";
import { tensorBytes as bytesOf, rowBytes } from "../formats/types.ts";
import type { Gguf, TensorInfo } from "./gguf.ts";
import type { GgufArray, GgufScalarType, GgufValue } from "./gguf-values.ts";
import { numericTypes, quoted, valueTypes } from "./gguf-values.ts";

/** A metadata value with the type that it is to be stored as, such as `{ type: "f32", value: 10000 }`. */
export interface GgufTypedValue {
  readonly type: GgufScalarType;
  readonly value: number | bigint | boolean | string;
}

/** A plain number is stored as u32, i32, u64 or i64, the first that holds it, or as f32 where it is not whole. */
export type GgufInput = GgufValue | GgufTypedValue;

/** All data of a tensor: at once, or from a function that is called when its turn comes and may give it in pieces. */
export type TensorData =
  | Uint8Array
  | (() => Uint8Array | Promise<Uint8Array> | Iterable<Uint8Array | Promise<Uint8Array>> | AsyncIterable<Uint8Array>);

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** ggml's order, the fastest dimension first; whole blocks in each row. */
  readonly shape: readonly number[];
  /** Exactly as many bytes as type and shape say. */
  readonly data: TensorData;
}

export interface GgufContent {
  /** Keys and values in order: a Map, or pairs. `general.alignment`, if among them, sets the alignment. */
  readonly metadata: Iterable<readonly [string, GgufInput]>;
  readonly tensors?: readonly GgufTensor[];
  /** 3 unless given. */
  readonly version?: 2 | 3;
}

/** Takes the bytes of a file in order. It must be done with an array when its promise resolves, because the array may be used again. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

const invalid = (message: string, details: Record<string, unknown>): LatheError => new LatheError("option.invalid", message, details);

/** Bigints become text, so that details can be written as JSON. */
const plain = (value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

/**
 * Writes one file to `sink` and returns its size in bytes.
 *
 * Throws `option.invalid` where keys, values, tensors or their data contradict the format or each other, `model.unsupported-type` and
 * `model.wrong-shape` as `rowBytes` does, and what `sink` and the data functions throw.
 */
export async function writeGguf(content: GgufContent, sink: ByteSink): Promise<number> {
  const pairs = [...content.metadata];
  const tensors = content.tensors ?? [];
  refuseDuplicates(
    "key",
    pairs.map(([key]) => key),
  );
  refuseDuplicates(
    "tensor",
    tensors.map(({ name }) => name),
  );
  const alignment = alignmentOf(pairs);
  const header = new HeaderWriter();
  header.bytes(new Uint8Array([0x47, 0x47, 0x55, 0x46]));
  header.number("u32", content.version ?? 3, "version");
  header.number("u64", tensors.length, "tensors");
  header.number("u64", pairs.length, "keys");
  for (const [key, value] of pairs) header.pair(key, value);
  let offset = 0;
  for (const tensor of tensors) {
    header.tensor(tensor, offset);
    offset += padded(tensorBytes(tensor), alignment);
  }
  if (tensors.length > 0) header.bytes(new Uint8Array(padded(header.size, alignment) - header.size));
  await sink(header.done());
  for (const tensor of tensors) await writeData(tensor, alignment, sink);
  return header.size + offset;
}

/** What `write` sends, in memory; it gives the bytes that it has sent. */
export async function inMemory(write: (sink: ByteSink) => Promise<number>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  const out = new Uint8Array(await write(bytes => void pieces.push(bytes.slice())));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** A file in memory. Same errors as `writeGguf`. */
export const ggufBytes = (content: GgufContent): Promise<Uint8Array<ArrayBuffer>> => inMemory(sink => writeGguf(content, sink));

/**
 * Cuts a model into the contents of several files with at most `maxBytes` bytes of tensors each (more where one tensor alone has more), to be
 * written under the names of `splitName`. The first file has all metadata. One that needs no cutting comes back as it is.
 */
export function splitGguf(content: GgufContent, maxBytes: number): GgufContent[] {
  const tensors = content.tensors ?? [];
  const groups: GgufTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const more = tensorBytes(tensor);
    if (bytes > 0 && bytes + more > maxBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups[groups.length - 1].push(tensor);
    bytes += more;
  }
  if (groups.length === 1) return [content];
  const pairs = [...content.metadata];
  const alignment = pairs.filter(([key]) => key === "general.alignment");
  return groups.map((group, no) => {
    const split: [string, GgufInput][] = [
      ["split.no", { type: "u16", value: no }],
      ["split.count", { type: "u16", value: groups.length }],
      ["split.tensors.count", { type: "i32", value: tensors.length }],
    ];
    const own = no === 0 ? pairs.filter(([key]) => !key.startsWith("split.")) : alignment;
    return { ...content, metadata: [...own, ...split], tensors: group };
  });
}

/** A model that was read, as something to write: same metadata with the same types, same tensors, their data copied in pieces. */
export function contentOf(gguf: Gguf, pieceBytes: number = 2 ** 22): GgufContent {
  const metadata = [...gguf.metadata].map(([key, value]): [string, GgufInput] => {
    const type = gguf.valueTypes.get(key);
    return [key, typeof value === "object" || type === undefined || type === "array" ? value : { type, value }];
  });
  // A joined model is no longer split; `splitGguf` gives each part its own numbers.
  const kept = gguf.parts.length > 1 ? metadata.filter(([key]) => !key.startsWith("split.")) : metadata;
  const tensors = [...gguf.tensors.values()].map(
    (tensor): GgufTensor => ({ name: tensor.name, type: tensor.type, shape: tensor.shape, data: () => pieces(gguf, tensor, pieceBytes) }),
  );
  return { metadata: kept, tensors };
}

async function* pieces(gguf: Gguf, tensor: TensorInfo, pieceBytes: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(pieceBytes, tensor.bytes));
  for (let at = 0; at < tensor.bytes; at += pieceBytes) {
    yield await gguf.parts[tensor.part].read(tensor.offset + at, Math.min(pieceBytes, tensor.bytes - at), buffer);
  }
}

const padded = (bytes: number, alignment: number): number => Math.ceil(bytes / alignment) * alignment;

/** Bytes of a tensor's data; checks its shape. */
export function tensorBytes({ name, type, shape }: GgufTensor): number {
  if (shape.length > 4 || !shape.every(length => Number.isSafeInteger(length) && length >= 0)) {
    throw invalid(`The tensor ${quoted(name)} has the shape [${shape}]; give at most 4 lengths that are whole and not negative.`, {
      name,
      shape,
    });
  }
  rowBytes(type, shape[0] ?? 1);
  const bytes = bytesOf(
    type,
    shape.reduce((product, length) => product * length, 1),
  );
  if (bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw invalid(`The tensor ${quoted(name)} has more than 2^53 bytes; give a smaller shape than [${shape}].`, { name, shape });
}

function refuseDuplicates(kind: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw invalid(`The ${kind} ${quoted(name)} is given twice; give it once.`, { name });
    seen.add(name);
  }
}

function alignmentOf(pairs: readonly (readonly [string, GgufInput])[]): number {
  const input = pairs.find(([key]) => key === "general.alignment")?.[1] ?? 32;
  const value = typeof input === "object" && "value" in input ? input.value : input;
  if (typeof value === "number" && value >= 1 && value <= 2 ** 31 && Number.isInteger(Math.log2(value))) return value;
  throw invalid(`"general.alignment" is ${String(value)}; give a power of two.`, { alignment: plain(value) });
}

async function writeData(tensor: GgufTensor, alignment: number, sink: ByteSink): Promise<void> {
  const expected = tensorBytes(tensor);
  await sendData(tensor.name, tensor.data, expected, sink);
  const padding = padded(expected, alignment) - expected;
  if (padding > 0) await sink(new Uint8Array(padding));
}

/** Sends all of `data` to `sink`. Throws `option.invalid` where it has not exactly `expected` bytes; never sends more. */
export async function sendData(name: string, data: TensorData, expected: number, sink: ByteSink): Promise<void> {
  const source = typeof data === "function" ? await data() : data;
  let written = 0;
  for await (const piece of source instanceof Uint8Array ? [source] : source) {
    written += piece.length;
    if (written > expected) break;
    await sink(piece);
  }
  if (written === expected) return;
  const problem = written > expected ? "more than" : `only ${written} of`;
  const message = `The data of the tensor ${quoted(name)} has ${problem} ${expected} bytes; give exactly as many as type and shape say.`;
  throw invalid(message, { name, expected, written });
}

/** Header bytes, in an array that grows. */
class HeaderWriter {
  size = 0;
  private buffer = new Uint8Array(2 ** 16);
  private view = new DataView(this.buffer.buffer);
  private readonly encoder = new TextEncoder();

  done(): Uint8Array {
    return this.buffer.subarray(0, this.size);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.room(bytes.length); // may replace the buffer
    this.buffer.set(bytes, at);
  }

  number(type: Exclude<GgufScalarType, "string">, value: number | bigint, key: string): void {
    const { bytes, set, range } = numericTypes[type];
    if (range !== undefined) {
      const whole = typeof value === "bigint" || Number.isInteger(value);
      if (!whole || BigInt(value) < range[0] || BigInt(value) > range[1]) {
        throw invalid(`${quoted(key)} is ${value}, which ${type} does not hold; give it another type or value.`, {
          key,
          type,
          value: plain(value),
        });
      }
    }
    const at = this.room(bytes);
    set(this.view, at, value);
  }

  string(text: string): void {
    const at = this.room(8 + text.length * 3);
    const { written } = this.encoder.encodeInto(text, this.buffer.subarray(at + 8));
    this.view.setBigUint64(at, BigInt(written), true);
    this.size = at + 8 + written;
  }

  name(text: string): void {
    const before = this.size;
    this.string(text);
    const bytes = this.size - before - 8;
    if (bytes > 65535) throw invalid(`The name ${quoted(text)} has ${bytes} bytes; give at most 65535.`, { name: text, bytes });
  }

  pair(key: string, input: GgufInput): void {
    this.name(key);
    if (typeof input === "object" && "of" in input) this.array(key, input);
    else this.scalar(key, typeof input === "object" ? input : { type: inferred(key, input), value: input });
  }

  tensor({ name, type, shape }: GgufTensor, offset: number): void {
    this.name(name);
    this.number("u32", shape.length, name);
    for (const length of shape) this.number("u64", length, name);
    this.number("u32", type.id, name);
    this.number("u64", offset, name);
  }

  private scalar(key: string, { type, value }: GgufTypedValue): void {
    this.number("u32", valueTypes.indexOf(type), key);
    if (type === "string" && typeof value === "string") this.string(value);
    else if (type === "bool" && typeof value === "boolean") this.number(type, value ? 1 : 0, key);
    else if (type !== "string" && type !== "bool" && typeof value !== "string" && typeof value !== "boolean") this.number(type, value, key);
    else
      throw invalid(`${quoted(key)} is a ${typeof value}, which ${type} does not hold; give it another type or value.`, {
        key,
        type,
        value,
      });
  }

  private array(key: string, array: GgufArray): void {
    this.number("u32", valueTypes.indexOf("array"), key);
    this.number("u32", valueTypes.indexOf(array.of), key);
    this.number("u64", array.items.length, key);
    if (array.of === "string") {
      for (const item of array.items) this.string(item);
      return;
    }
    const { items, of } = array;
    if (!(items instanceof numericTypes[of].array) || (of === "bool" && (items as Uint8Array).some(item => item > 1))) {
      throw invalid(`The items of ${quoted(key)} are not an array of ${of}; give them as its typed array.`, { key, of });
    }
    this.bytes(new Uint8Array(items.buffer, items.byteOffset, items.byteLength));
  }

  /** Adds `bytes` bytes; returns where they start. */
  private room(bytes: number): number {
    const at = this.size;
    this.size += bytes;
    if (this.size > this.buffer.length) {
      const larger = new Uint8Array(Math.max(this.size, 2 * this.buffer.length));
      larger.set(this.buffer.subarray(0, at));
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
}

function inferred(key: string, value: number | bigint | boolean | string): GgufScalarType {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" && (!Number.isInteger(value) || Object.is(value, -0))) return "f32";
  for (const type of ["u32", "i32", "u64", "i64"] as const) {
    const [min, max] = numericTypes[type].range as readonly [bigint, bigint];
    if (BigInt(value) >= min && BigInt(value) <= max) return type;
  }
  throw invalid(`${quoted(key)} is ${value}, which no integer type holds; give it as f32 or f64.`, { key, value: plain(value) });
}
