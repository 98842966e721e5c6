/**
 * What a token sees, said by the token itself: a token in a list of known ones is its id and, above it, whether it begins a module, lies in one,
 * or sees everything before it. Lists that are equal with their marks have the same keys and values, so whatever compares, stores or shares
 * beginnings need not know of modules.
 */

const ID = 2 ** 28 - 1;
const FIRST = 2 ** 28;
const INNER = 2 ** 29;

/** The id that the model knows. */
export const idOf = (token: number): number => token & ID;
/** The first token of a module: it sees itself alone. */
const beginsModule = (token: number): boolean => (token & FIRST) !== 0;
/** A later token of a module: it sees the module up to itself. */
const inModule = (token: number): boolean => (token & INNER) !== 0;
/** Whether it is an id of a vocabulary of that size, with or without a mark. */
export const isMarked = (token: number, size: number): boolean =>
  Number.isInteger(token) && token >= 0 && token < 2 * INNER && !(beginsModule(token) && inModule(token)) && idOf(token) < size;

/** The tokens of a module. */
export const moduleTokens = (ids: ArrayLike<number>): number[] => Array.from(ids, (id, i) => id | (i === 0 ? FIRST : INNER));

/** A module in a list of tokens, from its first token to before `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Modules of a list, in order. */
export function modulesOf(tokens: ArrayLike<number>): Span[] {
  const spans: Span[] = [];
  for (let start = 0; start < tokens.length; start++) {
    if (!beginsModule(tokens[start])) continue;
    let end = start + 1;
    while (end < tokens.length && inModule(tokens[end])) end++;
    spans.push({ start, end });
    start = end - 1;
  }
  return spans;
}

/** `length`, or where the module begins that would be cut by it: modules are taken whole. */
export function wholeLength(tokens: ArrayLike<number>, length: number): number {
  let n = length;
  while (n > 0 && n < tokens.length && inModule(tokens[n])) n--;
  return n;
}
