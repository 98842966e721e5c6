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

/** First character of each length of encoding, the surrogates cut out. */
const stretches: CharSet = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, LAST],
];

/** Encodings of one length, from `a` to `b`. */
type Span = readonly [a: readonly number[], b: readonly number[]];

/** One character of the set. Encodings that begin alike are one expression up to where they differ: few ways to go on at each byte. */
export function chars(grammar: Grammar, set: CharSet): Expr {
  const spans: Span[][] = stretches.map(() => []);
  for (const [from, to] of normalised(set)) {
    stretches.forEach(([low, high], i) => {
      const [a, b] = [Math.max(from, low), Math.min(to, high)];
      if (a <= b) spans[i].push([bytesOf(a), bytesOf(b)]);
    });
  }
  return grammar.anyOf(spans.map(own => encodings(grammar, own)));
}

function bytesOf(code: number): number[] {
  if (code < 0x80) return [code];
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 63)];
  if (code < 0x10000) return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
  return [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
}

/** The encodings in any of the spans: for each first byte what follows it, first bytes with the same followers together. */
function encodings(grammar: Grammar, spans: readonly Span[]): Expr {
  if (spans.length === 0) return grammar.fail;
  const rest = spans[0][0].length - 1;
  if (rest === 0) return grammar.ranges(spans.map(([a, b]) => [a[0], b[0]] as const));
  const lowest: number[] = new Array(rest).fill(0x80);
  const highest: number[] = new Array(rest).fill(0xbf);
  const free: [number, number][] = []; // first bytes that anything may follow
  const edges = new Map<number, Span[]>();
  const edge = (first: number, ...span: Span): void => void edges.set(first, [...(edges.get(first) ?? []), span]);
  for (const [[first, ...restA], [last, ...restB]] of spans) {
    const from = restA.every(x => x === 0x80) ? first : first + 1;
    const to = restB.every(x => x === 0xbf) ? last : last - 1;
    if (from <= to) free.push([from, to]);
    if (first === last && from > to) edge(first, restA, restB);
    else {
      if (first < from) edge(first, restA, highest);
      if (last > to) edge(last, lowest, restB);
    }
  }
  const anything = grammar.seq(...lowest.map(() => grammar.ranges([[0x80, 0xbf]])));
  const firsts = new Map<Expr, [number, number][]>(free.length ? [[anything, free]] : []);
  for (const [first, own] of edges) {
    const tail = encodings(grammar, own);
    firsts.set(tail, [...(firsts.get(tail) ?? []), [first, first]]);
  }
  return grammar.anyOf([...firsts].map(([tail, own]) => grammar.seq(grammar.ranges(own), tail)));
}
