/** Waiting with one timer: who is late is found, in order, a few at a time. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Waiting } from "../../src/serve/waiting.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

describe("waiting", () => {
  it("ends for each when its own time is up, and for none that has left", () => {
    const late: [string, number][] = [];
    const waiting = new Waiting<string>(1000, name => late.push([name, performance.now()]));
    const begun = performance.now();
    waiting.enter("a");
    vi.advanceTimersByTime(400);
    waiting.enter("b");
    waiting.enter("c");
    expect([waiting.leave("b"), waiting.leave("b")]).toEqual([true, false]);
    vi.advanceTimersByTime(5000);
    expect(late.map(([name]) => name)).toEqual(["a", "c"]);
    for (const [i, due] of [1000, 1400].entries()) {
      expect(late[i][1] - begun).toBeGreaterThanOrEqual(due);
      expect(late[i][1] - begun).toBeLessThan(due + 20);
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  it("begins anew for who enters again, also from within", () => {
    const late: number[] = [];
    const waiting: Waiting<number> = new Waiting(1000, n => {
      late.push(n);
      if (late.length < 3) waiting.enter(n);
    });
    waiting.enter(7);
    vi.advanceTimersByTime(900);
    waiting.enter(7);
    vi.advanceTimersByTime(900);
    expect(late).toEqual([]);
    vi.advanceTimersByTime(10_000);
    expect([late, waiting.size]).toEqual([[7, 7, 7], 0]);
  });

  it("sends a crowd away in order, few in any one turn", () => {
    const late: number[] = [];
    const waiting = new Waiting<number>(1000, n => late.push(n));
    for (let i = 0; i < 500; i++) waiting.enter(i);
    let most = 0;
    for (let before = 0; waiting.size; before = late.length) {
      vi.advanceTimersToNextTimer();
      most = Math.max(most, late.length - before);
    }
    expect(late).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(most).toBeLessThanOrEqual(16);
  });
});
