/** Sets of characters as expressions over the bytes of their UTF-8; surrogates are no characters. */
import type { Expr, Grammar } from "./grammar.ts";

/** Ascending, disjoint, inclusive. */
export type CharSet = readonly (readonly [from: number, to: number])[];

export const LAST = 0x10ffff;

/** In order, overlapping and touching ranges joined. */
export function normalised(ranges: CharSet): [number, number][] {
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

/** One character of the set. */
export function chars(grammar: Grammar, set: CharSet): Expr {
  const parts: Expr[] = [];
  for (const [from, to] of normalised(set)) {
    for (const [low, high] of stretches) {
      const [a, b] = [Math.max(from, low), Math.min(to, high)];
      if (a <= b) between(grammar, bytesOf(a), bytesOf(b), parts);
    }
  }
  return grammar.anyOf(parts);
}

function bytesOf(code: number): number[] {
  if (code < 0x80) return [code];
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 63)];
  if (code < 0x10000) return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
  return [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
}

/** The encodings from `a` to `b`, of one length: cut where a leading byte's followers are not free. */
function between(grammar: Grammar, a: number[], b: number[], into: Expr[]): void {
  if (a.length === 1) {
    into.push(grammar.ranges([[a[0], b[0]]]));
    return;
  }
  const lowest = (n: number): number[] => new Array(n).fill(0x80);
  const highest = (n: number): number[] => new Array(n).fill(0xbf);
  const [restA, restB] = [a.slice(1), b.slice(1)];
  const n = restA.length;
  const add = (from: number, to: number, low: number[], high: number[]): void => {
    const tails: Expr[] = [];
    between(grammar, low, high, tails);
    into.push(grammar.seq(grammar.ranges([[from, to]]), grammar.anyOf(tails)));
  };
  if (a[0] === b[0]) {
    add(a[0], a[0], restA, restB);
    return;
  }
  const first = restA.every(x => x === 0x80) ? a[0] : a[0] + 1;
  const last = restB.every(x => x === 0xbf) ? b[0] : b[0] - 1;
  if (first > a[0]) add(a[0], a[0], restA, highest(n));
  if (first <= last) add(first, last, lowest(n), highest(n));
  if (last < b[0]) add(b[0], b[0], lowest(n), restB);
}
