/**
 * The alphabet of byte-level vocabularies, in which every byte is a visible character: printable bytes stand for themselves, the other 68,
 * in ascending order, are written as U+0100, U+0101, ...
 */
import { codePointAt, writeUtf8 } from "./unicode.ts";

export const byteChars: readonly string[] = (() => {
  const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

/** By UTF-16 unit; -1 where the unit is not in the alphabet. */
const byteOfUnit: Int16Array = (() => {
  const table = new Int16Array(Math.max(...byteChars.map(char => char.charCodeAt(0))) + 1).fill(-1);
  for (const [byte, char] of byteChars.entries()) table[char.charCodeAt(0)] = byte;
  return table;
})();

const byteAt = (text: string, at: number): number => {
  const unit = text.charCodeAt(at);
  return unit < byteOfUnit.length ? byteOfUnit[unit] : -1;
};

/** Bytes written in the alphabet. */
export function spell(bytes: ArrayLike<number>, count = bytes.length): string {
  let text = "";
  for (let i = 0; i < count; i++) text += byteChars[bytes[i]];
  return text;
}

/** The UTF-8 of a text written in the alphabet. */
export function spellText(text: string): string {
  const bytes = new Uint8Array(4);
  let spelled = "";
  for (let at = 0; at < text.length; ) {
    const codePoint = codePointAt(text, at, text.length);
    spelled += spell(bytes, writeUtf8(codePoint, bytes, 0));
    at += codePoint > 0xffff ? 2 : 1;
  }
  return spelled;
}

/** The bytes that a text spells. Characters outside of the alphabet (in tokens that were added by hand) are taken as they are. */
export function unspell(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let count = 0;
  for (let at = 0; at < text.length; ) {
    const byte = byteAt(text, at);
    const codePoint = codePointAt(text, at, text.length);
    if (byte >= 0) bytes[count++] = byte;
    else count = writeUtf8(codePoint, bytes, count);
    at += codePoint > 0xffff ? 2 : 1;
  }
  return bytes.subarray(0, count);
}

/** Every character of the text belongs to the alphabet. */
export function isSpelled(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (byteAt(text, at) < 0) return false;
  return true;
}
