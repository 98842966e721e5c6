/**
 * Byte-level byte-pair encoding (`tokenizer.ggml.model` = gpt2): pieces are split off by the model's pre-tokenizer, written as UTF-8 bytes,
 * and merged by the file's list of merges. Tolerated: merges that name tokens which do not exist (they still merge; what is left at the
 * end falls back to single bytes), merges listed twice (the first counts), bytes without a token (the unknown token, or nothing).
 */
import type { Encoder } from "./encoder.ts";
import { Merger } from "./merge.ts";
import { type Metadata, malformed, readString, readStrings } from "./metadata.ts";
import { MOST_ENTRIES, PairTable } from "./pair-table.ts";
import { type Ids, PieceCache } from "./pieces.ts";
import type { Scanner } from "./split/scanner.ts";
import { type PreTokenizer, preTokenizer } from "./split/table.ts";
import { codePointAt, writeUtf8 } from "./unicode.ts";
import { Vocabulary } from "./vocabulary.ts";

/** Printable bytes stand for themselves; the other 68, in ascending order, are written as U+0100, U+0101, ... */
const byteChars: readonly string[] = (() => {
  const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
const byteOfChar: ReadonlyMap<string, number> = new Map(byteChars.map((char, byte) => [char, byte]));

/** The largest scratch memory that is kept between calls, in symbols. */
const KEPT = 1 << 14;

class ByteBpe implements Encoder {
  readonly vocabulary: Vocabulary;
  readonly preTokenizer: string;
  readonly spacePrefix = false;
  readonly #scanners: readonly Scanner[];
  readonly #ignoreMerges: boolean;
  readonly #merger: Merger;
  readonly #cache = new PieceCache();
  /** Symbols from `vocabulary.size` on: texts that merges name but that no token has. */
  readonly #ghosts: string[] = [];
  readonly #symbolOfByte: Int32Array;
  readonly #longest: number;
  #scratch = new Int32Array(256);

  constructor(vocabulary: Vocabulary, name: string, split: PreTokenizer, merges: readonly string[]) {
    this.vocabulary = vocabulary;
    this.preTokenizer = name;
    this.#scanners = split.scanners;
    this.#ignoreMerges = split.ignoreMerges;
    this.#longest = vocabulary.texts.reduce((most, text) => Math.max(most, text.length), 0);
    const ghosts = new Map<string, number>();
    const symbol = (text: string): number => {
      const known = vocabulary.plainId(text) ?? ghosts.get(text);
      if (known !== undefined) return known;
      const ghost = vocabulary.size + this.#ghosts.push(text) - 1;
      ghosts.set(text, ghost);
      return ghost;
    };
    this.#symbolOfByte = Int32Array.from(byteChars, symbol);
    this.#merger = new Merger(mergeTable(merges, symbol));
  }

  encode(text: string, start: number, end: number, into: Ids): void {
    this.#split(text, start, end, 0, into);
  }

  /** Runs the scanners from `level` on; the depth is the length of their list. */
  #split(text: string, at: number, end: number, level: number, into: Ids): void {
    const scan = this.#scanners[level];
    const last = level + 1 === this.#scanners.length;
    while (at < end) {
      const stop = scan(text, at, end);
      if (last) this.#piece(text, at, stop, into);
      else this.#split(text, at, stop, level + 1, into);
      at = stop;
    }
  }

  #piece(text: string, at: number, end: number, into: Ids): void {
    const place = this.#cache.find(text, at, end, into);
    if (place < 0) return;
    const start = into.size;
    this.#encodePiece(text, at, end, into);
    this.#cache.keep(place, text, at, end, into, start);
  }

  #encodePiece(text: string, at: number, end: number, into: Ids): void {
    const most = (end - at) * 3;
    if (most > this.#scratch.length) this.#scratch = new Int32Array(most);
    const symbols = this.#scratch;
    let count = 0;
    while (at < end) {
      const codePoint = codePointAt(text, at, end);
      count = writeUtf8(codePoint, symbols, count);
      at += codePoint > 0xffff ? 2 : 1;
    }
    if (this.#ignoreMerges && count <= this.#longest) {
      let name = "";
      for (let i = 0; i < count; i++) name += byteChars[symbols[i]];
      const whole = this.vocabulary.plainId(name);
      if (whole !== undefined) {
        into.push(whole);
        return;
      }
    }
    for (let i = 0; i < count; i++) symbols[i] = this.#symbolOfByte[symbols[i]];
    const left = this.#merger.merge(symbols, count);
    for (let i = 0; i < left; i++) this.#emit(symbols[i], into);
    if (this.#scratch.length > KEPT) this.#scratch = new Int32Array(256);
  }

  #emit(symbol: number, into: Ids): void {
    const { size, unknown } = this.vocabulary;
    if (symbol < size) {
      into.push(symbol);
      return;
    }
    for (const char of this.#ghosts[symbol - size]) {
      const id = this.vocabulary.plainId(char) ?? unknown;
      if (id !== undefined) into.push(id);
    }
  }

  /** Characters that stand for no byte (in tokens that were added by hand) are taken as they are. */
  bytesOf(text: string): Uint8Array {
    const bytes = new Uint8Array(text.length * 3);
    let count = 0;
    for (const char of text) {
      const byte = byteOfChar.get(char);
      if (byte !== undefined) bytes[count++] = byte;
      else count = writeUtf8(char.codePointAt(0)!, bytes, count);
    }
    return bytes.subarray(0, count);
  }
}

/** A merge is written "left right"; the first space that is not the first character parts them. */
function mergeTable(merges: readonly string[], symbol: (text: string) => number): PairTable {
  if (merges.length >= MOST_ENTRIES) throw malformed("tokenizer.ggml.merges", "is too long", { merges: merges.length, most: MOST_ENTRIES });
  const table = new PairTable(merges.length);
  for (const [rank, merge] of merges.entries()) {
    const space = merge.indexOf(" ", 1);
    if (space < 0)
      throw malformed("tokenizer.ggml.merges", "holds an entry that is not a pair", { index: rank, merge: merge.slice(0, 80) });
    const left = merge.slice(0, space);
    const right = merge.slice(space + 1);
    // An empty side can never come up, and would make a pair merge into itself.
    if (right !== "") table.add(symbol(left), symbol(right), rank, symbol(left + right));
  }
  return table;
}

/** Reads a byte-level vocabulary. Throws `tokenizer.malformed`, or `tokenizer.unsupported` for an unknown pre-tokenizer. */
export function byteBpe(from: Metadata): Encoder {
  const name = readString(from, "tokenizer.ggml.pre") ?? "default";
  const split = preTokenizer(name);
  const vocabulary = new Vocabulary(from, "gpt2", { bos: 11, eos: 11, onlyControl: true, addBos: split.addBos, addEos: false });
  const merges = readStrings(from, "tokenizer.ggml.merges");
  if (!merges) throw malformed("tokenizer.ggml.merges", "is missing");
  return new ByteBpe(vocabulary, name, split, merges);
}
