/** Several models: loaded when asked for, kept while used, unloaded by time or for room, loaded again when they die or stall. */
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/api/model.ts";
import { LatheError } from "../../src/errors.ts";
import { Admission, defaultAdmission } from "../../src/serve/admission.ts";
import { createApp } from "../../src/serve/app.ts";
import { Catalog, type CatalogOptions } from "../../src/serve/catalog.ts";
import { caught } from "../files/caught.ts";
import { Random } from "../fixtures/random.ts";
import { until } from "./server.ts";

const quiet = { running: 0, waiting: 0, pagesUsed: 0, pages: 1, steps: 1 };

/** A model that can do nothing but be closed, and answer for its health as it is told. */
class Dummy {
  closed = false;
  answers = true;
  chats = false;
  info = { context: 8 };
  status: () => Promise<object> = () => (this.answers ? Promise.resolve(quiet) : new Promise(() => {}));
  close = async (): Promise<void> => {
    this.closed = true;
  };
}

function catalogOf(sizes: Record<string, number>, options: CatalogOptions = {}) {
  const loaded: [string, Dummy][] = [];
  const entries = Object.entries(sizes).map(([name, bytes]) => ({
    name,
    aliases: [`${name}.gguf`],
    created: 1,
    bytes: async () => bytes,
    load: async () => {
      if (bytes < 0) throw new LatheError("gguf.truncated", "The file ends early.");
      const model = new Dummy();
      loaded.push([name, model]);
      return model as unknown as Model;
    },
  }));
  return { catalog: new Catalog(entries, options), loaded };
}
const states = (c: Catalog): Record<string, string> => Object.fromEntries(c.list().map(m => [m.name, m.state]));

describe("a catalog", () => {
  it("loads once for all who ask at the same time, by any of the names", async () => {
    const { catalog, loaded } = catalogOf({ a: 1, b: 1 });
    expect(states(catalog)).toEqual({ a: "unloaded", b: "unloaded" });
    const leases = await Promise.all(["a", "a.gguf", "a:latest"].map(n => catalog.lease(n)));
    expect(leases.map(l => l.name)).toEqual(["a", "a", "a"]);
    expect(loaded.map(([n]) => n)).toEqual(["a"]);
  });

  it("knows no other names, unless it has one model", async () => {
    await caught("server.not-found", () => catalogOf({ a: 1, b: 1 }).catalog.lease("c"));
    await caught("server.not-found", () => catalogOf({ a: 1, b: 1 }).catalog.lease(undefined));
    expect((await catalogOf({ a: 1 }).catalog.lease("gpt-4o")).name).toBe("a");
  });

  it("unloads the least recently used idle model for another's room, and refuses where none is idle", async () => {
    let now = 0;
    const { catalog } = catalogOf({ a: 4, b: 4, c: 4 }, { memory: 8, now: () => now++ });
    for (const n of ["a", "b", "a"]) (await catalog.lease(n))[Symbol.dispose]();
    const c = await catalog.lease("c");
    expect(states(catalog)).toEqual({ a: "ready", b: "unloaded", c: "ready" });
    const a = await catalog.lease("a");
    await caught("memory.insufficient", () => catalog.lease("b"));
    expect(states(catalog)).toEqual({ a: "ready", b: "failed", c: "ready" });
    a[Symbol.dispose]();
    await catalog.lease("b");
    expect(states(catalog)).toEqual({ a: "unloaded", b: "ready", c: "ready" });
    c[Symbol.dispose]();
  });

  it("keeps a model for as long as it is told after the last use, not during it", async () => {
    const { catalog, loaded } = catalogOf({ a: 1 }, { keepAliveMs: 5 });
    const lease = await catalog.lease("a");
    await new Promise(resolve => setTimeout(resolve, 30));
    expect(states(catalog)).toEqual({ a: "ready" });
    lease[Symbol.dispose]();
    lease[Symbol.dispose]();
    await until(() => states(catalog)["a"] === "unloaded");
    expect(loaded[0][1].closed).toBe(true);
    (await catalog.lease("a", undefined, Number.POSITIVE_INFINITY))[Symbol.dispose]();
    await new Promise(resolve => setTimeout(resolve, 30));
    expect(states(catalog)).toEqual({ a: "ready" });
    await catalog.close();
    await caught("server.closing", () => catalog.lease("a"));
  });

  it("leaves a waiting client when it leaves, and loads on", async () => {
    const { catalog } = catalogOf({ a: 1 });
    const gone = catalog.lease("a", AbortSignal.timeout(0)).catch(e => e.name);
    expect(await Promise.race([gone, catalog.lease("a").then(l => l.name)])).toBeDefined();
    expect(states(catalog)).toEqual({ a: "ready" });
  });
});

describe("health", () => {
  const statusOf = async (app: ReturnType<typeof createApp>, path = "/readyz") => {
    const r = await app.fetch(new Request(`http://localhost${path}`));
    return [r.status, ((await r.json()) as { status: string }).status];
  };

  it("tells of an engine that stalls, gives it up, and tells of the new one", async () => {
    let clock = 0;
    const { catalog, loaded } = catalogOf({ a: 1 });
    const events: object[] = [];
    const app = createApp({ catalog, clock: () => clock, log: e => events.push(e) });
    await catalog.warm(["a"]);
    const look = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        clock += 1000;
        app.watchdog.look();
        await new Promise(resolve => setTimeout(resolve, 0));
      }
    };
    await look(20); // it has answered: no false alarm
    expect(await statusOf(app)).toEqual([200, "ok"]);
    loaded[0][1].answers = false;
    await look(9);
    expect(await statusOf(app)).toEqual([200, "ok"]);
    clock += 1;
    expect(await statusOf(app)).toEqual([503, "stalled"]);
    expect(await statusOf(app, "/livez")).toEqual([200, "ok"]);
    app.watchdog.look();
    await until(async () => (await statusOf(app))[0] === 200);
    expect(loaded).toHaveLength(2);
    expect(loaded[0][1].closed).toBe(true);
    expect(events).toContainEqual({ event: "engine.restarted", model: "a", why: "stalled" });
  });

  it("finds each of 500 stalls and deaths, and takes nothing slow for one", async () => {
    const [count, rounds, faults] = [50, 20, 25];
    const { catalog, loaded } = catalogOf(Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, 1])));
    const app = createApp({ catalog, stalledMs: 40 });
    const names = catalog.list().map(m => m.name);
    await catalog.warm(names);
    const random = new Random(15);
    const expected = new Map(names.map(n => [n, 0]));
    const newest = (name: string): Dummy => loaded.findLast(([n]) => n === name)![1];
    for (let round = 0; round < rounds; round++) {
      const hit = new Set<string>();
      while (hit.size < faults) hit.add(random.pick(names));
      for (const name of names) {
        const model = newest(name);
        // Frozen, dead, or slow but in time.
        if (hit.has(name) && random.below(2)) model.closed = true;
        else if (hit.has(name)) model.status = () => new Promise(() => {});
        else model.status = () => new Promise(resolve => setTimeout(() => resolve(quiet), random.below(6)));
        if (hit.has(name)) expected.set(name, expected.get(name)! + 1);
      }
      app.watchdog.look();
      await new Promise(resolve => setTimeout(resolve, 60));
      expect(await statusOf(app)).toEqual([503, "stalled"]);
      app.watchdog.look();
      await until(async () => (await statusOf(app))[0] === 200);
      expect(catalog.list().map(m => m.restarts)).toEqual(names.map(n => expected.get(n)));
    }
    expect([...expected.values()].reduce((a, b) => a + b)).toBe(rounds * faults);
  });

  it("takes no pause of its own for a stall, nor an engine that is slow but in time, in 100,000 looks", async () => {
    let clock = 0;
    const waiting: { due: number; resolve: (status: object) => void }[] = [];
    const { catalog, loaded } = catalogOf({ a: 1 });
    const app = createApp({ catalog, clock: () => clock });
    await catalog.warm(["a"]);
    const random = new Random(16);
    const answer = (resolve: (status: object) => void): void => {
      const slow = random.below(20) === 0 ? 6900 : 900;
      waiting.push({ due: clock + random.below(slow), resolve });
    };
    loaded[0][1].status = () => new Promise(answer);
    for (let i = 0; i < 100_000; i++) {
      // Now and then the whole process stands still, for up to an hour, and the timer is late afterwards.
      const pause = random.below(50) === 0 ? random.below(3_600_000) : 0;
      for (const w of waiting) w.due += pause;
      clock += 1000 + pause;
      app.watchdog.look();
      while (waiting.length && waiting[0].due <= clock) waiting.shift()!.resolve(quiet);
      await undefined;
    }
    expect(catalog.list()[0].restarts).toBe(0);
    loaded[0][1].status = () => new Promise(() => {});
    while (waiting.length) waiting.shift()!.resolve(quiet);
    await new Promise(resolve => setTimeout(resolve, 0));
    for (let second = 0; second < 9; second++, clock += 1000) app.watchdog.look();
    expect(await statusOf(app)).toEqual([503, "stalled"]);
  });

  it("gives up an engine that says that it can compute no more, and tries again where a new one does not load", async () => {
    const { catalog, loaded } = catalogOf({ a: 1 });
    const events: object[] = [];
    const app = createApp({ catalog, everyMs: 1, log: e => events.push(e) });
    await catalog.warm(["a"]);
    const entry = loaded[0][1];
    entry.status = () => Promise.reject(new LatheError("engine.failed", "A thread of the engine failed."));
    app.watchdog.look();
    await new Promise(resolve => setTimeout(resolve, 0));
    expect(await statusOf(app)).toEqual([503, "stalled"]);
    app.watchdog.look();
    await until(async () => (await statusOf(app))[0] === 200);
    expect(events).toContainEqual({ event: "engine.restarted", model: "a", why: "broke" });
  });

  it("tells of an engine that died", async () => {
    const { catalog, loaded } = catalogOf({ a: 1 });
    const app = createApp({ catalog });
    await catalog.warm(["a"]);
    loaded[0][1].closed = true;
    expect(await statusOf(app)).toEqual([503, "stalled"]);
    app.watchdog.look();
    await until(async () => (await statusOf(app))[0] === 200);
    expect(catalog.list()[0].restarts).toBe(1);
  });

  it("is not ready while the only model does not load, and says nothing of the file", async () => {
    const { catalog } = catalogOf({ a: -1 });
    const app = createApp({ catalog });
    await catalog.warm(["a"]).catch(() => {});
    expect(await statusOf(app)).toEqual([503, "failed"]);
    const r = await app.fetch(
      new Request("http://localhost/tokenize", {
        method: "POST",
        body: '{"content":"x"}',
        headers: { "content-type": "application/json" },
      }),
    );
    expect([r.status, await r.text()]).toEqual([500, expect.not.stringContaining("ends early")]);
  });
});

describe("admission", () => {
  it("measures the rate of work and tells the time until there is room", () => {
    let now = 0;
    const a = new Admission({ ...defaultAdmission, tokens: 1000 }, () => now);
    for (let i = 0; i < 50; i++) {
      const t = a.enter("c", 200);
      now += 1000;
      t.leave(true);
      t.leave(true);
    }
    expect(a.rate).toBeCloseTo(200, 0);
    expect([a.requests, a.tokens]).toEqual([0, 0]);
    a.enter("c", 900);
    // There is room when 500 of the other's 900 tokens are done, at 200 a second.
    expect(() => a.enter("c", 600)).toThrow(expect.objectContaining({ code: "server.busy", details: { retryAfter: 3 } }));
  });

  it("lets one large request in alone, and no client take more than its share from others", () => {
    const a = new Admission({ ...defaultAdmission, requests: 8, tokens: 1000 }, () => 0);
    const large = a.enter("x", 5000);
    expect(() => a.enter("y", 100)).toThrow(/busy/); // more than what is kept for each
    large.leave(false);
    const one = a.enter("y", 10);
    for (let i = 0; i < 4; i++) a.enter("x", 10);
    expect(() => a.enter("x", 10)).toThrow(/busy/);
    one.leave(false);
    a.enter("x", 10); // nobody else is there
    a.enter("y", 10);
  });
});
