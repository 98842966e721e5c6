/**
 * What a kind of tokenizer brings: how a stretch of plain text becomes ids, and which bytes the text of a plain token stands for. Special
 * tokens, BOS and EOS, and byte tokens are the same for all kinds and stand in tokenizer.ts.
 */
import type { Ids } from "./pieces.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface Encoder {
  readonly vocabulary: Vocabulary;
  /** The name of the pre-tokenizer; empty for kinds that have none. */
  readonly preTokenizer: string;
  /** A space is put before each stretch of text, and one is taken away again when decoding. */
  readonly spacePrefix: boolean;
  /** Appends the ids of `text[start..end)`, which holds no special token. Positions in UTF-16 units. */
  encode(text: string, start: number, end: number, into: Ids): void;
  /** The bytes that the text of a plain token adds to the output. */
  bytesOf(text: string): Uint8Array;
}
