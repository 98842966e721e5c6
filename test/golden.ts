/**
 * Golden text: what a test produces must equal a file of test/golden. `UPDATE_GOLDEN=1` rewrites the files; a change that claims to be a
 * refactoring leaves them untouched.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";

export function expectGolden(name: string, text: string): void {
  const path = join(import.meta.dirname, "golden", name);
  if (process.env.UPDATE_GOLDEN) writeFileSync(path, text);
  expect(existsSync(path), `${name} is missing; UPDATE_GOLDEN=1 writes it`).toBe(true);
  expect(text, name).toBe(readFileSync(path, "utf8"));
}
