/** docs/models.md says what the lists say, and the lists what the data says. `UPDATE_DOCS=1` writes the tables anew. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { weightFormats } from "../../src/formats/index.ts";
import { architectures } from "../../src/models/index.ts";
import { preTokenizerNames } from "../../src/text/split/table.ts";
import { tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { describeShared } from "../shared.ts";
import { containers, exactPre, ggmlBlocks, type Recorded, recorded, tokenizerFiles, tokenizerKinds } from "./evidence.ts";
import { architectureEvidence, modelTables } from "./tables.ts";

const path = join(import.meta.dirname, "../../docs/models.md");
const mark = "<!-- tables -->\n";

it("the tables of docs/models.md are those of the lists", () => {
  const [before, after] = readFileSync(path, "utf8").split(mark);
  const made = `\n${modelTables()}\n`;
  if (process.env["UPDATE_DOCS"]) writeFileSync(path, before + mark + made);
  else expect(after).toBe(made);
});

it("the lists name what there is", () => {
  const files = [...containers, ...tokenizerFiles].flatMap(row => row.tests);
  expect(files.filter(file => !existsSync(join(import.meta.dirname, "..", file)))).toEqual([]);
  expect(ggmlBlocks.filter(name => !weightFormats.has(name))).toEqual([]);
  expect(exactPre.filter(name => !preTokenizerNames.includes(name))).toEqual([]);
  expect(architectureEvidence().map(e => e.name)).toEqual([...architectures.keys()].sort());
  const kinds = /it knows ([a-z0-9, ]+)\./.exec(told(() => tokenizerFromMetadata(new Map([["tokenizer.ggml.model", "morse"]]))))?.[1];
  expect(kinds?.split(", ").sort()).toEqual(Object.keys(tokenizerKinds).sort());
});

function told(action: () => unknown): string {
  try {
    action();
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

describeShared("the records of llama.cpp", "arch-oracle", folder => {
  it("are those of the list", () => {
    const names = readdirSync(folder).flatMap(f => (f.endsWith(".gguf") ? [f.slice(0, -5)] : []));
    const found = names.map((file): Recorded => {
      const { architecture, kind } = JSON.parse(readFileSync(join(folder, `${file}.json`), "utf8"));
      return { file, architecture, kind };
    });
    const order = (list: readonly Recorded[]): Recorded[] => [...list].sort((a, b) => (a.file < b.file ? -1 : 1));
    expect(order(found)).toEqual(order(recorded));
  });
});

describeShared("the blocks of ggml", "ggml-blocks/index.json", file => {
  it("are those of the list", () => {
    const { types } = JSON.parse(readFileSync(file, "utf8")) as { types: string[] };
    expect(types.map(t => t.toUpperCase()).sort()).toEqual([...ggmlBlocks].sort());
  });
});
