/** What holds an answer to calls, in place of a schema. */
import type { Gate } from "../decode/constrain/gated.ts";
import type { ConstraintSource } from "../decode/constrain/source.ts";
import type { CallsForm } from "../text/tools/call-forms.ts";
import type { ToolSpec } from "./tools.ts";

export interface HeldOptions {
  /** How many calls may be made; default one. */
  readonly most?: number;
  /** How much of what comes before the first call was written already, in UTF-16 units; default nothing. */
  readonly begun?: number;
  /** Ids of the form's marks that are tokens. */
  readonly marks?: Readonly<Record<string, number>>;
  /** Where calls begin in an answer that may make some; absent: all of it is calls. */
  readonly gate?: Gate;
}

export class HeldCall {
  readonly source: ConstraintSource;
  readonly gate: Gate | undefined;

  /** Calls of some of the tools, written as `form` says. */
  constructor(wanted: readonly ToolSpec[], form: CallsForm, { most = 1, begun = 0, marks = {}, gate }: HeldOptions = {}) {
    // An address of its own for each, so that references inside of it stay there.
    const schemas = wanted.map(
      ({ function: f }) => [f.name, { $id: `json-schema:///tools/${f.name}`, ...(f.parameters ?? { type: "object" }) }] as const,
    );
    const lenient = gate && { lenient: true };
    this.source = { kind: "call", text: JSON.stringify(Object.fromEntries(schemas)), form, most, begun, marks, ...lenient };
    this.gate = gate;
  }
}
