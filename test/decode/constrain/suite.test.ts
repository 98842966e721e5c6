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

export interface Tally {
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
    ["draft2020-12", { ...reading, draft: 2020, formats: "annotate" }],
    ["draft7", { ...reading, draft: 7, formats: "annotate" }],
    ["draft2020-12/optional/format", { ...reading, draft: 2020 }],
    ["draft7/optional/format", { ...reading, draft: 7 }],
    ["draft2020-12/optional", { ...reading, draft: 2020 }],
  ] as [string, Profile][])("%s", (path, profile) => {
    const tally = tallyOf(path, profile);
    console.log(path, tally);
    expect(tally.wronglyAccepted).toEqual([]);
  });
});
