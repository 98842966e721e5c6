/** Memory for the states of recurrent layers: how many slots there are, and where they lie. What the slots are for: kv/states.ts. */
import { LatheError } from "../errors.ts";
import type { State } from "../nn/source.ts";
import type { Arena } from "../runtime/arena.ts";

/** Bytes of one slot: the states of all recurrent layers. */
export const stateBytes = (states: readonly State[]): number => states.reduce((sum, s) => sum + s.bytes, 0);
/** Slots that a model with recurrent layers cannot do without: the empty state, one sequence's, one that it is changed from, one checkpoint. */
export const LEAST_STATES = 4;
/** Checkpoints that there is room for, on average, for each sequence as long as the context. */
const CHECKPOINTS = 4;
/** Kernels reach into a layer's states with signed 32-bit indices. */
const INDEXABLE = 2 ** 31 - 1;

/** Gives states their memory: slots for so many sequences with checkpoints, or as many as half of what is left allows. How many there are. */
export function placeStates(states: readonly State[], arena: Arena, sequences: number): number {
  if (!states.length) return 0;
  const wish = 1 + Math.ceil(sequences) * (1 + CHECKPOINTS);
  const room = Math.floor((arena.left - 2 ** 26) / 2 / stateBytes(states));
  const most = Math.floor(INDEXABLE / Math.max(...states.map(s => s.bytes)));
  if (most < LEAST_STATES) {
    const message = "The state of one recurrent layer takes more than half a GiB, which is not supported; use a smaller model.";
    throw new LatheError("memory.insufficient", message, { needed: LEAST_STATES * stateBytes(states), available: INDEXABLE });
  }
  const slots = Math.max(LEAST_STATES, Math.min(wish, room, most));
  for (const s of states) {
    s.slots = slots;
    s.address = arena.allocate(slots * s.bytes, "The states of recurrent layers");
  }
  return slots;
}
