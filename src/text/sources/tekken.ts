/** Tokenizers from Mistral's `tekken.json`, which is a list of ranks with a pattern and special tokens of its own. */
import { parseTekken } from "../../files/hf/tekken.ts";
import type { TokenizerParts } from "../model-tokenizer.ts";
import { type Json, parseJson } from "./config.ts";
import { partsFromRanks } from "./tiktoken.ts";

/** `json`: the text of the file, or what it was parsed to. Every text begins with `<s>`, where the file has it. */
export function partsFromTekken(json: Json): TokenizerParts {
  const { pattern, special, ranks } = parseTekken(Object.fromEntries(parseJson(json, "tekken.json")));
  const own = ranks.map((text, rank): [string, number] => [text, special.length + rank]);
  const control = special.map((text, id): [string, number] => [text, id]);
  return partsFromRanks(own, control, pattern, { bos: "<s>", eos: "</s>" });
}
