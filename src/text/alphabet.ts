/** Texts in the alphabet of byte-level vocabularies, in which every byte is a visible character: writing them and reading them. */
import { byteChars, spell } from "../files/byte-alphabet.ts";
import { codePointAt, writeUtf8 } from "./unicode.ts";

export { byteChars, spell };

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
