/** What becomes of vectors and scores on the caller's side: unit length, the input of a reranker, its score. */
import type { TextPart, Tokenizer } from "../text/tokenizer.ts";

/** The vector divided by its length; zero stays zero. */
export function unit(v: Float32Array): Float32Array {
  const length = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
  return length ? v.map(x => x / length) : v;
}

/** The probability of the first of two labels (yes, no), or the only score as it comes. */
export const scoreOf = (row: Float32Array): number => (row.length === 2 ? 1 / (1 + Math.exp(row[1] - row[0])) : row[0]);

/**
 * What a reranker reads: its template with query and document in place, or else the two texts one after the other, each ended and parted as the
 * metadata says. Query and document never become control tokens.
 */
export function pairIds(tokenizer: Tokenizer, metadata: ReadonlyMap<string, unknown>, query: string, document: string): Int32Array {
  const template = metadata.get("tokenizer.chat_template.rerank");
  if (typeof template === "string") {
    const parts = template.split(/(\{query\}|\{document\})/).map((text): TextPart => {
      if (text === "{query}") return { text: query, special: false };
      return text === "{document}" ? { text: document, special: false } : { text, special: true };
    });
    return tokenizer.encode(parts);
  }
  const separator = metadata.get("tokenizer.ggml.seperator_token_id") ?? metadata.get("tokenizer.ggml.separator_token_id");
  const parted = metadata.get("tokenizer.ggml.add_sep_token") === true && typeof separator === "number" ? [separator] : [];
  return Int32Array.of(...tokenizer.encode(query), ...parted, ...tokenizer.encode(document, { bos: false }));
}
