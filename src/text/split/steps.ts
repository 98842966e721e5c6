/**
 * Steps between a text and the model: each takes pieces and passes smaller or changed ones on. Scanners, regular expressions and plain
 * texts all end up here, with the five things that can be done with what they find.
 */
import type { Regex } from "../regex/regex.ts";
import type { Scanner } from "./scanner.ts";

/** Takes the piece `text[start..end)`, in UTF-16 units. `first`: it begins the whole text. */
export type Sink = (text: string, start: number, end: number, first: boolean) => void;
export type Step = (next: Sink) => Sink;

/** Reports matches from left to right, not overlapping. */
export type Finder = (text: string, start: number, end: number, found: (from: number, to: number) => void) => void;

export type Behaviour = "removed" | "isolated" | "merged_with_previous" | "merged_with_next" | "contiguous";
export const behaviours: readonly Behaviour[] = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"];

/** Every piece that the scanner finds. */
export function scanning(scan: Scanner): Step {
  return next => (text, at, end, first) => {
    while (at < end) {
      const stop = scan(text, at, end);
      next(text, at, stop, first);
      first = false;
      at = stop;
    }
  };
}

export const regexFinder =
  (regex: Regex): Finder =>
  (text, start, end, found) =>
    regex.forEach(text, start, end, found);

/** Every place of a text that is not empty. */
export const textFinder =
  (wanted: string): Finder =>
  (text, start, end, found) => {
    const inner = start === 0 && end === text.length ? text : text.slice(start, end);
    for (let at = inner.indexOf(wanted); at >= 0; at = inner.indexOf(wanted, at + wanted.length)) {
      found(start + at, start + at + wanted.length);
    }
  };

/** Every single character that passes a test of the place `at`, which takes `width` units. */
export const characterFinder =
  (test: (text: string, at: number, end: number) => boolean, width: Scanner): Finder =>
  (text, at, end, found) => {
    while (at < end) {
      const stop = at + width(text, at, end);
      if (test(text, at, end)) found(at, stop);
      at = stop;
    }
  };

type Part = (from: number, to: number, match: boolean) => void;

/** Matches and what is between them, each as a piece: the usual case, without anything made per piece. */
function isolating(find: Finder): Step {
  return next => {
    let whole = "";
    let start = 0;
    let at = 0;
    let begins = false;
    const found = (from: number, to: number): void => {
      if (from > at) next(whole, at, from, begins && at === start);
      if (to > from) next(whole, from, to, begins && from === start);
      at = to;
    };
    return (text, from, end, first) => {
      whole = text;
      start = at = from;
      begins = first;
      find(text, from, end, found);
      if (at < end) next(text, at, end, first && at === from);
      whole = "";
    };
  };
}

/** What becomes of matches and of what is between them. `take` passes a piece on, `end` is called after the last part. */
const behaving: Readonly<
  Record<Exclude<Behaviour, "isolated">, (take: (from: number, to: number) => void) => { part: Part; end(): void }>
> = {
  removed: take => ({ part: (from, to, match) => match || take(from, to), end: () => undefined }),
  contiguous: take => gathering(take, (match, before) => match === before),
  merged_with_previous: take => gathering(take, (match, before) => match && !before),
  merged_with_next: take => gathering(take, (match, before) => !match && before),
};

/** Holds a piece back until the next part says whether it joins: by whether that part and the one before it are matches. */
function gathering(take: (from: number, to: number) => void, joins: (match: boolean, before: boolean) => boolean) {
  let start = -1;
  let stop = -1;
  let before = false;
  return {
    part: (from: number, to: number, match: boolean): void => {
      if (start < 0) start = from;
      else if (!joins(match, before)) {
        take(start, stop);
        start = from;
      }
      stop = to;
      before = match;
    },
    end: (): void => {
      if (start >= 0) take(start, stop);
    },
  };
}

/** Cuts at matches. `invert`: what is between counts as the match, and the matches as what is between. */
export function splitting(find: Finder, behaviour: Behaviour, invert = false): Step {
  if (behaviour === "isolated") return isolating(find);
  const behave = behaving[behaviour];
  return next => (text, start, end, first) => {
    let at = start;
    const { part, end: finish } = behave((from, to) => {
      if (from < to) next(text, from, to, first && from === start);
    });
    find(text, start, end, (from, to) => {
      if (from > at) part(at, from, invert);
      part(from, to, !invert);
      at = to;
    });
    if (at < end) part(at, end, invert);
    finish();
  };
}

/** A step that puts another text in place of the piece. */
export function changing(change: (piece: string, first: boolean) => string): Step {
  return next => (text, start, end, first) => {
    const changed = change(text.slice(start, end), first);
    if (changed !== "") next(changed, 0, changed.length, first);
  };
}
