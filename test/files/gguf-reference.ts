/**
 * The plainest possible GGUF parser: the whole file in memory, 64-bit numbers as bigints, no checks besides those of DataView. The oracle
 * for values: whatever Lathe's reader accepts, this one must read in the same way.
 */

export interface ReferenceTensor {
  readonly name: string;
  readonly shape: readonly bigint[];
  readonly type: number;
  readonly offset: bigint;
}

export interface ReferenceGguf {
  readonly version: number;
  readonly pairs: readonly (readonly [key: string, type: number, value: unknown])[];
  readonly tensors: readonly ReferenceTensor[];
  /** Offset of the first byte after the tensor entries. */
  readonly headerEnd: number;
}

export function parseReference(file: Uint8Array): ReferenceGguf {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = 4;
  const next = <T>(bytes: number, value: T): T => {
    at += bytes;
    return value;
  };
  const u32 = () => next(4, view.getUint32(at, true));
  const u64 = () => next(8, view.getBigUint64(at, true));
  const string = () => {
    const length = Number(u64());
    return next(length, Buffer.from(file.buffer, file.byteOffset + at, length).toString("utf8"));
  };
  const boolean = (byte: number): unknown => (byte > 1 ? `boolean ${byte}` : byte === 1);
  const scalars: Record<number, () => unknown> = {
    0: () => next(1, view.getUint8(at)),
    1: () => next(1, view.getInt8(at)),
    2: () => next(2, view.getUint16(at, true)),
    3: () => next(2, view.getInt16(at, true)),
    4: u32,
    5: () => next(4, view.getInt32(at, true)),
    6: () => next(4, view.getFloat32(at, true)),
    7: () => next(1, boolean(view.getUint8(at))),
    8: string,
    10: u64,
    11: () => next(8, view.getBigInt64(at, true)),
    12: () => next(8, view.getFloat64(at, true)),
  };
  const version = u32();
  const tensorCount = u64();
  const pairCount = u64();
  const pairs = Array.from({ length: Number(pairCount) }, () => {
    const key = string();
    const type = u32();
    if (type !== 9) return [key, type, scalars[type]()] as const;
    const of = u32();
    const count = Number(u64());
    return [key, type, Array.from({ length: count }, () => scalars[of]())] as const;
  });
  const tensors = Array.from({ length: Number(tensorCount) }, () => {
    const name = string();
    const dimensions = u32();
    const shape = Array.from({ length: dimensions }, u64);
    return { name, shape, type: u32(), offset: u64() };
  });
  return { version, pairs, tensors, headerEnd: at };
}
