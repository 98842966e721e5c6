/**
 * Which items an array may go on with where they are counted by what they are (`contains`): only those after which it can still be completed.
 * Of a place and what was found so far it is known with how many further items that can be; from the last place that is spoken of on, all are alike.
 */
import { type Context, unsupported } from "./context.ts";
import type { Atom, Formula } from "./formula.ts";

export type Contains = Extract<Atom, { kind: "contains" }>;

/** One alternative of what an array may be. */
export interface ArrayShape {
  /** What each of the first items must be, the item being there. */
  readonly first: readonly Formula[];
  readonly rest: Formula;
  readonly min: number;
  /** Items that can be there: what the schema says, up to the first place of which nothing is valid. */
  readonly most: number;
  readonly contains: readonly Contains[];
  readonly unique: boolean;
}

/** An item and what was found then, by place in `contains`. */
export interface Way {
  readonly value: Formula;
  readonly found: readonly number[];
}

/** Sets of numbers, as ranges in ascending order that do not touch. */
type Ranges = readonly (readonly [from: number, to: number])[];

const infinite = Number.POSITIVE_INFINITY;
const MOST_CONTAINS = 4;
/** Numbers of items found that are told apart, of several `contains` of an array together. */
const MOST_FOUND = 4096;

/** What must be true of the item at a place. */
export const itemAt = ({ first, rest }: ArrayShape, place: number): Formula => (place < first.length ? first[place] : rest);

/** `contains` with bounds that matter only; what was found is counted up to `last`. Refuses more than can be counted. */
export function countersOf({ contains, most }: ArrayShape): readonly (Contains & { readonly last: number })[] {
  if (contains.length > MOST_CONTAINS) throw unsupported("contains", `there are more than ${MOST_CONTAINS} for one array`);
  const counters = contains
    .map(c => ({ ...c, max: c.max >= most ? infinite : c.max }))
    .map(c => ({ ...c, last: c.max < infinite ? c.max : c.min }));
  const told = counters.reduce((n, c) => n * (1 + c.last), 1);
  if (counters.length > 1 && told > MOST_FOUND && counters.every(c => c.min <= most))
    throw unsupported("contains", `more than ${MOST_FOUND} counts are to be told apart`);
  return counters;
}

export class Counting {
  readonly #context: Context;
  readonly #shape: ArrayShape;
  readonly #counters: ReturnType<typeof countersOf>;
  /** Places that are not alike. */
  readonly #places: number;
  readonly #known = new Map<string, Ranges>();
  readonly #ways = new Map<string, readonly Way[]>();

  constructor(context: Context, shape: ArrayShape) {
    this.#context = context;
    this.#shape = shape;
    this.#counters = countersOf(shape);
    this.#places = Math.max(shape.first.length, ...shape.contains.map(c => c.at));
  }

  complete(length: number, found: readonly number[]): boolean {
    return length >= this.#shape.min && this.#enough(found);
  }

  #enough(found: readonly number[]): boolean {
    return this.#counters.every((c, i) => found[i] >= c.min);
  }

  /** Whether an array of so many items can be completed. */
  live(length: number, found: readonly number[]): boolean {
    const { min, most } = this.#shape;
    if (this.#counters.some(c => c.min > most)) return false;
    return this.#lengths(Math.min(length, this.#places), found).some(([from, to]) => from <= most - length && to >= min - length);
  }

  /** The items that may come behind so many. */
  next(length: number, found: readonly number[]): readonly Way[] {
    if (length >= this.#shape.most) return [];
    return this.#all(Math.min(length, this.#places), found).filter(way => this.live(length + 1, way.found));
  }

  /** Each way of counting an item. Where there is no upper bound, an item may be left uncounted whatever it is. */
  #all(place: number, found: readonly number[]): readonly Way[] {
    const key = `${place}:${found}`;
    const known = this.#ways.get(key);
    if (known) return known;
    const { formulas } = this.#context;
    let ways: Way[] = [{ value: itemAt(this.#shape, place), found }];
    this.#counters.forEach(({ at, value, max, last }, i) => {
      if (place < at || (found[i] >= last && max === infinite)) return;
      ways = ways.flatMap(way => {
        const not = max < infinite ? { ...way, value: formulas.and(way.value, formulas.not(value)) } : way;
        if (found[i] >= last) return [not];
        return [not, { value: formulas.and(way.value, value), found: way.found.with(i, found[i] + 1) }];
      });
    });
    formulas.step(1 + ways.length);
    const possible = ways.filter(way => this.#context.satisfiable(way.value));
    this.#ways.set(key, possible);
    return possible;
  }

  /** With how many further items the array can be complete. Without recursion: there may be thousands of places. */
  #lengths(place: number, found: readonly number[]): Ranges {
    const keyOf = (p: number, f: readonly number[]): string => `${p}:${f}`;
    const todo = [{ place, found }];
    while (todo.length) {
      const top = todo[todo.length - 1];
      if (top.place === this.#places && this.#counters.length === 1) {
        this.#known.set(keyOf(top.place, top.found), this.#alike(top.found[0]));
        todo.pop();
        continue;
      }
      const after = Math.min(top.place + 1, this.#places);
      const ways = this.#all(top.place, top.found);
      const others = ways.filter(way => keyOf(after, way.found) !== keyOf(top.place, top.found));
      const missing = others.filter(way => !this.#known.has(keyOf(after, way.found)));
      if (missing.length) {
        for (const way of missing) todo.push({ place: after, found: way.found });
        continue;
      }
      todo.pop();
      const own: [number, number][] = this.#enough(top.found) ? [[0, 0]] : [];
      for (const way of others) for (const [from, to] of this.#known.get(keyOf(after, way.found))!) own.push([from + 1, to + 1]);
      // An item that changes nothing can come any number of times.
      const all = others.length < ways.length && own.length ? [[Math.min(...own.map(r => r[0])), infinite] as const] : joined(own);
      this.#known.set(keyOf(top.place, top.found), all);
    }
    return this.#known.get(keyOf(place, found))!;
  }

  /** The same for one counter where all places are alike: counts may be of any size. */
  #alike(found: number): Ranges {
    const { formulas } = this.#context;
    const satisfiable = (formula: Formula): boolean => this.#context.satisfiable(formula);
    const [{ value, min, max }] = this.#counters;
    const own = itemAt(this.#shape, this.#places);
    const need = Math.max(0, min - found);
    const counted = satisfiable(formulas.and(own, value));
    const others = satisfiable(max < infinite ? formulas.and(own, formulas.not(value)) : own);
    if (need > 0 && !counted) return [];
    return [[need, others ? infinite : counted ? max - found : 0]];
  }
}

function joined(ranges: [number, number][]): Ranges {
  const all: [number, number][] = [];
  for (const [from, to] of ranges.sort((a, b) => a[0] - b[0])) {
    const last = all.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else all.push([from, to]);
  }
  return all;
}
