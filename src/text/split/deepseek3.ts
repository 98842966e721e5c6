/**
 * The last split of DeepSeek V3: ``[!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+``
 * where the first class is ASCII punctuation. Digits and East Asian runs were split off before (table.ts), so some characters match
 * nothing and stay as gaps.
 */
import { classAt, LETTER, MARK, PUNCTUATION, runOf, SPACE, SYMBOL, widthAt } from "../unicode.ts";
import { isLineBreak, lineBreaks, type Scanner, spacesAndLines, withGaps } from "./scanner.ts";

const WORD = LETTER | MARK;
const MARKS = PUNCTUATION | SYMBOL;

const isLatin = (unit: number): boolean => (unit | 32) >= 0x61 && (unit | 32) <= 0x7a;

function latin(text: string, at: number, end: number): number {
  while (at < end && isLatin(text.charCodeAt(at))) at++;
  return at;
}

const match: Scanner = (text, at, end) => {
  const unit = text.charCodeAt(at);
  const kind = classAt(text, at, end);
  if (unit < 0x80 && kind & MARKS && at + 1 < end && isLatin(text.charCodeAt(at + 1))) return latin(text, at + 1, end);
  const after = at + widthAt(text, at, end);
  if (!isLineBreak(unit) && (kind & (LETTER | MARKS)) === 0 && classAt(text, after, end) & WORD) return runOf(text, after, end, WORD);
  if (kind & WORD) return runOf(text, at, end, WORD);
  const from = unit === 0x20 ? at + 1 : at;
  if (classAt(text, from, end) & MARKS) return lineBreaks(text, runOf(text, from, end, MARKS), end);
  return kind & SPACE ? spacesAndLines(text, at, end) : 0;
};

export const deepseek3: Scanner = withGaps(match, (text, at, end) => at + widthAt(text, at, end));
