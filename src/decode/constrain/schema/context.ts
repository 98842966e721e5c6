/** What the parts of the schema compiler share: the stores they build in, how values are written, and each other's services. */
import { LatheError } from "../../../errors.ts";
import { jsonValues, type ValueForm } from "../../../text/tools/call-forms.ts";
import type { Expr, Grammar } from "../grammar.ts";
import type { MarkIds } from "../marks.ts";
import type { Formula, Formulas } from "./formula.ts";

/** Which texts of a valid value are allowed. Every profile allows only valid values. */
export interface Profile {
  /** How values are written. */
  readonly values: ValueForm;
  /** `declared`: properties come in the order in which the schema names them, others last. `any`: in any order. */
  readonly order: "declared" | "any";
  /** Between JSON's marks. `none`; `some`: a blank, or a line break and up to 20 blanks, where it helps reading; `any`: as JSON allows. */
  readonly whitespace: "none" | "some" | "any";
  /** `format` asserts, or only describes. */
  readonly formats: "assert" | "annotate";
  /** Keywords of one type and no `type`: the type is meant. */
  readonly impliedTypes: boolean;
  /** Numbers of up to 15 digits, so that doubles hold them, no -0; constants as `JSON.stringify` writes them. */
  readonly plainNumbers: boolean;
  /**
   * Names that the schema does not spell count as one: they might be the same, and the value of the last one stands. Where more than that is
   * asked for, the schema is refused.
   */
  readonly sureNames: boolean;
  /** The rules of draft 7 where they contradict those of 2020-12; undefined: as `$schema` says. */
  readonly draft?: 7 | 2020;
  /** Marks around texts that are tokens. */
  readonly marks?: MarkIds;
}

/** For models to write by. */
export const generating: Profile = {
  values: jsonValues,
  order: "declared",
  whitespace: "some",
  formats: "assert",
  impliedTypes: true,
  plainNumbers: true,
  sureNames: true,
};

/** For reading what others wrote: every text of a valid value, but for the exotic ones that docs/structured-output.md lists. */
export const reading: Profile = {
  values: jsonValues,
  order: "any",
  whitespace: "any",
  formats: "assert",
  impliedTypes: false,
  plainNumbers: false,
  sureNames: false,
};

export interface Context {
  readonly grammar: Grammar;
  readonly formulas: Formulas;
  readonly profile: Profile;
  /** A text of the form, marks in it as tokens. */
  fixed(text: string): Expr;
  /** The texts of the values of which the formula is true. */
  value(formula: Formula): Expr;
  /** Whether there are such values; true also where that is not found out within limits. */
  satisfiable(formula: Formula): boolean;
  /** Whether answers about satisfiability are final: none is being worked out. */
  readonly settled: boolean;
  /** What the formula says of values of one type: assertions of that type only. */
  under(formula: Formula, type: number): Formula;
}

/** The error for a keyword that is beyond the compiler with the others beside it. */
export const unsupported = (keyword: string, reason: string): LatheError =>
  new LatheError("schema.unsupported", `The keyword "${keyword}" cannot be enforced here: ${reason}.`, { keyword });
