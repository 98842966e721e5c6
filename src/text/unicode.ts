/**
 * Character classes for the pre-tokenizers: one small integer of class bits per code point, and the two loops that walk a string by them.
 * Tables of 256 code points are filled when a text first touches them, by asking the host's `\p{..}` about single code points, so the
 * Unicode version is the host's and no expression ever runs over a text. Owns no splitting rule.
 */

/** Exactly one of the first seven bits is set for every code point. */
export const LETTER = 1;
export const NUMBER = 2;
/** Unicode White_Space (U+0085 is in it, U+FEFF is not). All its members take one UTF-16 unit. */
export const SPACE = 4;
export const MARK = 8;
export const PUNCTUATION = 16;
export const SYMBOL = 32;
/** Everything else: controls, format characters, unassigned and private code points. */
const REST = 64;
/** Lu, Lt, Lm, Lo, M: what may stand in the capital part of a word. */
export const CAPITAL = 128;
/** Ll, Lm, Lo, M: what may stand in the small part of a word. */
export const SMALL = 256;

/** Neither letter, number nor white space. */
export const OTHER = MARK | PUNCTUATION | SYMBOL | REST;

const rules: readonly (readonly [RegExp, number])[] = [
  [/^\p{White_Space}$/u, SPACE],
  [/^[\p{Lu}\p{Lt}]$/u, LETTER | CAPITAL],
  [/^\p{Ll}$/u, LETTER | SMALL],
  [/^\p{L}$/u, LETTER | CAPITAL | SMALL],
  [/^\p{N}$/u, NUMBER],
  [/^\p{M}$/u, MARK | CAPITAL | SMALL],
  [/^\p{P}$/u, PUNCTUATION],
  [/^\p{S}$/u, SYMBOL],
];

const pages: (Uint16Array | undefined)[] = new Array(0x1100).fill(undefined);

function fill(page: number): Uint16Array {
  const bits = new Uint16Array(256);
  for (let low = 0; low < 256; low++) {
    const char = String.fromCodePoint(page * 256 + low);
    bits[low] = rules.find(([test]) => test.test(char))?.[1] ?? REST;
  }
  pages[page] = bits;
  return bits;
}

/** The class bits of U+0000 to U+007F, for the fast path of the loops. */
const ascii = fill(0);

/** Class bits of a code point. A lone surrogate counts as U+FFFD, which is what it is encoded as. */
export function classOf(codePoint: number): number {
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) codePoint = 0xfffd;
  const page = codePoint >> 8;
  return (pages[page] ?? fill(page))[codePoint & 255];
}

/** Class bits of the character at `at` (in UTF-16 units); a pair is read only if both halves lie before `end`. 0 at `end`. */
export function classAt(text: string, at: number, end: number): number {
  if (at >= end) return 0;
  const unit = text.charCodeAt(at);
  return unit < 0x80 ? ascii[unit] : classOf(codePointAt(text, at, end));
}

/** The code point at `at` < `end`; a lone surrogate is returned as it is. */
export function codePointAt(text: string, at: number, end: number): number {
  const unit = text.charCodeAt(at);
  if ((unit & 0xfc00) !== 0xd800 || at + 1 >= end) return unit;
  const low = text.charCodeAt(at + 1);
  return (low & 0xfc00) === 0xdc00 ? ((unit & 0x3ff) << 10) + (low & 0x3ff) + 0x10000 : unit;
}

/** UTF-16 units of the character at `at` < `end`. */
export function widthAt(text: string, at: number, end: number): number {
  return codePointAt(text, at, end) > 0xffff ? 2 : 1;
}

/** The end of the run of characters from `at` whose class meets `mask`; at most `limit` characters. */
export function runOf(text: string, at: number, end: number, mask: number, limit = Infinity): number {
  for (let n = 0; at < end && n < limit; n++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) {
      if ((ascii[unit] & mask) === 0) return at;
      at++;
    } else {
      const codePoint = codePointAt(text, at, end);
      if ((classOf(codePoint) & mask) === 0) return at;
      at += codePoint > 0xffff ? 2 : 1;
    }
  }
  return at;
}

/** Writes the UTF-8 bytes of a code point (a lone surrogate as U+FFFD) at `at` and returns the position after them. */
export function writeUtf8(codePoint: number, into: Int32Array | Uint8Array, at: number): number {
  if (codePoint < 0x80) {
    into[at] = codePoint;
    return at + 1;
  }
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) codePoint = 0xfffd;
  if (codePoint < 0x800) {
    into[at++] = 0xc0 | (codePoint >> 6);
  } else {
    if (codePoint < 0x10000) into[at++] = 0xe0 | (codePoint >> 12);
    else {
      into[at++] = 0xf0 | (codePoint >> 18);
      into[at++] = 0x80 | ((codePoint >> 12) & 63);
    }
    into[at++] = 0x80 | ((codePoint >> 6) & 63);
  }
  into[at] = 0x80 | (codePoint & 63);
  return at + 1;
}
