/** The text of a schema, before anybody reads it. Apart from the compiler so that options can be checked without loading that. */
import { LatheError } from "../../../errors.ts";

const MOST_UNITS = 1_000_000;

export const noJson = (reason: string): LatheError => new LatheError("schema.invalid", `The schema is no JSON: ${reason}.`, { reason });

/** The error for a schema beyond the limits. */
export function tooBig(reason: string): LatheError {
  return new LatheError("grammar.limit", `The schema is too large: ${reason}.`, { reason });
}

/**
 * The JSON text of a schema that is given as a value or as text.
 * @throws LatheError `schema.invalid` where there is none, or too much of it.
 */
export function schemaText(schema: unknown): string {
  let text: string | undefined;
  try {
    text = typeof schema === "string" ? schema : JSON.stringify(schema);
  } catch (e) {
    if (e instanceof RangeError) throw tooBig("it nests too deep");
    throw noJson((e as Error).message.split("\n")[0]);
  }
  if (text === undefined) throw noJson("there is none");
  if (text.length > MOST_UNITS) throw noJson(`it is longer than ${MOST_UNITS} characters`);
  return text;
}
