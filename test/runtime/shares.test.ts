/** Shares and pace without threads: members take turns in a random order, as the system might let them, and time is what a test says it is. */
import { describe, expect, it } from "vitest";
import { choices, Pace } from "../../src/runtime/pace.ts";
import { SECTION, Shares, shareNumbers, shareWords } from "../../src/runtime/shares.ts";
import { Random } from "../fixtures/random.ts";

interface Piece {
  readonly rank: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Members that compute in turns. A member's kernel call runs other members' whole launches inside it now and then: as if it had lost its core
 * there.
 */
function team(size: number) {
  const words = new Int32Array(shareWords(size));
  const numbers = new Float64Array(shareNumbers(size));
  const members = Array.from({ length: size }, (_, rank) => new Shares(rank, size, words, numbers));
  /** One launch on the first `active` members; `stalls` are those that are stopped in their first piece until all others are done. */
  const launch = (active: number, grid: number, least: number, stalls: readonly number[] = []): Piece[] => {
    const pieces: Piece[] = [];
    const waiting = members.slice(0, active);
    const next = (): void => {
      const member = waiting.shift();
      if (!member) return;
      let first = true;
      member.take(grid, least, 1, {
        run: (begin, end) => {
          pieces.push({ rank: member.rank, begin, end });
          if (first && stalls.includes(member.rank)) while (waiting.length) next();
          first = false;
        },
      });
    };
    while (waiting.length) next();
    return pieces;
  };
  const begin = (active: number): void => {
    members[0].cut(active);
    for (const m of members.slice(0, active)) m.begin(active);
  };
  const passed = (active: number): void => {
    for (const m of members.slice(0, active)) m.passed();
  };
  return { launch, begin, passed };
}

const covered = (pieces: readonly Piece[], grid: number): boolean => {
  const sorted = [...pieces].sort((a, b) => a.begin - b.begin);
  return sorted.every((p, i) => p.end > p.begin && p.begin === (i ? sorted[i - 1].end : 0)) && (sorted.at(-1)?.end ?? 0) === grid;
};

describe("shares", () => {
  it("cover every unit once, whatever the grid, the members and who is stopped", () => {
    const random = new Random(5);
    const { launch, begin, passed } = team(5);
    for (let run = 0; run < 400; run++) {
      const active = 1 + random.below(5);
      begin(active);
      for (let section = 0; section < 1 + random.below(4); section++) {
        for (let i = 0; i < 1 + random.below(SECTION); i++) {
          const grid = random.below(random.below(2) ? 5 : 1000);
          const stalls = [0, 1, 2, 3, 4].filter(() => random.below(3) === 0);
          const pieces = launch(active, grid, 1 + random.below(grid + 1), stalls);
          expect(covered(pieces, grid)).toBe(true);
        }
        passed(active);
      }
    }
  });

  it("a member that is stopped holds up its piece only", () => {
    const { launch, begin, passed } = team(2);
    begin(2);
    const pieces = launch(2, 1024, 8, [0]);
    passed(2);
    expect(pieces.filter(p => p.rank === 0)).toEqual([{ rank: 0, begin: 0, end: 448 }]);
    expect(covered(pieces, 1024)).toBe(true);
  });

  it("follow what members get done, and come back", () => {
    const { launch, begin, passed } = team(3);
    /** Runs with these stalls, and then where the members' stretches begin: there they take their first pieces, as all are stopped in turn. */
    const begins = (stalls: readonly number[], runs: number): number[] => {
      const run = (which: readonly number[]): Piece[] => {
        begin(3);
        const pieces = launch(3, 3000, 10, which);
        passed(3);
        return pieces;
      };
      for (let i = 0; i < runs; i++) run(stalls);
      const pieces = run([0, 1, 2]);
      return [0, 1, 2].map(rank => pieces.find(p => p.rank === rank)!.begin);
    };
    expect(begins([], 0)).toEqual([0, 1000, 2000]);
    // Member 2 does all but the first pieces of the others' stretches.
    const ahead = begins([0, 1], 300);
    expect(ahead[0]).toBe(0);
    expect(ahead[1]).toBeLessThan(400);
    expect(ahead[2]).toBeLessThan(800);
    expect(ahead[2]).toBeGreaterThan(ahead[1]);
    // Then member 0 does everything.
    const back = begins([], 300);
    expect(back[1]).toBeGreaterThan(2500);
    expect(back[2]).toBeGreaterThan(back[1]);
    expect(back[2]).toBeLessThan(3000);
  });
});

describe("the pace", () => {
  const settled = (pace: Pace, time: (active: number) => number, runs: number): number => {
    let chosen = 0;
    for (let run = 0; run < runs; run++) {
      chosen += pace.active;
      pace.took(time(pace.active));
    }
    return chosen / runs;
  };

  it("chooses among powers of two, and all", () => {
    expect([1, 2, 3, 6, 8, 16].map(n => choices(n))).toEqual([[1], [1, 2], [1, 2, 3], [1, 2, 4, 6], [1, 2, 4, 8], [1, 2, 4, 8, 16]]);
  });

  it("finds the fastest number, keeps to it, and follows when it changes", () => {
    const random = new Random(9);
    const noise = (): number => 0.97 + 0.06 * random.unit();
    const scaling = (n: number): number => noise() * (1 / n + 0.05);
    const crowded = (n: number): number => noise() * (0.3 + 0.4 * n);
    const flat = (n: number): number => noise() * Math.max(1 / n, 0.25);
    const pace = new Pace(8);
    expect(settled(pace, scaling, 100)).toBeGreaterThan(7);
    settled(pace, crowded, 200);
    expect(settled(pace, crowded, 500)).toBeLessThan(1.2);
    settled(pace, scaling, 600);
    expect(settled(pace, scaling, 500)).toBeGreaterThan(7);
    // Long runs keep to all members without trying, and a trial that takes long ends.
    const long = new Pace(2);
    for (let run = 0; run < 50; run++) {
      expect(long.active).toBe(2);
      long.took(1, true);
    }
    const slower = (n: number): number => 3 / n;
    let alone = 0;
    for (let run = 0; run < 50; run++) {
      alone += Number(long.active === 1);
      long.took(slower(long.active), long.active === 1);
    }
    expect(alone).toBeGreaterThan(0);
    expect(alone).toBeLessThan(15);
    // What brings nothing changes nothing.
    expect(settled(new Pace(16), flat, 500)).toBeGreaterThan(15);
  });
});
