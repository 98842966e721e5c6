/**
 * Two models that choose the best covering of a text by the scores of its tokens: Unigram (SentencePiece, T5, XLM-R), forwards, and that of
 * PLaMo-2, backwards. A character without a token is unknown, at a price; it becomes byte tokens where the vocabulary has them, and
 * neighbouring unknown characters otherwise share one unknown token.
 */
import { CachedModel } from "./cached.ts";
import type { PieceModel } from "./encoder.ts";
import type { Ids } from "./pieces.ts";
import { Trie } from "./trie.ts";
import { codePointAt, widthAt, writeUtf8 } from "./unicode.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Tokens of more UTF-16 units are not looked for, which bounds the work per character. */
const LONGEST = 256;
/** What an unknown character costs more than the worst token. */
const UNKNOWN_PENALTY = 10;

export interface UnigramRules {
  readonly byteTokens: boolean;
  /** Sums are rounded to single precision, as the SentencePiece library has them. */
  readonly single: boolean;
}

/** The ids of characters that no token covers: bytes, or the unknown token once for neighbours. */
class Unknowns {
  readonly #bytes: Int32Array;
  readonly #unknown: number | undefined;
  readonly #utf8 = new Uint8Array(4);
  #before = false;

  constructor(vocabulary: Vocabulary, byteTokens: boolean) {
    this.#bytes = byteTokens ? vocabulary.byteTokens() : new Int32Array(256).fill(-1);
    this.#unknown = vocabulary.unknown;
  }

  begin(): void {
    this.#before = false;
  }

  known(id: number, into: Ids): void {
    into.push(id);
    this.#before = false;
  }

  unknown(codePoint: number, into: Ids): void {
    const count = writeUtf8(codePoint, this.#utf8, 0);
    const bytes = this.#utf8.subarray(0, count);
    if (bytes.every(byte => this.#bytes[byte] >= 0)) {
      for (const byte of bytes) into.push(this.#bytes[byte]);
    } else if (!this.#before) {
      if (this.#unknown !== undefined) into.push(this.#unknown);
      this.#before = true;
    }
  }
}

/** The tokens of a vocabulary as a tree. */
function treeOf(vocabulary: Vocabulary): Trie {
  const ids = vocabulary.plainIds(LONGEST);
  return Trie.ofTexts(
    ids.map(id => vocabulary.texts[id]),
    ids,
  );
}

export class Unigram extends CachedModel {
  readonly #trie: Trie;
  readonly #scores: Float64Array;
  readonly #unknownScore: number;
  readonly #round: (value: number) => number;
  readonly #unknowns: Unknowns;

  /** `scores`: logarithms of probabilities, one a token. */
  constructor(vocabulary: Vocabulary, scores: Float64Array, { byteTokens, single }: UnigramRules) {
    super();
    this.#trie = treeOf(vocabulary);
    this.#scores = scores;
    let lowest = Number.POSITIVE_INFINITY;
    for (let id = 0; id < scores.length; id++) if (vocabulary.isPlain(id)) lowest = Math.min(lowest, scores[id]);
    this.#unknownScore = (lowest === Number.POSITIVE_INFINITY ? 0 : lowest) - UNKNOWN_PENALTY;
    this.#round = single ? Math.fround : value => value;
    this.#unknowns = new Unknowns(vocabulary, byteTokens);
  }

  protected encodeNew(text: string, start: number, end: number, into: Ids): void {
    const length = end - start;
    const best = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY);
    /** The token that ends here on the best way, -1 for an unknown character; and where it starts. */
    const token = new Int32Array(length + 1);
    const from = new Int32Array(length + 1).fill(-1);
    best[0] = 0;
    for (let at = 0; at < length; ) {
      const width = widthAt(text, start + at, end);
      const single = this.#offer(text, start, end, at, width, { best, token, from });
      if (!single) this.#better({ best, token, from }, at, at + width, this.#unknownScore, -1);
      at += width;
    }
    this.#read(text, start, token, from, into);
  }

  /** Offers every token that starts at `at`; true if one of them is the single character. */
  #offer(text: string, start: number, end: number, at: number, width: number, way: Way): boolean {
    let single = false;
    for (let i = start + at, node = 0; i < end; ) {
      node = this.#trie.step(node, text.charCodeAt(i++));
      if (node < 0) break;
      const id = this.#trie.value(node);
      if (id < 0) continue;
      const stop = i - start;
      this.#better(way, at, stop, this.#scores[id], id);
      if (stop === at + width) single = true;
    }
    return single;
  }

  #better({ best, token, from }: Way, at: number, stop: number, score: number, id: number): void {
    const sum = this.#round(best[at] + score);
    if (from[stop] >= 0 && sum <= best[stop]) return;
    best[stop] = sum;
    token[stop] = id;
    from[stop] = at;
  }

  #read(text: string, start: number, token: Int32Array, from: Int32Array, into: Ids): void {
    // The list of ends is turned round in place: each end remembers the next one.
    const next = new Int32Array(from.length);
    let at = from.length - 1;
    for (; at > 0; at = from[at]) next[from[at]] = at;
    this.#unknowns.begin();
    for (at = 0; at < from.length - 1; at = next[at]) {
      const id = token[next[at]];
      if (id >= 0) this.#unknowns.known(id, into);
      else this.#unknowns.unknown(codePointAt(text, start + at, start + next[at]), into);
    }
  }
}

interface Way {
  readonly best: Float64Array;
  readonly token: Int32Array;
  readonly from: Int32Array;
}

/** PLaMo-2's units: scores count as whole numbers of ten-thousandths. */
const SCALE = 1e4;
const UNKNOWN_SCORE = -1e7;
const INVALID_SCORE = -2e7;

export class Plamo2 implements PieceModel {
  readonly #trie: Trie;
  readonly #scores: Float64Array;
  readonly #unknowns: Unknowns;

  constructor(vocabulary: Vocabulary, scores: Float64Array) {
    this.#trie = treeOf(vocabulary);
    this.#scores = scores.map(score => Math.round(score * SCALE));
    this.#unknowns = new Unknowns(vocabulary, true);
  }

  /** From the end to the start: the cheapest way from each place on, among equals the longest token. */
  encode(text: string, start: number, end: number, into: Ids): void {
    // A byte order mark is no text for this model.
    if (start === 0 && text.charCodeAt(0) === 0xfeff) start++;
    const length = end - start;
    const sum = new Float64Array(length + 1);
    const token = new Int32Array(length).fill(-1);
    const stop = new Int32Array(length);
    for (let at = length - 1; at >= 0; at--) {
      const isPair = at > 0 && widthAt(text, start + at - 1, end) === 2;
      if (isPair) at--;
      const width = isPair ? 2 : 1;
      sum[at] = sum[at + width] + UNKNOWN_SCORE;
      stop[at] = at + width;
      for (let i = start + at, node = 0; i < end; ) {
        node = this.#trie.step(node, text.charCodeAt(i++));
        if (node < 0) break;
        const id = this.#trie.value(node);
        const here = i - start;
        if (id < 0 || this.#scores[id] <= INVALID_SCORE || sum[here] + this.#scores[id] < sum[at]) continue;
        sum[at] = sum[here] + this.#scores[id];
        token[at] = id;
        stop[at] = here;
      }
    }
    this.#unknowns.begin();
    for (let at = 0; at < length; at = stop[at]) {
      if (token[at] >= 0) this.#unknowns.known(token[at], into);
      else this.#unknowns.unknown(codePointAt(text, start + at, end), into);
    }
  }
}
