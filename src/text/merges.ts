/**
 * The tables of byte-pair merging, from the three things that files give: a list of merges, a score for every token, a rank for every
 * token. Also the symbols that are merged: token ids, and beyond them texts that merges need but that no token has.
 */
import { MOST_ENTRIES, PairTable } from "./pair-table.ts";
import { Ids } from "./pieces.ts";
import { codePointAt } from "./unicode.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A token of more UTF-16 units is never made out of parts that are only known by score or rank, which bounds the work at load. */
export const LONGEST = 256;

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

const isOneCharacter = (text: string): boolean => text.length > 0 && text.length === (text.codePointAt(0)! > 0xffff ? 2 : 1);

/**
 * From the order of the tokens: two parts may merge if together they are a token, and the rank is the token's. Every pair of known symbols
 * that makes up a token is found, which is all that merging can ever do.
 */
export function mergesByToken(vocabulary: Vocabulary, symbols: Symbols, ranks: ArrayLike<number>): PairTable {
  const { texts } = vocabulary;
  const ids = vocabulary.plainIds(LONGEST);
  for (const id of ids) for (const char of texts[id]) symbols.findOrMake(char);
  const partOf = (part: string): number | undefined => (isOneCharacter(part) ? symbols.find(part) : vocabulary.plainId(part));
  const found = new Ids();
  for (const id of ids) {
    const text = texts[id];
    for (let cut = widthAt(text, 0); cut < text.length; cut += widthAt(text, cut)) {
      const left = partOf(text.slice(0, cut));
      const right = left === undefined ? undefined : partOf(text.slice(cut));
      if (left === undefined || right === undefined) continue;
      found.push(left);
      found.push(right);
      found.push(id);
    }
  }
  const table = new PairTable(found.size / 3);
  const { list, size } = found;
  for (let i = 0; i < size; i += 3) table.add(list[i], list[i + 1], ranks[list[i + 2]], list[i + 2]);
  return table;
}

const widthAt = (text: string, at: number): number => (codePointAt(text, at, text.length) > 0xffff ? 2 : 1);

/** Rank 0 for the highest score; equal scores share a rank. */
export function ranksOfScores(scores: Float64Array): Int32Array {
  const rank = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, i) => [score, i]));
  return Int32Array.from(scores, score => rank.get(score)!);
}

/** Lists of merges and vocabularies must be shorter than 2^22. */
export const tooMany = (count: number): boolean => count >= MOST_ENTRIES;
