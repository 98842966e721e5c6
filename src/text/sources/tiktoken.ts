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
  const ranks = readRanks(typeof file === "string" ? file : new TextDecoder().decode(file));
  const added = Object.entries(special);
  const texts = byId([...ranks, ...added]);
  const types = new Uint8Array(texts.length).fill(NORMAL);
  for (const [, id] of added) types[id] = CONTROL;
  const vocabulary = new Vocabulary({ kind: "gpt2", texts, types });
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
    before: [],
    after: [],
  };
}
