/**
 * Questions about characters and changes of case, as Python's `str` answers them. Offsets and origins are left to `Text`.
 */
import type { Text } from "./text.ts";

/** What `str.isspace` accepts and `strip()` removes, beyond ASCII; JavaScript's white space differs in a few. */
const OTHER_SPACE = new Set([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);

export const isSpace = (character: string): boolean => isSpaceCode(character.charCodeAt(0));

/** The same of a UTF-16 unit; all white space is in the basic plane. */
export function isSpaceCode(code: number): boolean {
  return code < 0x80
    ? (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20)
    : OTHER_SPACE.has(code) || (code >= 0x2000 && code <= 0x200a);
}

/** What a character costs that is asked about; the slowest questions take it apart. */
export const ASK_COST = 64;

/** Single characters whose title case is a letter of its own. */
const TITLE_LETTERS: ReadonlyMap<string, string> = new Map(
  ["Ǆǅǆ", "Ǉǈǉ", "Ǌǋǌ", "Ǳǲǳ"].flatMap(row => [...row].map(letter => [letter, row[1]] as const)),
);

function titleCase(character: string): string {
  const letter = TITLE_LETTERS.get(character);
  if (letter !== undefined) return letter;
  const [first = "", ...rest] = character.toUpperCase();
  return first + rest.join("").toLowerCase();
}

const CASED = /\p{Cased}/u;

/** `str.title()`: a letter after anything that is not a letter is capital. */
function titleWords(text: string): string {
  let out = "";
  let inWord = false;
  for (const character of text) {
    out += inWord ? character.toLowerCase() : titleCase(character);
    inWord = CASED.test(character);
  }
  return out;
}

/** The filter `title` of Jinja2: words begin after white space, a hyphen or an opening bracket, not after an apostrophe. */
function titleFilter(text: string): string {
  let out = "";
  let start = true;
  for (const character of text) {
    out += start ? character.toUpperCase() : character.toLowerCase();
    start = isSpace(character) || "-({[<".includes(character);
  }
  return out;
}

function capitalized(text: string): string {
  const first = text.codePointAt(0);
  if (first === undefined) return text;
  const head = String.fromCodePoint(first);
  return titleCase(head) + text.slice(head.length).toLowerCase();
}

function swapped(text: string): string {
  let out = "";
  for (const character of text) out += character.toLowerCase() === character ? character.toUpperCase() : character.toLowerCase();
  return out;
}

export const upper = (text: Text): Text => text.map(s => s.toUpperCase());
export const lower = (text: Text): Text => text.map(s => s.toLowerCase());
export const casefold = (text: Text): Text => text.map(s => s.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ"));
export const swapcase = (text: Text): Text => text.map(swapped);
export const title = (text: Text): Text => text.map(titleWords, false);
export const titleAsFilter = (text: Text): Text => text.map(titleFilter, false);
export const capitalize = (text: Text): Text => text.map(capitalized, false);

const every = (pattern: RegExp) => (text: string) => text.length > 0 && pattern.test(text);

/** `islower` and its like: at least one cased letter, and none of the other case. */
const allCased = (other: RegExp) => (text: string) => CASED.test(text) && !other.test(text);

/** The questions of `str` about itself by name. */
export const questions: ReadonlyMap<string, (text: string) => boolean> = new Map(
  Object.entries({
    isalnum: every(/^[\p{L}\p{N}]+$/u),
    isalpha: every(/^\p{L}+$/u),
    isascii: (text: string) => !/[^\0-\x7f]/.test(text),
    isdecimal: every(/^\p{Nd}+$/u),
    isdigit: every(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468]+$/u),
    isnumeric: every(/^\p{N}+$/u),
    isidentifier: every(/^[\p{ID_Start}_]\p{ID_Continue}*$/u),
    islower: allCased(/[\p{Lu}\p{Lt}]/u),
    isupper: allCased(/[\p{Ll}\p{Lt}]/u),
    isspace: (text: string) => text.length > 0 && [...text].every(isSpace),
    istitle: (text: string) => CASED.test(text) && titleWords(text) === text,
    isprintable: (text: string) => !/[\p{C}\p{Z}]/u.test(text.replaceAll(" ", "")),
  }),
);
