/**
 * Reads GGUF model files: metadata, and where each tensor lies. Owns the rules of the container, versions 2 and 3, and of models that are
 * split over several files. Reads headers only; tensor data stays where it is, to be read through `parts`. What the metadata means is the
 * models' business, and how to get typed values out of it that of `metadata.ts`.
 *
 * Source: ggml `docs/gguf.md` and `src/gguf.cpp`. Nothing in a file is trusted: see `header-reader.ts`.
 */
import { LatheError } from "../errors.ts";
import type { GgmlType } from "../formats/types.ts";
import { ggmlType, rowBytes, tensorBytes, typeBySize } from "../formats/types.ts";
import type { GgufArray, GgufValue, GgufValueType } from "./gguf-values.ts";
import { numericTypes, quoted, valueTypes } from "./gguf-values.ts";
import { HeaderReader } from "./header-reader.ts";
import type { ByteSource } from "./source.ts";

export type { GgufArray, GgufNumbers, GgufScalarType, GgufValue, GgufValueType } from "./gguf-values.ts";
export { Metadata } from "./metadata.ts";
export type { ByteSource } from "./source.ts";
export { blobSource, bytesSource } from "./source.ts";

/** Where a tensor lies, and how. */
export interface TensorInfo {
  readonly name: string;
  /** May be `unusable` (removed from ggml, of a fork, or newer than this version), so that any file can be listed. */
  readonly type: GgmlType;
  /** Values per dimension in ggml's order, the fastest first: [inputs, outputs, ...]. At most 4; empty for a single value. */
  readonly shape: readonly number[];
  /** Bytes of data. Of an unusable type: all bytes up to the next tensor or the end of the file. */
  readonly bytes: number;
  /** Offset of the data from the start of its file, in bytes. */
  readonly offset: number;
  /** Index into `parts`. */
  readonly part: number;
}

export interface Gguf {
  readonly version: number;
  /** Bytes to whose multiples the tensors are aligned; a power of two. */
  readonly alignment: number;
  /** In the order of the file; of a split model, that of its first file. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** How each value of `metadata` is stored, which a number alone does not tell. Same keys. */
  readonly valueTypes: ReadonlyMap<string, GgufValueType>;
  /** By name, in the order of the files. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The files: one, or all of a split model. */
  readonly parts: readonly ByteSource[];
  /** Bytes of all tensors together. */
  readonly dataBytes: number;
}

/** "GGUF" as a little-endian number. */
const magic = 0x46554747;
const maxName = 65535;
/** Fewest bytes of a key with its value, and of a tensor's entry. */
const minPair = 8 + 4 + 1;
const minTensor = 8 + 4 + 4 + 8;
/** What a map entry, and a tensor's record, cost in memory besides their names. */
const pairCost = 128;
const tensorCost = 320;

/**
 * Reads the header of one file, which stays open and belongs to the caller. A file of a split model is read as it is, without the others.
 *
 * Throws `gguf.not-gguf`, `gguf.version`, `gguf.truncated`, `gguf.malformed`; `model.unsupported-type` for a tensor whose size cannot be
 * known; and what `source` throws.
 */
export async function readGguf(source: ByteSource): Promise<Gguf> {
  const reader = new HeaderReader(source);
  const version = await readVersion(reader);
  const tensorCount = await reader.count("the number of tensors");
  const pairCount = await reader.count("the number of keys");
  reader.claim(tensorCount * minTensor + pairCount * minPair, `a header with ${pairCount} keys and ${tensorCount} tensors`);
  const metadata = new Map<string, GgufValue>();
  const types = new Map<string, GgufValueType>();
  for (let i = 0; i < pairCount; i++) await readPair(reader, metadata, types);
  const alignment = alignmentOf(reader, metadata.get("general.alignment"));
  const entries: TensorEntry[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) entries.push(await readTensorEntry(reader, names));
  const tensors = locate(reader, entries, alignment);
  let dataBytes = 0;
  for (const tensor of tensors.values()) dataBytes += tensor.bytes;
  return { version, alignment, metadata, valueTypes: types, tensors, parts: [source], dataBytes };
}

async function readVersion(reader: HeaderReader): Promise<number> {
  const { name, size } = reader.source;
  if (size < 4 || (await reader.u32("the signature")) !== magic) {
    throw new LatheError("gguf.not-gguf", `"${name}" is not a GGUF file; give a model in GGUF format.`, { file: name });
  }
  const version = await reader.u32("the version");
  if (version === 2 || version === 3) return version;
  const swapped = version !== 0 && (version & 0xffff) === 0;
  const problem = swapped ? "is a big-endian GGUF file" : `has GGUF version ${version}`;
  const message = `"${name}" ${problem}, but only little-endian versions 2 and 3 are read; download or convert the model again.`;
  throw new LatheError("gguf.version", message, { file: name, version, bigEndian: swapped });
}

async function readPair(reader: HeaderReader, metadata: Map<string, GgufValue>, types: Map<string, GgufValueType>): Promise<void> {
  const key = await reader.name(maxName, "the name of a key");
  reader.spend(pairCost, 0, "its metadata");
  if (metadata.has(key)) throw reader.malformed(`the key ${quoted(key)} occurs twice`, { key });
  const type = await readValueType(reader, key);
  metadata.set(key, type === "array" ? await readArray(reader, key) : await readScalar(reader, type, key));
  types.set(key, type);
}

async function readValueType(reader: HeaderReader, key: string): Promise<GgufValueType> {
  const id = await reader.u32(`the type of ${quoted(key)}`);
  const type = valueTypes[id];
  if (type === undefined) throw reader.malformed(`the key ${quoted(key)} has a value of unknown type ${id}`, { key, type: id });
  return type;
}

async function readScalar(reader: HeaderReader, type: Exclude<GgufValueType, "array">, key: string): Promise<GgufValue> {
  const what = `the value of ${quoted(key)}`;
  if (type === "string") return reader.string(what);
  const { bytes, get } = numericTypes[type];
  const value = await reader.scalar(bytes, get, what);
  if (type === "bool") {
    if (value !== 0 && value !== 1) throw reader.malformed(`the boolean ${quoted(key)} is ${value}, neither 0 nor 1`, { key, value });
    return value === 1;
  }
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

async function readArray(reader: HeaderReader, key: string): Promise<GgufArray> {
  const what = `the array ${quoted(key)}`;
  const of = await readValueType(reader, key);
  const count = await reader.count(`the length of ${quoted(key)}`);
  // Some specifications allow arrays of arrays. ggml refuses them, no model has them, and they are how parsers overflow their stacks.
  if (of === "array") throw reader.malformed(`${what} contains arrays`, { key });
  if (of === "string") return { of, items: await reader.strings(count, what) };
  const { bytes, array } = numericTypes[of];
  reader.claim(count * bytes, what);
  reader.spend(count * bytes, count * bytes, what);
  const items = new array(count);
  await reader.numbers(items);
  if (of === "bool" && (items as Uint8Array).some(item => item > 1))
    throw reader.malformed(`${what} has booleans that are neither 0 nor 1`, { key });
  return { of, items };
}

function alignmentOf(reader: HeaderReader, value: GgufValue | undefined): number {
  if (value === undefined) return 32;
  const valid =
    typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 2 ** 31 && Number.isInteger(Math.log2(value));
  if (!valid)
    throw reader.malformed(`"general.alignment" is not a power of two`, {
      alignment: typeof value === "object" ? value.of : String(value),
    });
  return value;
}

/** A tensor as its entry in the header says; `offset` counts from the start of the data. `bytes` is undefined for an unusable type. */
interface TensorEntry {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly bytes: number | undefined;
  readonly offset: number;
}

async function readTensorEntry(reader: HeaderReader, names: Set<string>): Promise<TensorEntry> {
  const name = await reader.name(maxName, "the name of a tensor");
  reader.spend(tensorCost, 0, "its list of tensors");
  const what = `the tensor ${quoted(name)}`;
  if (names.has(name)) throw reader.malformed(`${what} occurs twice`, { tensor: name });
  names.add(name);
  const dimensions = await reader.u32(`${what} (number of dimensions)`);
  if (dimensions > 4) throw reader.malformed(`${what} has ${dimensions} dimensions, more than 4`, { tensor: name, dimensions });
  const shape: number[] = [];
  let elements = 1;
  for (let i = 0; i < dimensions; i++) {
    const length = await reader.exact(`a dimension of ${what}`);
    shape.push(length);
    elements *= length;
    if (elements > Number.MAX_SAFE_INTEGER) throw reader.malformed(`${what} has more than 2^53 values`, { tensor: name, shape });
  }
  const type = ggmlType(await reader.u32(`the type of ${what}`));
  const offset = await reader.exact(`the offset of ${what}`);
  return { name, type, shape, elements, bytes: sizeOf(reader, name, type, shape, elements), offset };
}

function sizeOf(reader: HeaderReader, tensor: string, type: GgmlType, shape: readonly number[], elements: number): number | undefined {
  if (type.unusable !== undefined) return undefined;
  const row = shape.length > 0 ? shape[0] : 1;
  if (row % type.blockLength !== 0) {
    throw reader.malformed(`the rows of the tensor ${quoted(tensor)} are not whole blocks of ${type.name}`, {
      tensor,
      shape,
      type: type.name,
    });
  }
  const bytes = rowBytes(type, elements);
  if (bytes > Number.MAX_SAFE_INTEGER) throw reader.malformed(`the tensor ${quoted(tensor)} has more than 2^53 bytes`, { tensor, shape });
  return bytes;
}

/** Turns entries into places: checks that all lie aligned and inside the file, and apart from each other. */
function locate(reader: HeaderReader, entries: readonly TensorEntry[], alignment: number): Map<string, TensorInfo> {
  const start = Math.ceil(reader.position / alignment) * alignment;
  const end = reader.source.size;
  const misplaced = entries.find(entry => entry.offset % alignment !== 0);
  if (misplaced) {
    const { name: tensor, offset } = misplaced;
    throw reader.malformed(`the offset of the tensor ${quoted(tensor)} is not a multiple of ${alignment}`, { tensor, offset, alignment });
  }
  const sizes = new Map<TensorEntry, number>();
  const types = new Map<TensorEntry, GgmlType>();
  const order = [...entries].sort((a, b) => a.offset - b.offset);
  let next = end;
  let follower: TensorEntry | undefined;
  // From the back, so that the start of the following data is known: it bounds tensors of unusable type, and shows overlaps.
  for (const entry of order.reverse()) {
    const from = start + entry.offset;
    const room = Math.max(next - from, 0);
    const type = typeBySize(entry.type, entry.shape[0] ?? 1, entry.elements, room, alignment);
    types.set(entry, type);
    const bytes = entry.elements === 0 ? 0 : type === entry.type ? (entry.bytes ?? room) : tensorBytes(type, entry.elements);
    if (from + bytes > end) throw beyondEnd(reader, entry, from, bytes);
    if (from + bytes > next) throw overlap(reader, entry, follower as TensorEntry);
    if (bytes === 0 && entry.elements > 0) throw unsized(reader, entry);
    if (bytes > 0) [next, follower] = [from, entry];
    sizes.set(entry, bytes);
  }
  const place = (entry: TensorEntry): TensorInfo => {
    const { name, shape, offset } = entry;
    return { name, type: types.get(entry) as GgmlType, shape, bytes: sizes.get(entry) as number, offset: start + offset, part: 0 };
  };
  return new Map(entries.map(entry => [entry.name, place(entry)]));
}

function beyondEnd(reader: HeaderReader, entry: TensorEntry, from: number, bytes: number): LatheError {
  const { name: file, size } = reader.source;
  const message = `"${file}" ends before the data of the tensor ${quoted(entry.name)} does; download it again.`;
  return new LatheError("gguf.truncated", message, { file, size, tensor: entry.name, offset: from, bytes });
}

const overlap = (reader: HeaderReader, entry: TensorEntry, following: TensorEntry): LatheError =>
  reader.malformed(`the data of the tensors ${quoted(entry.name)} and ${quoted(following.name)} overlap`, {
    tensor: entry.name,
    other: following.name,
  });

function unsized(reader: HeaderReader, entry: TensorEntry): LatheError {
  const { id, name, unusable } = entry.type;
  const message = `The tensor ${quoted(entry.name)} of "${reader.source.name}" has type ${name} (number ${id}), which cannot be read because ${unusable}; use another quantisation of this model.`;
  return new LatheError("model.unsupported-type", message, { tensor: entry.name, type: id, name, reason: unusable });
}

/**
 * Opens a model by the name of one file, and with it the other files of a split model, in whatever order: any of them may be named. `open`
 * gets names built from the given one, so it decides what a name means (a path, a URL, an entry of a list).
 *
 * Throws what `readGguf` throws, and `gguf.split` where a part is missing or does not belong to the others. Closes what it opened on failure.
 */
export async function openGguf(open: (name: string) => Promise<ByteSource>, name: string): Promise<Gguf> {
  const opened: ByteSource[] = [];
  const read = async (file: string): Promise<Gguf> => {
    const source = await open(file);
    opened.push(source);
    return readGguf(source);
  };
  try {
    const named = await read(name);
    const count = splitNumber(named, "split.count");
    if (count === undefined || count < 2) return named;
    const names = splitNames(named, name, count);
    const parts: Gguf[] = [];
    for (const [i, file] of names.entries()) {
      const part = file === name ? named : await read(file).catch(cause => Promise.reject(missingPart(file, i, count, cause)));
      if (splitNumber(part, "split.no") !== i || splitNumber(part, "split.count") !== count) throw foreignPart(file, i, count);
      parts.push(part);
    }
    return joined(parts);
  } catch (cause) {
    await Promise.allSettled(opened.map(source => source.close()));
    throw cause;
  }
}

/** Closes every file of a model. */
export async function closeGguf(gguf: Gguf): Promise<void> {
  await Promise.all(gguf.parts.map(part => part.close()));
}

/** The name of part `index` (from 0) of a model of `count` files: `model.gguf` becomes `model-00001-of-00003.gguf`. */
export function splitName(name: string, index: number, count: number): string {
  const stem = name.replace(/\.gguf$/i, "");
  const five = (n: number): string => String(n).padStart(5, "0");
  return `${stem}-${five(index + 1)}-of-${five(count)}${name.slice(stem.length) || ".gguf"}`;
}

function splitNumber(part: Gguf, key: string): number | undefined {
  const value = part.metadata.get(key);
  return typeof value === "number" ? value : undefined;
}

/** The names of all parts, from the name and the number of one of them. */
function splitNames(part: Gguf, name: string, count: number): string[] {
  const stem = name.match(/^(.*)-\d{5}-of-\d{5}(\.gguf)$/is);
  const possible = stem !== null && Number.isInteger(count) && count <= 65535;
  const names = possible ? Array.from({ length: count }, (_, i) => splitName(stem[1] + stem[2], i, count)) : [];
  const no = splitNumber(part, "split.no");
  if (no !== undefined && names[no] === name) return names;
  const expected = splitName("model.gguf", no ?? 0, count);
  const message = `"${name}" is one of ${count} files of a model, but is not named so; give all of them their names back, like "${expected}".`;
  throw new LatheError("gguf.split", message, { file: name, no, count });
}

function missingPart(file: string, index: number, count: number, cause: unknown): unknown {
  if (!(cause instanceof LatheError) || cause.code !== "file.not-found") return cause;
  const message = `"${file}", part ${index + 1} of ${count} of the model, is missing; put it beside the other parts.`;
  return new LatheError("gguf.split", message, { file, no: index, count }, { cause });
}

function foreignPart(file: string, index: number, count: number): LatheError {
  const message = `"${file}" is not part ${index + 1} of ${count} of a model, as its name says; download the model again.`;
  return new LatheError("gguf.split", message, { file, no: index, count });
}

/** One model out of all its parts. */
function joined(parts: readonly Gguf[]): Gguf {
  const tensors = new Map<string, TensorInfo>();
  for (const [part, { tensors: own }] of parts.entries()) {
    for (const [name, tensor] of own) {
      if (tensors.has(name)) throw unjoinable(parts, `the tensor ${quoted(name)} is in two of them`, { tensor: name });
      tensors.set(name, { ...tensor, part });
    }
  }
  const total = splitNumber(parts[0], "split.tensors.count");
  if (total !== undefined && total !== tensors.size) {
    throw unjoinable(parts, `they hold ${tensors.size} tensors instead of ${total}`, { tensors: tensors.size, expected: total });
  }
  const dataBytes = parts.reduce((sum, part) => sum + part.dataBytes, 0);
  return { ...parts[0], tensors, parts: parts.flatMap(part => part.parts), dataBytes };
}

function unjoinable(parts: readonly Gguf[], why: string, details: Record<string, unknown>): LatheError {
  const file = parts[0].parts[0].name;
  const message = `The files of the split model "${file}" do not belong together, because ${why}; download the model again.`;
  return new LatheError("gguf.split", message, { file, ...details });
}
