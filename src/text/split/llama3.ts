/**
 * The Llama 3 split and its near relations:
 * `CI|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, CI being the English contractions in any
 * case. A word takes any one character before it, numbers come in groups, punctuation takes the line breaks after it. The relations differ
 * in how many digits make a group and in whether combining marks count as letters. There are no gaps.
 */
import { classAt, LETTER, MARK, NUMBER, OTHER, runOf, SPACE, widthAt } from "../unicode.ts";
import { contraction, isLineBreak, lineBreaks, type Scanner, spacesAndLines } from "./scanner.ts";

/** `digits`: most digits in one piece; `marks`: combining marks belong to words and not to punctuation. */
export function llama3(digits: number, marks = false): Scanner {
  const word = marks ? LETTER | MARK : LETTER;
  const other = marks ? OTHER & ~MARK : OTHER;
  return (text, at, end) => {
    const short = contraction(text, at, end, true);
    if (short > 0) return at + short;
    const kind = classAt(text, at, end);
    if (kind & word) return runOf(text, at, end, word);
    if (kind & NUMBER) return runOf(text, at, end, NUMBER, digits);
    const unit = text.charCodeAt(at);
    if (!isLineBreak(unit)) {
      const after = at + widthAt(text, at, end);
      const next = classAt(text, after, end);
      if (next & word) return runOf(text, after, end, word);
      if (unit === 0x20 && next & other) return lineBreaks(text, runOf(text, after, end, other), end);
    }
    return kind & SPACE ? spacesAndLines(text, at, end) : lineBreaks(text, runOf(text, at, end, other), end);
  };
}
