/**
 * Which of GGUF's pre-tokenizers a `tokenizer.json` describes: its steps are written as one text and looked up. Pre-tokenizers have no name
 * in Hugging Face's files, only their expressions.
 *
 * Source: the tokenizers of the models that are named; llama.cpp `src/llama-vocab.cpp` (the names).
 */
import { LatheError } from "../../errors.ts";
import { isObject, member } from "./config.ts";

const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const tail = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const lead = "[^\\r\\n\\p{L}\\p{N}]?";

/** Letters with at most one other character before them, digits in runs of `digits`, other characters. */
const words = (letters: string, digits: string, others: string): string =>
  `${contraction}|${lead}${letters}+|${digits}| ?[^\\s${others}\\p{N}]+[\\r\\n]*|${tail}`;
/** Words that begin with capitals apart from those before them. */
const cased = (suffix: string, digits: string): string =>
  `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${tail}`;
const punctuated =
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" + tail;

/** Steps and whether whole pieces skip merging, and the name. Steps: expressions, and the kinds of Hugging Face that have none. */
const known: readonly (readonly [steps: readonly string[], ignoreMerges: boolean | undefined, name: string])[] = [
  [["ByteLevel"], undefined, "gpt-2"],
  [["Digits", "ByteLevel"], undefined, "starcoder"],
  [["\\p{N}", "ByteLevel"], undefined, "starcoder"],
  [[words("\\p{L}", "\\p{N}{1,3}", "\\p{L}")], true, "llama-bpe"],
  [[words("\\p{L}", "\\p{N}{1,3}", "\\p{L}")], false, "dbrx"],
  [[words("\\p{L}", "\\p{N}", "\\p{L}")], undefined, "qwen2"],
  [[words("[\\p{L}\\p{M}]", "\\p{N}", "\\p{L}\\p{M}")], undefined, "qwen35"],
  [[cased(`${contraction}?`, "\\p{N}{1,3}")], undefined, "gpt-4o"],
  [[cased("", "\\p{N}")], undefined, "tekken"],
  [["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", punctuated], undefined, "deepseek-v3"],
  [["Punctuation", "ByteLevel", "DigitRuns", "[0-9][0-9][0-9]"], undefined, "falcon"],
];

/** The steps of a pre-tokenizer; undefined where one of them is of a kind that has no text here. */
function stepsOf(step: unknown): string[] | undefined {
  const type = member(step, "type");
  if (type === "Sequence") {
    const all = member(step, "pretokenizers");
    const steps = Array.isArray(all) ? all.map(stepsOf) : [undefined];
    return steps.every(s => s !== undefined) ? steps.flat() : undefined;
  }
  if (type === "ByteLevel") return member(step, "use_regex") === false ? [] : ["ByteLevel"];
  if (type === "Digits") return [member(step, "individual_digits") === true ? "Digits" : "DigitRuns"];
  if (type === "Punctuation") return ["Punctuation"];
  const expression = member(step, "pattern.Regex");
  const isolates = member(step, "behavior") === "Isolated" && member(step, "invert") !== true;
  const removes = member(step, "behavior") === "Removed" && member(step, "invert") === true;
  return type === "Split" && typeof expression === "string" && (isolates || removes) ? [expression] : undefined;
}

/** The name for `tokenizer.ggml.pre`. Throws `tokenizer.unsupported` where the table does not have it. */
export function preTokenizerName(tokenizer: unknown): string {
  const step = member(tokenizer, "pre_tokenizer");
  const steps = stepsOf(step);
  const ignoreMerges = member(tokenizer, "model.ignore_merges") === true;
  return named(steps, ignoreMerges) ?? nameless(steps ?? (isObject(step) ? Object.keys(step) : []), ignoreMerges);
}

/** The same for a file of ranks, whose whole pieces skip merging. */
export const patternName = (pattern: string): string => named([pattern], true) ?? nameless([pattern], true);

function named(steps: readonly string[] | undefined, ignoreMerges: boolean): string | undefined {
  const text = JSON.stringify(steps);
  return known.find(([s, ignores]) => JSON.stringify(s) === text && (ignores ?? ignoreMerges) === ignoreMerges)?.[2];
}

function nameless(steps: readonly string[], ignoreMerges: boolean): never {
  const message =
    "The tokenizer cuts texts in a way that is not known by a name; give the name of the pre-tokenizer with --pre, such as llama-bpe or qwen2.";
  throw new LatheError("tokenizer.unsupported", message, { steps, ignoreMerges });
}
