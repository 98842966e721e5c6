/**
 * Tensors that are not in memory: where their bytes come from and what is done to them on the way, run piece by piece when somebody reads.
 * Owns the few operations that conversion needs (choosing rows, joining, transposing, changing values and types). Knows no model.
 */
import { LatheError } from "../../errors.ts";
import { type GgmlType, ggmlTypeNamed, rowBytes } from "../../formats/types.ts";
import type { TensorData } from "../gguf-write.ts";
import type { SafeTensor } from "../safetensors.ts";
import type { ByteSource } from "../source.ts";
import { blockValues } from "./blocks.ts";
import { decodeFloats, encodeFloats, type FloatType, isFloat } from "./floats.ts";

export interface LazyTensor {
  readonly type: GgmlType;
  /** Row-major: the last dimension is the fastest. At least one dimension. */
  readonly shape: readonly number[];
  /** Bytes of `count` values from value `first` on; both are whole blocks of the type, and whole rows unless the tensor is read whole. */
  read(first: number, count: number): Promise<Uint8Array>;
  /** Where the bytes lie as they are, in one piece; undefined where reading changes anything. */
  readonly at?: { readonly source: ByteSource; readonly offset: number };
}

export const elements = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
export const rowOf = ({ shape }: LazyTensor): number => shape[shape.length - 1];
export const typeNamed = (name: string): GgmlType => ggmlTypeNamed(name) as GgmlType;

/** A tensor of a safetensors file, and the file. */
export interface StoredTensor extends SafeTensor {
  readonly source: ByteSource;
}

/** A stored tensor as it is. Undefined where ggml has no such type. */
export function stored(tensor: StoredTensor): LazyTensor | undefined {
  const type = ggmlTypeNamed(tensor.dtype);
  if (type === undefined) return undefined;
  return {
    type,
    shape: tensor.shape.length > 0 ? tensor.shape : [1],
    at: { source: tensor.source, offset: tensor.offset },
    read: (first, count) => tensor.source.read(tensor.offset + rowBytes(type, first), rowBytes(type, count)),
  };
}

/** Same values, other dimensions. */
export const reshaped = (tensor: LazyTensor, shape: readonly number[]): LazyTensor => ({ ...tensor, shape });

/** Values of another tensor from `start` on. */
export const sliced = (tensor: LazyTensor, start: number, shape: readonly number[]): LazyTensor => ({
  ...tensor,
  shape,
  at: tensor.at && { ...tensor.at, offset: tensor.at.offset + rowBytes(tensor.type, start) },
  read: (first, count) => tensor.read(start + first, count),
});

/** Runs of `unit` values in a new order: run i of the result is run `from(i)` of `tensor`. */
export function gathered(tensor: LazyTensor, shape: readonly number[], unit: number, from: (run: number) => number): LazyTensor {
  const { type } = tensor;
  const size = rowBytes(type, unit);
  return {
    type,
    shape,
    async read(first, count) {
      const runs = Array.from({ length: count / unit }, (_, i) => from(first / unit + i));
      const low = runs.reduce((a, b) => Math.min(a, b), Infinity);
      const span = runs.reduce((a, b) => Math.max(a, b), 0) - low + 1;
      const out = new Uint8Array(runs.length * size);
      // One read of all between the first and the last, unless that were mostly waste.
      const together = span <= 4 * runs.length ? await tensor.read(low * unit, span * unit) : undefined;
      for (const [i, run] of runs.entries()) {
        const bytes = together?.subarray((run - low) * size, (run - low + 1) * size) ?? (await tensor.read(run * unit, unit));
        out.set(bytes, i * size);
      }
      return out;
    },
  };
}

/** Tensors of one type one after the other. */
export function joined(parts: readonly LazyTensor[], shape: readonly number[]): LazyTensor {
  const { type } = parts[0];
  const starts = [0];
  for (const part of parts) starts.push(starts[starts.length - 1] + elements(part.shape));
  return {
    type,
    shape,
    async read(first, count) {
      const out = new Uint8Array(rowBytes(type, count));
      for (const [i, part] of parts.entries()) {
        const from = Math.max(first, starts[i]);
        const to = Math.min(first + count, starts[i + 1]);
        if (from < to) out.set(await part.read(from - starts[i], to - from), rowBytes(type, from - first));
      }
      return out;
    },
  };
}

/** The last two dimensions exchanged; blocks become F32, since they lie along rows. Holds one matrix in memory while it is read. */
export function transposed(stored: LazyTensor): LazyTensor {
  const tensor = stored.type.blockLength === 1 ? stored : mapped(stored, x => x);
  const { type, shape } = tensor;
  const [rows, columns] = shape.slice(-2);
  const size = type.blockBytes;
  let held: { matrix: number; bytes: Uint8Array } | undefined;
  const matrixAt = async (matrix: number): Promise<Uint8Array> => {
    if (held?.matrix !== matrix) held = { matrix, bytes: await tensor.read(matrix * rows * columns, rows * columns) };
    return held.bytes;
  };
  return {
    type,
    shape: [...shape.slice(0, -2), columns, rows],
    async read(first, count) {
      const out = new Uint8Array(count * size);
      for (let at = 0; at < count; ) {
        const matrix = Math.floor((first + at) / (rows * columns));
        const source = await matrixAt(matrix);
        const end = Math.min(count, (matrix + 1) * rows * columns - first);
        for (; at < end; at++) {
          const within = first + at - matrix * rows * columns;
          const from = ((within % rows) * columns + Math.floor(within / rows)) * size;
          for (let b = 0; b < size; b++) out[at * size + b] = source[from + b];
        }
      }
      if (first + count === elements(shape)) held = undefined;
      return out;
    },
  };
}

/** Values of a tensor of a float type or one of `blockValues`. */
async function floatsOf(tensor: LazyTensor, first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
  const { name } = tensor.type;
  const bytes = await tensor.read(first, count);
  return isFloat(name) ? decodeFloats(name, bytes) : blockValues[name](bytes);
}

export const hasFloats = ({ type }: LazyTensor): boolean => isFloat(type.name) || Object.hasOwn(blockValues, type.name);

/** A tensor of F32 made by a function of places: it fills `out` with the values from `first` on. */
export function computed(
  shape: readonly number[],
  fill: (first: number, out: Float32Array<ArrayBuffer>) => void | Promise<void>,
): LazyTensor {
  return {
    type: typeNamed("F32"),
    shape,
    async read(first, count) {
      const out = new Float32Array(count);
      await fill(first, out);
      return new Uint8Array(out.buffer);
    },
  };
}

/** F32 values, each changed. */
export const mapped = (tensor: LazyTensor, change: (value: number) => number): LazyTensor =>
  computed(tensor.shape, async (first, out) => {
    const values = await floatsOf(tensor, first, out.length);
    for (let i = 0; i < out.length; i++) out[i] = change(values[i]);
  });

/** The same values in another float type, rounded to the nearest. Reading throws `option.invalid` where F16 does not reach. */
export function cast(tensor: LazyTensor, to: FloatType, name: string): LazyTensor {
  if (tensor.type.name === to) return tensor;
  return {
    type: typeNamed(to),
    shape: tensor.shape,
    async read(first, count) {
      const bytes = encodeFloats(to, await floatsOf(tensor, first, count));
      if (bytes !== undefined) return bytes;
      const message = `The tensor "${name}" has values beyond 65504, which F16 does not hold; convert to bf16 or f32 instead.`;
      throw new LatheError("option.invalid", message, { tensor: name, type: to });
    },
  };
}

/**
 * `length` bytes of the tensor from byte `offset` on, whole blocks. What is no whole rows is cut out of the whole tensor, since only short
 * lists are asked for in that way.
 */
export async function bytesOf(tensor: LazyTensor, offset: number, length: number): Promise<Uint8Array> {
  const { blockBytes, blockLength } = tensor.type;
  const row = rowBytes(tensor.type, rowOf(tensor));
  const whole = offset % row !== 0 || length % row !== 0;
  if (whole) return (await tensor.read(0, elements(tensor.shape))).subarray(offset, offset + length);
  return tensor.read((offset / blockBytes) * blockLength, (length / blockBytes) * blockLength);
}

/** Bytes of one piece that is read at a time, about. */
const pieceBytes = 2 ** 22;

/** The tensor's bytes as a writer takes them. */
export function dataOf(tensor: LazyTensor): TensorData {
  return async function* () {
    const total = elements(tensor.shape);
    const row = rowOf(tensor);
    const step = row * Math.max(1, Math.floor(pieceBytes / Math.max(1, rowBytes(tensor.type, row))));
    for (let first = 0; first < total; first += step) yield await tensor.read(first, Math.min(step, total - first));
  };
}
