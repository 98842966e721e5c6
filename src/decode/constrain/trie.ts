/**
 * The vocabulary as a tree of bytes, laid out depth first in flat arrays: a node's subtree is the stretch up to `skip`, so that refusing a
 * byte steps over all tokens behind it. Tokens without bytes (control tokens) are not in it and can never be chosen under a constraint.
 */
import { compareBytes } from "./grammar.ts";

/** Bytes that grammars tell apart stand alone, others together with their like: at most 32 kinds, one bit each. */
const alone = [...'"\\{}[]:, \n-_.@/+'].map(c => c.charCodeAt(0));
const ranges: readonly (readonly [number, number])[] = [
  [0x30, 0x39],
  [0x61, 0x66],
  [0x67, 0x7a],
  [0x41, 0x46],
  [0x47, 0x5a],
  [0x80, 0xbf],
  [0xc0, 0xdf],
  [0xe0, 0xef],
  [0xf0, 0xff],
  [0x21, 0x7e],
  [0x00, 0x7f],
];
/** [256] the bit of each byte's kind: that of the byte alone, else that of the first range that has it. */
export const kindOf: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  const own = alone.indexOf(byte);
  return 1 << (own >= 0 ? own : alone.length + ranges.findIndex(([from, to]) => byte >= from && byte <= to));
});

/** Longer tokens are left out: no vocabulary in use has them, and depth is bounded by it. */
const LONGEST = 512;

export class Trie {
  /** Tokens in the vocabulary; ids run from 0. */
  readonly size: number;
  /** [nodes] the byte that leads to the node, its depth (1 for first bytes), the node after its subtree, its parent (-1), its token (-1). */
  readonly byte: Uint8Array;
  readonly depth: Uint16Array;
  readonly skip: Int32Array;
  readonly parent: Int32Array;
  readonly token: Int32Array;
  /** [nodes] the kinds of all bytes in the node's subtree, its own included. */
  readonly kinds: Uint32Array;
  readonly nodes: number;
  /** Further tokens with the same bytes as the one of a node. */
  readonly twins: ReadonlyMap<number, readonly number[]>;
  /** Bytes of the longest token. */
  readonly longest: number;
  readonly bytesOf: (id: number) => Uint8Array;
  /** All tokens of the tree, the longest first; [longest + 1] how many of them have more bytes than that. */
  readonly #byLength: Int32Array;
  readonly #more: Int32Array;

  constructor(size: number, bytesOf: (id: number) => Uint8Array) {
    this.size = size;
    this.bytesOf = bytesOf;
    const all: { id: number; bytes: Uint8Array }[] = [];
    let most = 0;
    for (let id = 0; id < size; id++) {
      const bytes = bytesOf(id);
      if (bytes.length === 0 || bytes.length > LONGEST) continue;
      all.push({ id, bytes });
      most += bytes.length;
    }
    all.sort((a, b) => compareBytes(a.bytes, b.bytes) || a.id - b.id);
    const byte = new Uint8Array(most);
    const depth = new Uint16Array(most);
    const parent = new Int32Array(most);
    const token = new Int32Array(most).fill(-1);
    const path = new Int32Array(LONGEST + 1).fill(-1);
    const twins = new Map<number, number[]>();
    let nodes = 0;
    let before: Uint8Array = new Uint8Array(0);
    for (const { id, bytes } of all) {
      let at = 0;
      while (at < before.length && at < bytes.length && bytes[at] === before[at]) at++;
      for (; at < bytes.length; at++) {
        byte[nodes] = bytes[at];
        depth[nodes] = at + 1;
        parent[nodes] = path[at];
        path[at + 1] = nodes++;
      }
      const node = path[bytes.length];
      if (token[node] < 0) token[node] = id;
      else twins.set(node, [...(twins.get(node) ?? []), id]);
      before = bytes;
    }
    this.nodes = nodes;
    this.byte = byte.slice(0, nodes);
    this.depth = depth.slice(0, nodes);
    this.parent = parent.slice(0, nodes);
    this.token = token.slice(0, nodes);
    this.skip = skips(this.depth);
    this.kinds = new Uint32Array(nodes);
    for (let i = nodes - 1; i >= 0; i--) {
      this.kinds[i] |= kindOf[this.byte[i]];
      if (this.parent[i] >= 0) this.kinds[this.parent[i]] |= this.kinds[i];
    }
    this.twins = twins;
    this.longest = this.depth.reduce((a, b) => Math.max(a, b), 0);
    this.#more = new Int32Array(this.longest + 1);
    for (const { bytes } of all) for (let n = 0; n < bytes.length; n++) this.#more[n]++;
    this.#byLength = new Int32Array(all.length);
    const place = this.#more.slice();
    for (const { id, bytes } of all) this.#byLength[place[bytes.length]++] = id;
  }

  /** The tokens of more than that many bytes. */
  longer(length: number): Int32Array {
    return this.#byLength.subarray(0, length < this.#more.length ? this.#more[length] : 0);
  }

  /** Adds all tokens of a subtree to a set of bits. */
  markAll(node: number, bits: Uint32Array): void {
    const { token, skip, twins } = this;
    for (let i = node, end = skip[node]; i < end; i++) {
      const id = token[i];
      if (id >= 0) bits[id >> 5] |= 1 << (id & 31);
    }
    if (twins.size) for (let i = node; i < skip[node]; i++) this.mark(i, bits);
  }

  /** Adds the tokens that end at a node to a set of bits. */
  mark(node: number, bits: Uint32Array): void {
    const id = this.token[node];
    if (id < 0) return;
    bits[id >> 5] |= 1 << (id & 31);
    const twins = this.twins.get(node);
    if (twins) for (const twin of twins) bits[twin >> 5] |= 1 << (twin & 31);
  }
}

/** For each node the first later one that is not deeper. */
function skips(depth: Uint16Array): Int32Array {
  const skip = new Int32Array(depth.length);
  const next = new Int32Array(LONGEST + 2).fill(depth.length); // by depth: the nearest later node of that depth or less
  for (let i = depth.length - 1; i >= 0; i--) {
    const own = depth[i];
    skip[i] = next[own];
    for (let d = own; d < next.length && next[d] !== i; d++) next[d] = i;
  }
  return skip;
}
