/** Temporary homes of stores, and what lies in them. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** An empty folder that is removed after the tests of the file. */
export function temporaryHome(): string {
  const home = mkdtempSync(join(tmpdir(), "lathe-store-"));
  afterAll(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

/** Paths of all files below a folder. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map(name => join(folder, name))
    .filter(path => statSync(path).isFile());
}
