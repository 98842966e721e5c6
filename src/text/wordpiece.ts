/**
 * WordPiece (BERT): each word is covered from its start by the longest entry, in one list for beginnings of words and one for what goes on
 * inside of them. A word that cannot be covered is one unknown token.
 */
import { CachedModel } from "./cached.ts";
import type { Ids } from "./pieces.ts";
import { Trie } from "./trie.ts";
import { codePointAt } from "./unicode.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface WordPieceRules {
  /** What the vocabulary writes before the beginning of a word, and before what goes on. */
  readonly beginning: string;
  readonly going: string;
  /** Longer words, in characters, are unknown. */
  readonly longestWord: number;
}

/** Entries of more UTF-16 units are not looked for. */
const LONGEST = 256;

export class WordPiece extends CachedModel {
  readonly #vocabulary: Vocabulary;
  readonly #trie: Trie;
  readonly #beginning: number;
  readonly #going: number;
  readonly #longestWord: number;

  constructor(vocabulary: Vocabulary, { beginning, going, longestWord }: WordPieceRules) {
    super();
    this.#vocabulary = vocabulary;
    const ids = vocabulary.plainIds(LONGEST);
    this.#trie = Trie.ofTexts(
      ids.map(id => vocabulary.texts[id]),
      ids,
    );
    this.#beginning = this.#trie.walk(beginning);
    this.#going = this.#trie.walk(going);
    this.#longestWord = longestWord;
  }

  protected encodeNew(text: string, start: number, end: number, into: Ids): void {
    const before = into.size;
    const { unknown } = this.#vocabulary;
    if (this.#fits(text, start, end) && this.#cover(text, start, end, into)) return;
    into.size = before;
    if (unknown !== undefined) into.push(unknown);
  }

  #fits(text: string, start: number, end: number): boolean {
    if (end - start <= this.#longestWord) return true;
    let characters = 0;
    for (let at = start; at < end && characters <= this.#longestWord; characters++) at += codePointAt(text, at, end) > 0xffff ? 2 : 1;
    return characters <= this.#longestWord;
  }

  #cover(text: string, start: number, end: number, into: Ids): boolean {
    for (let at = start; at < end; ) {
      let node = at === start ? this.#beginning : this.#going;
      let best = -1;
      let stop = at;
      for (let i = at; i < end && node >= 0; ) {
        node = this.#trie.step(node, text.charCodeAt(i++));
        if (node >= 0 && this.#trie.value(node) >= 0) {
          best = this.#trie.value(node);
          stop = i;
        }
      }
      if (best < 0) return false;
      into.push(best);
      at = stop;
    }
    return true;
  }
}

/** Every piece is a token, or unknown. */
export class WordLevel extends CachedModel {
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    super();
    this.#vocabulary = vocabulary;
  }

  protected encodeNew(text: string, start: number, end: number, into: Ids): void {
    const id = this.#vocabulary.plainId(text.slice(start, end)) ?? this.#vocabulary.unknown;
    if (id !== undefined) into.push(id);
  }
}

const tidy: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Takes the space off before punctuation and contractions, in the text of one token. */
export const tidied = (text: string): string => tidy.reduce((result, [from, to]) => result.replaceAll(from, to), text);
