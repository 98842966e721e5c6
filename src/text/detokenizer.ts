/**
 * From ids back to text: the bytes of every token, and a decoder that turns a stream of tokens into complete characters. Bytes that are no
 * UTF-8 become U+FFFD exactly as `TextDecoder` has it. The tidying of spaces before punctuation that some older models' tokenizers do is
 * left out on purpose: it loses text and cannot be streamed.
 */
import { BYTE, UNKNOWN, type Vocabulary } from "./vocabulary.ts";

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

/** The way from ids back to text, as the kind of tokenizer has it. */
export interface Decoding {
  /** The bytes that the token adds to the output in the middle of a text; a view that must not be written to. */
  bytes(id: number, special: boolean): Uint8Array;
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  stream(options?: DecodeOptions): Detokenizer;
}

export interface ByteRules {
  /** The bytes that the text of a plain token stands for. */
  readonly bytesOf: (text: string) => Uint8Array;
  /** A space at the start of a text is not part of it. */
  readonly stripsSpace: boolean;
  /** What an unknown token is written as; nothing by default. */
  readonly unknownText?: string;
}

/** Tokens that each stand for the same bytes wherever they are, but for the first space of a text. */
export class ByteDecoding implements Decoding {
  readonly #bytes: TokenBytes;
  readonly #stripsSpace: boolean;

  constructor(vocabulary: Vocabulary, rules: ByteRules) {
    this.#bytes = new TokenBytes(vocabulary, rules);
    this.#stripsSpace = rules.stripsSpace;
  }

  bytes(id: number, special: boolean): Uint8Array {
    return this.#bytes.of(id, special);
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    return textOf(this.#bytes.join(ids, options.special ?? false), this.#stripsSpace && !options.continued);
  }

  stream(options?: DecodeOptions): Detokenizer {
    return new StreamDecoder(this.#bytes, this.#stripsSpace, options);
  }
}

/** The bytes of all tokens in one piece of memory, made when first asked for. */
class TokenBytes {
  readonly #vocabulary: Vocabulary;
  readonly #rules: ByteRules;
  #bytes: Uint8Array = EMPTY;
  #ends: Uint32Array | undefined;

  constructor(vocabulary: Vocabulary, rules: ByteRules) {
    this.#vocabulary = vocabulary;
    this.#rules = rules;
  }

  /** A view that must not be written to. Control tokens have bytes only if `special`; ids outside the vocabulary have none. */
  of(id: number, special: boolean): Uint8Array {
    const vocabulary = this.#vocabulary;
    if (!Number.isInteger(id) || id < 0 || id >= vocabulary.size) return EMPTY;
    if (!special && vocabulary.isControl(id) && !this.#isShown(id)) return EMPTY;
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
    const vocabulary = this.#vocabulary;
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

  #isShown(id: number): boolean {
    return this.#vocabulary.types[id] === UNKNOWN && this.#rules.unknownText !== undefined;
  }

  #one(id: number): Uint8Array {
    const vocabulary = this.#vocabulary;
    const text = vocabulary.texts[id];
    if (this.#isShown(id)) return new TextEncoder().encode(this.#rules.unknownText);
    if (vocabulary.types[id] === BYTE && /^<0x[0-9A-Fa-f]{2}>$/.test(text)) return Uint8Array.of(Number.parseInt(text.slice(3, 5), 16));
    return vocabulary.isLiteral(id) ? new TextEncoder().encode(text) : this.#rules.bytesOf(text);
  }
}

/** The text of bytes: the first space taken off if asked for, bad bytes as U+FFFD, a byte order mark kept. */
function textOf(bytes: Uint8Array, stripsSpace: boolean): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(stripsSpace && bytes[0] === 0x20 ? bytes.subarray(1) : bytes);
}

/** Bytes to text, for one stretch of output: takes off the first space, holds back unfinished characters. */
class StreamDecoder implements Detokenizer {
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
