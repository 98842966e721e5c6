/**
 * States of recurrent layers: whatever is forked, cut back, kept or taken back, a step must begin at the state of exactly the tokens that its
 * sequence holds, no slot is lost or written while another needs it, and going back costs no more than the rule of checkpoints says.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PagePool, type PageStore, Sequence } from "../../src/kv/pages.ts";
import { StatePool, type StateStore } from "../../src/kv/states.ts";
import { caught } from "../files/caught.ts";
import { carryOut, commands, type Doing, opened, tokensOf } from "./commands.ts";

/** A store whose states are the lists of tokens that they have seen, and a step that "evaluates" tokens into them. */
class Listed implements PageStore {
  readonly pageTokens = 4;
  readonly pool = new PagePool(1000);
  readonly copy = (): void => {};
  readonly states: StateStore;
  readonly slots: (readonly number[])[];

  constructor(capacity: number, options: { interval?: number; most?: number } = {}) {
    this.states = { pool: new StatePool(capacity), interval: options.interval ?? 1000, most: options.most ?? 8 };
    this.slots = Array.from({ length: capacity }, (_, i) => (i ? [-1] : []));
  }

  /** Appends and evaluates; checkpoints before the tokens numbered in `keep`. */
  step(s: Sequence, tokens: readonly number[], keep: readonly number[] = []): void {
    const before = s.length;
    const past = Array.from({ length: before }, (_, i) => s.token(i));
    try {
      for (const t of tokens) s.append(t);
      const segments = s.segments(keep.map(k => before + k));
      let at = 0;
      for (const { count, from, to } of segments) {
        expect(to).not.toBe(0);
        expect(this.slots[from]).toEqual([...past, ...tokens.slice(0, at)]);
        this.slots[to] = [...this.slots[from], ...tokens.slice(at, at + count)];
        at += count;
      }
      expect(at).toBe(tokens.length);
    } catch (e) {
      s.retract(before);
      throw e;
    }
    s.settle();
  }
}

const numbers = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);

describe("a state", () => {
  it("is written in place while nobody else needs it", () => {
    const store = new Listed(10);
    const s = new Sequence(store);
    for (const t of numbers(50)) store.step(s, [t]);
    expect(store.states.pool.used).toBe(1);
  });

  it("of a fork is shared until one side goes on", () => {
    const store = new Listed(10);
    const s = new Sequence(store);
    store.step(s, numbers(9));
    const forks = numbers(5).map(() => s.fork());
    expect(store.states.pool.used).toBe(1);
    store.step(forks[0], [7]);
    expect(store.states.pool.used).toBe(2);
    store.step(s, [8]);
    store.step(forks[1], [9]);
    expect(tokensOf(forks[0])).toEqual([...numbers(9), 7]);
    for (const f of [s, ...forks]) f.close();
    expect(store.states.pool.used).toBe(0);
  });

  it("goes back to the last checkpoint at or before the place, and says where", () => {
    const store = new Listed(10);
    const s = new Sequence(store);
    store.step(s, numbers(20), [6, 15]);
    expect([s.usable(19), s.usable(15), s.usable(14), s.usable(5), s.usable(20)]).toEqual([15, 15, 6, 0, 20]);
    expect(s.truncate(18)).toBe(15);
    expect(s.truncate(14)).toBe(6);
    store.step(s, [100]);
    expect(tokensOf(s)).toEqual([...numbers(6), 100]);
    expect(s.truncate(3)).toBe(0);
    store.step(s, [5]);
    s.close();
    expect(store.states.pool.used).toBe(0);
  });

  it("has checkpoints at multiples of the interval, however the tokens are cut into steps", () => {
    for (const piece of [1, 3, 8, 40]) {
      const store = new Listed(20, { interval: 8 });
      const s = new Sequence(store);
      for (let at = 0; at < 40; at += piece) store.step(s, numbers(40).slice(at, at + piece));
      expect(numbers(41).map(n => s.usable(n))).toEqual(numbers(41).map(n => n - (n % 8)));
    }
  });

  it("survives in a fork when the other side is cut back or closed", () => {
    const store = new Listed(10);
    const s = new Sequence(store);
    store.step(s, numbers(10), [4]);
    const f = s.fork();
    s.truncate(5);
    store.step(s, [50, 51]);
    s.close();
    expect(f.truncate(7)).toBe(4);
    store.step(f, [60]);
    expect(tokensOf(f)).toEqual([0, 1, 2, 3, 60]);
  });
});

describe("checkpoints", () => {
  it("are no more than the most, close together near the end and further apart before", () => {
    const store = new Listed(40, { interval: 10, most: 8 });
    const s = new Sequence(store);
    for (const t of numbers(2000)) store.step(s, [t]);
    expect(store.states.pool.checkpoints).toBe(8);
    expect(store.states.pool.used).toBeLessThanOrEqual(9);
    // Going back d tokens costs at most some 10 and a share of d.
    for (const d of [1, 9, 30, 100, 300, 1000]) expect(2000 - d - s.usable(2000 - d)).toBeLessThanOrEqual(10 + 1.5 * d);
  });

  it("are given up, the least recently used first, where states are needed", () => {
    const store = new Listed(5);
    const s = new Sequence(store);
    store.step(s, numbers(6), [2, 4]); // the state and two checkpoints
    expect(store.states.pool.used).toBe(3);
    const t = new Sequence(store);
    store.step(t, [1]);
    expect([s.usable(3), s.usable(5)]).toEqual([2, 4]);
    const u = new Sequence(store);
    store.step(u, [1]);
    expect([s.usable(3), s.usable(5)]).toEqual([0, 4]);
    expect(s.truncate(5)).toBe(4);
    store.step(s, [9]);
    expect(tokensOf(s)).toEqual([0, 1, 2, 3, 9]);
  });

  it("are left out where no slot is to be had, and the step goes on", () => {
    const store = new Listed(2);
    const s = new Sequence(store);
    store.step(s, numbers(6), [2, 4]);
    expect([s.length, s.usable(5), store.states.pool.used]).toEqual([6, 0, 1]);
  });
});

describe("an empty pool", () => {
  it("refuses with the number of states and leaves the sequence as it was", async () => {
    const store = new Listed(3);
    const [s, t, u] = numbers(3).map(() => new Sequence(store));
    store.step(s, [1, 2, 3]);
    store.step(t, [4]);
    const error = await caught("memory.insufficient", () => store.step(u, [5]));
    expect(error.details).toMatchObject({ states: 2 });
    expect([u.length, store.states.pool.used]).toEqual([0, 2]);
    await caught("memory.insufficient", () => store.step(s.fork(), [5])); // the fork itself stays open
    t.close();
    store.step(u, [5]);
    expect(tokensOf(u)).toEqual([5]);
    store.step(u, [6]);
  });
});

interface Growth {
  readonly tokens: readonly number[];
  /** Tokens before which a checkpoint is made. */
  readonly keep: readonly number[];
}
const growth: fc.Arbitrary<Growth> = fc.record({
  tokens: fc.array(fc.nat(99), { minLength: 1, maxLength: 9 }),
  keep: fc.array(fc.nat(8), { maxLength: 2 }),
});

const doing = (store: Listed): Doing<Growth> => ({
  grow: (pair, { tokens, keep }) => {
    try {
      const kept = keep.filter(k => k < tokens.length);
      store.step(pair.own, tokens, kept);
      pair.model = [...pair.model, ...tokens];
    } catch (e) {
      expect(e).toMatchObject({ code: "memory.insufficient" });
    }
  },
  truncate: (pair, length) => {
    const promised = pair.own.usable(length);
    expect(pair.own.truncate(length)).toBe(promised);
    expect(promised).toBeLessThanOrEqual(length);
    pair.model = pair.model.slice(0, promised);
  },
});

describe("random operations", () => {
  it("always begin a step at the state of the sequence's own tokens, and lose no slot", () => {
    const sizes = fc.record({
      capacity: fc.integer({ min: 2, max: 14 }),
      interval: fc.integer({ min: 3, max: 20 }),
      most: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(commands(growth, 3, 100), sizes, (list, { capacity, interval, most }) => {
        const store = new Listed(capacity, { interval, most });
        const live = [opened(store)];
        for (const c of list) {
          carryOut(store, live, c, doing(store));
          for (const { own, model } of live) expect(tokensOf(own)).toEqual(model);
          expect(store.states.pool.used).toBeLessThan(capacity);
        }
        for (const { own } of live) own.close();
        expect([store.states.pool.used, store.states.pool.checkpoints]).toEqual([0, 0]);
        const all = numbers(capacity - 1).map(() => new Sequence(store));
        for (const s of all) store.step(s, [1]); // all slots can be had again
      }),
      { numRuns: 500, seed: 11 },
    );
  });
});
