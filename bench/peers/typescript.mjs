/**
 * Lets scripts import the tests' TypeScript: types are stripped on the way, and src/x.ts means what was built from it, dist/x.js.
 *
 * With `data: { halfGelu: true }` GELU is made as llama.cpp makes it: the tanh form of x rounded to half precision, rounded again.
 *
 * Use: `register("./typescript.mjs", { parentURL: import.meta.url })` of node:module, before anything of test/ is imported.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** Rounds to 11 bits (Veltkamp's splitting), and both forms of GELU through it. */
const HALF_GELU = `
function half(x) { const big = x.mul(8193); return big.sub(big.sub(x)); }
export const geluTanh = x => half(exactTanh(half(x)));
export const geluErf = geluTanh;
`;
let halfGelu = false;
export const initialize = data => {
  halfGelu = data?.halfGelu ?? false;
};

const SOURCE = /\/src\/([^?]*)\.ts$/;

export const resolve = (name, context, next) => next(name.replace(SOURCE, "/dist/$1.js"), context);

export async function load(url, context, next) {
  if (halfGelu && url.endsWith("/dist/kernels/math.js")) {
    const { format, source } = await next(url, context);
    const exact = String(source).replace("export function geluTanh", "function exactTanh").replace("export const geluErf", "const exactErf");
    return { format, shortCircuit: true, source: exact + HALF_GELU };
  }
  if (!url.endsWith(".ts")) return next(url, context);
  const text = await readFile(fileURLToPath(url), "utf8");
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
  return { format: "module", shortCircuit: true, source: ts.transpileModule(text, { compilerOptions }).outputText };
}
