/**
 * Small machines that read a text byte by byte and answer one question about it when it ends. They never refuse: -1 is the state in which the
 * answer is no for good. product.ts runs several of them side by side.
 */
import { Automaton, type Stack } from "../automaton.ts";
import { compareBytes, type Expr, type Grammar } from "../grammar.ts";
import type { Decimal } from "./decimal.ts";
import { EQUAL, GREATER, LESS } from "./formula.ts";

export interface Component {
  readonly start: number;
  /** The state after a byte, from any state but -1. */
  step(state: number, byte: number): number;
  accepts(state: number): boolean;
}

/** A machine that answers many questions at once. */
export interface Panel extends Component {
  /** Whether the answer to a question is yes where the text ends here, and whether it can still become so. */
  part(state: number, question: number): boolean;
  can(state: number, question: number): boolean;
}

/** The answer about a whole text. */
export function acceptsText(component: Component, text: Uint8Array): boolean {
  let state = component.start;
  for (let i = 0; state >= 0 && i < text.length; i++) state = component.step(state, text[i]);
  return state >= 0 && component.accepts(state);
}

/** Gives numbers to states that are described by texts. */
class Numbering<S> {
  readonly states: S[] = [];
  readonly #numbers = new Map<string, number>();

  of(state: S, key: string): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.states.length);
    return this.states.push(state) - 1;
  }
}

/** A machine whose steps are remembered, where finding one takes longer than looking it up. */
function remembering({ start, step, accepts }: Component): Component {
  const known = new Map<number, number>();
  const remembered = (state: number, byte: number): number => {
    const key = state * 256 + byte;
    const next = known.get(key) ?? step(state, byte);
    known.set(key, next);
    return next;
  };
  return { start, step: remembered, accepts };
}

/** The texts of an expression. `work` is told what finding states takes (automaton.ts). */
export function expressionComponent(grammar: Grammar, root: Expr, work?: (heads: number) => void): Component {
  const automaton = new Automaton(grammar, work);
  const numbers = new Map<Stack, number>();
  const states: Stack[] = [];
  const number = (state: Stack | null): number => {
    if (!state) return -1;
    const known = numbers.get(state);
    if (known !== undefined) return known;
    numbers.set(state, states.length);
    return states.push(state) - 1;
  };
  return {
    start: number(automaton.start(root)),
    step: (state, byte) => number(automaton.step(states[state], byte)),
    accepts: state => states[state].ends,
  };
}

/** Texts that do not hold the other, which does not begin as it ends. */
export function withoutComponent(other: string): Component {
  const mark = new TextEncoder().encode(other);
  return {
    start: 0,
    // A state is how much of the mark was just read.
    step: (state, byte) => {
      const read = [...mark.subarray(0, state), byte];
      while (read.some((b, i) => b !== mark[i])) read.shift();
      return read.length === mark.length ? -1 : read.length;
    },
    accepts: () => true,
  };
}

/** What both say. */
export function bothComponent(a: Component, b: Component): Component {
  const numbering = new Numbering<readonly [number, number]>();
  const number = (x: number, y: number): number => (x < 0 || y < 0 ? -1 : numbering.of([x, y], `${x},${y}`));
  return {
    start: number(a.start, b.start),
    step: (state, byte) => {
      const [x, y] = numbering.states[state];
      return number(a.step(x, byte), b.step(y, byte));
    },
    accepts: state => a.accepts(numbering.states[state][0]) && b.accepts(numbering.states[state][1]),
  };
}

/** Which of many texts it is. */
export function textsPanel(texts: readonly string[]): Panel {
  const encoder = new TextEncoder();
  const sorted = texts.map((text, place) => ({ bytes: encoder.encode(text), place })).sort((a, b) => compareBytes(a.bytes, b.bytes));
  const rank = new Int32Array(texts.length);
  sorted.forEach(({ place }, i) => {
    rank[place] = i;
  });
  /** The stretch of the sorted list that begins like what was read, and how much that is. */
  const numbering = new Numbering<readonly [from: number, to: number, length: number]>();
  const number = (from: number, to: number, length: number): number =>
    from < to ? numbering.of([from, to, length], `${from},${to},${length}`) : -1;
  return {
    start: number(0, sorted.length, 0),
    step: (state, byte) => {
      let [from, to, length] = numbering.states[state];
      while (from < to && (sorted[from].bytes[length] ?? -1) < byte) from++;
      while (to > from && sorted[to - 1].bytes[length] > byte) to--;
      return number(from, to, ++length);
    },
    accepts: () => true,
    part: (state, text) => {
      const [from, to, length] = numbering.states[state];
      const at = rank[text];
      return from <= at && at < to && sorted[at].bytes.length === length;
    },
    can: (state, text) => numbering.states[state][0] <= rank[text] && rank[text] < numbering.states[state][1],
  };
}

/** In which of many ranges the number of characters is. A state is that number, as far as it matters. */
export function lengthsPanel(ranges: readonly { readonly min: number; readonly max: number }[]): Panel {
  const last = ranges.reduce((n, { min, max }) => Math.max(n, min, Number.isFinite(max) ? max + 1 : 0), 0);
  return {
    start: 0,
    step: (state, byte) => ((byte & 0xc0) === 0x80 ? state : Math.min(last, state + 1)),
    accepts: () => true,
    part: (state, range) => ranges[range].min <= state && state <= ranges[range].max,
    can: (state, range) => state <= ranges[range].max,
  };
}

interface Comparing {
  readonly negative: boolean;
  /** Digits read before the point, at most one more than the other number has; digits read after it, likewise. */
  readonly whole: number;
  readonly fraction: number;
  readonly pointed: boolean;
  /** How the digits so far compare with as many of the other number's. */
  readonly relation: number;
  readonly zero: boolean;
}

/** How a number written without an exponent compares with another: true for the ways asked for. */
export function compareComponent(to: Decimal, ways: number): Component {
  const numbering = new Numbering<Comparing>();
  const number = (s: Comparing): number => numbering.of(s, `${s.negative}${s.whole},${s.fraction}${s.pointed}${s.relation}${s.zero}`);
  const { whole, fraction } = to;
  const digitStep = (s: Comparing, digit: number): Comparing => {
    const zero = s.zero && digit === 0;
    const compare = (other: number): number => (s.relation !== EQUAL ? s.relation : digit < other ? LESS : digit > other ? GREATER : EQUAL);
    if (!s.pointed) {
      const at = Math.min(s.whole, whole.length);
      const relation = at < whole.length ? compare(Number(whole[at])) : s.relation;
      return { ...s, zero, relation, whole: at + 1 };
    }
    const at = Math.min(s.fraction, fraction.length);
    const relation = compare(at < fraction.length ? Number(fraction[at]) : 0);
    return { ...s, zero, relation, fraction: Math.min(at + 1, fraction.length) };
  };
  /** How the magnitudes compare; `relation` counts only between numbers of as many digits. */
  const magnitude = (s: Comparing): number => {
    if (s.whole !== whole.length) return s.whole < whole.length ? LESS : GREATER;
    return s.relation === EQUAL && s.fraction < fraction.length ? LESS : s.relation;
  };
  const result = (s: Comparing): number => {
    const isZero = whole === "0" && fraction === "";
    const negative = s.negative && !s.zero;
    if (negative !== to.negative) return negative ? LESS : isZero && s.zero ? EQUAL : GREATER;
    const m = magnitude(s);
    return negative && m !== EQUAL ? LESS + GREATER - m : m;
  };
  return remembering({
    start: number({ negative: false, whole: 0, fraction: 0, pointed: false, relation: EQUAL, zero: true }),
    step: (state, byte) => {
      const s = numbering.states[state];
      if (byte === 0x2d) return number({ ...s, negative: true });
      if (byte === 0x2e) return number({ ...s, pointed: true });
      return number(digitStep(s, byte - 0x30));
    },
    accepts: state => (result(numbering.states[state]) & ways) !== 0,
  });
}

/** Greatest numerator that is told apart by its remainders. */
export const MOST_REMAINDERS = 100_000;

/** Multiples of numerator / 10^places, of numbers written without an exponent. */
export function multipleComponent(numerator: number, places: number): Component {
  interface Dividing {
    readonly remainder: number;
    /** Digits after the point; -1 before it. */
    readonly place: number;
  }
  const numbering = new Numbering<Dividing>();
  const number = (remainder: number, place: number): number => numbering.of({ remainder, place }, `${remainder},${place}`);
  return {
    start: number(0, -1),
    step: (state, byte) => {
      const { remainder, place } = numbering.states[state];
      if (byte === 0x2d) return state;
      if (byte === 0x2e) return number(remainder, 0);
      const digit = byte - 0x30;
      if (place === places) return digit === 0 ? state : -1;
      return number((remainder * 10 + digit) % numerator, place < 0 ? -1 : place + 1);
    },
    accepts: state => {
      const { remainder, place } = numbering.states[state];
      let left = remainder;
      for (let i = Math.max(0, place); i < places; i++) left = (left * 10) % numerator;
      return left === 0;
    },
  };
}
