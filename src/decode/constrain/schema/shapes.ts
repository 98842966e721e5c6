/**
 * One alternative of what an object may be, put in order: which properties it must have, what each property's value must be, what other
 * names it may have. Names that the schema spells are known by their place; of any other name only the answers of the tests count.
 */

import { acceptsText, type Component } from "./components.ts";
import type { Context } from "./context.ts";
import type { Atom, Formula } from "./formula.ts";
import { type NameSet, type NameTest, singleName, testKey } from "./names.ts";
import { tooBig } from "./text.ts";

type Every = Extract<Atom, { kind: "every" | "some" }>;

/** A test of names, as a machine over the name's bytes. */
export type TestMachine = (test: NameTest) => Component;

/** Names that one object may spell: what is known of an object so far has a bit for each. */
const MOST_NAMES = 4_000;

const encoder = new TextEncoder();

export class Shape {
  /** Distinguishes shapes in the names of rules. */
  readonly id: number;
  /** Names that the schema spells, in its order. */
  readonly names: readonly string[];
  readonly index: ReadonlyMap<string, number>;
  /** What a property of that name must be, the name being there. */
  readonly values: readonly Formula[];
  /** By place: whether the name must be there. */
  readonly required: readonly boolean[];
  readonly tests: readonly NameTest[];
  readonly machines: readonly Component[];
  /** Properties that must be there under any of several names. */
  readonly wanted: readonly { readonly names: NameSet; readonly value: Formula }[];
  readonly min: number;
  readonly max: number;
  readonly #context: Context;
  readonly #every: readonly Every[];
  readonly #answers: string[] = [];
  readonly #others = new Map<string, Formula>();

  constructor(id: number, context: Context, atoms: readonly Atom[], order: ReadonlyMap<string, number>, machine: TestMachine) {
    this.id = id;
    this.#context = context;
    const { formulas } = context;
    const about = atoms.filter((a): a is Every => a.kind === "every" || a.kind === "some");
    const counts = atoms.filter(a => a.kind === "count");
    this.min = counts.reduce((m, a) => Math.max(m, a.min), 0);
    this.max = counts.reduce((m, a) => Math.min(m, a.max), Number.POSITIVE_INFINITY);
    this.#every = about.filter(a => a.kind === "every");
    const place = (name: string): number => order.get(name) ?? Number.POSITIVE_INFINITY;
    const mentioned = [...new Set(about.flatMap(a => a.names.names))];
    if (mentioned.length > MOST_NAMES) throw tooBig(`an object has more than ${MOST_NAMES} named properties`);
    this.names = mentioned
      .map((name, i) => [name, i] as const)
      .sort(([a, i], [b, j]) => place(a) - place(b) || i - j)
      .map(([name]) => name);
    this.index = new Map(this.names.map((name, i) => [name, i]));
    const tests = new Map(about.flatMap(a => a.names.tests).map(test => [testKey(test), test]));
    this.tests = [...tests.values()];
    this.machines = this.tests.map(machine);
    const must = about.filter(a => a.kind === "some");
    this.wanted = must.filter(a => singleName(a.names) === undefined);
    const single = new Map<string, Formula[]>();
    const isSimple = (set: NameSet): boolean => !set.others && set.tests.length === 0;
    for (const { kind, names, value } of about) {
      const own = kind === "every" ? isSimple(names) : singleName(names) !== undefined;
      for (const name of own ? names.names : []) single.set(name, [...(single.get(name) ?? []), value]);
    }
    const needed = new Set(must.map(a => singleName(a.names)));
    this.required = this.names.map(name => needed.has(name));
    const manifold = this.#every.filter(a => !isSimple(a.names));
    this.values = this.names.map((name, i) => {
      const answers = this.answersOf(i);
      formulas.step(1 + manifold.length);
      return formulas.and(...manifold.filter(a => this.isIn(a.names, i, answers)).map(a => a.value), ...(single.get(name) ?? []));
    });
  }

  /** The answers of all tests about a name, as text of 0 and 1. */
  answers(name: Uint8Array): string {
    return this.machines.map(machine => Number(acceptsText(machine, name))).join("");
  }

  /** The same about the spelled name at a place. */
  answersOf(place: number): string {
    this.#answers[place] ??= this.answers(encoder.encode(this.names[place]));
    return this.#answers[place];
  }

  /** Whether a name is in a set: by its place (-1: not spelled in the schema) and the tests' answers. */
  isIn(set: NameSet, place: number, answers: string): boolean {
    const found =
      (place >= 0 && set.has(this.names[place])) ||
      set.tests.some(test => answers[this.tests.findIndex(t => testKey(t) === testKey(test))] === "1");
    return found !== set.others;
  }

  /** What the property of a name that the schema does not spell must be, by the tests' answers. */
  other(answers: string): Formula {
    const known = this.#others.get(answers);
    if (known) return known;
    const { formulas } = this.#context;
    const made = formulas.and(...this.#every.filter(a => this.isIn(a.names, -1, answers)).map(a => a.value));
    this.#others.set(answers, made);
    return made;
  }
}
