/**
 * The shape of a pre-tokenizer and the parts that several of them share: contractions, the white-space tail, runs and gaps. A scanner
 * replaces a regular expression: it reads forward from a position and says where the piece that starts there ends, in time linear in what
 * it reads. Which model uses which scanners stands in table.ts.
 */
import { runOf, SPACE } from "../unicode.ts";

/**
 * Where the piece that starts at `at` ends. Positions are UTF-16 units, `at < end`, the answer lies in `at + 1 .. end`, and nothing at or
 * after `end` is looked at: a later scanner of a list sees only the piece that the earlier ones left.
 */
export type Scanner = (text: string, at: number, end: number) => number;

const lower = (unit: number): number => (unit >= 0x41 && unit <= 0x5a ? unit + 32 : unit);

/** The length of an English contraction ('s 't 'm 'd 're 've 'll) at `at`, or 0. */
export function contraction(text: string, at: number, end: number, anyCase: boolean): number {
  if (at + 1 >= end || text.charCodeAt(at) !== 0x27) return 0;
  const fold = anyCase ? lower : (unit: number): number => unit;
  const first = fold(text.charCodeAt(at + 1));
  if (first === 0x73 || first === 0x74 || first === 0x6d || first === 0x64) return 2;
  if (at + 2 >= end) return 0;
  const second = fold(text.charCodeAt(at + 2));
  return (second === 0x65 && (first === 0x72 || first === 0x76)) || (first === 0x6c && second === 0x6c) ? 3 : 0;
}

/** `\s+(?!\S)|\s+`: a run of white space, less its last character if something follows it. */
export function spaces(text: string, at: number, end: number): number {
  const stop = runOf(text, at, end, SPACE);
  return stop < end && stop - at > 1 ? stop - 1 : stop;
}

/** `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last line break of a run of white space, else as `spaces`. */
export function spacesAndLines(text: string, at: number, end: number): number {
  const stop = runOf(text, at, end, SPACE);
  for (let i = stop - 1; i >= at; i--) if (isLineBreak(text.charCodeAt(i))) return i + 1;
  return stop < end && stop - at > 1 ? stop - 1 : stop;
}

export const isLineBreak = (unit: number): boolean => unit === 10 || unit === 13;

/** The end of a run of line breaks. */
export function lineBreaks(text: string, at: number, end: number): number {
  while (at < end && isLineBreak(text.charCodeAt(at))) at++;
  return at;
}

/** A scanner from a matcher (the end of the match at a position, or 0 for none): what matches nothing becomes a piece of its own. */
export function withGaps(match: Scanner, width: Scanner = (_text, at) => at + 1): Scanner {
  return (text, at, end) => {
    const stop = match(text, at, end);
    if (stop > 0) return stop;
    do at = width(text, at, end);
    while (at < end && match(text, at, end) === 0);
    return Math.min(at, end);
  };
}
