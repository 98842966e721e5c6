/**
 * The precompiled character map of SentencePiece files: a double-array tree of UTF-8 strings and what they are replaced by. At every place
 * the longest entry is replaced; what has no entry is copied.
 */
import { LatheError } from "../../errors.ts";

/** Longer entries are not looked for, which bounds the work per byte. */
const LONGEST = 256;
/** No replacement in use comes near this many bytes; it bounds how much a text can grow. */
const LONGEST_TEXT = 128;

const damaged = (what: string): LatheError =>
  new LatheError("tokenizer.malformed", `The tokenizer's precompiled character map is damaged: ${what}.`);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class CharacterMap {
  readonly #nodes: Uint32Array;
  readonly #texts: Uint8Array;

  /** Bytes: the size of the tree (u32), its nodes (u32 each, little-endian), then NUL-terminated texts. Throws `tokenizer.malformed`. */
  constructor(bytes: Uint8Array) {
    if (bytes.length < 4) throw damaged("it has no size");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = view.getUint32(0, true);
    if (size % 4 !== 0 || size > bytes.length - 4) throw damaged("its tree does not fit into it");
    this.#nodes = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + i * 4, true));
    this.#texts = bytes.slice(4 + size);
    if (this.#texts.length > 0 && this.#texts.at(-1) !== 0) throw damaged("its last text is not closed");
  }

  apply(text: string): string {
    const input = encoder.encode(text);
    let output = new Uint8Array(input.length + 64);
    let size = 0;
    for (let at = 0; at < input.length; ) {
      const [stop, value] = this.#longest(input, at);
      const from = value < 0 ? input.subarray(at, stop) : this.#text(value);
      if (size + from.length > output.length) {
        const grown = new Uint8Array(Math.max(output.length * 2, size + from.length));
        grown.set(output);
        output = grown;
      }
      output.set(from, size);
      size += from.length;
      at = stop;
    }
    return decoder.decode(output.subarray(0, size));
  }

  /** The end of the longest entry at `at` and the place of its replacement, or the end of the character there and -1. */
  #longest(input: Uint8Array, at: number): readonly [stop: number, value: number] {
    const nodes = this.#nodes;
    const lead = input[at];
    let stop = at + (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);
    let value = -1;
    if (nodes.length === 0) return [stop, value];
    let place = base(nodes[0]);
    for (let i = at; i < input.length && i - at < LONGEST; i++) {
      if (input[i] === 0) break;
      place ^= input[i];
      if (place >= nodes.length || label(nodes[place]) !== input[i]) break;
      const hasEntry = ((nodes[place] >>> 8) & 1) === 1;
      place ^= base(nodes[place]);
      if (!hasEntry) continue;
      if (place >= nodes.length) break;
      stop = i + 1;
      value = nodes[place] & 0x7fffffff;
    }
    // An entry may end inside of a character only in a damaged file; the rest of the character is then no UTF-8 and becomes U+FFFD.
    return [stop, value];
  }

  #text(at: number): Uint8Array {
    if (at >= this.#texts.length) return new Uint8Array(0);
    const end = this.#texts.indexOf(0, at);
    if (end - at > LONGEST_TEXT) throw damaged("a replacement is too long");
    return this.#texts.subarray(at, end);
  }
}

const base = (node: number): number => (node >>> 10) << ((node & 0x200) >>> 6);
const label = (node: number): number => (node & 0x80000000) | (node & 0xff);
