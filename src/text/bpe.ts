/**
 * Byte-pair encoding over two alphabets: bytes written as characters (GPT-2 and most models after it), and characters (SentencePiece,
 * Gemma, CLIP). A piece becomes symbols, symbols merge, symbols become ids; what has no token falls back to byte tokens, the unknown
 * token, or nothing. Which merges there are is decided in merges.ts.
 */
import { byteChars, spell } from "./alphabet.ts";
import { CachedModel } from "./cached.ts";
import { Merger, type MergeTable } from "./merge.ts";
import type { Symbols } from "./merges.ts";
import type { Ids } from "./pieces.ts";
import { codePointAt, writeUtf8 } from "./unicode.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface BpeParts {
  readonly vocabulary: Vocabulary;
  readonly symbols: Symbols;
  readonly merges: MergeTable;
  /** A piece that is in the vocabulary as a whole is not merged from its parts. */
  readonly wholePieces?: boolean;
}

/** Byte-level BPE: pieces are written as UTF-8 bytes. Tolerated: merges that name tokens which do not exist, bytes without a token. */
export class ByteBpe extends CachedModel {
  readonly #vocabulary: Vocabulary;
  readonly #symbols: Symbols;
  readonly #merger: Merger;
  readonly #wholePieces: boolean;
  readonly #symbolOfByte: Int32Array;
  readonly #longest: number;

  constructor({ vocabulary, symbols, merges, wholePieces = false }: BpeParts) {
    super();
    this.#vocabulary = vocabulary;
    this.#symbols = symbols;
    this.#wholePieces = wholePieces;
    this.#longest = vocabulary.texts.reduce((most, text) => Math.max(most, text.length), 0);
    this.#symbolOfByte = Int32Array.from(byteChars, char => symbols.findOrMake(char));
    this.#merger = new Merger(merges);
  }

  protected encodeNew(text: string, at: number, end: number, into: Ids): void {
    const symbols = this.scratch((end - at) * 3);
    let count = 0;
    while (at < end) {
      const codePoint = codePointAt(text, at, end);
      count = writeUtf8(codePoint, symbols, count);
      at += codePoint > 0xffff ? 2 : 1;
    }
    if (this.#wholePieces && count <= this.#longest) {
      const whole = this.#vocabulary.plainId(spell(symbols, count));
      if (whole !== undefined) {
        into.push(whole);
        return;
      }
    }
    for (let i = 0; i < count; i++) symbols[i] = this.#symbolOfByte[symbols[i]];
    const left = this.#merger.merge(symbols, count);
    for (let i = 0; i < left; i++) this.#emit(symbols[i], into);
  }

  #emit(symbol: number, into: Ids): void {
    const { size, unknown } = this.#vocabulary;
    if (symbol < size) {
      into.push(symbol);
      return;
    }
    for (const char of this.#symbols.textOf(symbol)) {
      const id = this.#vocabulary.plainId(char) ?? unknown;
      if (id !== undefined) into.push(id);
    }
  }
}

const BLOCK = 0x2581;
const SPACE = 0x20;

export interface CharacterBpeParts extends BpeParts {
  /** U+0020 in a text is looked up as U+2581. */
  readonly spaceIsBlock?: boolean;
  /** Characters without a token become the tokens of their bytes. */
  readonly byteTokens?: boolean;
  /** Neighbouring characters without a token become one unknown token. */
  readonly fuseUnknown?: boolean;
  /** What the vocabulary writes before the characters of a piece that are not its first, and after its last. */
  readonly prefix?: string;
  readonly suffix?: string;
}

/** BPE over characters. Negative symbols are the complement of a code point that neither a token nor a merge has. */
export class CharacterBpe extends CachedModel {
  readonly #parts: CharacterBpeParts;
  readonly #merger: Merger;
  readonly #bytes: Int32Array;
  readonly #utf8 = new Uint8Array(4);
  readonly #ascii: Int32Array;
  readonly #known = new Map<number, number>();
  /** Cuts before words, where that changes no result. */
  readonly #cuts: WordCuts | undefined;
  /** Where the ids of the whole piece begin, and whether the symbol before was unknown: what fusing needs to know. */
  #afterUnknown = false;

  constructor(parts: CharacterBpeParts) {
    super();
    const { vocabulary, symbols, byteTokens, prefix = "", suffix = "" } = parts;
    this.#parts = parts;
    this.#merger = new Merger(parts.merges);
    this.#bytes = byteTokens ? vocabulary.byteTokens() : new Int32Array(256).fill(-1);
    const space = parts.spaceIsBlock ? BLOCK : SPACE;
    this.#ascii = Int32Array.from({ length: 0x80 }, (_, unit) => this.#look(unit === SPACE ? space : unit));
    const fuses = parts.fuseUnknown && this.#bytes.some(id => id < 0);
    const plain = prefix === "" && suffix === "" && !fuses && !parts.wholePieces;
    if (plain) this.#cuts = new WordCuts([vocabulary.texts, symbols.made], parts.spaceIsBlock ?? false);
  }

  override encode(text: string, start: number, end: number, into: Ids): void {
    while (start < end) {
      const stop = this.#cuts ? this.#cuts.next(text, start, end) : end;
      super.encode(text, start, stop, into);
      start = stop;
    }
  }

  protected encodeNew(text: string, at: number, end: number, into: Ids): void {
    const { wholePieces, vocabulary, spaceIsBlock, prefix = "", suffix = "" } = this.#parts;
    if (wholePieces && end - at <= 1024) {
      const piece = text.slice(at, end);
      const whole = vocabulary.plainId(spaceIsBlock ? piece.replaceAll(" ", "▁") : piece);
      if (whole !== undefined) {
        into.push(whole);
        return;
      }
    }
    const symbols = this.scratch(end - at);
    const affixed = prefix !== "" || suffix !== "";
    const count = affixed ? this.#spellAffixed(text, at, end, symbols) : this.#spell(text, at, end, symbols);
    const left = this.#merger.merge(symbols, count);
    this.#afterUnknown = false;
    for (let i = 0; i < left; i++) this.#emit(symbols[i], into);
  }

  #spell(text: string, at: number, end: number, symbols: Int32Array): number {
    let count = 0;
    while (at < end) {
      const unit = text.charCodeAt(at);
      if (unit < 0x80) {
        symbols[count++] = this.#ascii[unit];
        at++;
      } else {
        const codePoint = codePointAt(text, at, end);
        at += codePoint > 0xffff ? 2 : 1;
        symbols[count++] = this.#symbolOf(codePoint);
      }
    }
    return count;
  }

  #spellAffixed(text: string, at: number, end: number, symbols: Int32Array): number {
    const { prefix = "", suffix = "" } = this.#parts;
    let count = 0;
    for (const first = at; at < end; ) {
      const codePoint = codePointAt(text, at, end);
      const before = at === first ? "" : prefix;
      at += codePoint > 0xffff ? 2 : 1;
      const written = before + String.fromCodePoint(codePoint) + (at === end ? suffix : "");
      symbols[count++] = this.#parts.symbols.find(written) ?? ~scalar(codePoint);
    }
    return count;
  }

  #symbolOf(codePoint: number): number {
    const value = scalar(codePoint);
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const found = this.#look(value);
    // Texts hold any number of characters; the vocabulary does not.
    if (found >= 0) this.#known.set(value, found);
    return found;
  }

  #look(codePoint: number): number {
    return this.#parts.symbols.find(String.fromCodePoint(codePoint)) ?? ~codePoint;
  }

  #emit(symbol: number, into: Ids): void {
    const { vocabulary, symbols } = this.#parts;
    if (symbol >= 0 && symbol < vocabulary.size) {
      into.push(symbol);
      this.#afterUnknown = false;
    } else if (symbol < 0) this.#emitCharacter(~symbol, into);
    else for (const char of symbols.textOf(symbol)) this.#emitCharacter(char.codePointAt(0)!, into);
  }

  #emitCharacter(codePoint: number, into: Ids): void {
    const { vocabulary, fuseUnknown, spaceIsBlock } = this.#parts;
    const own = vocabulary.plainId(String.fromCodePoint(codePoint));
    const utf8 = this.#utf8;
    // A vocabulary without U+2581: the byte of the space itself comes back as a space.
    const count = writeUtf8(spaceIsBlock && codePoint === BLOCK ? SPACE : codePoint, utf8, 0);
    if (own !== undefined) into.push(own);
    else if (utf8.subarray(0, count).every(byte => this.#bytes[byte] >= 0)) for (let i = 0; i < count; i++) into.push(this.#bytes[utf8[i]]);
    else {
      if (vocabulary.unknown !== undefined && !(fuseUnknown && this.#afterUnknown)) into.push(vocabulary.unknown);
      this.#afterUnknown = true;
      return;
    }
    this.#afterUnknown = false;
  }
}

const scalar = (codePoint: number): number => ((codePoint & 0xfffff800) === 0xd800 ? 0xfffd : codePoint);

/** Places before a U+2581 that no token reaches across: cutting there changes no result and lets words be known. */
class WordCuts {
  /** Characters that some token has before a U+2581. */
  readonly #joins = new Set<number>();
  readonly #spaces: boolean;

  /** `spaces`: U+0020 stands for U+2581. */
  constructor(lists: readonly (readonly string[])[], spaces: boolean) {
    this.#spaces = spaces;
    for (const list of lists) {
      for (const text of list) {
        for (let at = text.indexOf("▁", 1); at > 0; at = text.indexOf("▁", at + 1)) this.#joins.add(this.#before(text, at));
      }
    }
    this.#joins.delete(BLOCK);
  }

  /** The end of the stretch that starts at `at`. */
  next(text: string, at: number, end: number): number {
    let before = text.charCodeAt(at);
    for (let i = at + 1; i < end; i++) {
      const unit = text.charCodeAt(i);
      if (this.#isBlank(unit) && !this.#isBlank(before) && !(this.#joins.size > 0 && this.#joins.has(this.#before(text, i)))) return i;
      before = unit;
    }
    return end;
  }

  #isBlank(unit: number): boolean {
    return unit === BLOCK || (this.#spaces && unit === SPACE);
  }

  #before(text: string, at: number): number {
    const isPair = at > 1 && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 2) & 0xfc00) === 0xd800;
    return scalar(text.codePointAt(isPair ? at - 2 : at - 1)!);
  }
}
