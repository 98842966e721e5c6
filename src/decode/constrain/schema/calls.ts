/**
 * Calls of some tools in a family's form: one or several, the marks between them, and each one's name and arguments: as a JSON object, as elements,
 * each between marks of its own, texts as they are and other values as JSON, or as a program's literals. Which arguments there are and what they may be
 * follows the tool's schema. Marks that are tokens are written as these. What a form cannot write never comes; where nothing is left, the schema is
 * refused.
 */
import { LatheError } from "../../../errors.ts";
import {
  type CallElements,
  type CallForm,
  type CallJson,
  type CallLiterals,
  type CallsForm,
  jsonValues,
  openingOf,
} from "../../../text/tools/call-forms.ts";
import type { Compiled } from "../constraint.ts";
import type { Expr } from "../grammar.ts";
import type { MarkIds } from "../marks.ts";
import { regexExpr } from "../regex.ts";
import { readAsWritten } from "./bare.ts";
import { reader } from "./compile.ts";
import { expressionComponent } from "./components.ts";
import { generating, type Profile } from "./context.ts";
import { ANY, type Formula, STRING } from "./formula.ts";
import { whitespace } from "./json.ts";
import type { ObjectForm } from "./objects.ts";
import type { JsonObject } from "./references.ts";
import type { Values } from "./values.ts";

export interface Calls {
  /** JSON text of an object: for each tool's name, the schema of its arguments. */
  readonly text: string;
  readonly form: CallsForm;
  /** How many calls may be made; one at least is. */
  readonly most: number;
  /** How much of what comes before the first call was written already, in UTF-16 units. */
  readonly begun: number;
  /** Marks of the form that are tokens. */
  readonly marks: MarkIds;
  /** A tool whose schema cannot be enforced takes any object, in place of an error. */
  readonly lenient?: boolean;
}

/** Characters of a name that those who read elements wait for. */
const LONGEST_NAME = 100;

/** Writes the fixed texts of a form. */
type Write = (text: string) => Expr;

/** An element's value and what is around it. */
function element(values: Values, form: CallElements, write: Write, formula: Formula): Expr {
  const { grammar, formulas } = values;
  const { value, before, mark, after } = form;
  const close = write(before + mark);
  const text = values.string(formula, { open: write(value[0]), close, texts: "raw" });
  const others = formulas.and(formula, formulas.types(ANY & ~STRING));
  const other = values.satisfiable(others) ? grammar.seq(write(value[1]), values.value(others), close) : grammar.fail;
  return grammar.seq(grammar.alt(text, other), write(after));
}

function elements(values: Values, form: CallElements, write: Write): ObjectForm {
  const { grammar } = values;
  const close = write(form.close);
  const name = write(form.open);
  // Without what could end a name or begin another mark, in any of the syntaxes, and without blanks around it, which are none of it.
  const inner = '[^\\p{Cc}"<>]';
  const edge = '[^\\s\\p{Cc}"<>]';
  const names = expressionComponent(grammar, regexExpr(grammar, `${edge}(?:${inner}{0,${LONGEST_NAME - 2}}${edge})?`));
  const value = (f: Formula): Expr => element(values, form, write, f);
  return { open: grammar.empty, close: [close, close], name: [name, name], value, names, nameTexts: "raw", spelledOnly: true };
}

function literals(values: Values, form: CallLiterals): ObjectForm {
  const { grammar, profile } = values;
  const close = grammar.text(form.close);
  const comma = grammar.seq(grammar.text(","), whitespace(grammar, profile));
  const value = (f: Formula): Expr => grammar.seq(grammar.text(form.is), values.value(f));
  const names = values.identifiers;
  return { open: grammar.empty, close: [close, close], name: [grammar.empty, comma], value, names, nameTexts: "raw", spelledOnly: true };
}

function profileOf(form: CallForm, marks: MarkIds): Profile {
  const base = { ...generating, marks };
  if ("is" in form) return { ...base, values: form.values, whitespace: form.whitespace };
  // The mark of an element's value ends it wherever it stands, in a JSON text as well.
  return "mark" in form ? { ...base, values: { ...jsonValues, without: form.mark } } : base;
}

/** The schema of a JSON object that is a call of the tool. */
function callSchema(name: string, schema: JsonObject, { keys: [nameKey, argumentsKey], counted }: CallJson): JsonObject {
  const number: JsonObject = counted === undefined ? {} : { [counted]: { type: "string", pattern: "^[0-9]{1,3}$" } };
  const properties: JsonObject = { ...number, [nameKey]: { const: name }, [argumentsKey]: schema };
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** The calls of each tool, from its name on. @throws LatheError schema.* */
function callsOf(schemas: Schemas, form: CallForm, marks: MarkIds, loose: boolean) {
  const whole = schemas.map(([name, schema]) => ("keys" in form ? callSchema(name, schema, form) : schema));
  const { values, formula } = reader({ anyOf: whole }, profileOf(form, marks));
  const { grammar } = values;
  const write: Write = text => {
    const parts = loose ? text.split("\n") : [text];
    return grammar.seq(...parts.flatMap((part, i) => [...(i > 0 ? [grammar.optional(grammar.text("\n"))] : []), values.fixed(part)]));
  };
  const written = "is" in form ? literals(values, form) : "mark" in form ? elements(values, form, write) : undefined;
  const calls = schemas.map(([name, schema], i) => {
    // Marks that say what is a text need no more.
    const unsaid = "mark" in form && form.value[0] === form.value[1];
    const also = unsaid ? readAsWritten(values.formulas, schema) : values.formulas.true;
    const call = values.object(values.formulas.and(formula(whole[i]), also), written, "call");
    if (call === grammar.fail) {
      const message = `No arguments of the tool ${name} are valid by its schema, as this model's calls are written.`;
      throw new LatheError("schema.unsatisfiable", message, { name });
    }
    if ("keys" in form) return call;
    if ("keyed" in form) return grammar.seq(grammar.text(`{${JSON.stringify(name)}: `), call, grammar.text("}"));
    const counted = "counted" in form && form.counted !== undefined;
    const number = counted ? grammar.seq(write(form.counted!), regexExpr(grammar, "[0-9]{1,3}")) : grammar.empty;
    return grammar.seq(grammar.text(name), number, write(form.named), call);
  });
  values.formulas.endCompiling();
  return { values, write, one: grammar.anyOf(calls) };
}

/** @throws LatheError as `compileSchema`, and `schema.unsatisfiable` where a tool cannot be called in this form. */
export function compileCalls({ text, lenient, ...calls }: Calls): Compiled {
  const schemas = Object.entries(JSON.parse(text) as Record<string, JsonObject>);
  try {
    return compiled(schemas, calls);
  } catch (e) {
    if (!lenient || isLimit(e)) throw e;
    return compiled(
      schemas.map(([name, schema]) => [name, canBeCalled(name, schema, calls) ? schema : { type: "object" }]),
      calls,
    );
  }
}

type Schemas = readonly (readonly [string, JsonObject])[];
type Form = Omit<Calls, "text" | "lenient">;

const isLimit = (e: unknown): boolean => !(e instanceof LatheError) || e.code === "grammar.limit";

function canBeCalled(name: string, schema: JsonObject, calls: Form): boolean {
  try {
    compiled([[name, schema]], calls);
    return true;
  } catch (e) {
    if (isLimit(e)) throw e;
    return false;
  }
}

function compiled(schemas: Schemas, { form, most, begun, marks }: Form): Compiled {
  const { values, write, one } = callsOf(schemas, form.call, marks, form.loose ?? false);
  const { grammar, profile } = values;
  const { begin, between, end, close = "", list } = form;
  const opening = openingOf(form).slice(begun);
  const several = (next: Expr): Expr => grammar.repeat(grammar.seq(next, one), 0, most - 1);
  const blank = whitespace(grammar, profile);
  const inList = grammar.seq(grammar.text("["), blank, one, several(grammar.seq(grammar.text(","), blank)), blank, grammar.text("]"));
  const rest =
    list === "always"
      ? inList
      : list && most > 1
        ? grammar.alt(one, inList)
        : between === undefined
          ? one
          : grammar.seq(one, several(write(end + between + begin)));
  return { grammar, root: grammar.seq(write(opening), list === "always" ? blank : grammar.empty, rest, write(end + close)) };
}
