/**
 * Writes safetensors files, with data that is streamed. Owns the layout: tensors in order of falling alignment and then of name, as the
 * reference implementation has them, so that every tensor lies at a multiple of its values' size.
 *
 * Source: huggingface/safetensors `README.md`.
 */
import { LatheError } from "../errors.ts";
import { quoted } from "./gguf-values.ts";
import { type ByteSink, inMemory, sendData, type TensorData } from "./gguf-write.ts";
import { type Dtype, dtypeBits } from "./safetensors.ts";

export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: Dtype;
  /** Row-major: the last dimension is the fastest. Empty for a single value. */
  readonly shape: readonly number[];
  /** Exactly as many bytes as type and shape say. */
  readonly data: TensorData;
}

export interface SafetensorsContent {
  readonly tensors: readonly SafetensorsEntry[];
  readonly metadata?: Readonly<Record<string, string>>;
}

const invalid = (message: string, details: Record<string, unknown>): LatheError => new LatheError("option.invalid", message, details);

function bytesOf({ name, dtype, shape }: SafetensorsEntry): number {
  const bytes = (shape.reduce((product, n) => product * n, 1) * dtypeBits[dtype]) / 8;
  if (shape.every(n => Number.isSafeInteger(n) && n >= 0) && Number.isSafeInteger(bytes)) return bytes;
  throw invalid(`The tensor ${quoted(name)} has the shape [${shape}]; give whole lengths that make whole bytes of ${dtype}.`, {
    name,
    shape,
  });
}

/**
 * Writes one file to `sink` and returns its size in bytes. Throws `option.invalid` where tensors or their data contradict the format or each
 * other, and what `sink` and the data functions throw.
 */
async function writeSafetensors(content: SafetensorsContent, sink: ByteSink): Promise<number> {
  const tensors = [...content.tensors].sort(
    (a, b) => dtypeBits[b.dtype] - dtypeBits[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const header = new Map<string, unknown>();
  if (content.metadata) header.set("__metadata__", content.metadata);
  let offset = 0;
  for (const tensor of tensors) {
    if (tensor.name === "__metadata__" || header.has(tensor.name)) {
      throw invalid(`The tensor name ${quoted(tensor.name)} is taken; give each tensor a name of its own.`, { name: tensor.name });
    }
    const end = offset + bytesOf(tensor);
    header.set(tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] });
    offset = end;
  }
  // Written member by member: an object would put names that look like numbers first.
  const json = `{${[...header].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const front = new Uint8Array(8 + length).fill(0x20);
  new DataView(front.buffer).setBigUint64(0, BigInt(length), true);
  front.set(text, 8);
  await sink(front);
  for (const tensor of tensors) await sendData(tensor.name, tensor.data, bytesOf(tensor), sink);
  return front.length + offset;
}

/** A file in memory. Same errors as `writeSafetensors`. */
export const safetensorsBytes = (content: SafetensorsContent): Promise<Uint8Array<ArrayBuffer>> =>
  inMemory(sink => writeSafetensors(content, sink));
