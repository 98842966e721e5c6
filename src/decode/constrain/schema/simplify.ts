/**
 * Taking formulas apart: what a formula says of values of one type, and that as a list of alternatives, each a list of assertions that must
 * all hold. Alternatives that exclude each other are not told apart once more for "exactly one of".
 */
import { LatheError } from "../../../errors.ts";
import { ARRAY, type Atom, type Formula, type Formulas, OBJECT, STRING } from "./formula.ts";
import { lengthsOf } from "./scalars.ts";

const MOST_ALTERNATIVES = 256;
/** References that lead to references. */
const DEEPEST = 200;

export class Simplifier {
  readonly #formulas: Formulas;
  readonly #impossible: (formula: Formula) => boolean;
  readonly #known = new Map<number, Formula>();
  #open = new Set<Formula>();

  /** `impossible`: whether it is certain that no value satisfies a formula. */
  constructor(formulas: Formulas, impossible: (formula: Formula) => boolean) {
    this.#formulas = formulas;
    this.#impossible = impossible;
  }

  under(formula: Formula, type: number): Formula {
    if (formula.kind === "atom") return formula.atom.on === type ? formula : this.#formulas.true;
    const key = formula.id * 64 + type;
    const known = this.#known.get(key);
    if (known) return known;
    this.#formulas.step();
    if (this.#open.size > DEEPEST || this.#open.has(formula)) throw endless();
    this.#open.add(formula);
    try {
      const made = this.#under(formula, type);
      this.#known.set(key, made);
      return made;
    } finally {
      this.#open.delete(formula);
    }
  }

  #under(formula: Formula, type: number): Formula {
    const f = this.#formulas;
    switch (formula.kind) {
      case "types":
        return f.boolean((formula.mask & type) !== 0);
      case "lazy":
        return this.under(formula.open(), type);
      case "not": {
        const inner = formula.of;
        if (inner.kind === "atom") return inner.atom.on === type ? formula : f.false;
        const negated = f.not(this.under(inner, type));
        return negated.kind === "not" ? negated : this.under(negated, type);
      }
      case "and": {
        const parts: Formula[] = [];
        for (const part of formula.parts) {
          const own = this.under(part, type);
          if (own === f.false) return own;
          parts.push(own);
        }
        const all = f.and(...parts);
        return type === STRING && lengthsOf(all).empty ? f.false : all;
      }
      case "or":
        return f.or(...formula.parts.map(p => this.under(p, type)));
      case "one": {
        const parts = formula.parts.map(p => this.under(p, type));
        const chosen = formula.chosen.map(p => this.under(p, type));
        if (type === OBJECT || type === ARRAY) return this.#exactlyOne(parts, chosen, type);
        const same = parts.every((part, i) => part === chosen[i]);
        return same ? this.#exactlyOneOf(parts) : f.and(this.#exactlyOneOf(parts), f.or(...chosen));
      }
      default:
        return formula;
    }
  }

  /** Of scalars: decided by evaluation. */
  #exactlyOneOf(parts: readonly Formula[]): Formula {
    const f = this.#formulas;
    const possible = parts.filter(p => p !== f.false);
    const always = possible.filter(p => p === f.true).length;
    if (always > 1 || possible.length === 0) return f.false;
    if (always === 1) return f.and(...possible.filter(p => p !== f.true).map(p => f.not(p)));
    return f.one(possible);
  }

  #exactlyOne(parts: readonly Formula[], chosen: readonly Formula[], type: number): Formula {
    const f = this.#formulas;
    const possible = parts.filter(p => p !== f.false);
    const said = chosen.filter((_, i) => parts[i] !== f.false);
    if (possible.length > MOST_ALTERNATIVES) throw tooMany();
    const open = this.#open;
    this.#open = new Set(); // what is found inside properties and items is no circle
    const disjoint = (a: Formula, b: Formula): boolean => this.#impossible(f.and(f.types(type), a, b));
    const alternatives = possible.map((own, i) => {
      const rivals = possible.filter((other, j) => i !== j && !disjoint(own, other));
      return f.and(said[i], ...rivals.map(other => this.under(f.not(other), type)));
    });
    this.#open = open;
    return f.or(...alternatives);
  }

  /** The alternatives of a formula about objects or arrays that `under` gave; none where it is false. */
  alternatives(formula: Formula): Atom[][] {
    const f = this.#formulas;
    f.step();
    switch (formula.kind) {
      case "true":
        return [[]];
      case "false":
        return [];
      case "atom":
        return [[formula.atom]];
      case "or": {
        const all = formula.parts.flatMap(p => this.alternatives(p));
        if (all.length > MOST_ALTERNATIVES) throw tooMany();
        return all;
      }
      case "and": {
        let all: Atom[][] = [[]];
        for (const part of formula.parts) {
          const own = this.alternatives(part);
          if (all.length * own.length > MOST_ALTERNATIVES) throw tooMany();
          f.step(all.length * own.length);
          const [only] = own;
          if (own.length !== 1) all = all.flatMap(a => own.map(b => [...a, ...b]));
          else for (const a of all) a.push(...only); // what most parts are is not copied for each of them
        }
        return all;
      }
      default:
        throw new LatheError("schema.unsupported", 'The keyword "uniqueItems" cannot be enforced where it is negated.', {
          keyword: "uniqueItems",
        });
    }
  }
}

function endless(): LatheError {
  return new LatheError("schema.unsupported", "A $ref leads back to itself without a property or item in between; break the circle.", {
    keyword: "$ref",
  });
}

function tooMany(): LatheError {
  const message = `The schema combines into more than ${MOST_ALTERNATIVES} alternatives for one value; use fewer or simpler anyOf, oneOf, not.`;
  return new LatheError("schema.unsupported", message, { alternatives: MOST_ALTERNATIVES });
}
