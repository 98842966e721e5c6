/**
 * Objects: a rule for each state of an object that is being written (which properties are there) and for each state of a name. The rules come
 * into being when they are reached, so that any order of any number of properties costs only what is written.
 */
import { LatheError } from "../../../errors.ts";
import type { ValueForm } from "../../../text/tools/call-forms.ts";
import type { Expr } from "../grammar.ts";
import { acceptsText, type Component } from "./components.ts";
import type { Context } from "./context.ts";
import { Cover } from "./cover.ts";
import type { Atom, Formula } from "./formula.ts";
import { contentByte, whitespace } from "./json.ts";
import { type NameClass, NameStates } from "./name-states.ts";
import { Shape, type TestMachine } from "./shapes.ts";

function unsureNames(): LatheError {
  const message = '"minProperties" asks for more properties than the schema names, and unnamed ones could be the same; name more of them.';
  return new LatheError("schema.unsupported", message, { keyword: "minProperties" });
}

/** An object so far. */
interface Members {
  /** By place: bit set where the property is there, or may come no more; behind the last: whether there are others. */
  readonly seen: bigint;
  /** Properties, as far as there may be too many; and those that surely differ, as far as there may be too few. */
  readonly count: number;
  readonly sure: number;
  /** By place in `wanted`: bit set where one was found. */
  readonly found: number;
}

const none: Members = { seen: 0n, count: 0, sure: 0, found: 0 };
/** Names that are written down together; more come into being byte by byte. */
const MOST_TOGETHER = 32;
const encoder = new TextEncoder();

/** How the parts of an object are written. What differs for the first property and later ones is given for both. */
export interface ObjectForm {
  readonly open: Expr;
  readonly close: readonly [first: Expr, later: Expr];
  /** Before a name. */
  readonly name: readonly [first: Expr, later: Expr];
  /** All that follows a name up to the end of its value. */
  value(formula: Formula): Expr;
  /** What names can be written, and how what they are made of is. */
  readonly names: Component;
  readonly nameTexts: ValueForm["texts"];
  /** Where the schema spells names, no others come, whatever it says of them: they would be no parameters. */
  readonly spelledOnly?: boolean;
}

/** That of values. White space before commas and colons is allowed, but models are kept from writing any. */
function valueForm(context: Context, names: Component): ObjectForm {
  const { grammar, profile } = context;
  const blank = whitespace(grammar, profile);
  const before = profile.whitespace === "any" ? blank : grammar.empty;
  const bare = profile.values.names === "bare";
  const quote = bare ? grammar.empty : context.fixed(profile.values.quote);
  return {
    open: grammar.seq(grammar.text("{"), blank),
    close: [grammar.text("}"), grammar.seq(blank, grammar.text("}"))],
    name: [quote, grammar.seq(before, grammar.text(","), blank, quote)],
    value: formula => grammar.seq(quote, before, grammar.text(":"), blank, context.value(formula)),
    names,
    nameTexts: bare ? "raw" : profile.values.texts,
  };
}

export class ObjectRules {
  readonly #context: Context;
  readonly #shape: Shape;
  readonly #names: NameStates;
  readonly #form: ObjectForm;
  readonly #alive = new Map<string, boolean>();
  readonly #known = new Map<string, readonly { readonly value: Formula; readonly next: Members }[]>();
  /** Of objects so far: what tells them apart, which takes long to write where there are many names. */
  readonly #keys = new WeakMap<Members, string>();
  readonly #cover: Cover;
  readonly #requiredMask: bigint;
  /** By place: whether the name can be written. */
  readonly #nameable: readonly boolean[];
  readonly #spelledOnly: boolean;
  readonly #only: boolean;

  /** `only`: the value can be no other object than these. */
  constructor(context: Context, shape: Shape, form: ObjectForm, only: boolean) {
    this.#context = context;
    this.#only = only;
    this.#form = form;
    this.#shape = shape;
    this.#names = new NameStates(
      shape,
      form.names,
      () => context.formulas.step(4),
      () => context.formulas.unsure(),
    );
    this.#spelledOnly = form.spelledOnly === true && shape.names.length > 0;
    this.#nameable = shape.names.map(name => acceptsText(form.names, encoder.encode(name)));
    const findsOther = (allowed: (answers: string) => boolean): boolean =>
      !this.#spelledOnly && this.#names.findsOther(this.#names.start, allowed);
    this.#cover = new Cover(context, shape, this.#nameable, findsOther);
    this.#requiredMask = shape.required.reduce((mask, needed, i) => (needed ? mask | (1n << BigInt(i)) : mask), 0n);
  }

  /** What the values of properties are asked by, names that no test knows included. */
  get valueFormulas(): readonly Formula[] {
    return [...this.#shape.values, this.#shape.other("0".repeat(this.#shape.tests.length))];
  }

  get satisfiable(): boolean {
    const { required, min, max } = this.#shape;
    if (min > max || required.some((r, i) => r && !this.#usable(i))) return false;
    const { sureNames } = this.#context.profile;
    const lacking = min > 0 ? min - this.#available(0n) : 0;
    if (lacking > 0 && !this.#others()) return false;
    if (sureNames && lacking > 1) {
      if (this.#only) throw unsureNames();
      return false; // such objects are left out where there are others
    }
    return this.#feasible(none);
  }

  #usable(place: number): boolean {
    return this.#nameable[place] && this.#context.satisfiable(this.#shape.values[place]);
  }

  /** Spelled names that can still come. */
  #available(seen: bigint): number {
    return this.#shape.names.reduce((n, _, i) => n + Number(!((seen >> BigInt(i)) & 1n) && this.#usable(i)), 0);
  }

  /** The whole object. */
  expr(): Expr {
    return this.#context.grammar.seq(this.#form.open, this.#members(none, true));
  }

  #key(m: Members): string {
    const known = this.#keys.get(m);
    if (known !== undefined) return known;
    const key = `${this.#shape.id}:${m.seen.toString(36)},${m.count},${m.sure},${m.found}`;
    this.#keys.set(m, key);
    return key;
  }

  /** What may follow the opening (`first`) or a value. */
  #members(m: Members, first: boolean): Expr {
    const { grammar } = this.#context;
    return grammar.lazy(`members ${this.#key(m)}${first}`, () => {
      const nth = Number(!first);
      const close = this.#complete(m) ? this.#form.close[nth] : grammar.fail;
      const alive = this.#nameAlive(m, this.#names.start);
      return grammar.alt(close, alive ? grammar.seq(this.#form.name[nth], this.#anyName(m)) : grammar.fail);
    });
  }

  #complete(m: Members): boolean {
    const { min, wanted } = this.#shape;
    return this.#pending(m) === 0 && m.sure >= min && m.found === (1 << wanted.length) - 1;
  }

  /** Required properties that are still to come. */
  #pending(m: Members): number {
    let left = this.#requiredMask & ~m.seen;
    let n = 0;
    for (; left; left &= left - 1n) n++;
    return n;
  }

  /** The object with one property more. */
  #with(m: Members, place: number, found: number): Members {
    const { min, max, names } = this.#shape;
    const { order, sureNames } = this.#context.profile;
    const bit = 1n << BigInt(place < 0 ? names.length : place);
    const counts = !sureNames || (m.seen & bit) === 0n;
    // In the schema's order, what comes before is over.
    const seen = m.seen | bit | (order === "declared" ? bit - 1n : 0n);
    const sure = Math.min(m.sure + Number(counts), min);
    return { seen: sureNames || place >= 0 ? seen : seen & (bit - 1n), count: Number.isFinite(max) ? m.count + 1 : 0, sure, found };
  }

  /** Whether the object can be completed: enough room for what must come, enough names for what is asked for. */
  #feasible(m: Members): boolean {
    const { min, max, names } = this.#shape;
    const { sureNames } = this.#context.profile;
    const wanted = this.#cover.least(m.seen, m.found);
    const must = this.#pending(m) + wanted.more;
    const lacking = Math.max(0, min - m.sure);
    // Properties that might be the same do not count for the least number.
    if (m.count + (wanted.others && sureNames ? must + lacking : Math.max(must, lacking)) > max) return false;
    if (must === Number.POSITIVE_INFINITY) return false;
    const left = lacking > 0 ? lacking - this.#available(m.seen) : 0;
    if (left <= 0) return true;
    const counted = sureNames && ((m.seen >> BigInt(names.length)) & 1n) === 1n;
    return this.#others() && (!sureNames || (!counted && left <= 1));
  }

  /** Each way of counting a property as one of those that are wanted, after which the object can be completed. */
  #ways(m: Members, name: NameClass): readonly { readonly value: Formula; readonly next: Members }[] {
    const key = `${this.#key(m)}:${name.place}:${name.answers}`;
    const known = this.#known.get(key);
    if (known) return known;
    const found = this.#mayCome(m, name.place) ? this.#findWays(m, name) : [];
    if (this.#context.settled) this.#known.set(key, found);
    return found;
  }

  #findWays(m: Members, { place, answers }: NameClass): { value: Formula; next: Members }[] {
    const { formulas } = this.#context;
    const own = place >= 0 ? this.#shape.values[place] : this.#shape.other(answers);
    let ways: { value: Formula; found: number }[] = [{ value: own, found: m.found }];
    this.#shape.wanted.forEach(({ value }, i) => {
      if ((m.found >> i) & 1 || !this.#cover.counts(i, place, answers)) return;
      ways = ways.flatMap(way => [way, { value: formulas.and(way.value, value), found: way.found | (1 << i) }]);
    });
    const all = ways.map(({ value, found }) => ({ value, next: this.#with(m, place, found) }));
    return all.filter(({ value, next }) => this.#feasible(next) && this.#context.satisfiable(value));
  }

  /** Whether a name may stand here: it is not there yet, and comes in its order. */
  #mayCome(m: Members, place: number): boolean {
    const { required } = this.#shape;
    const declared = this.#context.profile.order === "declared";
    if (place < 0) return !declared || this.#pending(m) === 0;
    if ((m.seen >> BigInt(place)) & 1n || !this.#nameable[place]) return false;
    for (let i = 0; declared && i < place; i++) if (required[i] && !((m.seen >> BigInt(i)) & 1n)) return false;
    return true;
  }

  #allows(m: Members, place: number): boolean {
    return this.#ways(m, { place, answers: this.#shape.answersOf(place) }).length > 0;
  }

  #allowsOther(m: Members, answers: string): boolean {
    return this.#ways(m, { place: -1, answers }).length > 0;
  }

  /** Whether names that the schema does not spell may come at all. */
  #others(): boolean {
    if (this.#spelledOnly) return false;
    return this.#remembered("others", () =>
      this.#names.findsOther(this.#names.start, answers => this.#context.satisfiable(this.#shape.other(answers))),
    );
  }

  /** Remembers an answer, unless it is asked for on the way to an answer that it may depend on. */
  #remembered(key: string, find: () => boolean): boolean {
    const known = this.#alive.get(key);
    if (known !== undefined) return known;
    const found = find();
    if (this.#context.settled) this.#alive.set(key, found);
    return found;
  }

  #nameAlive(m: Members, state: number): boolean {
    return this.#remembered(`${this.#key(m)}:${state}`, () => this.#findName(m, state));
  }

  #findName(m: Members, state: number): boolean {
    for (const place of this.#names.places(state)) if (this.#allows(m, place)) return true;
    if (!this.#others() || !this.#mayCome(m, -1)) return false;
    return this.#names.findsOther(state, answers => this.#allowsOther(m, answers));
  }

  /** All names that may come, and what follows them. */
  #anyName(m: Members): Expr {
    const { names } = this.#shape;
    const allowed = this.#others() ? [] : names.map((_, place) => place).filter(place => this.#allows(m, place));
    if (this.#spelledOnly) return this.#spelled(m, allowed);
    // Characters that can be written in more than one way are left to the states.
    const oneWay = (name: string): boolean => this.#form.nameTexts === "raw" || !/[\p{Cc}"\\/]/u.test(name);
    const plain = allowed.length <= MOST_TOGETHER && allowed.every(place => oneWay(names[place]));
    return allowed.length && plain ? this.#spelled(m, allowed) : this.#name(m, this.#names.start);
  }

  /** The names of these places, and what follows each. */
  #spelled(m: Members, places: readonly number[]): Expr {
    const { grammar } = this.#context;
    const { names } = this.#shape;
    const after = (place: number): Expr =>
      grammar.lazy(`after ${this.#key(m)}:${place}`, () => this.#value(m, { place, answers: this.#shape.answersOf(place) }));
    return grammar.literals(
      places.map(place => names[place]),
      i => after(places[i]),
    );
  }

  /** What is left of a name, and what follows it. */
  #name(m: Members, state: number): Expr {
    const { grammar } = this.#context;
    return grammar.lazy(`name ${this.#key(m)}:${state}`, () => {
      const then = (next: number): Expr | undefined => (this.#nameAlive(m, next) ? this.#name(m, next) : undefined);
      const more = contentByte(grammar, this.#form.nameTexts, byte => this.#names.step(state, byte), then);
      const name = this.#names.at(state);
      return name && this.#ways(m, name).length > 0 ? grammar.alt(this.#value(m, name), more) : more;
    });
  }

  /** What follows a property's name. */
  #value(m: Members, name: NameClass): Expr {
    const { grammar } = this.#context;
    return grammar.anyOf(this.#ways(m, name).map(way => grammar.seq(this.#form.value(way.value), this.#members(way.next, false))));
  }
}

/** Makes the rules of each alternative once. */
export class Objects {
  readonly #context: Context;
  readonly #machine: TestMachine;
  readonly #form: ObjectForm;
  readonly #order: ReadonlyMap<string, number>;
  readonly #known = new Map<string, ObjectRules>();

  /** `names`: what names can be. `order`: the place of each that the schema spells. */
  constructor(context: Context, machine: TestMachine, names: Component, order: ReadonlyMap<string, number>) {
    this.#context = context;
    this.#machine = machine;
    this.#form = valueForm(context, names);
    this.#order = order;
  }

  /** `key`: of the alternative, and of `form` where that is not the values' own; `only`: it has none beside it. */
  rules(atoms: readonly Atom[], key: string, only: boolean, form?: ObjectForm): ObjectRules {
    const known = this.#known.get(key);
    if (known) return known;
    this.#context.formulas.step(20);
    const shape = new Shape(this.#known.size, this.#context, atoms, this.#order, this.#machine);
    const made = new ObjectRules(this.#context, shape, form ?? this.#form, only);
    this.#known.set(key, made);
    return made;
  }
}
