/**
 * Packed copies: the weights of a model as the kernels want them, in a file beside it that loads map or read instead of packing again. Owns the
 * format of that file, and every reason not to use one. A copy belongs to one source file (sizes, times, the beginning) and to one way of
 * packing; anything else is stale, and the model is then packed from its source as if there were no copy.
 *
 * Layout: magic, u32 bytes of the header, SHA-256 of the header, the header (JSON), then every weight's bytes at multiples of 4096, and 4096
 * bytes of zeros.
 */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { GROUP, ROW_PADDING, type WeightFormat } from "../formats/packed.ts";
import { print } from "../ir/print.ts";
import { pack } from "../kernels/pack.ts";
import { packedBytes, type Weight } from "../nn/source.ts";

const COPY_ENDING = ".lathe-pack";
const MAGIC = Buffer.from("LATHEPK1");
const PREFIX = MAGIC.length + 4 + 32;
export const ALIGNMENT = 4096;
const MOST_HEADER = 64 << 20;
/** Bytes of a source file that its identity is made of, besides size and time. */
const BEGINNING = 1 << 20;

/** Where the copy of a model lies: beside its first file. */
export const copyPath = (parts: readonly string[]): string => parts[0] + COPY_ENDING;

/** A weight in the file. */
export interface Entry {
  readonly name: string;
  /** Name of the packed form that it has got, which the values decide where a format has two. */
  readonly form: string;
  readonly offset: number;
  readonly bytes: number;
  readonly sha256: string;
}

interface SourceFile {
  readonly bytes: number;
  /** Last change, in nanoseconds, as text. */
  readonly changed: string;
  /** SHA-256 of the beginning. */
  readonly beginning: string;
  /** ... and of the whole, for thorough checks. */
  readonly whole: string;
}

export interface CopyHeader {
  readonly packing: string;
  readonly sources: readonly SourceFile[];
  readonly entries: readonly Entry[];
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A format and its stand-ins. */
const variantsOf = (format: WeightFormat): WeightFormat[] => [format, format.fallback, format.quads].filter(f => f !== undefined);

const formatsOf = (weights: readonly Weight[]): WeightFormat[] => [...new Set(weights.flatMap(({ format }) => variantsOf(format)))];

/**
 * What the bytes of a copy depend on besides the source: the packing kernels, operation by operation, and how the network wants its rows. It
 * changes by itself when a layout does.
 */
export function packingOf(weights: readonly Weight[]): string {
  const hash = createHash("sha256").update(JSON.stringify([GROUP, ROW_PADDING]));
  for (const format of formatsOf(weights)) {
    const { name, packed, padding, limit, trailer, constants } = format;
    hash.update(JSON.stringify([name, packed.name, packed.inputs, packed.bytes, padding, limit, trailer]));
    hash.update(print(pack(format)));
    if (constants) hash.update(constants());
  }
  for (const w of weights) hash.update(JSON.stringify([w.tensor.name, w.tensor.shape, w.order, w.partRows]));
  return hash.digest("hex");
}

/** Reads what is there of `length` bytes at `offset`. */
function readAt(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let at = 0;
  for (let n = 1; at < length && n > 0; at += n) n = readSync(fd, bytes, at, length - at, offset + at);
  return bytes.subarray(0, at);
}

/** Size, time and beginning of the model's files. */
export function sourcesOf(parts: readonly string[]): Omit<SourceFile, "whole">[] {
  return parts.map(path => {
    const fd = openSync(path, "r");
    try {
      const { size, mtimeNs } = fstatSync(fd, { bigint: true });
      return { bytes: Number(size), changed: String(mtimeNs), beginning: sha256(readAt(fd, 0, Math.min(BEGINNING, Number(size)))) };
    } finally {
      closeSync(fd);
    }
  });
}

const aligned = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/** What precedes the weights. */
export function encodeHeader(header: CopyHeader): Uint8Array {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([MAGIC, length, createHash("sha256").update(text).digest(), text]);
}

/** Offsets of weights of these sizes: aligned, from the first place that a header of any offsets leaves free. */
export function layOut(header: Omit<CopyHeader, "entries">, sizes: readonly Omit<Entry, "offset">[]): Entry[] {
  const widest = sizes.map(e => ({ ...e, offset: Number.MAX_SAFE_INTEGER }));
  let at = aligned(encodeHeader({ ...header, entries: widest }).length);
  return sizes.map(entry => {
    const offset = at;
    at += aligned(entry.bytes);
    return { ...entry, offset };
  });
}

export interface Copy {
  readonly path: string;
  /** Bytes of the whole file. */
  readonly bytes: number;
  readonly header: CopyHeader;
}

type Refusal = { readonly reason: string };

const isText = (x: unknown): x is string => typeof x === "string";
const isSize = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
const isEntry = (e: Partial<Entry> | null): e is Entry =>
  typeof e === "object" && e !== null && isText(e.name) && isText(e.form) && isText(e.sha256) && isSize(e.offset) && isSize(e.bytes);
const isSource = (s: Partial<SourceFile> | null): s is SourceFile =>
  typeof s === "object" && s !== null && isSize(s.bytes) && isText(s.changed) && isText(s.beginning) && isText(s.whole);

function parsed(text: string): CopyHeader | undefined {
  const header = JSON.parse(text) as Partial<Record<keyof CopyHeader, unknown>>;
  const { packing, sources, entries } = header ?? {};
  const whole = isText(packing) && Array.isArray(sources) && sources.every(isSource) && Array.isArray(entries) && entries.every(isEntry);
  return whole ? (header as CopyHeader) : undefined;
}

/** The header of a copy, whole and with every weight inside the file; or why there is none. */
export function readCopy(path: string): Copy | Refusal {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (e) {
    return { reason: (e as NodeJS.ErrnoException).code === "ENOENT" ? "there is none" : "it cannot be opened" };
  }
  try {
    const { size } = fstatSync(fd);
    const prefix = readAt(fd, 0, PREFIX);
    if (prefix.length < PREFIX || !prefix.subarray(0, MAGIC.length).equals(MAGIC)) return { reason: "it is no packed copy" };
    const length = prefix.readUInt32LE(MAGIC.length);
    if (length > MOST_HEADER || PREFIX + length > size) return { reason: "it is cut short" };
    const text = readAt(fd, PREFIX, length);
    if (
      !createHash("sha256")
        .update(text)
        .digest()
        .equals(prefix.subarray(MAGIC.length + 4))
    )
      return { reason: "its header is damaged" };
    const header = parsed(text.toString("utf8"));
    if (!header) return { reason: "its header is of another kind" };
    const inside = header.entries.every(
      e => e.offset >= PREFIX + length && e.offset % ALIGNMENT === 0 && e.offset + e.bytes + ALIGNMENT <= size,
    );
    return inside ? { path, bytes: size, header } : { reason: "it is cut short" };
  } catch (e) {
    return { reason: `it cannot be read (${(e as Error).message})` };
  } finally {
    closeSync(fd);
  }
}

/** Whether two lists of sources are the same files; `whole` is not looked at. */
const same = (a: readonly Omit<SourceFile, "whole">[], b: readonly Omit<SourceFile, "whole">[]): boolean =>
  a.length === b.length && a.every((s, i) => s.bytes === b[i].bytes && s.changed === b[i].changed && s.beginning === b[i].beginning);

/** The form of a weight in a copy, which its format or one of the format's stand-ins has; undefined where none does. */
export const formatIn = ({ format }: Weight, form: string): WeightFormat | undefined =>
  variantsOf(format).find(f => f.packed.name === form);

/** The copy of this model, if it is one of these weights from these files; or why it is not to be used. */
export function openCopy(path: string, weights: readonly Weight[], parts: readonly string[]): Copy | Refusal {
  const copy = readCopy(path);
  if ("reason" in copy) return copy;
  const { packing, sources, entries } = copy.header;
  if (!same(sources, sourcesOf(parts))) return { reason: "it was made from other files, or they have changed since" };
  if (packing !== packingOf(weights)) return { reason: "it was made by another version" };
  const fits = (w: Weight, e: Entry): boolean => {
    const format = formatIn(w, e.form);
    return e.name === w.tensor.name && format !== undefined && e.bytes === packedBytes({ ...w, format });
  };
  if (entries.length !== weights.length || !weights.every((w, i) => fits(w, entries[i]))) return { reason: "it is of another model" };
  return copy;
}

/** The copy beside a model, if there is one, and whether it is not stale for reasons that the files alone tell. */
export function copyOf(parts: readonly string[]): { readonly path: string; readonly bytes: number; readonly fresh: boolean } | undefined {
  const path = copyPath(parts);
  try {
    const { size } = statSync(path);
    const copy = readCopy(path);
    return { path, bytes: size, fresh: !("reason" in copy) && same(copy.header.sources, sourcesOf(parts)) };
  } catch {
    return undefined;
  }
}
