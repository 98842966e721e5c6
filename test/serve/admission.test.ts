/** Who may wait, over a clock that is set by hand. */
import { describe, expect, it } from "vitest";
import type { LatheError } from "../../src/errors.ts";
import { Admission, type AdmissionLimits, defaultAdmission } from "../../src/serve/admission.ts";

function world(limits: Partial<AdmissionLimits> = {}) {
  let clock = 0;
  const admission = new Admission({ ...defaultAdmission, ...limits }, () => clock);
  const pass = (seconds: number): void => {
    clock += 1000 * seconds;
  };
  /** The seconds to come back after; undefined where it was admitted. */
  const refused = (cost: number, client = "a"): number | undefined => {
    try {
      admission.enter(client, cost);
      return undefined;
    } catch (e) {
      expect((e as LatheError).code).toBe("server.busy");
      return (e as LatheError).details["retryAfter"] as number;
    }
  };
  /** Work that teaches how fast the server is. */
  const learn = (tokensPerSecond: number): void => {
    const ticket = admission.enter("a", 10 * tokensPerSecond);
    pass(10);
    ticket.leave(true);
  };
  return { admission, pass, refused, learn };
}

describe("admission by time", () => {
  it("does nothing before speed is known", () => {
    const { refused } = world({ seconds: 1 });
    for (let i = 0; i < 200; i++) expect(refused(100)).toBeUndefined();
  });

  it("takes what is computed side by side, and no more than is done in time beyond it", () => {
    const { refused, learn, admission } = world({ seconds: 30 });
    learn(100);
    expect(admission.rate).toBeCloseTo(100);
    // 32 of 120 tokens are more than 30 seconds of work, and all are taken: none waits for another.
    for (let i = 0; i < 32; i++) expect(refused(120)).toBeUndefined();
    expect(refused(120)).toBe(9); // 840 tokens more than 30 seconds, at 100 a second
    expect(admission.requests).toBe(32);
  });

  it("takes more of a fast server, up to the other limits", () => {
    const { refused, learn } = world({ seconds: 30 });
    learn(2000);
    for (let i = 0; i < 256; i++) expect(refused(120)).toBeUndefined();
    expect(refused(120)).toBeGreaterThan(0);
  });

  it("takes work again when work is done", () => {
    const { admission, refused, learn, pass } = world({ seconds: 30 });
    learn(100);
    const tickets = Array.from({ length: 32 }, () => admission.enter("a", 120));
    expect(refused(120)).toBeGreaterThan(0);
    for (let i = 0; i < 12; i++) {
      pass(1.2);
      tickets[i].leave(true);
    }
    expect(admission.rate).toBeCloseTo(100);
    for (let i = 0; i < 12; i++) expect(refused(120)).toBeUndefined();
    expect(refused(120)).toBeGreaterThan(0);
  });

  it("makes room as work is done, not only at its end", () => {
    const { admission, refused, learn, pass } = world({ seconds: 30 });
    learn(100);
    const tickets = Array.from({ length: 32 }, () => admission.enter("a", 120));
    expect(refused(120)).toBe(9);
    for (let second = 0; second < 12; second++) {
      pass(1);
      for (const t of tickets) t.did(100 / 32);
    }
    expect(admission.rate).toBeCloseTo(100, -1); // what was done at one time begins a measurement
    expect(admission.tokens).toBeCloseTo(3840 - 1200);
    expect(refused(120)).toBeUndefined();
  });

  it("learns nothing from what is broken off", () => {
    const { admission, learn, pass } = world();
    learn(100);
    const tickets = Array.from({ length: 32 }, () => admission.enter("a", 120));
    pass(10);
    for (const t of tickets) t.did(10);
    pass(1);
    for (const t of tickets) t.leave(false);
    expect(admission.rate).toBeLessThan(100);
    expect(admission.tokens).toBe(0);
  });

  it("gives a size that was refused first its turn before smaller ones, and for a while only", () => {
    const { admission, refused, learn, pass } = world({ seconds: 30 });
    learn(100);
    const tickets = Array.from({ length: 40 }, () => admission.enter("a", 75));
    const work = (tokens: number): void => {
      for (let done = 0; done < tokens; done += 50) {
        pass(0.5);
        for (const t of tickets) t.did(50 / tickets.length);
      }
    };
    expect(refused(75)).toBeUndefined();
    expect(refused(300)).toBe(1);
    work(200);
    expect(refused(50)).toBeGreaterThan(0); // there is room for it, but not beside what is kept for the other
    expect(refused(300)).toBeUndefined();
    expect(refused(300)).toBeGreaterThan(0);
    work(400);
    expect(refused(50)).toBeUndefined();
    expect(refused(50)).toBeGreaterThan(0);
    pass(20); // the other does not come
    expect(refused(50)).toBeUndefined();
    expect(refused(50, "b")).toBeUndefined();
    expect(admission.requests).toBe(45);
  });

  it("does not refuse a client who has little for what another holds", () => {
    const { refused, learn } = world({ seconds: 30 });
    learn(100);
    // One client takes all that it is given, and its requests do not end.
    for (let i = 0; i < 300; i++) refused(90, "stuck");
    expect(refused(90, "stuck")).toBeGreaterThan(0);
    for (let i = 0; i < 8; i++) expect(refused(120, "other")).toBeUndefined();
    // The other's own work must still be in time, beside as much of the first's.
    for (let i = 0; i < 4; i++) refused(120, "other");
    expect(refused(400, "other")).toBeGreaterThan(0);
  });

  it("keeps room beyond its limits for clients who have little", () => {
    const { refused, admission } = world({ requests: 64, tokens: 10_000 });
    for (let i = 0; i < 64; i++) expect(refused(150, "many")).toBeUndefined();
    expect(refused(150, "many")).toBeGreaterThan(0);
    for (let i = 0; i < 4; i++) expect(refused(150, "few")).toBeUndefined();
    expect(refused(150, "few")).toBeGreaterThan(0);
    expect(admission.requests).toBe(68);
  });
});
