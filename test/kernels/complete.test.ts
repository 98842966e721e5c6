/** Every kernel has a case: what src/kernels exports to make one is named by the cases here, or by the tests of weight formats. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const textsOf = (folder: string): string[] =>
  readdirSync(folder).flatMap(f => (f.endsWith(".ts") ? [readFileSync(join(folder, f), "utf8")] : []));
const at = (...path: string[]): string => join(import.meta.dirname, "..", "..", ...path);

it("every kernel has a case", () => {
  const kernels = textsOf(at("src", "kernels")).flatMap(text =>
    [...text.matchAll(/^export (?:const|function) (\w+)(?:.*\): Kernel\b| = inPlace\()/gm)].map(m => m[1]),
  );
  const tests = [at("test", "kernels"), at("test", "formats"), at("test", "fixtures")].flatMap(textsOf).join("\n");
  expect(kernels.length).toBeGreaterThan(40);
  expect(kernels.filter(name => !new RegExp(`\\b${name}\\(`).test(tests) && !new RegExp(`once\\(${name}\\)`).test(tests))).toEqual([]);
});
