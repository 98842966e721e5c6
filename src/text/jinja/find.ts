/**
 * Finding one text in another, in time that no choice of the two can make long. The host's own search is quick for short needles from the left;
 * for long ones, and from the right, it may compare the needle in full at every position, so those are searched by Knuth, Morris and Pratt.
 */
import type { Budget } from "./budget.ts";

/** Up to here the host's search takes less than a few comparisons for each character. */
const SHORT = 250;
/** What a character costs that is compared here. */
const OWN_COST = 6;

/**
 * A search for `needle`: told where to begin, it gives the next place or -1. From the left, places at or after the beginning; from the right, at
 * or before it. Going through a text once, from place to place, is charged here.
 */
export function finder(text: string, needle: string, fromRight: boolean, budget: Budget): (at: number) => number {
  budget.work(2 * text.length + needle.length);
  if (needle.length > text.length) return () => -1;
  if (needle.length === 0) return at => (at >= 0 && at <= text.length ? at : -1);
  if (needle.length <= SHORT && !fromRight) return at => text.indexOf(needle, at);
  budget.work(OWN_COST * (text.length + needle.length));
  const unit = fromRight
    ? { of: (s: string, i: number) => s.charCodeAt(s.length - 1 - i), place: (at: number) => text.length - at - needle.length }
    : { of: (s: string, i: number) => s.charCodeAt(i), place: (at: number) => at };
  const borders = bordersOf(needle, unit.of);
  return at => {
    const found = next(text, needle, borders, unit.of, Math.max(0, unit.place(at)));
    return found < 0 ? -1 : unit.place(found);
  };
}

type UnitOf = (s: string, i: number) => number;

/** For each length of a beginning of the needle, the longest shorter beginning that it ends with. */
function bordersOf(needle: string, of: UnitOf): Uint32Array {
  const borders = new Uint32Array(needle.length + 1);
  for (let i = 1, length = 0; i < needle.length; i++) {
    while (length > 0 && of(needle, i) !== of(needle, length)) length = borders[length];
    if (of(needle, i) === of(needle, length)) length++;
    borders[i + 1] = length;
  }
  return borders;
}

function next(text: string, needle: string, borders: Uint32Array, of: UnitOf, from: number): number {
  for (let at = from, length = 0; at < text.length; at++) {
    while (length > 0 && of(text, at) !== of(needle, length)) length = borders[length];
    if (of(text, at) === of(needle, length)) length++;
    if (length === needle.length) return at + 1 - length;
  }
  return -1;
}
