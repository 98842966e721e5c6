/** The generator against the published outputs of xoshiro128**, and the seeds' promise of different states. */
import { describe, expect, it } from "vitest";
import { drawSeed, Random } from "../../src/decode/random.ts";

const take = (random: Random, n: number) => Array.from({ length: n }, () => random.uint32());

describe("xoshiro128**", () => {
  it("gives the outputs of the authors' program from the state 1, 2, 3, 4", () => {
    expect(take(Random.fromState([1, 2, 3, 4]), 10)).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  it("gives other numbers for each seed, the high bits included", () => {
    const seeds = [0, 1, 2, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52, Number.MAX_SAFE_INTEGER];
    const first = seeds.map(seed => take(Random.fromSeed(seed), 4).join());
    expect(new Set(first).size).toBe(seeds.length);
    expect(take(Random.fromSeed(9), 4).join()).toBe(take(Random.fromSeed(9), 4).join());
  });

  it("continues alike after a fork", () => {
    const random = Random.fromSeed(3);
    take(random, 7);
    const fork = random.fork();
    expect(take(fork, 9)).toEqual(take(random, 9));
  });

  it("spreads evenly over [0, 1) from the first number of a seed on", () => {
    const bins = new Array(16).fill(0);
    for (let seed = 0; seed < 16_000; seed++) bins[Math.floor(Random.fromSeed(seed).uniform() * 16)]++;
    const chi = bins.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    expect(chi).toBeLessThan(42.8); // 15 degrees of freedom: passed with probability 2e-4
  });

  it("draws 32-bit seeds", () => {
    const seed = drawSeed();
    expect(seed).toBe(seed >>> 0);
  });
});
