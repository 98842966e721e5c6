/**
 * Whether the server lives and can answer, told by what the engines themselves say: each loaded model is asked again and again, and one that
 * does not answer in time is stalled, given up and loaded anew. Routes read what was last seen and never wait.
 */

import type { Model } from "../api/model.ts";
import type { EngineStatus } from "../api/protocol.ts";
import { openaiError } from "./dialects/openai-shapes.ts";
import type { Gauge } from "./metrics.ts";
import { json, type Route } from "./route.ts";
import type { Service } from "./service.ts";

/** Times between questions that a look may be late, as timers are. */
const LATE = 1.25;
/** Times between questions until a model that could not be loaded anew is tried again. */
const AGAIN = 5;

export interface WatchOptions {
  /** Milliseconds between questions. */
  readonly everyMs?: number;
  /** Milliseconds after which an engine that has not answered is stalled. */
  readonly stalledMs?: number;
  /** Milliseconds. */
  readonly clock?: () => number;
}

export class Watchdog {
  readonly #service: Service;
  readonly #everyMs: number;
  readonly #stalledMs: number;
  readonly #clock: () => number;
  /** When this thread last looked, and for how long it has been awake until then: while it was held up itself, no engine could be heard. */
  #looked: number;
  #awake = 0;
  /** How long this thread had been awake when it asked. */
  readonly #asked = new WeakMap<Model, number>();
  /** Those that said that they can compute no more. */
  readonly #broken = new WeakSet<Model>();
  readonly #statuses = new WeakMap<Model, EngineStatus>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(service: Service, { everyMs = 1000, stalledMs = 8000, clock = () => performance.now() }: WatchOptions = {}) {
    this.#service = service;
    this.#everyMs = everyMs;
    this.#stalledMs = stalledMs;
    this.#clock = clock;
    this.#looked = clock();
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), this.#everyMs);
    this.#timer.unref();
  }
  stop(): void {
    clearInterval(this.#timer);
  }

  /** However long the whole process or this thread paused, it counts as little more than the time between questions. */
  get #now(): number {
    return this.#awake + Math.min(this.#clock() - this.#looked, LATE * this.#everyMs);
  }

  status = (model: Model): EngineStatus | undefined => this.#statuses.get(model);
  stalled = (model: Model): boolean => this.#now - (this.#asked.get(model) ?? this.#now) > this.#stalledMs;
  #lost = (model: Model): boolean => this.stalled(model) || model.closed || this.#broken.has(model);

  /** Asks every loaded model that has answered the last question, and gives up those that have not for too long. */
  look(): void {
    this.#awake = this.#now;
    this.#looked = this.#clock();
    for (const { name, model } of this.#service.catalog.list()) {
      if (!model) continue;
      if (this.#lost(model)) this.#giveUp(name, model);
      else if (!this.#asked.has(model)) this.#ask(model);
    }
  }

  #ask(model: Model): void {
    this.#asked.set(model, this.#now);
    model.status().then(
      status => {
        this.#statuses.set(model, status);
        this.#asked.delete(model);
      },
      () => this.#broken.add(model),
    );
  }

  #giveUp(name: string, model: Model): void {
    const { catalog, log } = this.#service;
    log({ event: "engine.restarted", model: name, why: model.closed ? "died" : this.#broken.has(model) ? "broke" : "stalled" });
    catalog.restart(model);
    this.#reload(name);
  }

  /** Again and again where it fails: what the old engine has is not given back at once, and nobody sends requests to who is not ready. */
  #reload(name: string): void {
    const { catalog, log, draining } = this.#service;
    if (draining) return;
    catalog.warm([name]).catch(() => {
      log({ event: "engine.failed", model: name });
      setTimeout(() => this.#reload(name), AGAIN * this.#everyMs).unref();
    });
  }

  /** Why the server cannot take work now; undefined where it can. */
  notReady(): string | undefined {
    const { catalog, draining } = this.#service;
    if (draining) return "draining";
    const models = catalog.list();
    if (models.some(m => m.state === "loading")) return "loading";
    if (models.some(m => m.model && this.#lost(m.model))) return "stalled";
    return models.length > 0 && models.every(m => m.state === "failed") ? "failed" : undefined;
  }
}

export function healthRoutes(watchdog: Watchdog): readonly Route[] {
  const ready: Route["handle"] = () => {
    const why = watchdog.notReady();
    return why === undefined ? json({ status: "ok" }) : json({ status: why }, 503);
  };
  const open = { method: "GET", scope: "open", fail: openaiError } as const;
  return [
    { ...open, path: "/livez", about: "whether the server runs", handle: () => json({ status: "ok" }) },
    { ...open, path: "/readyz", about: "whether it can answer: 503 while loading, stalled or shutting down", handle: ready },
    { ...open, path: "/health", about: "the same", handle: ready },
    {
      ...open,
      path: "/metrics",
      scope: "user",
      about: "numbers for Prometheus",
      handle: ({ service }) =>
        new Response(service.metrics.text(gauges(service, watchdog)), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
    },
  ];
}

function gauges(service: Service, watchdog: Watchdog): Gauge[] {
  const { admission, catalog } = service;
  const models = catalog.list();
  const perModel = (of: (m: (typeof models)[number]) => number | undefined) =>
    models.flatMap(m => {
      const value = of(m);
      return value === undefined ? [] : [{ labels: { model: m.name }, value }];
    });
  const engine = (name: string, about: string, of: (s: EngineStatus) => number): Gauge => {
    const status = (m: (typeof models)[number]) => m.model && watchdog.status(m.model);
    return {
      name,
      about,
      values: perModel(m => {
        const s = status(m);
        return s && of(s);
      }),
    };
  };
  return [
    { name: "requests_open", about: "requests that are admitted now", values: [{ value: admission.requests }] },
    { name: "tokens_open", about: "tokens that these are expected to need", values: [{ value: admission.tokens }] },
    { name: "tokens_per_second", about: "of these, tokens that get done in a second of work", values: [{ value: admission.rate }] },
    { name: "stored_bytes", about: "bytes of stored responses", values: [{ value: service.responses.bytes }] },
    { name: "model_loaded", about: "whether the model is loaded", values: perModel(m => Number(m.state === "ready")) },
    { name: "model_restarts_total", about: "how often its engine was given up", values: perModel(m => m.restarts) },
    engine("requests_processing", "runs that are computed", s => s.running),
    engine("requests_deferred", "runs that wait", s => s.waiting),
    engine("kv_cache_usage_ratio", "used part of the pages of keys and values", s => s.pagesUsed / Math.max(1, s.pages)),
    engine("steps_total", "steps of the engine", s => s.steps),
    engine("preemptions_total", "runs that were sent back for others' pages and computed again", s => s.preempted),
  ];
}
