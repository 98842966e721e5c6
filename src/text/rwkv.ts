/**
 * The tokenizer of RWKV World: tokens are byte strings, and from the left the longest one that fits is taken. Files write them the way
 * Python prints them, with escapes.
 */
import type { PieceModel } from "./encoder.ts";
import type { Ids } from "./pieces.ts";
import { Trie } from "./trie.ts";
import type { Vocabulary } from "./vocabulary.ts";

const escapes: ReadonlyMap<string, number> = new Map([
  ["t", 9],
  ["n", 10],
  ["r", 13],
]);

/** The bytes that an escaped text stands for. */
export function unescaped(text: string): Uint8Array {
  const utf8 = new TextEncoder().encode(text);
  const bytes = new Uint8Array(utf8.length);
  let count = 0;
  for (let at = 0; at < utf8.length; at++) {
    const escaped = utf8[at] === 0x5c && at + 1 < utf8.length;
    if (!escaped) {
      bytes[count++] = utf8[at];
      continue;
    }
    const letter = String.fromCharCode(utf8[++at]);
    const digits = String.fromCharCode(...utf8.subarray(at + 1, at + 3));
    if (letter === "x" && /^[0-9a-fA-F]{2}$/.test(digits)) {
      bytes[count++] = Number.parseInt(digits, 16);
      at += 2;
    } else bytes[count++] = escapes.get(letter) ?? utf8[at];
  }
  return bytes.subarray(0, count);
}

/** Longer tokens are not looked for, which bounds the work per byte. */
const LONGEST = 256;

export class Rwkv implements PieceModel {
  readonly #trie: Trie;
  readonly #unknown: number | undefined;

  constructor(vocabulary: Vocabulary) {
    const ids = [...vocabulary.texts.keys()].filter(id => vocabulary.isPlain(id) && vocabulary.texts[id] !== "");
    const tokens = ids.map(id => unescaped(vocabulary.texts[id]));
    this.#trie = new Trie(tokens.reduce((sum, bytes) => sum + Math.min(bytes.length, LONGEST), 0));
    for (const [i, bytes] of tokens.entries()) {
      if (bytes.length <= LONGEST)
        this.#trie.set(
          bytes.reduce((node, byte) => this.#trie.grow(node, byte), 0),
          ids[i],
        );
    }
    this.#unknown = vocabulary.unknown;
  }

  encode(text: string, start: number, end: number, into: Ids): void {
    const bytes = new TextEncoder().encode(text.slice(start, end));
    for (let at = 0; at < bytes.length; ) {
      let best = -1;
      let stop = at + 1;
      for (let i = at, node = 0; i < bytes.length; ) {
        node = this.#trie.step(node, bytes[i++]);
        if (node < 0) break;
        if (this.#trie.value(node) < 0) continue;
        best = this.#trie.value(node);
        stop = i;
      }
      if (best >= 0) into.push(best);
      else if (this.#unknown !== undefined) into.push(this.#unknown);
      at = stop;
    }
  }
}
