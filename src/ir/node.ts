/**
 * The form of a traced kernel: immutable, hash-consed expression nodes inside scopes, and three statements, `store`, `prefetch` and `loop`.
 * A scope keeps its items in the order in which the author wrote them; a node lives in the outermost scope that has its operands.
 */
import type { Elem, Range } from "./types.ts";

export interface Node {
  readonly id: number;
  /** A name in ops.ts. */
  readonly op: string;
  readonly type: Elem;
  readonly lanes: number;
  readonly args: readonly Node[];
  /** The operation's one number: constant, shift distance, first lane, slot. 0 where it has none. */
  readonly attr: number;
  readonly range: Range;
  readonly scope: Scope;
}

export interface Store {
  readonly kind: "store";
  readonly address: Node;
  /** Byte index, i32. */
  readonly index: Node;
  /** Constant byte offset added to the index. */
  readonly offset: number;
  readonly value: Node;
}

/** A hint that the bytes there will be read soon, once, and not again for long. It means nothing, may lie outside of memory, and never fails. */
export interface Prefetch {
  readonly kind: "prefetch";
  readonly address: Node;
  readonly index: Node;
  readonly offset: number;
}

/** Runs `body` for index = from .. to - 1. Carried values go in as `init`, are seen as `carries`, become `next`, and come out as `results`. */
export interface Loop {
  readonly kind: "loop";
  readonly index: Node;
  readonly from: Node;
  readonly to: Node;
  readonly init: readonly Node[];
  readonly carries: readonly Node[];
  readonly next: readonly Node[];
  readonly results: readonly Node[];
  readonly body: Scope;
  /** No turn reads what another writes, and none carries anything: two may be done at once, in registers of twice the width (lower/join.ts). */
  readonly apart?: true;
}

export type Item = { readonly kind: "node"; readonly node: Node } | Store | Prefetch | Loop;

export interface Scope {
  readonly depth: number;
  readonly parent: Scope | undefined;
  readonly items: Item[];
  /** Nodes that may be shared, by a number made of what they are (build.ts). */
  readonly seen: Map<number, Node>;
}

/** `in` is only read, `out` may be written; both are addresses. `size` is an i32 that is not negative, `scalar` an f32. */
export type SlotKind = "in" | "out" | "size" | "scalar";

export interface Slot {
  readonly name: string;
  readonly kind: SlotKind;
}

/**
 * A traced kernel. Called as `kernel(begin, end, ...slots)`: it does the grid units begin .. end - 1, and any split of the grid over threads
 * gives the same result.
 */
export interface Kernel {
  readonly name: string;
  readonly slots: readonly Slot[];
  readonly begin: Node;
  readonly end: Node;
  readonly body: Scope;
}
