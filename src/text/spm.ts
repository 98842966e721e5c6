/**
 * SentencePiece byte-pair encoding (`tokenizer.ggml.model` = llama): no pre-tokenizer; spaces are written as U+2581 and characters merge
 * into whatever token has the highest score. The pairs that may merge are worked out at load from the vocabulary itself, and a text is cut
 * before a word only where no token reaches across, which changes no result and lets words be cached.
 * Tolerated: characters without a token become byte tokens, or else the unknown token, or else nothing. A token of more than 256 units is
 * never produced from text, which bounds the work at load.
 */
import type { Encoder } from "./encoder.ts";
import { Merger } from "./merge.ts";
import { type Metadata, malformed, readBoolean, readNumbers } from "./metadata.ts";
import { PairTable } from "./pair-table.ts";
import { Ids, PieceCache } from "./pieces.ts";
import { codePointAt, writeUtf8 } from "./unicode.ts";
import { Vocabulary } from "./vocabulary.ts";

const BLOCK = 0x2581;
const SPACE = 0x20;
const LONGEST = 256;
/** The largest scratch memory that is kept between calls, in symbols. */
const KEPT = 1 << 14;

const isSpace = (unit: number): boolean => unit === SPACE || unit === BLOCK;

class Spm implements Encoder {
  readonly vocabulary: Vocabulary;
  readonly preTokenizer = "";
  readonly spacePrefix: boolean;
  readonly #merger: Merger;
  readonly #cache = new PieceCache();
  /** Byte tokens, -1 where there is none. */
  readonly #bytes: Int32Array;
  readonly #utf8 = new Uint8Array(4);
  /** Symbols of characters. Those from `vocabulary.size` on have no token of their own but are parts of one. */
  readonly #symbols = new Map<number, number>();
  readonly #ghosts: number[] = [];
  readonly #ascii: Int32Array;
  /** Characters that some token has before a U+2581. */
  readonly #joins = new Set<number>();
  #scratch = new Int32Array(256);

  constructor(vocabulary: Vocabulary, scores: Float64Array, spacePrefix: boolean) {
    this.vocabulary = vocabulary;
    this.spacePrefix = spacePrefix;
    this.#bytes = Int32Array.from(vocabulary.byteTokens(), id => id ?? -1);
    const { texts } = vocabulary;
    const ids = [...texts.keys()].filter(id => texts[id].length <= LONGEST && vocabulary.plainId(texts[id]) === id);
    for (const id of ids) if (isOneCharacter(texts[id])) this.#symbols.set(texts[id].codePointAt(0)!, id);
    this.#merger = new Merger(this.#pairs(ids, ranksOf(scores)));
    this.#ascii = Int32Array.from({ length: 0x80 }, (_, unit) => this.#symbols.get(unit === SPACE ? BLOCK : unit) ?? ~unit);
  }

  encode(text: string, start: number, end: number, into: Ids): void {
    if (this.spacePrefix && start < end) {
      const stop = this.#stop(text, start, end);
      const first = " " + text.slice(start, stop);
      this.#piece(first, 0, first.length, into);
      start = stop;
    }
    while (start < end) {
      const stop = this.#stop(text, start, end);
      this.#piece(text, start, stop, into);
      start = stop;
    }
  }

  bytesOf(text: string): Uint8Array {
    return new TextEncoder().encode(text.replaceAll("▁", " "));
  }

  /** Finds every pair of known symbols that makes up a token: what merging can ever do. */
  #pairs(ids: readonly number[], ranks: Int32Array): PairTable {
    const { texts } = this.vocabulary;
    for (const id of ids) for (const char of texts[id]) this.#symbolOf(char.codePointAt(0)!);
    const partId = (part: string): number | undefined =>
      isOneCharacter(part) ? this.#symbols.get(part.codePointAt(0)!) : this.vocabulary.plainId(part);
    const found = new Ids();
    for (const id of ids) {
      const text = texts[id];
      for (let cut = 0; ; ) {
        const before = codePointAt(text, cut, text.length);
        cut += before > 0xffff ? 2 : 1;
        if (cut >= text.length) break;
        if (text.charCodeAt(cut) === BLOCK && before !== BLOCK) this.#joins.add(before);
        const left = partId(text.slice(0, cut));
        const right = left === undefined ? undefined : partId(text.slice(cut));
        if (left !== undefined && right !== undefined) {
          found.push(left);
          found.push(right);
          found.push(id);
        }
      }
    }
    const table = new PairTable(found.size / 3);
    for (let i = 0; i < found.size; i += 3) {
      const [left, right, id] = found.list.subarray(i, i + 3);
      table.add(left, right, ranks[id], id);
    }
    return table;
  }

  #symbolOf(codePoint: number): void {
    if (!this.#symbols.has(codePoint)) this.#symbols.set(codePoint, this.vocabulary.size + this.#ghosts.push(codePoint) - 1);
  }

  /** The end of the piece at `at`: before the next space, unless a token might reach across it. */
  #stop(text: string, at: number, end: number): number {
    let before = text.charCodeAt(at);
    for (let i = at + 1; i < end; i++) {
      const unit = text.charCodeAt(i);
      if (isSpace(unit) && !isSpace(before) && !this.#mayJoin(text, i)) return i;
      before = unit;
    }
    return end;
  }

  #mayJoin(text: string, at: number): boolean {
    if (this.#joins.size === 0) return false;
    const low = text.charCodeAt(at - 1);
    const isPair = (low & 0xfc00) === 0xdc00 && at > 1 && (text.charCodeAt(at - 2) & 0xfc00) === 0xd800;
    return this.#joins.has((low & 0xf800) !== 0xd800 ? low : isPair ? text.codePointAt(at - 2)! : 0xfffd);
  }

  #piece(text: string, at: number, end: number, into: Ids): void {
    const place = this.#cache.find(text, at, end, into);
    if (place < 0) return;
    const start = into.size;
    this.#encodePiece(text, at, end, into);
    this.#cache.keep(place, text, at, end, into, start);
  }

  #encodePiece(text: string, at: number, end: number, into: Ids): void {
    if (end - at > this.#scratch.length) this.#scratch = new Int32Array(end - at);
    const symbols = this.#scratch;
    let count = 0;
    while (at < end) {
      const unit = text.charCodeAt(at);
      if (unit < 0x80) {
        symbols[count++] = this.#ascii[unit];
        at++;
      } else {
        const codePoint = codePointAt(text, at, end);
        at += codePoint > 0xffff ? 2 : 1;
        const scalar = (codePoint & 0xfffff800) === 0xd800 ? 0xfffd : codePoint;
        symbols[count++] = this.#symbols.get(scalar) ?? ~scalar;
      }
    }
    const left = this.#merger.merge(symbols, count);
    for (let i = 0; i < left; i++) this.#emit(symbols[i], into);
    if (this.#scratch.length > KEPT) this.#scratch = new Int32Array(256);
  }

  /** Negative symbols are the complement of a code point that no token has. */
  #emit(symbol: number, into: Ids): void {
    const { size, unknown } = this.vocabulary;
    if (symbol >= 0 && symbol < size) {
      into.push(symbol);
      return;
    }
    const utf8 = this.#utf8;
    const codePoint = symbol < 0 ? ~symbol : this.#ghosts[symbol - size];
    // A vocabulary without U+2581: the byte of the space itself comes back as a space.
    const count = writeUtf8(codePoint === BLOCK ? SPACE : codePoint, utf8, 0);
    const start = into.size;
    for (let i = 0; i < count; i++) {
      const id = this.#bytes[utf8[i]];
      if (id < 0) {
        into.size = start;
        if (unknown !== undefined) into.push(unknown);
        return;
      }
      into.push(id);
    }
  }
}

const isOneCharacter = (text: string): boolean => text.length > 0 && text.length === (text.codePointAt(0)! > 0xffff ? 2 : 1);

/** Rank 0 for the highest score; equal scores share a rank. */
function ranksOf(scores: Float64Array): Int32Array {
  const rank = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, i) => [score, i]));
  return Int32Array.from(scores, score => rank.get(score)!);
}

/** Reads a SentencePiece vocabulary. Throws `tokenizer.malformed`. */
export function spm(from: Metadata): Encoder {
  const vocabulary = new Vocabulary(from, "llama", { bos: 1, eos: 2, unknown: 0, onlyControl: false, addBos: true, addEos: false });
  const scores = readNumbers(from, "tokenizer.ggml.scores", vocabulary.size);
  if (!scores) throw malformed("tokenizer.ggml.scores", "is missing");
  return new Spm(vocabulary, scores, readBoolean(from, "tokenizer.ggml.add_space_prefix") ?? true);
}
