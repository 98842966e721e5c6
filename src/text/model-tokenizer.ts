/**
 * The tokenizer of a model as its users see it: text to token ids and back, with special tokens around and inside of a text. What a file
 * says is already parts here (sources/); cutting, merging and decoding are the parts' business.
 */
import { LatheError } from "../errors.ts";
import type { DecodeOptions, Decoding, Detokenizer } from "./detokenizer.ts";
import type { Encoder } from "./encoder.ts";
import { Ids } from "./pieces.ts";
import type { SpecialTokens } from "./special.ts";
import type { Vocabulary } from "./vocabulary.ts";

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
  /** The algorithm, named as GGUF files do (`tokenizer.ggml.model`): llama, gpt2, bert, t5, rwkv, plamo2; `words` for whole words. */
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
  /** Control tokens and those of the user's own: their text is taken as it stands and not put together from others. */
  isLiteral(id: number): boolean;
  /** A model that produces this token has finished its answer. */
  isEndOfGeneration(id: number): boolean;
  /** Decodes one stretch of output token by token. The pieces joined are what `decode` gives for all ids. */
  detokenizer(options?: DecodeOptions): Detokenizer;
}

/** What a file is read into, whatever its format. */
export interface TokenizerParts {
  readonly vocabulary: Vocabulary;
  /** The special tokens that are looked for in a text as it is given. */
  readonly special: SpecialTokens;
  readonly encoder: Encoder;
  readonly decoding: Decoding;
  /** The tokens that the model expects before and after a text. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export class ModelTokenizer implements Tokenizer {
  readonly kind: string;
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  readonly #parts: TokenizerParts;

  constructor(parts: TokenizerParts) {
    const { vocabulary } = parts;
    this.kind = vocabulary.kind;
    this.size = vocabulary.size;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.addBos = parts.before.length > 0;
    this.#parts = parts;
  }

  encode(text: string | readonly TextPart[], options: EncodeOptions = {}): Int32Array {
    const { before, after } = this.#parts;
    const ids = new Ids();
    if (options.bos ?? before.length > 0) for (const id of around(before, this.bos, "bos")) ids.push(id);
    const first = ids.size;
    this.#append(typeof text === "string" ? [{ text }] : text, options.special ?? false, ids);
    if (options.eos ?? after.length > 0) for (const id of around(after, this.eos, "eos")) ids.push(id);
    const twice = options.bos === undefined && first === 1 && ids.size > 1 && ids.list[0] === this.bos && ids.list[1] === this.bos;
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
    for (const { start, end, id } of this.#parts.special.split(whole, trusted)) {
      if (id >= 0) into.push(id);
      else this.#parts.encoder.encode(whole, start, end, into, trusted);
    }
  }

  decode(ids: Iterable<number>, options?: DecodeOptions): string {
    return this.#parts.decoding.decode(ids, options);
  }

  count(text: string): number {
    return this.encode(text, { bos: false, eos: false }).length;
  }

  text(id: number): string {
    return this.#parts.vocabulary.texts[id] ?? "";
  }

  bytes(id: number): Uint8Array {
    return this.#parts.decoding.bytes(id, false).slice();
  }

  id(text: string): number | undefined {
    return this.#parts.vocabulary.id(text);
  }

  isControl(id: number): boolean {
    return this.#parts.vocabulary.isControl(id);
  }

  isLiteral(id: number): boolean {
    return this.#parts.vocabulary.isLiteral(id);
  }

  isEndOfGeneration(id: number): boolean {
    return this.#parts.vocabulary.ends.has(id);
  }

  detokenizer(options?: DecodeOptions): Detokenizer {
    return this.#parts.decoding.stream(options);
  }
}

/** The tokens that the model expects there; where it expects none, the one token that was asked for. */
function around(expected: readonly number[], asked: number | undefined, name: string): readonly number[] {
  if (expected.length > 0) return expected;
  if (asked !== undefined) return [asked];
  throw new LatheError("option.invalid", `The option ${name} asks for a token that this model's vocabulary does not have.`, {
    option: name,
  });
}
