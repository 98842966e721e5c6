/**
 * Arrays. Where only places and lengths matter, a sequence with a counted rest; where items are counted by what they are (contains) or must
 * differ, a rule for each state of the counting.
 */
import type { Expr } from "../grammar.ts";
import { type Context, unsupported } from "./context.ts";
import { type ArrayShape, Counting } from "./counting.ts";
import { Distinct } from "./distinct.ts";
import type { Atom, Formula } from "./formula.ts";
import { whitespace } from "./json.ts";

type Placed = Extract<Atom, { kind: "item" | "has" | "rest" }>;

const infinite = Number.POSITIVE_INFINITY;
/** Places of which a schema may speak one by one. */
const MOST_PLACES = 4096;

/** One alternative of what an array may be, and what is known of it for good. */
class ArrayRules {
  readonly #context: Context;
  readonly #blank: Expr;
  readonly #key: string;
  readonly #said: Omit<ArrayShape, "most"> & { readonly max: number };
  #shape: ArrayShape | undefined;
  #counting: Counting | undefined;
  #distinct: Distinct | undefined;

  constructor(context: Context, atoms: readonly Atom[], key: string) {
    this.#context = context;
    this.#blank = whitespace(context.grammar, context.profile);
    this.#key = key;
    const { formulas } = context;
    const about = atoms.filter((a): a is Placed => a.kind === "item" || a.kind === "has" || a.kind === "rest");
    const places = about.reduce((n, a) => Math.max(n, a.kind === "rest" ? a.at : a.at + 1), 0);
    if (places > MOST_PLACES) throw unsupported("prefixItems", `it names more than ${MOST_PLACES} places`);
    const at = (i: number): Formula => formulas.and(...about.filter(a => (a.kind === "rest" ? a.at <= i : a.at === i)).map(a => a.value));
    const lengths = atoms.filter(a => a.kind === "items");
    const has = about.filter(a => a.kind === "has").map(a => a.at + 1);
    this.#said = {
      first: Array.from({ length: places }, (_, i) => at(i)),
      rest: at(places),
      min: Math.max(0, ...lengths.map(a => a.min), ...has),
      max: Math.min(infinite, ...lengths.map(a => a.max)),
      contains: atoms.filter(a => a.kind === "contains"),
      unique: atoms.some(a => a.kind === "unique"),
    };
  }

  /** Kept once it does not depend on questions that are open. */
  #current(): ArrayShape {
    if (this.#shape) return this.#shape;
    const { first, rest, max } = this.#said;
    const bad = max > 0 ? first.findIndex(v => !this.#context.satisfiable(v)) : -1;
    const room = bad >= 0 ? bad : max <= first.length || this.#context.satisfiable(rest) ? infinite : first.length;
    const shape = { ...this.#said, most: Math.min(max, room) };
    if (this.#context.settled) this.#shape = shape;
    return shape;
  }

  #counted(shape: ArrayShape): Counting {
    if (this.#counting) return this.#counting;
    const made = new Counting(this.#context, shape);
    if (this.#context.settled) this.#counting = made;
    return made;
  }

  #told(shape: ArrayShape): Distinct | undefined {
    if (!shape.unique || shape.most < 2) return undefined;
    if (this.#distinct) return this.#distinct;
    const made = new Distinct(this.#context, shape);
    if (this.#context.settled) this.#distinct = made;
    return made;
  }

  /** What items are asked by. Refuses what cannot be counted. */
  get valueFormulas(): readonly Formula[] {
    const shape = this.#current();
    this.#told(shape);
    return [...shape.first, shape.rest, ...shape.contains.map(c => c.value)];
  }

  get satisfiable(): boolean {
    const shape = this.#current();
    if (shape.min > shape.most) return false;
    const distinct = this.#told(shape);
    const none = shape.contains.map(() => 0);
    if (distinct) return distinct.live(distinct.start, none);
    return shape.contains.length === 0 || this.#counted(shape).live(0, none);
  }

  /** The whole array. */
  expr(): Expr {
    const { grammar } = this.#context;
    const shape = this.#current();
    if (!this.satisfiable) return grammar.fail;
    const open = grammar.seq(grammar.text("["), this.#blank);
    const distinct = this.#told(shape);
    if (distinct) return grammar.seq(open, this.#chosen(shape, distinct));
    return grammar.seq(open, shape.contains.length > 0 ? this.#found(shape, this.#counted(shape)) : this.#plain(shape));
  }

  #comma(): Expr {
    const { grammar, profile } = this.#context;
    return grammar.seq(profile.whitespace === "any" ? this.#blank : grammar.empty, grammar.text(","), this.#blank);
  }
  #close(): Expr {
    const { grammar } = this.#context;
    return grammar.text("]");
  }

  #plain({ first, rest, min, most }: ArrayShape): Expr {
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

  /** An array so far: it may end if it is `complete`, and `next` is what may come, a comma before it left out. */
  #so(far: string, complete: boolean, length: number, next: () => Expr): Expr {
    const { grammar } = this.#context;
    return grammar.lazy(`items ${this.#key}:${far}`, () => {
      const close = complete ? this.#close() : grammar.fail;
      if (length === 0) return grammar.alt(close, next());
      return grammar.alt(grammar.seq(this.#blank, close), grammar.seq(this.#comma(), next()));
    });
  }

  /** Rules by how many items there are and were found, as far as that matters. */
  #found({ contains, min, most, first }: ArrayShape, counting: Counting): Expr {
    const { grammar } = this.#context;
    const clamp = Math.max(1, Number.isFinite(most) ? most : min, first.length, ...contains.map(c => c.at));
    const items = (length: number, found: readonly number[]): Expr =>
      this.#so(`${length},${found}`, counting.complete(length, found), length, () => {
        const ways = counting.next(length, found);
        const after = Math.min(length + 1, clamp);
        return grammar.anyOf(ways.map(way => grammar.seq(this.#context.value(way.value), items(after, way.found))));
      });
    return items(
      0,
      contains.map(() => 0),
    );
  }

  /** Rules by which values are there. */
  #chosen(shape: ArrayShape, distinct: Distinct): Expr {
    const { grammar } = this.#context;
    const { values } = distinct;
    const items = (length: number, used: string, found: readonly number[]): Expr =>
      this.#so(`${used},${found}`, distinct.complete(length, found), length, () => {
        const parts = distinct.next(used, found).map(({ index, found }) => {
          const after = items(length + 1, `${used.slice(0, index)}1${used.slice(index + 1)}`, found);
          return grammar.seq(this.#context.value(values[index]), after);
        });
        return grammar.anyOf(parts);
      });
    return items(
      0,
      "0".repeat(values.length),
      shape.contains.map(() => 0),
    );
  }
}

/** Makes the rules of each alternative once. */
export class Arrays {
  readonly #context: Context;
  readonly #known = new Map<string, ArrayRules>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** `key`: of the alternative. */
  rules(atoms: readonly Atom[], key: string): ArrayRules {
    const known = this.#known.get(key);
    if (known) return known;
    const made = new ArrayRules(this.#context, atoms, key);
    this.#known.set(key, made);
    return made;
  }
}
