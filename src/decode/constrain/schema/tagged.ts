/**
 * Calls of tools that are written as elements: the tool's name, then each argument between marks of its own, texts as they are and other values as JSON.
 * Which arguments there are and what they may be follows the tool's schema; names that it does not spell never come.
 */
import { LatheError } from "../../../errors.ts";
import type { CallElements } from "../../../text/tools/tagged.ts";
import type { Compiled } from "../constraint.ts";
import type { Expr } from "../grammar.ts";
import { reader } from "./compile.ts";
import { generating } from "./context.ts";
import { ANY, type Formula, STRING } from "./formula.ts";
import type { ObjectForm } from "./objects.ts";
import { isObject, type JsonObject } from "./references.ts";
import type { Values } from "./values.ts";

/** The argument's value and what is around it. */
function argument(values: Values, form: CallElements, formula: Formula): Expr {
  const { grammar, formulas } = values;
  const { value, before, mark, after } = form;
  const text = grammar.seq(grammar.text(value[0]), values.rawString(formula, { mark, before }));
  const others = formulas.and(formula, formulas.types(ANY & ~STRING));
  const isOther = values.satisfiable(others);
  const other = isOther ? grammar.seq(grammar.text(value[1]), values.value(others), grammar.text(before + mark)) : grammar.fail;
  return grammar.seq(grammar.alt(text, other), grammar.text(after));
}

function formOf(values: Values, form: CallElements): ObjectForm {
  const { grammar } = values;
  const close = grammar.text(form.close);
  const name = grammar.text(form.open);
  // What could end a name or begin another mark, in any of the syntaxes.
  const unnamed = /[\p{Cc}"<>]/u;
  return { open: grammar.empty, close: [close, close], name: [name, name], value: f => argument(values, form, f), unnamed };
}

/**
 * @param text JSON text of an object: for each tool's name, the schema of its arguments.
 * @throws LatheError as `compileSchema`, and `schema.unsatisfiable` where a tool cannot be called in this form.
 */
export function compileCall(text: string, form: CallElements): Compiled {
  const schemas = JSON.parse(text) as JsonObject;
  const root = { anyOf: Object.values(schemas).filter(isObject) };
  const read = reader(root, generating);
  const { values } = read;
  const { grammar } = values;
  const written = formOf(values, form);
  const calls = Object.entries(schemas).map(([name, schema]) => {
    const call = values.object(read.formula(schema), written, "call");
    if (call !== grammar.fail) return grammar.seq(grammar.text(name + form.named), call);
    const message = `No arguments of the tool ${name} are valid by its schema, as this model's calls are written.`;
    throw new LatheError("schema.unsatisfiable", message, { name });
  });
  values.formulas.endCompiling();
  return { grammar, root: grammar.anyOf(calls) };
}
