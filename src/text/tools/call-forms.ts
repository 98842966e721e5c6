/** How calls and the values in them are written, as far as families differ in it: what models are held to that must call a tool. Plain data. */

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

/** How one call is written as elements, from the tool's name on. */
export interface CallElements {
  /** Behind the tool's name. */
  readonly named: string;
  /** Before an argument's name. */
  readonly open: string;
  /** Between an argument's name and its value: before a text, and before another value. */
  readonly value: readonly [text: string, other: string];
  /** Between a value and the mark that ends it. */
  readonly before: string;
  /** Ends a value. No text holds it, and it does not begin as it ends. */
  readonly mark: string;
  /** Behind that mark. */
  readonly after: string;
  readonly close: string;
}

/** How one call is written whose arguments are a JSON object behind the tool's name. */
export interface CallObject {
  /** Between the two. */
  readonly named: string;
  /** Before that, between the name and a number, which the model counts its calls by. */
  readonly counted?: string;
}

/** How one call is written as a JSON object of the tool's name and its arguments. */
export interface CallJson {
  readonly keys: readonly [name: string, args: string];
  /** Before these, a key whose value is a number in quotes, which the model counts its calls by. */
  readonly counted?: string;
}

/** How one call is written as a JSON object whose one key is the tool's name. */
export interface CallKeyed {
  readonly keyed: true;
}

/** A call's form, from the tool's name on, or all of its object. */
export type CallForm = CallLiterals | CallElements | CallObject | CallJson | CallKeyed;

/** How the calls of an answer are written. */
export interface CallsForm {
  /** Before all calls and behind them, where something holds several. */
  readonly open?: string;
  readonly close?: string;
  /** Around each of them. */
  readonly begin: string;
  readonly end: string;
  /** Between the end of one and the beginning of the next; absent where an answer makes one call only. */
  readonly between?: string;
  /** They stand in a JSON list: always, or where there are several. */
  readonly list?: "always" | "several";
  /** Line breaks in all of these may be left out. */
  readonly loose?: boolean;
  readonly call: CallForm;
}

/** What comes before the first call. */
export const openingOf = ({ open = "", begin }: CallsForm): string => open + begin;
