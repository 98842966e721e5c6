/**
 * The GPT-4o split: `[^\r\n\p{L}\p{N}]?Up*Lo+CI?|[^\r\n\p{L}\p{N}]?Up+Lo*CI?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+` with Up = Lu Lt Lm Lo M and Lo = Ll Lm Lo M: words break where a capital follows a small letter. Tekken is the same with
 * single digits and no contractions. There are no gaps.
 */
import { CAPITAL, classAt, LETTER, NUMBER, OTHER, runOf, SMALL, SPACE, widthAt } from "../unicode.ts";
import { contraction, isLineBreak, type Scanner, spacesAndLines } from "./scanner.ts";

/** The end of `Up*Lo+` at `at`, or 0. Characters of both classes may end the capital part and be the small part. */
function smallWord(text: string, at: number, end: number): number {
  let i = at;
  let lastSmall = 0;
  for (let kind: number; (kind = classAt(text, i, end)) & CAPITAL; ) {
    i += widthAt(text, i, end);
    if (kind & SMALL) lastSmall = i;
  }
  const stop = runOf(text, i, end, SMALL);
  return stop > i ? stop : lastSmall;
}

/** The end of `Up+Lo*` at `at`, or 0. */
function capitalWord(text: string, at: number, end: number): number {
  const stop = runOf(text, at, end, CAPITAL);
  return stop > at ? runOf(text, stop, end, SMALL) : 0;
}

function word(text: string, at: number, end: number): number {
  const mayLead = !isLineBreak(text.charCodeAt(at)) && (classAt(text, at, end) & (LETTER | NUMBER)) === 0;
  const after = mayLead ? at + widthAt(text, at, end) : at;
  return (
    (mayLead && smallWord(text, after, end)) ||
    smallWord(text, at, end) ||
    (mayLead && capitalWord(text, after, end)) ||
    capitalWord(text, at, end) ||
    0
  );
}

/** `digits`: most digits in one piece; `contractions`: a word takes the contraction after it. */
export function gpt4o(digits: number, contractions: boolean): Scanner {
  return (text, at, end) => {
    const stop = word(text, at, end);
    if (stop > 0) return contractions ? stop + contraction(text, stop, end, true) : stop;
    const kind = classAt(text, at, end);
    if (kind & NUMBER) return runOf(text, at, end, NUMBER, digits);
    const from = text.charCodeAt(at) === 0x20 ? at + 1 : at;
    if ((classAt(text, from, end) & OTHER) === 0) return kind & SPACE ? spacesAndLines(text, at, end) : at + 1;
    let i = runOf(text, from, end, OTHER);
    while (i < end && (isLineBreak(text.charCodeAt(i)) || text.charCodeAt(i) === 0x2f)) i++;
    return i;
  };
}
