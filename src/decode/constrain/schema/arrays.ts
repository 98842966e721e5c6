/**
 * Arrays. Where only places and lengths matter, a sequence with a counted rest; where items are counted by what they are (contains) or must
 * differ, a rule for each state of the counting.
 */
import { LatheError } from "../../../errors.ts";
import type { Expr } from "../grammar.ts";
import type { Context } from "./context.ts";
import { type Atom, BOOLEAN, EQUAL, type Formula, NULL, NUMBER, STRING, TYPES } from "./formula.ts";
import { whitespace } from "./json.ts";

type Placed = Extract<Atom, { kind: "item" | "has" | "rest" }>;
type Contains = Extract<Atom, { kind: "contains" }>;

/** One alternative of what an array may be. */
interface ArrayShape {
  /** What each of the first items must be, the item being there. */
  readonly first: readonly Formula[];
  readonly rest: Formula;
  readonly min: number;
  readonly max: number;
  readonly contains: readonly Contains[];
  readonly unique: boolean;
}

/** An array so far: items, as far as places and lengths count them; by `contains`: items found; by value: whether it is there. */
interface Items {
  readonly length: number;
  readonly found: readonly number[];
  readonly used: string;
}

const infinite = Number.POSITIVE_INFINITY;
/** Places of which a schema may speak one by one. */
const MOST_PLACES = 4096;
const MOST_CONTAINS = 4;
/** Different values among which unique items may be chosen. */
const MOST_VALUES = 64;

const unsupported = (keyword: string, reason: string): LatheError =>
  new LatheError("schema.unsupported", `The keyword "${keyword}" cannot be enforced here: ${reason}.`, { keyword });

export class Arrays {
  readonly #context: Context;
  readonly #blank: Expr;

  constructor(context: Context) {
    this.#context = context;
    this.#blank = whitespace(context.grammar, context.profile);
  }

  #shape(atoms: readonly Atom[]): ArrayShape {
    const { formulas } = this.#context;
    const about = atoms.filter((a): a is Placed => a.kind === "item" || a.kind === "has" || a.kind === "rest");
    const places = about.reduce((n, a) => Math.max(n, a.kind === "rest" ? a.at : a.at + 1), 0);
    if (places > MOST_PLACES) throw unsupported("prefixItems", `it names more than ${MOST_PLACES} places`);
    const at = (i: number): Formula => formulas.and(...about.filter(a => (a.kind === "rest" ? a.at <= i : a.at === i)).map(a => a.value));
    const lengths = atoms.filter(a => a.kind === "items");
    const has = about.filter(a => a.kind === "has").map(a => a.at + 1);
    return {
      first: Array.from({ length: places }, (_, i) => at(i)),
      rest: at(places),
      min: Math.max(0, ...lengths.map(a => a.min), ...has),
      max: Math.min(infinite, ...lengths.map(a => a.max)),
      contains: atoms.filter(a => a.kind === "contains"),
      unique: atoms.some(a => a.kind === "unique"),
    };
  }

  /** Items that can be there: up to the first place of which nothing is valid. */
  #most(shape: ArrayShape): number {
    const bad = shape.first.findIndex(v => !this.#context.satisfiable(v));
    const room = bad >= 0 ? bad : this.#context.satisfiable(shape.rest) ? infinite : shape.first.length;
    return Math.min(shape.max, room);
  }

  /** What items are asked by. Refuses what cannot be counted. */
  valueFormulas(atoms: readonly Atom[]): readonly Formula[] {
    const shape = this.#shape(atoms);
    this.#values(shape, this.#most(shape));
    return [...shape.first, shape.rest, ...shape.contains.map(c => c.value)];
  }

  /** Refuses more counters than can be kept; the values to tell apart, where items must differ. */
  #values(shape: ArrayShape, most: number): Formula[] {
    if (shape.contains.length > MOST_CONTAINS) throw unsupported("contains", `there are more than ${MOST_CONTAINS} for one array`);
    return shape.unique && most > 1 ? this.#finite(shape) : [];
  }

  satisfiable(atoms: readonly Atom[]): boolean {
    const shape = this.#shape(atoms);
    const most = this.#most(shape);
    const { formulas } = this.#context;
    const canFind = ({ at, value, min }: Contains): boolean =>
      [...shape.first, shape.rest].some(
        (own, i) => i < most && (i >= at || i === shape.first.length) && this.#context.satisfiable(formulas.and(own, value)),
      ) && min <= most;
    return shape.min <= most && shape.contains.every(c => c.min === 0 || canFind(c));
  }

  /** The whole array. */
  expr(atoms: readonly Atom[], key: string): Expr {
    const { grammar } = this.#context;
    const shape = this.#shape(atoms);
    const most = this.#most(shape);
    const open = grammar.seq(grammar.text("["), this.#blank);
    if (most < shape.min) return grammar.fail;
    if (shape.contains.length > 0 || (shape.unique && most > 1)) return grammar.seq(open, this.#counted(shape, most, key));
    return grammar.seq(open, this.#plain(shape, most));
  }

  #comma(): Expr {
    const { grammar, profile } = this.#context;
    return grammar.seq(profile.whitespace === "any" ? this.#blank : grammar.empty, grammar.text(","), this.#blank);
  }
  #close(): Expr {
    const { grammar } = this.#context;
    return grammar.text("]");
  }

  #plain({ first, rest, min }: ArrayShape, most: number): Expr {
    const { grammar } = this.#context;
    const comma = this.#comma();
    const own = first.slice(0, most);
    const item = (i: number, value: Formula): Expr => grammar.seq(i === 0 ? grammar.empty : comma, this.#context.value(value));
    let tail: Expr = grammar.empty;
    if (most > own.length) {
      const n = own.length;
      const more = (from: number): Expr =>
        grammar.repeat(grammar.seq(comma, this.#context.value(rest)), Math.max(0, min - from), most - from);
      tail = n > 0 ? more(n) : grammar.seq(item(0, rest), more(1));
      if (n === 0 && min === 0) tail = grammar.optional(tail);
    }
    for (let i = own.length - 1; i >= 0; i--) {
      tail = grammar.seq(item(i, own[i]), tail);
      if (i >= min) tail = grammar.optional(tail);
    }
    const nonEmpty = grammar.seq(tail, this.#blank, this.#close());
    return min === 0 ? grammar.alt(this.#close(), nonEmpty) : nonEmpty;
  }

  /** Rules by how many items were found. */
  #counted(shape: ArrayShape, most: number, key: string): Expr {
    const { grammar } = this.#context;
    const { contains, min, max, first } = shape;
    const values = this.#values(shape, most);
    const clamp = Math.max(1, Number.isFinite(max) ? max : min, first.length, ...contains.map(c => c.at));
    const complete = (s: Items): boolean => s.length >= min && contains.every((c, i) => s.found[i] >= c.min);
    const items = (s: Items): Expr =>
      grammar.lazy(`items ${key}:${s.length},${s.found.join()},${s.used}`, () => {
        const close = complete(s) ? this.#close() : grammar.fail;
        const next = s.length < most && this.#roomFor(shape, s, most) ? this.#next(shape, s, clamp, values, items) : grammar.fail;
        if (s.length === 0) return grammar.alt(close, next);
        return grammar.alt(grammar.seq(this.#blank, close), grammar.seq(this.#comma(), next));
      });
    return items({ length: 0, found: contains.map(() => 0), used: "0".repeat(values.length) });
  }

  /** Whether what is missing still fits. */
  #roomFor({ contains }: ArrayShape, s: Items, most: number): boolean {
    return contains.every((c, i) => c.min - s.found[i] <= most - s.length);
  }

  /** One item and what follows: each way of counting it. */
  #next(shape: ArrayShape, s: Items, clamp: number, values: readonly Formula[], items: (s: Items) => Expr): Expr {
    const { grammar, formulas } = this.#context;
    const own = s.length < shape.first.length ? shape.first[s.length] : shape.rest;
    let ways: { value: Formula; found: number[] }[] = [{ value: own, found: [...s.found] }];
    shape.contains.forEach((c, i) => {
      if (s.length < c.at) return;
      const bounded = Number.isFinite(c.max);
      ways = ways.flatMap(way => {
        const not = bounded ? { value: formulas.and(way.value, formulas.not(c.value)), found: way.found } : way;
        if (bounded && way.found[i] >= c.max) return [not];
        const count = bounded ? way.found[i] + 1 : Math.min(way.found[i] + 1, c.min);
        return [not, { value: formulas.and(way.value, c.value), found: way.found.with(i, count) }];
      });
    });
    const length = Math.min(s.length + 1, clamp);
    const parts: Expr[] = [];
    for (const { value, found } of ways) {
      const go = (v: Formula, used: string): void => {
        if (this.#context.satisfiable(v)) parts.push(grammar.seq(this.#context.value(v), items({ length, found, used })));
      };
      if (values.length === 0) go(value, s.used);
      values.forEach((v, i) => {
        if (s.used[i] === "0") go(formulas.and(value, v), `${s.used.slice(0, i)}1${s.used.slice(i + 1)}`);
      });
    }
    return grammar.anyOf(parts);
  }

  /** The values that items can have, if they are few. */
  #finite({ first, rest }: ArrayShape): Formula[] {
    const { formulas } = this.#context;
    const found = new Set<Formula>();
    const refuse = (): LatheError =>
      unsupported("uniqueItems", "only items out of a list of constants can be kept apart, or set maxItems to 1");
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
    for (const value of [...first, rest]) {
      for (const type of TYPES) {
        const own = this.#context.under(value, type);
        if (own.kind === "false") continue;
        if (type !== NULL && type !== BOOLEAN && type !== NUMBER && type !== STRING) throw refuse();
        add(own, type);
      }
    }
    if (found.size > MOST_VALUES) throw unsupported("uniqueItems", `there are more than ${MOST_VALUES} different items`);
    return [...found];
  }
}

function isConstant(atom: Atom): boolean {
  return atom.kind === "equal" || (atom.kind === "compare" && atom.ways === EQUAL);
}
