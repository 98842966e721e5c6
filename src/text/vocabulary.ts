/**
 * The vocabulary of a tokenizer, whatever file it came from: the text and type of every token, the special ids, and which tokens end a
 * generation. Owns no algorithm and no file format. Tolerated, because files in use have it: the same text twice (the lower id is found),
 * empty texts (never found), token types that nobody defined (normal).
 */

/** Types of tokens, numbered as GGUF and SentencePiece do. */
export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;
const UNUSED = 5;
export const BYTE = 6;

/** Tokens with one of these texts end a generation, and are control tokens whatever the file says. */
const endTexts = (
  "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s> <|eom_id|> <EOT> _<EOT> [EOT] " +
  "[EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~["
).split(" ");

/** So do these of fill-in-the-middle vocabularies: padding, repository and file separators. */
const middleTexts =
  "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>".split(" ");

export interface VocabularyFields {
  /** The algorithm, named as GGUF files do: llama, gpt2, bert, t5, ... */
  readonly kind: string;
  readonly texts: readonly string[];
  /** One a token; undefined where the file has none: they are guessed then. */
  readonly types?: ArrayLike<number>;
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  /** Tokens that end a generation, besides those known by their texts. */
  readonly ends?: readonly number[];
}

export class Vocabulary {
  readonly kind: string;
  readonly texts: readonly string[];
  readonly types: Uint8Array;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly ends: ReadonlySet<number>;
  readonly #ids = new Map<string, number>();

  constructor({ kind, texts, types, bos, eos, unknown, ends = [] }: VocabularyFields) {
    this.kind = kind;
    this.texts = texts;
    for (let id = texts.length - 1; id >= 0; id--) if (texts[id] !== "") this.#ids.set(texts[id], id);
    this.types = new Uint8Array(texts.length).fill(NORMAL);
    for (let id = 0; types && id < texts.length; id++) if (types[id] >= UNKNOWN && types[id] <= BYTE) this.types[id] = types[id];
    this.bos = bos;
    this.eos = eos;
    this.unknown = unknown;
    if (!types) this.#guessTypes();
    this.ends = this.#findEnds(ends);
  }

  get size(): number {
    return this.texts.length;
  }

  /** The lowest id with this text, of whatever type. */
  id(text: string): number | undefined {
    return this.#ids.get(text);
  }

  /** The token that a piece of text may become: any but control, unknown and byte tokens, which no text spells. */
  plainId(text: string): number | undefined {
    const id = this.#ids.get(text);
    return id !== undefined && this.isPlain(id) ? id : undefined;
  }

  /** The tokens that text may become, each by its lowest id, with texts of at most `longest` UTF-16 units. */
  plainIds(longest: number): number[] {
    const { texts } = this;
    return [...texts.keys()].filter(id => texts[id].length <= longest && this.plainId(texts[id]) === id);
  }

  isPlain(id: number): boolean {
    const type = this.types[id];
    return type === NORMAL || type === USER_DEFINED || type === UNUSED;
  }

  /** Control and unknown tokens: no text of theirs, unless asked for. */
  isControl(id: number): boolean {
    return this.types[id] === CONTROL || this.types[id] === UNKNOWN;
  }

  /** The token's text is its output as it stands, not written in the vocabulary's own alphabet. */
  isLiteral(id: number): boolean {
    return this.types[id] === USER_DEFINED || this.isControl(id);
  }

  /** The 256 byte tokens `<0x00>` to `<0xFF>`; -1 where there is none. */
  byteTokens(): Int32Array {
    const text = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    return Int32Array.from({ length: 256 }, (_, byte) => this.id(text(byte)) ?? -1);
  }

  /** Old files give no types: then the special ids are control tokens, and the byte tokens are known by their texts. */
  #guessTypes(): void {
    if (this.bos !== undefined) this.types[this.bos] = CONTROL;
    if (this.eos !== undefined) this.types[this.eos] = CONTROL;
    if (this.unknown !== undefined) this.types[this.unknown] = UNKNOWN;
    for (const id of this.byteTokens()) if (id >= 0) this.types[id] = BYTE;
  }

  #findEnds(given: readonly number[]): Set<number> {
    const byText = [...endTexts, ...middleTexts].map(text => this.id(text)).filter(id => id !== undefined);
    for (const id of byText) this.types[id] = CONTROL;
    const ends = new Set([...given, ...byText]);
    const has = (text: string): boolean => this.id(text) !== undefined;
    // In these vocabularies the token only ends one message of an answer.
    const inner = [
      has("<|return|>") && has("<|call|>") && "<|end|>",
      has("<|calls|>") && has("<|flush|>") && "<|end|>",
      has("<|tool_response>") && "</s>",
    ];
    for (const text of inner) if (text) ends.delete(this.id(text) ?? -1);
    return ends;
  }
}
