/**
 * From ids back to text: the bytes of every token, and a decoder that turns a stream of tokens into complete characters. Bytes that are no
 * UTF-8 become U+FFFD exactly as `TextDecoder` has it. The tidying of spaces before punctuation that some older models' tokenizers do is
 * left out on purpose: it loses text and cannot be streamed.
 */
import type { Encoder } from "./encoder.ts";
import { BYTE } from "./vocabulary.ts";

export interface DecodeOptions {
  /** Write out control tokens as their texts too. Default false: they add nothing. */
  special?: boolean;
  /** The ids continue a text that is already there, so a first space is kept. Default false. Only `llama` tokenizers differ. */
  continued?: boolean;
}

export interface Detokenizer {
  /** The text that this token completes: whole characters only, often empty. */
  push(id: number): string;
  /** What is still held back (an unfinished character, as U+FFFD). The detokenizer then starts anew. */
  end(): string;
}

const EMPTY = new Uint8Array(0);

function grown(bytes: Uint8Array, need: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(need, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

/** The bytes of all tokens in one piece of memory, made when first asked for. */
export class TokenBytes {
  readonly #encoder: Encoder;
  #bytes: Uint8Array = EMPTY;
  #ends: Uint32Array | undefined;

  constructor(encoder: Encoder) {
    this.#encoder = encoder;
  }

  /** A view that must not be written to. Control tokens have bytes only if `special`; ids outside the vocabulary have none. */
  of(id: number, special: boolean): Uint8Array {
    const { vocabulary } = this.#encoder;
    if (!Number.isInteger(id) || id < 0 || id >= vocabulary.size || (!special && vocabulary.isControl(id))) return EMPTY;
    const ends = (this.#ends ??= this.#build());
    return this.#bytes.subarray(id === 0 ? 0 : ends[id - 1], ends[id]);
  }

  /** The bytes of many tokens, one after the other. */
  join(ids: Iterable<number>, special: boolean): Uint8Array {
    let bytes = new Uint8Array(1024);
    let size = 0;
    for (const id of ids) {
      const own = this.of(id, special);
      if (size + own.length > bytes.length) bytes = grown(bytes, size + own.length);
      for (let i = 0; i < own.length; i++) bytes[size + i] = own[i];
      size += own.length;
    }
    return bytes.subarray(0, size);
  }

  #build(): Uint32Array {
    const { vocabulary } = this.#encoder;
    const ends = new Uint32Array(vocabulary.size);
    let bytes = new Uint8Array(vocabulary.size * 8);
    let size = 0;
    for (let id = 0; id < vocabulary.size; id++) {
      const own = this.#one(id);
      if (size + own.length > bytes.length) bytes = grown(bytes, size + own.length);
      bytes.set(own, size);
      ends[id] = size += own.length;
    }
    this.#bytes = bytes.slice(0, size);
    return ends;
  }

  #one(id: number): Uint8Array {
    const { vocabulary } = this.#encoder;
    const text = vocabulary.texts[id];
    if (vocabulary.types[id] === BYTE && /^<0x[0-9A-Fa-f]{2}>$/.test(text)) return Uint8Array.of(Number.parseInt(text.slice(3, 5), 16));
    return vocabulary.isLiteral(id) ? new TextEncoder().encode(text) : this.#encoder.bytesOf(text);
  }
}

/** The text of bytes: the first space taken off if asked for, bad bytes as U+FFFD, a byte order mark kept. */
export function textOf(bytes: Uint8Array, stripsSpace: boolean): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(stripsSpace && bytes[0] === 0x20 ? bytes.subarray(1) : bytes);
}

/** Bytes to text, for one stretch of output: takes off the first space, holds back unfinished characters. */
export class StreamDecoder implements Detokenizer {
  readonly #bytes: TokenBytes;
  readonly #special: boolean;
  readonly #stripsSpace: boolean;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #atStart = true;

  constructor(bytes: TokenBytes, stripsSpace: boolean, options: DecodeOptions = {}) {
    this.#bytes = bytes;
    this.#special = options.special ?? false;
    this.#stripsSpace = stripsSpace && !options.continued;
  }

  push(id: number): string {
    let own = this.#bytes.of(id, this.#special);
    if (own.length === 0) return "";
    if (this.#atStart && this.#stripsSpace && own[0] === 0x20) own = own.subarray(1);
    this.#atStart = false;
    return this.#decoder.decode(own, { stream: true });
  }

  end(): string {
    this.#atStart = true;
    return this.#decoder.decode();
  }
}
