/**
 * Stop strings in streamed text: lets text through as soon as it can no longer belong to a stop, and ends at the stop that is complete
 * first (of several ending at one place, the longest). The result does not depend on how the text was cut into pieces. One automaton
 * for all stops (Aho and Corasick 1975, https://doi.org/10.1145/360825.360855), so the work is linear in the text.
 */
import { LatheError } from "../errors.ts";

export interface StopMatcher {
  /** Takes a piece; `emit` is what may be shown now. Once `stopped` names the stop that was met, everything after it is dropped. */
  push(text: string): { emit: string; stopped?: string };
  /** What was still held back, at the end of the text. */
  end(): string;
}

/** Greatest length of all stops together, in UTF-16 units; a node of the tree costs some 300 bytes. */
const MAX_TOTAL = 16_384;

/** One place in the tree of all stops: the text from the root to it is a beginning of at least one of them. */
interface Node {
  /** The first `depth` units of `stop` lead here. */
  readonly stop: string;
  readonly depth: number;
  /** The node of the longest proper ending of this text that is in the tree too; undefined at the root. */
  fallback: Node | undefined;
  /** The longest stop that this text ends with. */
  match: string | undefined;
  readonly next: Map<number, Node>;
}

/**
 * @param stops any number, none included; the order does not matter.
 * @throws LatheError `option.invalid` for a stop that is empty, no string, half a surrogate pair, or longer than 16,384 units with the others.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  checkStops(stops);
  return new Matcher(buildTree(stops));
}

class Matcher implements StopMatcher {
  readonly #root: Node;
  #node: Node;
  /** A first half of a surrogate pair at the end of the text, where no stop begins: held until its second half is there. */
  #half = "";
  #stopped: string | undefined;

  constructor(root: Node) {
    this.#root = root;
    this.#node = root;
  }

  push(text: string): { emit: string; stopped?: string } {
    if (this.#stopped !== undefined) return { emit: "", stopped: this.#stopped };
    const held = this.#held();
    let node = this.#node;
    for (let i = 0; i < text.length; i++) {
      node = step(node, text.charCodeAt(i));
      if (node.match === undefined) continue;
      this.#stopped = node.match;
      this.#node = this.#root;
      this.#half = "";
      return { emit: firstUnits(held, text, held.length + i + 1 - node.match.length), stopped: node.match };
    }
    this.#node = node;
    const emit = firstUnits(held, text, held.length + text.length - node.depth);
    const cut = node.depth === 0 && isFirstHalf(emit.charCodeAt(emit.length - 1));
    this.#half = cut ? emit.slice(-1) : "";
    return { emit: cut ? emit.slice(0, -1) : emit };
  }

  end(): string {
    const held = this.#held();
    this.#node = this.#root;
    this.#half = "";
    return held;
  }

  /** The text that is held back is not stored: the place in the tree spells it. */
  #held(): string {
    return this.#half || this.#node.stop.slice(0, this.#node.depth);
  }
}

/** The first `count` units of `a + b`, without joining the two where `a` suffices: a long stop held for long stays linear. */
function firstUnits(a: string, b: string, count: number): string {
  return count <= a.length ? a.slice(0, count) : a + b.slice(0, count - a.length);
}

const isFirstHalf = (unit: number) => unit >= 0xd800 && unit < 0xdc00;

/** The node of the longest ending of the text so far that is in the tree. */
function step(node: Node, unit: number): Node {
  for (;;) {
    const next = node.next.get(unit);
    if (next) return next;
    if (!node.fallback) return node;
    node = node.fallback;
  }
}

function buildTree(stops: readonly string[]): Node {
  const root: Node = { stop: "", depth: 0, fallback: undefined, match: undefined, next: new Map() };
  for (const stop of stops) {
    let node = root;
    for (let i = 0; i < stop.length; i++) {
      let child = node.next.get(stop.charCodeAt(i));
      if (!child) {
        child = { stop, depth: i + 1, fallback: undefined, match: undefined, next: new Map() };
        node.next.set(stop.charCodeAt(i), child);
      }
      node = child;
    }
    node.match = stop;
  }
  // Breadth first, so that the fallback of a shorter text is known before a longer one needs it; the loop reads what it appends.
  const queue = [root];
  for (const node of queue) {
    for (const [unit, child] of node.next) {
      child.fallback = node.fallback ? step(node.fallback, unit) : root;
      child.match ??= child.fallback.match; // its own is longer
      queue.push(child);
    }
  }
  return root;
}

function checkStops(stops: readonly string[]): void {
  const refuse = (message: string, details: Record<string, unknown>) => {
    throw new LatheError("option.invalid", message, { option: "stop", ...details });
  };
  if (!Array.isArray(stops)) refuse("Stop strings must be given as an array of strings.", { value: stops });
  let total = 0;
  stops.forEach((stop, index) => {
    if (typeof stop !== "string") refuse(`Stop string ${index} must be a string; it is of type ${typeof stop}.`, { index });
    if (stop === "") refuse(`Stop string ${index} is empty: it would end every text at once. Leave it out.`, { index });
    // Half a pair could only match inside a character, whose other half would then be shown.
    if (/\p{Surrogate}/u.test(stop)) refuse(`Stop string ${index} holds half a surrogate pair: give whole characters.`, { index });
    total += stop.length;
  });
  if (total > MAX_TOTAL)
    refuse(`The stop strings have ${total} units together; at most ${MAX_TOTAL} are taken.`, { total, max: MAX_TOTAL });
}
