/**
 * One call of one of some tools in a form that is no JSON object as a whole: the tool's name, then its arguments: as elements, each between marks of
 * its own, texts as they are and other values as JSON; as a program's literals; or as a JSON object. Which arguments there are and what they may be
 * follows the tool's schema. What a form cannot write never comes; where nothing is left, the schema is refused.
 */
import { LatheError } from "../../../errors.ts";
import { type CallElements, type CallForm, type CallLiterals, jsonValues } from "../../../text/tools/call-forms.ts";
import type { Compiled } from "../constraint.ts";
import type { Expr } from "../grammar.ts";
import { regexExpr } from "../regex.ts";
import { readAsWritten } from "./bare.ts";
import { reader } from "./compile.ts";
import { expressionComponent } from "./components.ts";
import { generating, type Profile } from "./context.ts";
import { ANY, type Formula, STRING } from "./formula.ts";
import { whitespace } from "./json.ts";
import type { ObjectForm } from "./objects.ts";
import { isObject, type JsonObject } from "./references.ts";
import type { Values } from "./values.ts";

/** Characters of a name that those who read elements wait for. */
const LONGEST_NAME = 100;

/** An element's value and what is around it. */
function element(values: Values, form: CallElements, formula: Formula): Expr {
  const { grammar, formulas } = values;
  const { value, before, mark, after } = form;
  const text = values.string(formula, { open: value[0], close: before + mark, texts: "raw" });
  const others = formulas.and(formula, formulas.types(ANY & ~STRING));
  const isOther = values.satisfiable(others);
  const other = isOther ? grammar.seq(grammar.text(value[1]), values.value(others), grammar.text(before + mark)) : grammar.fail;
  return grammar.seq(grammar.alt(text, other), grammar.text(after));
}

function elements(values: Values, form: CallElements): ObjectForm {
  const { grammar } = values;
  const close = grammar.text(form.close);
  const name = grammar.text(form.open);
  // Without what could end a name or begin another mark, in any of the syntaxes, and without blanks around it, which are none of it.
  const inner = '[^\\p{Cc}"<>]';
  const edge = '[^\\s\\p{Cc}"<>]';
  const names = expressionComponent(grammar, regexExpr(grammar, `${edge}(?:${inner}{0,${LONGEST_NAME - 2}}${edge})?`));
  const value = (f: Formula): Expr => element(values, form, f);
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

function profileOf(form: CallForm): Profile {
  if ("is" in form) return { ...generating, values: form.values, whitespace: form.whitespace };
  // The mark of an element's value ends it wherever it stands, in a JSON text as well.
  return "mark" in form ? { ...generating, values: { ...jsonValues, without: form.mark } } : generating;
}

/**
 * @param text JSON text of an object: for each tool's name, the schema of its arguments.
 * @throws LatheError as `compileSchema`, and `schema.unsatisfiable` where a tool cannot be called in this form.
 */
export function compileCall(text: string, form: CallForm): Compiled {
  const schemas = JSON.parse(text) as JsonObject;
  const root = { anyOf: Object.values(schemas).filter(isObject) };
  const read = reader(root, profileOf(form));
  const { values } = read;
  const { grammar } = values;
  const written = "is" in form ? literals(values, form) : "mark" in form ? elements(values, form) : undefined;
  const calls = Object.entries(schemas).map(([name, schema]) => {
    // Marks that say what is a text need no more.
    const unsaid = "mark" in form && form.value[0] === form.value[1] && isObject(schema);
    const also = unsaid ? readAsWritten(values.formulas, schema) : values.formulas.true;
    const call = values.object(values.formulas.and(read.formula(schema), also), written, "call");
    if (call !== grammar.fail) return grammar.seq(grammar.text(name + form.named), call);
    const message = `No arguments of the tool ${name} are valid by its schema, as this model's calls are written.`;
    throw new LatheError("schema.unsatisfiable", message, { name });
  });
  values.formulas.endCompiling();
  return { grammar, root: grammar.anyOf(calls) };
}
