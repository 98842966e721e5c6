/** Sets of characters as expressions over the bytes of their UTF-8; surrogates are no characters. */
import type { Expr, Grammar } from "./grammar.ts";

/** Ascending, disjoint, inclusive. */
export type CharSet = readonly (readonly [from: number, to: number])[];

export const LAST = 0x10ffff;

/** In order, overlapping and touching ranges joined. */
function normalised(ranges: CharSet): [number, number][] {
  const out: [number, number][] = [];
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = out.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}

/** All other characters. */
export function complement(ranges: CharSet): [number, number][] {
  const out: [number, number][] = [];
  let next = 0;
  for (const [from, to] of normalised(ranges)) {
    if (from > next) out.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= LAST) out.push([next, LAST]);
  return out;
}

type Span = readonly [from: number, to: number];

/** Characters whose encodings are alike, the surrogates cut out: how many bytes follow the first one, and what that begins with. */
const stretches: readonly (readonly [from: number, to: number, more: number, mark: number])[] = [
  [0, 0x7f, 0, 0],
  [0x80, 0x7ff, 1, 0xc0],
  [0x800, 0xd7ff, 2, 0xe0],
  [0xe000, 0xffff, 2, 0xe0],
  [0x10000, LAST, 3, 0xf0],
];

/** What the encodings of a set of characters take, in bytes and by the time: at each byte, and for each range there. */
const [PLACE_BYTES, RANGE_BYTES] = [500, 100];

/** How one character of a set is written. */
export type Writing = (grammar: Grammar, set: CharSet) => Expr;

/** Writes equal sets once: sources repeat the same few, and writing one takes longer than telling it. */
export function onceEach(write: Writing): Writing {
  const seen = new Map<CharSet, Expr>();
  const known = new Map<string, Expr>();
  return (grammar, set) => {
    const same = seen.get(set);
    if (same) return same;
    const key = set.join();
    const made = known.get(key) ?? write(grammar, set);
    known.set(key, made);
    seen.set(set, made);
    return made;
  };
}

/** One character of the set. Encodings that begin alike are one expression up to where they differ: few ways to go on at each byte. */
export function chars(grammar: Grammar, set: CharSet): Expr {
  const sorted = normalised(set);
  return grammar.anyOf(
    stretches.map(([low, high, more, mark]) => {
      const spans = sorted
        .filter(([from, to]) => from <= high && to >= low)
        .map(([from, to]): Span => [Math.max(from, low), Math.min(to, high)]);
      return spans.length === 0 ? grammar.fail : encodings(grammar, spans, more, mark);
    }),
  );
}

/** Bits of a byte that is not the first, and what it begins with. */
const [BITS, MORE_MARK] = [6, 0x80];

/**
 * The encodings in any of the spans, which are ascending and apart: for each first byte what follows it, first bytes with the same followers together.
 * `more`: bytes after the first one, which is `mark` and the highest bits.
 */
function encodings(grammar: Grammar, spans: readonly Span[], more: number, mark: number): Expr {
  grammar.charge(PLACE_BYTES + RANGE_BYTES * spans.length);
  if (more === 0) return grammar.ranges(spans.map(([a, b]) => [mark + a, mark + b] as const));
  const [shift, most] = [BITS * more, 2 ** (BITS * more) - 1];
  const free: Span[] = []; // first bytes that anything may follow
  const edges = new Map<number, Span[]>();
  const edge = (first: number, a: number, b: number): void => {
    const own = edges.get(first);
    if (own) own.push([a, b]);
    else edges.set(first, [[a, b]]);
  };
  for (const [a, b] of spans) {
    const [first, last, low, high] = [a >> shift, b >> shift, a & most, b & most];
    const from = low === 0 ? first : first + 1;
    const to = high === most ? last : last - 1;
    if (from <= to) free.push([mark + from, mark + to]);
    if (first === last && from > to) edge(first, low, high);
    else {
      if (first < from) edge(first, low, most);
      if (last > to) edge(last, 0, high);
    }
  }
  const firsts = new Map<Expr, Span[]>(free.length ? [[encodings(grammar, [[0, most]], more - 1, MORE_MARK), free]] : []);
  for (const [first, own] of edges) {
    const tail = encodings(grammar, own, more - 1, MORE_MARK);
    const same = firsts.get(tail);
    if (same) same.push([mark + first, mark + first]);
    else firsts.set(tail, [[mark + first, mark + first]]);
  }
  return grammar.anyOf([...firsts].map(([tail, own]) => grammar.seq(grammar.ranges(own), tail)));
}
