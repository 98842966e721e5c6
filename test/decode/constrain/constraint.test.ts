/** Masks of tokens: the same as trying every token, whatever is remembered; ends, forced bytes, forks, and the sampler under a mask. */
import { describe, expect, it } from "vitest";
import { Automaton } from "../../../src/decode/constrain/automaton.ts";
import type { Constraint } from "../../../src/decode/constrain/constraint.ts";
import { type ConstraintSource, Constraints, compileSource } from "../../../src/decode/constrain/source.ts";
import { createSampler } from "../../../src/decode/sampler.ts";
import { LatheError } from "../../../src/errors.ts";
import { Random } from "../../fixtures/random.ts";

/** Bytes, JSON-like pieces, words, pieces of characters, twins; 0 ends, 1 is a control token. */
const pieces = [
  ...'{ } [ ] { " } "," ": {"a": ":{ "]} , : \\" \\n \\u00 null true fals e 12 345 0. -1 e5 "x" "},{" ]}]'.split(" "),
  ..."the lazy dog aaaa aaaaaaaaaaaa abab bbbbbbbbbbb xyz XYZ é ééé 日本 日 \n \n\n  ".split(" "),
  "name",
  "name",
  '"name":',
  "a".repeat(40),
  " ".repeat(25),
];
const vocabulary: Uint8Array[] = [
  new Uint8Array(0),
  new Uint8Array(0),
  ...Array.from({ length: 256 }, (_, b) => Uint8Array.of(b)),
  ...pieces.filter(p => p !== "").map(p => new TextEncoder().encode(p)),
  Uint8Array.of(0xe6, 0x97),
  Uint8Array.of(0xa5, 0x22),
];
const given = { size: vocabulary.length, bytes: (id: number) => vocabulary[id], ends: [0] };

const style = { order: "declared", whitespace: "some" } as const;
const schema = (s: unknown, order: "declared" | "any" = "declared"): ConstraintSource => ({
  kind: "schema",
  text: JSON.stringify(s),
  style: { ...style, order },
});
const sources: [string, ConstraintSource][] = [
  ["free JSON", schema({})],
  [
    "an object",
    schema(
      { type: "object", properties: { name: { type: "string" }, a: { type: "integer", minimum: -5, maximum: 130 } }, required: ["a"] },
      "any",
    ),
  ],
  ["a counted string", schema({ type: "array", items: { type: "string", minLength: 2, maxLength: 30 }, minItems: 1, maxItems: 3 })],
  [
    "a pattern",
    schema({ type: "object", properties: { name: { type: "string", pattern: "^(ab|é){2,20}x?$", maxLength: 30 } }, required: ["name"] }),
  ],
  ["recursion", schema({ type: "object", properties: { a: { anyOf: [{ $ref: "#" }, { type: "null" }] } }, additionalProperties: false })],
  ["a regex", { kind: "regex", text: "(a{2,60}|[a-b]{9,}|the (lazy ){0,3}dog)!?" }],
  ["choices", { kind: "choices", texts: ["name", "namely", "the dog", "日本", "日記"] }],
  ["a grammar", { kind: "grammar", text: 'root ::= "{" item ("," item)* "}"\nitem ::= [a-zé]{1,12} | "[" item "]"' }],
];

const bit = (mask: Uint32Array, id: number): boolean => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
const allowed = (constraint: Constraint): number[] => {
  const mask = constraint.mask();
  return vocabulary.map((_, id) => id).filter(id => bit(mask, id));
};

describe("masks", () => {
  it.each(sources)("%s: as if every token were tried", (_, source) => {
    const { grammar, root } = compileSource(source);
    const automaton = new Automaton(grammar);
    const constraints = new Constraints(given);
    const random = new Random(3);
    for (let round = 0; round < 12; round++) {
      const constraint = constraints.begin(source);
      let state = automaton.start(root);
      for (let n = 0; n < 40 && !constraint.done; n++) {
        const expected = vocabulary.map((bytes, id) => (bytes.length > 0 ? automaton.run(state, bytes) !== null : id === 0 && state.ends));
        const found = allowed(constraint);
        expect(found).toEqual(vocabulary.map((_, id) => id).filter(id => expected[id]));
        const id = random.pick(found.filter(i => i > 0 || found.length === 1));
        if (constraint.accept(id) === "end") break;
        state = automaton.run(state, vocabulary[id])!;
      }
    }
  });

  it("allow the end where the text may end, and nothing else where it must", () => {
    const constraint = new Constraints(given).begin({ kind: "regex", text: "ab?" });
    expect([constraint.mayEnd, constraint.done, constraint.accept(0), constraint.accept(1)]).toEqual([false, false, "refused", "refused"]);
    expect(constraint.accept(2 + 0x61)).toBe("text");
    expect(allowed(constraint)).toEqual([0, 2 + 0x62]);
    expect(constraint.accept(2 + 0x61)).toBe("refused");
    const fork = constraint.fork();
    expect(constraint.accept(2 + 0x62)).toBe("text");
    expect([constraint.done, constraint.mayEnd, fork.done, fork.mayEnd]).toEqual([true, true, false, true]);
    expect(allowed(constraint)).toEqual([0]);
    expect(fork.accept(0)).toBe("end");
  });

  it("know what must come", () => {
    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    const object = {
      type: "object",
      properties: { first: { type: "integer" }, second: { const: "é" } },
      required: ["first", "second"],
      additionalProperties: false,
    };
    const constraint = new Constraints(given).begin({
      kind: "schema",
      text: JSON.stringify(object),
      style: { order: "declared", whitespace: "none" },
    });
    expect(text(constraint.forced())).toBe('{"first":');
    for (const byte of new TextEncoder().encode('{"first":7')) constraint.accept(2 + byte);
    expect(text(constraint.forced())).toBe("");
    constraint.accept(2 + 0x2c);
    expect(text(constraint.forced())).toBe('"second":"é"}');
    expect(new Constraints(given).begin({ kind: "choices", texts: ["a".repeat(1000)] }).forced()).toHaveLength(256);
  });

  it("are right after everything was forgotten", () => {
    const source: ConstraintSource = { kind: "regex", text: "(?:[a-z]{3}[0-9]{4}[A-Z]{2}){1,6000}" };
    const { grammar, root } = compileSource(source);
    const constraint = new Constraints(given).begin(source);
    const automaton = new Automaton(grammar);
    let state = automaton.start(root);
    for (let n = 0; n < 50_000; n++) {
      const byte = "abc1234XY".charCodeAt(n % 9);
      if (n % 3000 < 9) expect(allowed(constraint).every(id => automaton.run(state, vocabulary[id]))).toBe(true);
      expect(constraint.accept(2 + byte)).toBe("text");
      state = automaton.step(state, byte)!;
    }
    expect(constraint.accept(2 + 0x21)).toBe("refused");
    expect(automaton.epoch).toBeGreaterThan(0);
  });
});

describe("sources", () => {
  it("are compiled once, and the oldest forgotten", () => {
    const constraints = new Constraints(given);
    for (let i = 0; i < 50; i++) expect(constraints.begin({ kind: "choices", texts: [`text ${i % 9}`] }).mayEnd).toBe(false);
    expect(() => constraints.begin({ kind: "regex", text: "(" })).toThrow(LatheError);
    expect(() => constraints.begin({ kind: "regex", text: "[]" })).toThrow(/matches no text/);
    for (const texts of [[], ["a", ""], ["x".repeat(200_000)]])
      expect(() => constraints.begin({ kind: "choices", texts })).toThrow(/choices/);
  });

  it("may begin with a space that the tokenizer takes away", () => {
    const constraint = new Constraints(given).begin({ kind: "choices", texts: ["dog"] }, true);
    expect(allowed(constraint)).toEqual([2 + 0x20]);
    constraint.accept(2 + 0x20);
    expect(constraint.accept(vocabulary.findIndex(b => new TextDecoder().decode(b) === "dog"))).toBe("text");
    expect(constraint.done).toBe(true);
  });
});

describe("the sampler under a mask", () => {
  const logits = Float32Array.from({ length: 70 }, (_, i) => i / 10);
  const only = (...ids: number[]): Uint32Array => {
    const mask = new Uint32Array(3);
    for (const id of ids) mask[id >> 5] |= 1 << (id & 31);
    return mask;
  };

  it("chooses among what is allowed, with the model's own probability", () => {
    const free = createSampler({ temperature: 0 }).sample(logits);
    expect(free.id).toBe(69);
    const best = createSampler({ temperature: 0 }).sample(logits, only(3, 31, 32, 40));
    expect(best.id).toBe(40);
    expect(best.logprob).toBeCloseTo(free.logprob - 2.9, 5);
    const seen = new Set<number>();
    const sampler = createSampler({ seed: 1, topK: 2, minP: 0 });
    for (let i = 0; i < 60; i++) seen.add(sampler.sample(logits, only(3, 31, 32, 40, 69 + 20)).id);
    expect([...seen].sort()).toEqual([32, 40]);
  });

  it("counts biases and penalties before, and says where nothing is left", () => {
    const sampler = createSampler({ temperature: 0, logitBias: { 3: 100, 69: 200 }, repeatPenalty: 2 });
    sampler.accept(3);
    expect(sampler.sample(logits, only(3, 40)).id).toBe(3);
    expect(() => createSampler({ temperature: 0 }).sample(logits, only())).toThrow(LatheError);
    expect(() => createSampler().sample(logits, new Uint32Array(0))).toThrow(LatheError);
  });
});
