/**
 * The alphabet of byte-level vocabularies, in which every byte is a visible character: printable bytes stand for themselves, the other 68,
 * in ascending order, are written as U+0100, U+0101, ...
 */

/** The character of each byte. */
export const byteChars: readonly string[] = (() => {
  const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

/** Bytes written in the alphabet. */
export function spell(bytes: ArrayLike<number>, count = bytes.length): string {
  let text = "";
  for (let i = 0; i < count; i++) text += byteChars[bytes[i]];
  return text;
}
