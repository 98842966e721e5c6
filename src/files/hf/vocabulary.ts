/**
 * Vocabularies of `tokenizer.json` and `tokenizer.model` in GGUF's form: texts, types, scores and merges by id. Owns the rules for each kind
 * of tokenizer; special ids and templates are the business of `tokenizer.ts`.
 *
 * Source: huggingface/tokenizers (the JSON), llama.cpp `conversion/base.py` (what becomes of it in GGUF).
 */
import { LatheError } from "../../errors.ts";
import type { GgufInput } from "../gguf-write.ts";
import { isObject, type JsonObject, member } from "./config.ts";
import type { Pieces } from "./sentencepiece.ts";
import { mergesOfRanks, type Tekken } from "./tekken.ts";

const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/** Scores of tokens that no text is cut into by merging. */
const ADDED_SCORE = -1000;
const UNUSED_SCORE = -10000;

export const malformed = (why: string, details: Record<string, unknown> = {}): LatheError =>
  new LatheError("tokenizer.malformed", `The tokenizer cannot be converted, because ${why}; download the model again.`, details);

/** Tokens by id, and what the kind of tokenizer needs beside them. */
export class Tokens {
  readonly texts: string[];
  readonly types: Int32Array<ArrayBuffer>;
  readonly scores: Float32Array<ArrayBuffer>;
  private readonly ids = new Map<string, number>();

  /** `size`: rows of the embedding; ids that nothing names stay unused. */
  constructor(size: number) {
    this.texts = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
    this.types = new Int32Array(size).fill(UNUSED);
    this.scores = new Float32Array(size).fill(UNUSED_SCORE);
  }

  set(id: unknown, text: string, type: number, score = 0): void {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= this.texts.length) {
      throw malformed(
        `the token ${JSON.stringify(text.slice(0, 40))} has the id ${String(id)}, and the embedding ${this.texts.length} rows`,
        {
          id: typeof id === "number" ? id : String(id),
          rows: this.texts.length,
        },
      );
    }
    this.texts[id] = text;
    this.types[id] = type;
    this.scores[id] = score;
    if (!this.ids.has(text)) this.ids.set(text, id);
  }

  id(text: string): number | undefined {
    return this.ids.get(text);
  }
}

/** Some tokens that models use as control tokens are not marked as such. */
const looksSpecial = (text: string): boolean =>
  /^(<pad>|<mask>|<2mass>|\[@BOS@\])$/.test(text) || /^<\|.*\|>$|^<｜.*｜>$|^<unused.*>$/su.test(text);

/** Tokens that were added to a vocabulary: of `tokenizer.json`, or of `tokenizer_config.json` where there is none. */
export function addTokens(tokens: Tokens, added: Iterable<readonly [id: unknown, token: unknown]>): void {
  for (const [id, token] of added) {
    const text = member(token, "content");
    if (typeof text !== "string") throw malformed("an added token has no text");
    const special = member(token, "special") === true || looksSpecial(text);
    // The vocabulary may have the same tokens, with types and scores of their own.
    const same = typeof id === "number" && tokens.texts[id] === text;
    if (same && tokens.types[id] !== NORMAL && tokens.types[id] !== UNUSED) continue;
    const score = same ? tokens.scores[id] : ADDED_SCORE;
    tokens.set(id, special ? text : text.replaceAll("▁", " "), special ? CONTROL : USER_DEFINED, score);
  }
}

export function addedOf(tokenizer: unknown): [id: unknown, token: unknown][] {
  const list = member(tokenizer, "added_tokens");
  return Array.isArray(list) ? list.map(token => [member(token, "id"), token]) : [];
}

type Pair = readonly [key: string, value: GgufInput];

/** `model` of tokenizer.json as a map from text to id. */
function vocabOf(model: unknown): JsonObject {
  const vocab = member(model, "vocab");
  if (isObject(vocab)) return vocab;
  throw malformed("it has no vocabulary");
}

/** Merges in order, each as its two parts. */
function* mergesOf(model: unknown): Generator<readonly [string, string]> {
  const merges = member(model, "merges");
  if (!Array.isArray(merges)) throw malformed("it has no merges");
  for (const merge of merges) {
    const parts: unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== "string" || typeof right !== "string") throw malformed("one of its merges has not two parts");
    yield [left, right];
  }
}

/** Byte-level byte-pair encoding. */
export function byteLevel(tokens: Tokens, model: unknown): Pair[] {
  for (const [text, id] of Object.entries(vocabOf(model))) tokens.set(id, text, NORMAL);
  return merging(Array.from(mergesOf(model), ([left, right]) => `${left} ${right}`));
}

const merging = (merges: string[]): Pair[] => [
  ["tokenizer.ggml.model", "gpt2"],
  ["tokenizer.ggml.merges", { of: "string", items: merges }],
];

/** Tokens whose ranks say what is merged. */
export function ranked(tokens: Tokens, { special, ranks }: Tekken): Pair[] {
  for (const [id, text] of special.entries()) tokens.set(id, text, CONTROL);
  for (const [rank, text] of ranks.entries()) tokens.set(special.length + rank, text, NORMAL);
  return merging(mergesOfRanks(ranks));
}

const isByte = (text: string): boolean => /^<0x[0-9A-F]{2}>$/.test(text);

/** Byte-pair encoding of SentencePiece as `tokenizer.json` has it: by merges, whose order gives the scores. */
export function mergedPieces(tokens: Tokens, model: unknown): void {
  const ranks = new Map<string, number>();
  let rank = 0;
  for (const [left, right] of mergesOf(model)) {
    rank++;
    if (!ranks.has(left + right)) ranks.set(left + right, -rank);
  }
  const unknown = member(model, "unk_token");
  for (const [text, id] of Object.entries(vocabOf(model))) {
    const type = text === unknown ? UNKNOWN : isByte(text) ? BYTE : NORMAL;
    tokens.set(id, text, type, type === NORMAL ? (ranks.get(text) ?? -rank - 1) : 0);
  }
}

/** The pieces of a SentencePiece model at their own ids. */
export function storedPieces(tokens: Tokens, { texts, scores, types }: Pieces): void {
  for (const [id, text] of texts.entries()) tokens.set(id, text, types[id], scores[id]);
}

/** WordPiece: GGUF marks the beginnings of words instead of their continuations. */
export function wordPiece(tokens: Tokens, model: unknown): void {
  const prefix = member(model, "continuing_subword_prefix") ?? "##";
  if (prefix !== "##") throw malformed(`its continuations begin with ${JSON.stringify(prefix)} instead of "##"`);
  for (const [text, id] of Object.entries(vocabOf(model))) tokens.set(id, text, NORMAL);
}

/** Called when control tokens are known, since those stay as they are. */
export function markWords(tokens: Tokens): void {
  for (const [id, text] of tokens.texts.entries()) {
    if (tokens.types[id] === CONTROL) continue;
    tokens.texts[id] = text.startsWith("##") ? text.slice(2) : `▁${text}`;
  }
}

/** Unigram: a list of texts with scores. */
export function unigram(tokens: Tokens, model: unknown): void {
  const vocab = member(model, "vocab");
  if (!Array.isArray(vocab)) throw malformed("it has no vocabulary");
  for (const [id, entry] of vocab.entries()) {
    const [text, score] = Array.isArray(entry) ? entry : [];
    if (typeof text !== "string" || typeof score !== "number") throw malformed("a token has no text or no score", { id });
    tokens.set(id, text, id === member(model, "unk_id") ? UNKNOWN : isByte(text) ? BYTE : NORMAL, score);
  }
}
