/** The public names: a short list, kept by hand, so that a new one is a decision. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";
import * as lathe from "../../src/index.ts";

const values = ["LatheError", "Model", "Run", "Session", "inspect", "load"];
const types = [
  "ErrorCode",
  "Finish",
  "GenerateOptions",
  "Inspection",
  "LoadOptions",
  "LoadProgress",
  "ModelInfo",
  "Part",
  "Prompt",
  "Result",
  "Target",
  "Timings",
  "Token",
  "Usage",
];

it("the package exports exactly these names, 20 at most", () => {
  const file = join(import.meta.dirname, "../../src/index.ts");
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  // What is no declaration of names wires the floors together and exports nothing.
  const exporting = source.statements.filter(s => !ts.isImportDeclaration(s) && !ts.isExpressionStatement(s));
  const names = exporting.flatMap(s =>
    ts.isExportDeclaration(s) && s.exportClause && ts.isNamedExports(s.exportClause)
      ? s.exportClause.elements.map(e => e.name.text)
      : ["*"],
  );
  expect(names.sort()).toEqual([...values, ...types].sort());
  expect(names.length).toBeLessThanOrEqual(20);
  expect(Object.keys(lathe).sort()).toEqual(values);
});
