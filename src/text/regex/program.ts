/**
 * A parsed expression as a nondeterministic automaton: instructions in arrays, each knowing what follows it. Instructions are made from the
 * end backwards, so that what follows has nearly always the smaller number. The body of a look-ahead is a part of its own that ends in a
 * match; `levels` says in which order such parts can be decided, innermost first.
 */
import { type Node, type Test, unsupportedPattern } from "./syntax.ts";

/** Take one character of class `x`, then `next`. */
export const CHAR = 0;
/** Try `next`, then `x`. */
export const SPLIT = 1;
/** Go on at `next` if the part that starts at `x` matches here (AHEAD) or does not (NOT_AHEAD). */
export const AHEAD = 2;
const NOT_AHEAD = 3;
/** Go on at `next` if the character before is of class `x` (BEHIND), or is not (NOT_BEHIND). */
export const BEHIND = 4;
export const NOT_BEHIND = 5;
export const MATCH = 6;

const MOST = 20_000;
/** Kinds of characters that an expression may tell apart: what is known of a character has a byte for each. Tokenizers have some tens. */
const MOST_KINDS = 1000;

export interface Program {
  readonly ops: Uint8Array;
  readonly x: Int32Array;
  readonly next: Int32Array;
  /** Where the expression begins. */
  readonly start: number;
  /** Those that take a character and go on at the instruction before them; those that go on elsewhere. */
  readonly inRow: Int32Array;
  readonly apart: Int32Array;
  /** Those that end in a match, one bit each. */
  readonly accepting: Int32Array;
  /** Instructions without characters, by how deep they are in look-ahead: the innermost first. */
  readonly levels: readonly Level[];
  /**
   * Instructions without characters that go on at an instruction, in the same level: those that go on at `i` stand in `inward` from
   * `inwardFrom[i]` to `inwardFrom[i + 1]`.
   */
  readonly inward: Int32Array;
  readonly inwardFrom: Int32Array;
  /** The classes that instructions refer to. */
  readonly tests: readonly Test[];
  /** Those that are asked about the character before; by instruction that asks, the place in that list. */
  readonly behind: readonly number[];
  readonly behindAt: Uint8Array;
}

export interface Level {
  /** In the order of their numbers: nearly always, what follows comes first. */
  readonly instructions: Int32Array;
  /** Those where something follows that comes later: loops. */
  readonly loops: Int32Array;
}

class Builder {
  readonly ops: number[] = [];
  readonly x: number[] = [];
  readonly next: number[] = [];
  readonly depths: number[] = [];
  readonly tests: Test[] = [];
  readonly #known = new Map<Test, number>();
  readonly #pattern: string;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  emit(op: number, x: number, next: number): number {
    if (this.ops.length >= MOST) throw unsupportedPattern(this.#pattern, 0, `more than ${MOST} steps`);
    this.x.push(x);
    this.next.push(next);
    this.depths.push(this.#depth);
    return this.ops.push(op) - 1;
  }

  /** The number of the first instruction of `node`, which goes on at `next`. */
  build(node: Node, next: number): number {
    if (node.kind === "class") return this.emit(CHAR, this.#test(node.test), next);
    if (node.kind === "sequence") return node.items.reduceRight((after, item) => this.build(item, after), next);
    if (node.kind === "choice") {
      const starts = node.items.map(item => this.build(item, next));
      return starts.reduceRight((otherwise, start) => this.emit(SPLIT, otherwise, start));
    }
    if (node.kind === "repeat") return this.#repeat(node, next);
    if (node.kind === "behind") return this.emit(node.negative ? NOT_BEHIND : BEHIND, this.#test(node.test), next);
    this.#depth++;
    const inner = this.build(node.item, this.emit(MATCH, 0, 0));
    this.#depth--;
    return this.emit(node.negative ? NOT_AHEAD : AHEAD, inner, next);
  }

  #test(test: Test): number {
    const known = this.#known.get(test) ?? this.tests.push(test) - 1;
    if (known >= MOST_KINDS) throw unsupportedPattern(this.#pattern, 0, `more than ${MOST_KINDS} kinds of characters`);
    this.#known.set(test, known);
    return known;
  }

  #repeat({ item, min, max, greedy }: Node & { kind: "repeat" }, next: number): number {
    let [at, copies] = [next, min];
    const split = (body: number, past: number): number => (greedy ? this.emit(SPLIT, past, body) : this.emit(SPLIT, body, past));
    if (max === Number.POSITIVE_INFINITY) {
      at = split(next, next);
      const body = this.build(item, at);
      if (greedy) this.next[at] = body;
      else this.x[at] = body;
      if (min > 0 && takesCharacter(item)) [at, copies] = [body, min - 1]; // the loop's own body is the last that must be
    } else for (let i = min; i < max; i++) at = split(this.build(item, at), next);
    for (let i = 0; i < copies; i++) at = this.build(item, at);
    return at;
  }
}

/** Whether it matches no empty text. */
function takesCharacter(node: Node): boolean {
  if (node.kind === "sequence") return node.items.some(takesCharacter);
  if (node.kind === "choice") return node.items.every(takesCharacter);
  return node.kind === "class" || (node.kind === "repeat" && node.min > 0 && takesCharacter(node.item));
}

export function compile(node: Node, pattern: string): Program {
  const builder = new Builder(pattern);
  const start = builder.build(node, builder.emit(MATCH, 0, 0));
  const { depths, tests } = builder;
  const [ops, x, next] = [Uint8Array.from(builder.ops), Int32Array.from(builder.x), Int32Array.from(builder.next)];
  const where = (of: (at: number) => boolean): Int32Array => Int32Array.from(ops.keys()).filter(of);
  const deepest = depths.reduce((most, depth) => Math.max(most, depth), 0);
  const levels = Array.from({ length: deepest + 1 }, (_, i): Level => {
    const instructions = where(at => depths[at] === deepest - i && ops[at] !== CHAR && ops[at] !== MATCH);
    return { instructions, loops: instructions.filter(at => next[at] > at || (ops[at] === SPLIT && x[at] > at)) };
  });
  const asks = where(at => ops[at] === BEHIND || ops[at] === NOT_BEHIND);
  const behind = [...new Set([...asks].map(at => x[at]))];
  if (behind.length > 8) throw unsupportedPattern(pattern, 0, "more than eight kinds of look-behind");
  const behindAt = new Uint8Array(ops.length);
  for (const at of asks) behindAt[at] = behind.indexOf(x[at]);
  const accepting = new Int32Array((ops.length + 31) >> 5);
  for (const at of where(at => ops[at] === MATCH)) accepting[at >> 5] |= 1 << at;
  const inRow = where(at => ops[at] === CHAR && next[at] === at - 1);
  const apart = where(at => ops[at] === CHAR && next[at] !== at - 1);
  return { ops, x, next, start, inRow, apart, accepting, levels, ...inwardOf(ops, x, next), tests, behind, behindAt };
}

function inwardOf(ops: Uint8Array, x: Int32Array, next: Int32Array): Pick<Program, "inward" | "inwardFrom"> {
  const follow = (at: number): number[] =>
    ops[at] === CHAR || ops[at] === MATCH ? [] : ops[at] === SPLIT ? [next[at], x[at]] : [next[at]];
  const inwardFrom = new Int32Array(ops.length + 1);
  for (const at of ops.keys()) for (const then of follow(at)) inwardFrom[then + 1]++;
  for (let i = 0; i < ops.length; i++) inwardFrom[i + 1] += inwardFrom[i];
  const inward = new Int32Array(inwardFrom[ops.length]);
  const filled = inwardFrom.slice();
  for (const at of ops.keys()) for (const then of follow(at)) inward[filled[then]++] = at;
  return { inward, inwardFrom };
}
