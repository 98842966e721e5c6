/** What a step is made of: so many tokens of each run that takes part. Pure. */
import type { StepToken } from "../engine/step.ts";
import type { ScheduledRun } from "./scheduled-run.ts";
import type { Steps } from "./scheduling.ts";
import type { StepTime } from "./step-time.ts";

/** A step that is full in time has a multiple of so many tokens, which the tiles of products divide or nearly do; short ones of the lesser. */
export const GRAIN = 12;
const LESSER = 4;
/** Tokens of a prompt that a step has at least beside answers. Without any it is GRAIN: reading the weights for fewer costs most of the time. */
export const LEAST_CHUNK = 4;
/** Tokens that an answer is expected to have, for estimates. */
const EXPECTED_ANSWER = 256;

/** A run's part of a step. */
export interface Member {
  readonly run: ScheduledRun;
  readonly count: number;
}

/**
 * The next tokens of a run: known ones, then forced ones. The logits after its last known one and after forced ones are wanted; to answer the same
 * prompt again, its last must be evaluated again.
 */
export function tokensOf(run: ScheduledRun, count: number): StepToken[] {
  const { known, forced, filled, sequence, request } = run;
  return Array.from({ length: count }, (_, i) => {
    const at = filled + i;
    const wanted = at >= known.length - 1 && request.maxTokens > 0;
    return { id: known[at] ?? forced[at - known.length], sequence, wanted, checkpoint: at === request.tokens.length - 1 };
  });
}

/** Rows of logits that its tokens ask for. */
export function rowsOf({ run, count }: Member): number {
  return run.request.maxTokens > 0 ? Math.max(0, count - run.left + 1) : 0;
}

export function sizeOf(members: readonly Member[]) {
  const sum = (of: (m: Member) => number): number => members.reduce((total, m) => total + of(m), 0);
  const context = sum(({ run, count }) => count * run.filled + (count * count) / 2);
  return { tokens: sum(m => m.count), rows: sum(rowsOf), context };
}

export function commonOf(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n < most && a[n] === b[n]) n++;
  return n;
}

export function logProbability(logits: Float32Array, id: number): number {
  const max = logits.reduce((m, x) => Math.max(m, x), -Infinity);
  const sum = logits.reduce((total, x) => total + Math.exp(x - max), 0);
  return logits[id] - max - Math.log(sum);
}

/** Of `most` tokens `fitting` would end in time: so many that the step has whole tiles, and that no few are left for a step of their own. */
export function wholeTiles(fitting: number, before: number, most: number): number {
  const whole = fitting - ((before + fitting) % (fitting < 2 * GRAIN ? LESSER : GRAIN));
  if (whole < LEAST_CHUNK) return fitting;
  return most - whole < GRAIN ? most : whole;
}

/** Milliseconds that all runs need: prompts in full steps, answers in steps of all that answer. */
export function outstanding(runs: readonly ScheduledRun[], options: Steps["plan"]["options"], time: StepTime): number {
  const { maxTokens, maxWanted } = options;
  const prompt = runs.reduce((sum, r) => sum + r.left, 0);
  const answers = runs.map(r => Math.max(0, Math.min(r.request.maxTokens, EXPECTED_ANSWER) - r.produced));
  const rows = Math.max(1, Math.min(maxWanted, runs.length));
  const steps = answers.reduce((sum, n) => sum + n, 0) / rows;
  const past = runs.reduce((sum, r) => sum + r.filled, 0) / Math.max(1, runs.length);
  const fill = time.predict({ tokens: maxTokens, rows: 0, context: maxTokens * past });
  return (prompt / maxTokens) * fill + steps * time.predict({ tokens: rows, rows, context: rows * past });
}
