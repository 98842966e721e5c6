/** Merging against the obvious slow way, on random tables; and its work counted in look-ups. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Heap } from "../../src/text/heap.ts";
import { Merger } from "../../src/text/merge.ts";
import { PairTable } from "../../src/text/pair-table.ts";

type Rule = readonly [left: number, right: number, rank: number, result: number];

function table(rules: readonly Rule[]): PairTable {
  const made = new PairTable(rules.length);
  for (const rule of rules) made.add(...rule);
  return made;
}

function slowly(rules: readonly Rule[], symbols: readonly number[]): number[] {
  const left = [...symbols];
  for (;;) {
    let best: { at: number; rule: Rule } | undefined;
    for (let at = 0; at + 1 < left.length; at++) {
      const rule = rules.find(([a, b]) => a === left[at] && b === left[at + 1]);
      if (rule && (!best || rule[2] < best.rule[2])) best = { at, rule };
    }
    if (!best) return left;
    left.splice(best.at, 2, best.rule[3]);
  }
}

const symbol = fc.integer({ min: 0, max: 9 });
const rules = fc.array(fc.tuple(symbol, symbol, fc.integer({ min: 0, max: 12 }), symbol), { maxLength: 30 });

describe("Merger", () => {
  it.each([24, 25, 200])("merges up to %i symbols as the slow way does", most => {
    fc.assert(
      fc.property(rules, fc.array(fc.integer({ min: -2, max: 9 }), { minLength: most > 24 ? 25 : 0, maxLength: most }), (list, symbols) => {
        const given = Int32Array.from(symbols);
        const count = new Merger(table(list)).merge(given, given.length);
        expect([...given.subarray(0, count)]).toEqual(slowly(list, symbols));
      }),
      { numRuns: 400 },
    );
  });

  it("is not disturbed by what it merged before", () => {
    const merger = new Merger(table([[1, 1, 0, 2] as const, [2, 2, 1, 3] as const]));
    for (const length of [40_000, 7, 30, 1, 0, 26]) {
      const given = new Int32Array(length).fill(1);
      const count = merger.merge(given, length);
      expect([...given.subarray(0, count)]).toEqual(
        slowly([], [...Array(Math.floor(length / 4)).fill(3), ...[[], [1], [2], [2, 1]][length % 4]]),
      );
    }
  });

  it("looks each place up a bounded number of times", () => {
    class Counting extends PairTable {
      count = 0;
      override find(left: number, right: number): number {
        this.count++;
        return super.find(left, right);
      }
    }
    // Powers of two of one symbol, and ranks that make the pairs of a merge come up again at once.
    const doubling = Array.from({ length: 20 }, (_, i): Rule => [i, i, i, i + 1]);
    const backwards = Array.from({ length: 20 }, (_, i): Rule => [i, i, 20 - i, i + 1]);
    for (const list of [doubling, backwards]) {
      for (const length of [1000, 100_000]) {
        const counting = new Counting(list.length);
        for (const rule of list) counting.add(...rule);
        new Merger(counting).merge(new Int32Array(length), length);
        expect(counting.count / length).toBeLessThan(5);
      }
    }
  });
});

describe("PairTable", () => {
  it("keeps the first of equal pairs, and has no pair of negative numbers", () => {
    const made = table([
      [1, 2, 7, 8],
      [1, 2, 3, 4],
      [0, 0, 0, 0],
    ]);
    expect([...made.slots.subarray(made.find(1, 2), made.find(1, 2) + 4)]).toEqual([1, 2, 7, 8]);
    expect([made.find(2, 1), made.find(-1, 2), made.find(1, -1), made.find(-1, -1)]).toEqual([-1, -1, -1, -1]);
    expect(made.find(0, 0)).toBeGreaterThanOrEqual(0);
  });

  it("holds as many pairs as it was made for", () => {
    const made = new PairTable(5000);
    for (let i = 0; i < 5000; i++) made.add(i, i * 7, i, i + 1);
    for (let i = 0; i < 5000; i++) expect(made.slots[made.find(i, i * 7) + 3]).toBe(i + 1);
    expect(new PairTable(0).find(1, 1)).toBe(-1);
  });
});

describe("Heap", () => {
  it("gives pairs by rank, then by position", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 2 ** 22 - 1 }), fc.integer({ min: 0, max: 2 ** 31 - 1 }))), pairs => {
        const heap = new Heap(1);
        for (const pair of pairs) heap.push(...pair);
        const popped: [number, number][] = [];
        while (heap.pop()) popped.push([heap.rank, heap.position]);
        expect(popped).toEqual([...pairs].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
      }),
    );
  });
});
