/** What is done to sequences at random: opened, forked, cut back and closed, and beside that grown, each test in its own way. */
import fc from "fast-check";
import { type PageStore, Sequence } from "../../src/kv/pages.ts";

export type Command<G> =
  | { readonly kind: "grow"; readonly who: number; readonly by: G }
  | { readonly kind: "truncate"; readonly who: number; readonly part: number }
  | { readonly kind: "fork" | "close"; readonly who: number }
  | { readonly kind: "open" };

/** `grow`: by what a sequence grows; `truncates`: how often it is cut back, where it grows eight times. */
export function commands<G>(grow: fc.Arbitrary<G>, truncates: number, maxLength: number): fc.Arbitrary<Command<G>[]> {
  const who = fc.nat(7);
  const part = fc.double({ min: 0, max: 1, noNaN: true });
  const command = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("grow" as const), who, by: grow }) },
    { weight: truncates, arbitrary: fc.record({ kind: fc.constant("truncate" as const), who, part }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("fork" as const), who }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("close" as const), who }) },
    { weight: 1, arbitrary: fc.constant({ kind: "open" as const }) },
  );
  return fc.array(command, { maxLength });
}

/** A sequence, and what it must hold. */
export interface Pair {
  readonly own: Sequence;
  model: readonly number[];
}

export const opened = (store: PageStore): Pair => ({ own: new Sequence(store), model: [] });

/** `grow` and `truncate` do it to both sides of a pair; cutting is asked for by its length. */
export interface Doing<G> {
  readonly grow: (pair: Pair, by: G) => void;
  readonly truncate: (pair: Pair, length: number) => void;
}

export function carryOut<G>(store: PageStore, live: Pair[], c: Command<G>, { grow, truncate }: Doing<G>): void {
  if (c.kind === "open") {
    live.push(opened(store));
    return;
  }
  if (!live.length) return;
  const pair = live[c.who % live.length];
  if (c.kind === "grow") grow(pair, c.by);
  else if (c.kind === "truncate") truncate(pair, Math.floor(c.part * (pair.model.length + 1)));
  else if (c.kind === "fork") live.push({ own: pair.own.fork(), model: pair.model });
  else {
    pair.own.close();
    live.splice(live.indexOf(pair), 1);
  }
}

export const tokensOf = (s: Sequence): number[] => Array.from({ length: s.length }, (_, i) => s.token(i));
