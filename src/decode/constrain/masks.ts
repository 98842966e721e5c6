/**
 * Which tokens may come next, as a set of bits per state. The vocabulary's tree and the automaton are walked together. What a rule allows while
 * it is not left does not depend on what surrounds it: that part is found once per place inside the rule, and only tokens that leave the rule are
 * checked against the surroundings (the split of XGrammar, Dong et al. 2024, https://arxiv.org/abs/2411.15100). Counters too large to be
 * reached by one token do not tell places apart.
 */
import { type Automaton, isReturn, type Stack } from "./automaton.ts";
import type { Expr } from "./grammar.ts";
import type { Trie } from "./trie.ts";

/** Bytes of masks that are kept. */
const MOST_BYTES = 8 * 2 ** 20;
/** States whose masks are known; many share one. */
const MOST_MASKS = 50_000;
/** What an entry of a table takes. */
const ENTRY_BYTES = 50;
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
  /** By state, and by place. */
  #masks = new Map<Stack, Uint32Array>();
  #places = new Map<Stack, Place>();
  /** Kept masks by a sum of their words. */
  #equal = new Map<number, Uint32Array[]>();
  /** The mask that is being made. */
  readonly #mask: Uint32Array;
  #bytes = 0;
  #epoch = 0;
  readonly #path: (Stack | null)[];

  /** `ends`: tokens that may be chosen where the text may end. */
  constructor(automaton: Automaton, trie: Trie, ends: readonly number[]) {
    this.#automaton = automaton;
    this.#trie = trie;
    this.#ends = ends;
    this.#mask = new Uint32Array((trie.size + 31) >> 5);
    this.#path = new Array(trie.longest + 1).fill(null);
  }

  /** [ceil(size / 32)] bit `id & 31` of word `id >> 5` is set where the token may follow. Kept: not to be written to. */
  of(state: Stack): Uint32Array {
    const known = this.#masks.get(state);
    if (known) return known;
    if (this.#bytes > MOST_BYTES || this.#masks.size > MOST_MASKS || this.#epoch !== this.#automaton.epoch) this.forget();
    return this.#find(state, borderOf(state));
  }

  /** Bytes of what is kept; estimated. */
  get bytes(): number {
    return this.#bytes + ENTRY_BYTES * (this.#masks.size + this.#places.size + this.#equal.size);
  }

  forget(): void {
    this.#masks = new Map();
    this.#places = new Map();
    this.#equal = new Map();
    this.#bytes = 0;
    this.#epoch = this.#automaton.epoch;
  }

  #find(state: Stack, border: Stack | undefined): Uint32Array {
    const { relaxed, shortest } = border ? this.#relaxed(state, border) : { relaxed: state, shortest: Number.POSITIVE_INFINITY };
    const same = relaxed === state;
    const known = same ? undefined : (this.#masks.get(relaxed) ?? this.#whole(relaxed, border));
    if (known && shortest === Number.POSITIVE_INFINITY) {
      this.#masks.set(state, known);
      return known;
    }
    if (!known) return this.#whole(state, border);
    const mask = this.#mask;
    mask.set(known);
    this.#recount(state, mask, shortest);
    return this.#keep(state, mask);
  }

  /** The mask of a state, its counters taken as they are. */
  #whole(state: Stack, border: Stack | undefined): Uint32Array {
    const mask = this.#mask;
    if (border) {
      const { inside, open } = this.#place(state, border);
      mask.set(inside);
      for (const node of open) this.#check(state, node, mask);
    } else mask.set(this.#walk(state).inside);
    if (state.ends) for (const id of this.#ends) mask[id >> 5] |= 1 << (id & 31);
    return this.#keep(state, mask);
  }

  /** The mask as one that is kept; equal ones are one object. */
  #keep(state: Stack, mask: Uint32Array): Uint32Array {
    let hash = 0;
    for (let i = 0; i < mask.length; i++) hash = Math.imul(hash ^ mask[i], 0x5bd1e995) ^ (hash >>> 15);
    const like = this.#equal.get(hash);
    let kept = like?.find(m => m.every((word, i) => word === mask[i]));
    if (!kept) {
      kept = mask.slice();
      this.#bytes += kept.byteLength;
      if (like) like.push(kept);
      else this.#equal.set(hash, [kept]);
    }
    this.#masks.set(state, kept);
    return kept;
  }

  /** What is known of a state's place inside its rule. */
  #place(state: Stack, border: Stack): Place {
    const automaton = this.#automaton;
    const hole = automaton.push(automaton.grammar.hole, automaton.end);
    const place = automaton.close(automaton.copy(state, border, hole, head => head));
    let known = this.#places.get(place);
    if (!known) {
      known = this.#walk(place);
      this.#places.set(place, known);
      this.#bytes += known.inside.byteLength + known.open.byteLength;
    }
    return known;
  }

  /** Walks the whole tree from a state. */
  #walk(state: Stack): Place {
    const trie = this.#trie;
    const { byte, depth, skip, token, kinds } = trie.flat;
    const nodes = byte.length;
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
      const known = from.row[from.classOf[byte[i]]];
      const next = known !== undefined ? known : this.#automaton.step(from, byte[i]);
      if (next === null) {
        if (left[d - 1]) open.push(i);
        i = skip[i];
        continue;
      }
      if (next === from && !(kinds[i] & ~this.#automaton.loops(from))) {
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

  /** Marks what of a subtree may follow a state. */
  #check(state: Stack, node: number, mask: Uint32Array): void {
    const { byte, depth, skip, parent, token, kinds } = this.#trie.flat;
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
      if (next === from && !(kinds[i] & ~this.#automaton.loops(from))) {
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
    for (const id of this.#trie.longer(shortest)) {
      if (!((mask[id >> 5] >>> (id & 31)) & 1)) continue;
      if (!this.#automaton.run(state, bytesOf(id))) mask[id >> 5] &= ~(1 << (id & 31));
    }
  }

  /** The state with upper limits of counters taken away that a token of up to `shortest` bytes cannot reach. */
  #relaxed(state: Stack, border: Stack): { relaxed: Stack; shortest: number } {
    const { grammar } = this.#automaton;
    const { longest } = this.#trie;
    let shortest = Number.POSITIVE_INFINITY;
    const relax = (head: Expr): Expr => {
      if (head.kind !== "repeat" || head.max < RELAXED_FROM) return head;
      if (head.max < longest) shortest = Math.min(shortest, head.max);
      return grammar.repeat(head.body, Math.min(head.min, longest + 1));
    };
    return { relaxed: this.#automaton.close(this.#automaton.copy(state, border, border, relax)), shortest };
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
