/** What comes out under a schema is valid, by another validator: chosen at random over a real vocabulary, and by the bundled model. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { load } from "../../../src/api/load.node.ts";
import type { Model } from "../../../src/api/model.ts";
import type { Constraint } from "../../../src/decode/constrain/constraint.ts";
import { Constraints } from "../../../src/decode/constrain/source.ts";
import { LatheError } from "../../../src/errors.ts";
import { stories } from "../../fixtures/models.ts";
import { Random } from "../../fixtures/random.ts";
import { describeShared } from "../../shared.ts";
import { randomSchema } from "./random-schemas.ts";
import { isValid, known } from "./validator.ts";

describeShared("the tests' own validator", "json-schema-test-suite/tests/draft2020-12", folder => {
  it("judges the published suite rightly, as far as it knows its keywords", () => {
    const knows = (schema: unknown): boolean =>
      typeof schema !== "object" ||
      schema === null ||
      (Array.isArray(schema) ? schema.every(knows) : Object.entries(schema).every(([k, v]) => known.has(k) && knows(v)));
    let judged = 0;
    for (const file of "type enum const minimum maximum multipleOf minLength maxLength pattern items prefixItems contains uniqueItems properties required additionalProperties patternProperties propertyNames minProperties allOf anyOf oneOf not if-then-else dependentRequired dependentSchemas".split(
      " ",
    )) {
      for (const { schema, tests, description } of JSON.parse(readFileSync(`${folder}/${file}.json`, "utf8"))) {
        if (!knows(schema)) continue;
        for (const test of tests) {
          judged++;
          expect([description, test.description, isValid(schema, test.data)]).toEqual([description, test.description, test.valid]);
        }
      }
    }
    expect(judged).toBeGreaterThan(300);
  });
});

let model: Model;
let constraints: Constraints;
let bytes: Uint8Array[];
let end: number;
beforeAll(async () => {
  model = await load(stories, { threads: 2, context: 256 });
  const { tokenizer } = model;
  bytes = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.bytes(id));
  end = tokenizer.eos!;
  constraints = new Constraints({ size: bytes.length, bytes: id => bytes[id], ends: [end] });
}, 60_000);
afterAll(() => model.close());

/** Chooses tokens at random, closing marks more often, until the text is complete; undefined where it goes on for too long. */
function write(constraint: Constraint, random: Random): string | undefined {
  const text: number[] = [];
  for (let n = 0; n < 600 && !constraint.done; n++) {
    const mask = constraint.mask();
    const allowed = bytes.map((_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
    if (allowed.length === 0) throw new Error(`nothing may follow ${Buffer.from(text)}`);
    const like = (shape: RegExp): number[] => allowed.filter(id => id === end || shape.test(Buffer.from(bytes[id]).toString("latin1")));
    const preferred = [like(/^\s*[}\]]/), like(/"/), allowed].filter(list => list.length > 0 && random.below(3) > 0);
    const id = random.pick(preferred[0] ?? allowed);
    const verdict = constraint.accept(id);
    if (verdict === "end") return Buffer.from(text).toString("utf8");
    if (verdict === "refused") throw new Error("an allowed token was refused");
    text.push(...bytes[id]);
  }
  if (!constraint.mayEnd) return undefined;
  return Buffer.from(text).toString("utf8");
}

describe("random schemas", () => {
  it("chosen at random, tokens make valid values", () => {
    let written = 0;
    const refused: Record<string, number> = {};
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed);
      const schema = randomSchema(random);
      let constraint: Constraint;
      try {
        const order = seed % 2 ? "declared" : "any";
        constraint = constraints.begin({ kind: "schema", text: JSON.stringify(schema), style: { order, whitespace: "some" } });
      } catch (e) {
        if (!(e instanceof LatheError)) throw e;
        refused[e.code] = (refused[e.code] ?? 0) + 1;
        continue;
      }
      const text = write(constraint, random);
      if (text === undefined) continue; // objects in objects in objects
      const valid = isValid(schema, JSON.parse(text));
      expect({ seed, schema, text, valid }).toEqual({ seed, schema, text, valid: true });
      written++;
    }
    expect(Object.keys(refused).filter(code => code !== "schema.unsatisfiable")).toEqual([]);
    expect(written).toBeGreaterThan(160);
  }, 60_000);

  it("the bundled model writes valid values", async () => {
    let complete = 0;
    for (let seed = 1000; seed < 1012; seed++) {
      const schema = randomSchema(new Random(seed), 1);
      try {
        const { text, finish } = await model.generate("Once", { schema: schema as object, seed, maxTokens: 120, whitespace: "none" });
        if (finish !== "stop") continue;
        complete++;
        expect({ seed, schema, text, valid: isValid(schema, JSON.parse(text)) }).toMatchObject({ valid: true });
      } catch (e) {
        if (!(e instanceof LatheError) || e.code !== "schema.unsatisfiable") throw e;
      }
    }
    expect(complete).toBeGreaterThan(4);
  }, 60_000);
});
