/**
 * Lets scripts import the tests' TypeScript: types are stripped on the way, and src/x.ts means what was built from it, dist/x.js.
 *
 * Use: `register("./typescript.mjs", import.meta.url)` of node:module, before anything of test/ is imported.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const SOURCE = /\/src\/([^?]*)\.ts$/;

export const resolve = (name, context, next) => next(name.replace(SOURCE, "/dist/$1.js"), context);

export async function load(url, context, next) {
  if (!url.endsWith(".ts")) return next(url, context);
  const text = await readFile(fileURLToPath(url), "utf8");
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
  return { format: "module", shortCircuit: true, source: ts.transpileModule(text, { compilerOptions }).outputText };
}
