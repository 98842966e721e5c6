/** How much is kept of constraints: bytes, not numbers; what is followed stays, and what was found while following it goes before the bound is passed. */
import { describe, expect, it } from "vitest";
import type { SharedConstraint } from "../../../src/decode/constrain/constraint.ts";
import { Kept } from "../../../src/decode/constrain/kept.ts";
import { type ConstraintSource, Constraints, compileSource, keyOf } from "../../../src/decode/constrain/source.ts";

const MIB = 2 ** 20;
const given = { size: 8_000, bytes: (id: number) => new TextEncoder().encode(id.toString(36).padStart(3, "x")), ends: [] };
const source = (n: number): ConstraintSource => ({ kind: "regex", text: `[a-z]{3}${n}[a-z0-9]{2,40}` });

/** Follows it for some tokens. */
function follow(shared: SharedConstraint): void {
  const constraint = shared.begin();
  for (let n = 0; n < 30; n++) {
    const mask = constraint.mask();
    const word = mask.findIndex(w => w !== 0);
    if (word < 0) return;
    constraint.accept(32 * word + 31 - Math.clz32(mask[word]));
  }
}

describe("what is kept", () => {
  it("stays within its bytes, the last used ones", () => {
    const gone: SharedConstraint[] = [];
    const kept = new Kept(MIB / 2, undefined, shared => gone.push(shared));
    const constraints = new Constraints(given, kept);
    for (let n = 0; n < 80; n++) {
      const shared = constraints.add(keyOf(source(n)), compileSource(source(n)));
      follow(shared);
      expect(kept.bytes).toBeLessThanOrEqual(MIB / 2 + 64 * 1024); // growth is counted in grains
      expect(constraints.known(keyOf(source(n)))).toBe(shared);
      constraints.known(keyOf(source(0)));
    }
    expect(kept.size).toBeGreaterThan(2);
    expect(gone.length + kept.size).toBe(80);
    expect(constraints.known(keyOf(source(0)))).toBeDefined(); // it was asked for all the time
    expect(constraints.known(keyOf(source(1)))).toBeUndefined();
  });

  it("is not given up while it is followed, and goes on after it was forgotten", () => {
    const kept = new Kept(MIB / 4);
    const constraints = new Constraints(given, kept);
    const used = constraints.add("used", compileSource(source(1)));
    kept.use(used, 1);
    const before = [...used.begin().mask()];
    for (let n = 2; n < 30; n++) follow(constraints.add(`${n}`, compileSource(source(n))));
    expect(constraints.known("used")).toBe(used);
    expect([...used.begin().mask()]).toEqual(before);
    kept.use(used, -1);
    for (let n = 2; n < 30; n++) follow(constraints.add(`again ${n}`, compileSource(source(n))));
    expect(constraints.known("used")).toBeUndefined();
  });
});
