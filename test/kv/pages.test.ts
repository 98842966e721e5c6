/**
 * Key-value pages: sequences that share pages must look as if each had its own, cost nothing to fork, never lose or wrongly share a page, and
 * stay as they were when the pool runs out.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PagePool, type PageStore, Sequence } from "../../src/kv/pages.ts";
import { caught } from "../files/caught.ts";
import { carryOut, commands, type Doing, opened, tokensOf } from "./commands.ts";

const PAGE = 4;

/** A store whose "bytes" are what was written in each place, so that tests can see what a sequence would read. */
class Written implements PageStore {
  readonly pageTokens = PAGE;
  readonly pool: PagePool;
  readonly places: number[][];
  copies = 0;

  constructor(capacity: number) {
    this.pool = new PagePool(capacity);
    this.places = Array.from({ length: capacity }, () => new Array<number>(PAGE).fill(-1));
  }
  readonly copy = (from: number, to: number): void => {
    this.copies++;
    this.places[to] = [...this.places[from]];
  };

  append(s: Sequence, token: number): void {
    const slot = s.append(token);
    expect(slot.position).toBe(s.length - 1);
    this.places[slot.page][slot.place] = token;
  }
  /** The sequence as its pages tell it. */
  read = (s: Sequence): number[] => Array.from({ length: s.length }, (_, i) => this.places[s.pages[Math.floor(i / PAGE)]][i % PAGE]);
}

const grown = (store: Written, n: number): Sequence => {
  const s = new Sequence(store);
  for (let i = 0; i < n; i++) store.append(s, 100 + i);
  return s;
};

/** Counts the pool's calls. */
function counting(pool: PagePool): { calls: () => number } {
  let n = 0;
  for (const name of ["take", "retain", "release", "shared"] as const) {
    const inner = pool[name].bind(pool) as (page: number) => never;
    Object.defineProperty(pool, name, {
      value: (page: number) => {
        n++;
        return inner(page);
      },
    });
  }
  return { calls: () => n };
}

describe("a fork", () => {
  it("touches no page, however long the sequence is", () => {
    for (const length of [1, 1000]) {
      const store = new Written(300);
      const s = grown(store, length);
      const { calls } = counting(store.pool);
      const used = store.pool.used;
      const forks = Array.from({ length: 10 }, () => s.fork());
      expect(calls()).toBe(0);
      expect([store.pool.used, store.copies]).toEqual([used, 0]);
      expect(forks.every(f => f.length === length && f.token(length - 1) === 99 + length)).toBe(true);
    }
  });

  it("copies the last page when one side writes into it, and no other page", () => {
    const store = new Written(10);
    const s = grown(store, 10);
    const f = s.fork();
    store.append(f, 7);
    expect([store.copies, store.pool.used]).toEqual([1, 4]);
    expect(store.read(s)).toEqual(tokensOf(s));
    expect(store.read(f)).toEqual([...tokensOf(s), 7]);
    store.append(s, 8); // now alone on its last page
    expect([store.copies, store.pool.used]).toEqual([1, 4]);
    expect(store.read(f).at(-1)).toBe(7);
    expect(store.read(s).at(-1)).toBe(8);
  });

  it("at the end of a page copies nothing", () => {
    const store = new Written(10);
    const s = grown(store, 8);
    const f = s.fork();
    store.append(f, 7);
    store.append(s, 8);
    expect([store.copies, store.pool.used]).toEqual([0, 4]);
  });

  it("that is cut back and continued leaves the other as it was", () => {
    const store = new Written(10);
    const s = grown(store, 10);
    const before = tokensOf(s);
    const f = s.fork();
    f.truncate(5);
    for (let i = 0; i < 6; i++) store.append(f, i);
    expect(store.read(s)).toEqual(before);
    expect(store.read(f)).toEqual([...before.slice(0, 5), 0, 1, 2, 3, 4, 5]);
    expect(f.common([...before])).toBe(5);
  });

  it("gives its pages back when it outlives the sequence and is cut back", () => {
    const store = new Written(10);
    const s = grown(store, 16);
    const f = s.fork();
    f.truncate(1);
    s.close();
    store.append(f, 1);
    expect(store.pool.used).toBe(1);
    f.close();
    expect(store.pool.used).toBe(0);
  });
});

describe("an empty pool", () => {
  it("refuses with the number of pages and leaves the sequence as it was", async () => {
    const store = new Written(2);
    const s = grown(store, 8);
    const error = await caught("memory.insufficient", () => s.append(1));
    expect(error.details).toMatchObject({ pages: 2 });
    expect([s.length, store.pool.used]).toEqual([8, 2]);
    expect(store.read(s)).toEqual(tokensOf(s));
    s.truncate(3);
    store.append(s, 5);
    expect(store.read(s)).toEqual([100, 101, 102, 5]);
  });

  it("refuses the copy of a shared page, and neither side changes", async () => {
    const store = new Written(1);
    const s = grown(store, 2);
    const f = s.fork();
    await caught("memory.insufficient", () => f.append(1));
    expect([s.length, f.length, store.pool.used]).toEqual([2, 2, 1]);
    s.close();
    store.append(f, 9);
    expect(store.read(f)).toEqual([100, 101, 9]);
    f.close();
    expect(store.pool.used).toBe(0);
  });

  it("counts right after many refusals", async () => {
    const store = new Written(3);
    const s = grown(store, 12);
    for (let i = 0; i < 5; i++) await caught("memory.insufficient", () => s.append(1));
    s.close();
    s.close();
    expect(store.pool.used).toBe(0);
    expect(grown(store, 12).length).toBe(12);
  });
});

const doing = (store: Written): Doing<number> => ({
  grow: (pair, token) => {
    try {
      store.append(pair.own, token);
      pair.model = [...pair.model, token];
    } catch (e) {
      expect(e).toMatchObject({ code: "memory.insufficient" });
    }
  },
  truncate: (pair, length) => {
    pair.own.truncate(length);
    pair.model = pair.model.slice(0, length);
  },
});

describe("random operations", () => {
  it("behave as if every sequence had its own pages, and lose none", () => {
    fc.assert(
      fc.property(commands(fc.nat(99), 2, 120), fc.integer({ min: 1, max: 12 }), (list, capacity) => {
        const store = new Written(capacity);
        const live = [opened(store)];
        for (const c of list) {
          carryOut(store, live, c, doing(store));
          for (const { own, model } of live) {
            expect(tokensOf(own)).toEqual(model);
            expect(store.read(own)).toEqual(model);
          }
          expect(store.pool.used).toBeLessThanOrEqual(capacity);
        }
        for (const { own } of live) own.close();
        expect(store.pool.used).toBe(0);
        expect(grown(store, capacity * PAGE).length).toBe(capacity * PAGE); // all of them can be had again
      }),
      { numRuns: 600, seed: 7 },
    );
  });
});
