/**
 * Properties that an object must have under any of several names ("some property other than these", which is what negations come to): how many
 * more it takes at least to have them all, one property being able to stand for several.
 */
import { LatheError } from "../../../errors.ts";
import type { Context } from "./context.ts";
import type { Formula } from "./formula.ts";
import type { Shape } from "./shapes.ts";

/** More would be too many ways. */
const MOST_WANTED = 6;

function tooManyWanted(): LatheError {
  const message = `The schema asks for more than ${MOST_WANTED} properties by what their names match; name them.`;
  return new LatheError("schema.unsupported", message, { most: MOST_WANTED });
}

/** `more`: properties beside those that are required by name; infinite where there are none. `others`: some of them are not spelled. */
interface Least {
  readonly more: number;
  readonly others: boolean;
}

/** What of the wanted each spelled name, and a name that is not spelled, can stand for: largest sets, as bits. */
interface Gains {
  readonly spelled: readonly (readonly number[])[];
  readonly other: readonly number[];
  /** By place: bit set where the name can stand for any. */
  readonly relevant: bigint;
}

const NOTHING: Least = { more: 0, others: false };

export class Cover {
  readonly #context: Context;
  readonly #shape: Shape;
  readonly #nameable: readonly boolean[];
  readonly #findsOther: (allowed: (answers: string) => boolean) => boolean;
  #gains: Gains | undefined;
  readonly #known = new Map<string, Least>();

  /** `nameable`: by place, whether the name can be written; `findsOther`: whether there is a name that is not spelled with such answers. */
  constructor(
    context: Context,
    shape: Shape,
    nameable: readonly boolean[],
    findsOther: (allowed: (answers: string) => boolean) => boolean,
  ) {
    this.#context = context;
    this.#shape = shape;
    this.#nameable = nameable;
    this.#findsOther = findsOther;
  }

  /** Whether a property can stand for what is wanted there, by its name. One that may come twice can where any value does. */
  counts(wanted: number, place: number, answers: string): boolean {
    const { names, value } = this.#shape.wanted[wanted];
    if (place < 0 && this.#context.profile.sureNames && value !== this.#context.formulas.true) return false;
    return this.#shape.isIn(names, place, answers);
  }

  /** `seen`: by place, bit set where the property may come no more; `found`: by place in `wanted`, bit set where there is one. */
  least(seen: bigint, found: number): Least {
    const { wanted } = this.#shape;
    if (wanted.length === 0) return NOTHING;
    if (wanted.length > MOST_WANTED) throw tooManyWanted();
    if (found === (1 << wanted.length) - 1) return NOTHING;
    const gains = this.#gains ?? this.#findGains();
    if (this.#context.settled) this.#gains = gains;
    const key = `${seen & gains.relevant}:${found}`;
    const known = this.#known.get(key);
    if (known) return known;
    const least = this.#search(seen, found, gains);
    if (this.#context.settled) this.#known.set(key, least);
    return least;
  }

  #search(seen: bigint, found: number, gains: Gains): Least {
    const { wanted, names, required } = this.#shape;
    const all = (1 << wanted.length) - 1;
    // By set of what is found: how many more properties that takes, and how many of them are not spelled.
    let reached = new Map([[found, { more: 0, others: 0 }]]);
    const go = (sets: readonly number[], more: number, others: number): void => {
      const next = new Map(reached);
      for (const [set, cost] of reached) {
        for (const gain of sets) {
          const known = next.get(set | gain);
          const own = { more: cost.more + more, others: cost.others + others };
          if (!known || own.more < known.more || (own.more === known.more && own.others < known.others)) next.set(set | gain, own);
        }
      }
      reached = next;
    };
    for (let place = 0; place < names.length; place++) {
      if (gains.spelled[place].length === 0 || (seen >> BigInt(place)) & 1n) continue;
      this.#context.formulas.step(reached.size);
      go(gains.spelled[place], required[place] ? 0 : 1, 0);
    }
    for (let n = 0; n < wanted.length && gains.other.length > 0; n++) go(gains.other, 1, 1);
    const best = reached.get(all);
    return best ? { more: best.more, others: best.others > 0 } : { more: Number.POSITIVE_INFINITY, others: false };
  }

  #findGains(): Gains {
    const { names, values, wanted } = this.#shape;
    const sets = Array.from({ length: (1 << wanted.length) - 1 }, (_, i) => i + 1).sort((a, b) => bits(b) - bits(a));
    const largest = (possible: (set: number) => boolean): number[] => {
      const found: number[] = [];
      for (const set of sets) if (!found.some(f => (f & set) === set) && possible(set)) found.push(set);
      return found;
    };
    const fits = (set: number, place: number, answers: string, own: () => Formula): boolean => {
      const asked = wanted.filter((_, i) => (set >> i) & 1);
      if (!wanted.every((_, i) => !((set >> i) & 1) || this.counts(i, place, answers))) return false;
      this.#context.formulas.step();
      return this.#context.satisfiable(this.#context.formulas.and(own(), ...asked.map(w => w.value)));
    };
    const spelled = names.map((_, place) => {
      if (!this.#nameable[place]) return [];
      const answers = this.#shape.answersOf(place);
      return largest(set => fits(set, place, answers, () => values[place]));
    });
    const other = largest(set => this.#findsOther(answers => fits(set, -1, answers, () => this.#shape.other(answers))));
    const relevant = spelled.reduce((mask, own, place) => (own.length ? mask | (1n << BigInt(place)) : mask), 0n);
    return { spelled, other, relevant };
  }
}

function bits(set: number): number {
  let n = 0;
  for (; set; set &= set - 1) n++;
  return n;
}
