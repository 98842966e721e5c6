/**
 * The rules of values: for each formula one rule, with an alternative for each type. Also finds out whether a formula can be satisfied at all,
 * which keeps the grammar from leading anywhere that cannot be finished.
 */
import { type Expr, Grammar } from "../grammar.ts";
import { withMarks } from "../marks.ts";
import { regexExpr } from "../regex.ts";
import { Arrays } from "./arrays.ts";
import { type Component, expressionComponent } from "./components.ts";
import type { Context, Profile } from "./context.ts";
import { ARRAY, type Atom, BOOLEAN, type Formula, Formulas, NULL, NUMBER, OBJECT, STRING, TYPES } from "./formula.ts";
import { whitespace } from "./json.ts";
import type { NameTest } from "./names.ts";
import { type ObjectForm, Objects } from "./objects.ts";
import { Scalars, type StringForm } from "./scalars.ts";
import { Simplifier } from "./simplify.ts";

/** Formulas that are taken apart before anything is generated. */
const MOST_EXPLORED = 2_000;
/** The share of all steps after which no more are. */
const EXPLORED_SHARE = 0.1;
/** Values inside values that are looked into. */
const DEEPEST = 150;

export class Values implements Context {
  readonly grammar = new Grammar();
  readonly formulas = new Formulas();
  readonly profile: Profile;
  /** What strings can hold; what stands as a name without quotes. */
  readonly anyText: Component;
  readonly identifiers: Component;
  readonly #simplifier: Simplifier;
  readonly #scalars: Scalars;
  readonly #objects: Objects;
  readonly #arrays: Arrays;
  readonly #satisfiable = new Map<Formula, boolean>();
  readonly #open = new Map<Formula, number>();
  /** How deep the outermost open question is that the present answer leans on. */
  #leansOn = Number.POSITIVE_INFINITY;

  /** `order`: the place of each property name in the schema; may still be filled while formulas are made. */
  constructor(profile: Profile, order: ReadonlyMap<string, number>) {
    this.profile = profile;
    this.#simplifier = new Simplifier(this.formulas, f => this.#impossible(f));
    this.#scalars = new Scalars(this);
    this.anyText = this.#scalars.anyText;
    this.identifiers = expressionComponent(this.grammar, regexExpr(this.grammar, "[A-Za-z_][A-Za-z0-9_.$-]*"));
    const scalars = this.#scalars;
    const machine = (test: NameTest): Component =>
      test.kind === "pattern" ? scalars.pattern(test.source) : scalars.product(this.under(test.formula, STRING), STRING);
    this.#objects = new Objects(this, machine, profile.values.names === "bare" ? this.identifiers : this.anyText, order);
    this.#arrays = new Arrays(this);
  }

  get settled(): boolean {
    return this.#open.size === 0;
  }

  /** @throws LatheError `regex.invalid`, `regex.unsupported`. */
  checkPattern(source: string): void {
    this.#scalars.matches(source);
  }

  fixed(text: string): Expr {
    return this.grammar.text(withMarks(text, this.profile.marks ?? {}));
  }

  /** White space around the whole. */
  around(): Expr {
    return this.profile.whitespace === "any" ? whitespace(this.grammar, this.profile) : this.grammar.empty;
  }

  /**
   * Takes apart the formulas that a value and the values inside it can be asked by, so that what cannot be enforced shows itself now. Stops
   * where there are very many.
   */
  explore(root: Formula): void {
    const seen = new Set([root]);
    const visit = (formula: Formula): void => {
      if (seen.size < MOST_EXPLORED && this.formulas.used < EXPLORED_SHARE) seen.add(formula);
    };
    for (const formula of seen) {
      for (const type of [OBJECT, ARRAY]) {
        const own = this.under(formula, type);
        this.#simplifier.alternatives(own).forEach((atoms, i, all) => {
          const rules = this.#rules(type, atoms, `${own.id}.${i}`, all.length === 1);
          if (rules.satisfiable) rules.valueFormulas.forEach(visit);
        });
      }
    }
  }

  under(formula: Formula, type: number): Formula {
    return this.#simplifier.under(formula, type);
  }

  value(formula: Formula): Expr {
    return this.grammar.lazy(`value ${formula.id}`, () => this.grammar.anyOf(TYPES.map(type => this.#typed(formula, type))));
  }

  /** The objects of which the formula is true; `form`: how they are written, if not as values are, and `key` names it. */
  object(formula: Formula, form: ObjectForm | undefined, key: string): Expr {
    const own = this.under(formula, OBJECT);
    const parts = this.#simplifier.alternatives(own).map((atoms, i, all) => {
      const rules = this.#objects.rules(atoms, `${key} ${own.id}.${i}`, all.length === 1, form);
      return rules.satisfiable ? rules.expr() : this.grammar.fail;
    });
    return this.grammar.anyOf(parts);
  }

  /** The strings of which the formula is true, written in another form than values are. */
  string(formula: Formula, form: StringForm): Expr {
    return this.#scalars.string(this.under(formula, STRING), form);
  }

  #typed(formula: Formula, type: number): Expr {
    const { grammar } = this;
    const [yes, no, nothing] = this.profile.values.words;
    const own = this.under(formula, type);
    if (own.kind === "false") return grammar.fail;
    switch (type) {
      case NULL:
        return grammar.text(nothing);
      case BOOLEAN:
        return grammar.anyOf([true, false].filter(v => isOfBoolean(own, v)).map(v => grammar.text(v ? yes : no)));
      case NUMBER:
        return this.#scalars.number(own);
      case STRING:
        return this.#scalars.string(own);
      default: {
        const parts = this.#simplifier.alternatives(own).map((atoms, i, all) => {
          const rules = this.#rules(type, atoms, `${own.id}.${i}`, all.length === 1);
          return rules.satisfiable ? rules.expr() : grammar.fail;
        });
        return grammar.anyOf(parts);
      }
    }
  }

  satisfiable(formula: Formula): boolean {
    if (formula.kind === "true" || formula.kind === "false") return formula.kind === "true";
    const known = this.#satisfiable.get(formula);
    if (known !== undefined) return known;
    const depth = this.#open.get(formula);
    if (depth !== undefined) {
      this.#leansOn = Math.min(this.#leansOn, depth);
      return false; // a value inside itself is not finite: it must be possible without
    }
    if (this.#open.size > DEEPEST) return this.formulas.unsure();
    this.formulas.step(5);
    const own = this.#open.size;
    this.#open.set(formula, own);
    const before = this.#leansOn;
    this.#leansOn = Number.POSITIVE_INFINITY;
    try {
      const found = TYPES.some(type => this.#isPossible(formula, type));
      // A yes is final; a no is, unless it leans on the no that an outer question has for now.
      if (found || this.#leansOn >= own) this.#satisfiable.set(formula, found);
      return found;
    } finally {
      this.#open.delete(formula);
      this.#leansOn = Math.min(before, this.#leansOn >= own ? Number.POSITIVE_INFINITY : this.#leansOn);
    }
  }

  #rules(type: number, atoms: readonly Atom[], key: string, only: boolean): ReturnType<Arrays["rules"]> | ReturnType<Objects["rules"]> {
    return type === ARRAY ? this.#arrays.rules(atoms, key) : this.#objects.rules(atoms, key, only);
  }

  #impossible(formula: Formula): boolean {
    if (this.#open.has(formula) || this.#open.size > DEEPEST) return false;
    return !this.satisfiable(formula) && this.#satisfiable.get(formula) === false;
  }

  #isPossible(formula: Formula, type: number): boolean {
    const own = this.under(formula, type);
    if (own.kind === "false") return false;
    switch (type) {
      case NULL:
        return true;
      case BOOLEAN:
        return isOfBoolean(own, true) || isOfBoolean(own, false);
      case NUMBER:
      case STRING:
        return this.#scalars.satisfiable(own, type);
      default:
        return this.#simplifier.alternatives(own).some((atoms, i, all) => {
          return this.#rules(type, atoms, `${own.id}.${i}`, all.length === 1).satisfiable;
        });
    }
  }
}

/** Whether a formula about booleans is true of a value. */
function isOfBoolean(formula: Formula, value: boolean): boolean {
  switch (formula.kind) {
    case "true":
      return true;
    case "atom":
      return formula.atom.kind === "boolean" && formula.atom.value === value;
    case "not":
      return !isOfBoolean(formula.of, value);
    case "and":
      return formula.parts.every(p => isOfBoolean(p, value));
    case "or":
      return formula.parts.some(p => isOfBoolean(p, value));
    case "one":
      return formula.parts.filter(p => isOfBoolean(p, value)).length === 1;
    default:
      return false;
  }
}
