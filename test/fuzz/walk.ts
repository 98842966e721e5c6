/** Random walks under a constraint, byte by byte: each step takes any byte that is allowed, and a step with none is a dead end. */
import type { Automaton, Stack } from "../../src/decode/constrain/automaton.ts";
import type { Random } from "../fixtures/random.ts";

const close = [..."]}"].map(c => c.charCodeAt(0));
const quote = '"'.charCodeAt(0);
const dull = new Set([..." \t\n\r\\"].map(c => c.charCodeAt(0)));
/** Where a text goes on for longer than that, closing marks come first. */
const SHORT = 150;

/** The bytes that may follow. */
function allowed(state: Stack): number[] {
  const set = new Uint32Array(8);
  for (const head of state.heads) if (head.kind === "bytes") for (let w = 0; w < 8; w++) set[w] |= head.set[w];
  return Array.from({ length: 256 }, (_, b) => b).filter(b => (set[b >> 5] >>> (b & 31)) & 1);
}

function choice(bytes: readonly number[], random: Random, hurry: boolean): number {
  const sober = bytes.filter(b => !dull.has(b));
  const pick = (list: readonly number[]): number => random.pick(list.length ? [...list] : [...bytes]);
  const closing = bytes.filter(b => close.includes(b));
  if (closing.length && (hurry ? random.below(20) : random.below(3)) > 0) return pick(closing);
  if (bytes.includes(quote) && (hurry || random.below(3) > 0)) return quote;
  return pick(random.below(12) ? sober : bytes);
}

/**
 * A text from a state on; `complete` where it may end, false where it was still going on after `most` bytes.
 * @throws Error for a dead end.
 */
export function walk(automaton: Automaton, start: Stack, random: Random, most: number): { text: Uint8Array; complete: boolean } {
  const text: number[] = [];
  let state = start;
  while (text.length < most) {
    const hurry = text.length > SHORT;
    if (state.ends && (state.isEnd || hurry || random.below(4) === 0)) return { text: Uint8Array.from(text), complete: true };
    const bytes = allowed(state);
    if (bytes.length === 0) throw new Error(`a dead end after ${Buffer.from(text)}`);
    const byte = choice(bytes, random, hurry);
    const next = automaton.step(state, byte);
    if (!next) throw new Error(`${byte} is allowed and refused after ${Buffer.from(text)}`);
    text.push(byte);
    state = next;
  }
  return { text: Uint8Array.from(text), complete: state.ends };
}
