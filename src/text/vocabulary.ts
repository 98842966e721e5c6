/**
 * The vocabulary of a tokenizer as the file gives it: the text and type of every token, the special ids, the flags, and which tokens end a
 * generation. Owns no algorithm. Tolerated, because files in use have it: special ids out of range (dropped), the same text twice (the
 * lower id is found), empty texts (never found), token types that nobody defined (normal).
 */

import { type Metadata, malformed, readBoolean, readId, readNumbers, readString, readStrings } from "./metadata.ts";
import { MOST_ENTRIES } from "./pair-table.ts";

/** `tokenizer.ggml.token_type`. */
export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;
export const UNUSED = 5;
export const BYTE = 6;

/** Tokens with one of these texts end a generation, and are control tokens whatever the file says. */
const endTexts = (
  "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s> <|eom_id|> <EOT> _<EOT> [EOT] " +
  "[EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~["
).split(" ");

/** So do these of fill-in-the-middle vocabularies: padding, repository and file separators. */
const middleTexts =
  "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>".split(" ");

const endKeys = ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"];

/** What a kind of tokenizer assumes where the file is silent. */
export interface Defaults {
  readonly bos: number;
  readonly eos: number;
  readonly unknown?: number;
  /** The default ids hold only if those tokens are control tokens. */
  readonly onlyControl: boolean;
  readonly addBos: boolean;
  readonly addEos: boolean;
}

export class Vocabulary {
  readonly kind: string;
  readonly texts: readonly string[];
  readonly types: Uint8Array;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly ends: ReadonlySet<number>;
  /** `general.name`: a few models are known by it alone. */
  readonly modelName: string;
  readonly #ids = new Map<string, number>();

  /** Reads the part of the metadata that all kinds share. Throws `tokenizer.malformed`. */
  constructor(from: Metadata, kind: string, defaults: Defaults) {
    const texts = readStrings(from, "tokenizer.ggml.tokens");
    if (!texts || texts.length === 0) throw malformed("tokenizer.ggml.tokens", "is missing or empty");
    if (texts.length >= MOST_ENTRIES) throw malformed("tokenizer.ggml.tokens", "is too long", { tokens: texts.length, most: MOST_ENTRIES });
    this.kind = kind;
    this.texts = texts;
    for (let id = texts.length - 1; id >= 0; id--) if (texts[id] !== "") this.#ids.set(texts[id], id);
    const types = readNumbers(from, "tokenizer.ggml.token_type", texts.length);
    this.types = new Uint8Array(texts.length).fill(NORMAL);
    for (const [id, type] of (types ?? []).entries()) if (type >= UNKNOWN && type <= BYTE) this.types[id] = type;
    this.modelName = readString(from, "general.name") ?? "";

    const idOf = (name: string, fallback?: number): number | undefined => {
      const id = readId(from, `tokenizer.ggml.${name}_token_id`, texts.length);
      if (id !== undefined || fallback === undefined || fallback >= texts.length) return id;
      if (from.get(`tokenizer.ggml.${name}_token_id`) !== undefined) return undefined;
      return defaults.onlyControl && this.types[fallback] !== CONTROL ? undefined : fallback;
    };
    this.bos = idOf("bos", defaults.bos);
    this.eos = idOf("eos", defaults.eos);
    this.unknown = idOf("unknown", defaults.unknown);
    if (!types) this.#guessTypes();
    this.ends = this.#findEnds(endKeys.map(name => (name === "eos" ? this.eos : idOf(name))));
    this.addBos = readBoolean(from, "tokenizer.ggml.add_bos_token") ?? (defaults.addBos && this.bos !== undefined);
    this.addEos = readBoolean(from, "tokenizer.ggml.add_eos_token") ?? (defaults.addEos && this.eos !== undefined);
    if (this.addBos && this.bos === undefined) throw malformed("tokenizer.ggml.add_bos_token", "is set but there is no such token");
    if (this.addEos && this.eos === undefined) throw malformed("tokenizer.ggml.add_eos_token", "is set but there is no such token");
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

  /** The 256 byte tokens `<0x00>` to `<0xFF>`; undefined where there is none. */
  byteTokens(): (number | undefined)[] {
    return Array.from({ length: 256 }, (_, byte) => this.id(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`));
  }

  /** Old files give no types: then the special ids are control tokens, and the byte tokens are known by their texts. */
  #guessTypes(): void {
    if (this.bos !== undefined) this.types[this.bos] = CONTROL;
    if (this.eos !== undefined) this.types[this.eos] = CONTROL;
    if (this.unknown !== undefined) this.types[this.unknown] = UNKNOWN;
    for (const id of this.byteTokens()) if (id !== undefined) this.types[id] = BYTE;
  }

  #findEnds(keyed: (number | undefined)[]): Set<number> {
    const byText = [...endTexts, ...middleTexts].map(text => this.id(text)).filter(id => id !== undefined);
    for (const id of byText) this.types[id] = CONTROL;
    const ends = new Set([...keyed.filter(id => id !== undefined), ...byText]);
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
