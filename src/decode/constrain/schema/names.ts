/** Sets of property names: some names, what matches some expressions or formulas, or everything but those. */
import type { Formula } from "./formula.ts";

/** A pattern that a part of the name matches, or what a schema says of the name as a string. */
export type NameTest = { readonly kind: "pattern"; readonly source: string } | { readonly kind: "formula"; readonly formula: Formula };

export interface NameSet {
  readonly names: readonly string[];
  readonly has: (name: string) => boolean;
  readonly tests: readonly NameTest[];
  /** All others instead. */
  readonly others: boolean;
  readonly key: string;
}

export function nameSet(names: readonly string[], tests: readonly NameTest[] = [], others = false): NameSet {
  const sorted = [...new Set(names)].sort();
  const byKey = new Map(tests.map(test => [testKey(test), test]));
  const keys = [...byKey.keys()].sort();
  const key = JSON.stringify([sorted, keys, others]);
  const known = new Set(sorted);
  return { names: sorted, has: name => known.has(name), tests: keys.map(k => byKey.get(k)!), others, key };
}

export const testKey = (test: NameTest): string => (test.kind === "pattern" ? `p${test.source}` : `f${test.formula.id}`);

/** The one name of a set that holds no other; undefined for other sets. */
export function singleName(set: NameSet): string | undefined {
  return !set.others && set.tests.length === 0 && set.names.length === 1 ? set.names[0] : undefined;
}
