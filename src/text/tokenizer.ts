/**
 * The way in: a tokenizer from whatever file describes it. The formats are in sources/, what they are put together from beside this file.
 */
import type { Metadata } from "./metadata.ts";
import { ModelTokenizer, type Tokenizer } from "./model-tokenizer.ts";
import type { Json } from "./sources/config.ts";
import { partsFromMetadata } from "./sources/gguf.ts";
import { partsFromModel } from "./sources/sentencepiece.ts";
import { partsFromTekken } from "./sources/tekken.ts";
import { partsFromTiktoken } from "./sources/tiktoken.ts";
import { partsFromJson } from "./sources/tokenizer-json.ts";

export type { DecodeOptions, Detokenizer } from "./detokenizer.ts";
export type { Metadata } from "./metadata.ts";
export type { EncodeOptions, TextPart, Tokenizer } from "./model-tokenizer.ts";
export type { Json } from "./sources/config.ts";

/**
 * The tokenizer that a GGUF file's metadata describes (the keys `tokenizer.ggml.*`). Throws `tokenizer.unsupported` for an algorithm or a
 * pre-tokenizer that this version does not know, and `tokenizer.malformed` for a vocabulary that contradicts itself.
 */
export function tokenizerFromMetadata(metadata: Metadata): Tokenizer {
  return new ModelTokenizer(partsFromMetadata(metadata));
}

/**
 * The tokenizer of a `tokenizer.json`, given as text or parsed. `config`: the `tokenizer_config.json` beside it, which knows the tokens
 * that begin and end a text. Throws `tokenizer.unsupported`, naming the component that is not known, and `tokenizer.malformed`.
 */
export function tokenizerFromJson(json: Json, config?: Json): Tokenizer {
  return new ModelTokenizer(partsFromJson(json, config));
}

/**
 * The tokenizer of a SentencePiece model (`tokenizer.model`). No BOS or EOS is put around a text unless `config`, the
 * `tokenizer_config.json` beside it, says so. Throws `tokenizer.malformed`.
 */
export function tokenizerFromModel(bytes: Uint8Array, config?: Json): Tokenizer {
  return new ModelTokenizer(partsFromModel(bytes, config));
}

/** The tokenizer of Mistral's `tekken.json`, given as text or parsed. Throws `tokenizer.malformed`, and for its pattern `tokenizer.unsupported`. */
export function tokenizerFromTekken(json: Json): Tokenizer {
  return new ModelTokenizer(partsFromTekken(json));
}

/**
 * The tokenizer of a tiktoken file (lines of base64 and rank). `pattern`: the expression that cuts a text into pieces; `special`: ids of
 * special tokens by their texts. Throws `tokenizer.malformed` and, for expressions, `tokenizer.unsupported`.
 */
export function tokenizerFromTiktoken(
  file: string | Uint8Array,
  pattern: string,
  special: Readonly<Record<string, number>> = {},
): Tokenizer {
  return new ModelTokenizer(partsFromTiktoken(file, pattern, special));
}
