/**
 * Finds the large test data (model files, reference outputs) that is not part of this repository: the folder `shared/data` beside it or
 * inside it. Owns nothing else. Tests that need such data skip with a message where it is absent, so the suite passes on a bare checkout.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, it } from "vitest";

const root = resolve(import.meta.dirname, "..");
const folders = [join(root, "..", "shared", "data"), join(root, "shared", "data")];

/** Absolute path of a file or folder of the test data, such as `lm-stories260k/stories260K.gguf`; undefined where it is absent. */
export function sharedData(name: string): string | undefined {
  return folders.map(folder => join(folder, name)).find(path => existsSync(path));
}

/** A `describe` over one file or folder of the test data, which gets its absolute path; skipped, saying why, where the data is absent. */
export function describeShared(title: string, name: string, body: (path: string) => void): void {
  const path = sharedData(name);
  if (path !== undefined) describe(title, () => body(path));
  else describe.skip(`${title} (skipped: no test data "${name}" in ../shared/data)`, () => it("needs it", () => {}));
}
