/**
 * A world for the scheduler without a model: pages are short arrays that remember, for each place, a digest of all tokens up to there, read
 * through the page tables as attention does. So an answer depends on exactly the tokens that the pages hold, and a page that is lost, shared by
 * mistake or overwritten gives another answer. Steps may fail or be broken off; time passes by a formula.
 */

import type { Steps } from "../../src/api/scheduler.ts";
import type { StepToken } from "../../src/engine/step.ts";
import { PagePool, type PageStore, Sequence } from "../../src/kv/pages.ts";
import type { PastMemory } from "../../src/kv/past-store.ts";

export const VOCABULARY = 8;
const EMPTY = 1;
/** A digest of a past and one token more (FNV-1a). */
const mix = (past: number, token: number): number => Math.imul(past ^ (token + 1), 16777619) >>> 0;

/** Logits after a past: one token is clearly the likeliest. */
function logitsOf(digest: number): Float32Array {
  const row = new Float32Array(VOCABULARY);
  row[(digest >>> 7) % VOCABULARY] = 4;
  return row;
}

/** The greedy answer to a prompt, computed without pages; token 0 ends it. */
export function expectedAnswer(prompt: readonly number[], most: number, context: number): number[] {
  let digest = prompt.reduce(mix, EMPTY);
  const out: number[] = [];
  while (out.length < most) {
    const id = logitsOf(digest).indexOf(4);
    if (id === 0) break;
    out.push(id);
    if (prompt.length + out.length - 1 >= context) break;
    digest = mix(digest, id);
  }
  return out;
}

export interface World {
  readonly steps: { -readonly [K in keyof Steps]: Steps[K] };
  /** The bytes of its pages, for stores of pasts. */
  readonly memory: PastMemory;
  readonly now: () => number;
  /** Whether the next step fails, asked once for each. */
  fails: () => boolean;
  /** Tokens computed so far, and steps broken off. */
  computed: number;
  brokenOff: number;
}

export function simulatedWorld(pages: number, pageTokens: number, options: Steps["plan"]["options"]): World {
  const memory = Array.from({ length: pages }, () => new Uint32Array(pageTokens));
  const store: PageStore = {
    pool: new PagePool(pages),
    pageTokens,
    copy: (from, to) => memory[to].set(memory[from]),
  };
  let clock = 0;
  const digestAt = (s: Sequence, position: number): number =>
    position < 0 ? EMPTY : memory[s.pages[Math.floor(position / pageTokens)]][position % pageTokens];
  const world: World = {
    memory: {
      pageTokens,
      pageBytes: 4 * pageTokens,
      stateBytes: 0,
      page: p => new Uint8Array(memory[p].buffer),
      state: () => [],
    },
    now: () => clock,
    fails: () => false,
    computed: 0,
    brokenOff: 0,
    steps: {
      plan: { options },
      store,
      newSequence: () => new Sequence(store),
      step: tokens => compute(tokens, () => false)!,
      attempt: compute,
    },
  };
  function compute(tokens: readonly StepToken[], interrupted: () => boolean): Float32Array[] | undefined {
    if (!tokens.length || tokens.length > options.maxTokens) throw new RangeError("a step of a wrong size");
    clock += 5 + tokens.length;
    if (world.fails()) throw new Error("the step failed");
    const rows: Float32Array[] = [];
    const before = new Map(tokens.map(({ sequence }) => [sequence, sequence.length]));
    for (const { id, sequence, wanted } of tokens) {
      if (interrupted()) {
        for (const [s, length] of before) s.retract(length);
        world.brokenOff++;
        return undefined;
      }
      const { position, page, place } = sequence.append(id);
      memory[page][place] = mix(digestAt(sequence, position - 1), id);
      if (wanted) rows.push(logitsOf(memory[page][place]));
    }
    world.computed += tokens.length;
    if (rows.length > options.maxWanted) throw new RangeError("too many rows");
    return rows;
  }
  return world;
}
