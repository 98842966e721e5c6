/**
 * The tables of byte-pair merging, from the three things that files give: a list of merges, a score for every token, a rank for every
 * token. Also the symbols that are merged: token ids, and beyond them texts that merges need but that no token has.
 */
import { MOST_ENTRIES, PairTable } from "./pair-table.ts";
import { TokenPairs } from "./token-pairs.ts";
import { codePointAt } from "./unicode.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A token of more UTF-16 units is never made out of parts that are only known by score or rank, which bounds the work of looking for them. */
const LONGEST = 256;

/** Small integers for texts. Those from the vocabulary's size on have no token of their own. */
export class Symbols {
  readonly #vocabulary: Vocabulary;
  readonly #made = new Map<string, number>();
  readonly #texts: string[] = [];

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  find(text: string): number | undefined {
    return this.#vocabulary.plainId(text) ?? this.#made.get(text);
  }

  findOrMake(text: string): number {
    const known = this.find(text);
    if (known !== undefined) return known;
    const made = this.#vocabulary.size + this.#texts.push(text) - 1;
    this.#made.set(text, made);
    return made;
  }

  /** The text of a symbol that has no token. */
  textOf(symbol: number): string {
    return this.#texts[symbol - this.#vocabulary.size];
  }

  /** The texts of all symbols without a token. */
  get made(): readonly string[] {
    return this.#texts;
  }
}

/** From pairs in the order of their ranks, fewer than 2^22. `prefix`: what the right side of a pair loses when it is joined. */
export function mergesInOrder(symbols: Symbols, pairs: readonly (readonly [left: string, right: string])[], prefix = ""): PairTable {
  const table = new PairTable(pairs.length);
  for (const [rank, [left, right]] of pairs.entries()) {
    // An empty side can never come up, and would make a pair merge into itself.
    if (left === "" || right === "") continue;
    const tail = prefix !== "" && right.startsWith(prefix) ? right.slice(prefix.length) : right;
    table.add(symbols.findOrMake(left), symbols.findOrMake(right), rank, symbols.findOrMake(left + tail));
  }
  return table;
}

/**
 * From the order of the tokens: two parts may merge if together they are a token, and the rank is the token's. Every character of a token
 * becomes a symbol, so that merging can begin.
 */
export function mergesByToken(vocabulary: Vocabulary, symbols: Symbols, ranks: ArrayLike<number>): TokenPairs {
  const { texts, size } = vocabulary;
  const seen = new Uint8Array(0x10000);
  for (const id of vocabulary.plainIds(LONGEST)) {
    const text = texts[id];
    for (let at = 0, end = 0; at < text.length; at = end) {
      end = at + widthAt(text, at);
      const known = end === at + 1 && seen[text.charCodeAt(at)] === 1;
      if (known) continue;
      if (end === at + 1) seen[text.charCodeAt(at)] = 1;
      symbols.findOrMake(text.slice(at, end));
    }
  }
  const textOf = (symbol: number): string => (symbol < size ? texts[symbol] : symbols.textOf(symbol));
  return new TokenPairs((left, right) => {
    const text = textOf(left) + textOf(right);
    return text.length <= LONGEST ? vocabulary.plainId(text) : undefined;
  }, ranks);
}

const widthAt = (text: string, at: number): number => (codePointAt(text, at, text.length) > 0xffff ? 2 : 1);

/** Rank 0 for the highest score; equal scores share a rank. */
export function ranksOfScores(scores: Float64Array): Int32Array {
  const ranks = new Int32Array(scores.length);
  // Most vocabularies stand in this order.
  for (let i = 1; i < scores.length; i++) {
    if (scores[i] > scores[i - 1]) return ranksBySorting(scores);
    ranks[i] = ranks[i - 1] + (scores[i] < scores[i - 1] ? 1 : 0);
  }
  return ranks;
}

function ranksBySorting(scores: Float64Array): Int32Array {
  const rank = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, i) => [score, i]));
  return Int32Array.from(scores, score => rank.get(score)!);
}

/** Lists of merges and vocabularies must be shorter than 2^22. */
export const tooMany = (count: number): boolean => count >= MOST_ENTRIES;
