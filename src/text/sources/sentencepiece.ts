/**
 * Tokenizers from `tokenizer.model`, the file of the SentencePiece library: pieces with scores and types, what the trainer and the
 * normalizer were told. Kinds: Unigram, BPE, whole words, characters.
 */
import { CharacterBpe } from "../bpe.ts";
import { ByteDecoding } from "../detokenizer.ts";
import { type PieceModel, Pipeline } from "../encoder.ts";
import { mergesByToken, mergesInOrder, ranksOfScores, Symbols, tooMany } from "../merges.ts";
import type { TokenizerParts } from "../model-tokenizer.ts";
import { CharacterMap } from "../normalize/charsmap.ts";
import { type SpaceRules, spaced } from "../normalize/spaces.ts";
import { SpecialTokens } from "../special.ts";
import { type Step, splitting, textFinder } from "../split/steps.ts";
import { Unigram } from "../unigram.ts";
import { NORMAL, USER_DEFINED, Vocabulary } from "../vocabulary.ts";
import { WordLevel } from "../wordpiece.ts";
import { around, idOf, type Json, readConfig } from "./config.ts";
import { fieldsIn, malformedModel } from "./protobuf.ts";

const UNIGRAM = 1;
const BPE = 2;
const WORD = 3;
const CHARACTER = 4;

interface Model {
  readonly texts: string[];
  readonly scores: number[];
  readonly types: number[];
  kind: number;
  byteTokens: boolean;
  unknown: number;
  bos: number;
  eos: number;
  unknownText: string;
  map: Uint8Array;
  spaces: SpaceRules;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function float(bytes: Uint8Array): number {
  if (bytes.length !== 4) throw malformedModel("a score has the wrong size");
  const value = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
  if (Number.isNaN(value)) throw malformedModel("a score is no number");
  return value;
}

function readPiece(bytes: Uint8Array, model: Model): void {
  let text = "";
  let score = 0;
  let type = NORMAL;
  for (const field of fieldsIn(bytes)) {
    if (field.number === 1) text = decoder.decode(field.bytes);
    else if (field.number === 2) score = float(field.bytes);
    else if (field.number === 3) type = field.value;
  }
  model.texts.push(text);
  model.scores.push(score);
  model.types.push(type);
}

function readTrainer(bytes: Uint8Array, model: Model): void {
  for (const { number, value, bytes: own } of fieldsIn(bytes)) {
    if (number === 3) model.kind = value;
    else if (number === 24) model.spaces = { ...model.spaces, suffix: value !== 0 };
    else if (number === 35) model.byteTokens = value !== 0;
    else if (number === 40) model.unknown = value;
    else if (number === 41) model.bos = value;
    else if (number === 42) model.eos = value;
    else if (number === 44) model.unknownText = decoder.decode(own);
  }
}

function readNormalizer(bytes: Uint8Array, model: Model): void {
  for (const { number, value, bytes: own } of fieldsIn(bytes)) {
    const set = value !== 0;
    if (number === 2) model.map = own;
    else if (number === 3) model.spaces = { ...model.spaces, add: set };
    else if (number === 4) model.spaces = { ...model.spaces, collapse: set };
    else if (number === 5) model.spaces = { ...model.spaces, escape: set };
  }
}

function readModel(bytes: Uint8Array): Model {
  const model: Model = {
    texts: [],
    scores: [],
    types: [],
    kind: UNIGRAM,
    byteTokens: false,
    unknown: 0,
    bos: 1,
    eos: 2,
    unknownText: " ⁇ ",
    map: new Uint8Array(0),
    spaces: { collapse: true, add: true, suffix: false, escape: true },
  };
  for (const { number, bytes: own } of fieldsIn(bytes)) {
    if (number === 1) readPiece(own, model);
    else if (number === 2) readTrainer(own, model);
    else if (number === 3) readNormalizer(own, model);
  }
  if (model.texts.length === 0) throw malformedModel("it has no pieces");
  if (tooMany(model.texts.length)) throw malformedModel("it has too many pieces");
  return model;
}

/** Normalizes a stretch of text; what stands beside a special token keeps its space there, but gets no second one. */
function normalizing({ map: bytes, spaces }: Model): Step {
  const map = bytes.length > 0 ? new CharacterMap(bytes) : undefined;
  return next => (text, start, end, first) => {
    const piece = text.slice(start, end);
    const mapped = map ? map.apply(piece) : piece;
    const last = end === text.length;
    const add = spaces.add && (spaces.suffix ? last : first);
    const kept = spaced(mapped, { ...spaces, add });
    const space = spaces.escape ? "▁" : " ";
    const before = !first && spaces.collapse && mapped.startsWith(" ") ? space : "";
    const after = !last && spaces.collapse && mapped.endsWith(" ") && kept !== "" ? space : "";
    const changed = before + kept + after;
    if (changed !== "") next(changed, 0, changed.length, first);
  };
}

function pieceModel(model: Model, vocabulary: Vocabulary): PieceModel {
  const { kind, byteTokens } = model;
  const scores = Float64Array.from(model.scores);
  if (kind === UNIGRAM) return new Unigram(vocabulary, scores, { byteTokens, single: true });
  if (kind === WORD) return new WordLevel(vocabulary);
  if (kind !== BPE && kind !== CHARACTER) throw malformedModel("it is of an unknown kind");
  const symbols = new Symbols(vocabulary);
  const merges = kind === BPE ? mergesByToken(vocabulary, symbols, ranksOfScores(scores)) : mergesInOrder(symbols, []);
  return new CharacterBpe({ vocabulary, symbols, merges, byteTokens, fuseUnknown: true });
}

/** Throws `tokenizer.malformed` for bytes that are no model. */
export function partsFromModel(bytes: Uint8Array, configuration?: Json): TokenizerParts {
  const model = readModel(bytes);
  const config = readConfig(configuration);
  const { texts, types } = model;
  const valid = (id: number): number | undefined => (id >= 0 && id < texts.length ? id : undefined);
  const [bos, eos] = [valid(model.bos), valid(model.eos)];
  const vocabulary = new Vocabulary({
    kind: model.kind === UNIGRAM ? "t5" : model.kind === WORD ? "words" : "llama",
    texts,
    types,
    bos,
    eos,
    unknown: valid(model.unknown),
    ends: eos === undefined ? [] : [eos],
  });
  const rules = [...texts.keys()]
    .filter(id => vocabulary.types[id] === USER_DEFINED || vocabulary.isControl(id))
    .map(id => ({ id, text: texts[id], control: vocabulary.isControl(id) }));
  const steps = [normalizing(model), ...(model.kind === WORD ? [splitting(textFinder("▁"), "merged_with_next")] : [])];
  return {
    vocabulary,
    special: new SpecialTokens(rules, "leftmost"),
    encoder: new Pipeline(steps, pieceModel(model, vocabulary)),
    decoding: new ByteDecoding(vocabulary, {
      bytesOf: text => new TextEncoder().encode(text.replaceAll("▁", " ")),
      stripsSpace: model.spaces.add,
      unknownText: model.unknownText,
    }),
    before: around([], config.addBos, idOf(vocabulary, config.bos) ?? bos),
    after: around([], config.addEos, idOf(vocabulary, config.eos) ?? eos),
  };
}
