/**
 * Scanners that isolate one kind of character and leave the rest as gaps for the next scanner of the list: numbers, groups of three ASCII
 * digits, punctuation, East Asian runs.
 */
import { classAt, codePointAt, NUMBER, PUNCTUATION, runOf, widthAt } from "../unicode.ts";
import type { Scanner } from "./scanner.ts";

/** `\p{N}{1,most}`. */
export function numbers(most: number): Scanner {
  return (text, at, end) => {
    const stop = runOf(text, at, end, NUMBER, most);
    return stop > at ? stop : runOf(text, at, end, ~NUMBER);
  };
}

const isDigit = (unit: number): boolean => unit >= 0x30 && unit <= 0x39;

/** `[0-9][0-9][0-9]`. */
export const threeDigits: Scanner = (text, at, end) => {
  for (let i = at, digits = 0; i < end; i++) {
    digits = isDigit(text.charCodeAt(i)) ? digits + 1 : 0;
    if (digits === 3) return i - 2 > at ? i - 2 : i + 1;
  }
  return end;
};

/** Runs of characters that pass a test, and the gaps between them. */
function runsWhere(test: (text: string, at: number, end: number) => boolean): Scanner {
  return (text, at, end) => {
    const wanted = test(text, at, end);
    do at += widthAt(text, at, end);
    while (at < end && test(text, at, end) === wanted);
    return at;
  };
}

/** `[\p{P}...]+` with further characters given as a string. */
export const punctuation = (more: string): Scanner =>
  runsWhere((text, at, end) => (classAt(text, at, end) & PUNCTUATION) !== 0 || more.includes(text.charAt(at)));

/** `[一-龥぀-ゟ゠-ヿ]+`: common ideographs, Hiragana and Katakana. */
export const eastAsian: Scanner = runsWhere((text, at, end) => {
  const c = codePointAt(text, at, end);
  return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff);
});
