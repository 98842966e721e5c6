/**
 * Tokenizers from tiktoken files: one token a line, its bytes in base64 and its rank, which is its id and says what merges first. The
 * pattern that cuts a text and the special tokens are not in the file and come from the caller.
 */
import { LatheError } from "../../errors.ts";
import { spell, unspell } from "../alphabet.ts";
import { ByteBpe } from "../bpe.ts";
import { ByteDecoding } from "../detokenizer.ts";
import { Pipeline } from "../encoder.ts";
import { mergesByToken, Symbols } from "../merges.ts";
import type { TokenizerParts } from "../model-tokenizer.ts";
import { Regex } from "../regex/regex.ts";
import { SpecialTokens } from "../special.ts";
import { regexFinder, splitting } from "../split/steps.ts";
import { CONTROL, NORMAL, Vocabulary } from "../vocabulary.ts";
import { byId } from "./table.ts";

const malformedLine = (line: number): LatheError =>
  new LatheError("tokenizer.malformed", `The tiktoken file is damaged in line ${line}: it is not base64 and a rank.`, { line });

function readRanks(text: string): [string, number][] {
  const pairs: [string, number][] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const [base64, rank, more] = line.trim().split(" ");
    if (rank === undefined || more !== undefined || !/^\d{1,9}$/.test(rank) || base64.length % 4 !== 0) throw malformedLine(index + 1);
    try {
      pairs.push([spell(Uint8Array.from(atob(base64), char => char.charCodeAt(0))), Number(rank)]);
    } catch {
      throw malformedLine(index + 1);
    }
  }
  return pairs;
}

/** `file`: the text of the file or its bytes. `special`: ids by the texts of special tokens. */
export function partsFromTiktoken(file: string | Uint8Array, pattern: string, special: Readonly<Record<string, number>>): TokenizerParts {
  return partsFromRanks(readRanks(typeof file === "string" ? file : new TextDecoder().decode(file)), Object.entries(special), pattern);
}

interface Ranked {
  readonly pattern: string;
  readonly special: Readonly<Record<string, number>>;
}

const gpt2: Ranked = {
  pattern: "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
  special: { "<|endoftext|>": 50256 },
};
const cl100k: Ranked = {
  pattern:
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
  special: {
    "<|endoftext|>": 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|endofprompt|>": 100276,
  },
};
/** r50k_base, p50k_base and cl100k_base by their numbers of ranks; the files say nothing more about themselves. */
const known: ReadonlyMap<number, Ranked> = new Map([
  [50256, gpt2],
  [50280, gpt2],
  [100256, cl100k],
]);

/** What does not stand in a rank file, for those that everybody has. Throws `tokenizer.unsupported` for others. */
export function knownRanks(text: string): Ranked {
  const count = text.split("\n").filter(line => line.trim() !== "").length;
  const found = known.get(count);
  if (found) return found;
  const message = `A tiktoken file of ${count} ranks is not one of those whose pattern is known; give the tokenizer.json of the model instead.`;
  throw new LatheError("tokenizer.unsupported", message, { ranks: count });
}

/** `ranks`: tokens in the alphabet of bytes with their ids, in whose order they merge. `around`: texts of special tokens. */
export function partsFromRanks(
  ranks: readonly (readonly [text: string, id: number])[],
  added: readonly (readonly [text: string, id: number])[],
  pattern: string,
  around: { readonly bos?: string; readonly eos?: string } = {},
): TokenizerParts {
  const texts = byId([...ranks, ...added]);
  const types = new Uint8Array(texts.length).fill(NORMAL);
  for (const [, id] of added) types[id] = CONTROL;
  const ids = new Map(added);
  const [bos, eos] = [around.bos, around.eos].map(text => (text === undefined ? undefined : ids.get(text)));
  const vocabulary = new Vocabulary({ kind: "gpt2", texts, types, bos, eos });
  const symbols = new Symbols(vocabulary);
  const merges = mergesByToken(vocabulary, symbols, Int32Array.from(texts.keys()));
  return {
    vocabulary,
    special: new SpecialTokens(
      added.map(([text, id]) => ({ id, text, control: true })),
      "leftmost",
    ),
    encoder: new Pipeline(
      [splitting(regexFinder(new Regex(pattern)), "isolated")],
      new ByteBpe({ vocabulary, symbols, merges, wholePieces: true }),
    ),
    decoding: new ByteDecoding(vocabulary, { bytesOf: unspell, stripsSpace: false }),
    before: bos === undefined ? [] : [bos],
    after: [],
  };
}
