/**
 * A model's plan: the regions that a step fills, the recorded program, and where the logits come out. Made once per loaded model by tracing
 * the network's graph; step.ts runs it.
 */

import type { Kernel } from "../ir/node.ts";
import { PAGE } from "../kernels/attend.ts";
import type { Network } from "../nn/arch.ts";
import { Graph, type Region } from "../nn/graph.ts";
import type { Rotation, Schedule, Step, Tensor } from "../nn/layers.ts";
import type { Arena } from "../runtime/arena.ts";
import type { TargetName } from "../runtime/compile.ts";
import type { Program } from "../runtime/launch.ts";

export interface PlanOptions {
  /** Tokens of the longest sequence. */
  readonly context: number;
  /** Tokens that all sequences together may hold. */
  readonly cacheTokens: number;
  /** Most tokens of one step, and most rows of logits it gives. */
  readonly maxTokens: number;
  readonly maxWanted: number;
}

export interface Plan {
  readonly options: PlanOptions;
  readonly program: Program;
  readonly kernels: readonly Kernel[];
  readonly step: Step;
  readonly rotations: ReadonlyMap<Rotation, Region>;
  readonly logits: Tensor;
  readonly pageCapacity: number;
  /** Bytes of activations and step tables. */
  readonly workBytes: number;
}

/**
 * Tiles per packed format: tokens whose sums stay in the sixteen registers of x86-64, row groups that keep enough of the memory busy
 * (docs/decisions/0003). Registers twice as wide hold twice the tokens.
 */
export const schedules =
  (target: TargetName): Schedule =>
  packed => {
    if (target === "native") return packed.activation === "f32" ? { tokens: 6, groups: 4 } : { tokens: 6, groups: 2 };
    return packed.activation === "f32" ? { tokens: 4, groups: 4 } : { tokens: 4, groups: 2 };
  };

export const pagesFor = (tokens: number): number => Math.ceil(tokens / PAGE);

export function makePlan(
  network: Network,
  arena: Arena,
  options: PlanOptions,
  schedule: Schedule,
  values: (tensor: string) => Float32Array,
): Plan {
  const before = arena.used;
  const allocate = (bytes: number): number => arena.allocate(bytes, "Running the model");
  const region = (bytes: number): Region => ({ address: allocate(bytes), bytes });
  const { maxTokens, maxWanted, context } = options;
  const graph = new Graph({ limits: { tokens: maxTokens, wanted: maxWanted }, allocate });
  const rotations = new Map<Rotation, Region>();
  const words = (n: number): Region => region(4 * n);
  const tables = {
    ids: words(maxTokens),
    positions: words(maxTokens),
    starts: words(maxTokens),
    pageIds: words(maxTokens),
    places: words(maxTokens),
    numbers: words(Math.max(PAGE, maxTokens)),
    wanted: words(maxWanted),
    pageTable: words(maxTokens * pagesFor(context)),
  };
  arena.i32(tables.numbers.address, tables.numbers.bytes / 4).forEach((_, i, all) => {
    all[i] = i;
  });
  // Pages are only touched when they are used; the pool is as large as wished for, or as what is left allows.
  const wish = pagesFor(options.cacheTokens);
  const least = pagesFor(context);
  const pageCapacity = Math.max(least, Math.min(wish, Math.floor((arena.left - 2 ** 26) / network.pageBytes)));
  const pages = {
    address: arena.allocate(pageCapacity * network.pageBytes, `A context of ${context} tokens`),
    bytes: pageCapacity * network.pageBytes,
  };
  const step: Step = {
    ...tables,
    graph,
    schedule,
    pages,
    pageBytes: network.pageBytes,
    rotation: r => {
      const known = rotations.get(r) ?? region(8 * r.frequencies.length * maxTokens);
      rotations.set(r, known);
      return known;
    },
  };
  const logits = network.graph(step, values);
  graph.sync();
  const workBytes = arena.used - before - pages.bytes;
  return { options, program: graph.launches, kernels: [...graph.kernels.values()], step, rotations, logits, pageCapacity, workBytes };
}
