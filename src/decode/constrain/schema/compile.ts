/**
 * From a JSON Schema to a grammar of the texts of its valid values. All keywords of all schemas that the root leads to are read here, so that
 * what cannot be enforced is refused before anything is generated; rules come into being later, as they are reached.
 */
import { LatheError } from "../../../errors.ts";
import type { Compiled } from "../constraint.ts";
import { generating, type Profile } from "./context.ts";
import { ANY, type Formula, TYPES } from "./formula.ts";
import { describing, keywords, type Place, typeOfKeyword, whyRefused } from "./keywords.ts";
import { get, isObject, type Json, type JsonObject, References } from "./references.ts";
import { noJson, schemaText } from "./text.ts";
import { Evaluated } from "./unevaluated.ts";
import { Values } from "./values.ts";

class Reader {
  readonly values: Values;
  readonly #references: References;
  readonly #legacy: boolean;
  /** With types that are implied, and without. */
  readonly #formulas = { implied: new Map<JsonObject, Formula>(), exact: new Map<JsonObject, Formula>() };
  /** By what tells schemas apart: equal ones are one. */
  readonly #alike = new Map<string, Formula>();
  readonly #order = new Map<string, number>();
  readonly #waiting: Formula[] = [];
  readonly #evaluated: Evaluated;
  readonly #profile: Profile;
  /** Where the schema that is being read stands, for messages. */
  readonly #paths = new Map<JsonObject, string>();

  constructor(root: Json, profile: Profile) {
    const dialect = isObject(root) ? get(root, "$schema") : undefined;
    this.#legacy = profile.draft === undefined ? typeof dialect === "string" && /draft-0[4-7]/.test(dialect) : profile.draft === 7;
    this.#profile = profile;
    this.#references = new References(
      root,
      this.#legacy,
      name => keywords.has(name) || describing.has(name) || name.startsWith("unevaluated"),
    );
    this.values = new Values(profile, this.#order);
    if (isObject(root)) this.#paths.set(root, "");
    this.#evaluated = new Evaluated({
      formulas: this.values.formulas,
      of: schema => this.formula(schema, "exact"),
      targets: schema =>
        [get(schema, "$ref"), get(schema, "$recursiveRef")]
          .filter(to => typeof to === "string")
          .map(to => this.#references.resolve(to, schema)),
      unsupported: reason => unsupported("unevaluated...", "", reason),
    });
  }

  /** Reads everything that the root leads to. */
  read(root: Json): Formula {
    const formula = this.formula(root);
    for (let next = this.#waiting.pop(); next; next = this.#waiting.pop()) if (next.kind === "lazy") next.open();
    return formula;
  }

  /**
   * The formula of a schema, read when it is opened, which is before anything is generated. `implied`: a schema that speaks of one type only means
   * that; inside of what is negated, it then is `exact`, so that nothing invalid comes of it.
   */
  formula(schema: Json, mode: "implied" | "exact" = this.#profile.impliedTypes ? "implied" : "exact"): Formula {
    const { formulas } = this.values;
    if (typeof schema === "boolean") return formulas.boolean(schema);
    if (!isObject(schema)) throw new LatheError("schema.invalid", "A schema must be an object, true or false.", {});
    const read = this.#formulas[mode];
    const known = read.get(schema);
    if (known) return known;
    const identity = this.#references.identity(schema);
    const text = identity && mode + identity;
    const made = (text !== undefined && this.#alike.get(text)) || formulas.lazy(`${mode}${read.size}`, () => this.#read(schema, mode));
    if (text !== undefined) this.#alike.set(text, made);
    read.set(schema, made);
    const [exact, implied] = [this.#formulas.exact.get(schema), this.#formulas.implied.get(schema)];
    if (exact && implied) formulas.follows(exact, implied);
    this.#waiting.push(made);
    return made;
  }

  #read(schema: JsonObject, mode: "implied" | "exact"): Formula {
    const { formulas } = this.values;
    const overruled = this.#legacy && typeof get(schema, "$ref") === "string";
    const parts: Formula[] = [];
    for (const [name, value] of Object.entries(schema)) {
      if (overruled && name !== "$ref") continue;
      if (name.startsWith("x-")) continue; // by convention a description
      const place = this.#place(schema, name, mode);
      if (name === "unevaluatedProperties") parts.push(this.#evaluated.properties(schema, place.sub(value, name)));
      else if (name === "unevaluatedItems") parts.push(this.#evaluated.items(schema, place.sub(value, name)));
      else {
        const keyword = keywords.get(name);
        const refused = keyword ? undefined : whyRefused(name);
        if (refused !== undefined) throw unsupported(name, this.#path(schema), refused);
        if (keyword) parts.push(keyword(value, place));
      }
    }
    return formulas.and(...parts, formulas.types(mode === "implied" && !overruled ? impliedTypes(schema) : ANY));
  }

  #path(schema: JsonObject): string {
    return this.#paths.get(schema) ?? "";
  }

  #place(schema: JsonObject, keyword: string, mode: "implied" | "exact"): Place {
    const { formulas } = this.values;
    const path = this.#path(schema);
    const sub = (inner: Json, names: readonly (string | number)[], own: typeof mode): Formula => {
      if (isObject(inner) && !this.#paths.has(inner)) {
        const steps = names.map(n => `/${String(n).replace(/~/g, "~0").replace(/\//g, "~1")}`);
        this.#paths.set(inner, path + steps.join(""));
      }
      if (typeof inner !== "boolean" && !isObject(inner)) throw invalid(keyword, path, "a schema is an object, true or false");
      return this.formula(inner, own);
    };
    return {
      formulas,
      schema,
      assertsFormats: this.#profile.formats === "assert",
      sub: (inner, ...names) => sub(inner, names, mode),
      exactly: (inner, ...names) => sub(inner, names, "exact"),
      reference: to => this.formula(this.#references.resolve(to, schema), mode),
      recursionIsPlain: this.#references.recursionIsPlain,
      mention: name => {
        if (!this.#order.has(name)) this.#order.set(name, this.#order.size);
      },
      checkPattern: source => this.values.checkPattern(source),
      invalid: reason => invalid(keyword, path, reason),
      unsupported: reason => unsupported(keyword, path, reason),
    };
  }
}

/** The type that a schema means that gives none and speaks of one only; all types otherwise. */
function impliedTypes(schema: JsonObject): number {
  let mask = 0;
  for (const name of Object.keys(schema)) {
    const type = typeOfKeyword.get(name);
    if (type !== undefined) mask |= type;
    else if (keywords.has(name) && !describing.has(name)) return ANY;
  }
  return TYPES.includes(mask as (typeof TYPES)[number]) ? mask : ANY;
}

function invalid(keyword: string, pointer: string, reason: string): LatheError {
  return new LatheError("schema.invalid", `"${keyword}" at "${pointer}" of the schema is not valid: ${reason}.`, { keyword, pointer });
}
function unsupported(keyword: string, pointer: string, reason: string): LatheError {
  const message = `"${keyword}" at "${pointer}" of the schema cannot be enforced: ${reason}.`;
  return new LatheError("schema.unsupported", message, { keyword, pointer });
}

/** What a document of schemas says, all of it read: the formula of the document or of a schema in it. @throws as `compileSchema`. */
export function reader(root: Json, profile: Profile): { readonly values: Values; formula(schema: Json): Formula } {
  const made = new Reader(root, profile);
  made.values.explore(made.read(root));
  return { values: made.values, formula: schema => made.formula(schema) };
}

/**
 * @param schema a schema, as a value or as its JSON text.
 * @throws LatheError `schema.invalid`, `schema.unsupported` (naming the keyword), `schema.unsatisfiable`, `regex.invalid`, `regex.unsupported`,
 * `grammar.limit`.
 */
export function compileSchema(schema: unknown, profile: Profile = generating): Compiled {
  const root = plain(schema);
  const { values, formula: of } = reader(root, profile);
  const formula = of(root);
  if (!values.satisfiable(formula))
    throw new LatheError("schema.unsatisfiable", "No value is valid by this schema; some of its keywords contradict others.", {});
  values.formulas.endCompiling();
  const { grammar } = values;
  const blank = values.around();
  return { grammar, root: grammar.seq(blank, values.value(formula), blank) };
}

/** The schema as plain data of limited size. */
function plain(schema: unknown): Json {
  const text = schemaText(schema);
  try {
    return JSON.parse(text) as Json;
  } catch (e) {
    throw noJson((e as Error).message);
  }
}
