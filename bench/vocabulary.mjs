/**
 * A made-up SentencePiece vocabulary: the three control tokens, the 256 byte tokens, every printable ASCII character, pairs, triples, and then longer
 * made-up words. Every piece but the single characters can be reached by merging two pieces that are in the vocabulary too.
 */
import { random32 } from "./weights.mjs";

/** The kinds of token that GGUF knows. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;
const SPACE = "\u2581";
const LETTERS = [..."etaoinshrdlucmfwypvbgkjqxz"];

/** Pieces in order of usefulness: characters first, then pairs, then words that grow by a letter at a time. */
function* pieces(seed) {
  yield SPACE;
  for (let code = 33; code < 127; code++) yield String.fromCharCode(code);
  const stems = [];
  for (const first of [SPACE, ...LETTERS]) for (const second of LETTERS) stems.push(first + second);
  yield* stems;
  const next = random32(seed);
  for (;;) {
    const word = stems[next() % stems.length] + LETTERS[next() % LETTERS.length];
    if (word.length > 10) continue;
    stems.push(word);
    yield word;
  }
}

/**
 * @param {number} size number of tokens, at least 512
 * @returns {{ tokens: string[], scores: number[], types: number[] }}
 */
export function vocabulary(size, seed) {
  if (size < 512) throw new Error(`a vocabulary of ${size} tokens is too small: it needs 512 at least`);
  const tokens = ["<unk>", "<s>", "</s>"];
  const scores = [0, 0, 0];
  const types = [UNKNOWN, CONTROL, CONTROL];
  for (let byte = 0; byte < 256; byte++) {
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    scores.push(0);
    types.push(BYTE);
  }
  const seen = new Set(tokens);
  const first = tokens.length;
  for (const piece of pieces(seed)) {
    if (tokens.length === size) break;
    if (seen.has(piece)) continue;
    seen.add(piece);
    scores.push(first - tokens.length);
    tokens.push(piece);
    types.push(NORMAL);
  }
  return { tokens, scores, types };
}
