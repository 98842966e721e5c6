/**
 * The normalizers of `tokenizer.json`, by their names. Each is a function from text to text; no expression runs on the host. What a file
 * can make out of a text is bounded: a tokenizer does not blow texts up.
 */
import { LatheError } from "../../errors.ts";
import { spellText } from "../alphabet.ts";
import { Regex } from "../regex/regex.ts";
import { type Component, componentsOf, optionalBoolean, optionalText, textOrRegex, unsupportedComponent } from "../sources/component.ts";
import { classAt, SPACE } from "../unicode.ts";
import { bertNormal, lowered, without } from "./bert.ts";
import { CharacterMap } from "./charsmap.ts";

export type Normalizer = (text: string) => string;

/** Most UTF-16 units that one component may put in. */
const LONGEST = 64;
/** Most units that come out for one that went in, with some to begin with. */
const GROWTH = 64;
const ALLOWANCE = 4096;

const kinds: Readonly<Record<string, (from: Component) => Normalizer>> = {
  NFC: () => text => text.normalize("NFC"),
  NFD: () => text => text.normalize("NFD"),
  NFKC: () => text => text.normalize("NFKC"),
  NFKD: () => text => text.normalize("NFKD"),
  Lowercase: () => lowered,
  Strip: strip,
  StripAccents: () => text => without(text, /^\p{M}$/u),
  Replace: replace,
  Prepend: from => {
    const prefix = short(from, "prepend");
    return text => (text === "" ? text : prefix + text);
  },
  Append: from => {
    const suffix = short(from, "append");
    return text => (text === "" ? text : text + suffix);
  },
  ByteLevel: () => spellText,
  Nmt: () => nmt,
  Precompiled: from => precompiled(optionalText(from, "precompiled_charsmap") ?? ""),
  BertNormalizer: from => {
    const lowercase = optionalBoolean(from, "lowercase") ?? true;
    const clean = optionalBoolean(from, "clean_text") ?? true;
    const ideographs = optionalBoolean(from, "handle_chinese_chars") ?? true;
    const dropAccents = optionalBoolean(from, "strip_accents") ?? lowercase;
    return text => bertNormal(text, { clean, ideographs, dropAccents, lowercase });
  },
};

function short(from: Component, key: string): string {
  const text = optionalText(from, key) ?? "";
  if (text.length <= LONGEST) return text;
  throw new LatheError("tokenizer.unsupported", `The tokenizer's ${from.type} puts in more than ${LONGEST} characters.`, { key });
}

function strip(from: Component): Normalizer {
  const left = optionalBoolean(from, "strip_left") ?? true;
  const right = optionalBoolean(from, "strip_right") ?? true;
  return text => {
    let start = 0;
    let end = text.length;
    if (left) while (start < end && classAt(text, start, end) & SPACE) start++;
    if (right) while (end > start && classAt(text, end - 1, end) & SPACE) end--;
    return text.slice(start, end);
  };
}

function replace(from: Component): Normalizer {
  const pattern = textOrRegex(from);
  const content = short(from, "content");
  return replacing(pattern, content);
}

/** Puts `content` in place of every match of an expression, or of every place of a text. */
export function replacing(pattern: string | Regex, content: string): Normalizer {
  if (typeof pattern === "string") return text => (pattern === "" ? text : text.replaceAll(pattern, () => content));
  return text => {
    let result = "";
    let at = 0;
    pattern.forEach(text, 0, text.length, (from, to) => {
      result += text.slice(at, from) + content;
      at = to;
    });
    return result + text.slice(at);
  };
}

/** Controls go; what looks like a space becomes one. */
const nmtDropped = new Regex("[\\x01-\\x08\\x0B\\x0E-\\x1F\\x7F\\x{8F}\\x{9F}]");
const nmtSpaces = new Regex("[\\t\\n\\f\\r\\x{1680}\\x{200B}-\\x{200F}\\x{2028}\\x{2029}\\x{2581}\\x{FEFF}\\x{FFFD}]");
const nmt: Normalizer = text => replacing(nmtSpaces, " ")(replacing(nmtDropped, "")(text));

function precompiled(base64: string): Normalizer {
  const map = new CharacterMap(fromBase64(base64));
  return text => map.apply(text);
}

/** Throws `tokenizer.malformed` for what is no base64. */
function fromBase64(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), char => char.charCodeAt(0));
  } catch (cause) {
    throw new LatheError("tokenizer.malformed", "The tokenizer holds base64 text that is damaged.", {}, { cause });
  }
}

/** The normalizer that a file describes; undefined where it has none. */
export function normalizer(value: unknown): Normalizer | undefined {
  const steps = componentsOf(value, "normalizer", "normalizers").map(from => {
    if (!Object.hasOwn(kinds, from.type)) throw unsupportedComponent("normalizer", from.type);
    return kinds[from.type](from);
  });
  if (steps.length === 0) return undefined;
  return text => {
    const most = text.length * GROWTH + ALLOWANCE;
    return steps.reduce((result, step) => {
      const next = step(result);
      if (next.length <= most) return next;
      throw new LatheError("tokenizer.malformed", "The tokenizer's normalizers make a text more than 64 times as long.");
    }, text);
  };
}
