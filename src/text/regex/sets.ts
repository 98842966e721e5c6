/**
 * The sets of instructions from which the rest of a text leads to a match, one bit an instruction, and how the set of a place follows from the
 * set of the place after it: a deterministic automaton that is built where a text leads, from its end to its start. Sets are numbers; their
 * bits stand one behind the other in one array. A set that no text has come by costs one pass over the instructions and no object: characters
 * whose instructions stand in the order in which they are taken are decided 32 at a time, everything else one by one.
 */
import { Tuples } from "../tuples.ts";
import type { Alphabet } from "./classes.ts";
import { Memo } from "./memo.ts";
import { AHEAD, BEHIND, type Level, NOT_BEHIND, type Program, SPLIT } from "./program.ts";

/** 32-bit units that all sets together may take, and how many sets there may be at least and at most. */
const MOST_UNITS = 2 ** 20;
const [FEWEST_SETS, MOST_SETS] = [1024, 2 ** 17];
/** Slots for steps from one set to another. */
const MOST_STEPS = 2 ** 16;

export class Sets {
  /** More are not kept at a time. */
  readonly most: number;
  readonly #program: Program;
  readonly #alphabet: Alphabet;
  /** 32-bit units of a set. */
  readonly #units: number;
  readonly #known: Tuples;
  readonly #before = new Memo(MOST_STEPS);
  readonly #ends: Int32Array;
  /** By group of characters: the instructions that take one of them and go on at the instruction before them. */
  readonly #taken: (Int32Array | undefined)[] = [];
  readonly #waiting: number[] = [];

  constructor(program: Program, alphabet: Alphabet) {
    this.#program = program;
    this.#alphabet = alphabet;
    this.#units = (program.ops.length + 31) >> 5;
    this.most = Math.max(FEWEST_SETS, Math.min(MOST_SETS, Math.floor(MOST_UNITS / this.#units)));
    this.#known = new Tuples(this.#units);
    this.#ends = new Int32Array(1 << program.behind.length).fill(-1);
  }

  /** Whether an instruction is in a set: 1 or 0. */
  has(set: number, at: number): number {
    return (this.#known.values[set * this.#units + (at >> 5)] >>> at) & 1;
  }

  /** The set at the end of a text. `behind`: which look-behinds hold there, one bit each. */
  end(behind: number): number {
    const known = this.#ends[behind];
    return known >= 0 ? known : (this.#ends[behind] = this.#follow(-1, -1, behind));
  }

  /** The set one character of a group before the place that has `set`. */
  before(set: number, group: number, behind: number): number {
    const edge = (group << this.#program.behind.length) | behind;
    const known = this.#before.get(edge, set);
    return known >= 0 ? known : this.#before.add(edge, set, this.#follow(set, group, behind));
  }

  /** What `kept` takes: the bits of a set. */
  copy(set: number): Int32Array {
    return this.#known.values.slice(set * this.#units, (set + 1) * this.#units);
  }

  kept(bits: Int32Array): number {
    const to = this.#known.next();
    this.#known.values.set(bits, to);
    return this.#known.number();
  }

  /** Whether so many more may be made. If not, everything is to be forgotten. */
  hasRoom(sets: number): boolean {
    return this.#known.count + sets <= this.most;
  }

  forget(): void {
    this.#known.clear();
    this.#before.clear();
    this.#ends.fill(-1);
  }

  #follow(after: number, group: number, behind: number): number {
    const to = this.#known.next();
    const bits = this.#known.values;
    const { accepting, levels } = this.#program;
    if (after < 0) bits.set(accepting, to);
    else this.#take(after * this.#units, to, group);
    for (const level of levels) this.#decide(level, to, behind);
    return this.#known.number();
  }

  /** The instructions at which the text leads on with one character of the group, and those that end in a match. */
  #take(from: number, to: number, group: number): void {
    const { x, next, apart, accepting } = this.#program;
    const taken = (this.#taken[group] ??= this.#takenBy(group));
    const bits = this.#known.values;
    for (let i = 0, carry = 0; i < taken.length; i++) {
      const after = bits[from + i];
      bits[to + i] = (((after << 1) | carry) & taken[i]) | accepting[i];
      carry = after >>> 31;
    }
    const members = this.#alphabet.members[group];
    for (let i = 0; i < apart.length; i++) {
      const at = apart[i];
      const then = next[at];
      bits[to + (at >> 5)] |= (members[x[at]] & (bits[from + (then >> 5)] >>> then) & 1) << at;
    }
  }

  #takenBy(group: number): Int32Array {
    const { x, inRow } = this.#program;
    const members = this.#alphabet.members[group];
    const taken = new Int32Array(this.#units);
    for (const at of inRow) taken[at >> 5] |= members[x[at]] << at;
    return taken;
  }

  /** Adds the instructions of a level that lead to a match; all others that they ask about are decided. */
  #decide({ instructions, loops }: Level, to: number, behind: number): void {
    const bits = this.#known.values;
    for (let i = 0; i < instructions.length; i++) {
      const at = instructions[i];
      bits[to + (at >> 5)] |= this.#leads(at, to, behind) << at;
    }
    if (loops.length === 0) return;
    const { inward, inwardFrom } = this.#program;
    const waiting = this.#waiting;
    for (let i = 0; i < loops.length; i++) waiting.push(loops[i]);
    while (waiting.length > 0) {
      const at = waiting.pop()!;
      if ((bits[to + (at >> 5)] >>> at) & 1 || this.#leads(at, to, behind) === 0) continue;
      bits[to + (at >> 5)] |= 1 << at;
      for (let i = inwardFrom[at]; i < inwardFrom[at + 1]; i++) waiting.push(inward[i]);
    }
  }

  /** Whether an instruction without a character leads to a match, as far as what follows it is known: 1 or 0. */
  #leads(at: number, to: number, behind: number): number {
    const { ops, x, next, behindAt } = this.#program;
    const bits = this.#known.values;
    const op = ops[at];
    const first = next[at];
    const own = (bits[to + (first >> 5)] >>> first) & 1;
    if (op === BEHIND) return own & (behind >> behindAt[at]);
    if (op === NOT_BEHIND) return own & ~(behind >> behindAt[at]);
    const other = x[at];
    const held = (bits[to + (other >> 5)] >>> other) & 1;
    return op === SPLIT ? own | held : own & (op === AHEAD ? held : 1 - held);
  }
}
