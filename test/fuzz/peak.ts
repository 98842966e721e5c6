/** The most memory that the process has at once while something runs: what the system says, garbage and buffers included. Linux alone tells it. */
import { readFileSync, writeFileSync } from "node:fs";

const { gc } = globalThis as { gc?: () => void };

/** MiB that the process has in memory: now, and at most since `forget`. */
function resident(field: "VmRSS" | "VmHWM"): number {
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "latin1"))?.[1]) / 1024;
}

/** Whether this system tells. */
export const tellsPeaks = ((): boolean => {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return resident("VmHWM") > 0;
  } catch {
    return false;
  }
})();

export interface Peak<T> {
  readonly result: T;
  /** MiB that the process had in memory before it began, and at most until it ended; 0 where the system does not tell. */
  readonly before: number;
  readonly most: number;
  /** Milliseconds of the processor, those of other threads of the process included. */
  readonly ms: number;
}

/** Needs --expose-gc, so that what was there before is not counted. */
export function peakOf<T>(action: () => T): Peak<T> {
  gc?.();
  if (tellsPeaks) writeFileSync("/proc/self/clear_refs", "5");
  const before = tellsPeaks ? resident("VmRSS") : 0;
  const begun = process.cpuUsage();
  const result = action();
  const { user, system } = process.cpuUsage(begun);
  return { result, before, most: tellsPeaks ? resident("VmHWM") : 0, ms: (user + system) / 1000 };
}
