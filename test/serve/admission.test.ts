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
    const ticket = admission.enter("a", 10);
    pass(10);
    ticket.leave(10 * tokensPerSecond);
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
    expect(refused(120)).toBe(10); // 960 tokens too many, at 100 a second
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
      tickets[i].leave(120);
    }
    expect(admission.rate).toBeCloseTo(100);
    for (let i = 0; i < 12; i++) expect(refused(120)).toBeUndefined();
    expect(refused(120)).toBeGreaterThan(0);
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
