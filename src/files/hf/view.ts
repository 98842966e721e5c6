/** A model folder as the GGUF file that it would become, without writing it: what describes models needs to see. */
import type { Gguf, GgufValue, TensorInfo } from "../gguf.ts";
import { tensorBytes } from "../gguf-write.ts";
import type { Conversion } from "./convert.ts";
import type { Folder } from "./folder.ts";

/** Metadata and tensors as in the GGUF file; `parts` are the folder's files, in which the tensors have no places. */
export function viewOf(folder: Folder, { content }: Conversion): Gguf {
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of content.metadata) {
    const isTyped = typeof value === "object" && "value" in value;
    // As they are once they have been stored.
    const rounded = isTyped && value.type === "f32" ? Math.fround(Number(value.value)) : isTyped ? value.value : value;
    metadata.set(key, rounded);
  }
  const tensors = new Map<string, TensorInfo>();
  let dataBytes = 0;
  for (const tensor of content.tensors ?? []) {
    const bytes = tensorBytes(tensor);
    tensors.set(tensor.name, { name: tensor.name, type: tensor.type, shape: tensor.shape, bytes, offset: 0, part: 0 });
    dataBytes += bytes;
  }
  return { version: 3, alignment: 32, metadata, valueTypes: new Map(), tensors, parts: folder.files, dataBytes };
}
