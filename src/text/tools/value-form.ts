/** How values are written in calls, as far as families differ in it: the one table that holds models to their own literals. Plain data. */

export interface ValueForm {
  /** What true, false and null are called. */
  readonly words: readonly [yes: string, no: string, nothing: string];
  /** Around texts. */
  readonly quote: string;
  /** Between the quotes: JSON's escapes; those of them that Python knows too; the text as it is. */
  readonly texts: "json" | "escaped" | "raw";
  /** What no text and no name holds, because it would end more than it should; a mark that does not begin as it ends. */
  readonly without?: string;
  /** Names of properties: as texts are, or as they are, which then must be identifiers. */
  readonly names: "text" | "bare";
}

export const jsonValues: ValueForm = { words: ["true", "false", "null"], quote: '"', texts: "json", names: "text" };
export const pythonValues: ValueForm = { ...jsonValues, words: ["True", "False", "None"], texts: "escaped" };
/** JSON's words between Python's brackets. */
export const mixedValues: ValueForm = { ...jsonValues, texts: "escaped" };
export const markedValues = (quote: string, names: ValueForm["names"]): ValueForm => ({
  ...jsonValues,
  quote,
  texts: "raw",
  without: quote,
  names,
});

/** How one call is written as a program would, from the tool's name on. */
export interface CallLiterals {
  /** Behind the tool's name. */
  readonly named: string;
  /** Between an argument's name, which is an identifier, and its value. */
  readonly is: string;
  readonly close: string;
  readonly values: ValueForm;
  /** White space behind commas and colons. */
  readonly whitespace: "none" | "some";
}
