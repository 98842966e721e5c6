/** The table of scenarios: what each is called, what it shows, and the function that runs it. */
import { crowd } from "./crowd.mjs";
import { idle, overload } from "./overload.mjs";
import { cached, prefill } from "./prefill.mjs";
import { schemas } from "./schemas.mjs";
import { soak } from "./soak.mjs";
import { streams } from "./streams.mjs";

/**
 * @typedef {{
 *   server: import("./server.mjs").Server, signal: AbortSignal, say: (text: string) => void,
 *   add: (scenario: string, name: string, unit: string, values: number[], goal?: { atLeast?: number, atMost?: number, note?: string }) => number[],
 *   options: { model: string, threads: number, seconds: number, rounds: number, minutes: number, peer: string }
 * }} Setting
 * `add` puts a figure into the report and gives back its list of values, to which more may be added.
 */

/** In the order in which "all" runs them. @type {Record<string, { about: string, minutes: number, run: (s: Setting) => Promise<void> }>} */
export const scenarios = {
  streams: { about: "total speed of 1 and of 8 streams, and llama.cpp's 8 sequences", minutes: 0, run: streams },
  prefill: { about: "time between tokens while a long prompt is read", minutes: 0, run: prefill },
  cached: { about: "time to the first token when the prompt's beginning is known", minutes: 0, run: cached },
  crowd: { about: "answers are the same alone and in a crowd, and nothing leaks", minutes: 0, run: crowd },
  overload: { about: "five times too many requests", minutes: 1, run: overload },
  idle: { about: "the same beside 1,000 sockets that do nothing", minutes: 1, run: idle },
  schemas: { about: "schemas at full speed that no request has had before, beside running answers", minutes: 1, run: schemas },
  soak: { about: "mixed work with aborts and malformed requests; nothing grows", minutes: 10, run: soak },
};
