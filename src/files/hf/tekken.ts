/**
 * Mistral's `tekken.json`: tokens as bytes in the order of their ranks, special tokens before them, and the expression that cuts texts. Owns
 * the reading of the file and the list of merges that its ranks stand for.
 *
 * Source: mistralai/mistral-common `tokens/tokenizers/tekken.py`.
 */
import { LatheError } from "../../errors.ts";
import { spell } from "../byte-alphabet.ts";
import { isObject, type JsonObject, member } from "./config.ts";

export interface Tekken {
  /** The expression that cuts a text into pieces. */
  readonly pattern: string;
  /** Texts of the special tokens by id; the file's own token of rank r has the id `special.length + r`. */
  readonly special: readonly string[];
  /** The other tokens by rank, in the alphabet of bytes. */
  readonly ranks: readonly string[];
}

/** Files have a thousand; a small file shall not make a large table. */
const MOST_SPECIAL = 65_536;

/** Special tokens of files that do not list them. */
const unlisted = (
  "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] [IMG] <pad> [IMG_BREAK] " +
  "[IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]"
).split(" ");

const malformed = (why: string): LatheError =>
  new LatheError("tokenizer.malformed", `The tekken file is damaged, because ${why}; download it again.`);

/** Whether a JSON file is one of these. */
export const isTekken = (json: unknown): json is JsonObject =>
  isObject(json) && Array.isArray(json["vocab"]) && typeof member(json, "config.pattern") === "string";

function whole(json: JsonObject, key: string): number {
  const value = member(json, `config.${key}`);
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw malformed(`${key} is no count`);
}

function specialOf(json: JsonObject, count: number): string[] {
  const texts = Array.from({ length: count }, (_, id) => `<SPECIAL_${id}>`);
  const listed = member(json, "special_tokens") ?? unlisted.map((text, rank) => ({ rank, token_str: text }));
  if (!Array.isArray(listed)) throw malformed("special_tokens is no list");
  for (const entry of listed) {
    const [rank, text] = [member(entry, "rank"), member(entry, "token_str")];
    if (typeof text !== "string" || typeof rank !== "number" || !Number.isInteger(rank) || rank < 0 || rank >= count) {
      throw malformed("a special token has no text, or no rank among the special ones");
    }
    texts[rank] = text;
  }
  return texts;
}

function bytesOf(entry: unknown, index: number): string {
  const base64 = member(entry, "token_bytes");
  if (typeof base64 !== "string" || base64 === "" || member(entry, "rank") !== index)
    throw malformed(`its token ${index} is no token of that rank`);
  try {
    return spell(Uint8Array.from(atob(base64), char => char.charCodeAt(0)));
  } catch {
    throw malformed(`its token ${index} is not base64`);
  }
}

/** Throws `tokenizer.malformed`. */
export function parseTekken(json: unknown): Tekken {
  if (!isTekken(json)) throw malformed("it has no vocabulary or no pattern");
  const count = whole(json, "default_num_special_tokens");
  const size = whole(json, "default_vocab_size");
  if (count > MOST_SPECIAL || size <= count) throw malformed("its numbers of tokens contradict each other");
  const vocab = json["vocab"] as readonly unknown[];
  const ranks = vocab.slice(0, size - count).map(bytesOf);
  return { pattern: member(json, "config.pattern") as string, special: specialOf(json, count), ranks };
}

/** A token of more characters is not cut into its parts, which would take long; no text becomes such a token anyhow. */
const LONGEST = 256;

/** The pair of tokens that each token is merged from: it is cut into bytes, and these merged by the lower ranks until two parts are left. */
export function mergesOfRanks(ranks: readonly string[]): string[] {
  const rankOf = new Map(ranks.map((text, rank) => [text, rank]));
  const merges: string[] = [];
  for (const [rank, text] of ranks.entries()) {
    if (text.length < 2 || text.length > LONGEST) continue;
    const parts = [...text];
    while (parts.length > 2) {
      let [best, lowest] = [-1, rank];
      for (let i = 0; i + 1 < parts.length; i++) {
        const found = rankOf.get(parts[i] + parts[i + 1]);
        if (found !== undefined && found < lowest) [best, lowest] = [i, found];
      }
      if (best < 0) break;
      parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
    if (parts.length === 2) merges.push(`${parts[0]} ${parts[1]}`);
  }
  return merges;
}
