/** What holds an answer to a call that is no JSON text as a whole, in place of a schema. */
import type { ConstraintSource } from "../decode/constrain/source.ts";
import type { CallForm } from "../text/tools/call-forms.ts";
import type { ToolSpec } from "./tools.ts";

export class HeldCall {
  readonly source: ConstraintSource;

  /** A call of one of the tools, written as `form` says. */
  constructor(wanted: readonly ToolSpec[], form: CallForm) {
    // An address of its own for each, so that references inside of it stay there.
    const schemas = wanted.map(
      ({ function: f }) => [f.name, { $id: `json-schema:///tools/${f.name}`, ...(f.parameters ?? { type: "object" }) }] as const,
    );
    this.source = { kind: "call", text: JSON.stringify(Object.fromEntries(schemas)), form };
  }
}
