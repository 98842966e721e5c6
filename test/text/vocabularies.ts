/**
 * Vocabularies for the tests: small ones made by hand or at random, so that every path runs without outside data, and the byte-pair merges
 * of a tiktoken rank file, worked out the slow way.
 */
import type { Metadata } from "../../src/text/tokenizer.ts";

export type Fields = Record<string, unknown>;

/** Metadata with the keys `tokenizer.ggml.*` (without that prefix); a key that has a dot keeps its own name. */
export const metadata = (fields: Fields): Metadata =>
  new Map(Object.entries(fields).map(([key, value]) => [key.includes(".") ? key : `tokenizer.ggml.${key}`, value]));

/** The alphabet of byte-level vocabularies, written down anew. */
export const byteChars: readonly string[] = (() => {
  const chars: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const visible = (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || byte > 173;
    chars.push(String.fromCodePoint(visible ? byte : next++));
  }
  return chars;
})();

export const byteText = (text: string): string => [...new TextEncoder().encode(text)].map(byte => byteChars[byte]).join("");

export const byteTokens: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).padStart(2, "0").toUpperCase()}>`,
);

/** A byte-level vocabulary: the 256 bytes, the results of the merges, then special tokens [text, type]. */
export function byteLevel(merges: readonly string[], special: readonly (readonly [string, number])[] = [], fields: Fields = {}): Fields {
  const made = new Set([...byteChars, ...merges.map(merge => merge.replace(" ", ""))]);
  const tokens = [...made, ...special.map(([text]) => text)];
  return {
    model: "gpt2",
    pre: "gpt-2",
    tokens,
    token_type: Int32Array.from(tokens, (_, id) => (id < made.size ? 1 : special[id - made.size][1])),
    merges,
    ...fields,
  };
}

/** A SentencePiece vocabulary: <unk> <s> </s>, byte tokens if wanted, pieces [text, score], then special tokens [text, type]. */
export function pieces(
  list: readonly (readonly [string, number])[],
  options: { bytes?: boolean; special?: readonly (readonly [string, number])[]; fields?: Fields } = {},
): Fields {
  const { bytes = true, special = [], fields = {} } = options;
  const rows: [string, number, number][] = [
    ["<unk>", 0, 2],
    ["<s>", 0, 3],
    ["</s>", 0, 3],
  ];
  if (bytes) for (const text of byteTokens) rows.push([text, 0, 6]);
  for (const [text, score] of list) rows.push([text, score, 1]);
  for (const [text, type] of special) rows.push([text, 0, type]);
  return {
    model: "llama",
    tokens: rows.map(row => row[0]),
    scores: Float32Array.from(rows, row => row[1]),
    token_type: Int32Array.from(rows, row => row[2]),
    ...fields,
  };
}

/** English words as merges and as pieces: enough for a sentence to come out in a few tokens. */
export const englishMerges: readonly string[] =
  "h e|Ġ t|Ġt he|l l|he ll|hell o|Ġ w|o r|Ġw or|l d|Ġwor ld|i n|Ġ a|Ġa n|Ġan d|Ã ©|c a|ca f|caf Ã©|Ġ Ġ|1 2|12 3".split("|");

export const englishPieces: readonly (readonly [string, number])[] =
  "▁t he ▁the the ll hell ▁hell ▁hello ▁w or ▁wor ld ▁world in ▁a ▁an ▁and ▁▁ ▁▁▁▁ ▁ a b c d e f g h i l n o r s t w é ! , . 1 2 3"
    .split(" ")
    .map((text, index) => [text, -index]);

/** The merges of a tiktoken rank file ("base64 rank" lines): each token is cut by the lower ranks until two parts are left. */
export function fromRanks(file: string, pre: string, special: readonly (readonly [number, string])[]): Fields {
  const order: string[] = [];
  for (const line of file.split("\n")) {
    const [base64, rank] = line.split(" ");
    if (rank !== undefined) order[Number(rank)] = atob(base64);
  }
  const ranks = new Map(order.map((bytes, rank) => [bytes, rank]));
  const written = (bytes: string): string => [...bytes].map(byte => byteChars[byte.charCodeAt(0)]).join("");
  const merges: string[] = [];
  for (const [rank, bytes] of order.entries()) {
    const parts = [...bytes];
    while (parts.length > 2) {
      let best = 0;
      let lowest = rank;
      for (let i = 0; i + 1 < parts.length; i++) {
        const found = ranks.get(parts[i] + parts[i + 1]);
        if (found !== undefined && found < lowest) [best, lowest] = [i, found];
      }
      parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
    if (parts.length === 2) merges.push(`${written(parts[0])} ${written(parts[1])}`);
  }
  const tokens = order.map(written);
  for (const [id, text] of special) tokens[id] = text;
  const control = new Map(special);
  const filled = Array.from(tokens, text => text ?? "");
  return { model: "gpt2", pre, tokens: filled, token_type: filled.map((_, id) => (control.has(id) ? 3 : 1)), merges };
}
