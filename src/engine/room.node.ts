/** How a model's memory is divided here: what lies in the arena, how wide its addresses are, and whether all of it fits. */
import { Arena } from "../runtime/arena.ts";
import { targetHere } from "../runtime/backend.node.ts";
import type { TargetName } from "../runtime/compile.ts";
import { hasMemory64 } from "../target/wasm/features.ts";
import type { Need } from "./bind.ts";

/** What a 32-bit memory surely holds. */
const NARROW = 2 ** 32 - 2 ** 20;

export interface RoomOptions {
  readonly target: TargetName | "auto";
  /** Bytes that may be used in all. */
  readonly memory: number;
  /** 64-bit addresses. Default: where 32 bits do not suffice and the runtime has them. */
  readonly memory64?: boolean;
}

/**
 * An arena for what a model needs. Machine code has the weights outside of it.
 * @throws LatheError memory.insufficient, with `what` as the subject, where not all of it fits.
 */
export async function arenaFor(options: RoomOptions, { weights, cache, work }: Need, what: string): Promise<Arena> {
  const total = weights + cache + work;
  const outside = total > NARROW && (await targetHere(options.target)) === "native" ? weights : 0;
  const memory64 = options.memory64 ?? (total - outside > NARROW && hasMemory64());
  const arena = new Arena({ budget: options.memory, memory64 });
  arena.require(total - outside, what, outside);
  return arena;
}
