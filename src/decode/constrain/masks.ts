/**
 * Which tokens may come next, as a set of bits per state. The vocabulary's tree and the automaton are walked together. What a rule allows while
 * it is not left does not depend on what surrounds it: that part is found once per place inside the rule, and only tokens that leave the rule are
 * checked against the surroundings (the split of XGrammar, Dong et al. 2024, https://arxiv.org/abs/2411.15100). Counters too large to be
 * reached by one token do not tell places apart.
 */
import { type Automaton, isReturn, type Stack } from "./automaton.ts";
import type { Expr } from "./grammar.ts";
import { kindOf, type Trie } from "./trie.ts";

/** Bytes of masks that are kept. */
const MOST_BYTES = 8 * 2 ** 20;
/** Counters below this are part of a place's identity: too few tokens would be alike. */
const RELAXED_FROM = 8;

/** What is known of a place inside a rule, whatever surrounds the rule. */
interface Place {
  /** Tokens that stay inside. */
  readonly inside: Uint32Array;
  /** Nodes whose subtrees leave the rule: only the surroundings can tell. */
  readonly open: Int32Array;
}

export class Masks {
  readonly #automaton: Automaton;
  readonly #trie: Trie;
  readonly #ends: readonly number[];
  /** By state, and by place with counters relaxed. */
  #masks = new Map<Stack, Uint32Array>();
  #places = new Map<Stack, Place>();
  #bytes = 0;
  #epoch = 0;
  readonly #path: (Stack | null)[];

  /** `ends`: tokens that may be chosen where the text may end. */
  constructor(automaton: Automaton, trie: Trie, ends: readonly number[]) {
    this.#automaton = automaton;
    this.#trie = trie;
    this.#ends = ends;
    this.#path = new Array(trie.longest + 1).fill(null);
  }

  /** [ceil(size / 32)] bit `id & 31` of word `id >> 5` is set where the token may follow. Kept: not to be written to. */
  of(state: Stack): Uint32Array {
    const known = this.#masks.get(state);
    if (known) return known;
    if (this.#bytes > MOST_BYTES || this.#epoch !== this.#automaton.epoch) this.#forget();
    const mask = this.#find(state);
    if (state.ends) for (const id of this.#ends) mask[id >> 5] |= 1 << (id & 31);
    this.#masks.set(state, mask);
    this.#bytes += mask.byteLength;
    return mask;
  }

  #forget(): void {
    this.#masks = new Map();
    this.#places = new Map();
    this.#bytes = 0;
    this.#epoch = this.#automaton.epoch;
  }

  #find(state: Stack): Uint32Array {
    const border = borderOf(state);
    if (!border) return this.#walk(state).inside;
    const { place, shortest } = this.#placeOf(state, border);
    let known = this.#places.get(place);
    if (!known) {
      known = this.#walk(place);
      this.#places.set(place, known);
      this.#bytes += known.inside.byteLength + known.open.byteLength;
    }
    const mask = known.inside.slice();
    if (shortest < Number.POSITIVE_INFINITY) this.#recount(state, mask, shortest);
    for (const node of known.open) this.#check(state, node, mask);
    return mask;
  }

  /** Walks the whole tree from a state. */
  #walk(state: Stack): Place {
    const trie = this.#trie;
    const { nodes, byte, depth, skip, token } = trie;
    const inside = new Uint32Array((trie.size + 31) >> 5);
    const open: number[] = [];
    const path = this.#path;
    /** Whether the rule may have been left on the way to a depth. */
    const left = new Uint8Array(path.length);
    path[0] = state;
    left[0] = Number(state.leaves);
    for (let i = 0; i < nodes; ) {
      const d = depth[i];
      const from = path[d - 1]!;
      const known = from.row?.[byte[i]];
      const next = known !== undefined ? known : this.#automaton.step(from, byte[i]);
      if (next === null) {
        if (left[d - 1]) open.push(i);
        i = skip[i];
        continue;
      }
      if (next === from && !(trie.kinds[i] & ~this.#loops(from))) {
        trie.markAll(i, inside);
        i = skip[i];
        continue;
      }
      path[d] = next;
      left[d] = left[d - 1] | Number(next.leaves);
      if (token[i] >= 0) trie.mark(i, inside);
      i++;
    }
    return { inside, open: Int32Array.from(open) };
  }

  /** The kinds of bytes of which every one leads from a state back to it: what consists of them needs no look at each byte. */
  #loops(state: Stack): number {
    if (state.loops !== undefined) return state.loops;
    let kinds = -1;
    for (let byte = 0; byte < 256; byte++) if (kinds & kindOf[byte] && this.#automaton.step(state, byte) !== state) kinds &= ~kindOf[byte];
    state.loops = kinds;
    return kinds;
  }

  /** Marks what of a subtree may follow a state. */
  #check(state: Stack, node: number, mask: Uint32Array): void {
    const { byte, depth, skip, parent, token, kinds } = this.#trie;
    const top = depth[node];
    const path = this.#path;
    path[0] = state;
    const way: number[] = [];
    for (let up = parent[node]; up >= 0; up = parent[up]) way.push(byte[up]);
    for (let d = 1; d < top; d++) {
      const next: Stack | null = this.#automaton.step(path[d - 1]!, way[top - 1 - d]);
      if (!next) return;
      path[d] = next;
    }
    const end = skip[node];
    for (let i = node; i < end; ) {
      const from = path[depth[i] - 1]!;
      const next = this.#automaton.step(from, byte[i]);
      if (next === null) {
        i = skip[i];
        continue;
      }
      if (next === from && !(kinds[i] & ~this.#loops(from))) {
        this.#trie.markAll(i, mask);
        i = skip[i];
        continue;
      }
      path[depth[i]] = next;
      if (token[i] >= 0) this.#trie.mark(i, mask);
      i++;
    }
  }

  /** Tokens long enough to use up a counter are checked one by one; `mask` holds what may follow if it had no limit. */
  #recount(state: Stack, mask: Uint32Array, shortest: number): void {
    const { bytesOf } = this.#trie;
    for (const id of this.#long(shortest)) {
      if (!((mask[id >> 5] >>> (id & 31)) & 1)) continue;
      if (!this.#automaton.run(state, bytesOf(id))) mask[id >> 5] &= ~(1 << (id & 31));
    }
  }

  readonly #longer = new Map<number, Int32Array>();
  /** Tokens of more than that many bytes. */
  #long(length: number): Int32Array {
    const known = this.#longer.get(length);
    if (known) return known;
    const ids: number[] = [];
    const { nodes, depth, token, twins } = this.#trie;
    for (let i = 0; i < nodes; i++) if (token[i] >= 0 && depth[i] > length) ids.push(token[i], ...(twins.get(i) ?? []));
    const made = Int32Array.from(ids);
    this.#longer.set(length, made);
    return made;
  }

  /**
   * The part of a state up to the border of its rule, without what follows, and with upper limits of counters taken away that a token of up to
   * `shortest` bytes cannot reach.
   */
  #placeOf(state: Stack, border: Stack): { place: Stack; shortest: number } {
    const automaton = this.#automaton;
    const { grammar } = automaton;
    const { longest } = this.#trie;
    let shortest = Number.POSITIVE_INFINITY;
    const relaxed = (head: Expr): Expr => {
      if (head.kind !== "repeat" || head.max < RELAXED_FROM) return head;
      if (head.max < longest) shortest = Math.min(shortest, head.max);
      return grammar.repeat(head.body, Math.min(head.min, longest + 1));
    };
    const hole = automaton.push(grammar.hole, automaton.end);
    const done = new Map<Stack, Stack>([[border, hole]]);
    const copy = (stack: Stack): Stack => {
      const known = done.get(stack);
      if (known) return known;
      const made = stack.heads.map((head, i) => automaton.push(relaxed(head), copy(stack.tails[i])));
      const whole = made.reduce((a, b) => automaton.merge(a, b));
      done.set(stack, whole);
      return whole;
    };
    return { place: automaton.close(copy(state)), shortest };
  }
}

/** Stacks that are looked through for a border. */
const FARTHEST = 64;

/** The nearest end of a rule that every way from here passes; undefined where there is none near. */
function borderOf(state: Stack): Stack | undefined {
  let visited = 0;
  const found = new Map<Stack, Stack | null>();
  const search = (stack: Stack): Stack | null => {
    if (isReturn(stack)) return stack;
    const known = found.get(stack);
    if (known !== undefined) return known;
    if (stack.ends || stack.isEnd || ++visited > FARTHEST) return null;
    let common: Stack | null = search(stack.tails[0]);
    for (let i = 1; common && i < stack.tails.length; i++) if (search(stack.tails[i]) !== common) common = null;
    found.set(stack, common);
    return common;
  };
  return search(state) ?? undefined;
}
