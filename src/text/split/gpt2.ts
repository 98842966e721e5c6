/**
 * The GPT-2 split: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. Words, numbers and punctuation, each
 * with one space before it. Every character belongs to some branch, so there are no gaps.
 */
import { classAt, LETTER, NUMBER, OTHER, runOf, SPACE } from "../unicode.ts";
import { contraction, type Scanner, spaces } from "./scanner.ts";

export const gpt2: Scanner = (text, at, end) => {
  const short = contraction(text, at, end, false);
  if (short > 0) return at + short;
  const from = text.charCodeAt(at) === 0x20 ? at + 1 : at;
  const kind = classAt(text, from, end);
  if (kind & LETTER) return runOf(text, from, end, LETTER);
  if (kind & NUMBER) return runOf(text, from, end, NUMBER);
  if (kind === 0 || kind & SPACE) return spaces(text, at, end);
  return runOf(text, from, end, OTHER);
};
