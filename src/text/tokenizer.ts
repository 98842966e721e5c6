/**
 * The way in: a tokenizer from whatever file describes it. The formats are in sources/, what they are put together from beside this file.
 */
import type { Metadata } from "./metadata.ts";
import { ModelTokenizer, type Tokenizer } from "./model-tokenizer.ts";
import { partsFromMetadata } from "./sources/gguf.ts";

export type { DecodeOptions, Detokenizer } from "./detokenizer.ts";
export type { Metadata } from "./metadata.ts";
export type { EncodeOptions, TextPart, Tokenizer } from "./model-tokenizer.ts";

/**
 * The tokenizer that a GGUF file's metadata describes (the keys `tokenizer.ggml.*`). Throws `tokenizer.unsupported` for an algorithm or a
 * pre-tokenizer that this version does not know, and `tokenizer.malformed` for a vocabulary that contradicts itself.
 */
export function tokenizerFromMetadata(metadata: Metadata): Tokenizer {
  return new ModelTokenizer(partsFromMetadata(metadata));
}
