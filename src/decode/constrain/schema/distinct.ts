/**
 * Arrays whose items must differ, out of a list of constants: which of those that are left may come next, so that the array can still be completed.
 * Constants that the same places take and the same `contains` count are alike, so only how many of each kind are left matters.
 */
import { type Context, unsupported } from "./context.ts";
import { type ArrayShape, countersOf, itemAt } from "./counting.ts";
import { type Atom, BOOLEAN, EQUAL, type Formula, NULL, NUMBER, STRING, TYPES } from "./formula.ts";

/** Different values among which items may be chosen. */
const MOST_VALUES = 256;
/** Numbers of values of each kind that are left, that are told apart. */
const MOST_LEFT = 20_000;

interface Kind {
  /** By place, and for all later places: whether the item there may be one of these. */
  readonly fits: readonly boolean[];
  /** By place in `contains`. */
  readonly counts: readonly boolean[];
  readonly size: number;
}

export class Distinct {
  readonly #shape: ArrayShape;
  readonly #counters: ReturnType<typeof countersOf>;
  readonly values: readonly Formula[];
  readonly #kinds: readonly Kind[];
  /** By value. */
  readonly #kindOf: readonly number[];
  readonly #places: number;
  readonly #live = new Map<string, boolean>();
  readonly #tick: () => void;

  /** @throws LatheError schema.unsupported. */
  constructor(context: Context, shape: ArrayShape) {
    this.#shape = shape;
    this.#counters = countersOf(shape);
    this.#tick = () => context.formulas.step();
    this.values = constants(context, shape);
    this.#places = shape.first.length;
    const kinds = new Map<string, { kind: Kind; number: number; size: number }>();
    const both = (a: Formula, b: Formula): boolean => context.satisfiable(context.formulas.and(a, b));
    this.#kindOf = this.values.map(value => {
      const fits = Array.from({ length: 1 + this.#places }, (_, place) => both(itemAt(shape, place), value));
      const counts = this.#counters.map(c => both(c.value, value));
      const key = [...fits, ...counts].map(Number).join("");
      const known = kinds.get(key) ?? { kind: { fits, counts, size: 0 }, number: kinds.size, size: 0 };
      kinds.set(key, { ...known, size: known.size + 1 });
      return known.number;
    });
    this.#kinds = [...kinds.values()].map(({ kind, size }) => ({ ...kind, size }));
    const told = this.#kinds.reduce((n, k) => n * (1 + k.size), 1) * this.#counters.reduce((n, c) => n * (c.at > 0 ? 1 + c.last : 1), 1);
    if (told > MOST_LEFT) throw unsupported("uniqueItems", "the places of the array choose from too many lists");
  }

  complete(length: number, found: readonly number[]): boolean {
    return length >= this.#shape.min && this.#counters.every((c, i) => found[i] >= c.min);
  }

  /** The values that may come; `used`: by value, "1" where it is there. */
  next(used: string, found: readonly number[]): readonly { readonly index: number; readonly found: readonly number[] }[] {
    const left = this.#kinds.map(k => k.size);
    for (let i = 0; i < used.length; i++) if (used[i] === "1") left[this.#kindOf[i]]--;
    const after = this.#kinds
      .map((_, kind) => this.#with(left, kind, found))
      .map(s => (s && this.live(s.left, s.found) ? s.found : undefined));
    return this.values.flatMap((_, index) => {
      const own = after[this.#kindOf[index]];
      return used[index] === "0" && own ? [{ index, found: own }] : [];
    });
  }

  get start(): readonly number[] {
    return this.#kinds.map(k => k.size);
  }

  /** One more item of a kind; undefined where none may come. */
  #with(left: readonly number[], kind: number, found: readonly number[]): { left: number[]; found: number[] } | undefined {
    const { fits, counts } = this.#kinds[kind];
    const length = this.values.length - left.reduce((a, b) => a + b, 0);
    if (left[kind] === 0 || length >= this.#shape.most || !fits[Math.min(length, this.#places)]) return undefined;
    const now = found.map((n, i) => n + Number(counts[i] && length >= this.#counters[i].at));
    if (now.some((n, i) => n > this.#counters[i].max)) return undefined;
    return { left: left.map((n, i) => n - Number(i === kind)), found: now.map((n, i) => Math.min(n, this.#counters[i].last)) };
  }

  /** Whether an array can be completed that leaves so many of each kind. */
  live(left: readonly number[], found: readonly number[]): boolean {
    const key = `${left}:${found}`;
    const known = this.#live.get(key);
    if (known !== undefined) return known;
    this.#tick();
    const length = this.values.length - left.reduce((a, b) => a + b, 0);
    const live =
      this.complete(length, found) ||
      this.#kinds.some((_, kind) => {
        const next = this.#with(left, kind, found);
        return next !== undefined && this.live(next.left, next.found);
      });
    this.#live.set(key, live);
    return live;
  }
}

/** The values that items can have, if they are few. */
function constants(context: Context, shape: ArrayShape): Formula[] {
  const { formulas } = context;
  const found = new Set<Formula>();
  const refuse = (): Error => unsupported("uniqueItems", "only items out of a list of constants can be kept apart, or set maxItems to 1");
  const add = (formula: Formula, type: number): void => {
    if (formula.kind === "false") return;
    if (type === NULL) found.add(formulas.types(NULL));
    else if (type === BOOLEAN) {
      for (const value of [true, false]) {
        const is = formulas.atom({ on: BOOLEAN, kind: "boolean", value }, String(value));
        found.add(formulas.and(formulas.types(BOOLEAN), is));
      }
    } else if (formula.kind === "or") for (const part of formula.parts) add(part, type);
    else if (formula.kind === "atom" && isConstant(formula.atom)) found.add(formulas.and(formulas.types(type), formula));
    else throw refuse();
  };
  for (const value of [...shape.first.slice(0, shape.most), ...(shape.most > shape.first.length ? [shape.rest] : [])]) {
    for (const type of TYPES) {
      const own = context.under(value, type);
      if (own.kind === "false") continue;
      if (type !== NULL && type !== BOOLEAN && type !== NUMBER && type !== STRING) throw refuse();
      add(own, type);
    }
  }
  if (found.size > MOST_VALUES) throw unsupported("uniqueItems", `there are more than ${MOST_VALUES} different items`);
  return [...found];
}

function isConstant(atom: Atom): boolean {
  return atom.kind === "equal" || (atom.kind === "compare" && atom.ways === EQUAL);
}
