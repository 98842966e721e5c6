/**
 * Tokens in a grammar of bytes. A mark that is a token of its own is written into a grammar as a byte that UTF-8 never has and the token's id, so a
 * text never matches it, whatever the text spells; the vocabulary's tree (trie.ts) has the token under the same bytes.
 */

/** No text has this byte. */
export const MARK = 0xff;
/** Bytes of a mark: that byte, and the id, its highest byte first. */
export const MARK_BYTES = 4;

/** Ids of tokens by the texts that they are the marks of. */
export type MarkIds = Readonly<Record<string, number>>;

const encoder = new TextEncoder();

/** What stands for a token in a grammar. */
export const markBytes = (id: number): Uint8Array => Uint8Array.of(MARK, id >>> 16, (id >>> 8) & 255, id & 255);

/** A text of a grammar with the marks in it as tokens, the longest first where several begin at one place. */
export function withMarks(text: string, marks: MarkIds): Uint8Array {
  const out: number[] = [];
  const texts = Object.keys(marks).sort((a, b) => b.length - a.length);
  for (let at = 0, from = 0; at <= text.length; ) {
    const mark = texts.find(t => text.startsWith(t, at));
    if (mark === undefined && at++ < text.length) continue;
    out.push(...encoder.encode(text.slice(from, mark === undefined ? text.length : at)));
    if (mark === undefined) break;
    out.push(...markBytes(marks[mark]));
    from = at += mark.length;
  }
  return Uint8Array.from(out);
}

/** Bytes of a grammar as stretches of text and ids of tokens; a mark that is cut off at the end is left out. */
export function partsOf(bytes: Uint8Array): (Uint8Array | number)[] {
  const out: (Uint8Array | number)[] = [];
  for (let at = 0; at < bytes.length; ) {
    const mark = bytes.indexOf(MARK, at);
    const end = mark < 0 ? bytes.length : mark;
    if (end > at) out.push(bytes.subarray(at, end));
    if (mark >= 0 && mark + MARK_BYTES <= bytes.length) out.push((bytes[mark + 1] << 16) | (bytes[mark + 2] << 8) | bytes[mark + 3]);
    at = mark < 0 ? end : mark + MARK_BYTES;
  }
  return out;
}
