/**
 * One traced kernel on seeded operands: the interpreter against a compiled form of it, byte for byte. Knows nothing of what kernels mean. Memory
 * is made up while the interpreter runs: whatever is loaded for the first time gets a value that suits its type and its use, and the compiled
 * form then starts from the same bytes. Runs grow until every load and store of the kernel has been seen.
 */
import type { Kernel, Node, Store } from "../ir/node.ts";
import { itemsOf, sourcesOf } from "../ir/sources.ts";
import { type Elem, elems, type Range, writeElem } from "../ir/types.ts";
import { interpret } from "../target/interp/interp.ts";

/** Bytes of each operand. It begins in the middle, so that an index that went below zero is seen as well. */
const WINDOW = 1 << 20;
const PAGE = 4096;
/** What counts are in the first run, and what one of them grows to in later ones, if it shows something new: tiles of tokens and what is left over. */
const LEAST = 1;
const LARGER = [3, 7, 11, 23, 40, 160];
/** Accesses to memory of all runs of a kernel with growing counts, and of all with rising lists. */
const MOST_ACCESSES = 20_000;
/** Numbers in a kernel's text that decide how often something is done, up to this, are tried in the place of those above. */
const MOST_TURNS = 1 << 10;
/** Bytes between rows, where a kernel is told. */
const STRIDE = 1024;
const SCALAR = 0.375;
/** The end of the grid; runs begin at unit 0 or 1. */
const UNITS = 2;

class TooLarge extends Error {}

/** What a compiled kernel is called with: grid units begin .. end - 1, and its arguments; addresses are offsets into the trial's memory. */
export type Candidate = (begin: number, end: number, ...args: number[]) => void;

/** Where the compiled form has left something else than the interpreter. */
export interface Difference {
  readonly slot: string;
  /** Byte offset inside the operand. */
  readonly offset: number;
  readonly found: number;
  readonly meant: number;
}

export interface Verdict {
  readonly difference?: Difference;
  /** Loads and stores of the kernel, and how many of them were seen in a run. */
  readonly accesses: number;
  readonly seen: number;
}

/** Nodes that decide where memory is touched or how often something is done, and those of them that decide the latter. */
function deciding(kernel: Kernel): { readonly deciders: ReadonlySet<Node>; readonly counts: ReadonlySet<Node> } {
  const carried = new Map<Node, readonly Node[]>();
  const places: Node[] = [];
  const bounds: Node[] = [];
  for (const item of itemsOf(kernel.body)) {
    if (item.kind === "store") places.push(item.index);
    else if (item.kind === "loop") {
      const { index, from, to, init, next, carries, results } = item;
      bounds.push(from, to);
      carried.set(index, [from, to]);
      for (const list of [carries, results]) for (const [i, n] of list.entries()) carried.set(n, [init[i], next[i]]);
    } else if (item.kind === "node" && item.node.op === "load") places.push(item.node.args[1]);
  }
  const all = (from: readonly Node[]): ReadonlySet<Node> => sourcesOf(from, n => carried.get(n) ?? []);
  return { deciders: all([...places, ...bounds]), counts: all(bounds) };
}

/** Operands that say how often something is done, and what their numbers may rise by to reach every part of it. */
function lists(counts: ReadonlySet<Node>): { readonly slots: readonly number[]; readonly steps: readonly number[] } {
  const slots = [...counts].flatMap(n => (n.op === "load" && n.args[0].op === "address" ? [n.args[0].attr] : []));
  const numbers = [...counts].flatMap(n => (n.op === "const" && n.attr > 2 && n.attr <= MOST_TURNS ? [n.attr - 1] : []));
  return { slots: [...new Set(slots)], steps: [...new Set([...numbers, ...LARGER])] };
}

/** What the nodes say about operands: which loads decide something, arguments of a small run, and the slots of counts that may grow. */
function operandsOf(kernel: Kernel) {
  const { deciders, counts } = deciding(kernel);
  const params = new Map(
    [...itemsOf(kernel.body)].flatMap(i => (i.kind === "node" && i.node.op === "param" ? [[i.node.attr, i.node]] : [])),
  );
  const isStride = (slot: number): boolean => {
    const param = params.get(slot);
    return param !== undefined && deciders.has(param) && !counts.has(param);
  };
  const least = kernel.slots.map(({ kind }, slot) => {
    if (kind === "in" || kind === "out") return slot * WINDOW + WINDOW / 2;
    if (kind === "scalar") return SCALAR;
    return isStride(slot) ? STRIDE : LEAST;
  });
  return {
    deciders,
    lists: lists(counts),
    least,
    growing: kernel.slots.flatMap(({ kind }, slot) => (kind === "size" && !isStride(slot) ? [slot] : [])),
  };
}

/** An operand whose numbers rise: each is by `step` greater than the one before it, the first is `step`. Others that decide are 1, 0, 0 ... then. */
interface Rising {
  readonly slot: number;
  readonly step: number;
}

interface Trial extends ReturnType<typeof operandsOf> {
  readonly kernel: Kernel;
  readonly fused: boolean;
  readonly candidate: Candidate;
  /** Loads and stores that a run has made. */
  readonly seen: Set<Node | Store>;
  readonly random: Seeded;
  /** Accesses that runs may still make. */
  left: number;
}

/** Numbers 0 .. 2^32 - 1 that look random, always the same ones (Marsaglia's xorshift32). */
class Seeded {
  #state = 0x9e3779b9;
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
}

/** A value for memory that is read as `type`: finite as a float, a small number where it decides something. */
function madeUp(type: Elem, range: Range, decides: boolean, bits: number): number {
  const { min, max, size, wrap } = elems[type];
  if (type === "f32") return ((bits & 1 ? 1 : -1) * (1 + (bits >>> 9) / 2 ** 23)) / 2 ** (1 + ((bits >> 1) & 3));
  if (range.min > min || range.max < max) return range.min + (bits % (range.max - range.min + 1));
  // halves from 1/16 to 1, which as bfloat16 are small numbers
  if (type === "u16") return (bits & 0x8000) | (0x2c00 + (bits & 0xfff));
  if (size < 4) return wrap(bits);
  if (decides) return bits & 3;
  // all bits of some numbers, and others of every size
  return wrap(bits & 1 ? bits : (bits | 0) >> ((bits >>> 1) & 31));
}

/** The number at byte offset `at` of the memory, while an operand rises. */
function risen({ type, range, args }: Node, { slot, step }: Rising, at: number): number {
  const own = args[0].attr;
  const place = Math.floor((at - (own * WINDOW + WINDOW / 2)) / elems[type].size);
  const value = own === slot ? step * (1 + place) : Number(place === 0);
  return Math.max(range.min, Math.min(range.max, value));
}

/** The memory of trials, once for the interpreter and once for compiled kernels, with a mark on every byte that has been given a value. */
export class Trials {
  /** What compiled kernels work on. */
  readonly memory: WebAssembly.Memory;
  readonly #meant: Uint8Array<ArrayBuffer>;
  readonly #found: Uint8Array;
  readonly #marks: Uint8Array;
  readonly #pages = new Set<number>();
  readonly #views: { readonly meant: DataView; readonly found: DataView };

  /** For kernels of at most so many slots. */
  constructor(slots: number) {
    const pages = (slots * WINDOW) / 65536;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#found = new Uint8Array(this.memory.buffer);
    this.#meant = new Uint8Array(this.#found.length);
    this.#marks = new Uint8Array(this.#found.length);
    this.#views = { meant: new DataView(this.#meant.buffer), found: new DataView(this.memory.buffer) };
  }

  /** Runs a kernel both ways. `fused`: the candidate rounds `mulAdd` once. */
  judge(kernel: Kernel, fused: boolean, candidate: Candidate): Verdict {
    const trial: Trial = { kernel, fused, candidate, ...operandsOf(kernel), seen: new Set(), random: new Seeded(), left: MOST_ACCESSES };
    const accesses = [...itemsOf(kernel.body)].filter(i => i.kind === "store" || (i.kind === "node" && i.node.op === "load")).length;
    const verdict = (difference?: Difference): Verdict => ({ difference, accesses, seen: trial.seen.size });
    for (const first of [1, 0]) {
      const difference = this.#run(trial, trial.least, first);
      if (difference) return verdict(difference);
    }
    const useful = new Set<number>();
    for (const n of LARGER) {
      for (const slot of trial.growing) {
        const before = trial.seen.size;
        if (before === accesses && n > LARGER[0]) return verdict();
        if (n > LARGER[0] && useful.size && !useful.has(slot)) continue;
        const difference = this.#run(trial, trial.least.with(slot, n), 1);
        if (difference) return verdict(difference);
        if (trial.seen.size > before) useful.add(slot);
      }
    }
    trial.left = MOST_ACCESSES;
    for (const step of trial.lists.steps) {
      for (const slot of trial.lists.slots) {
        if (trial.seen.size === accesses) return verdict();
        const difference = this.#run(trial, trial.least, 1, { slot, step });
        if (difference) return verdict(difference);
      }
    }
    return verdict();
  }

  #run(trial: Trial, args: readonly number[], first: number, rising?: Rising): Difference | undefined {
    const { kernel, fused, candidate, deciders } = trial;
    const touched = new Set<Node | Store>();
    const note = (item: Node | Store, address: Node, at: number, bytes: number): void => {
      const within = at - address.attr * WINDOW;
      if (--trial.left < 0 || within < 0 || within + bytes > WINDOW) throw new TooLarge();
      touched.add(item);
      for (let p = Math.floor(at / PAGE); p <= Math.floor((at + bytes - 1) / PAGE); p++) this.#pages.add(p);
    };
    const load = (node: Node, at: number): void => {
      const { size } = elems[node.type];
      note(node, node.args[0], at, node.lanes * size);
      const given = (place: number): number => {
        if (rising && deciders.has(node) && !elems[node.type].float) return risen(node, rising, place);
        return madeUp(node.type, node.range, deciders.has(node), trial.random.next());
      };
      for (let i = 0; i < node.lanes; i++) this.#fill(node.type, at + i * size, size, given);
    };
    const store = (item: Store, at: number): void => {
      const bytes = item.value.lanes * elems[item.value.type].size;
      note(item, item.address, at, bytes);
      this.#marks.fill(1, at, at + bytes);
    };
    try {
      interpret(kernel, this.#meant.buffer, { fused, watch: { load, store } })(first, UNITS, ...args);
      for (const item of touched) trial.seen.add(item);
      candidate(first, UNITS, ...args);
      return this.#compare(kernel);
    } catch (e) {
      if (e instanceof TooLarge) return undefined;
      throw e;
    } finally {
      this.#clear();
    }
  }

  #fill(type: Elem, at: number, size: number, given: (at: number) => number): void {
    if (this.#marks[at] || this.#marks[at + size - 1]) return;
    const value = given(at);
    writeElem(this.#views.meant, type, at, value);
    writeElem(this.#views.found, type, at, value);
    this.#marks.fill(1, at, at + size);
  }

  /** Whole pages, so that what was written beside the operands is found too. */
  #compare(kernel: Kernel): Difference | undefined {
    for (const p of this.#pages) {
      for (let at = p * PAGE; at < (p + 1) * PAGE; at++) {
        if (this.#meant[at] === this.#found[at]) continue;
        const word = at - (at % 4);
        if (Number.isNaN(this.#views.meant.getFloat32(word, true)) && Number.isNaN(this.#views.found.getFloat32(word, true))) continue;
        const slot = Math.floor(at / WINDOW);
        const offset = at - (slot * WINDOW + WINDOW / 2);
        return { slot: kernel.slots[slot]?.name ?? "", offset, found: this.#found[at], meant: this.#meant[at] };
      }
    }
    return undefined;
  }

  #clear(): void {
    for (const p of this.#pages) for (const bytes of [this.#meant, this.#found, this.#marks]) bytes.fill(0, p * PAGE, (p + 1) * PAGE);
    this.#pages.clear();
  }
}
