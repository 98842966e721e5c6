/** JSON Schema against the published test suite: valid instances are accepted, invalid ones refused, byte by byte. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Recogniser } from "../../../src/decode/constrain/constraint.ts";
import { compileSchema } from "../../../src/decode/constrain/schema/compile.ts";
import { type Profile, reading } from "../../../src/decode/constrain/schema/context.ts";
import { LatheError } from "../../../src/errors.ts";
import { describeShared } from "../../shared.ts";

interface Group {
  description: string;
  schema: unknown;
  tests: { description: string; data: unknown; valid: boolean }[];
}

interface Tally {
  schemas: number;
  refused: Map<string, number>;
  right: number;
  wronglyAccepted: string[];
  wronglyRefused: string[];
}

/** Runs one file of the suite. */
function run(path: string, profile: Profile, tally: Tally): void {
  for (const { description, schema, tests } of JSON.parse(readFileSync(path, "utf8")) as Group[]) {
    tally.schemas++;
    let recogniser: Recogniser;
    try {
      recogniser = new Recogniser(compileSchema(schema, profile));
    } catch (e) {
      if (!(e instanceof LatheError)) throw e;
      if (e.code === "schema.unsatisfiable" && tests.every(t => !t.valid)) {
        tally.right += tests.length;
        continue;
      }
      const key = `${e.code} ${e.details.keyword ?? ""}`;
      tally.refused.set(key, (tally.refused.get(key) ?? 0) + 1);
      continue;
    }
    for (const test of tests) {
      const name = `${path.split("/").slice(-2).join("/")}: ${description}: ${test.description}`;
      const accepted = recogniser.accepts(JSON.stringify(test.data));
      if (accepted === test.valid) tally.right++;
      else if (accepted) tally.wronglyAccepted.push(name);
      else tally.wronglyRefused.push(name);
    }
  }
}

describeShared("the published suite", "json-schema-test-suite/tests", folder => {
  const files = (path: string): string[] => readdirSync(join(folder, path)).filter(f => f.endsWith(".json"));
  const tallyOf = (path: string, profile: Profile): Tally => {
    const tally: Tally = { schemas: 0, refused: new Map(), right: 0, wronglyAccepted: [], wronglyRefused: [] };
    for (const file of files(path)) run(join(folder, path, file), profile, tally);
    return tally;
  };
  it.each([
    [
      2020,
      "draft2020-12",
      1150,
      { "schema.unsupported $ref": 22, "schema.unsupported $dynamicRef": 17, "schema.unsupported multipleOf": 1 },
    ],
    [7, "draft7", 850, { "schema.unsupported $ref": 13, "schema.unsupported multipleOf": 1 }],
  ] as const)("draft %i: every instance is judged rightly, or its schema refused", (draft, path, least, refused) => {
    const tally = tallyOf(path, { ...reading, draft, formats: "annotate" });
    expect(tally.wronglyAccepted).toEqual([]);
    expect(tally.wronglyRefused).toEqual([]);
    expect(tally.right).toBeGreaterThan(least);
    expect(Object.fromEntries(tally.refused)).toMatchObject(refused);
    expect([...tally.refused.values()].reduce((a, b) => a + b)).toBeLessThan(0.12 * tally.schemas);
  });

  it.each([2020, 7] as const)("formats of draft %i: nothing invalid is accepted", draft => {
    const tally = tallyOf(`draft${draft === 7 ? 7 : "2020-12"}/optional/format`, { ...reading, draft });
    expect(tally.wronglyAccepted).toEqual([]);
    expect(tally.right).toBeGreaterThan(500);
    // Leap seconds away from UTC and host names in Punycode are valid, and refused.
    const exotic = /leap second|A-label|[Pp]unycode|hostname/;
    expect(tally.wronglyRefused.filter(name => !exotic.test(name))).toEqual([]);
  });

  it("the optional tests: nothing invalid is accepted", () => {
    const tally = tallyOf("draft2020-12/optional", { ...reading, draft: 2020 });
    expect(tally.wronglyAccepted).toEqual([]);
    expect(tally.wronglyRefused).toEqual([expect.stringContaining("float-overflow")]);
    expect(tally.right).toBeGreaterThan(130);
  });
});
