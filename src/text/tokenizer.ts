/**
 * The tokenizer of a model: text to token ids and back. This file owns the interface, the special tokens around and inside a text, and the
 * choice of the algorithm by the model's metadata; the algorithms are in bytebpe.ts and spm.ts, chat templates elsewhere.
 */
import { LatheError } from "../errors.ts";
import { byteBpe } from "./bytebpe.ts";
import { type DecodeOptions, type Detokenizer, StreamDecoder, TokenBytes, textOf } from "./detokenizer.ts";
import type { Encoder } from "./encoder.ts";
import { type Metadata, malformed, readString } from "./metadata.ts";
import { Ids } from "./pieces.ts";
import { SpecialTokens } from "./special.ts";
import { spm } from "./spm.ts";

export type { DecodeOptions, Detokenizer } from "./detokenizer.ts";
export type { Metadata } from "./metadata.ts";

export interface EncodeOptions {
  /** Control tokens that are written out in the text become those tokens. Default false: user text never becomes a control token. */
  special?: boolean;
  /** Put the BOS token first. Default: what the model's metadata says, but no second one before a text that spells it itself. */
  bos?: boolean;
  /** Put the EOS token last. Default: what the model's metadata says. */
  eos?: boolean;
}

/** A part of a text with its own right to spell control tokens. */
export interface TextPart {
  text: string;
  /** Default: the `special` of the options. */
  special?: boolean;
}

export interface Tokenizer {
  /** The algorithm: the file's `tokenizer.ggml.model`. */
  readonly kind: string;
  /** Tokens in the vocabulary; ids run from 0 to size - 1. */
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** The model expects a BOS token before a text. */
  readonly addBos: boolean;
  /**
   * The ids of a text. Parts are encoded as the one text that they make up, but a control token must lie wholly in parts that allow it: a
   * template's words and a user's words go in as separate parts. Lone surrogates count as U+FFFD. Throws `option.invalid` if a BOS or EOS
   * is asked for that the vocabulary lacks.
   */
  encode(text: string | readonly TextPart[], options?: EncodeOptions): Int32Array;
  /** The text of ids; ids outside the vocabulary add nothing. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** Tokens of a user's text, without BOS and EOS. */
  count(text: string): number;
  /** The vocabulary's own text of a token, control tokens included; empty for an id outside the vocabulary. */
  text(id: number): string;
  /** The bytes that the token adds to the output; none for control tokens. A copy. */
  bytes(id: number): Uint8Array;
  /** The token with exactly this text in the vocabulary. */
  id(text: string): number | undefined;
  /** Control and unknown tokens: they add nothing to the output. */
  isControl(id: number): boolean;
  /** A model that produces this token has finished its answer. */
  isEndOfGeneration(id: number): boolean;
  /** Decodes one stretch of output token by token. The pieces joined are what `decode` gives for all ids. */
  detokenizer(options?: DecodeOptions): Detokenizer;
}

class ModelTokenizer implements Tokenizer {
  readonly kind: string;
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  readonly #encoder: Encoder;
  readonly #special: SpecialTokens;
  readonly #bytes: TokenBytes;

  constructor(encoder: Encoder) {
    const { vocabulary } = encoder;
    this.kind = vocabulary.kind;
    this.size = vocabulary.size;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.addBos = vocabulary.addBos;
    this.#encoder = encoder;
    this.#special = new SpecialTokens(vocabulary, encoder.preTokenizer);
    this.#bytes = new TokenBytes(encoder);
  }

  encode(text: string | readonly TextPart[], options: EncodeOptions = {}): Int32Array {
    const { vocabulary } = this.#encoder;
    const ids = new Ids();
    if (options.bos ?? vocabulary.addBos) ids.push(existing(this.bos, "bos"));
    const first = ids.size;
    this.#append(typeof text === "string" ? [{ text }] : text, options.special ?? false, ids);
    if (options.eos ?? vocabulary.addEos) ids.push(existing(this.eos, "eos"));
    const twice = options.bos === undefined && first === 1 && ids.size > 1 && ids.list[1] === this.bos;
    return ids.take(twice ? 1 : 0);
  }

  #append(parts: readonly TextPart[], special: boolean, into: Ids): void {
    const whole = parts.length === 1 ? parts[0].text : parts.map(part => part.text).join("");
    const trusted: [number, number][] = [];
    let at = 0;
    for (const part of parts) {
      const start = at;
      at += part.text.length;
      if (!(part.special ?? special) || at === start) continue;
      const last = trusted.at(-1);
      if (last && last[1] === start) last[1] = at;
      else trusted.push([start, at]);
    }
    for (const { start, end, id } of this.#special.split(whole, trusted)) {
      if (id >= 0) into.push(id);
      else this.#encoder.encode(whole, start, end, into);
    }
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    return textOf(this.#bytes.join(ids, options.special ?? false), this.#encoder.spacePrefix && !options.continued);
  }

  count(text: string): number {
    return this.encode(text, { bos: false, eos: false }).length;
  }

  text(id: number): string {
    return this.#encoder.vocabulary.texts[id] ?? "";
  }

  bytes(id: number): Uint8Array {
    return this.#bytes.of(id, false).slice();
  }

  id(text: string): number | undefined {
    return this.#encoder.vocabulary.id(text);
  }

  isControl(id: number): boolean {
    return this.#encoder.vocabulary.isControl(id);
  }

  isEndOfGeneration(id: number): boolean {
    return this.#encoder.vocabulary.ends.has(id);
  }

  detokenizer(options?: DecodeOptions): Detokenizer {
    return new StreamDecoder(this.#bytes, this.#encoder.spacePrefix, options);
  }
}

function existing(id: number | undefined, name: string): number {
  if (id !== undefined) return id;
  throw new LatheError("option.invalid", `The option ${name} asks for a token that this model's vocabulary does not have.`, {
    option: name,
  });
}

/** Algorithms by `tokenizer.ggml.model`. */
const kinds: ReadonlyMap<string, (from: Metadata) => Encoder> = new Map([
  ["llama", spm],
  ["gpt2", byteBpe],
]);

/**
 * The tokenizer that a file's metadata describes (the keys `tokenizer.ggml.*`). Throws `tokenizer.unsupported` for an algorithm or a
 * pre-tokenizer that this version does not know, and `tokenizer.malformed` for a vocabulary that contradicts itself.
 */
export function tokenizerFromMetadata(metadata: Metadata): Tokenizer {
  const kind = readString(metadata, "tokenizer.ggml.model");
  if (kind === undefined) throw malformed("tokenizer.ggml.model", "is missing");
  const make = kinds.get(kind);
  if (make) return new ModelTokenizer(make(metadata));
  throw new LatheError(
    "tokenizer.unsupported",
    `The tokenizer "${kind}" is not supported by this version; it knows ${[...kinds.keys()].join(", ")}.`,
    {
      name: kind,
    },
  );
}
