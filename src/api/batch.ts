/** What a step is made of: so many tokens of each run that takes part. Pure. */
import type { StepToken } from "../engine/step.ts";
import type { ScheduledRun } from "./scheduled-run.ts";

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
