/** The house rules that a machine can check: imports point down the floors of docs/architecture.md, files and functions stay small. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");
const src = join(root, "src");

/** Bottom first. A file may import from its own floor and from any floor before it. `index.ts` and the outside stand on top. */
const floors = ["errors", "ir", "lower", "target", "runtime", "formats", "kernels", "files", "text", "nn", "models", "kv", "engine"];
const upper = ["decode", "api", "ai-sdk", "serve", "cluster", "tools", "web", "cli", "index"];
const order = [...floors, ...upper];

/** Files of data tables, which may be longer than code. */
const tables = new Set<string>([]);

const files = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap(e =>
    e.isDirectory() ? files(join(folder, e.name)) : /\.tsx?$/.test(e.name) ? [join(folder, e.name)] : [],
  );

const floorOf = (file: string): string => {
  const [first] = relative(src, file).split("/");
  return first.replace(/\.ts$/, "");
};

const importsOf = (file: string): string[] =>
  ts
    .preProcessFile(readFileSync(file, "utf8"))
    .importedFiles.map(i => i.fileName)
    .filter(name => name.startsWith("."))
    .map(name => resolve(dirname(file), name));

/** Lines of the longest function in a file, and where it starts. */
function longestFunction(file: string): { lines: number; at: number } {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true);
  let worst = { lines: 0, at: 0 };
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body) {
      const from = source.getLineAndCharacterOfPosition(node.getStart()).line;
      const lines = source.getLineAndCharacterOfPosition(node.end).line - from + 1;
      if (lines > worst.lines) worst = { lines, at: from + 1 };
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return worst;
}

describe("house rules", () => {
  const all = files(src);

  it("finds the sources", () => expect(all.length).toBeGreaterThan(5));

  it("every file stands on a known floor", () => {
    expect(all.map(floorOf).filter(f => !order.includes(f))).toEqual([]);
  });

  it("imports point down only", () => {
    const upward = all.flatMap(file =>
      importsOf(file)
        .filter(target => order.indexOf(floorOf(target)) > order.indexOf(floorOf(file)))
        .map(target => `${relative(src, file)} -> ${relative(src, target)}`),
    );
    expect(upward).toEqual([]);
  });

  it("platform modules are imported only from platform files", () => {
    const stray = all.filter(
      f => !/\.node\.ts$|^cli\/|^tools\/|^serve\//.test(relative(src, f)) && /from "node:/.test(readFileSync(f, "utf8")),
    );
    expect(stray.map(f => relative(src, f))).toEqual([]);
  });

  it("no file is longer than 500 lines", () => {
    const long = all.filter(f => !tables.has(relative(src, f)) && readFileSync(f, "utf8").split("\n").length > 501);
    expect(long.map(f => relative(src, f))).toEqual([]);
  });

  it("no function is longer than 60 lines", () => {
    const long = all.map(f => ({ file: relative(src, f), ...longestFunction(f) })).filter(f => f.lines > 60);
    expect(long).toEqual([]);
  });

  it("there is no drawer called utils", () => {
    expect(all.filter(f => /\/(utils?|helpers?|misc|common)\.tsx?$/.test(f))).toEqual([]);
  });
});
