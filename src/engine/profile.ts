/**
 * Where the time of steps goes: microseconds, bytes and operations of each launch of a plan, beside the time of whole steps and the speed at
 * which the same threads just read memory.
 */

import { READ_UNIT, readMemory } from "../kernels/read.ts";
import { KEYS, vars } from "../nn/graph.ts";
import { type Launch, resolve } from "../runtime/launch.ts";
import type { Loaded } from "./load.node.ts";
import { Operations } from "./operations.ts";
import { programsOf } from "./plan.ts";

export interface ProfileRequest {
  /** Tokens in the past. */
  readonly context: number;
  /** Tokens of a step; at most what a step takes. */
  readonly tokens: number;
  readonly steps: number;
  readonly bandwidth: boolean;
}

/** A launch of a step, averaged. */
export interface LaunchProfile {
  readonly kernel: string;
  readonly microseconds: number;
  /** Bytes read and written, each operand once, and operations done by one step; 0 where they are not known without running the kernel. */
  readonly bytes: number;
  readonly operations: number;
}

export interface StepProfile {
  readonly tokens: number;
  readonly launches: readonly LaunchProfile[];
  /** Of a whole step, launches waiting for each other only where they must: the median. */
  readonly stepMicroseconds: number;
  /** Bytes a second of all threads reading; null where it was not asked for, or there is no room to measure it. */
  readonly bandwidth: number | null;
}

const WARM_UP = 2;
/** Memory that is read, and the least that says something. */
const [READ_BYTES, LEAST_BYTES] = [256 << 20, 64 << 20];
const PASSES = 5;

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];

/** Rows of activations that a launch computes: the step's tokens, or only those whose result is wanted. */
function rowsOf({ args, grid }: Launch, tokens: number): number {
  const uses = (v: number): boolean => [grid, ...args].some(a => typeof a !== "number" && a.v === v);
  return uses(vars.wanted) && !uses(vars.tokens) ? 1 : tokens;
}

/** Bytes and operations of each launch of the step that has just been done. `keys`: how many its tokens see, each counted once. */
export function workOf({ stepper, team, arena }: Loaded, keys: number): { readonly bytes: number; readonly operations: number }[] {
  const { program, kernels } = stepper.plan;
  const counters = new Map(kernels.map(k => [k.name, new Operations(k)]));
  const memory = new DataView(arena.memory.buffer);
  const variables = team.variables.slice();
  variables[KEYS] = keys;
  return program.map(launch => {
    const [grid, ...args] = [launch.grid, ...launch.args].map(a => resolve(a, variables));
    const parts = (launch.traffic ?? []).map(({ bytes, most = Number.POSITIVE_INFINITY }) =>
      Math.min(resolve(bytes, variables), resolve(most, variables)),
    );
    const declared = launch.operations && launch.operations * rowsOf(launch, variables[vars.tokens]);
    const operations = declared ?? counters.get(launch.kernel)!.count(grid, args, memory) ?? 0;
    return { bytes: parts.reduce((a, b) => a + b, 0), operations };
  });
}

/** Nothing else may use the engine meanwhile. */
export async function profileSteps(loaded: Loaded, request: ProfileRequest): Promise<StepProfile> {
  const { stepper } = loaded;
  const { program, options } = stepper.plan;
  const { context, steps } = request;
  const tokens = Math.min(request.tokens, options.maxTokens, options.context - context + 1);
  const sequence = stepper.newSequence(0, [0]);
  const batch = (length: number) => Array.from({ length }, (_, i) => ({ id: 0, sequence, wanted: i === length - 1, checkpoint: i === 0 }));
  const past = stepper.network.bidirectional ? 0 : context - 1;
  while (sequence.length < past) stepper.step(batch(Math.min(options.maxTokens, past - sequence.length)));
  const times = new Float64Array(program.length);
  const whole: number[] = [];
  const step = (into?: Float64Array): number => {
    const begun = performance.now();
    stepper.step(batch(tokens), into);
    const took = performance.now() - begun;
    sequence.truncate(sequence.length - tokens);
    return took;
  };
  for (let i = -WARM_UP; i < steps; i++) {
    step(i < 0 ? new Float64Array(program.length) : times);
    const took = step();
    if (i >= 0) whole.push(1000 * took);
  }
  sequence.close();
  const work = workOf(loaded, past + tokens);
  const launches = program.map(({ kernel }, i) => ({ kernel, microseconds: (1000 * times[i]) / steps, ...work[i] }));
  const bandwidth = request.bandwidth ? await readSpeed(loaded) : null;
  return { tokens, launches, stepMicroseconds: median(whole), bandwidth };
}

/** The best of some passes over fresh memory, by a kernel of our own on all threads. */
async function readSpeed({ arena, team, backend, compiled, stepper }: Loaded): Promise<number | null> {
  const bytes = Math.min(READ_BYTES, READ_UNIT * Math.floor(arena.left / 2 / READ_UNIT));
  if (bytes < LEAST_BYTES || backend.name === "interp") return null;
  const reader = readMemory();
  const grid = bytes / READ_UNIT;
  return arena.scratch(async () => {
    const [at, sums] = [bytes, 32 * grid].map(n => arena.allocate(n, "Measuring the memory"));
    arena.bytes(at, bytes).fill(1); // pages never written may all be the same zeros
    await team.setKernels(backend.compile([reader]));
    await team.setPrograms([[{ kernel: reader.name, grid, args: [at, sums], sync: true, bytes }]]);
    const passes = Array.from({ length: PASSES }, () => {
      const times = new Float64Array(1);
      team.profile(0, times);
      return times[0];
    });
    await team.setKernels(compiled);
    await team.setPrograms(programsOf(stepper.plan));
    return (1000 * bytes) / Math.min(...passes);
  });
}
