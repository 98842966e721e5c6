/**
 * Tokenizers from `tokenizer.json`, the file of the Hugging Face library: added tokens, normalizer, pre-tokenizer, model, post-processor
 * and decoder, each read by name and refused by name. Truncation and padding are ignored: they are a caller's business.
 */
import { byteChars } from "../alphabet.ts";
import { ByteBpe, CharacterBpe } from "../bpe.ts";
import { ChainDecoding } from "../chain.ts";
import { type Encoder, type PieceModel, Pipeline } from "../encoder.ts";
import { mergesInOrder, Symbols, tooMany } from "../merges.ts";
import type { TokenizerParts } from "../model-tokenizer.ts";
import { type Normalizer, normalizer } from "../normalize/json.ts";
import type { Ids } from "../pieces.ts";
import { type SpecialRule, SpecialTokens, type Trusted, trustedWithin } from "../special.ts";
import { preTokenizing } from "../split/json.ts";
import { Unigram } from "../unigram.ts";
import { BYTE, CONTROL, NORMAL, USER_DEFINED, Vocabulary } from "../vocabulary.ts";
import { WordLevel, WordPiece } from "../wordpiece.ts";
import {
  type Component,
  fieldsOf,
  malformedJson,
  optionalBoolean,
  optionalCount,
  optionalText,
  unsupportedComponent,
} from "./component.ts";
import { around, idOf, type Json, parseJson, readConfig } from "./config.ts";
import { postProcessing } from "./post-processing.ts";
import { byId } from "./table.ts";

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly rule: SpecialRule;
}

function readAdded(value: unknown): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw malformedJson("added_tokens is not a list");
  return value.map(entry => {
    const from: Component = { type: "an added token", fields: fieldsOf(entry, "an added token") };
    const id = optionalCount(from, "id");
    const content = optionalText(from, "content");
    if (id === undefined || content === undefined) throw malformedJson("an added token has no id or no content");
    const special = optionalBoolean(from, "special") ?? false;
    const rule = {
      id,
      text: content,
      control: special,
      eatsLeft: optionalBoolean(from, "lstrip") ?? false,
      eatsRight: optionalBoolean(from, "rstrip") ?? false,
      singleWord: optionalBoolean(from, "single_word") ?? false,
    };
    return { id, content, special, normalized: optionalBoolean(from, "normalized") ?? !special, rule };
  });
}

/** The model's own tokens, with a score each where it has them. */
function readVocab(model: Component): { pairs: [string, number][]; scores?: number[] } {
  const vocab = model.fields.get("vocab");
  if (!Array.isArray(vocab)) return { pairs: [...fieldsOf(vocab, "the vocabulary")] as [string, number][] };
  const rows = vocab.map((row: unknown) => {
    if (!Array.isArray(row) || typeof row[0] !== "string" || !Number.isFinite(row[1])) throw malformedJson("a token has no score");
    return row as [string, number];
  });
  return { pairs: rows.map(([text], id) => [text, id]), scores: rows.map(row => row[1]) };
}

/** Files of before 2020 name no type. */
function typeOf(fields: ReadonlyMap<string, unknown>): string {
  const type = fields.get("type");
  if (typeof type === "string") return type;
  if (fields.has("merges")) return "BPE";
  if (Array.isArray(fields.get("vocab"))) return "Unigram";
  return fields.has("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

function readMerges(model: Component): (readonly [string, string])[] {
  const merges = model.fields.get("merges");
  if (!Array.isArray(merges)) throw malformedJson("the model has no list of merges");
  if (tooMany(merges.length)) throw malformedJson("the list of merges is too long");
  return merges.map((merge: unknown, index) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every(side => typeof side === "string")) {
      throw malformedJson("a merge is not a pair", { index });
    }
    return pair as [string, string];
  });
}

interface Made {
  readonly kind: string;
  /** The piece model, once the vocabulary stands. `bytes`: the steps leave it to the model to work on bytes. */
  readonly make: (vocabulary: Vocabulary, bytes: boolean) => PieceModel;
  /** The model needs pieces as characters even where it works on bytes. */
  readonly characters?: boolean;
  readonly byteTokens?: boolean;
}

function bpe(model: Component, own: ReadonlyMap<string, number>): Made {
  if ((model.fields.get("dropout") ?? 0) !== 0) throw unsupportedComponent("option of BPE", "dropout");
  const prefix = optionalText(model, "continuing_subword_prefix") ?? "";
  const suffix = optionalText(model, "end_of_word_suffix") ?? "";
  const byteTokens = optionalBoolean(model, "byte_fallback") ?? false;
  const fuseUnknown = optionalBoolean(model, "fuse_unk") ?? false;
  const wholePieces = optionalBoolean(model, "ignore_merges") ?? false;
  const pairs = readMerges(model);
  const incomplete = !byteChars.every(char => own.has(char));
  return {
    kind: own.has("Ġ") ? "gpt2" : "llama",
    characters: prefix !== "" || suffix !== "" || byteTokens || (fuseUnknown && incomplete),
    byteTokens,
    make: (vocabulary, bytes) => {
      const symbols = new Symbols(vocabulary);
      const parts = { vocabulary, symbols, merges: mergesInOrder(symbols, pairs, prefix), wholePieces };
      return bytes ? new ByteBpe(parts) : new CharacterBpe({ ...parts, byteTokens, fuseUnknown, prefix, suffix });
    },
  };
}

function wordPiece(model: Component): Made {
  const going = optionalText(model, "continuing_subword_prefix") ?? "##";
  const longestWord = optionalCount(model, "max_input_chars_per_word") ?? 100;
  return { kind: "bert", make: vocabulary => new WordPiece(vocabulary, { beginning: "", going, longestWord }), characters: true };
}

function unigram(model: Component, scores: readonly number[] | undefined): Made {
  if (!scores) throw malformedJson("the vocabulary of Unigram is not a list with scores");
  const byteTokens = optionalBoolean(model, "byte_fallback") ?? false;
  return {
    kind: "t5",
    characters: true,
    byteTokens,
    make: vocabulary => {
      const all = new Float64Array(vocabulary.size);
      all.set(scores);
      return new Unigram(vocabulary, all, { byteTokens, single: false });
    },
  };
}

function madeFrom(model: Component, own: ReadonlyMap<string, number>, scores: readonly number[] | undefined): Made {
  if (model.type === "BPE") return bpe(model, own);
  if (model.type === "WordPiece") return wordPiece(model);
  if (model.type === "Unigram") return unigram(model, scores);
  if (model.type === "WordLevel") return { kind: "words", make: vocabulary => new WordLevel(vocabulary), characters: true };
  throw unsupportedComponent("model", model.type);
}

/** Added tokens in the text as it is given, then the normalizer, then added tokens in what came out, then steps and model. */
class NormalizingEncoder implements Encoder {
  readonly #normalizer: Normalizer;
  readonly #special: SpecialTokens | undefined;
  readonly #pipeline: Pipeline;

  /** `special`: the tokens that are looked for after the normalizer, if there are any. */
  constructor(change: Normalizer, special: SpecialTokens | undefined, pipeline: Pipeline) {
    this.#normalizer = change;
    this.#special = special;
    this.#pipeline = pipeline;
  }

  encode(text: string, start: number, end: number, into: Ids, trusted: Trusted): void {
    let at = start;
    if (this.#special) {
      // A trusted part is only cut off where a control token would be found in it.
      for (const [from, to] of trustedWithin(trusted, start, end)) {
        if (!this.#holdsToken(text, from, to)) continue;
        this.#pass(text, at, from, false, into);
        this.#pass(text, from, to, true, into);
        at = to;
      }
    }
    this.#pass(text, at, end, false, into);
  }

  #holdsToken(text: string, from: number, to: number): boolean {
    const part = this.#normalizer(text.slice(from, to));
    return this.#special!.split(part, [[0, part.length]]).some(({ id }) => id >= 0);
  }

  #pass(text: string, from: number, to: number, trusted: boolean, into: Ids): void {
    if (from === to) return;
    const changed = this.#normalizer(text.slice(from, to));
    const whole = [{ start: 0, end: changed.length, id: -1 }];
    const fragments = this.#special ? this.#special.split(changed, trusted ? [[0, changed.length]] : []) : whole;
    for (const { start, end, id } of fragments) {
      if (id >= 0) into.push(id);
      else this.#pipeline.begin(changed, start, end, into, from === 0 && start === 0);
    }
  }
}

function typesOf(texts: readonly string[], added: readonly AddedToken[], byteTokens: boolean): Uint8Array {
  const types = new Uint8Array(texts.length).fill(NORMAL);
  if (byteTokens) for (let id = 0; id < texts.length; id++) if (/^<0x[0-9A-F]{2}>$/.test(texts[id])) types[id] = BYTE;
  for (const { id, special } of added) types[id] = special ? CONTROL : USER_DEFINED;
  return types;
}

/** Throws `tokenizer.malformed` for a file that contradicts itself, `tokenizer.unsupported` for a component that is not known. */
export function partsFromJson(json: Json, configuration?: Json): TokenizerParts {
  const file = parseJson(json, "tokenizer.json");
  const config = readConfig(configuration);
  const fields = fieldsOf(file.get("model"), "the model");
  const model: Component = { type: typeOf(fields), fields };
  const added = readAdded(file.get("added_tokens"));
  const { pairs, scores } = readVocab(model);
  const made = madeFrom(model, new Map(pairs), scores);
  const texts = byId([...pairs, ...added.map(({ content, id }) => [content, id] as const)]);
  const post = postProcessing(file.get("post_processor"), texts.length);
  const named = (text: string | undefined): number | undefined => (text === undefined ? undefined : texts.indexOf(text));
  const found = (id: number | undefined): number | undefined => (id === undefined || id < 0 ? undefined : id);
  const eos = found(named(config.eos)) ?? post.after.at(-1);
  const vocabulary = new Vocabulary({
    kind: made.kind,
    texts,
    types: typesOf(texts, added, made.byteTokens ?? false),
    bos: found(named(config.bos)) ?? post.before[0],
    eos,
    unknown: scores ? unknownAt(model, texts.length) : found(named(optionalText(model, "unk_token"))),
    ends: eos === undefined ? [] : [eos],
  });
  const { steps, bytes } = preTokenizing(file.get("pre_tokenizer"), made.characters ?? false);
  const pipeline = new Pipeline(steps, made.make(vocabulary, bytes));
  const change = normalizer(file.get("normalizer"));
  const raw = added.filter(token => !change || !token.normalized).map(token => token.rule);
  const later = change ? added.filter(token => token.normalized).map(({ rule }) => ({ ...rule, text: change(rule.text) })) : [];
  return {
    vocabulary,
    special: new SpecialTokens(raw, "leftmost"),
    encoder: change
      ? new NormalizingEncoder(change, later.length > 0 ? new SpecialTokens(later, "leftmost") : undefined, pipeline)
      : pipeline,
    decoding: new ChainDecoding(vocabulary, file.get("decoder")),
    before: around(post.before, config.addBos, idOf(vocabulary, config.bos)),
    after: around(post.after, config.addEos, idOf(vocabulary, config.eos)),
  };
}

function unknownAt(model: Component, size: number): number | undefined {
  const id = optionalCount(model, "unk_id");
  if (id !== undefined && id >= size) throw malformedJson("the unknown token is out of range", { id });
  return id;
}
