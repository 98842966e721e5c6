/** The table of scenarios: what each is called, what it shows, and the function that runs it. */

import { aborts } from "./aborts.mjs";
import { abuse } from "./abuse.mjs";
import { crowd } from "./crowd.mjs";
import { logs } from "./logs.mjs";
import { idle, overload } from "./overload.mjs";
import { oversize } from "./oversize.mjs";
import { cached, prefill } from "./prefill.mjs";
import { schemas } from "./schemas.mjs";
import { shutdown } from "./shutdown.mjs";
import { slow, stalled } from "./slow.mjs";
import { soak } from "./soak.mjs";
import { stalls } from "./stalls.mjs";
import { streams } from "./streams.mjs";
import { keys, tenants } from "./timing.mjs";

/**
 * @typedef {{
 *   server: import("./server.mjs").Server, start: (more?: { key?: string, drain?: number, preload?: string, more?: string[] }) => Promise<import("./server.mjs").Server>,
 *   signal: AbortSignal, say: (text: string) => void,
 *   add: (scenario: string, name: string, unit: string, values: number[], goal?: { atLeast?: number, atMost?: number, note?: string }) => number[],
 *   options: { model: string, threads: number, seconds: number, rounds: number, minutes: number, requests: number, seed: number, sockets: number, peer: string }
 * }} Setting
 * `add` puts a figure into the report and gives back its list of values, to which more may be added. `start`
 * starts a server of the scenario's own.
 */

/**
 * In the order in which "all" runs them. `own`: works with servers of its own; `requests`, `sockets`: how many, where `--requests` and
 * `--sockets` do not say.
 * @type {Record<string, { about: string, minutes: number, requests?: number, sockets?: number, own?: boolean, run: (s: Setting) => Promise<void> }>}
 */
export const scenarios = {
  streams: { about: "total speed of 1 and of 8 streams, and llama.cpp's 8 sequences", minutes: 0, run: streams },
  prefill: { about: "time between tokens while a long prompt is read", minutes: 0, run: prefill },
  cached: { about: "time to the first token when the prompt's beginning is known", minutes: 0, run: cached },
  crowd: { about: "answers are the same alone and in a crowd, and nothing leaks", minutes: 0, requests: 2000, run: crowd },
  aborts: { about: "clients that leave at random points leave nothing and disturb nobody", minutes: 0, requests: 2000, run: aborts },
  overload: { about: "five times too many requests", minutes: 1, run: overload },
  idle: { about: "the same beside sockets that do nothing", minutes: 1, sockets: 1000, run: idle },
  slow: { about: "8 streams and health beside sockets that send a byte a second", minutes: 1, sockets: 10_000, own: true, run: slow },
  stalled: { about: "8 streams and health beside readers that take nothing", minutes: 1, sockets: 1000, own: true, run: stalled },
  oversize: { about: "8 streams beside prompts that can never fit", minutes: 2, requests: 10_000, run: oversize },
  stalls: { about: "engines that freeze, lose a thread or die", minutes: 1, requests: 60, own: true, run: stalls },
  keys: { about: "time says nothing of how much of a key is right", minutes: 0, requests: 20_000, own: true, run: keys },
  tenants: { about: "time says nothing of what other keys have asked", minutes: 0, requests: 1000, own: true, run: tenants },
  shutdown: { about: "SIGTERM at random times under load", minutes: 0, requests: 30, own: true, run: shutdown },
  logs: { about: "what was asked is in no log, no metric and no error", minutes: 0, requests: 1000, own: true, run: logs },
  schemas: { about: "schemas at full speed that no request has had before, beside running answers", minutes: 1, run: schemas },
  abuse: { about: "requests as bytes that are wrong in every way", minutes: 0, requests: 5000, own: true, run: abuse },
  soak: { about: "mixed work with aborts and malformed requests; nothing grows", minutes: 10, run: soak },
};
