/**
 * Marks that are tokens of their own: only the token is the mark, not a text that spells it. In the text of an answer such a token stands as half
 * a surrogate pair, which decoded text never holds alone, so it needs no second channel and cannot be written by anybody.
 */

const FIRST = 0xdc00;
const LONE = /(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** What each of these marks is written as; at most 1,024. */
export const codesOf = (marks: readonly string[]): ReadonlyMap<string, string> =>
  new Map([...new Set(marks)].slice(0, 1024).map((mark, i) => [mark, String.fromCharCode(FIRST + i)]));

/** The text as it is to be read by people: marks spelled out. */
export function spelled(text: string, codes: ReadonlyMap<string, string>): string {
  if (codes.size === 0) return text;
  const marks = [...codes.keys()];
  return text.replace(LONE, code => marks[code.charCodeAt(0) - FIRST] ?? code);
}

/** The text with its marks as they are written in an answer. */
export function coded(text: string, codes: ReadonlyMap<string, string>): string {
  return [...codes].reduce((out, [mark, code]) => out.replaceAll(mark, code), text);
}

/** Whether the unit, which follows `before`, is a mark's. */
export const isCode = (unit: number, before: number): boolean => (unit & 0xfc00) === FIRST && (before & 0xfc00) !== 0xd800;
