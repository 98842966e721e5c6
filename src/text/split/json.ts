/**
 * The pre-tokenizers of `tokenizer.json`, by their names, as steps. ByteLevel is special where it comes last: then the model works on bytes
 * and the text itself is not rewritten.
 */
import { spellText } from "../alphabet.ts";
import { bertWords, punctuationFinder, spaceFinder } from "../normalize/bert.ts";
import { Regex } from "../regex/regex.ts";
import {
  type Component,
  componentsOf,
  malformedJson,
  oneCharacter,
  optionalBoolean,
  optionalCount,
  optionalText,
  textOrRegex,
  unsupportedComponent,
} from "../sources/component.ts";
import { classAt, codePointAt, NUMBER, SPACE, widthAt } from "../unicode.ts";
import { gpt2 } from "./gpt2.ts";
import { scriptOf } from "./scripts.ts";
import { type Behaviour, behaviours, changing, characterFinder, regexFinder, type Step, scanning, splitting, textFinder } from "./steps.ts";

export interface PreTokenizing {
  readonly steps: readonly Step[];
  /** The model takes bytes written as characters, and the steps leave that to it. */
  readonly bytes: boolean;
}

const words = (): Step => splitting(regexFinder(new Regex("\\w+|[^\\w\\s]+")), "removed", true);
const whiteSpace = (): Step => splitting(spaceFinder, "removed");
const digitFinder = characterFinder((text, at, end) => (classAt(text, at, end) & NUMBER) !== 0, widthAt);

const kinds: Readonly<Record<string, (from: Component) => readonly Step[]>> = {
  ByteLevel: from => [...byteLevel(from), changing(spellText)],
  Whitespace: () => [words()],
  WhitespaceSplit: () => [whiteSpace()],
  BertPreTokenizer: () => [bertWords],
  Metaspace: from => metaspace(from),
  Split: from => [splitting(finderOf(from), behaviourOf(from, undefined), optionalBoolean(from, "invert") ?? false)],
  Digits: from => [splitting(digitFinder, optionalBoolean(from, "individual_digits") ? "isolated" : "contiguous")],
  Punctuation: from => [splitting(punctuationFinder, behaviourOf(from, "isolated"))],
  UnicodeScripts: () => [unicodeScripts],
  CharDelimiterSplit: from => [splitting(textFinder(oneCharacter(from, "delimiter")), "removed")],
  FixedLength: from => [fixedLength(optionalCount(from, "length") ?? 5)],
};

function finderOf(from: Component) {
  const pattern = textOrRegex(from);
  if (pattern === "") throw malformedJson("the pattern of Split is empty");
  return typeof pattern === "string" ? textFinder(pattern) : regexFinder(pattern);
}

/** Written MergedWithNext or merged_with_next. */
function behaviourOf(from: Component, fallback: Behaviour | undefined): Behaviour {
  const name = optionalText(from, "behavior");
  const plain = name?.replaceAll("_", "").toLowerCase();
  const found = plain === undefined ? fallback : behaviours.find(known => known.replaceAll("_", "") === plain);
  if (!found) throw unsupportedComponent("behavior of Split", name ?? "none");
  return found;
}

function byteLevel(from: Component): Step[] {
  const startsBlank = (piece: string): boolean => (classAt(piece, 0, piece.length) & SPACE) !== 0;
  const prefix = changing(piece => (startsBlank(piece) ? piece : ` ${piece}`));
  return [
    ...((optionalBoolean(from, "add_prefix_space") ?? true) ? [prefix] : []),
    ...((optionalBoolean(from, "use_regex") ?? true) ? [scanning(gpt2)] : []),
  ];
}

function metaspace(from: Component): Step[] {
  const block = oneCharacter(from, "replacement", "▁");
  const old = optionalBoolean(from, "add_prefix_space");
  const scheme = optionalText(from, "prepend_scheme") ?? (old === false ? "never" : "always");
  if (!["always", "first", "never"].includes(scheme)) throw unsupportedComponent("prepend_scheme of Metaspace", scheme);
  const replaced = changing((piece, first) => {
    const written = piece.replaceAll(" ", block);
    const prepends = scheme === "always" || (scheme === "first" && first);
    return prepends && !written.startsWith(block) ? block + written : written;
  });
  return [replaced, ...((optionalBoolean(from, "split") ?? true) ? [splitting(textFinder(block), "merged_with_next")] : [])];
}

/** Runs of one script; white space and marks belong to whatever they stand beside. */
const unicodeScripts: Step = next => (text, start, end, first) => {
  let from = start;
  let current = "";
  for (let at = start; at < end; at += widthAt(text, at, end)) {
    const script = scriptOf(codePointAt(text, at, end));
    if (script !== "" && current !== "" && script !== current) {
      next(text, from, at, first && from === start);
      from = at;
    }
    if (script !== "") current = script;
  }
  if (from < end) next(text, from, end, first && from === start);
};

function fixedLength(length: number): Step {
  if (length === 0) throw malformedJson("the length of FixedLength is 0");
  return scanning((text, at, end) => {
    for (let i = 0; i < length && at < end; i++) at += widthAt(text, at, end);
    return at;
  });
}

/** The pre-tokenizer that a file describes. Throws `tokenizer.unsupported` for a name that is not known. */
export function preTokenizing(value: unknown, affixed: boolean): PreTokenizing {
  const list = componentsOf(value, "pre-tokenizer", "pretokenizers");
  // A model that marks the ends of words needs the characters themselves.
  const bytes = list.at(-1)?.type === "ByteLevel" && !affixed;
  const steps = list.flatMap((from, i) => {
    if (!Object.hasOwn(kinds, from.type)) throw unsupportedComponent("pre-tokenizer", from.type);
    return bytes && i === list.length - 1 ? byteLevel(from) : kinds[from.type](from);
  });
  return { steps, bytes };
}
