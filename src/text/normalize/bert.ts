/** What BERT does to a text before it is cut into words: cleaning, ideographs set apart, accents dropped, lower case. */
import { characterFinder, type Step } from "../split/steps.ts";
import { classAt, classOf, PUNCTUATION, SPACE, widthAt } from "../unicode.ts";

export interface BertRules {
  /** Control and format characters go, white space becomes a space. */
  readonly clean: boolean;
  /** A space on both sides of every ideograph. */
  readonly ideographs: boolean;
  readonly dropAccents: boolean;
  /** Of a character that can be taken apart only the first part is kept, as llama.cpp has it: a Hangul syllable becomes its first sound. */
  readonly firstPart?: boolean;
  readonly lowercase: boolean;
}

/** The last range but one begins at 2B920 where Unicode's begins at 2B820: models were trained so. */
const ideographRanges: readonly (readonly [number, number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];
const isIdeograph = (c: number): boolean => c >= 0x3400 && ideographRanges.some(([from, to]) => c >= from && c <= to);

const isControl = (char: string): boolean => char !== "\t" && char !== "\n" && char !== "\r" && /^\p{C}$/u.test(char);

/** Lower case character by character: a capital sigma at the end of a word is no special case. */
export const lowered = (text: string): string => text.replaceAll("Σ", "σ").toLowerCase();

/** Drops the characters for which a test of a single one holds. */
export function without(text: string, test: RegExp): string {
  let kept = "";
  for (const char of text) if (char < "\u0300" || !test.test(char)) kept += char;
  return kept;
}

function cleaned(text: string, { clean, ideographs }: BertRules): string {
  let kept = "";
  for (const char of text) {
    const c = char.codePointAt(0)!;
    const kind = classOf(c);
    if (clean && (c === 0 || c === 0xfffd || (!(kind & SPACE) && isControl(char)))) continue;
    if (clean && kind & SPACE) kept += " ";
    else if (ideographs && isIdeograph(c)) kept += ` ${char} `;
    else kept += char;
  }
  return kept;
}

function firstParts(text: string): string {
  let kept = "";
  for (const char of text) kept += char < "\u00c0" ? char : String.fromCodePoint(char.normalize("NFD").codePointAt(0)!);
  return kept;
}

/** Most texts: nothing but letters, digits, marks and spaces of ASCII, of which only the case changes. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7e || (unit < 0x20 && unit !== 10)) return false;
  }
  return true;
}

export function bertNormal(text: string, rules: BertRules): string {
  if (isPlain(text)) {
    const spaced = rules.clean ? text.replaceAll("\n", " ") : text;
    return rules.lowercase ? spaced.toLowerCase() : spaced;
  }
  let result = rules.clean || rules.ideographs ? cleaned(text, rules) : text;
  if (rules.firstPart) result = firstParts(result);
  if (rules.dropAccents) result = without(result.normalize("NFD"), /^\p{Mn}$/u);
  return rules.lowercase ? lowered(result) : result;
}

const isAsciiMark = (unit: number): boolean =>
  (unit >= 0x21 && unit <= 0x2f) || (unit >= 0x3a && unit <= 0x40) || (unit >= 0x5b && unit <= 0x60) || (unit >= 0x7b && unit <= 0x7e);

const isMark = (text: string, at: number, end: number): boolean =>
  isAsciiMark(text.charCodeAt(at)) || (classAt(text, at, end) & PUNCTUATION) !== 0;
const isBreak = (text: string, at: number, end: number): boolean => (classAt(text, at, end) & SPACE) !== 0 || isMark(text, at, end);

/** Punctuation as BERT has it: ASCII's, symbols included, and Unicode's. */
export const punctuationFinder = characterFinder(isMark, widthAt);

export const spaceFinder = characterFinder(
  (text, at, end) => (classAt(text, at, end) & SPACE) !== 0,
  () => 1,
);

/** Words between white space, with punctuation marks by themselves. */
export const bertWords: Step = next => (text, start, end, first) => {
  for (let at = start; at < end; ) {
    const from = at;
    while (at < end && !isBreak(text, at, end)) at += widthAt(text, at, end);
    if (at > from) next(text, from, at, first && from === start);
    if (at === end) break;
    const stop = at + widthAt(text, at, end);
    if (isMark(text, at, end)) next(text, at, stop, first && at === start);
    at = stop;
  }
};
