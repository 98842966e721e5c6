/**
 * Tokenizers from the metadata of GGUF files (the keys `tokenizer.ggml.*`): reads the vocabulary that all kinds share, and puts each kind
 * together from the same parts as the other sources do. Tolerated, because files in use have it: special ids out of range (dropped).
 */
import { LatheError } from "../../errors.ts";
import { unspell } from "../alphabet.ts";
import { ByteBpe, CharacterBpe } from "../bpe.ts";
import { ByteDecoding, type ByteRules } from "../detokenizer.ts";
import { type PieceModel, Pipeline } from "../encoder.ts";
import type { MergeTable } from "../merge.ts";
import { mergesByToken, mergesInOrder, ranksOfScores, Symbols } from "../merges.ts";
import { type Metadata, malformed, readBoolean, readBytes, readId, readNumbers, readString, readStrings } from "../metadata.ts";
import type { TokenizerParts } from "../model-tokenizer.ts";
import { bertNormal, bertWords } from "../normalize/bert.ts";
import { CharacterMap } from "../normalize/charsmap.ts";
import { spaced } from "../normalize/spaces.ts";
import { MOST_ENTRIES } from "../pair-table.ts";
import { Rwkv, unescaped } from "../rwkv.ts";
import { SpecialTokens } from "../special.ts";
import { changing, type Step } from "../split/steps.ts";
import { preTokenizer, stepsOf } from "../split/table.ts";
import { Plamo2, Unigram } from "../unigram.ts";
import { CONTROL, USER_DEFINED, Vocabulary } from "../vocabulary.ts";
import { tidied, WordPiece } from "../wordpiece.ts";

/** What a kind of tokenizer assumes where the file is silent. */
interface Defaults {
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  /** The default ids hold only if those tokens are control tokens. */
  readonly onlyControl?: boolean;
  readonly addBos?: boolean;
  readonly addEos?: boolean;
}

/** BERT files call the first and the last token of a text by names of their own. */
const aliases: Readonly<Record<string, readonly string[]>> = { bos: ["bos", "cls"], eos: ["eos"] };
const bertAliases: Readonly<Record<string, readonly string[]>> = { bos: ["cls", "bos"], eos: ["seperator", "eos"] };

const endKeys = ["eot", "eom", "fim_pad", "fim_rep", "fim_sep"];

interface Shared {
  readonly vocabulary: Vocabulary;
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** The part of the metadata that all kinds share. */
function readShared(from: Metadata, kind: string, defaults: Defaults): Shared {
  const texts = readStrings(from, "tokenizer.ggml.tokens");
  if (!texts || texts.length === 0) throw malformed("tokenizer.ggml.tokens", "is missing or empty");
  if (texts.length >= MOST_ENTRIES) throw malformed("tokenizer.ggml.tokens", "is too long", { tokens: texts.length, most: MOST_ENTRIES });
  const types = readNumbers(from, "tokenizer.ggml.token_type", texts.length);
  const idOf = (name: string, fallback?: number): number | undefined => {
    const key = ((kind === "bert" ? bertAliases : aliases)[name] ?? [name])
      .map(alias => `tokenizer.ggml.${alias}_token_id`)
      .find(candidate => from.get(candidate) !== undefined);
    if (key !== undefined) return readId(from, key, texts.length);
    if (fallback === undefined || fallback >= texts.length) return undefined;
    return defaults.onlyControl && types?.[fallback] !== CONTROL ? undefined : fallback;
  };
  const bos = idOf("bos", defaults.bos);
  const eos = idOf("eos", defaults.eos);
  const unknown = idOf("unknown", defaults.unknown);
  const ends = [eos, ...endKeys.map(name => idOf(name))].filter(id => id !== undefined);
  const vocabulary = new Vocabulary({ kind, texts, types, bos, eos, unknown, ends });
  const flag = kind === "bert" ? "add_sep_token" : "add_eos_token";
  return {
    vocabulary,
    before: added(from, "tokenizer.ggml.add_bos_token", defaults.addBos, bos),
    after: added(from, `tokenizer.ggml.${flag}`, defaults.addEos, eos),
  };
}

function added(from: Metadata, key: string, byDefault = false, id?: number): number[] {
  const wanted = readBoolean(from, key);
  if (wanted && id === undefined) throw malformed(key, "is set but there is no such token");
  return (wanted ?? byDefault) && id !== undefined ? [id] : [];
}

function put(from: Metadata, shared: Shared, steps: readonly Step[], model: PieceModel, rules: ByteRules, pre = ""): TokenizerParts {
  const { vocabulary } = shared;
  return {
    ...shared,
    special: specialTokens(vocabulary, pre, readString(from, "general.name") ?? ""),
    encoder: new Pipeline(steps, model),
    decoding: new ByteDecoding(vocabulary, rules),
  };
}

function specialTokens(vocabulary: Vocabulary, pre: string, modelName: string): SpecialTokens {
  const { texts, types } = vocabulary;
  // The file format has no place for these rules; the models are known by name.
  const phi3 = /phi-?3/i.test(modelName);
  const kept = ["<unk>", "<s>", "<|endoftext|>"];
  const mask = /^jina-v2-(de|es|code)$/.test(pre) ? "<mask>" : pre === "modern-bert" ? "[MASK]" : undefined;
  const ids = [...texts.keys()].filter(id => (types[id] === USER_DEFINED || vocabulary.isControl(id)) && vocabulary.id(texts[id]) === id);
  const rules = ids.map(id => ({
    id,
    text: texts[id],
    control: vocabulary.isControl(id),
    eatsRight: phi3 && !kept.includes(texts[id]),
    eatsLeft: texts[id] === mask,
  }));
  return new SpecialTokens(rules, "longest");
}

function readScores(from: Metadata, size: number): Float64Array {
  const scores = readNumbers(from, "tokenizer.ggml.scores", size);
  if (!scores) throw malformed("tokenizer.ggml.scores", "is missing");
  return scores;
}

/** The bytes of texts in which U+2581 is a space. */
const blocksToSpaces = (text: string): Uint8Array => new TextEncoder().encode(text.replaceAll("▁", " "));

const withSpace = changing(piece => ` ${piece}`);

function llama(from: Metadata): TokenizerParts {
  const shared = readShared(from, "llama", { bos: 1, eos: 2, unknown: 0, addBos: true });
  const { vocabulary } = shared;
  const symbols = new Symbols(vocabulary);
  const merges = mergesByToken(vocabulary, symbols, ranksOfScores(readScores(from, vocabulary.size)));
  const prefix = readBoolean(from, "tokenizer.ggml.add_space_prefix") ?? true;
  const model = new CharacterBpe({ vocabulary, symbols, merges, spaceIsBlock: true, byteTokens: true });
  return put(from, shared, prefix ? [withSpace] : [], model, { bytesOf: blocksToSpaces, stripsSpace: prefix });
}

/** A merge is written "left right"; the first space that is not the first character parts them. */
function readMerges(from: Metadata): [string, string][] | undefined {
  const key = "tokenizer.ggml.merges";
  const merges = readStrings(from, key);
  if (merges && merges.length >= MOST_ENTRIES) throw malformed(key, "is too long", { merges: merges.length, most: MOST_ENTRIES });
  return merges?.map((merge, index) => {
    const space = merge.indexOf(" ", 1);
    if (space < 0) throw malformed(key, "holds an entry that is not a pair", { index, merge: merge.slice(0, 80) });
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

function mergeTable(from: Metadata, vocabulary: Vocabulary, symbols: Symbols, pre: string): MergeTable {
  const merges = readMerges(from);
  if (merges) return mergesInOrder(symbols, merges);
  // Made from a file of ranks, where a token's rank is its id.
  if (pre === "kimi-k2") return mergesByToken(vocabulary, symbols, Int32Array.from(vocabulary.texts.keys()));
  throw malformed("tokenizer.ggml.merges", "is missing");
}

/** Vocabularies of raw characters, not of bytes written as characters; those with U+2581 for a space. */
const raw = ["gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"];

function byteBpe(from: Metadata, kind = "gpt2", fallback = "default", forced?: Defaults): TokenizerParts {
  const pre = readString(from, "tokenizer.ggml.pre") ?? fallback;
  const split = preTokenizer(pre);
  const shared = readShared(from, kind, forced ?? { bos: 11, eos: 11, onlyControl: true, addBos: split.addBos });
  const { vocabulary } = shared;
  const symbols = new Symbols(vocabulary);
  const parts = { vocabulary, symbols, merges: mergeTable(from, vocabulary, symbols, pre), wholePieces: split.ignoreMerges };
  if (!raw.includes(pre)) return put(from, shared, stepsOf(split), new ByteBpe(parts), { bytesOf: unspell, stripsSpace: false }, pre);
  const model = new CharacterBpe({ ...parts, spaceIsBlock: pre !== "whitespace", byteTokens: true });
  return put(from, shared, stepsOf(split), model, { bytesOf: blocksToSpaces, stripsSpace: false }, pre);
}

function gemma4(from: Metadata): TokenizerParts {
  const parts = byteBpe(from, "gemma4", "gemma4", {});
  const { bos } = parts.vocabulary;
  // Files say otherwise, but the model was trained with it.
  return { ...parts, before: bos === undefined ? [] : [bos] };
}

function bert(from: Metadata): TokenizerParts {
  const shared = readShared(from, "bert", { bos: 101, eos: 102, unknown: 100, addBos: true, addEos: true });
  const lowercase = readBoolean(from, "tokenizer.ggml.lowercase") ?? true;
  const dropAccents = readBoolean(from, "tokenizer.ggml.strip_accents") ?? lowercase;
  const normal = changing(piece => bertNormal(piece, { clean: true, ideographs: true, dropAccents, firstPart: dropAccents, lowercase }));
  const model = new WordPiece(shared.vocabulary, { beginning: "▁", going: "", longestWord: Number.POSITIVE_INFINITY });
  const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text.startsWith("▁") ? tidied(` ${text.slice(1)}`) : text);
  return put(from, shared, [normal, bertWords], model, { bytesOf, stripsSpace: true });
}

function t5(from: Metadata): TokenizerParts {
  const shared = readShared(from, "t5", { eos: 1, unknown: 2, addEos: true });
  const bytes = readBytes(from, "tokenizer.ggml.precompiled_charsmap");
  const map = bytes && bytes.length > 0 ? new CharacterMap(bytes) : undefined;
  const add = readBoolean(from, "tokenizer.ggml.add_space_prefix") ?? false;
  const rules = { collapse: readBoolean(from, "tokenizer.ggml.remove_extra_whitespaces") ?? false, add, suffix: false, escape: true };
  const normal = changing(piece => spaced(map ? map.apply(piece) : piece, rules));
  const scores = readScores(from, shared.vocabulary.size);
  const model = new Unigram(shared.vocabulary, scores, { byteTokens: true, single: false });
  return put(from, shared, [normal], model, { bytesOf: blocksToSpaces, stripsSpace: add });
}

function rwkv(from: Metadata): TokenizerParts {
  const shared = readShared(from, "rwkv", {});
  return put(from, shared, [], new Rwkv(shared.vocabulary), { bytesOf: unescaped, stripsSpace: false });
}

function plamo2(from: Metadata): TokenizerParts {
  const shared = readShared(from, "plamo2", { bos: 1, eos: 2, unknown: 0 });
  const model = new Plamo2(shared.vocabulary, readScores(from, shared.vocabulary.size));
  return put(from, shared, [], model, { bytesOf: text => new TextEncoder().encode(text), stripsSpace: false });
}

/** Algorithms by `tokenizer.ggml.model`. */
const kinds: ReadonlyMap<string, (from: Metadata) => TokenizerParts> = new Map([
  ["llama", llama],
  ["gpt2", (from: Metadata) => byteBpe(from)],
  ["hybriddna", (from: Metadata) => byteBpe(from)],
  ["whitespace", (from: Metadata) => byteBpe(from, "gpt2", "whitespace")],
  ["gemma4", gemma4],
  ["bert", bert],
  ["t5", t5],
  ["rwkv", rwkv],
  ["plamo2", plamo2],
]);

/** Throws `tokenizer.unsupported` for an unknown algorithm or pre-tokenizer, `tokenizer.malformed` for a file that contradicts itself. */
export function partsFromMetadata(metadata: Metadata): TokenizerParts {
  const kind = readString(metadata, "tokenizer.ggml.model");
  if (kind === undefined) throw malformed("tokenizer.ggml.model", "is missing");
  const make = kinds.get(kind);
  if (make) return make(metadata);
  const name = kind.slice(0, 80);
  const message = `The tokenizer "${name}" is not supported by this version; it knows ${[...kinds.keys()].join(", ")}.`;
  throw new LatheError("tokenizer.unsupported", message, { name });
}
