/**
 * Reads the headers of safetensors files: names, types, shapes and places of tensors. Owns the rules of the format; data stays where it is.
 * The format allows one layout of the data only (no gap, no overlap, nothing after the last tensor), and a file that breaks it is refused,
 * because such a file can mean different things to different readers.
 *
 * Source: huggingface/safetensors `README.md` and `docs/source/metadata_parsing.mdx`. Nothing in a file is trusted.
 */
import { LatheError } from "../errors.ts";
import { quoted } from "./gguf-values.ts";
import { JsonReader } from "./json.ts";
import type { ByteSource } from "./source.ts";

/** Bits of one value, by the name of the type. */
export const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type Dtype = keyof typeof dtypeBits;

export interface SafeTensor {
  readonly name: string;
  readonly dtype: Dtype;
  /** Row-major: the last dimension is the fastest. Empty for a single value. */
  readonly shape: readonly number[];
  /** Bytes of data. */
  readonly bytes: number;
  /** Offset of the data from the start of the file, in bytes. */
  readonly offset: number;
}

export interface Safetensors {
  /** By name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  /** What the header has under `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly source: ByteSource;
}

/** The limit of the reference implementation. */
const maxHeader = 100_000_000;
/** What a record costs in memory besides its name; headers may cost 16 MiB and three times their bytes. */
const tensorCost = 320;
const freeBytes = 16 * 2 ** 20;

/** An entry as the header says; offsets count from the start of the data. */
interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads the header of one file, which stays open and belongs to the caller. Throws `safetensors.truncated`, `safetensors.malformed`, and
 * what `source` throws.
 */
export async function readSafetensors(source: ByteSource): Promise<Safetensors> {
  const fail = (why: string, details: Record<string, unknown> = {}): LatheError => malformed(source, why, details);
  if (source.size < 8) throw truncated(source, 8);
  const prefix = new DataView((await source.read(0, 8)).slice().buffer);
  const length = prefix.getUint32(0, true) + prefix.getUint32(4, true) * 2 ** 32;
  if (length > maxHeader) throw fail(`its header would be ${length} bytes long, more than ${maxHeader}`, { length });
  if (8 + length > source.size) throw truncated(source, 8 + length);
  const text = decoded(await source.read(8, length), fail);
  const { entries, metadata } = parse(text, fail);
  return { tensors: located(source, entries, 8 + length, fail), metadata, source };
}

type Fail = (why: string, details?: Record<string, unknown>) => LatheError;

function malformed(source: ByteSource, why: string, details: Record<string, unknown>): LatheError {
  const message = `"${source.name}" is not a valid safetensors file, because ${why}; download it again.`;
  return new LatheError("safetensors.malformed", message, { file: source.name, ...details });
}

function truncated(source: ByteSource, needed: number): LatheError {
  const { name, size } = source;
  const message = `"${name}" ends before its contents do: it has ${size} bytes and needs at least ${needed}; download it again.`;
  return new LatheError("safetensors.truncated", message, { file: name, size, needed });
}

function decoded(bytes: Uint8Array, fail: Fail): string {
  if (bytes[0] !== 0x7b) throw fail("its header does not begin with {");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw fail("its header is not UTF-8");
  }
}

function parse(text: string, fail: Fail): { entries: Entry[]; metadata: Map<string, string> } {
  const json = new JsonReader(text, (why, at) => fail(`${why} (at byte ${8 + at})`, { position: 8 + at }));
  const entries: Entry[] = [];
  const metadata = new Map<string, string>();
  let spent = 0;
  json.object("the header", name => {
    if (name === "__metadata__") {
      json.object("the metadata", key => void metadata.set(key, json.string(`the metadata ${quoted(key)}`)));
      return;
    }
    const entry = parseEntry(json, name, fail);
    spent += tensorCost + 2 * name.length + 8 * entry.shape.length;
    if (spent > freeBytes + 3 * text.length) throw fail("its header would take far more memory than it has bytes");
    entries.push(entry);
  });
  json.end("the header");
  return { entries, metadata };
}

function parseEntry(json: JsonReader, name: string, fail: Fail): Entry {
  const what = `the tensor ${quoted(name)}`;
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const sizes = (part: string): number[] => {
    const list: number[] = [];
    json.array(part, () => list.push(json.size(`a number in ${part}`)));
    return list;
  };
  json.object(what, key => {
    if (key === "dtype") dtype = json.string(`the type of ${what}`);
    else if (key === "shape") shape = sizes(`the shape of ${what}`);
    else if (key === "data_offsets") offsets = sizes(`the offsets of ${what}`);
    else throw fail(`${what} has the unknown key ${quoted(key)}`, { tensor: name, key });
  });
  if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
    throw fail(`${what} lacks its type, its shape or its two offsets`, { tensor: name });
  }
  if (!Object.hasOwn(dtypeBits, dtype)) throw fail(`${what} has the unknown type ${quoted(dtype)}`, { tensor: name, dtype });
  return { name, dtype: dtype as Dtype, shape, begin: offsets[0], end: offsets[1] };
}

/** Checks that the ranges fit their shapes and cover the data exactly, one after the other. */
function located(source: ByteSource, entries: readonly Entry[], start: number, fail: Fail): Map<string, SafeTensor> {
  for (const { name, dtype, shape, begin, end } of entries) {
    const bits = shape.reduce((product, n) => product * n, 1) * dtypeBits[dtype];
    if (!(bits <= Number.MAX_SAFE_INTEGER)) throw fail(`the tensor ${quoted(name)} is larger than 2^53 bits`, { tensor: name, shape });
    if (end - begin !== bits / 8) {
      const details = { tensor: name, dtype, shape, begin, end };
      throw fail(`the tensor ${quoted(name)} has ${end - begin} bytes instead of the ${bits / 8} of its shape`, details);
    }
  }
  let next = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== next) {
      throw fail(`the data of the tensor ${quoted(name)} ${begin < next ? "overlaps" : "leaves a gap after"} the one before it`, {
        tensor: name,
        begin,
        expected: next,
      });
    }
    next = end;
  }
  if (start + next > source.size) throw truncated(source, start + next);
  if (start + next < source.size) throw fail("bytes follow its last tensor", { size: source.size, end: start + next });
  const place = ({ name, dtype, shape, begin, end }: Entry): SafeTensor => ({
    name,
    dtype,
    shape,
    bytes: end - begin,
    offset: start + begin,
  });
  return new Map(entries.map(entry => [entry.name, place(entry)]));
}

/**
 * Which file each tensor of a model in several files is in: the `weight_map` of `model.safetensors.index.json`. File names are checked to
 * be plain names, so that no index leads out of its folder. Throws `safetensors.malformed`.
 */
export function parseIndex(text: string, file: string): ReadonlyMap<string, string> {
  const fail = (why: string, details: Record<string, unknown> = {}): LatheError => {
    const message = `"${file}" is not a valid index of a model in several files, because ${why}; download it again.`;
    return new LatheError("safetensors.malformed", message, { file, ...details });
  };
  const json = new JsonReader(text, (why, at) => fail(`${why} (at character ${at})`, { position: at }));
  const map = new Map<string, string>();
  let found = false;
  json.object("it", key => {
    if (key !== "weight_map") return json.skip(quoted(key));
    found = true;
    json.object("the weight map", tensor => {
      const name = json.string(`the file of the tensor ${quoted(tensor)}`);
      if (!/^[^/\\:\0]+\.safetensors$/.test(name)) throw fail(`${quoted(name)} is not the name of a safetensors file beside it`, { name });
      map.set(tensor, name);
    });
  });
  json.end("it");
  if (!found) throw fail("it has no weight map");
  return map;
}
