/**
 * The scheduler in a simulated world: a million steps of random arrivals, aborts, slow readers and failures, in which every request ends once,
 * with the answer that it would get alone, and no page is lost. Then single rules: order, fairness, shared beginnings, eviction, preemption.
 */
import { describe, expect, it } from "vitest";
import { type Events, Scheduler } from "../../src/api/scheduler.ts";
import type { Coming } from "../../src/api/scheduling.ts";
import { Random } from "../fixtures/random.ts";
import { expectedAnswer, simulatedWorld, VOCABULARY, type World } from "./simulated.ts";

interface Asked {
  readonly prompt: readonly number[];
  readonly most: number;
  readonly session: number;
  readonly got: number[];
  readonly salt: string;
  end?: string;
  cached?: number;
}

const greedy = { temperature: 0 } as const;

class Simulation {
  readonly world: World;
  readonly scheduler: Scheduler;
  readonly asked = new Map<number, Asked>();
  /** Runs in the order in which they ended. */
  readonly ended: number[] = [];
  /** Runs whose tokens are read late. */
  readonly slow = new Set<number>();
  #next = 0;
  /** Whether the last turn did something or somebody has said something since: an engine's thread sleeps otherwise. */
  #awake = true;

  constructor(world: World, coming?: Coming) {
    this.world = world;
    const end = (run: number, how: string): void => {
      const asked = this.asked.get(run)!;
      if (asked.end !== undefined) throw new Error(`run ${run} ended twice`);
      asked.end = how;
      this.ended.push(run);
    };
    const events: Events = {
      prompt: () => {},
      token: (run, { id }) => {
        this.asked.get(run)!.got.push(id);
        if (!this.slow.has(run)) this.taken(run, 1);
      },
      finished: (run, { finish, usage }) => {
        this.asked.get(run)!.cached = usage.cachedTokens;
        end(run, finish);
      },
      forced: () => {},
      scored: () => {},
      failed: run => end(run, "failed"),
    };
    this.scheduler = new Scheduler(world.steps, events, { now: world.now, coming });
  }

  /** As the engine's thread takes turns. False: it sleeps. */
  turn(): boolean {
    if (!this.#awake) return false;
    this.#awake = false;
    this.#awake = this.scheduler.turn() || this.#awake;
    return true;
  }

  /** It has something to do, and nothing can be done. */
  get sleeps(): boolean {
    return !this.#awake && this.scheduler.busy;
  }

  taken(run: number, count: number): void {
    this.#awake = true;
    this.scheduler.taken(run, count);
  }

  cancel(run: number): void {
    this.#awake = true;
    this.scheduler.cancel(run);
  }

  ask(prompt: readonly number[], most: number, options: { client?: string; salt?: string; priority?: number } = {}): number {
    const run = this.#next++;
    const session = 1_000_000 + run;
    this.asked.set(run, { prompt, most, session, got: [], salt: options.salt ?? "" });
    this.#awake = true;
    this.scheduler.open(session);
    const tokens = Int32Array.from(prompt);
    this.scheduler.add({ run, session, tokens, sampling: greedy, maxTokens: most, stopIds: [0], ...options });
    return run;
  }

  /** Checks an ended run and forgets it. */
  settle(run: number, context: number): void {
    const { prompt, most, got, session, end } = this.asked.get(run)!;
    const right = expectedAnswer(prompt, most, context);
    if (end === "cancelled" || end === "failed") right.length = got.length;
    if (got.join() !== right.join()) throw new Error(`run ${run} (${end}): ${got.join()} instead of ${right.join()}`);
    this.#awake = true;
    this.scheduler.drop(session);
    this.asked.delete(run);
  }

  finish(): void {
    for (let i = 0; this.scheduler.busy; i++) {
      if (i > 100_000) throw new Error("it does not end");
      if (this.sleeps) throw new Error("it sleeps with something to do");
      this.turn();
    }
  }
}

const sizes = { maxTokens: 12, maxWanted: 4, context: 40 };

/** Prompts that often begin alike. */
function promptOf(random: Random): number[] {
  const head = Array.from({ length: 4 * random.below(6) }, (_, i) => (i * 5 + random.below(2)) % VOCABULARY);
  return [...head, ...Array.from({ length: 1 + random.below(8) }, () => random.below(VOCABULARY))];
}

function stormy(seed: number, turns: number) {
  const random = new Random(seed);
  const world = simulatedWorld(24, 4, sizes);
  const sometimes = (): boolean => random.below(40) === 0;
  const sim = new Simulation(world, { runComes: sometimes, endComes: sometimes });
  let failing = false;
  world.fails = () => failing && random.below(50) === 0;
  const counts: Record<string, number> = {};
  let [cached, slept] = [0, 0];
  const settleAll = (): void => {
    for (const run of sim.ended.splice(0)) {
      const { end, cached: hit = 0 } = sim.asked.get(run)!;
      counts[end!] = (counts[end!] ?? 0) + 1;
      cached += hit;
      sim.slow.delete(run);
      sim.settle(run, sizes.context);
    }
  };
  for (let turn = 0, i = 0; turn < turns; i++) {
    if (i % 4096 === 0) failing = !failing;
    if (sim.asked.size < 10 && random.below(4) === 0) {
      const options = { client: `c${random.below(3)}`, salt: random.below(8) === 0 ? "s" : "", priority: random.below(10) === 0 ? 1 : 0 };
      const run = sim.ask(promptOf(random), 1 + random.below(12), options);
      if (random.below(20) === 0) sim.slow.add(run);
    }
    if (random.below(64) === 0 && sim.asked.size) {
      const open = [...sim.asked.keys()];
      const run = open[random.below(open.length)];
      if (random.below(2)) sim.cancel(run);
      else if (sim.slow.delete(run)) sim.taken(run, sim.asked.get(run)!.got.length);
    }
    if (sim.turn()) turn++;
    else slept++;
    if (sim.sleeps && sim.slow.size === 0) throw new Error("it sleeps with something to do");
    settleAll();
    const { pagesUsed, pages } = sim.scheduler.status();
    if (pagesUsed < 0 || pagesUsed > pages) throw new Error(`${pagesUsed} pages of ${pages}`);
  }
  for (const run of sim.slow) sim.taken(run, sim.asked.get(run)!.got.length);
  sim.slow.clear();
  failing = false;
  sim.finish();
  settleAll();
  expect(sim.asked.size).toBe(0);
  sim.scheduler.forget();
  const { pagesUsed, preempted } = sim.scheduler.status();
  expect(pagesUsed).toBe(0);
  return { preempted, cached, slept, brokenOff: world.brokenOff, ended: counts };
}

describe("in a storm of requests", () => {
  it("every request ends once with its own answer and no page is lost, in a million steps", () => {
    const total = { preempted: 0, cached: 0, brokenOff: 0, slept: 0 };
    for (let seed = 1; seed <= 10; seed++) {
      const { preempted, cached, slept, brokenOff, ended } = stormy(seed, 100_000);
      total.slept += slept;
      total.brokenOff += brokenOff;
      total.preempted += preempted;
      total.cached += cached;
      for (const how of ["stop", "length", "cancelled", "failed"]) expect(ended[how], how).toBeGreaterThan(0);
    }
    expect(total.preempted).toBeGreaterThan(100);
    expect(total.brokenOff).toBeGreaterThan(1000);
    expect(total.slept).toBeGreaterThan(1000);
    expect(total.cached).toBeGreaterThan(10_000);
  }, 120_000);
});

describe("order", () => {
  /** No two begin alike, so that none waits for another's beginning. */
  const long = (n: number, first: number): number[] => [100 + first, ...Array.from({ length: n - 1 }, (_, i) => i % VOCABULARY)];

  it("requests of one client and rank begin in the order of their arrival", () => {
    const sim = new Simulation(simulatedWorld(64, 4, sizes));
    const runs = Array.from({ length: 12 }, (_, i) => sim.ask(long(20, i + 1), 1));
    sim.finish();
    expect(sim.ended).toEqual(runs);
  });

  it("a higher priority goes first", () => {
    const sim = new Simulation(simulatedWorld(64, 4, { ...sizes, maxWanted: 1 }));
    const low = Array.from({ length: 4 }, (_, i) => sim.ask(long(20, i + 1), 1));
    const high = sim.ask(long(20, 9), 1, { priority: 5 });
    sim.finish();
    expect(sim.ended).toEqual([high, ...low]);
  });

  it("a client with one request does not wait for all of a client with many", () => {
    const sim = new Simulation(simulatedWorld(64, 4, sizes));
    const greedyClient = Array.from({ length: 20 }, (_, i) => sim.ask(long(20, i + 1), 1, { client: "many" }));
    for (let i = 0; i < 4; i++) sim.scheduler.turn();
    const one = sim.ask(long(20, 50), 1, { client: "one" });
    sim.finish();
    expect(sim.ended.indexOf(one)).toBeLessThan(8);
    expect(sim.ended.filter(r => r !== one)).toEqual(greedyClient);
  });
});

describe("a step of prompts", () => {
  const wide = { maxTokens: 64, maxWanted: 4, context: 4096 };
  const prompt = (n: number, first: number): number[] => [100 + first, ...Array.from({ length: n - 1 }, (_, i) => i % VOCABULARY)];
  /** A world whose pace is known after a while, and tokens of steps; what is on its way is told by `coming`. */
  function watched(coming: { runs: () => boolean; ends: () => boolean }) {
    const world = simulatedWorld(4000, 4, wide);
    const steps: number[] = [];
    const { attempt, step } = world.steps;
    const slow = 20; // milliseconds a token
    let clock = 0;
    const timed = (rows: Float32Array[] | undefined, tokens: number) => {
      clock += slow * tokens;
      steps.push(rows ? tokens : -tokens);
      return rows;
    };
    world.steps.step = tokens => timed(step(tokens), tokens.length)!;
    world.steps.attempt = (tokens, interrupted) => timed(attempt(tokens, interrupted), tokens.length);
    const sim = new Simulation({ ...world, now: () => clock }, { runComes: () => coming.runs(), endComes: () => coming.ends() });
    const turns = (n: number): number[] => {
      steps.length = 0;
      for (let i = 0; i < n; i++) sim.scheduler.turn();
      return [...steps];
    };
    sim.ask(prompt(400, 0), 1);
    sim.finish(); // the pace is known
    return { sim, turns };
  }

  it("is long for one who is alone, and short for two", () => {
    const { sim, turns } = watched({ runs: () => false, ends: () => false });
    const one = sim.ask(prompt(1000, 1), 1);
    expect(turns(2)).toEqual([64, 64]);
    sim.ask(prompt(1000, 2), 1);
    for (const n of turns(4)) expect(n).toBeLessThanOrEqual(12);
    sim.scheduler.cancel(one);
    expect(turns(2)).toEqual([64, 64]);
  });

  it("is broken off when somebody comes or leaves, but not twice in a row, and then short", () => {
    let [runs, ends] = [false, false];
    const { sim, turns } = watched({ runs: () => runs, ends: () => ends });
    sim.ask(prompt(1000, 1), 1);
    [runs, ends] = [true, false];
    expect(turns(4)).toEqual([-64, 12, -64, 12]);
    [runs, ends] = [false, true];
    expect(turns(4)).toEqual([-64, 12, -64, 12]);
    sim.ask(prompt(1000, 2), 1);
    expect(turns(4).map(n => n < 0)).toEqual([true, false, true, false]);
    [runs, ends] = [true, false];
    expect(turns(4).every(n => n > 0)).toBe(true); // two are served: who comes waits for a short step
  });

  it("that an answer takes part in is never broken off", () => {
    const { sim, turns } = watched({ runs: () => true, ends: () => true });
    const lasting = (first: number): boolean => expectedAnswer(prompt(4, first), 20, 4096).length === 20;
    sim.ask(prompt(4, Array.from({ length: 999 }, (_, i) => i).find(lasting)!), 20);
    expect(turns(3)).toEqual([-4, 4, 1]);
    sim.ask(prompt(1000, 2), 1);
    expect(turns(15).every(n => n > 0)).toBe(true);
    expect(turns(20).some(n => n < 0)).toBe(true); // the answer has ended
  });
});

describe("shared beginnings", () => {
  const head = Array.from({ length: 24 }, (_, i) => 1 + (i % 7));

  it("are computed once for requests that come together", () => {
    const sim = new Simulation(simulatedWorld(64, 4, sizes));
    const runs = Array.from({ length: 4 }, (_, i) => sim.ask([...head, 1, 1 + i], 1));
    sim.finish();
    expect(runs.map(r => sim.asked.get(r)!.cached)).toEqual([0, 25, 25, 25]);
    expect(sim.world.computed).toBeLessThan(26 + 3 * 3);
    for (const r of runs) sim.settle(r, sizes.context);
  });

  it("are found after their session has ended, but not under another salt or client", () => {
    const sim = new Simulation(simulatedWorld(64, 4, sizes));
    const cachedAfter = (options: object): number => {
      const run = sim.ask([...head, 3], 1, options);
      sim.finish();
      const { cached } = sim.asked.get(run)!;
      sim.settle(run, sizes.context);
      return cached!;
    };
    expect(cachedAfter({})).toBe(0);
    expect(cachedAfter({})).toBe(24);
    expect(cachedAfter({ salt: "x" })).toBe(0);
    expect(cachedAfter({ client: "y" })).toBe(0);
    expect(cachedAfter({ salt: "x" })).toBe(24);
  });

  it("make room when pages are needed, the least recently used first", () => {
    const sim = new Simulation(simulatedWorld(12, 4, sizes));
    const one = (prompt: readonly number[]): number => {
      const run = sim.ask(prompt, 1);
      sim.finish();
      const { cached } = sim.asked.get(run)!;
      sim.settle(run, sizes.context);
      return cached!;
    };
    const [a, b, c] = [1, 2, 3].map(k => [k, ...head.slice(0, 18)]);
    expect([one(a), one(b), one(a), one(c)]).toEqual([0, 0, 18, 0]); // c takes the place of b
    expect([one(a), one(b)]).toEqual([18, 0]);
  });
});
