/**
 * A model folder as the GGUF file that it would become, without writing it: what describes and loads models needs to see. Owns the places of
 * tensors that lie in no file as they are wanted, because they are put together or changed when they are read.
 */
import type { Gguf, GgufValue, TensorInfo } from "../gguf.ts";
import { tensorBytes } from "../gguf-write.ts";
import type { ByteSource } from "../source.ts";
import type { Conversion } from "./convert.ts";
import type { Folder } from "./folder.ts";
import type { LazyTensor } from "./lazy.ts";

/** Tensors and where they are read from. */
export interface Placed {
  /** A part below the number of files is that file; the others are `made`, each from offset 0 on. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly made: readonly LazyTensor[];
}

/** Gives every tensor a part and an offset. The same folder gives the same places. */
export function placed(tensors: ReadonlyMap<string, LazyTensor>, files: readonly ByteSource[]): Placed {
  const made: LazyTensor[] = [];
  const infos = new Map<string, TensorInfo>();
  for (const [name, tensor] of tensors) {
    const { type, at } = tensor;
    const shape = [...tensor.shape].reverse();
    const bytes = tensorBytes({ name, type, shape, data: new Uint8Array() });
    const file = at ? files.indexOf(at.source) : -1;
    const place = at && file >= 0 ? { part: file, offset: at.offset } : { part: files.length + made.push(tensor) - 1, offset: 0 };
    infos.set(name, { name, type, shape, bytes, ...place });
  }
  return { tensors: infos, made };
}

/** Metadata and tensors as in the GGUF file; `parts` are the folder's files, and the tensors' places those of `placed`. */
export function viewOf(folder: Folder, { content, tensors: lazy }: Conversion): Gguf {
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of content.metadata) {
    const isTyped = typeof value === "object" && "value" in value;
    const own = isTyped ? value.value : value;
    // As they are once they have been stored.
    const narrow = isTyped ? value.type === "f32" : typeof value === "number" && !Number.isInteger(value);
    metadata.set(key, narrow ? Math.fround(Number(own)) : own);
  }
  const { tensors } = placed(lazy, folder.files);
  const dataBytes = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return { version: 3, alignment: 32, metadata, valueTypes: new Map(), tensors, parts: folder.files, dataBytes };
}
