/**
 * What a JSON Schema says about one value, as a formula of small assertions. An assertion speaks of one type and is true of values of any
 * other type, as JSON Schema's keywords are. Equal formulas are one object, so they can be compared, remembered and recurred to.
 */
import { LatheError } from "../../../errors.ts";
import type { Decimal } from "./decimal.ts";
import type { NameSet } from "./names.ts";

/** Types of values, as bits. */
export const NULL = 1;
export const BOOLEAN = 2;
export const NUMBER = 4;
export const STRING = 8;
export const OBJECT = 16;
export const ARRAY = 32;
export const ANY = 63;
export const TYPES = [NULL, BOOLEAN, NUMBER, STRING, OBJECT, ARRAY] as const;

/** Outcomes of a comparison, as bits. */
export const LESS = 1;
export const EQUAL = 2;
export const GREATER = 4;

export type Atom =
  | { readonly on: typeof BOOLEAN; readonly kind: "boolean"; readonly value: boolean }
  /** The value compares with `with` in one of the ways of `ways`. */
  | { readonly on: typeof NUMBER; readonly kind: "compare"; readonly to: Decimal; readonly ways: number }
  | { readonly on: typeof NUMBER; readonly kind: "multiple"; readonly of: Decimal }
  | { readonly on: typeof NUMBER; readonly kind: "integer" }
  /** A part of the text matches the expression. */
  | { readonly on: typeof STRING; readonly kind: "pattern"; readonly source: string }
  | { readonly on: typeof STRING; readonly kind: "length"; readonly min: number; readonly max: number }
  | { readonly on: typeof STRING; readonly kind: "equal"; readonly text: string }
  /** All properties with such names have such values; some property has; how many there are. */
  | { readonly on: typeof OBJECT; readonly kind: "every" | "some"; readonly names: NameSet; readonly value: Formula }
  | { readonly on: typeof OBJECT; readonly kind: "count"; readonly min: number; readonly max: number }
  /** Item `at`, if there is one; item `at`, which there is; all from there on; so many of those from there on. */
  | { readonly on: typeof ARRAY; readonly kind: "item" | "has" | "rest"; readonly at: number; readonly value: Formula }
  | {
      readonly on: typeof ARRAY;
      readonly kind: "contains";
      readonly at: number;
      readonly value: Formula;
      readonly min: number;
      readonly max: number;
    }
  | { readonly on: typeof ARRAY; readonly kind: "items"; readonly min: number; readonly max: number }
  | { readonly on: typeof ARRAY; readonly kind: "unique" };

export type Formula =
  | { readonly id: number; readonly kind: "true" | "false" }
  | { readonly id: number; readonly kind: "and" | "or"; readonly parts: readonly Formula[] }
  /** Exactly one of the parts; and of `chosen`, which say more, at the same place. */
  | { readonly id: number; readonly kind: "one"; readonly parts: readonly Formula[]; readonly chosen: readonly Formula[] }
  | { readonly id: number; readonly kind: "not"; readonly of: Formula }
  | { readonly id: number; readonly kind: "types"; readonly mask: number }
  | { readonly id: number; readonly kind: "atom"; readonly atom: Atom }
  /** A schema by reference, opened when it is looked at. */
  | { readonly id: number; readonly kind: "lazy"; readonly open: () => Formula };

const MOST = 200_000;
/** Steps of taking formulas apart that one schema may need before anything is generated. */
const MOST_STEPS = 400_000;

/** What keeping a formula counts for. */
const STEPS_A_FORMULA = 2;

const infinite = Number.POSITIVE_INFINITY;

export class Formulas {
  readonly true: Formula = { id: 0, kind: "true" };
  readonly false: Formula = { id: 1, kind: "false" };
  #next = 2;
  #steps = 0;
  #mostSteps = MOST_STEPS;
  readonly #known = new Map<string, Formula>();
  readonly #stronger = new Map<Formula, Formula>();

  /** Notes that a formula follows from a stronger one, so that its negation contradicts that. */
  follows(formula: Formula, stronger: Formula): void {
    this.#stronger.set(formula, stronger);
  }

  #intern(key: string, make: (id: number) => Formula): Formula {
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#next >= MOST) throw tooComplex();
    this.step(STEPS_A_FORMULA);
    const made = make(this.#next++);
    this.#known.set(key, made);
    return made;
  }

  /** Counts work, so that no schema takes too long or too much memory; a step is some 2 microseconds, or 100 bytes. */
  step(count = 1): void {
    if ((this.#steps += count) > this.#mostSteps) throw tooComplex();
  }

  /** The share of the steps that is used up. */
  get used(): number {
    return this.#steps / this.#mostSteps;
  }

  /**
   * Whether something can be that was not found within limits: a schema of which that is asked is refused, since it could lead to a text that cannot
   * be finished; once text is being written, it is taken to be possible.
   */
  unsure(): true {
    if (this.#mostSteps < infinite) throw tooComplex();
    return true;
  }

  /** From here on, what is worked out is paid for by what is generated. */
  endCompiling(): void {
    this.#mostSteps = infinite;
  }

  boolean(value: boolean): Formula {
    return value ? this.true : this.false;
  }

  and(...parts: readonly Formula[]): Formula {
    return this.#join("and", parts, this.true, this.false);
  }
  or(...parts: readonly Formula[]): Formula {
    return this.#join("or", parts, this.false, this.true);
  }

  #join(kind: "and" | "or", parts: readonly Formula[], neutral: Formula, ruling: Formula): Formula {
    const flat = new Set<Formula>();
    let mask = kind === "and" ? ANY : 0;
    for (const part of parts.flatMap(p => (p.kind === kind ? p.parts : [p]))) {
      if (part === ruling) return ruling;
      if (part.kind === "types") mask = kind === "and" ? mask & part.mask : mask | part.mask;
      else if (part !== neutral) flat.add(part);
    }
    for (const part of flat) {
      if (part.kind !== "not") continue;
      const stronger = kind === "and" ? this.#stronger.get(part.of) : undefined;
      if (flat.has(part.of) || (stronger && flat.has(stronger))) return ruling;
    }
    this.step(parts.length);
    const types = this.types(mask);
    if (types === ruling) return ruling;
    if (types !== neutral) flat.add(types);
    const list = [...flat].sort((a, b) => a.id - b.id);
    if (list.length === 0) return neutral;
    if (list.length === 1) return list[0];
    return this.#intern(`${kind}${list.map(p => p.id).join()}`, id => ({ id, kind, parts: list }));
  }

  /** Exactly one of them; `chosen`: by place, what else is true of the one, which implies it. */
  one(parts: readonly Formula[], chosen = parts): Formula {
    if (parts.length === 1) return chosen[0];
    const ids = (list: readonly Formula[]): string => list.map(p => p.id).join();
    return this.#intern(`one${ids(parts)}:${ids(chosen)}`, id => ({ id, kind: "one", parts, chosen }));
  }

  types(mask: number): Formula {
    if (mask === 0) return this.false;
    if (mask === ANY) return this.true;
    return this.#intern(`types${mask}`, id => ({ id, kind: "types", mask }));
  }

  /** `key` tells atoms apart. */
  atom(atom: Atom, key: string): Formula {
    return this.#intern(`atom${atom.on}${atom.kind}${key}`, id => ({ id, kind: "atom", atom }));
  }

  lazy(key: string, open: () => Formula): Formula {
    let opened: Formula | undefined;
    return this.#intern(`lazy${key}`, id => ({ id, kind: "lazy", open: () => (opened ??= open()) }));
  }

  every(names: NameSet, value: Formula): Formula {
    if (value === this.true) return this.true;
    return this.atom({ on: OBJECT, kind: "every", names, value }, `${names.key}:${value.id}`);
  }
  some(names: NameSet, value: Formula): Formula {
    return this.atom({ on: OBJECT, kind: "some", names, value }, `${names.key}:${value.id}`);
  }
  count(min: number, max: number): Formula {
    return this.#range(OBJECT, "count", min, max);
  }
  items(min: number, max: number): Formula {
    return this.#range(ARRAY, "items", min, max);
  }
  length(min: number, max: number): Formula {
    return this.#range(STRING, "length", min, max);
  }
  #range(on: number, kind: "count" | "items" | "length", min: number, max: number): Formula {
    if (max < min) return this.not(this.types(on));
    if (min <= 0 && max === infinite) return this.true;
    return this.atom({ on, kind, min: Math.max(0, min), max } as Atom, `${min},${max}`);
  }
  item(kind: "item" | "has" | "rest", at: number, value: Formula): Formula {
    if (kind !== "has" && value === this.true) return this.true;
    return this.atom({ on: ARRAY, kind, at, value }, `${at}:${value.id}`);
  }
  contains(at: number, value: Formula, min: number, max: number): Formula {
    if (max < min) return this.not(this.types(ARRAY));
    if (min <= 0 && max === infinite) return this.true;
    return this.atom({ on: ARRAY, kind: "contains", at, value, min, max }, `${at}:${value.id}:${min},${max}`);
  }

  not(formula: Formula): Formula {
    switch (formula.kind) {
      case "true":
        return this.false;
      case "false":
        return this.true;
      case "not":
        return formula.of;
      case "types":
        return this.types(ANY & ~formula.mask);
      case "and":
        return this.or(...formula.parts.map(p => this.not(p)));
      case "or":
        return this.and(...formula.parts.map(p => this.not(p)));
      case "atom": {
        const opposite = this.#opposite(formula.atom);
        if (opposite) return this.and(this.types(formula.atom.on), opposite);
      }
    }
    return this.#intern(`not${formula.id}`, id => ({ id, kind: "not", of: formula }));
  }

  /** What is true of just those values of its type of which the atom is not. */
  #opposite(atom: Atom): Formula | undefined {
    switch (atom.kind) {
      case "every":
        return this.some(atom.names, this.not(atom.value));
      case "some":
        return this.every(atom.names, this.not(atom.value));
      case "count":
        return this.or(
          this.#below(atom.min, m => this.count(0, m)),
          this.#above(atom.max, m => this.count(m, infinite)),
        );
      case "items":
        return this.or(
          this.#below(atom.min, m => this.items(0, m)),
          this.#above(atom.max, m => this.items(m, infinite)),
        );
      case "item":
        return this.item("has", atom.at, this.not(atom.value));
      case "has":
        return this.or(this.items(0, atom.at), this.item("item", atom.at, this.not(atom.value)));
      case "rest":
        return this.contains(atom.at, this.not(atom.value), 1, infinite);
      case "length":
        return this.or(
          this.#below(atom.min, m => this.length(0, m)),
          this.#above(atom.max, m => this.length(m, infinite)),
        );
      case "contains": {
        const { at, value, min, max } = atom;
        return this.or(
          this.#below(min, m => (m === 0 ? this.item("rest", at, this.not(value)) : this.contains(at, value, 0, m))),
          this.#above(max, m => this.contains(at, value, m, infinite)),
        );
      }
      default:
        return undefined;
    }
  }
  #below(min: number, make: (most: number) => Formula): Formula {
    return min <= 0 ? this.false : make(min - 1);
  }
  #above(max: number, make: (least: number) => Formula): Formula {
    return max === infinite ? this.false : make(max + 1);
  }
}

function tooComplex(): LatheError {
  return new LatheError("grammar.limit", "The schema combines too much to be enforced within a second; make it simpler.", {});
}
