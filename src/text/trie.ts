/**
 * A tree of texts for finding the longest, or every, entry that starts at a place. Units are whatever the caller walks by: UTF-16 units or
 * bytes. Nodes are small integers, 0 the root; made once, then only read.
 */
import { PairTable } from "./pair-table.ts";

export class Trie {
  readonly #edges: PairTable;
  readonly #values: number[] = [-1];

  /** `most`: units of all entries together, which bounds the nodes. */
  constructor(most: number) {
    this.#edges = new PairTable(most);
  }

  /** A tree of texts by UTF-16 units; each text's value is its place in `values`. */
  static ofTexts(texts: readonly string[], values: ArrayLike<number>): Trie {
    const trie = new Trie(texts.reduce((sum, text) => sum + text.length, 0));
    for (let i = 0; i < texts.length; i++) {
      let node = 0;
      for (let at = 0; at < texts[i].length; at++) node = trie.grow(node, texts[i].charCodeAt(at));
      trie.set(node, values[i]);
    }
    return trie;
  }

  /** The node after `node` by `unit`, made if it is not there. */
  grow(node: number, unit: number): number {
    const known = this.step(node, unit);
    if (known >= 0) return known;
    const made = this.#values.push(-1) - 1;
    this.#edges.add(node, unit, 0, made);
    return made;
  }

  /** The first value of a node stays. */
  set(node: number, value: number): void {
    if (this.#values[node] < 0) this.#values[node] = value;
  }

  /** The node after `node` by `unit`, or -1. */
  step(node: number, unit: number): number {
    const slot = this.#edges.find(node, unit);
    return slot < 0 ? -1 : this.#edges.slots[slot + 3];
  }

  /** The node that a text leads to from the root, or -1. */
  walk(text: string): number {
    let node = 0;
    for (let i = 0; i < text.length && node >= 0; i++) node = this.step(node, text.charCodeAt(i));
    return node;
  }

  /** What ends at a node, or -1. */
  value(node: number): number {
    return this.#values[node];
  }
}
