/**
 * The machine that reads bytes by a grammar. A state is the set of everything that may still come, kept as a graph of stacks: which
 * expressions may be next, and after each of them, which stack. Stacks with equal beginnings are merged and equal ones are one object, so an
 * ambiguous grammar costs the size of its differences, and a place that was reached before has its transitions already. Everything is found
 * when it is first needed; when too much has gathered, what is kept is forgotten and found again.
 */
import { Fans } from "./fan.ts";
import { type Expr, type Grammar, isNullable, tooLarge } from "./grammar.ts";

/** Deeper stacks are not entered: what would nest further counts as refused. */
const DEEPEST = 1000;
/** Stacks that are kept, and transitions of them; a stack takes 200 bytes, a transition 8. */
const MOST_STACKS = 60_000;
const MOST_TRANSITIONS = 1_500_000;
/** Heads of all stacks together: 16 bytes each. */
const MOST_HEADS = 1_500_000;
/** What is counted for each of them, with the tables that they are found by. */
const [STACK_BYTES, HEAD_BYTES, MERGED_BYTES] = [280, 24, 40];
/** Expressions looked at between two bytes. */
const MOST_WORK = 20_000;

type Row = (Stack | null | undefined)[];
/** Of a state from which nothing has been read yet: one class, and nothing known of it. */
const allAlike = new Uint8Array(256);
const nothingKnown: Row = [undefined];

export class Stack {
  readonly id: number;
  /** How often everything had been forgotten when this was made. */
  readonly epoch: number;
  readonly heads: readonly Expr[];
  readonly tails: readonly Stack[];
  /** Whether everything may end here. */
  readonly ends: boolean;
  readonly depth: number;
  /** Whether the hole is among the heads: the part of a grammar that is looked at may be over. */
  readonly leaves: boolean;
  /** The same with only classes of bytes in front. */
  closed: Stack | undefined;
  /** By class of bytes, where each leads; null where it is refused. */
  row: Row = nothingKnown;
  /** [256] the class of each byte (fan.ts). */
  classOf: Uint8Array = allAlike;
  /** Kinds of bytes (trie.ts) that all lead back here; found when first asked for. */
  loops: number | undefined;

  constructor(id: number, epoch: number, heads: readonly Expr[], tails: readonly Stack[], ends: boolean) {
    this.id = id;
    this.epoch = epoch;
    this.heads = heads;
    this.tails = tails;
    this.ends = ends;
    this.leaves = heads.some(h => h.kind === "hole");
    this.depth = 1 + tails.reduce((deepest, tail) => Math.max(deepest, tail.depth), 0);
  }

  /** Nothing but the end. */
  get isEnd(): boolean {
    return this.heads.length === 0;
  }
}

/** Stacks being gathered: tails by head. */
class Gathered {
  readonly entries = new Map<Expr, Stack>();
  ends = false;
  readonly #repeated = new Map<number, Range>();

  /** Whether more counts of the same were opened before the same stack; notes these otherwise. A body that may be empty comes back so. */
  covers(body: Expr, tail: Stack, min: number, max: number): boolean {
    const key = keyOf(body, tail);
    const known = this.#repeated.get(key);
    if (known && known.min <= min && known.max >= max) return true;
    this.#repeated.set(key, { min, max });
    return false;
  }
}

export class Automaton {
  readonly grammar: Grammar;
  #stacks = new Map<string, Stack>();
  /** Those of one head that do not end, by the head and the tail. */
  #singles = new Map<number, Stack>();
  #merged = new Map<number, Stack>();
  #next = 0;
  #transitions = 0;
  #heads = 0;
  readonly #fans = new Fans();
  /** Counts how often everything was forgotten. */
  epoch = 0;
  #end: Stack;
  readonly #work: ((heads: number) => void) | undefined;

  /** `work` is told of the heads that are looked at where something is found anew, each some half a microsecond, and may throw. */
  constructor(grammar: Grammar, work?: (heads: number) => void) {
    this.grammar = grammar;
    this.#work = work;
    this.#end = this.#intern([], [], true);
  }

  /** Nothing more. */
  get end(): Stack {
    return this.#end;
  }

  /** The state before the first byte. */
  start(root: Expr): Stack {
    return this.close(this.push(root, this.#end));
  }

  /** The state after a byte; null where it is refused. */
  step(state: Stack, byte: number): Stack | null {
    const known = state.row[state.classOf[byte]];
    return known !== undefined ? known : this.#stepAnew(state, byte);
  }

  /** The kinds of bytes (trie.ts) of which every one leads from a state back to it. */
  loops(state: Stack): number {
    if (state.loops !== undefined) return state.loops;
    const { kinds, example } = this.#fans.of(state.heads);
    let loops = -1;
    for (let c = 0; c < kinds.length; c++) if (loops & kinds[c] && this.step(state, example[c]) !== state) loops &= ~kinds[c];
    state.loops = loops;
    return loops;
  }

  /** The state after all of them. */
  run(state: Stack | null, bytes: Uint8Array): Stack | null {
    for (let i = 0; state && i < bytes.length; i++) state = this.step(state, bytes[i]);
    return state;
  }

  #stepAnew(old: Stack, byte: number): Stack | null {
    this.#forgetIfFull();
    const state = this.#adopt(old);
    const { classOf, takers } = this.#fans.of(state.heads);
    if (state.row === nothingKnown) {
      state.row = takers.map(heads => (heads.length ? undefined : null));
      state.classOf = classOf;
      this.#transitions += takers.length;
    }
    old.row = state.row;
    old.classOf = classOf;
    const own = classOf[byte];
    const known = state.row[own];
    if (known !== undefined) return known;
    const next = this.close(this.#mergeAll(takers[own].map(i => state.tails[i])));
    state.row[own] = next;
    return next;
  }

  /** `head`, then what the stack says. The rest of a sequence stays one, so that long ones make no deep stacks. */
  push(head: Expr, tail: Stack): Stack {
    if (head.kind === "seq") return this.push(head.first, this.#single(head.rest, tail));
    return head === this.grammar.empty ? tail : this.#single(head, tail);
  }

  #single(head: Expr, tail: Stack): Stack {
    const key = keyOf(head, tail);
    const known = this.#singles.get(key);
    if (known) return known;
    const made = this.#make([head], [tail], false);
    this.#singles.set(key, made);
    return made;
  }

  /** Either of two stacks. */
  merge(a: Stack, b: Stack): Stack {
    if (a === b) return a;
    const [low, high] = a.id < b.id ? [a, b] : [b, a];
    const key = low.id * 2 ** 26 + high.id;
    const known = this.#merged.get(key);
    if (known) return known;
    const into = new Gathered();
    for (const stack of [low, high]) this.#enter(into, stack);
    const made = this.#build(into);
    this.#merged.set(key, made);
    return made;
  }

  /** Any of some stacks. Many are gathered at once, which makes no stack for each of them. */
  #mergeAll(stacks: readonly Stack[]): Stack {
    if (stacks.length <= 2) return stacks.reduce((a, b) => this.merge(a, b));
    const into = new Gathered();
    for (const stack of new Set(stacks)) this.#enter(into, stack);
    return this.#build(into);
  }

  /** The part of a stack above `border` on top of `instead`, with its heads changed. */
  copy(stack: Stack, border: Stack, instead: Stack, change: (head: Expr) => Expr): Stack {
    const done = new Map<Stack, Stack>([[border, instead]]);
    const copied = (old: Stack): Stack => {
      const known = done.get(old);
      if (known) return known;
      const heads = old.heads.map(change);
      const tails = old.tails.map(copied);
      let made = old;
      if (heads.some((h, i) => h !== old.heads[i]) || tails.some((t, i) => t !== old.tails[i])) {
        const into = new Gathered();
        for (let i = 0; i < heads.length; i++) this.#enter(into, this.push(heads[i], tails[i]));
        into.ends ||= old.ends;
        made = this.#build(into);
      }
      done.set(old, made);
      return made;
    };
    return copied(stack);
  }

  /** A stack as it was before everything was forgotten, among those of now. */
  #adopt(stack: Stack): Stack {
    if (stack.epoch === this.epoch) return stack;
    const done = new Map<Stack, Stack>();
    const todo = [stack];
    while (todo.length) {
      const top = todo.at(-1)!;
      const missing = top.tails.filter(t => !done.has(t));
      if (missing.length) {
        todo.push(...missing);
        continue;
      }
      todo.pop();
      if (done.has(top)) continue;
      done.set(
        top,
        this.#intern(
          top.heads,
          top.tails.map(t => done.get(t)!),
          top.ends,
        ),
      );
    }
    const adopted = done.get(stack)!;
    adopted.closed = adopted;
    return adopted;
  }

  #enter(into: Gathered, stack: Stack): void {
    this.#work?.(stack.heads.length);
    for (let i = 0; i < stack.heads.length; i++) this.#gather(into, stack.heads[i], stack.tails[i]);
    into.ends ||= stack.ends;
  }

  #gather(into: Gathered, head: Expr, tail: Stack): void {
    const other = into.entries.get(head);
    into.entries.set(head, other ? this.merge(other, tail) : tail);
  }

  #build(from: Gathered): Stack {
    this.#joinRepeats(from.entries);
    const entries = [...from.entries].sort((a, b) => a[0].id - b[0].id);
    return this.#intern(
      entries.map(e => e[0]),
      entries.map(e => e[1]),
      from.ends,
    );
  }

  #intern(heads: readonly Expr[], tails: readonly Stack[], ends: boolean): Stack {
    if (heads.length === 1 && !ends) return this.#single(heads[0], tails[0]);
    let key = ends ? "e" : "";
    for (let i = 0; i < heads.length; i++) key += `${heads[i].id}:${tails[i].id},`;
    const known = this.#stacks.get(key);
    if (known) return known;
    const made = this.#make(heads, tails, ends);
    this.#stacks.set(key, made);
    return made;
  }

  #make(heads: readonly Expr[], tails: readonly Stack[], ends: boolean): Stack {
    if (this.#next >= 2 ** 26) throw tooLarge("more than 67 million states");
    this.#heads += heads.length;
    this.#work?.(heads.length);
    return new Stack(this.#next++, this.epoch, heads, tails, ends);
  }

  /** Opens everything in front that is not a class of bytes. */
  close(stack: Stack): Stack {
    if (stack.closed) return stack.closed;
    const out = new Gathered();
    const seen = new Set<number>();
    const todo: [Expr, Stack][] = [];
    const add = (head: Expr, tail: Stack): void => {
      const key = keyOf(head, tail);
      if (seen.has(key)) return;
      if (seen.size >= MOST_WORK) throw tooLarge(`more than ${MOST_WORK} ways to go on at one place`);
      seen.add(key);
      todo.push([head, tail]);
    };
    const enter = (inner: Stack): void => {
      if (inner.closed) {
        this.#enter(out, inner.closed);
        return;
      }
      out.ends ||= inner.ends;
      for (let i = 0; i < inner.heads.length; i++) add(inner.heads[i], inner.tails[i]);
    };
    enter(stack);
    for (let next = todo.pop(); next; next = todo.pop()) this.#open(next[0], next[1], add, enter, out);
    const closed = this.#build(out);
    closed.closed = closed;
    stack.closed = closed;
    return closed;
  }

  #open(head: Expr, tail: Stack, add: (head: Expr, tail: Stack) => void, enter: (stack: Stack) => void, out: Gathered): void {
    const { grammar } = this;
    if (tail.depth > DEEPEST) return;
    switch (head.kind) {
      case "bytes":
      case "hole":
        this.#gather(out, head, tail);
        break;
      case "text":
        this.#gather(out, grammar.byte(head.text[head.at]), this.push(grammar.after(head), tail));
        break;
      case "empty":
      case "return":
        enter(tail);
        break;
      case "seq":
        enter(this.push(head, tail));
        break;
      case "alt":
        for (const part of head.parts) add(part, tail);
        break;
      case "repeat": {
        const { body, max } = head;
        const min = isNullable(body) ? 0 : head.min;
        if (out.covers(body, tail, min, max)) break;
        if (min === 0) enter(tail);
        enter(this.push(body, this.push(grammar.repeat(body, Math.max(0, min - 1), max - 1), tail)));
        break;
      }
      case "rule":
        add(head.rule.expr, isReturn(tail) || tail.isEnd ? tail : this.push(grammar.return, tail));
    }
  }

  /** x{3,5} and x{4,9} before the same stack are x{3,9}. */
  #joinRepeats(entries: Map<Expr, Stack>): void {
    const groups = new Map<string, Extract<Expr, { kind: "repeat" }>[]>();
    for (const [head, tail] of entries) {
      if (head.kind !== "repeat") continue;
      const key = `${head.body.id},${tail.id}`;
      const group = groups.get(key);
      if (group) group.push(head);
      else groups.set(key, [head]);
    }
    for (const group of groups.values()) {
      if (group.length < 2) continue;
      const { body } = group[0];
      const tail = entries.get(group[0])!;
      for (const head of group) entries.delete(head);
      for (const { min, max } of joinRanges(group)) {
        const joined = this.grammar.repeat(body, min, max);
        const other = entries.get(joined);
        entries.set(joined, other ? this.merge(other, tail) : tail);
      }
    }
  }

  #forgetIfFull(): void {
    const stacks = this.#stacks.size + this.#singles.size;
    if (stacks < MOST_STACKS && this.#heads < MOST_HEADS && this.#transitions < MOST_TRANSITIONS && this.#merged.size < MOST_STACKS) return;
    this.forget();
  }

  /** Bytes of what is kept, as far as it grows; estimated. */
  get bytes(): number {
    const stacks = this.#stacks.size + this.#singles.size;
    return STACK_BYTES * stacks + HEAD_BYTES * this.#heads + 8 * this.#transitions + MERGED_BYTES * this.#merged.size + this.#fans.bytes;
  }

  /** Finds everything again when it is needed. States that somebody holds stay valid. */
  forget(): void {
    for (const stacks of [this.#stacks, this.#singles]) {
      for (const stack of stacks.values()) {
        stack.row = nothingKnown;
        stack.classOf = allAlike;
        if (stack.closed !== stack) stack.closed = undefined;
      }
    }
    this.#stacks = new Map();
    this.#singles = new Map();
    this.#merged = new Map();
    this.#transitions = 0;
    this.#heads = 0;
    this.epoch++;
    this.#end = this.#intern([], [], true);
  }
}

/** A number for a head before a stack. */
const keyOf = (head: Expr, tail: Stack): number => head.id * 2 ** 26 + tail.id;

/** Whether the stack is the border of a rule and nothing else. */
export function isReturn(stack: Stack): boolean {
  return stack.heads.length === 1 && stack.heads[0].kind === "return" && !stack.ends;
}

interface Range {
  min: number;
  max: number;
}

/** The same counts in as few ranges as possible. */
function joinRanges(ranges: readonly Range[]): Range[] {
  const joined: Range[] = [];
  for (const { min, max } of [...ranges].sort((a, b) => a.min - b.min)) {
    const last = joined.at(-1);
    if (last && min <= last.max + 1) last.max = Math.max(last.max, max);
    else joined.push({ min, max });
  }
  return joined;
}
