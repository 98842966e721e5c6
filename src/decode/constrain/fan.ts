/**
 * Which bytes the heads of a state tell apart. Bytes that the same heads take lead to the same place, so a state keeps a transition for each such
 * class and not for each byte; states that differ only in what follows, such as those of a counted string, share one division.
 */
import type { Expr } from "./grammar.ts";
import { kindOf } from "./trie.ts";

export interface Fan {
  /** [256] the class of each byte. */
  readonly classOf: Uint8Array;
  /** By class: the places of the heads that take its bytes, ascending; none where the bytes are refused. */
  readonly takers: readonly (readonly number[])[];
  /** By class: the kinds (trie.ts) of its bytes. */
  readonly kinds: Int32Array;
  /** By class: one of its bytes. */
  readonly example: Uint8Array;
}

/** Divisions that are kept, and what one takes. */
const MOST_FANS = 4096;
const FAN_BYTES = 800;

export class Fans {
  readonly #known = new Map<string, Fan>();

  get bytes(): number {
    return FAN_BYTES * this.#known.size;
  }

  /** The division by these heads; heads that are no classes of bytes take none. */
  of(heads: readonly Expr[]): Fan {
    let key = "";
    for (const head of heads) key += `${head.id},`;
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#known.size >= MOST_FANS) this.#known.clear();
    const made = divided(heads);
    this.#known.set(key, made);
    return made;
  }
}

const has = (set: Uint32Array, byte: number): boolean => ((set[byte >> 5] >>> (byte & 31)) & 1) === 1;

function divided(heads: readonly Expr[]): Fan {
  const classOf = new Uint8Array(256);
  let count = 1;
  const moved = new Int16Array(256);
  const left = new Int16Array(256);
  for (const head of heads) {
    if (head.kind !== "bytes") continue;
    // What the head takes of a class moves to a new one, unless that is all of it.
    left.fill(0);
    for (let b = 0; b < 256; b++) if (!has(head.set, b)) left[classOf[b]] = 1;
    moved.fill(-1);
    for (let b = 0; b < 256; b++) {
      const own = classOf[b];
      if (!left[own] || !has(head.set, b)) continue;
      if (moved[own] < 0) moved[own] = count++;
      classOf[b] = moved[own];
    }
  }
  const kinds = new Int32Array(count);
  const example = new Uint8Array(count);
  for (let b = 255; b >= 0; b--) {
    kinds[classOf[b]] |= kindOf[b];
    example[classOf[b]] = b;
  }
  const takers = Array.from(example, byte => {
    const places: number[] = [];
    heads.forEach((head, i) => {
      if (head.kind === "bytes" && has(head.set, byte)) places.push(i);
    });
    return places;
  });
  return { classOf, takers, kinds, example };
}
