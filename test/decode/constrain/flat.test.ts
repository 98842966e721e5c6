/** Grammars that are written on one side and followed on the other, in parts of any size: they allow what the grammars allow that they were written from. */
import { describe, expect, it } from "vitest";
import type { Constraint } from "../../../src/decode/constrain/constraint.ts";
import { FlatGrammar, type FlatPart, NotWritten, Unfolding } from "../../../src/decode/constrain/flat.ts";
import { type ConstraintSource, Constraints, compileSource } from "../../../src/decode/constrain/source.ts";
import { LatheError } from "../../../src/errors.ts";
import { Random } from "../../fixtures/random.ts";
import { randomSchema } from "./random-schemas.ts";

const pieces = ['{"', '":', '", "', '"a":', "true", "12", "aaaa", "the ", "é", "日本", "\n  ", '"},{"'];
const vocabulary = [
  new Uint8Array(0),
  ...Array.from({ length: 256 }, (_, b) => Uint8Array.of(b)),
  ...pieces.map(p => new TextEncoder().encode(p)),
];
const given = { size: vocabulary.length, bytes: (id: number) => vocabulary[id], ends: [0] };

const schema = (s: unknown, order: "declared" | "any" = "declared"): ConstraintSource => ({
  kind: "schema",
  text: JSON.stringify(s),
  style: { order, whitespace: "some" },
});
const many = { type: "object", properties: Object.fromEntries([..."abcdefghij"].map(n => [n, { type: "integer" }])) };
const sources: [string, ConstraintSource][] = [
  ["any JSON", schema({})],
  ["properties in any order", schema(many, "any")],
  ["a pattern of a certain length", schema({ type: "string", pattern: "^(ab|é){2,20}x?$", maxLength: 30 })],
  ["an address", schema({ type: "string", format: "email", maxLength: 100 })],
  ["recursion", schema({ type: "object", properties: { a: { anyOf: [{ $ref: "#" }, { type: "null" }] } } })],
  ["counts beyond 32 bits", schema({ type: "array", items: { type: "null" }, maxItems: 2 ** 60 })],
  ["an expression", { kind: "regex", text: "(\\p{L}{2,60}|[a-b]{9,}|the (lazy ){0,3}dog)!?" }],
  ["choices", { kind: "choices", texts: ["a".repeat(200), "aa", "the dog", "日本"] }],
  ["a grammar", { kind: "grammar", text: 'root ::= "{" item ("," item)* "}"\nitem ::= [a-zé]{1,12} | "[" item "]" |' }],
];

/** What travels does so as it would between threads. */
const sent = (part: FlatPart): FlatPart => structuredClone(part);

/** Does it, and what was missed on the way is brought and added, one rule at a time. */
function brought<T>(unfolding: Unfolding, flat: FlatGrammar, missed: { count: number }, act: () => T): T {
  for (;;) {
    try {
      return act();
    } catch (e) {
      if (!(e instanceof NotWritten)) throw e;
      expect(e.of).toBe(flat);
      missed.count++;
      flat.add(sent(unfolding.part(e.rule, () => true)));
    }
  }
}

const allowed = (constraint: Constraint): number[] => {
  const mask = constraint.mask();
  return vocabulary.map((_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
};

/** Follows random texts on both sides; how many rules were missed. */
function compare(source: ConstraintSource, random: Random, first: number, rounds: number): number {
  const constraints = new Constraints(given);
  const unfolding = new Unfolding(compileSource(source));
  const flat = new FlatGrammar(unfolding.root, sent(unfolding.part(undefined, n => n > first)));
  const shared = constraints.add("flat", flat);
  const missed = { count: 0 };
  const bring = <T>(act: () => T): T => brought(unfolding, flat, missed, act);
  for (let round = 0; round < rounds; round++) {
    const own = constraints.begin(source, round % 2 === 1);
    const other = bring(() => shared.begin(round % 2 === 1));
    for (let n = 0; n < 30 && !own.done; n++) {
      const ids = allowed(own);
      expect(bring(() => allowed(other))).toEqual(ids);
      expect(bring(() => other.forced())).toEqual(own.forced());
      const id = random.pick(ids.filter(i => i > 0 || ids.length === 1));
      expect(bring(() => other.accept(id))).toBe(own.accept(id));
      expect([other.done, other.mayEnd]).toEqual([own.done, own.mayEnd]);
    }
  }
  return missed.count;
}

describe("a flat grammar", () => {
  it.each(sources)("of %s is followed as the one that it was written from", (_, source) => {
    for (const first of [0, 40, 3000]) compare(source, new Random(first + 1), first, 6);
  });

  it("of random schemas too", () => {
    const random = new Random(5);
    let compared = 0;
    for (let i = 0; i < 30; i++) {
      try {
        compare(schema(randomSchema(random), i % 2 ? "any" : "declared"), random, i % 30, 2);
        compared++;
      } catch (e) {
        if (!(e instanceof LatheError)) throw e; // not every schema can be enforced
      }
    }
    expect(compared).toBeGreaterThan(10);
  });

  it("has its rules brought only where they are missing", () => {
    const source = schema({ type: "object", properties: { a: { type: "integer" } } });
    expect(compare(source, new Random(1), 0, 1)).toBeGreaterThan(0);
    expect(compare(source, new Random(1), 100_000, 1)).toBe(0);
  });

  it("says what a rule cannot be written for, to whoever reaches it", () => {
    const { grammar } = compileSource({ kind: "regex", text: "x" });
    const error = new LatheError("grammar.limit", "too much");
    const root = grammar.seq(
      grammar.text("ab"),
      grammar.lazy("bad", () => {
        throw error;
      }),
    );
    const unfolding = new Unfolding({ grammar, root });
    const flat = new FlatGrammar(
      unfolding.root,
      unfolding.part(undefined, () => false),
    );
    expect(unfolding.complete).toBe(false);
    const constraint = new Constraints(given).add("bad", flat).begin();
    expect(() => constraint.accept(1 + 0x61)).not.toThrow();
    expect(() => constraint.accept(1 + 0x62)).toThrow(NotWritten);
    expect(() => unfolding.part(0, () => true)).toThrow(error);
    flat.refuse(0, error);
    expect(() => constraint.accept(1 + 0x62)).toThrow(error);
  });
});
