/**
 * What a parsed regular expression consists of, and its errors. Everything is built from seven shapes: `\b`, `^`, `$` and possessive loops
 * are written by the parser as look-ahead, one-character look-behind and choice.
 */
import { LatheError } from "../../errors.ts";

/** Whether a code point is in a class. */
export type Test = (codePoint: number) => boolean;

export type Node =
  | { readonly kind: "class"; readonly test: Test }
  | { readonly kind: "sequence"; readonly items: readonly Node[] }
  | { readonly kind: "choice"; readonly items: readonly Node[] }
  /** `max` is Infinity where there is no upper bound. */
  | { readonly kind: "repeat"; readonly item: Node; readonly min: number; readonly max: number; readonly greedy: boolean }
  /** `(?=item)` and `(?!item)`. */
  | { readonly kind: "ahead"; readonly item: Node; readonly negative: boolean }
  /** The character before this place is in the class; negative: it is not, or there is none. */
  | { readonly kind: "behind"; readonly test: Test; readonly negative: boolean };

export const EMPTY: Node = { kind: "sequence", items: [] };

const shown = (pattern: string): string => (pattern.length > 200 ? `${pattern.slice(0, 200)}...` : pattern);

export function badPattern(pattern: string, at: number, what: string): LatheError {
  return new LatheError("tokenizer.malformed", `The tokenizer's regular expression is damaged at position ${at}: ${what}.`, {
    pattern: shown(pattern),
    at,
  });
}

export function unsupportedPattern(pattern: string, at: number, what: string): LatheError {
  return new LatheError("tokenizer.unsupported", `The tokenizer's regular expression uses ${what}, which is not supported.`, {
    pattern: shown(pattern),
    at,
  });
}
