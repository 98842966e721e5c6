/** The allocator of a model's memory: what it hands out, and what it says when there is no more. */
import { describe, expect, it } from "vitest";
import { Arena } from "../../src/runtime/arena.ts";
import { caught } from "../files/caught.ts";

const MIB = 2 ** 20;

describe("the arena", () => {
  it("hands out zeroed bytes at multiples of 64 that do not overlap, and grows on the way", () => {
    const arena = new Arena({ budget: 64 * MIB, memory64: false });
    const pieces = [1, 64, 65, 3 * MIB, 7, 9 * MIB].map(bytes => ({ bytes, at: arena.allocate(bytes, "A test") }));
    pieces.forEach(({ bytes, at }, i) => {
      expect(at % 64).toBe(0);
      expect(at).toBeGreaterThan(0);
      if (i) expect(at).toBeGreaterThanOrEqual(pieces[i - 1].at + pieces[i - 1].bytes);
      const own = arena.bytes(at, bytes);
      expect(own.every(x => x === 0)).toBe(true);
      own.fill(0xab);
    });
    expect(arena.used).toBeGreaterThanOrEqual(12 * MIB);
    expect(arena.used + arena.left).toBeLessThanOrEqual(64 * MIB);
  });

  it("refuses what exceeds the budget, says how much is needed and available, and goes on working", async () => {
    const arena = new Arena({ budget: 8 * MIB, memory64: false });
    arena.allocate(3 * MIB, "A test");
    for (let i = 0; i < 2; i++) {
      const error = await caught("memory.insufficient", () => arena.allocate(6 * MIB, "A large thing"));
      expect(error.message).toContain("A large thing");
      expect(error.details).toMatchObject({ available: 8 * MIB, suggestion: expect.stringMatching(/context|quantisation/) });
      expect(error.details.needed).toBeGreaterThanOrEqual(9 * MIB);
    }
    await caught("memory.insufficient", () => arena.require(6 * MIB, "It"));
    arena.require(4 * MIB, "It");
    arena.allocate(4 * MIB, "A test");
  });

  it("names 64-bit memory where 32 bits are the reason", async () => {
    const arena = new Arena({ budget: 64 * 2 ** 30, memory64: false });
    const error = await caught("memory.insufficient", () => arena.require(5 * 2 ** 30, "This model"));
    expect(error.message).toMatch(/4 GiB.*64-bit/);
    expect(error.details.available).toBeLessThan(2 ** 32);
  });

  it("counts sizes that are no whole numbers of anything the same way", async () => {
    const arena = new Arena({ budget: MIB, memory64: false });
    await caught("memory.insufficient", () => arena.allocate(2 ** 40, "A test"));
    await caught("memory.insufficient", () => arena.allocate(Number.MAX_SAFE_INTEGER, "A test"));
    expect(arena.used).toBe(0);
  });
});
