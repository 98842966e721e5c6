/** One attempt, judged: what may come of an input, and in which bounds. */
import { readFileSync } from "node:fs";
import { LatheError } from "../../src/errors.ts";
import { underMeter } from "./meter.ts";
import type { Target } from "./targets.ts";

/** Milliseconds that an input may take. */
export const MOST_TIME = 2000;
const MEMORY = 2 ** 24;

/** Bytes that an attempt may take for an input of so many. */
export const allowed = (target: Target, bytes: number): number => MEMORY + 4 * (bytes + (target.beside ?? 0));

/** The stable codes, from the list in the sources. */
export function knownCodes(sources: URL): ReadonlySet<string> {
  return new Set([...readFileSync(sources, "utf8").matchAll(/^ {2}\| "([a-z.-]+)"/gm)].map(found => found[1]));
}

export type Outcome = { readonly code: string; readonly time: number; readonly rate: number } | { readonly failure: string };

/** `code`: "ok", or that of the error. */
export async function attempted(target: Target, input: Uint8Array, codes: ReadonlySet<string>): Promise<Outcome> {
  const most = target.mostTime ?? MOST_TIME;
  let [begun, cpu, time] = [performance.now(), process.cpuUsage(), 0];
  /** On a busy machine anything takes long: what counts is the processor's time where that is less. It is asked for where it may matter. */
  const tick = (): void => {
    let passed = performance.now() - begun;
    if (passed > most / 4) {
      const { user, system } = process.cpuUsage(cpu);
      passed = Math.min(passed, (user + system) / 1000);
      cpu = process.cpuUsage();
    }
    time = Math.max(time, passed);
    begun = performance.now();
  };
  const before = Object.keys(Object.prototype).length;
  let [code, rate] = ["ok", 0];
  try {
    rate = (await underMeter({ single: allowed(target, input.length) }, () => target.attempt(input, tick))) ?? 0;
  } catch (error) {
    if (!(error instanceof LatheError)) return { failure: String((error as Error)?.stack ?? error) };
    code = error.code;
    if (!codes.has(code)) return { failure: `the code "${code}" is not in the list` };
    if (error.message.length > 2000 || JSON.stringify(error) === undefined)
      return { failure: `an error of ${error.message.length} characters` };
  }
  if (Object.keys(Object.prototype).length !== before) return { failure: "the prototype of all objects was changed" };
  tick();
  return time > most ? { failure: `it took ${Math.round(time)} ms` } : { code, time, rate };
}
