/**
 * `unevaluatedProperties` and `unevaluatedItems`: which properties and items count as evaluated depends on which subschemas are valid. Each way
 * of their being valid is a case with its own set; the keyword then says its part in each of them.
 */
import type { Formula, Formulas } from "./formula.ts";
import { type NameTest, nameSet } from "./names.ts";
import { get, isObject, type Json, type JsonObject } from "./references.ts";

/** One way in which a schema is valid, and what it then has evaluated. */
interface Case {
  readonly formula: Formula;
  readonly names: readonly string[];
  readonly tests: readonly NameTest[];
  /** Items before this place; Infinity for all. */
  readonly items: number;
  /** Items of which one of these is true. */
  readonly contained: readonly Formula[];
  readonly allNames: boolean;
}

/** What is needed of the schemas. */
export interface Schemas {
  readonly formulas: Formulas;
  /** The formula of a schema. */
  of(schema: Json): Formula;
  /** What the references of a schema lead to. */
  targets(schema: JsonObject): readonly Json[];
  unsupported(reason: string): Error;
}

const MOST_CASES = 64;
const MOST_DEPTH = 32;

export class Evaluated {
  readonly #schemas: Schemas;

  constructor(schemas: Schemas) {
    this.#schemas = schemas;
  }

  /** What a schema with `unevaluatedProperties: value` adds to its other keywords. */
  properties(schema: JsonObject, value: Formula): Formula {
    const { formulas: f } = this.#schemas;
    const rest = (c: Case): Formula => (c.allNames ? f.true : f.every(nameSet(c.names, c.tests, true), value));
    return f.or(...this.#cases(schema, 0).map(c => f.and(c.formula, rest(c))));
  }

  items(schema: JsonObject, value: Formula): Formula {
    const { formulas: f } = this.#schemas;
    const rest = (c: Case): Formula =>
      c.items === Number.POSITIVE_INFINITY ? f.true : f.item("rest", c.items, f.or(value, ...c.contained));
    return f.or(...this.#cases(schema, 0).map(c => f.and(c.formula, rest(c))));
  }

  /** The cases of a schema; their formulas joined by "or" say no more than the schema does. */
  #cases(schema: Json, depth: number): Case[] {
    const { formulas: f } = this.#schemas;
    if (depth > MOST_DEPTH) throw this.#schemas.unsupported("the schemas beside it refer to each other in a circle");
    if (!isObject(schema)) return [this.#bare(this.#schemas.of(schema))];
    let cases = [this.#own(schema, depth)];
    const also = (more: Case[]): void => {
      cases = cases.flatMap(a => more.map(b => join(f, a, b)));
      if (cases.length > MOST_CASES) throw this.#schemas.unsupported("there are too many ways in which the schemas beside it can be valid");
    };
    for (const target of this.#schemas.targets(schema)) also(this.#cases(target, depth + 1));
    const lists = (keyword: string): Json[] => (get(schema, keyword) as Json[] | undefined) ?? [];
    for (const part of lists("allOf")) also(this.#cases(part, depth + 1));
    if (get(schema, "anyOf") !== undefined) also(this.#some(lists("anyOf"), depth, n => n >= 1));
    if (get(schema, "oneOf") !== undefined) also(this.#some(lists("oneOf"), depth, n => n === 1));
    const condition = get(schema, "if");
    if (condition !== undefined) {
      const branch = (keyword: string): Case[] => this.#cases(get(schema, keyword) ?? true, depth + 1);
      const yes = this.#cases(condition, depth + 1).flatMap(a => branch("then").map(b => join(f, a, b)));
      const no = branch("else").map(b => join(f, this.#bare(f.not(this.#schemas.of(condition))), b));
      also([...yes, ...no]);
    }
    const dependent = get(schema, "dependentSchemas");
    for (const [name, then] of isObject(dependent) ? Object.entries(dependent) : []) {
      const there = this.#bare(f.some(nameSet([name]), f.true));
      const notThere = this.#bare(f.not(f.some(nameSet([name]), f.true)));
      also([notThere, ...this.#cases(then, depth + 1).map(c => join(f, there, c))]);
    }
    return cases;
  }

  /** Every choice of so many of the parts that are valid, the others not. */
  #some(parts: readonly Json[], depth: number, allowed: (valid: number) => boolean): Case[] {
    const { formulas: f } = this.#schemas;
    let chosen: { case: Case; valid: number }[] = [{ case: this.#bare(f.true), valid: 0 }];
    for (const part of parts) {
      const yes = this.#cases(part, depth + 1);
      const no = this.#bare(f.not(this.#schemas.of(part)));
      chosen = chosen.flatMap(c => [
        { case: join(f, c.case, no), valid: c.valid },
        ...yes.map(y => ({ case: join(f, c.case, y), valid: c.valid + 1 })),
      ]);
      if (chosen.length > 4 * MOST_CASES) throw this.#schemas.unsupported("there are too many alternatives beside it");
    }
    return chosen.filter(c => allowed(c.valid) && c.case.formula !== f.false).map(c => c.case);
  }

  #bare(formula: Formula): Case {
    return { formula, names: [], tests: [], items: 0, contained: [], allNames: false };
  }

  /** What the keywords of the schema itself evaluate. Its assertions are in the formulas of the whole. */
  #own(schema: JsonObject, depth: number): Case {
    const { formulas: f } = this.#schemas;
    const keys = (keyword: string): string[] => {
      const value = get(schema, keyword);
      return isObject(value) ? Object.keys(value) : [];
    };
    const prefix = get(schema, "prefixItems");
    const items = get(schema, "items");
    const contains = get(schema, "contains");
    const has = (keyword: string): boolean => get(schema, keyword) !== undefined;
    const inner = depth > 0; // of the schema with the keyword itself, only what it says of others counts
    const first = Array.isArray(items) ? items : Array.isArray(prefix) ? prefix : [];
    const all = (items !== undefined && !Array.isArray(items)) || has("additionalItems") || (inner && has("unevaluatedItems"));
    return {
      formula: inner ? this.#schemas.of(schema) : f.true,
      names: keys("properties"),
      tests: keys("patternProperties").map(source => ({ kind: "pattern", source })),
      items: all ? Number.POSITIVE_INFINITY : first.length,
      contained: contains === undefined ? [] : [this.#schemas.of(contains)],
      allNames: has("additionalProperties") || (inner && has("unevaluatedProperties")),
    };
  }
}

function join(formulas: Formulas, a: Case, b: Case): Case {
  return {
    formula: formulas.and(a.formula, b.formula),
    names: [...a.names, ...b.names],
    tests: [...a.tests, ...b.tests],
    items: Math.max(a.items, b.items),
    contained: [...a.contained, ...b.contained],
    allNames: a.allNames || b.allNames,
  };
}
