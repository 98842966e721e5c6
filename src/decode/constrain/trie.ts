/**
 * The vocabulary as a tree of bytes, laid out depth first in flat arrays: a node's subtree is the stretch up to `skip`, so that refusing a
 * byte steps over all tokens behind it. Tokens without bytes (control tokens) are not in it and can never be chosen under a constraint, but for
 * those that are marks (marks.ts), which only a grammar that names them leads to.
 */
import { MARK, markBytes } from "./marks.ts";

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

/** The tree as it travels between threads. */
export interface FlatTrie {
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
  /** Further tokens with the same bytes as the one of a node. */
  readonly twins: ReadonlyMap<number, readonly number[]>;
  /** All tokens of the tree, the longest first; [bytes of the longest + 1] how many of them have more bytes than that. */
  readonly byLength: Int32Array;
  readonly more: Int32Array;
  /** Tokens that are marks: they stand under their marks' bytes as well, in the last nodes. */
  readonly marks: readonly number[];
}

/** The bytes of all entries, one after the other: entry i has those from `starts[i]` to `starts[i + 1]`. */
interface Bytes {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
}

function gathered(size: number, bytesOf: (id: number) => Uint8Array): Bytes {
  const starts = new Int32Array(size + 1);
  for (let id = 0; id < size; id++) {
    const { length } = bytesOf(id);
    starts[id + 1] = starts[id] + (length <= LONGEST ? length : 0);
  }
  const bytes = new Uint8Array(starts[size]);
  for (let id = 0; id < size; id++) if (starts[id + 1] > starts[id]) bytes.set(bytesOf(id), starts[id]);
  return { bytes, starts };
}

/** Tokens that have bytes, in the order of these. */
function inOrder({ bytes, starts }: Bytes): Int32Array {
  const lengthOf = (id: number): number => starts[id + 1] - starts[id];
  return Int32Array.from(starts.subarray(1), (_, id) => id)
    .filter(lengthOf)
    .sort((a, b) => {
      const common = Math.min(lengthOf(a), lengthOf(b));
      for (let i = 0; i < common; i++)
        if (bytes[starts[a] + i] !== bytes[starts[b] + i]) return bytes[starts[a] + i] - bytes[starts[b] + i];
      return lengthOf(a) - lengthOf(b) || a - b;
    });
}

const nothing = new Uint8Array(0);

/** Builds the tree: some hundred milliseconds for a hundred thousand tokens, most of them for their order. `marks`: tokens that are marks. */
export function flatTrie(size: number, bytesOf: (id: number) => Uint8Array, marks: readonly number[] = []): FlatTrie {
  // Entries are the tokens, then the marks. A token with the byte of marks in it is part of no text.
  const textOf = (id: number): Uint8Array => (bytesOf(id).includes(MARK) ? nothing : bytesOf(id));
  const all = gathered(size + marks.length, i => (i < size ? textOf(i) : markBytes(marks[i - size])));
  const { starts } = all;
  const idOf = (entry: number): number => (entry < size ? entry : marks[entry - size]);
  const ids = inOrder(all);
  const { twins, ...nodes } = nodesOf(all, ids, idOf);
  const kinds = new Uint32Array(nodes.byte.length);
  for (let i = kinds.length - 1; i >= 0; i--) {
    kinds[i] |= kindOf[nodes.byte[i]];
    if (nodes.parent[i] >= 0) kinds[nodes.parent[i]] |= kinds[i];
  }
  const more = new Int32Array(nodes.depth.reduce((a, b) => Math.max(a, b), 0) + 1);
  for (const id of ids) for (let n = 0; n < starts[id + 1] - starts[id]; n++) more[n]++;
  const byLength = new Int32Array(ids.length);
  const place = more.slice();
  for (const id of ids) byLength[place[starts[id + 1] - starts[id]]++] = idOf(id);
  return { size, ...nodes, skip: skips(nodes.depth), kinds, twins, byLength, more, marks };
}

/** The nodes of entries in the order of their bytes; `idOf`: an entry's token. */
function nodesOf({ bytes, starts }: Bytes, ids: Int32Array, idOf: (entry: number) => number) {
  const byte = new Uint8Array(bytes.length);
  const depth = new Uint16Array(bytes.length);
  const parent = new Int32Array(bytes.length);
  const token = new Int32Array(bytes.length).fill(-1);
  const path = new Int32Array(LONGEST + 1).fill(-1);
  const twins = new Map<number, number[]>();
  let nodes = 0;
  let before: Uint8Array = new Uint8Array(0);
  for (const id of ids) {
    const own = bytes.subarray(starts[id], starts[id + 1]);
    let at = 0;
    while (at < before.length && at < own.length && own[at] === before[at]) at++;
    for (; at < own.length; at++) {
      byte[nodes] = own[at];
      depth[nodes] = at + 1;
      parent[nodes] = path[at];
      path[at + 1] = nodes++;
    }
    const node = path[own.length];
    if (token[node] < 0) token[node] = idOf(id);
    else twins.set(node, [...(twins.get(node) ?? []), idOf(id)]);
    before = own;
  }
  return { byte: byte.slice(0, nodes), depth: depth.slice(0, nodes), parent: parent.slice(0, nodes), token: token.slice(0, nodes), twins };
}

export class Trie {
  readonly flat: FlatTrie;
  readonly size: number;
  /** Bytes of the longest token. */
  readonly longest: number;
  readonly bytesOf: (id: number) => Uint8Array;

  /** `bytesOf`: the text's bytes of a token, or those of its mark where the tree has it as a mark only. */
  constructor(flat: FlatTrie, bytesOf: (id: number) => Uint8Array) {
    this.flat = flat;
    this.size = flat.size;
    this.longest = flat.more.length - 1;
    this.bytesOf = bytesOf;
  }

  /** The same tree for grammars with marks in them: the tokens of marks are no text there, even those whose text others may write. */
  get marked(): Trie {
    const { marks, token, byte, depth } = this.flat;
    if (marks.length === 0) return this;
    const own = new Set(marks);
    const only = token.slice();
    const twins = new Map(this.flat.twins);
    const first = byte.findLastIndex((b, i) => b === MARK && depth[i] === 1);
    for (let i = 0; i < first; i++) {
      if (!own.has(token[i]) && !twins.get(i)?.some(id => own.has(id))) continue;
      const [left = -1, ...more] = [token[i], ...(twins.get(i) ?? [])].filter(id => !own.has(id));
      only[i] = left;
      twins.set(i, more);
    }
    return new Trie({ ...this.flat, token: only, twins }, id => (own.has(id) ? markBytes(id) : this.bytesOf(id)));
  }

  /** The tokens of more than that many bytes. */
  longer(length: number): Int32Array {
    const { byLength, more } = this.flat;
    return byLength.subarray(0, length < more.length ? more[length] : 0);
  }

  /** Adds all tokens of a subtree to a set of bits. */
  markAll(node: number, bits: Uint32Array): void {
    const { token, skip, twins } = this.flat;
    for (let i = node, end = skip[node]; i < end; i++) {
      const id = token[i];
      if (id >= 0) bits[id >> 5] |= 1 << (id & 31);
    }
    if (twins.size) for (let i = node; i < skip[node]; i++) this.mark(i, bits);
  }

  /** Adds the tokens that end at a node to a set of bits. */
  mark(node: number, bits: Uint32Array): void {
    const { token, twins } = this.flat;
    const id = token[node];
    if (id < 0) return;
    bits[id >> 5] |= 1 << (id & 31);
    for (const twin of twins.get(node) ?? []) bits[twin >> 5] |= 1 << (twin & 31);
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
