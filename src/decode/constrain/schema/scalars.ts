/** Strings and numbers: literals and counters where that is all a formula says, a product of small machines otherwise. */
import type { ValueForm } from "../../../text/tools/call-forms.ts";
import type { Expr, Grammar } from "../grammar.ts";
import { regexExpr } from "../regex.ts";
import { chars, LAST } from "../utf8.ts";
import {
  acceptsText,
  bothComponent,
  type Component,
  compareComponent,
  expressionComponent,
  lengthsPanel,
  multipleComponent,
  textsPanel,
  withoutComponent,
} from "./components.ts";
import type { Context } from "./context.ts";
import { type Atom, EQUAL, type Formula, NUMBER, STRING } from "./formula.ts";
import { anyChar, anyInteger, anyNumber, between, canHold, contentByte, contentChar, decimalNumber } from "./json.ts";
import { type Condition, Product, type Question } from "./product.ts";

/** Heads of an automaton's states that are looked at in a step. */
const HEADS_A_STEP = 2;

const allBytes = Array.from({ length: 256 }, (_, i) => i);
const numberBytes = [...new TextEncoder().encode("0123456789.-")];

/** Atoms of a formula, each once. */
function atomsOf(formula: Formula, into: Map<Formula, number> = new Map()): Map<Formula, number> {
  if (formula.kind === "atom") {
    if (!into.has(formula)) into.set(formula, into.size);
  } else if (formula.kind === "not") atomsOf(formula.of, into);
  else if ("parts" in formula) for (const part of formula.parts) atomsOf(part, into);
  return into;
}

function holds(formula: Formula, answer: (atom: Formula) => boolean): boolean {
  switch (formula.kind) {
    case "true":
      return true;
    case "and":
      return formula.parts.every(p => holds(p, answer));
    case "or":
      return formula.parts.some(p => holds(p, answer));
    case "one":
      return formula.parts.filter(p => holds(p, answer)).length === 1;
    case "not":
      return !holds(formula.of, answer);
    case "atom":
      return answer(formula);
    default:
      return false;
  }
}

/** Whether a formula can be true of a text of which only the `living` atoms can. */
function possible(formula: Formula, living: (atom: Formula) => boolean): boolean {
  switch (formula.kind) {
    case "and":
      return formula.parts.every(p => possible(p, living));
    case "or":
    case "one":
      return formula.parts.some(p => possible(p, living));
    case "atom":
      return living(formula);
    default:
      return formula.kind !== "false";
  }
}

/**
 * The values that a formula lists, and what else must be true of them; undefined where it lists none to choose from. Alternatives of which each
 * lists some are a list too, which the whole then chooses from: lists that exclude each other's values, for one.
 */
function listed(formula: Formula, read: (atom: Atom) => string | undefined): { values: string[]; also: readonly Formula[] } | undefined {
  if (formula.kind === "and") {
    for (const part of formula.parts) {
      const found = listed(part, read);
      if (found) return { values: found.values, also: [...found.also, ...formula.parts.filter(p => p !== part)] };
    }
    return undefined;
  }
  if (formula.kind === "or" || formula.kind === "one") {
    const all = new Set<string>();
    let plain = formula.kind === "or";
    for (const part of formula.parts) {
      if (lengthsOf(part).empty) continue;
      const found = listed(part, read);
      if (!found) return undefined;
      for (const value of found.values) all.add(value);
      plain &&= found.also.length === 0;
    }
    return { values: [...all], also: plain ? [] : [formula] };
  }
  const value = formula.kind === "atom" ? read(formula.atom) : undefined;
  return value === undefined ? undefined : { values: [value], also: [] };
}

const encoder = new TextEncoder();

/** What is around a string, and how its text is written. The end must show itself. */
export interface StringForm {
  readonly open: Expr;
  readonly close: Expr;
  readonly texts: ValueForm["texts"];
}

export class Scalars {
  readonly #context: Context;
  readonly #products = new Map<Formula, Product>();
  readonly #listed = new Map<Formula, string[]>();
  /** Of formulas: the texts that their parts are equal to, with how many are, and their other parts. */
  readonly #alternatives = new Map<Formula, { equal: Map<string, number>; other: Formula[] }>();
  /** Of patterns: the texts that hold a match, and the machine that knows them. */
  readonly #matches = new Map<string, Expr>();
  readonly #patterns = new Map<string, Component>();
  /** The texts that a string can hold. */
  readonly anyText: Component;
  readonly #form: StringForm;
  /** Characters can be counted without a look at what they are together. */
  readonly #counted: boolean;

  constructor(context: Context) {
    this.#context = context;
    const { grammar, profile } = context;
    const all = expressionComponent(grammar, grammar.repeat(chars(grammar, [[0, LAST]]), 0));
    const { quote, texts, without } = profile.values;
    const around = context.fixed(quote);
    this.#form = { open: around, close: around, texts };
    this.#counted = without === undefined;
    this.anyText = without === undefined ? all : bothComponent(all, withoutComponent(without));
  }

  /** Whether text that matches a pattern somewhere, as a machine; one per pattern. */
  pattern(source: string): Component {
    const known = this.#patterns.get(source);
    if (known) return known;
    const made = this.#expression(this.matches(source));
    this.#patterns.set(source, made);
    return made;
  }

  /** The texts of an expression, as a machine whose states are paid for. */
  #expression(root: Expr): Component {
    const { grammar, formulas } = this.#context;
    return expressionComponent(grammar, root, heads => formulas.step(heads / HEADS_A_STEP));
  }

  /** The texts that hold a match of a pattern. @throws LatheError `regex.invalid`, `regex.unsupported`. */
  matches(source: string): Expr {
    const made = this.#matches.get(source) ?? regexExpr(this.#context.grammar, source, true);
    this.#matches.set(source, made);
    return made;
  }

  /** The product of a formula about strings (over the content) or numbers (over the text). */
  product(formula: Formula, type: number): Product {
    const known = this.#products.get(formula);
    if (known) return known;
    const { grammar, profile, formulas } = this.#context;
    const atoms = atomsOf(formula);
    const written = (): Expr => (profile.plainNumbers && isInteger(formula) ? anyInteger : decimalNumber)(grammar, profile);
    const base = type === STRING ? this.anyText : expressionComponent(grammar, written());
    const { components, questions } = this.#machines(
      base,
      [...atoms.keys()].map(f => (f as Extract<Formula, { kind: "atom" }>).atom),
    );
    const condition: Condition = {
      questions,
      holds: accepts => accepts(0) && holds(formula, f => accepts(1 + atoms.get(f)!)),
      possible: living => living(0) && possible(formula, f => living(1 + atoms.get(f)!)),
    };
    const work = (steps: number): void => formulas.step(steps / 10);
    const made = new Product(components, condition, type === STRING ? allBytes : numberBytes, work, () => formulas.unsure());
    this.#products.set(formula, made);
    return made;
  }

  /** The machines for atoms, behind a first one: texts that are asked for share one, and so do lengths. */
  #machines(base: Component, atoms: readonly Atom[]): { components: Component[]; questions: Question[] } {
    const texts = atoms.filter(a => a.kind === "equal").map(a => a.text);
    const ranges = atoms.filter(a => a.kind === "length");
    const components = [base];
    const panels = {
      equal: texts.length > 1 ? components.push(textsPanel(texts)) - 1 : 0,
      length: ranges.length > 1 ? components.push(lengthsPanel(ranges)) - 1 : 0,
    };
    const asked = { equal: 0, length: 0 };
    const questions = atoms.map((atom): Question => {
      const kind = atom.kind === "equal" || atom.kind === "length" ? atom.kind : undefined;
      if (kind && panels[kind] > 0) return { component: panels[kind], part: asked[kind]++ };
      return { component: components.push(this.#component(atom)) - 1 };
    });
    return { components, questions: [{ component: 0 }, ...questions] };
  }

  #component(atom: Atom): Component {
    const { grammar } = this.#context;
    switch (atom.kind) {
      case "pattern":
        return this.pattern(atom.source);
      case "length":
        return this.#expression(grammar.repeat(chars(grammar, [[0, LAST]]), atom.min, atom.max));
      case "equal":
        return this.#expression(grammar.text(atom.text));
      case "compare":
        return compareComponent(atom.to, atom.ways);
      case "multiple": {
        const { whole, fraction } = atom.of;
        return multipleComponent(Number(whole + fraction), fraction.length);
      }
      case "integer":
        return multipleComponent(1, 0);
      default:
        throw new Error(`no scalar: ${atom.kind}`);
    }
  }

  satisfiable(formula: Formula, type: number): boolean {
    if (formula.kind === "true" || formula.kind === "false") return formula.kind === "true";
    const values = this.#texts(formula, type);
    if (values) return values.length > 0;
    if (lengthOnly(formula)) return true;
    // Expressions leave out what cannot be matched as they are built: one that matches nothing is `fail`.
    const { grammar } = this.#context;
    if (this.#counted && formula.kind === "atom" && formula.atom.kind === "pattern")
      return this.matches(formula.atom.source) !== grammar.fail;
    const product = this.product(formula, type);
    return product.alive(product.start);
  }

  /** The contents of strings, or the texts of numbers, of which the formula is true, if it lists some to choose from. */
  #texts(formula: Formula, type: number): string[] | undefined {
    const known = this.#listed.get(formula);
    if (known) return known;
    const choice = listed(formula, a => (type === STRING ? equalText(a) : equalNumber(a)));
    if (!choice) return undefined;
    const { texts, without } = this.#context.profile.values;
    const held = type === STRING ? choice.values.filter(text => canHold(text, texts, without)) : choice.values;
    const found = held.filter(text => choice.also.every(part => this.#holds(part, text)));
    this.#listed.set(formula, found);
    return found;
  }

  /** Whether a formula is true of a text; the texts that alternatives list are looked up, not compared one by one. */
  #holds(formula: Formula, text: string): boolean {
    this.#context.formulas.step();
    if (formula.kind === "atom") return this.#isTrueOf(formula.atom, text);
    if (formula.kind === "not") return !this.#holds(formula.of, text);
    if (formula.kind === "and") return formula.parts.every(part => this.#holds(part, text));
    if (formula.kind !== "or" && formula.kind !== "one") return formula.kind === "true";
    let sorted = this.#alternatives.get(formula);
    if (!sorted) {
      sorted = { equal: new Map(), other: [] };
      for (const part of formula.parts) {
        const own = part.kind === "atom" ? equalText(part.atom) : undefined;
        if (own === undefined) sorted.other.push(part);
        else sorted.equal.set(own, (sorted.equal.get(own) ?? 0) + 1);
      }
      this.#alternatives.set(formula, sorted);
    }
    let right = sorted.equal.get(text) ?? 0;
    for (const part of sorted.other) if (this.#holds(part, text)) right++;
    return formula.kind === "one" ? right === 1 : right > 0;
  }

  #isTrueOf(atom: Atom, text: string): boolean {
    if (atom.kind === "equal") return atom.text === text;
    return acceptsText(this.#component(atom), encoder.encode(text));
  }

  /** Strings of which the formula is true; `form`: how they are written, if not as values are. */
  string(formula: Formula, form: StringForm = this.#form): Expr {
    const { grammar } = this.#context;
    const { open, close, texts } = form;
    if (formula.kind === "false") return grammar.fail;
    const listed = this.#texts(formula, STRING)?.filter(t => canHold(t, texts));
    const closed = (): Expr => close;
    if (listed)
      return grammar.seq(
        open,
        grammar.literals(
          listed.map(t => between(t, texts)),
          closed,
        ),
      );
    const key = form === this.#form ? "" : `${open.id},${close.id},${texts}`;
    const content = this.#counted && texts !== "raw" ? this.#characters(formula, texts) : undefined;
    if (content) return grammar.lazy(`string ${formula.id}${key}`, () => grammar.seq(open, content(), close));
    const product = this.product(formula, STRING);
    if (!product.alive(product.start)) return grammar.fail;
    return grammar.seq(open, this.#content(product, `${formula.id}${key}`, product.start, form));
  }

  /** What a string holds of which the formula says no more than a range of lengths, or a pattern. */
  #characters(formula: Formula, texts: StringForm["texts"]): (() => Expr) | undefined {
    const { grammar } = this.#context;
    const any = { min: 0, max: Number.POSITIVE_INFINITY };
    const range = formula.kind === "true" ? any : lengthOnly(formula);
    if (range) return () => grammar.repeat(anyChar(grammar, texts), range.min, range.max);
    if (formula.kind !== "atom" || formula.atom.kind !== "pattern") return undefined;
    const { source } = formula.atom;
    return () => regexExpr(grammar, source, true, (g, set) => contentChar(g, set, texts));
  }

  /** What is left of a string, its end with it. */
  #content(product: Product, name: string, state: number, form: StringForm): Expr {
    const { grammar } = this.#context;
    return grammar.lazy(`content ${name}:${state}`, () => {
      const then = (next: number): Expr | undefined => (product.alive(next) ? this.#content(product, name, next, form) : undefined);
      const more = contentByte(grammar, form.texts, byte => product.step(state, byte), then);
      return product.accepts(state) ? grammar.alt(form.close, more) : more;
    });
  }

  /** JSON numbers of which the formula is true. */
  number(formula: Formula): Expr {
    const { grammar, profile } = this.#context;
    if (formula.kind === "false") return grammar.fail;
    if (formula.kind === "true") return anyNumber(grammar, profile);
    if (formula.kind === "atom" && formula.atom.kind === "integer") return anyInteger(grammar, profile);
    const values = profile.plainNumbers && this.#texts(formula, NUMBER);
    if (values) return grammar.literals(values);
    const product = this.product(formula, NUMBER);
    return product.alive(product.start) ? this.#digits(grammar, product, `${formula.id}`, product.start) : grammar.fail;
  }

  #digits(grammar: Grammar, product: Product, name: string, state: number): Expr {
    const accepts = product.accepts(state);
    const define = (): Expr => {
      const parts = numberBytes.map(byte => {
        const next = product.step(state, byte);
        return product.alive(next) ? grammar.seq(grammar.byte(byte), this.#digits(grammar, product, name, next)) : grammar.fail;
      });
      return grammar.alt(accepts ? grammar.empty : grammar.fail, ...parts);
    };
    return grammar.lazy(`number ${name}:${state}`, define, accepts);
  }
}

/** The range of lengths that a formula asks for, whether there is none, and whether it asks for nothing else. */
export function lengthsOf(formula: Formula): { min: number; max: number; empty: boolean; only: boolean } {
  const parts = formula.kind === "and" ? formula.parts : [formula];
  let [min, max, only] = [0, Number.POSITIVE_INFINITY, true];
  for (const part of parts) {
    if (part.kind === "atom" && part.atom.kind === "length") {
      min = Math.max(min, part.atom.min);
      max = Math.min(max, part.atom.max);
    } else only = false;
  }
  return { min, max, empty: max < min, only };
}

/** The range of lengths of a formula that says nothing else. */
function lengthOnly(formula: Formula): { min: number; max: number } | undefined {
  const { min, max, empty, only } = lengthsOf(formula);
  return only && !empty ? { min, max } : undefined;
}

/** Whether the formula allows integers only. */
function isInteger(formula: Formula): boolean {
  const parts = formula.kind === "and" ? formula.parts : [formula];
  return parts.some(p => p.kind === "atom" && p.atom.kind === "integer");
}

const equalText = (atom: Atom): string | undefined => (atom.kind === "equal" ? atom.text : undefined);

/** The shortest text of the number that an atom asks for. */
function equalNumber(atom: Atom): string | undefined {
  if (atom.kind !== "compare" || atom.ways !== EQUAL) return undefined;
  const { negative, whole, fraction } = atom.to;
  return `${negative ? "-" : ""}${whole}${fraction && `.${fraction}`}`;
}
