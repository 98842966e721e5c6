/**
 * A model's plan: the regions that a step fills, the recorded program, and where the logits come out. Made once per loaded model by tracing
 * the network's graph; step.ts runs it.
 */

import { LatheError } from "../errors.ts";
import { inBytes } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type AttendSchedule, narrowAttend, PAGE } from "../kernels/attend.ts";
import { segmentFields } from "../kernels/segments.ts";
import type { Machine } from "../lower/passes.ts";
import type { Network } from "../nn/arch.ts";
import { count, Graph, type Region } from "../nn/graph.ts";
import type { State } from "../nn/source.ts";
import type { HeadLayout, Rotation, Scalars, Schedule, Step } from "../nn/step.ts";
import type { Tensor } from "../nn/tensor.ts";
import type { Arena } from "../runtime/arena.ts";
import type { TargetName } from "../runtime/compile.ts";
import type { Arg, Program } from "../runtime/launch.ts";
import { placeStates, stateBytes } from "./states.ts";

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
  /** Reads a text that is then answered. */
  readonly reader?: Program;
  readonly kernels: readonly Kernel[];
  readonly step: Step;
  readonly rotations: ReadonlyMap<Rotation, Region>;
  readonly scalars: ReadonlyMap<Scalars, Region>;
  readonly logits: Tensor;
  readonly pageCapacity: number;
  /** Slots for the states of recurrent layers, that of the empty state counted; 0 where the model has none. */
  readonly stateCapacity: number;
  /** Bytes of activations and step tables. */
  readonly workBytes: number;
}

/**
 * Tiles per packed format: tokens whose sums stay in the sixteen registers of x86-64, row groups that keep enough of the memory busy
 * (docs/decisions/0003). Registers twice as wide hold twice the tokens, and twice as many hold more still.
 */
export interface Schedules {
  readonly matmul: Schedule;
  readonly attend: AttendSchedule;
}
const matmulSchedule =
  (target: TargetName, machine?: Machine): Schedule =>
  packed => {
    if (machine?.joined) return { tokens: 12, groups: inBytes(packed.activation) ? 2 : 4, prefetch: 2048 };
    if (target === "native")
      return {
        tokens: !inBytes(packed.activation) ? 12 : packed.inputs > 32 ? 8 : 6,
        groups: inBytes(packed.activation) ? 2 : 4,
        prefetch: 2048,
      };
    return packed.activation === "f32" ? { tokens: 4, groups: 4 } : { tokens: 4, groups: 2 };
  };
export const schedules = (target: TargetName, machine?: Machine): Schedules => ({
  matmul: matmulSchedule(target, machine),
  attend: target === "native" ? { lanes: 16, heads: 4 } : narrowAttend,
});

/** What a team runs: steps, and the reading of a text before them where the model has that. */
export const programsOf = ({ program, reader }: Plan): readonly Program[] => (reader ? [program, reader] : [program]);

export const pagesFor = (tokens: number): number => Math.ceil(tokens / PAGE);

function remembered<K>(made: Map<K, Region>, key: K, make: () => Region): Region {
  const known = made.get(key) ?? make();
  made.set(key, known);
  return known;
}

function checkContext(network: Network, context: number): void {
  if (network.longestContext === undefined || context <= network.longestContext) return;
  const message = `This model has positions for ${network.longestContext} tokens and no more; ask for a context of at most that.`;
  throw new LatheError("option.invalid", message, { context, longest: network.longestContext });
}

/** The tables that a step fills, and lists that tracing fills. */
function stepTables(arena: Arena, { context, maxTokens, maxWanted }: PlanOptions, words: (n: number, taken?: Arg) => Region) {
  const perToken = (): Region => words(maxTokens, count("tokens", 4));
  const tables = {
    ids: perToken(),
    positions: perToken(),
    starts: perToken(),
    ends: perToken(),
    origins: perToken(),
    sourceStarts: perToken(),
    sourceLasts: perToken(),
    pageIds: perToken(),
    places: perToken(),
    numbers: words(Math.max(PAGE, maxTokens)),
    wanted: words(maxWanted, count("wanted", 4)),
    pageTable: words(2 * maxTokens * pagesFor(context)),
    order: words(maxTokens),
    segments: words((segmentFields.bytes / 4) * maxTokens),
  };
  arena.i32(tables.numbers.address, tables.numbers.bytes / 4).forEach((_, i, all) => {
    all[i] = i;
  });
  return { ...tables, heads: [] as HeadLayout[], tied: new Set<string>() };
}

/** The graph of a step that reads a text, in models that read before they answer; it has buffers of its own. */
function traceReader({ reader }: Network, step: Step, allocate: (bytes: number) => number): Graph | undefined {
  if (!reader) return undefined;
  const graph = new Graph({ limits: step.graph.limits, allocate });
  reader.graph({ ...step, graph });
  graph.sync();
  return graph;
}

export function makePlan(
  network: Network,
  states: readonly State[],
  arena: Arena,
  options: PlanOptions,
  schedule: Schedules,
  values: (tensor: string) => Float32Array,
): Plan {
  const before = arena.used;
  const allocate = (bytes: number): number => arena.allocate(bytes, "Running the model");
  const { maxTokens, maxWanted, context } = options;
  checkContext(network, context);
  const graph = new Graph({ limits: { tokens: maxTokens, wanted: maxWanted, segments: maxTokens }, allocate });
  const [rotations, scalars] = [new Map<Rotation, Region>(), new Map<Scalars, Region>()];
  const words = (n: number, taken?: Arg): Region => ({ address: allocate(4 * n), bytes: 4 * n, taken });
  const tables = stepTables(arena, options, words);
  const stateCapacity = placeStates(states, arena, options.cacheTokens / context);
  // Pages are only touched when they are used; the pool is as large as wished for, or as what is left allows.
  const [wish, least] = [options.cacheTokens, context].map(pagesFor);
  const pageCapacity = Math.max(least, Math.min(wish, Math.floor((arena.left - 2 ** 26) / network.pageBytes)));
  const bytes = pageCapacity * network.pageBytes;
  const pages = { address: arena.allocate(bytes, `A context of ${context} tokens`), bytes };
  const step: Step = {
    ...tables,
    graph,
    context,
    values,
    schedule: schedule.matmul,
    attendSchedule: schedule.attend,
    pages,
    pageBytes: network.pageBytes,
    kept: network.kept,
    rotation: r => remembered(rotations, r, () => words(2 * r.frequencies.length * maxTokens, count("tokens", 8 * r.frequencies.length))),
    scalars: s => remembered(scalars, s, () => words(maxTokens, count("tokens", 4))),
    table: list => {
      const made = words(32 * Math.ceil(list.length / 32), 4 * list.length);
      arena.f32(made.address, list.length).set(list);
      return made;
    },
  };
  const logits = network.graph(step);
  graph.sync();
  const reader = traceReader(network, step, allocate);
  const workBytes = arena.used - before - pages.bytes - stateCapacity * stateBytes(states);
  return {
    options,
    program: graph.launches,
    reader: reader?.launches,
    kernels: [...new Map([...(reader?.kernels ?? []), ...graph.kernels]).values()],
    step,
    rotations,
    scalars,
    logits,
    pageCapacity,
    stateCapacity,
    workBytes,
  };
}
